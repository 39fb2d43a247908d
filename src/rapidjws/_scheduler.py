"""One timer thread a process for all key sources: it starts things and never waits for them.

It also notices when the wall clock steps. After a fork the child starts its own. What it never does: fetch,
or hold a source alive.
"""

from __future__ import annotations

import heapq
import itertools
import os
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol
from weakref import ReferenceType, WeakMethod, WeakSet

if TYPE_CHECKING:
    from collections.abc import Callable

LONGEST_SLEEP_S: Final = 1.0
STEP_S: Final = 2.0
"""A difference between wall clock and monotonic clock that is a step, in seconds."""


class SystemClock:
    """The machine's clocks."""

    __slots__ = ()

    def time(self) -> float:
        """Return seconds since the epoch."""
        return time.time()

    def monotonic(self) -> float:
        """Return seconds that never run backwards."""
        return time.monotonic()


class Renewed(Protocol):
    """Something that must know of a fork."""

    def after_fork(self) -> None:
        """Make locks anew and forget threads that are not there."""


class Scheduler:
    """Calls of methods at monotonic times, on one background thread."""

    __slots__ = ("_heap", "_numbers", "_offset_s", "_pid", "_starting", "_wake", "members", "step_watchers")

    def __init__(self) -> None:
        self.members: WeakSet[Renewed] = WeakSet()
        self.step_watchers: WeakSet[Any] = WeakSet()
        self._numbers = itertools.count()
        self._forget()

    def _forget(self) -> None:
        self._heap: list[tuple[float, int, ReferenceType[Any]]] = []
        self._wake = threading.Condition(threading.Lock())
        self._starting = threading.Lock()
        self._pid = -1
        self._offset_s = time.time() - time.monotonic()

    def call_at(self, when: float, method: Callable[[], None]) -> bool:
        """Call a bound method at a monotonic time; held weakly, and it must return at once.

        Returns:
            Whether the timer runs. Where no thread can be had, the call is kept for when one can.
        """
        with self._wake:
            heapq.heappush(self._heap, (when, next(self._numbers), WeakMethod(method)))
            self._wake.notify()
        return self._start()

    def ensure(self) -> None:
        """Start the timer where it could not be started before and something waits for it; never raises."""
        if self._pid != os.getpid() and self._heap:
            self._start()

    def _start(self) -> bool:
        """Start the timer, holding no lock that it takes: under gevent it runs before its start returns."""
        if self._pid == os.getpid() or not self._starting.acquire(blocking=False):  # another starts it
            return True
        try:
            if self._pid != os.getpid():
                threading.Thread(target=self._run, name="rapidjws-keys", daemon=True).start()
                self._pid = os.getpid()
        except Exception:  # RuntimeError: no more threads; MemoryError
            return False
        finally:
            self._starting.release()
        return True

    def _run(self) -> None:
        while True:
            with self._wake:
                now = time.monotonic()
                due = self._heap[0][0] - now if self._heap else LONGEST_SLEEP_S
                if due > 0:
                    self._wake.wait(min(due, LONGEST_SLEEP_S))
                ready: list[ReferenceType[Any]] = []
                while self._heap and self._heap[0][0] <= time.monotonic():
                    ready.append(heapq.heappop(self._heap)[2])
            self._look_at_clock()
            for reference in ready:
                method = reference()
                if method is not None:
                    _quietly(method)
                del method

    def _look_at_clock(self) -> None:
        offset_s = time.time() - time.monotonic()
        step_s = offset_s - self._offset_s
        self._offset_s = offset_s
        if abs(step_s) >= STEP_S:
            for watcher in list(self.step_watchers):
                _quietly(partial(watcher.clock_stepped, step_s))

    def after_fork(self) -> None:
        """Start anew in a forked child."""
        self._forget()
        for member in list(self.members):
            _quietly(member.after_fork)  # one's fault keeps no other in its parent's locks


def _quietly(method: Callable[[], None]) -> None:
    """Call; one source's fault stops no other's timer."""
    try:
        method()
    except Exception:
        return


scheduler: Final = Scheduler()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=scheduler.after_fork)
