"""Steps of the wall clock, whatever keys come from: what a token's times are compared with was set."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rapidjws._scheduler import STEP_S, SystemClock
from rapidjws.verify.protocols import Event, emit

if TYPE_CHECKING:
    from rapidjws.verify.protocols import Clock, EventListener


class ClockWatch:
    """Compares the wall clock with the monotonic one; a difference that changed at once is a step.

    Args:
        listener: Receives ``clock_stepped`` with the step in seconds.
        clock: Both clocks.
    """

    __slots__ = ("_clock", "_listener", "_offset_s")

    def __init__(self, listener: EventListener, clock: Clock | None = None) -> None:
        self._listener = listener
        self._clock = SystemClock() if clock is None else clock
        self._offset_s = self._offset()

    def _offset(self) -> float:
        return self._clock.time() - self._clock.monotonic()

    def on_tick(self) -> None:
        """Look; call it about once a second, so that what NTP corrects bit by bit is no step."""
        before_s, self._offset_s = self._offset_s, self._offset()
        step_s = self._offset_s - before_s
        if abs(step_s) >= STEP_S:
            emit(self._listener, Event(name="clock_stepped", value=step_s))
