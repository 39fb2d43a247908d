"""Many tokens over all cores: chunks, worker threads, and results in order.

A chunk crosses into the core once; the GIL is released there. The calling thread works too, so Ctrl-C and
timeouts are seen between crossings, each of which is a few milliseconds long.

Results are placed by index into a list of refusals made beforehand: whatever fails (a thread that cannot be
started, memory that cannot be had), a token keeps its own result or gets ``internal_error``, never another's.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from rapidjws._checks import refused
from rapidjws._native import BATCH_MAX
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.verify.result import Rejected, VerifiedCompact, VerifiedJWS
from rapidjws.verify.worker_pool import MAX_WORKERS, Task, submit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rapidjws.verify.pipeline import Snapshot
    from rapidjws.verify.snapshot import Token

Result = VerifiedJWS | Rejected

CHUNK_TOKENS: Final = 256
MIN_CHUNK_TOKENS: Final = 32

SLICE_TOKENS: Final = BATCH_MAX
"""Tokens a chunk at a batch's start, one window of the core: what is due for a table then has one soon."""

SLICED_TOKENS: Final = 2048
"""How many tokens of a batch are cut so."""

BUILD_AHEAD_TOKENS: Final = 512
"""A batch with so many tokens left builds tables that are due itself: to go on without takes longer."""

UNFINISHED: Final = Rejected(error_for("internal_error", "verify_many", "a result", "none"))
"""What stands for a token until its result does."""

_OWN_FAULTS: Final = (RapidJWSError, MemoryError, RuntimeError)
"""What goes wrong with one token or chunk; anything else (a signal handler's exception) ends the call."""


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
    """One call's chunks, shared between its threads, and the results as they are placed.

    Attributes:
        results: One a token; ``UNFINISHED`` until the chunk of a token is finished.
    """

    __slots__ = ("chunks", "is_alone", "now_ns", "results", "snapshot", "stopped", "tokens")

    def __init__(
        self, snapshot: Snapshot, tokens: list[Token], now_ns: int, size: int, *, is_alone: bool
    ) -> None:
        self.snapshot = snapshot
        self.tokens = tokens
        self.now_ns = now_ns
        count = len(tokens)
        sliced = min(count, SLICED_TOKENS) if size > SLICE_TOKENS else 0
        starts = [*range(0, sliced, SLICE_TOKENS), *range(sliced, count, size)]
        self.chunks = deque(zip(starts, [*starts[1:], count], strict=True))
        self.results: list[Result] = [UNFINISHED] * count
        self.stopped = False
        self.is_alone = is_alone

    def work(self) -> None:
        """Take chunks until none is left or the call is given up.

        Keys and rules stay those of the call's start; tables change no verdict, and are those of the moment.
        """
        while not self.stopped:
            try:
                start, end = self.chunks.popleft()
            except IndexError:
                return
            self.snapshot = snapshot = self.snapshot.latest()
            found = verify_chunk(snapshot, self.tokens[start:end], self.now_ns, is_alone=self.is_alone)
            if len(found) == end - start:  # a list of another length would move all that follows
                self.results[start:end] = found
            if len(self.tokens) - end >= BUILD_AHEAD_TOKENS:
                snapshot.build_due_tables()


def listed(tokens: object) -> list[Token]:
    """Return tokens as a list that nobody can change during the call.

    Raises:
        ConfigurationError: ``configuration_invalid``: no list of tokens.
    """
    if isinstance(tokens, (str, bytes, Mapping)) or not isinstance(tokens, Iterable):
        raise refused("tokens", "a list of tokens", tokens)
    return list(tokens)


def verify_many(
    snapshot: Snapshot, tokens: Sequence[Token], now_ns: int, workers: int
) -> list[VerifiedJWS | Rejected]:
    """Verify tokens against the keys and rules of one snapshot.

    Args:
        snapshot: Keys and rules for the whole call; tables that are built meanwhile are taken up.
        tokens: JWS Compact Serializations.
        now_ns: Nanoseconds since the epoch.
        workers: Most threads, the calling one among them; where fewer can be had, fewer work.

    Returns:
        One result a token, in order; ``internal_error`` for those that no thread finished.
    """
    mine = listed(tokens)
    count = len(mine)
    helpers = min(workers, count // MIN_CHUNK_TOKENS) - 1
    if helpers <= 0 and count <= CHUNK_TOKENS:
        return checked_length(verify_chunk(snapshot, mine, now_ns), count)
    share = count // (4 * workers)
    size = max(MIN_CHUNK_TOKENS, min(CHUNK_TOKENS, share))
    job = _Job(snapshot, mine, now_ns, size, is_alone=helpers <= 0)
    tasks: list[Task[None]] = []
    try:
        for _ in range(helpers):
            task = Task(job.work)
            tasks.append(task)  # first: it may be begun although no thread could be had for it
            if not submit(task):
                break
        job.work()
    finally:
        job.stopped = True
    for task in tasks:
        if task.take_back() is None:
            task.future.exception()  # until it has ended; a chunk that it did not finish stays refused
    return checked_length(job.results, count)


def checked_length(results: list[Result], count: int) -> list[Result]:
    """Return results where there is one for each token, else as many refusals.

    A list of another length would give the tokens each other's results.
    """
    return results if len(results) == count else [UNFINISHED] * count


def verify_chunk(
    snapshot: Snapshot, tokens: list[Token], now_ns: int, *, is_alone: bool = True
) -> list[Result]:
    """Verify a chunk on this thread, outside the GIL; the core looks for signals every few milliseconds.

    Claims are made along with the results, or when asked for where other threads wait for the GIL.

    Args:
        snapshot: Keys and rules.
        tokens: A list that nobody changes during the call.
        now_ns: Nanoseconds since the epoch.
        is_alone: Whether no other thread waits for the GIL.

    Returns:
        One result a token, in order.
    """
    try:
        results: list[Any] = snapshot.verify_list(tokens, now_ns, is_alone)
    except _OWN_FAULTS:
        results = []
    if len(results) != len(tokens):
        results = [None] * len(tokens)  # each by itself, so that none is lost to another
    for position, result in enumerate(results):
        if result.__class__ is not VerifiedCompact:
            results[position] = _completed(snapshot, tokens[position], result, now_ns)
    return results


def _completed(snapshot: Snapshot, token: Token, result: Any, now_ns: int) -> Result:
    """Return the result for a token that the core left open; a fault of ours refuses this token only."""
    try:
        completed = snapshot.result_or_error(token, result, now_ns)
    except _OWN_FAULTS as fault:
        return Rejected(error_for("internal_error", type(fault).__name__))
    return Rejected(completed) if isinstance(completed, RapidJWSError) else completed
