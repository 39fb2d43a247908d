"""Where the state of an issuer's keys is kept: a Protocol, and a store in this process's memory."""

from __future__ import annotations

import threading
from typing import Protocol

from rapidjws._checks import checked
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.issuing.state import IssuingState


class StateStore(Protocol):
    """A store whose changes are atomic: compare and swap by the state's revision."""

    def read(self) -> IssuingState:
        """Return the state; an empty one of revision 0 where none was ever written.

        Raises:
            DependencyUnavailable: ``key_state_unavailable``, ``key_state_unreadable``.
        """

    def swap(self, before: IssuingState, after: IssuingState) -> None:
        """Put a state in the place of the one it was made from, whole or not at all.

        Raises:
            IssuingRefused: ``key_state_changed``: another one is there by now.
            DependencyUnavailable: ``key_state_unavailable``, ``key_state_unreadable``.
        """

    def time_s(self) -> float | None:
        """Return the store's own clock in seconds since the epoch, or None where it has none."""


def unavailable(place: str, expected: str | None = None, actual: str | None = None) -> RapidJWSError:
    """Return the error for a store that fails."""
    return error_for("key_state_unavailable", place, expected, actual)


def check_swap(found: IssuingState, before: IssuingState, after: IssuingState) -> None:
    """Refuse a swap against a state that is not the one it was made from.

    Raises:
        IssuingRefused: ``key_state_changed``.
    """
    if found.revision != before.revision or after.revision != before.revision + 1:
        raise changed(before, found.revision)


def changed(before: IssuingState, found: int | str) -> RapidJWSError:
    """Return the error for a state that somebody else changed meanwhile."""
    return error_for("key_state_changed", "state.revision", before.revision, found)


class MemoryStateStore:
    """A state in this process's memory, for tests and for one issuer that makes new keys at each start.

    Args:
        state: What it holds first.
    """

    __slots__ = ("_lock", "_state")

    @checked
    def __init__(self, state: IssuingState | None = None) -> None:
        self._lock = threading.Lock()
        self._state = IssuingState() if state is None else state

    def read(self) -> IssuingState:
        """Return the state."""
        return self._state

    @checked
    def swap(self, before: IssuingState, after: IssuingState) -> None:
        """Put a state in the place of the one it was made from.

        Raises:
            IssuingRefused: ``key_state_changed``.
        """
        with self._lock:
            check_swap(self._state, before, after)
            self._state = after

    def time_s(self) -> float | None:
        """Return None: this store has no clock of its own."""
        return None
