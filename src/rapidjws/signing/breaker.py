"""A circuit breaker and a token bucket: how a queue spares a backend; the caller gives the time."""

from __future__ import annotations


class CircuitBreaker:
    """A count of failures in a row; after so many a backend is left alone, then tried by one call.

    Args:
        failures: How many in a row open it.
        open_s: How long it stays open, in seconds.
    """

    __slots__ = ("_count", "_failures", "_open_s", "_until_s")

    def __init__(self, failures: int, open_s: float) -> None:
        self._failures = failures
        self._open_s = open_s
        self._count = 0
        self._until_s = 0.0

    def may_allow(self, now_s: float) -> bool:
        """Say whether ``allows`` would say yes, and use up nothing."""
        return self._count < self._failures or now_s >= self._until_s

    def allows(self, now_s: float) -> bool:
        """Say whether a call may be made; one that tries an open breaker holds back all others meanwhile."""
        if self._count < self._failures:
            return True
        if now_s < self._until_s:
            return False
        self._until_s = now_s + self._open_s
        return True

    def record(self, *, is_good: bool, now_s: float) -> None:
        """Count how a call ended."""
        self._count = 0 if is_good else self._count + 1
        if self._count >= self._failures:
            self._until_s = now_s + self._open_s


class TokenBucket:
    """A rate with a burst, whose tokens are reserved ahead.

    Args:
        per_second: The rate; None for none.
        burst: How many at once after a rest.
    """

    __slots__ = ("_burst_s", "_interval_s", "_next_s")

    def __init__(self, per_second: float | None, burst: int) -> None:
        self._interval_s = 1 / per_second if per_second else 0.0
        self._burst_s = self._interval_s * (burst - 1)
        self._next_s: float | None = None

    def delay_s(self, now_s: float) -> float:
        """Return how long the next call waits for its token, in seconds."""
        if self._next_s is None:
            return 0.0
        return max(0.0, self._next_s - self._burst_s - now_s)

    def reserve(self, now_s: float) -> None:
        """Take the next token."""
        self._next_s = max(now_s, now_s if self._next_s is None else self._next_s) + self._interval_s
