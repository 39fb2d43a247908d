"""Unknown kids: at most one refresh a cool-down, within budgets, and a bounded memory of kids that are not.

A flood costs a dictionary look-up a token and nothing else. Starving a real rotation is bounded twice: a kid
that arrives during the cool-down is served at its end, and a used-up budget leaves the scheduled refresh.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Container

    from rapidjws.keys.settings import UnknownKids

REQUESTED_MAX: Final = 64
OVERALL_REFRESHES: Final = 240
OVERALL_PERIOD_S: Final = 3600.0


class Budget:
    """A budget of refreshes that fills again with time; never blocks.

    Args:
        size: Most tokens.
        period_s: Time in which an empty budget fills.
    """

    __slots__ = ("_at", "_left", "_lock", "period_s", "size")

    def __init__(self, size: int, period_s: float) -> None:
        self.size = size
        self.period_s = period_s
        self._left = float(size)
        self._at: float | None = None
        self._lock = threading.Lock()

    def _fill(self, now: float) -> None:
        if self._at is not None:
            gained = max(0.0, now - self._at) * self.size / self.period_s
            self._left = min(float(self.size), self._left + gained)
        self._at = now

    def wait_s(self, now: float) -> float:
        """Return the seconds until there is a token."""
        with self._lock:
            self._fill(now)
            return max(0.0, (1.0 - self._left) * self.period_s / self.size)

    def take(self, now: float) -> None:
        """Take a token; one taken too early is owed."""
        with self._lock:
            self._fill(now)
            self._left -= 1.0

    def after_fork(self) -> None:
        """Make the lock anew in a forked child."""
        self._lock = threading.Lock()


overall: Final = Budget(OVERALL_REFRESHES, OVERALL_PERIOD_S)
"""What all sources of a process may refresh on account of unknown kids."""


class RefreshLimiter:
    """The limits on what an unknown kid causes, for one source.

    Args:
        rules: Cool-down, budget, memory.
        monotonic: The clock.
        budget: What all sources share.
    """

    __slots__ = (
        "_budget",
        "_due",
        "_last",
        "_lock",
        "_missing",
        "_monotonic",
        "_overall",
        "_requested",
        "_rules",
    )

    def __init__(self, rules: UnknownKids, monotonic: Callable[[], float], budget: Budget = overall) -> None:
        self._rules = rules
        self._monotonic = monotonic
        self._overall = budget
        self._budget = Budget(rules.budget, rules.budget_period_s)
        self._missing: dict[int, float] = {}
        self._requested: dict[int, str] = {}
        self._due: float | None = None
        self._last: float | None = None
        self._lock = threading.Lock()

    def request(self, kid: str) -> tuple[float | None, bool]:
        """Note an unknown kid.

        Returns:
            The monotonic time at which a refresh is due for it, or None for none; and whether that is news.
        """
        mark = hash(kid)
        until = self._missing.get(mark)
        now = self._monotonic()
        if until is not None and now < until:
            return None, False
        due = self._due
        if due is not None and (mark in self._requested or len(self._requested) >= REQUESTED_MAX):
            return due, False  # the flood's way: no lock
        with self._lock:
            if len(self._requested) < REQUESTED_MAX:
                self._requested[mark] = kid
            if self._due is not None:
                return self._due, False
            rested = now if self._last is None else max(now, self._last + self._rules.cooldown_s)
            wait_s = max(self._budget.wait_s(now), self._overall.wait_s(now))
            self._due = max(rested, now + wait_s)
            return self._due, True

    @property
    def due(self) -> float | None:
        """Return when a refresh that unknown kids asked for is due, or None."""
        return self._due

    def begin_refresh(self, *, by_unknown_kid: bool) -> dict[int, str]:
        """Note that a refresh starts; return the kids it will answer for."""
        with self._lock:
            now = self._monotonic()
            if by_unknown_kid:
                self._budget.take(now)
                self._overall.take(now)
            self._last = now  # whatever caused it: an unknown kid may cause the next one a cool-down later
            requested, self._requested, self._due = self._requested, {}, None
            return requested

    def remember_missing(self, kids: dict[int, str]) -> None:
        """Remember kids that a set fetched since they were asked for does not have."""
        until = self._monotonic() + self._rules.negative_ttl_s
        with self._lock:
            for mark in kids:
                self._missing.pop(mark, None)
                self._missing[mark] = until
            while len(self._missing) > self._rules.negative_max:
                del self._missing[next(iter(self._missing))]

    def forget_found(self, keys: Container[str]) -> None:
        """Take back what was asked during a fetch that brought it."""
        with self._lock:
            self._requested = {mark: kid for mark, kid in self._requested.items() if kid not in keys}
            if not self._requested:
                self._due = None

    def forget_refresh(self) -> None:
        """Let the next unknown kid cause a refresh at once: the last one asked for nothing."""
        with self._lock:
            self._last = None

    def forget(self) -> None:
        """Drop the memory: a change was announced."""
        with self._lock:
            self._missing = {}

    def after_fork(self) -> None:
        """Make locks anew in a forked child."""
        self._lock = threading.Lock()
        self._budget.after_fork()
        self._overall.after_fork()

    def __len__(self) -> int:
        return len(self._missing) + len(self._requested)
