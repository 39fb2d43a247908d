# The compiled module, as far as a type checker needs it: cffi gives no types. Only _native.py imports it.
from typing import Any

ffi: Any
lib: Any
