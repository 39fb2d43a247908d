"""A clock for tests that goes only when set."""

from __future__ import annotations

import time

from rapidjws._checks import checked


class FakeClock:
    """A clock whose two times the test sets.

    Args:
        time_s: The wall clock, in seconds since the epoch; by default now.
        monotonic_s: The monotonic clock, in seconds.
    """

    __slots__ = ("_monotonic_s", "_time_s")

    @checked
    def __init__(self, time_s: float | None = None, monotonic_s: float = 1000.0) -> None:
        self._time_s = time.time() if time_s is None else time_s
        self._monotonic_s = monotonic_s

    def time(self) -> float:
        """Return seconds since the epoch."""
        return self._time_s

    def monotonic(self) -> float:
        """Return seconds that never run backwards."""
        return self._monotonic_s

    @checked
    def advance(self, seconds: float) -> None:
        """Let both clocks go on."""
        self._time_s += seconds
        self._monotonic_s += seconds

    @checked
    def step(self, seconds: float) -> None:
        """Set the wall clock, which the monotonic one does not follow."""
        self._time_s += seconds
