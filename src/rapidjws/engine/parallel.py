"""Many tokens over all cores: chunks, worker threads, and results in order.

A chunk crosses into the core once; the GIL is released there. The calling thread works too, so Ctrl-C and
timeouts are seen between crossings, each of which is a few milliseconds long.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

from rapidjws.engine.result import Accepted, Rejected, VerifiedJWS
from rapidjws.errors import RapidJWSError, error_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rapidjws.engine.snapshot import Snapshot, Token

Result = VerifiedJWS | Rejected

CHUNK_TOKENS: Final = 256
MIN_CHUNK_TOKENS: Final = 32

MAX_WORKERS: Final = 256


class _Pool:
    """Hold the process's worker threads; made on first use, and anew in a forked child."""

    __slots__ = ("_executor", "_lock", "_pid")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._executor: ThreadPoolExecutor | None = None
        self._pid = -1

    def executor(self) -> ThreadPoolExecutor:
        """Return this process's executor."""
        if self._pid != os.getpid():
            with self._lock:
                if self._pid != os.getpid():
                    self._executor = ThreadPoolExecutor(MAX_WORKERS, thread_name_prefix="rapidjws")
                    self._pid = os.getpid()
        assert self._executor is not None
        return self._executor

    def forget(self) -> None:
        """Drop what a fork left behind: the threads are not in the child, and the lock may be held."""
        self._lock = threading.Lock()
        self._executor = None
        self._pid = -1


_pool: Final = _Pool()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.forget)


def executor() -> ThreadPoolExecutor:
    """Return this process's worker threads."""
    return _pool.executor()


def checked_workers(workers: object) -> int:
    """Return the number of threads to use: as given, or one a core.

    Raises:
        ConfigurationError: ``configuration_invalid``: not from 1 to 256.
    """
    if workers is None:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return min(cores, MAX_WORKERS)
    if not isinstance(workers, int) or isinstance(workers, bool) or not 1 <= workers <= MAX_WORKERS:
        raise error_for(
            "configuration_invalid", "workers", expected=f"1 to {MAX_WORKERS}", actual=repr(workers)
        )
    return workers


class _Job:
    """Share one call's chunks between its threads."""

    __slots__ = ("chunks", "is_alone", "now_s", "results", "snapshot", "stopped", "tokens")

    def __init__(
        self, snapshot: Snapshot, tokens: Sequence[Token], now_s: int, size: int, *, is_alone: bool
    ) -> None:
        self.snapshot = snapshot
        self.tokens = tokens
        self.now_s = now_s
        starts = range(0, len(tokens), size)
        self.chunks = deque((index, start, start + size) for index, start in enumerate(starts))
        self.results: list[list[Result]] = [[] for _ in starts]
        self.stopped = False
        self.is_alone = is_alone

    def work(self) -> None:
        """Take chunks until none is left or the call is given up."""
        while not self.stopped:
            try:
                index, start, end = self.chunks.popleft()
            except IndexError:
                return
            self.results[index] = verify_chunk(
                self.snapshot, self.tokens[start:end], self.now_s, is_alone=self.is_alone
            )


def verify_many(
    snapshot: Snapshot, tokens: Sequence[Token], now_s: int, workers: int
) -> list[VerifiedJWS | Rejected]:
    """Verify tokens against one snapshot.

    Args:
        snapshot: Keys and rules for the whole call.
        tokens: JWS Compact Serializations.
        now_s: Seconds since the epoch.
        workers: Most threads, the calling one among them.

    Returns:
        One result a token, in order.
    """
    count = len(tokens)
    helpers = min(workers, count // MIN_CHUNK_TOKENS) - 1
    if helpers <= 0 and count <= CHUNK_TOKENS:
        return verify_chunk(snapshot, tokens, now_s)
    share = count // (4 * workers)
    size = max(MIN_CHUNK_TOKENS, min(CHUNK_TOKENS, share))
    job = _Job(snapshot, tokens, now_s, size, is_alone=helpers <= 0)
    futures: list[Future[None]] = []
    try:
        if helpers > 0:
            futures = _helpers(job, helpers)
        job.work()
    finally:
        job.stopped = True
    for future in futures:
        future.result()
    return [result for chunk in job.results for result in chunk]


def _helpers(job: _Job, count: int) -> list[Future[None]]:
    """Set threads to work on a job; none while the interpreter goes down: the caller does it all then."""
    try:
        return [executor().submit(job.work) for _ in range(count)]
    except RuntimeError:
        return []


def verify_chunk(
    snapshot: Snapshot, tokens: Sequence[Token], now_s: int, *, is_alone: bool = True
) -> list[Result]:
    """Verify a chunk on this thread, outside the GIL; the core looks for signals every few milliseconds.

    Claims are made along with the results, or when asked for where other threads wait for the GIL.
    """
    mine = list(tokens)  # a list that nobody can change during the call
    results: list[Any] = snapshot.verify_list(mine, now_s, is_alone)
    for position, result in enumerate(results):
        if result.__class__ is not Accepted:
            settled = snapshot.finish(mine[position], result, now_s)
            results[position] = Rejected(settled) if isinstance(settled, RapidJWSError) else settled
    return results
