"""Hand native/build.py to cffi and ask for the abi3 wheel. The rest is declared in pyproject.toml."""

from __future__ import annotations

import sysconfig

from setuptools import setup

# The limited API does not exist on free-threaded builds before 3.15: those wheels carry their own tag.
free_threaded = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))

setup(
    cffi_modules=["native/build.py:ffibuilder"],
    options={} if free_threaded else {"bdist_wheel": {"py_limited_api": "cp310"}},
)
