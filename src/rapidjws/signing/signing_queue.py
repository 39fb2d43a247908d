"""A bounded, fair queue before a signer that is slow or has a quota."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any, Final

from rapidjws._checks import check_range, checked
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.signing.backend import KeySigner
from rapidjws.signing.breaker import CircuitBreaker, TokenBucket
from rapidjws.verify.worker_pool import Task, submit

CONCURRENT: Final = 8
_COUNTED: Final = frozenset({"signer_unavailable", "signer_throttled", "signature_faulty"})


class _Job:
    """One signing input, and all who wait for its signature."""

    __slots__ = ("caller", "deadline_s", "signing_input", "waiting")

    def __init__(self, signing_input: bytes, caller: str, deadline_s: float) -> None:
        self.signing_input = signing_input
        self.caller = caller
        self.deadline_s = deadline_s
        self.waiting: list[Future[bytes]] = []

    def is_wanted(self) -> bool:
        """Say whether anyone still waits."""
        return any(not one.done() for one in self.waiting)

    def end(self, result: bytes | BaseException) -> None:
        """Give all who wait the signature or the error."""
        for one in self.waiting:
            if not one.set_running_or_notify_cancel():
                continue
            if isinstance(result, bytes):
                one.set_result(result)
            else:
                one.set_exception(result)


class SigningQueue:
    """A signer that queues what another one signs; itself a signer.

    Equal signing inputs that wait at the same time are signed once. Callers take turns. What is not signed
    within ``max_age_at_issue_s`` is refused, never signed late.

    Args:
        signers: The signer, then those tried where it fails; all hold the same key.
        depth: Most requests that wait.
        concurrent: Most calls at once; None for the first signer's limit, or CONCURRENT.
        per_second: Most calls a second; None for nine tenths of the first signer's quota.
        burst: Calls at once after a rest.
        max_age_at_issue_s: Longest time between a request and its signature, in seconds.
        failures: Failures in a row after which a signer is left alone.
        open_s: How long it is left alone, in seconds.
        clock: Monotonic time in seconds.
        pause: Waits for so many seconds, for a token of the rate.

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
        pause: Callable[[float], object] = time.sleep,
    ) -> None:
        if not signers:
            raise error_for("configuration_invalid", "signers", "at least one")
        first = signers[0]
        same = first.public_jwk.thumbprint()
        if any((s.alg, s.kid, s.public_jwk.thumbprint()) != (first.alg, first.kid, same) for s in signers):
            raise error_for("configuration_invalid", "signers", "signers with one key, alg and kid")
        check_range("depth", depth, 1, 1_000_000)
        check_range("burst", burst, 1, 1_000_000)
        check_range("max_age_at_issue_s", max_age_at_issue_s, 0.001, 3600)
        check_range("failures", failures, 1, 1000)
        check_range("open_s", open_s, 0.001, 3600)
        limits = first.limits
        self._concurrent = concurrent if concurrent is not None else limits.concurrent or CONCURRENT
        check_range("concurrent", self._concurrent, 1, 256)
        if per_second is None and limits.per_second is not None:
            per_second = limits.per_second * 0.9
        if per_second is not None:
            check_range("per_second", per_second, 0.001, 1e6)
        self.alg: str = first.alg
        self.kid: str | None = first.kid
        self.public_jwk = first.public_jwk
        self.limits = limits
        self._signers = [(one, CircuitBreaker(failures, open_s)) for one in signers]
        self._bucket = TokenBucket(per_second, burst)
        self._depth = depth
        self._max_age_s = max_age_at_issue_s
        self._clock, self._pause = clock, pause
        self._is_closed = False
        self._restart()
        _queues.add(self)

    def _restart(self) -> None:
        """Begin with nothing waiting: at the start, and in a forked child, whose parent signs what waited."""
        self._lock = threading.Lock()
        self._idle = threading.Condition(self._lock)
        self._callers: OrderedDict[str, deque[_Job]] = OrderedDict()
        self._jobs: dict[bytes, _Job] = {}
        self._waiting = 0
        self._workers = 0

    @property
    def depth(self) -> int:
        """Return how many requests wait."""
        return self._waiting

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
            future.cancel()
            raise error_for("signing_late", "signing_queue") from None

    @checked
    async def asign(self, signing_input: bytes, *, caller: str = "", timeout_s: float | None = None) -> bytes:
        """Return the JWS Signature without blocking the loop; raises what :meth:`sign` raises."""
        import asyncio

        left_s = self._limit(timeout_s)
        future = self._enqueue(signing_input, caller, left_s)
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), left_s)
        except (asyncio.TimeoutError, FutureTimeout):
            future.cancel()
            raise error_for("signing_late", "signing_queue") from None

    @checked
    def close(self, timeout_s: float = 5.0) -> None:
        """Refuse what comes, and wait until what waits is signed; refuse what is not signed in time."""
        with self._lock:
            self._is_closed = True
            self._idle.wait_for(lambda: not self._workers, timeout_s)
            left = [job for queue in self._callers.values() for job in queue]
            self._callers.clear()
            self._jobs.clear()
            self._waiting = 0
        for job in left:
            job.end(error_for("signing_queue_closed", "signing_queue"))

    def _limit(self, timeout_s: float | None) -> float:
        if timeout_s is None:
            return self._max_age_s
        check_range("timeout_s", timeout_s, 0, 3600)
        return min(timeout_s, self._max_age_s)

    def _enqueue(self, signing_input: bytes, caller: str, left_s: float) -> Future[bytes]:
        """Put a request into its caller's line, or beside an equal one."""
        future: Future[bytes] = Future()
        shed: _Job | None = None
        with self._lock:
            if self._is_closed:
                raise error_for("signing_queue_closed", "signing_queue")
            equal = self._jobs.get(signing_input)
            if equal is not None and equal.is_wanted() and len(equal.waiting) < self._depth:
                equal.waiting.append(future)
                equal.deadline_s = max(equal.deadline_s, self._clock() + left_s)
                return future
            if self._waiting >= self._depth:
                shed = self._make_place(caller)
            job = _Job(signing_input, caller, self._clock() + left_s)
            job.waiting.append(future)
            self._jobs[signing_input] = job
            self._callers.setdefault(caller, deque()).append(job)
            self._waiting += 1
            is_new = self._workers < self._concurrent
            self._workers += is_new
        if shed is not None:
            shed.end(error_for("signing_queue_full", "signing_queue"))
        if is_new:
            task = Task(self._work)
            if not submit(task) and task.take_back() is not None:
                self._work()
        return future

    def _make_place(self, caller: str) -> _Job:
        """Take out what nobody waits for, or the newest of who has most; refuse if that is this one."""
        for queue in self._callers.values():
            for job in queue:
                if not job.is_wanted():
                    self._take_out(job)
                    return job
        most = max(self._callers.values(), key=len)
        if len(most) <= len(self._callers.get(caller, ())) + 1:
            raise error_for("signing_queue_full", "signing_queue")
        job = most[-1]
        self._take_out(job)
        return job

    def _take_out(self, job: _Job) -> None:
        queue = self._callers[job.caller]
        queue.remove(job)
        self._waiting -= 1
        if not queue:
            del self._callers[job.caller]
        if self._jobs.get(job.signing_input) is job:
            del self._jobs[job.signing_input]

    def _next(self) -> _Job | None:
        """Return the first of the caller whose turn it is; None ends the worker."""
        with self._lock:
            if not self._callers:
                self._workers -= 1
                self._idle.notify_all()
                return None
            caller, queue = next(iter(self._callers.items()))
            job = queue.popleft()
            self._waiting -= 1
            if queue:
                self._callers.move_to_end(caller)
            else:
                del self._callers[caller]
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
            with self._lock:  # who comes after this is signed anew
                if self._jobs.get(job.signing_input) is job:
                    del self._jobs[job.signing_input]
            job.end(result)

    def _signature(self, job: _Job) -> bytes:
        """Return a signature made in time, by the first signer that makes one."""
        last: RapidJWSError | None = None
        for signer, breaker in self._signers:
            with self._lock:
                if not breaker.allows(self._clock()):
                    continue
            self._await_token(job)
            is_good = False
            try:
                signature = signer.sign(job.signing_input)
                is_good = True
            except RapidJWSError as fault:
                if fault.code not in _COUNTED:
                    is_good = True
                    raise
                last = fault
                continue
            finally:
                with self._lock:
                    breaker.record(is_good=is_good, now_s=self._clock())
            if self._clock() > job.deadline_s:
                raise error_for("signing_late", "signing_queue")
            return signature
        raise last or error_for("signer_unavailable", "signing_queue", actual="all signers left alone")

    def _await_token(self, job: _Job) -> None:
        """Wait for a token of the rate; refuse what would be signed too late, which takes none."""
        with self._lock:
            now_s = self._clock()
            delay_s = self._bucket.delay_s(now_s)
            if now_s + delay_s > job.deadline_s or not job.is_wanted():
                raise error_for("signing_late", "signing_queue")
            self._bucket.reserve(now_s)
        if delay_s:
            self._pause(delay_s)

    def __repr__(self) -> str:
        return f"SigningQueue(alg={self.alg!r}, kid={self.kid!r})"

    def __reduce__(self) -> Any:
        raise TypeError("a SigningQueue holds threads and cannot be pickled")


_queues: Final[weakref.WeakSet[SigningQueue]] = weakref.WeakSet()


def _after_fork() -> None:
    for one in list(_queues):
        one._restart()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
