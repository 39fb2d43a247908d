"""A limit on log lines, for each kind apart: so many a minute, and a count of what was left out."""

from __future__ import annotations

import threading
from time import monotonic
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

WINDOW_S: Final = 60.0
KINDS_MAX: Final = 4096
"""Most distinct kinds; further ones share one limit: a stranger may choose what makes a kind."""

_OTHERS: Final = "(others)"


class LeftOut(NamedTuple):
    """What was left out of one kind.

    Attributes:
        kind: The kind.
        lines: How many.
    """

    kind: Hashable
    lines: int


class LineLimits:
    """Counts of the lines of each kind in windows of a minute.

    Args:
        per_minute: Most lines of a kind.
        clock: Monotonic seconds.
    """

    __slots__ = ("_begun_s", "_clock", "_lock", "_per_minute", "_seen")

    def __init__(self, per_minute: int, clock: Callable[[], float] = monotonic) -> None:
        self._per_minute = per_minute
        self._clock = clock
        self._lock = threading.Lock()
        self._begun_s = clock()
        self._seen: dict[Hashable, int] = {}

    def after_fork(self) -> None:
        """Make the lock anew in a forked child."""
        self._lock = threading.Lock()

    def allow(self, kind: Hashable) -> bool:
        """Return whether a line of this kind may be written; else it is counted as left out."""
        with self._lock:
            if kind not in self._seen and len(self._seen) >= KINDS_MAX:
                kind = _OTHERS
            seen = self._seen.get(kind, 0) + 1
            self._seen[kind] = seen
            return seen <= self._per_minute

    def ended(self) -> list[LeftOut]:
        """Return what was left out in the window that ended, and begin the next; nothing before its end."""
        with self._lock:
            now_s = self._clock()
            if now_s - self._begun_s < WINDOW_S:
                return []
            self._begun_s = now_s
            seen, self._seen = self._seen, {}
        limit = self._per_minute
        return [LeftOut(kind, count - limit) for kind, count in seen.items() if count > limit]
