"""A PKCS#11 library that several threads may call at once (PKCS#11 3.1 s.5.4).

python-pkcs11 starts libraries without arguments, which promises calls by one thread at a time, and then calls
them from many: SoftHSM corrupts its memory by that. Here a library is started with CKF_OS_LOCKING_OK; where
it cannot lock, calls are made one after another.
"""

from __future__ import annotations

import ctypes
import sys
import threading
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final

_OS_LOCKING_OK: Final = 2
_OK: Final = 0
_NOT_INITIALIZED: Final = 0x190
_opening: Final = threading.Lock()
_libraries: Final[dict[str, Pkcs11Library]] = {}


class _InitializeArguments(ctypes.Structure):
    """CK_C_INITIALIZE_ARGS."""

    _fields_ = (
        ("functions", ctypes.c_void_p * 4),
        ("flags", ctypes.c_ulong),
        ("reserved", ctypes.c_void_p),
    )


class Pkcs11Library:
    """One library of this process.

    Args:
        module: Its path.
        loaded: python-pkcs11's object for it.
    """

    def __init__(self, module: str, loaded: Any) -> None:
        self.loaded = loaded
        self._module = module
        self.turn: AbstractContextManager[Any] = nullcontext()
        """Entered around each call."""
        self.restart()

    def restart(self) -> None:
        """Start it again, which ends all sessions: it then knows the tokens that there are now."""
        if sys.platform != "win32":  # there the arguments are packed otherwise
            functions = ctypes.CDLL(self._module)
            ended = functions.C_Finalize(None)
            arguments = _InitializeArguments(flags=_OS_LOCKING_OK)
            if ended in (_OK, _NOT_INITIALIZED) and functions.C_Initialize(ctypes.byref(arguments)) == _OK:
                self.turn = nullcontext()
                return
        self.turn = threading.RLock()
        self.loaded.reinitialize()


def library_of(pkcs11: Any, module: str) -> Pkcs11Library:
    """Return the library of a path, started once; raises what python-pkcs11 raises."""
    with _opening:
        found = _libraries.get(module)
        if found is None:
            found = _libraries[module] = Pkcs11Library(module, pkcs11.lib(module))
        return found
