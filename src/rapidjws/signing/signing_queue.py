"""A bounded, fair queue before a signer that is slow or has a quota."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any, Final

from rapidjws._checks import check_range, checked
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.signing.backend import KeySigner
from rapidjws.signing.breaker import CircuitBreaker, TokenBucket
from rapidjws.signing.caller_lines import CallerLines, Job, Request
from rapidjws.signing.queue_meter import CallResult, QueueMeter
from rapidjws.verify.worker_pool import Task, submit

CONCURRENT: Final = 8
QUOTA_SHARE: Final = 0.9
"""Of a backend's quota, what a queue takes: others share it."""


class SigningQueue:
    """A signer that queues what another one signs; itself a signer.

    Equal signing inputs that wait at the same time are signed once. Callers take turns. What is not signed
    within ``max_age_at_issue_s`` is refused, never signed late.

    Args:
        signers: The signer, then those tried where it fails; all hold the same key.
        depth: Most requests that wait; equal ones count each.
        concurrent: Most calls at once; None for the first signer's limit, or CONCURRENT.
        per_second: Most calls a second to each signer, by this process; None for nine tenths of its quota.
        burst: Calls at once after a rest.
        max_age_at_issue_s: Longest time between a request and its signature, in seconds.
        failures: Failures in a row after which a signer is left alone; a call that takes longer than
            ``max_age_at_issue_s`` is one.
        open_s: How long it is left alone, in seconds.
        clock: Monotonic time in seconds.
        pause: Waits for so many seconds, for a token of the rate; None for a wait that ``close`` ends.
        meter: Counts what the queue does: ``QueueMetrics``; None for nobody.

    Raises:
        ConfigurationError: ``configuration_invalid``: a number out of range, signers with different keys.
    """

    @checked
    def __init__(
        self,
        signers: Sequence[KeySigner],
        *,
        depth: int = 1000,
        concurrent: int | None = None,
        per_second: float | None = None,
        burst: int = 1,
        max_age_at_issue_s: float = 5.0,
        failures: int = 5,
        open_s: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], object] | None = None,
        meter: QueueMeter | None = None,
    ) -> None:
        if not signers:
            raise error_for("configuration_invalid", "signers", "at least one")
        first = signers[0]
        same = first.public_jwk.thumbprint()
        if any((s.alg, s.kid, s.public_jwk.thumbprint()) != (first.alg, first.kid, same) for s in signers):
            raise error_for("configuration_invalid", "signers", "signers with one key, alg and kid")
        limits = first.limits
        self._concurrent = concurrent if concurrent is not None else limits.concurrent or CONCURRENT
        check_queue(
            depth=depth,
            concurrent=self._concurrent,
            per_second=per_second,
            burst=burst,
            max_age_at_issue_s=max_age_at_issue_s,
            failures=failures,
            open_s=open_s,
        )
        self.alg: str = first.alg
        self.kid: str | None = first.kid
        self.public_jwk = first.public_jwk
        self.limits = limits
        self._signers = [
            (one, CircuitBreaker(failures, open_s), TokenBucket(_rate(one, per_second), burst))
            for one in signers
        ]
        self._depth = depth
        self._max_age_s = max_age_at_issue_s
        self._clock, self._pause, self._meter = clock, pause, meter
        if meter is not None:
            for number, one in enumerate(signers):
                meter.rate(number, _rate(one, per_second))
        self._is_closed = False
        self._restart()
        _queues.add(self)

    def _restart(self) -> None:
        """Begin with nothing waiting: at the start, and in a forked child, whose parent signs what waited."""
        self._lock = threading.Lock()
        self._idle = threading.Condition(self._lock)
        self._ended = threading.Event()
        if self._is_closed:
            self._ended.set()
        self._lines = CallerLines()
        self._signing: set[Job] = set()
        self._workers = 0

    @property
    def depth(self) -> int:
        """Return how many requests wait."""
        return len(self._lines)

    @checked
    def sign(self, signing_input: bytes, *, caller: str = "", timeout_s: float | None = None) -> bytes:
        """Return the JWS Signature over the octets.

        Args:
            signing_input: The octets.
            caller: Who asks; callers take turns.
            timeout_s: Longest wait in seconds, ``max_age_at_issue_s`` at most.

        Raises:
            DependencyUnavailable: ``signing_queue_full``, ``signing_late``, ``signing_queue_closed``, and
                what the signer raises.
        """
        left_s = self._limit(timeout_s)
        future = self._enqueue(signing_input, caller, left_s)
        try:
            return future.result(left_s)
        except (FutureTimeout, CancelledError):
            raise self._given_up(future) from None

    @checked
    def sign_for(self, signing_input: bytes, caller: str) -> bytes:
        """Return the JWS Signature for a caller; as :meth:`sign`."""
        return self.sign(signing_input, caller=caller)

    @checked
    async def asign(self, signing_input: bytes, *, caller: str = "", timeout_s: float | None = None) -> bytes:
        """Return the JWS Signature without blocking the loop; raises what :meth:`sign` raises."""
        import asyncio

        left_s = self._limit(timeout_s)
        future = self._enqueue(signing_input, caller, left_s)
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), left_s)
        except (asyncio.TimeoutError, FutureTimeout):
            raise self._given_up(future) from None

    @checked
    def close(self, timeout_s: float = 5.0) -> None:
        """Refuse what comes, and wait until what waits is signed; refuse what is not signed in time.

        A call that the backend is in cannot be ended; nobody waits for it after this.
        """
        check_range("timeout_s", timeout_s, 0, 3600)
        with self._lock:
            self._is_closed = True
            self._idle.wait_for(lambda: not self._workers, timeout_s)
            left = [one for job in (*self._lines.clear(), *self._signing) for one in job.taken()]
            self._ended.set()
        for one in left:
            self._end(one, error_for("signing_queue_closed", "signing_queue"))

    def _given_up(self, future: Future[bytes]) -> RapidJWSError:
        """Take back a request for whose signature nobody waits any more, and return its error."""
        future.cancel()
        if self._meter is not None:
            self._meter.refused("signing_late")
        return error_for("signing_late", "signing_queue")

    def _end(self, request: Request, result: bytes | BaseException) -> None:
        """Give a request its signature or error, and count an error that reaches it."""
        is_taken = request.end(result)
        if is_taken and self._meter is not None and not isinstance(result, bytes):
            self._meter.refused(result.code if isinstance(result, RapidJWSError) else "internal_error")

    def _limit(self, timeout_s: float | None) -> float:
        if timeout_s is None:
            return self._max_age_s
        check_range("timeout_s", timeout_s, 0, 3600)
        return min(timeout_s, self._max_age_s)

    def _enqueue(self, signing_input: bytes, caller: str, left_s: float) -> Future[bytes]:
        """Put a request into its caller's line, or beside an equal one."""
        try:
            return self._taken_in(signing_input, caller, left_s)
        except RapidJWSError as refused:
            if self._meter is not None:
                self._meter.refused(refused.code)
            raise

    def _taken_in(self, signing_input: bytes, caller: str, left_s: float) -> Future[bytes]:
        shed: Request | None = None
        with self._lock:
            if self._is_closed:
                raise error_for("signing_queue_closed", "signing_queue")
            if len(self._lines) >= self._depth and not self._lines.is_signing(signing_input):
                shed = self._lines.shed(caller)
                if shed is None:
                    raise error_for("signing_queue_full", "signing_queue")
            now_s = self._clock()
            request = Request(caller, now_s + left_s)
            job = self._lines.add(signing_input, request, now_s)
            if len(job.requests) > self._depth:  # of equal requests that are being signed
                job.requests.remove(request)
                raise error_for("signing_queue_full", "signing_queue")
            is_new = job.line is not None and self._workers < self._concurrent
            self._workers += is_new
            waiting, is_joined = len(self._lines), len(job.requests) > 1
        if self._meter is not None:
            self._meter.depth(waiting)
            if is_joined:
                self._meter.joined()
        if shed is not None:
            self._end(shed, error_for("signing_queue_full", "signing_queue"))
        if is_new:
            task = Task(self._work)
            if not submit(task) and task.take_back() is not None:
                self._work()
        return request.future

    def _next(self) -> Job | None:
        """Return the first of the caller whose turn it is; None ends the worker."""
        with self._lock:
            job = self._lines.next()
            if job is None:
                self._workers -= 1
                self._idle.notify_all()
            else:
                self._signing.add(job)
            waiting, now_s = len(self._lines), self._clock()
        if self._meter is not None and job is not None:
            self._meter.depth(waiting)
            self._meter.waited(now_s - job.since_s)
        return job

    def _work(self) -> None:
        """Sign what waits until nothing does."""
        while (job := self._next()) is not None:
            try:
                result: bytes | BaseException = self._signature(job)
            except Exception as fault:
                result = fault
            except BaseException as fault:
                result = error_for("internal_error", type(fault).__name__)
            with self._lock:
                self._lines.done(job)
                self._signing.discard(job)
                waiting = job.taken()
            for one in waiting:
                self._end(one, result)

    def _signature(self, job: Job) -> bytes:
        """Return a signature made in time, by the first signer that makes one."""
        last: RapidJWSError | None = None
        for number, (signer, breaker, bucket) in enumerate(self._signers):
            with self._lock:
                if not breaker.may_allow(self._clock()):
                    continue
            late = self._late(job, bucket)
            if late is not None:
                last = last or late
                continue
            with self._lock:  # only a call that is made now uses up the trial of an open breaker
                if not breaker.allows(self._clock()):
                    continue
            signature = self._called(number, signer, breaker, job)
            if isinstance(signature, bytes):
                return signature
            last = signature
        raise last or error_for("signer_unavailable", "signing_queue", actual="all signers left alone")

    def _called(
        self, number: int, signer: KeySigner, breaker: CircuitBreaker, job: Job
    ) -> bytes | RapidJWSError:
        """Return one signer's signature, or why the next one is to be tried."""
        begun_s = self._clock()
        is_good = False
        result: CallResult = "failed"
        try:
            signature = signer.sign(job.signing_input)
            is_good = self._clock() - begun_s <= self._max_age_s  # its own slowness, not that of the queue
            result = "ok" if is_good else "slow"
        except RapidJWSError as fault:
            return fault
        except Exception as fault:  # a client's own error is a failure as any other
            return error_for("signer_unavailable", "signing_queue", actual=type(fault).__name__)
        finally:
            with self._lock:
                breaker.record(is_good=is_good, now_s=self._clock())
                is_open = not breaker.may_allow(self._clock())
            if self._meter is not None:
                self._meter.called(number, result, is_open=is_open)
        if self._clock() > job.deadline_s:
            raise error_for("signing_late", "signing_queue")
        return signature

    def _late(self, job: Job, bucket: TokenBucket) -> RapidJWSError | None:
        """Wait for a token of a signer's rate; return why not, where it would come too late."""
        with self._lock:
            if self._ended.is_set():
                return error_for("signing_queue_closed", "signing_queue")
            now_s = self._clock()
            delay_s = bucket.delay_s(now_s)
            if now_s + delay_s > job.deadline_s or not job.is_wanted():
                return error_for("signing_late", "signing_queue")
            bucket.reserve(now_s)
        if delay_s and self._pause is not None:
            self._pause(delay_s)
        elif delay_s and self._ended.wait(delay_s):
            return error_for("signing_queue_closed", "signing_queue")
        return None

    def __repr__(self) -> str:
        return f"SigningQueue(alg={self.alg!r}, kid={self.kid!r})"

    def __reduce__(self) -> Any:
        raise TypeError("a SigningQueue holds threads and cannot be pickled")


