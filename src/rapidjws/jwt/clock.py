"""The moment of a check: as given, or by a wall clock that can be right."""

from __future__ import annotations

from time import time_ns

from rapidjws.jose.numeric_date import check_clock, moment_ns


def wall_clock_ns() -> int:
    """Return the wall clock in nanoseconds.

    Raises:
        DependencyUnavailable: ``clock_implausible``: it lies before this release.
    """
    now_ns = time_ns()
    check_clock(now_ns, "clock")
    return now_ns


def present_ns(now: float | None) -> int:
    """Return the moment of a check, as given or by the wall clock."""
    return wall_clock_ns() if now is None else moment_ns(now)
