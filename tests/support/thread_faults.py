"""Threads that cannot be started: each start is made to fail or not, in turn, and nothing else is changed."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from unittest import mock

from rapidjws.verify import worker_pool

NO_THREAD = "can't start new thread"


class Starts:
    """What every start of a thread asks while it is in force.

    Args:
        fails: Reported the number of a start, from 0; returns whether it fails.
        only: The beginning of the names of threads that can fail.
        fault: What a failing start raises.
        of: Whose threads can fail, by the method that they run; None for anybody's.

    Attributes:
        count: Starts so far.
        failed: How many of them failed.
    """

    def __init__(self, fails: Callable[[int], bool], only: str, fault: Exception, of: object = None) -> None:
        self._fails = fails
        self._only = only
        self._fault = fault
        self._of = of
        self._lock = threading.Lock()
        self.count = self.failed = 0

    def start(self, thread: threading.Thread, start: Callable[[threading.Thread], None]) -> None:
        """Start a thread, or raise what Python raises at a process limit."""
        owner = getattr(getattr(thread, "_target", None), "__self__", None)
        if thread.name.startswith(self._only) and (self._of is None or owner is self._of):
            with self._lock:
                number, self.count = self.count, self.count + 1
                fails = self._fails(number)
                self.failed += fails
            if fails:
                raise type(self._fault)(*self._fault.args)  # a new one: a traceback keeps what it met alive
        start(thread)


@contextlib.contextmanager
def failing_starts(
    fails: Callable[[int], bool],
    only: str = "rapidjws",
    fault: Exception | None = None,
    of: object = None,
) -> Iterator[Starts]:
    """Make starts of threads fail, with pools of worker threads that have none yet."""
    starts = Starts(fails, only, fault or RuntimeError(NO_THREAD), of)
    real = threading.Thread.start
    pools = {name: worker_pool._Pool() for name in ("_pool", "endpoints", "signing", "reserved")}
    with (
        mock.patch.multiple(worker_pool, **pools),  # type: ignore[arg-type]
        mock.patch.object(threading.Thread, "start", lambda thread: starts.start(thread, real)),
    ):
        try:
            yield starts
        finally:
            made = [one._executor for one in pools.values()]
    for one in made:
        if one is not None:
            one.shutdown(wait=True)