def check_queue(
    *,
    depth: int = 1,
    concurrent: int = 1,
    per_second: float | None = None,
    burst: int = 1,
    max_age_at_issue_s: float = 1.0,
    failures: int = 1,
    open_s: float = 1.0,
) -> None:
    """Check the settings of a queue before there is a signer; their meaning is that of ``SigningQueue``.

    Raises:
        ConfigurationError: ``configuration_invalid``, with the setting as its place.
    """
    check_range("depth", depth, 1, 1_000_000)
    check_range("burst", burst, 1, 1_000_000)
    check_range("max_age_at_issue_s", max_age_at_issue_s, 0.001, 3600)
    check_range("failures", failures, 1, 1000)
    check_range("open_s", open_s, 0.001, 3600)
    check_range("concurrent", concurrent, 1, 256)
    if per_second is not None:
        check_range("per_second", per_second, 0.001, 1e6)


def _rate(signer: KeySigner, per_second: float | None) -> float | None:
    """Return how many calls a second a signer gets."""
    if per_second is not None:
        return per_second
    quota = signer.limits.per_second
    return None if quota is None else quota * QUOTA_SHARE


_queues: Final[weakref.WeakSet[SigningQueue]] = weakref.WeakSet()


def _after_fork() -> None:
    for one in list(_queues):
        one._restart()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
