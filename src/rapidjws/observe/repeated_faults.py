"""Faults that go on: a line where they begin, for each new reason, and every ten minutes; the rest counts."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

REMIND_S: Final = 600.0
"""A fault that goes on has a line as often as this, in seconds."""

FAULTS_MAX: Final = 10_000
REASONS_MAX: Final = 16

Key = tuple[str, str | None]
"""Event and issuer."""


@dataclass(slots=True)
class _Fault:
    """A fault that goes on."""

    begun_s: float
    seen_s: float
    line_s: float
    reasons: set[str | None] = field(default_factory=set)
    left_out: int = 0


class Ended(NamedTuple):
    """A fault that is over.

    Attributes:
        lasted_s: From its first event on, in seconds.
        left_out: How many of its events had no line since its last line.
    """

    lasted_s: float
    left_out: int


class RepeatedFaults:
    """What goes on, by event and issuer.

    Args:
        clock: Monotonic seconds.
    """

    __slots__ = ("_clock", "_lock", "_open")

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._open: dict[Key, _Fault] = {}

    def after_fork(self) -> None:
        """Make the lock anew in a forked child."""
        self._lock = threading.Lock()

    def seen(self, key: Key, reason: str | None, gap_s: float) -> int | None:
        """Take one event of a fault.

        Args:
            key: Event and issuer.
            reason: Why; another one has a line of its own.
            gap_s: A fault that was not seen for so long had ended, in seconds.

        Returns:
            How many had no line since the last one, or None where this one has none either.
        """
        with self._lock:
            now_s = self._clock()
            fault = self._open.get(key)
            if fault is None or now_s - fault.seen_s > gap_s:
                self._open.pop(key, None)
                while len(self._open) >= FAULTS_MAX:
                    del self._open[next(iter(self._open))]
                self._open[key] = _Fault(now_s, now_s, now_s, {reason})
                return 0 if fault is None else fault.left_out
            fault.seen_s = now_s
            is_new = reason not in fault.reasons and len(fault.reasons) < REASONS_MAX
            if not is_new and now_s - fault.line_s < REMIND_S:
                fault.left_out += 1
                return None
            fault.reasons.add(reason)
            fault.line_s = now_s
            left_out, fault.left_out = fault.left_out, 0
            return left_out

    def ended(self, key: Key) -> Ended | None:
        """Return what a fault came to that is over now, or None where there was none."""
        if key not in self._open:  # mostly
            return None
        with self._lock:
            fault = self._open.pop(key, None)
            return None if fault is None else Ended(self._clock() - fault.begun_s, fault.left_out)
