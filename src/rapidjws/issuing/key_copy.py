"""A copy of what is published elsewhere, kept in step with the state: a Protocol, and who keeps one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from rapidjws.errors import RapidJWSError
from rapidjws.issuing.state import IssuingState
from rapidjws.verify.protocols import Event, EventListener, emit


class KeySetCopy(Protocol):
    """A copy of what is published, which a life cycle keeps in step with the state."""

    def precede(self, before: IssuingState, after: IssuingState) -> None:
        """Write a state that publishes further keys, before it holds.

        Raises:
            DependencyUnavailable: ``key_copy_unavailable``: the change is not made then.
        """

    def sync(self, state: IssuingState) -> None:
        """Write a state where the copy holds another one.

        Raises:
            DependencyUnavailable: ``key_copy_unavailable``.
        """


class CopyKeeper:
    """The copy of one life cycle, or none: written before keys are added, and after each change."""

    __slots__ = ("_copy", "_events")

    def __init__(self, events: EventListener) -> None:
        self._copy: KeySetCopy | None = None
        self._events = events

    @property
    def is_kept(self) -> bool:
        """Return whether there is a copy."""
        return self._copy is not None

    def keep(self, copy: KeySetCopy) -> None:
        """Keep a copy from now on."""
        self._copy = copy

    def lead(self, read: Callable[[], IssuingState], holder: str) -> None:
        """Write the state, where this holder leads; raises ``key_copy_unavailable``."""
        if self._copy is None:
            return
        state = read()
        if state.lease is not None and state.lease.holder == holder:
            self._copy.sync(state)

    def precede(self, before: IssuingState, after: IssuingState) -> None:
        """Write what is published further, before it holds; raises ``key_copy_unavailable``."""
        if self._copy is not None:
            self._copy.precede(before, after)

    def follow(self, state: IssuingState) -> str | None:
        """Write a state that holds; return the code of the error where that fails."""
        if self._copy is None:
            return None
        try:
            self._copy.sync(state)
        except RapidJWSError as failed:
            emit(self._events, Event(name="issuing_copy_failed", detail=failed.code))
            return failed.code
        return None
