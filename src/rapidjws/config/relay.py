"""Events for a listener that is not there yet: key sources begin to fetch before there is a rollout."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rapidjws.verify.protocols import emit

if TYPE_CHECKING:
    from rapidjws.verify.protocols import Event, EventListener

KEPT_MAX: Final = 256


class Relay:
    """The first events, kept for a listener that is named later and gets all that follow too."""

    __slots__ = ("_kept", "_to")

    def __init__(self) -> None:
        self._kept: list[Event] = []
        self._to: EventListener | None = None

    def __call__(self, event: Event, /) -> None:
        """Take one event."""
        if self._to is not None:
            emit(self._to, event)
        elif len(self._kept) < KEPT_MAX:
            self._kept.append(event)

    def hand_to(self, listener: EventListener) -> None:
        """Name the listener, and hand it what was kept."""
        self._to = listener
        kept, self._kept = self._kept, []
        for event in kept:
            emit(listener, event)


def both(first: EventListener, second: EventListener) -> EventListener:
    """Return a listener that hands each event to two; one's fault keeps nothing from the other."""

    def listen(event: Event, /) -> None:
        emit(first, event)
        emit(second, event)

    return listen
