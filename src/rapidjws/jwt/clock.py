"""The moment of a check: as given, or by a wall clock that can be right."""

from __future__ import annotations

from time import time_ns

from rapidjws.errors import error_for
from rapidjws.jose.limits import CLOCK_FLOOR_S
from rapidjws.jose.numeric_date import SECOND_NS, moment_ns


def wall_clock_ns() -> int:
    """Return the wall clock in nanoseconds.

    Raises:
        DependencyUnavailable: ``clock_implausible``: it lies before this release.
    """
    now_ns = time_ns()
    if now_ns < CLOCK_FLOOR_S * SECOND_NS:
        raise error_for("clock_implausible", "clock", actual=now_ns // SECOND_NS)
    return now_ns


def present_ns(now: float | None) -> int:
    """Return the moment of a check, as given or by the wall clock."""
    return wall_clock_ns() if now is None else moment_ns(now)
