"""Pieces of work over several threads, with a place for each result made beforehand."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

from rapidjws.verify.worker_pool import Task, submit

if TYPE_CHECKING:
    from collections.abc import Callable

ResultT = TypeVar("ResultT")


class _Work(Generic[ResultT]):
    """The pieces that are left, and the results so far."""

    __slots__ = ("call", "results", "stopped", "waiting")

    def __init__(self, call: Callable[[int], ResultT], count: int) -> None:
        self.call = call
        self.results: list[ResultT | None] = [None] * count
        self.waiting = deque(range(count))
        self.stopped = False

    def run(self) -> None:
        """Take pieces until none is left."""
        while not self.stopped:
            try:
                piece = self.waiting.popleft()
            except IndexError:
                return
            try:
                self.results[piece] = self.call(piece)
            except Exception:  # its place says that it has no result
                self.results[piece] = None


def results_of(call: Callable[[int], ResultT], count: int, workers: int) -> list[ResultT | None]:
    """Return what a call gives for each number below ``count``; None where it raised.

    Args:
        call: Takes the number of a piece.
        count: How many pieces.
        workers: Most threads, the calling one among them.
    """
    work = _Work(call, count)
    tasks: list[Task[None]] = []
    try:
        for _ in range(min(workers, count) - 1):
            task = Task(work.run)
            tasks.append(task)
            if not submit(task):
                break
        work.run()
    finally:
        work.stopped = work.stopped or bool(work.waiting)
    for task in tasks:
        if task.take_back() is None:
            task.future.exception()  # until it has ended
    return work.results
