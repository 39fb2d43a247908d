"""The process's worker threads, and calls that run at most once although a thread may not be had.

``ThreadPoolExecutor.submit`` can raise after it has queued the call: a thread that is there may still run it.
A :class:`Task` is therefore begun by one side only, by a thread or by whoever takes it back.
"""

from __future__ import annotations

import os
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_WORKERS: Final = 256

ResultT = TypeVar("ResultT")


class _Pool:
    """The process's worker threads; made on first use, and anew in a forked child."""

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


class Task(Generic[ResultT]):
    """A call that runs at most once: on a worker thread, or for whoever takes it back before.

    Args:
        call: What to run.

    Attributes:
        future: Done when a thread has run the call; never done where it was taken back.
    """

    __slots__ = ("_waiting", "future")

    def __init__(self, call: Callable[[], ResultT]) -> None:
        self._waiting = [call]
        self.future: Future[ResultT] = Future()

    def take_back(self) -> Callable[[], ResultT] | None:
        """Return the call where no thread has begun it, and none will; None where one has."""
        try:
            return self._waiting.pop()  # atomic: one side gets it
        except IndexError:
            return None

    def run(self) -> None:
        """Run the call unless it was taken back; whatever it raises goes to the future."""
        call = self.take_back()
        if call is None:
            return
        try:
            result = call()
        except BaseException as fault:
            self.future.set_exception(fault)
            return
        self.future.set_result(result)


def submit(task: Task[ResultT]) -> bool:
    """Ask for a thread to run a task.

    Returns:
        False where none can be had: the process may start no more, or the interpreter is going down. A thread
        that is there may still begin the task: take it back before doing anything else in its place.
    """
    try:
        executor().submit(task.run)
    except Exception:  # RuntimeError; MemoryError
        return False
    return True
