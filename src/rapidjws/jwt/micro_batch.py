"""Micro-batching for asyncio: tokens that arrive in the same turn of the loop are verified together.

Short work is done in the loop, where it costs less than handing it over; longer work goes to a worker thread,
so one slow algorithm never blocks the loop. A caller that gives up disturbs nobody else. Whatever fails,
everyone who waits gets a result or an error: the right one, or ``internal_error``.
"""

from __future__ import annotations

import contextlib
import weakref
from array import array
from functools import partial
from typing import TYPE_CHECKING, Final

from rapidjws.errors import RapidJWSError, error_for
from rapidjws.verify import parallel, worker_pool
from rapidjws.verify.result import Rejected, VerifiedJWS

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from concurrent.futures import Future

    from rapidjws.verify.pipeline import Snapshot
    from rapidjws.verify.snapshot import Token

INLINE_US: Final = 250
"""Estimated work, in microseconds, up to which a batch is verified in the loop itself."""

MAX_GATHERED: Final = 1024
"""A batch this long is started without waiting for the turn to end."""

Waiting = tuple[bytes, "asyncio.Future[VerifiedJWS]"]
Results = list[VerifiedJWS | Rejected]


class MicroBatcher:
    """Micro batches of the tokens of one event loop.

    It holds neither the loop nor a batch: these would keep each other, and the engine the loop.

    Args:
        snapshot: Gives the snapshot that is current when a batch starts.
        clock: Gives nanoseconds since the epoch when a batch starts.
        window_us: How long to wait for more tokens, in microseconds; 0 for the current turn of the loop only.
        inline_us: Estimated work up to which the loop itself verifies.
    """

    __slots__ = ("_batch", "clock", "inline_us", "snapshot", "window_us")

    def __init__(
        self,
        snapshot: Callable[[], Snapshot],
        clock: Callable[[], int],
        window_us: int,
        inline_us: int = INLINE_US,
    ) -> None:
        self.snapshot = snapshot
        self.clock = clock
        self.window_us = window_us
        self.inline_us = inline_us
        self._batch: weakref.ref[_Batch] | None = None

    def submit(self, loop: asyncio.AbstractEventLoop, octets: bytes) -> asyncio.Future[VerifiedJWS]:
        """Add a token to the batch that is being gathered; the future gets its result or its error."""
        batch = None if self._batch is None else self._batch()
        if batch is None or batch.handle is None:
            batch = _Batch(self, loop)
            self._batch = weakref.ref(batch)
        future: asyncio.Future[VerifiedJWS] = loop.create_future()
        batch.waiting.append((octets, future))
        if len(batch.waiting) >= MAX_GATHERED and batch.handle is not None:
            batch.handle.cancel()
            batch.start()
        return future


class _Batch:
    """Tokens that are verified together; the loop's handle keeps it until it starts.

    Attributes:
        handle: What starts it; None once it has started.
        waiting: Each token, and who waits for it.
    """

    __slots__ = ("__weakref__", "_gatherer", "_loop", "handle", "waiting")

    def __init__(self, gatherer: MicroBatcher, loop: asyncio.AbstractEventLoop) -> None:
        self._gatherer = gatherer
        self._loop = loop
        self.waiting: list[Waiting] = []
        if gatherer.window_us:
            self.handle: asyncio.Handle | None = loop.call_later(gatherer.window_us / 1e6, self.start)
        else:
            self.handle = loop.call_soon(self.start)

    def start(self) -> None:
        """Verify what has gathered, here or on a worker thread."""
        self.handle = None
        waiting = [item for item in self.waiting if not item[1].done()]  # who gave up is not worked for
        self.waiting = []
        if not waiting:
            return
        try:
            self._verify(waiting)
        except Exception as fault:
            _fail(waiting, fault)
        except BaseException as fault:  # ends the loop; who waits may be asked again in its next run
            _fail(waiting, fault)
            raise

    def _verify(self, waiting: list[Waiting]) -> None:
        snapshot, now_ns = self._gatherer.snapshot(), self._gatherer.clock()
        tokens: list[Token] = [octets for octets, _ in waiting]
        lens = array("I", [len(octets) for octets, _ in waiting])
        waits = snapshot.post_checks is not None and snapshot.post_checks.blocking
        joined = b"".join(octets for octets, _ in waiting)
        if not waits and snapshot.native.cost_us(joined, lens) <= self._gatherer.inline_us:
            _deliver(waiting, admitted(snapshot, parallel.verify_chunk(snapshot, tokens, now_ns), now_ns))
            return
        task = worker_pool.Task(partial(_verify_all, snapshot, tokens, now_ns))
        task.future.add_done_callback(partial(worker_pool.call_on_loop, self._loop, _hand_over, waiting))
        if worker_pool.submit(task):
            return
        call = task.take_back()
        if call is None:
            return  # a thread that was there has begun it
        if waits:  # the store's delay would be everyone's
            raise error_for("internal_error", "averify", "a worker thread", "none")
        _deliver(waiting, call())


def admitted(snapshot: Snapshot, results: Results, now_ns: int) -> Results:
    """Return results after the checks that follow a verification: revocations and replays.

    Where these fail as a whole, no token that they were due for is accepted, and none is asked for again: a
    use of it may have been recorded.
    """
    if snapshot.post_checks is None:
        return results
    count = len(results)
    try:
        return parallel.checked_length(snapshot.post_checks.run_all(results, now_ns), count)
    except Exception as fault:
        refusal = Rejected(error_for("internal_error", type(fault).__name__))
        return [one if isinstance(one, Rejected) else refusal for one in results]


def _verify_all(snapshot: Snapshot, tokens: list[Token], now_ns: int) -> Results:
    """Verify a batch on a worker thread, its guard included."""
    return admitted(snapshot, parallel.verify_many(snapshot, tokens, now_ns, 1), now_ns)


def _hand_over(waiting: list[Waiting], done: Future[Results]) -> None:
    """Give the results of a worker thread to those who still wait."""
    fault = done.exception()
    if fault is not None:
        _fail(waiting, fault)
    else:
        _deliver(waiting, done.result())


def _fail(waiting: list[Waiting], fault: BaseException) -> None:
    """Give everyone who still waits an error of their own."""
    for _, future in waiting:
        if not future.done():
            with contextlib.suppress(Exception):  # one future's trouble is not the next one's
                future.set_exception(_error_of(fault))


def _error_of(fault: BaseException) -> RapidJWSError:
    if isinstance(fault, RapidJWSError):
        return error_for(fault.code, fault.place, fault.expected, fault.actual)
    return error_for("internal_error", type(fault).__name__)


def _deliver(waiting: list[Waiting], results: Results) -> None:
    """Give each waiter its result; none where there is not one for each."""
    results = parallel.checked_length(results, len(waiting))
    for (_, future), result in zip(waiting, results, strict=True):
        if future.done():
            continue
        if isinstance(result, Rejected):
            future.set_exception(result.error())
        else:
            future.set_result(result)
