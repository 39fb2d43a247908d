"""Micro-batching for asyncio: tokens that arrive in the same turn of the loop are verified together.

Short work is done in the loop, where it costs less than handing it over; longer work goes to a worker thread,
so one slow algorithm never blocks the loop. A caller that gives up disturbs nobody else.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Final

from rapidjws.engine import parallel, worker_pool
from rapidjws.engine.result import Rejected, VerifiedJWS

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from rapidjws.engine.snapshot import Snapshot, Token

INLINE_US: Final = 250
"""Estimated work, in microseconds, up to which a batch is verified in the loop itself."""

MAX_GATHERED: Final = 1024
"""A batch this long is started without waiting for the turn to end."""

Waiting = tuple[bytes, "asyncio.Future[VerifiedJWS]"]


class Gatherer:
    """Gather one event loop's tokens into batches.

    Args:
        loop: The loop.
        snapshot: Gives the snapshot that is current when a batch starts.
        clock: Gives seconds since the epoch when a batch starts.
        window_us: How long to wait for more tokens, in microseconds; 0 for the current turn of the loop only.
        inline_us: Estimated work up to which the loop itself verifies.
    """

    __slots__ = ("_clock", "_inline_us", "_loop", "_scheduled", "_snapshot", "_waiting", "_window_us")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        snapshot: Callable[[], Snapshot],
        clock: Callable[[], int],
        window_us: int,
        inline_us: int = INLINE_US,
    ) -> None:
        self._loop = loop
        self._snapshot = snapshot
        self._clock = clock
        self._window_us = window_us
        self._inline_us = inline_us
        self._waiting: list[Waiting] = []
        self._scheduled: asyncio.Handle | None = None

    def submit(self, octets: bytes) -> asyncio.Future[VerifiedJWS]:
        """Add a token to the batch that is being gathered; the future gets its result or its error."""
        future: asyncio.Future[VerifiedJWS] = self._loop.create_future()
        self._waiting.append((octets, future))
        if self._scheduled is None:
            if self._window_us:
                self._scheduled = self._loop.call_later(self._window_us / 1e6, self._start)
            else:
                self._scheduled = self._loop.call_soon(self._start)
        elif len(self._waiting) >= MAX_GATHERED:
            self._scheduled.cancel()
            self._start()
        return future

    def _start(self) -> None:
        """Verify what has gathered, here or on a worker thread."""
        self._scheduled = None
        waiting = [item for item in self._waiting if not item[1].done()]  # who gave up is not worked for
        self._waiting = []
        if not waiting:
            return
        try:
            snapshot, now_s = self._snapshot(), self._clock()
        except Exception as fault:
            _fail(waiting, fault)
            return
        tokens: list[Token] = [octets for octets, _ in waiting]
        lens = array("I", map(len, tokens))
        waits = snapshot.guard is not None and snapshot.guard.blocking
        if (
            not waits
            and snapshot.native.cost_us(b"".join(octets for octets, _ in waiting), lens) <= self._inline_us
        ):
            _deliver(waiting, _admitted(snapshot, parallel.verify_chunk(snapshot, tokens, now_s), now_s))
            return
        work = self._loop.run_in_executor(worker_pool.executor(), _verify_all, snapshot, tokens, now_s)
        work.add_done_callback(lambda done: _hand_over(waiting, done))


def _admitted(
    snapshot: Snapshot, results: list[VerifiedJWS | Rejected], now_s: int
) -> list[VerifiedJWS | Rejected]:
    return results if snapshot.guard is None else snapshot.guard.admit_all(results, now_s)


def _verify_all(snapshot: Snapshot, tokens: list[Token], now_s: int) -> list[VerifiedJWS | Rejected]:
    """Verify a batch on a worker thread, its guard included."""
    return _admitted(snapshot, parallel.verify_many(snapshot, tokens, now_s, 1), now_s)


def _hand_over(waiting: list[Waiting], done: asyncio.Future[list[VerifiedJWS | Rejected]]) -> None:
    """Give a worker's results to those who still wait."""
    if done.cancelled():
        for _, future in waiting:
            future.cancel()
        return
    fault = done.exception()
    if fault is not None:
        _fail(waiting, fault)
        return
    _deliver(waiting, done.result())


def _fail(waiting: list[Waiting], fault: BaseException) -> None:
    for _, future in waiting:
        if not future.done():
            future.set_exception(fault)


def _deliver(waiting: list[Waiting], results: list[VerifiedJWS | Rejected]) -> None:
    for (_, future), result in zip(waiting, results, strict=True):
        if future.done():
            continue
        if isinstance(result, Rejected):
            future.set_exception(result.error())
        else:
            future.set_result(result)
