"""The background thread that builds precomputed tables: one a process, made on first use and after a fork.

Engines take turns, each at its own pace. Whoever verifies only says that a key is due, and never waits.
"""

from __future__ import annotations

import contextlib
import os
import queue
import threading
from time import monotonic
from typing import TYPE_CHECKING, Final, Protocol
from weakref import ref

from rapidjws._queues import LazyQueue
from rapidjws.verify.precomputed import TURN_S

if TYPE_CHECKING:
    from rapidjws.verify.key_table import PreparedKey
    from rapidjws.verify.precomputed import PrecomputedKeys
    from rapidjws.verify.table_status import Owner

LOG_EVERY_S: Final = 60.0
"""Shortest time between two log lines of failed turns, in seconds; the counter has them all."""


class TableOwner(Protocol):
    """An engine whose keys may be due for tables."""

    def _build_due_tables(self) -> float | None:
        """Build for one turn; return when the next may begin, in monotonic seconds; None: nothing is due."""


class TableBuilder:
    """The thread, and the queue of engines that have keys due for a table.

    A table is an acceleration only: whatever fails here is counted and logged, and no verdict waits for it.

    Attributes:
        failures: Threads that could not be started and turns that failed, since the process began.
    """

    __slots__ = ("_lock", "_log_after_s", "_pid", "_queue", "failures")

    def __init__(self) -> None:
        self.failures = 0
        self._log_after_s = 0.0
        self._pid = -1
        self.forget()

    def submit(self, owner: TableOwner, precomputed: PrecomputedKeys, key: PreparedKey) -> None:
        """Say that a key is due for a table; returns at once and never raises.

        Where no thread can be started, what is due waits for the next one that can.
        """
        try:
            precomputed.due[key] = None
            if not precomputed.is_queued:
                precomputed.is_queued = True
                self._queue.get().put(ref(owner))
            if self._pid != os.getpid() and self._lock.acquire(blocking=False):  # else another starts it
                try:
                    self._start()
                finally:
                    self._lock.release()
        except Exception as fault:  # RuntimeError: no more threads; MemoryError
            self._failed(fault)

    def build_here(self, precomputed: PrecomputedKeys, owner: Owner) -> None:
        """Build an engine's tables that are due on the calling thread, for one turn; never raises.

        Where another thread is at it, its turn is waited for: what it builds is used at once.
        """
        try:
            precomputed.take_turn(owner, patience_s=TURN_S)
        except Exception as fault:
            self._failed(fault)

    def forget(self) -> None:
        """Drop what a fork left behind."""
        self._lock = threading.Lock()
        self._pid = -1
        self._queue: LazyQueue[ref[TableOwner]] = LazyQueue()

    def _start(self) -> None:
        if self._pid != os.getpid():
            thread = threading.Thread(
                target=self._run, args=(self._queue.get(),), name="rapidjws-tables", daemon=True
            )
            thread.start()
            self._pid = os.getpid()

    def _failed(self, fault: Exception) -> None:
        self.failures += 1
        now_s = monotonic()
        if now_s < self._log_after_s:
            return
        self._log_after_s = now_s + LOG_EVERY_S
        with contextlib.suppress(Exception):  # a log handler of the application
            from rapidjws._loggers import logger

            logger("tables").warning(
                "no precomputed table for a key now: %s; its tokens are verified without", str(fault)
            )

    def _run(self, waiting: queue.SimpleQueue[ref[TableOwner]]) -> None:
        turns: dict[int, tuple[ref[TableOwner], float]] = {}  # who has keys due, and when its turn comes
        while True:
            try:
                reference = waiting.get(timeout=_pause_s(turns))
                turns[id(reference)] = (reference, 0.0)
            except queue.Empty:
                pass
            now_s = monotonic()
            for number, (reference, due_s) in list(turns.items()):
                if due_s > now_s:
                    continue
                next_s = self._take_turn(reference)
                if next_s is None:
                    del turns[number]
                else:
                    turns[number] = (reference, next_s)

    def _take_turn(self, reference: ref[TableOwner]) -> float | None:
        """Let an engine build; return when it may again, or None where nothing is due or it is gone."""
        owner = reference()  # held for the turn only: an idle builder keeps nobody's engine alive
        try:
            return None if owner is None else owner._build_due_tables()
        except Exception as fault:  # one engine's trouble stops no other's tables
            self._failed(fault)
            return None


def _pause_s(turns: dict[int, tuple[ref[TableOwner], float]]) -> float | None:
    """Return how long until the next turn comes, in seconds; None where nobody waits for one."""
    first_s = min((due_s for _, due_s in turns.values()), default=None)
    return None if first_s is None else max(0.0, first_s - monotonic())


builder: Final = TableBuilder()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=builder.forget)
