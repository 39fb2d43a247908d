"""The state of an issuer's keys in a file: locked between processes, replaced whole, on the disk first."""

from __future__ import annotations

import threading
from pathlib import Path

from rapidjws import _files, _locks
from rapidjws._checks import checked
from rapidjws._scheduler import scheduler
from rapidjws.issuing.state import STATE_MAX_BYTES, IssuingState, unreadable
from rapidjws.issuing.store import check_swap, unavailable

_PLACE = "issuing.state_file"


class FileStateStore:
    """A state in a JSON file, for the issuers of one machine.

    Args:
        path: The file; it need not be there yet. Beside it lies a lock file of its name.
    """

    @checked
    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._lock = threading.Lock()
        self._last_revision = 0
        scheduler.members.add(self)

    def read(self) -> IssuingState:
        """Return the state; an empty one where the file was never there.

        Raises:
            DependencyUnavailable: ``key_state_unavailable``: it cannot be read, or strangers may write to it;
                ``key_state_unreadable``: it is not a whole state, or older than one that was read before.
        """
        try:
            state = IssuingState.from_json(_files.read_trusted(self.path, STATE_MAX_BYTES, own=True))
        except FileNotFoundError:
            state = IssuingState()
        except OSError as fault:
            raise unavailable(_PLACE, "a file that only its owner writes", fault.strerror) from None
        if state.revision < self._last_revision:  # a file that vanished, or a copy of last week
            found = f"revision {state.revision}"
            raise unreadable(_PLACE, f"revision {self._last_revision} or later", found)
        self._last_revision = state.revision
        return state

    @checked
    def swap(self, before: IssuingState, after: IssuingState) -> None:
        """Put a state in the place of the one it was made from, whole or not at all.

        Raises:
            IssuingRefused: ``key_state_changed``.
            DependencyUnavailable: ``key_state_unavailable``, ``key_state_unreadable``.
        """
        octets = after.to_json()
        if len(octets) > STATE_MAX_BYTES:
            raise unavailable(_PLACE, f"at most {STATE_MAX_BYTES} bytes", f"{len(octets)} bytes")
        try:
            with self._lock, _locks.locked(self.path.with_name(f".{self.path.name}.lock")):
                _files.remove_leftovers(self.path)
                check_swap(self.read(), before, after)
                _files.replace(self.path, octets)
                self._last_revision = after.revision
        except OSError as fault:
            raise unavailable(_PLACE, "a file to write", fault.strerror) from None

    def time_s(self) -> float | None:
        """Return None: the issuers of one machine have one clock."""
        return None

    def after_fork(self) -> None:
        """Make the lock anew in a forked child."""
        self._lock = threading.Lock()
