"""A PKCS#11 library that several threads may call at once (PKCS#11 3.1 s.5.4), and that may be started again.

python-pkcs11 starts libraries without arguments, which promises calls by one thread at a time, and then calls
them from many: SoftHSM corrupts its memory by that. Here a library is started with CKF_OS_LOCKING_OK; where
it cannot lock, calls are made one after another. It is started again only while no call is in it, and what
was opened before, sessions and keys, is of a generation that is over.
"""

from __future__ import annotations

import ctypes
import hashlib
import hmac
import secrets
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import Any, Final

from rapidjws._scheduler import scheduler

RESTART_EVERY_S: Final = 1.0
"""A library is started again at most so often: that ends the sessions of all who use it."""

DRAIN_S: Final = 5.0
"""How long a restart waits for the calls that are in the library, and a call for a restart."""

_OS_LOCKING_OK: Final = 2
_OK: Final = 0
_CANT_LOCK: Final = (0x09, 0x0A)  # CKR_NEED_TO_CREATE_THREADS, CKR_CANT_LOCK
_NOT_INITIALIZED: Final = 0x190
_ALREADY_LOGGED_IN: Final = 0x100
_USER: Final = 1
_LOGIN_REFUSALS: Final = {
    0xA0: "PinIncorrect",
    0xA1: "PinInvalid",
    0xA2: "PinLenRange",
    0xA3: "PinExpired",
    0xA4: "PinLocked",
    0x102: "UserPinNotInitialized",
}
_opening: Final = threading.Lock()
_libraries: Final[dict[str, Pkcs11Library]] = {}
_mask: Final = secrets.token_bytes(32)


class LibraryFault(Exception):
    """A failure of a library; its text is a name, never what was passed."""


class LoginRefused(LibraryFault):
    """A PIN that the token refused."""


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
        self.generation = 0
        """Raised at each start: handles of an earlier one are void, or somebody else's."""
        self._functions = ctypes.CDLL(module)
        self._refused: set[bytes] = set()
        self._locked: AbstractContextManager[Any] = nullcontext()
        self._restarted_s = float("-inf")
        self._renew()
        self._start()
        scheduler.members.add(self)

    def _renew(self) -> None:
        self._state = threading.Condition()
        self._calls = 0
        self._is_restarting = False

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Enter it around each call; raises LibraryFault where the library is not started."""
        with self._state:
            if not self._state.wait_for(lambda: not self._is_restarting, DRAIN_S) or not self._is_started:
                raise LibraryFault("NotStarted")
            self._calls += 1
        try:
            with self._locked:
                yield
        finally:
            with self._state:
                self._calls -= 1
                self._state.notify_all()

    def restart(self, seen: int) -> bool:
        """Start it again, which ends all sessions: it then knows the tokens that there are now.

        Args:
            seen: The generation in which a call failed; nothing is done where a later one is there.

        Returns:
            Whether a later generation than that is there: else the call would fail as it did.
        """
        with self._state:
            if self._is_restarting:
                self._state.wait_for(lambda: not self._is_restarting, DRAIN_S)
            if self.generation != seen:
                return self._is_started
            now_s = time.monotonic()
            if now_s - self._restarted_s < RESTART_EVERY_S:
                return False
            self._is_restarting, self._restarted_s = True, now_s
            is_empty = self._state.wait_for(lambda: not self._calls, DRAIN_S)
        try:
            if is_empty:  # a call that is in it would go on in memory that is freed
                self._start()
        except Exception:  # the token may be away still: the next one tries again
            is_empty = False
        finally:
            with self._state:
                self._is_restarting = False
                self._state.notify_all()
        return is_empty

    def _start(self) -> None:
        self._is_started = False
        self.generation += 1
        if sys.platform != "win32":  # there the arguments are packed otherwise
            ended = self._functions.C_Finalize(None)
            if ended not in (_OK, _NOT_INITIALIZED):
                raise LibraryFault(f"C_Finalize {ended:#x}")
            arguments = _InitializeArguments(flags=_OS_LOCKING_OK)
            begun = self._functions.C_Initialize(ctypes.byref(arguments))
            if begun == _OK:
                self._locked = nullcontext()
                self._is_started = True
                return
            if begun not in _CANT_LOCK:
                raise LibraryFault(f"C_Initialize {begun:#x}")
        self._locked = threading.RLock()
        with suppress(Exception):  # it is ended already
            self.loaded.finalize()
        self.loaded.initialize()
        self._is_started = True

    def open(self, token: Any, pin: str, *, rw: bool = False) -> Any:
        """Return a session of a token, logged in; inside of a turn.

        A login is the process's, not a session's, and python-pkcs11 ends it with the session that it was
        made by: so a session is opened without, and logged in here. A PIN that the token refused is not
        shown to it again by this process, for a few wrong ones lock the token.

        Raises:
            LoginRefused: By its name.
            LibraryFault, PKCS11Error: The token fails.
        """
        shown = hmac.new(_mask, bytes(token.serial) + b"\0" + pin.encode(), hashlib.sha256).digest()
        if shown in self._refused:
            raise LoginRefused("PinIncorrect")
        session = token.open(rw=rw)
        octets = pin.encode()
        numbers = [ctypes.c_ulong(one) for one in (session.handle, _USER, len(octets))]
        answered = self._functions.C_Login(numbers[0], numbers[1], octets, numbers[2])
        if answered in (_OK, _ALREADY_LOGGED_IN):
            return session
        with suppress(Exception):
            session.close()
        if answered in _LOGIN_REFUSALS:
            self._refused.add(shown)
            raise LoginRefused(_LOGIN_REFUSALS[answered])
        raise LibraryFault(f"C_Login {answered:#x}")

    def after_fork(self) -> None:
        """Have a forked child start it anew: it must not use what its parent opened (PKCS#11 3.1 s.5.4)."""
        self._renew()
        self._is_started = False
        self._restarted_s = float("-inf")


def library_of(pkcs11: Any, module: str) -> Pkcs11Library:
    """Return the library of a path, started once; raises what python-pkcs11 raises."""
    with _opening:
        found = _libraries.get(module)
        if found is None:
            found = _libraries[module] = Pkcs11Library(module, pkcs11.lib(module))
        return found
