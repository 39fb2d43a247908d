"""Look-ups of tokens at one server: one a token at a time, within budgets, and none while it is down."""

from __future__ import annotations

import hashlib
import threading
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from time import monotonic
from typing import TYPE_CHECKING, Final

from rapidjws._scheduler import scheduler
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.introspection.answer import INACTIVE, IntrospectionAnswer, is_over
from rapidjws.introspection.cache import AnswerCache
from rapidjws.jose.numeric_date import SECOND_NS
from rapidjws.verify.protocols import Event, EventListener, emit

if TYPE_CHECKING:
    from collections.abc import Callable

    from rapidjws.introspection.client import IntrospectionClient
    from rapidjws.introspection.limits import IntrospectionLimits

_MINUTE_S: Final = 60.0
HITS_S: Final = 1.0
"""Least time between two events that say how many answers were remembered ones."""


def unavailable(why: str) -> RapidJWSError:
    """Return the error for a token that nobody can be asked about now."""
    return error_for("introspection_unavailable", "introspection", actual=why)


class Lookups:
    """Answers of one server, remembered.

    Args:
        client: Asks it.
        limits: What is remembered, and how much is asked.
        leeway_s: Clock difference forgiven at ``exp``.
        events: Listener.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        client: IntrospectionClient,
        limits: IntrospectionLimits,
        leeway_s: int,
        events: EventListener,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._client = client
        self._limits = limits
        self._leeway_s = leeway_s
        self._events = events
        self._clock = clock
        self._cache = AnswerCache(limits.max_entries)
        self._budget = float(limits.lookups_per_minute)
        self._budget_at_s = clock()
        self._failures = 0
        self._open_until_s = 0.0
        self._hits, self._hits_due_s = 0, 0.0
        self.after_fork()
        scheduler.members.add(self)

    def after_fork(self) -> None:
        """Forget look-ups whose threads are not in a forked child."""
        self._lock = threading.Lock()
        self._under_way: dict[bytes, Future[IntrospectionAnswer]] = {}
        self._waiting = 0

    def known(self, token: bytes, now_ns: int) -> IntrospectionAnswer | None:
        """Return what is remembered of a token, or None.

        Args:
            token: The token.
            now_ns: Nanoseconds since the epoch.
        """
        return self._known(hashlib.sha256(token).digest(), now_ns, self._clock())

    def _known(self, digest: bytes, now_ns: int, now_s: float) -> IntrospectionAnswer | None:
        answer = self._cache.get(digest, now_s)
        if answer is not None and answer.active and is_over(answer, now_ns, self._leeway_s):
            return INACTIVE
        return answer

    def answer(self, token: bytes, now_ns: int) -> IntrospectionAnswer:
        """Return what the server says of a token, now or a while ago; waits for its time-out at most.

        Args:
            token: The token.
            now_ns: Nanoseconds since the epoch.

        Raises:
            DependencyUnavailable: ``introspection_unavailable``.
        """
        digest = hashlib.sha256(token).digest()
        now_s = self._clock()
        known = self._known(digest, now_ns, now_s)
        if known is not None:
            self._hits += 1
            if now_s >= self._hits_due_s:
                self._tell_hits(now_s)
            return known
        try:
            with self._lock:
                future = self._under_way.get(digest)
                if future is None:
                    self._admit(digest)
                    mine = self._under_way[digest] = Future()
                elif self._waiting >= self._limits.max_waiting:
                    raise unavailable("too many wait")
                else:
                    self._waiting += 1
        except RapidJWSError:
            emit(self._events, Event(name="introspection_ended", issuer=self._client.url, detail="not_asked"))
            raise
        return self._ask(mine, digest, token, now_ns) if future is None else self._wait(future)

    def _tell_hits(self, now_s: float) -> None:
        """Emit how many answers were remembered ones, once a second at most."""
        with self._lock:
            hits, self._hits, self._hits_due_s = self._hits, 0, now_s + HITS_S
        if hits:
            emit(self._events, Event(name="introspection_remembered", issuer=self._client.url, value=hits))

    def _ended(self, result: str, started_s: float) -> None:
        took_s = self._clock() - started_s
        emit(self._events, Event(name="introspection_ended", issuer=self._client.url, detail=result,
                                 value=took_s))  # fmt: skip

    def _wait(self, future: Future[IntrospectionAnswer]) -> IntrospectionAnswer:
        try:
            return future.result(self._client.timeout_s)
        except FutureTimeoutError:
            raise unavailable("timeout") from None
        except RapidJWSError as fault:  # each call raises an error of its own
            raise error_for(fault.code, fault.place, fault.expected, fault.actual) from None
        finally:
            with self._lock:
                self._waiting -= 1

    def _ask(
        self, mine: Future[IntrospectionAnswer], digest: bytes, token: bytes, now_ns: int
    ) -> IntrospectionAnswer:
        """Ask the server, for all who wait for the same token."""
        started_s = self._clock()
        try:
            answer = self._client.ask(token.decode("ascii"))
            if answer.active and is_over(answer, now_ns, self._leeway_s):
                answer = INACTIVE
        except BaseException as fault:
            error = fault if isinstance(fault, RapidJWSError) else unavailable(type(fault).__name__)
            with self._lock:
                self._under_way.pop(digest, None)
                self._refund()
                opened = self._failed()
            mine.set_exception(error)
            self._ended("unavailable", started_s)
            emit(self._events, Event(name="introspection_failed", issuer=self._client.url,
                                     detail=str(error.actual or error.expected)))  # fmt: skip
            if opened:
                emit(self._events, Event(name="introspection_breaker_opened", issuer=self._client.url,
                                         value=self._limits.breaker_s))  # fmt: skip
            if not isinstance(fault, Exception):
                raise
            raise error from None
        with self._lock:
            self._under_way.pop(digest, None)
            self._failures = 0
            if answer.active:
                self._refund()
            self._remember(digest, answer, now_ns)
        mine.set_result(answer)
        self._ended("active" if answer.active else "inactive", started_s)
        self._tell_hits(self._clock())
        return answer

    def _admit(self, digest: bytes) -> None:
        """Take one look-up from the budgets; the caller holds the lock."""
        now_s = self._clock()
        if now_s < self._open_until_s:
            raise unavailable("breaker open")
        if len(self._under_way) >= self._limits.max_concurrent:
            raise unavailable("too many look-ups")
        most = float(self._limits.lookups_per_minute)
        self._budget = min(most, self._budget + (now_s - self._budget_at_s) * most / _MINUTE_S)
        self._budget_at_s = now_s
        if self._cache.was_active(digest):
            self._budget += 1  # it is taken below
        elif self._budget < 1:
            raise unavailable("budget")
        self._budget -= 1
        if (
            self._failures >= self._limits.breaker_failures
        ):  # one tries it; the others get their answer at once
            self._open_until_s = now_s + max(self._limits.breaker_s, self._client.timeout_s)

    def _refund(self) -> None:
        """Give a look-up back that ended well or not at all; the caller holds the lock."""
        self._budget = min(float(self._limits.lookups_per_minute), self._budget + 1)

    def _failed(self) -> bool:
        """Count a failure; return whether the server is left alone from now on."""
        self._failures += 1
        if self._failures < self._limits.breaker_failures:
            return False
        self._open_until_s = self._clock() + self._limits.breaker_s
        return self._failures == self._limits.breaker_failures

    def _remember(self, digest: bytes, answer: IntrospectionAnswer, now_ns: int) -> None:
        lives_s = self._limits.cache_s if answer.active else self._limits.negative_cache_s
        if answer.ends_ns is not None:
            left_s = (answer.ends_ns - now_ns) / SECOND_NS + self._leeway_s
            lives_s = min(lives_s, left_s)
        self._cache.put(digest, answer, self._clock() + lives_s)
        if not self._failures:
            self._open_until_s = 0.0
