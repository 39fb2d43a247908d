"""The process's worker threads, and calls that run at most once although a thread may not be had.

``ThreadPoolExecutor.submit`` can raise after it has queued the call: a thread that is there may still run it.
A :class:`Task` is therefore begun by one side only, by a thread or by whoever takes it back.
"""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from rapidjws.errors import error_for

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from concurrent.futures import Future, ThreadPoolExecutor

MAX_WORKERS: Final = 256

ENDPOINT_WORKERS: Final = 1100
"""More than a ``SigningQueue`` of the default depth lets wait: it decides who waits, and who is refused."""

SIGNING_WORKERS: Final = 8
"""Threads that compute take turns: many are slower than few, and keep the event loop waiting."""

RESERVED_WORKERS: Final = 4

RETRY_S: Final = 0.05
"""Time between attempts to reach an event loop, in seconds."""

ResultT = TypeVar("ResultT")


class _Pool:
    """Worker threads of the process; made on first use, and anew in a forked child."""

    __slots__ = ("_executor", "_lock", "_pid", "_prefix", "_workers")

    def __init__(self, workers: int = MAX_WORKERS, prefix: str = "rapidjws") -> None:
        self._workers = workers
        self._prefix = prefix
        self._lock = threading.Lock()
        self._executor: ThreadPoolExecutor | None = None
        self._pid = -1

    def executor(self) -> ThreadPoolExecutor:
        """Return this process's executor."""
        if self._pid != os.getpid():
            with self._lock:
                if self._pid != os.getpid():
                    from concurrent.futures import ThreadPoolExecutor

                    self._executor = ThreadPoolExecutor(self._workers, thread_name_prefix=self._prefix)
                    self._pid = os.getpid()
        assert self._executor is not None
        return self._executor

    def forget(self) -> None:
        """Drop what a fork left behind: the threads are not in the child, and the lock may be held."""
        self._lock = threading.Lock()
        self._executor = None
        self._pid = -1


_pool: Final = _Pool()
endpoints: Final = _Pool(ENDPOINT_WORKERS, "rapidjws-endpoint")
"""Threads of an issuer's endpoints, whose requests may wait for a slow signer."""

signing: Final = _Pool(SIGNING_WORKERS, "rapidjws-signing")
"""Threads of an issuer's endpoints, where its keys are in this process: their requests wait for nobody."""

reserved: Final = _Pool(RESERVED_WORKERS, "rapidjws-issuer")
"""Threads for what an issuer publishes and changes, which no request for a token keeps waiting."""

if hasattr(os, "register_at_fork"):
    for _one in (_pool, endpoints, signing, reserved):
        os.register_at_fork(after_in_child=_one.forget)


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
        from concurrent.futures import Future

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
        if call is None or not self.future.set_running_or_notify_cancel():
            return
        try:
            result = call()
        except BaseException as fault:
            self.future.set_exception(fault)
            return
        self.future.set_result(result)


def submit(task: Task[ResultT], pool: _Pool | None = None) -> bool:
    """Ask for a thread to run a task.

    Args:
        task: The task.
        pool: Whose thread; None for those that all of the process shares.

    Returns:
        False where none can be had: the process may start no more, or the interpreter is going down. A thread
        that is there may still begin the task: take it back before doing anything else in its place.
    """
    try:
        (executor() if pool is None else pool.executor()).submit(task.run)
    except Exception:  # RuntimeError; MemoryError
        return False
    return True


def call_on_loop(loop: asyncio.AbstractEventLoop, callback: Callable[..., Any], *args: Any) -> None:
    """Have an event loop call back, from a worker thread; tries until that is taken or the loop is closed."""
    while not loop.is_closed():  # nobody waits on a closed one
        try:
            loop.call_soon_threadsafe(callback, *args)
        except Exception:  # closed meanwhile, or no memory for the callback
            time.sleep(RETRY_S)
        else:
            return


async def call_on_thread(
    call: Callable[[], ResultT], *, inline: bool = False, pool: _Pool | None = None
) -> ResultT:
    """Run a call on a worker thread, and wait for it without holding up the event loop.

    Args:
        call: What to run.
        inline: Whether the loop runs it where no thread can be had.
        pool: Whose thread; None for those that all of the process shares.

    Returns:
        What it returns.

    Raises:
        InternalError: ``internal_error``: no thread can be had, and it did not run; or it was ended by what
            would end the loop (SystemExit and the like).
        Exception: What it raises.
    """
    import asyncio  # who is here has loaded it; all others do without

    loop = asyncio.get_running_loop()
    answer: asyncio.Future[ResultT] = loop.create_future()
    task = Task(call)
    task.future.add_done_callback(lambda done: call_on_loop(loop, _copy, done, answer))
    if not submit(task, pool) and task.take_back() is not None:
        if inline:
            return call()
        raise error_for("internal_error", "worker_pool", "a worker thread", "none")
    try:
        return await answer
    except asyncio.CancelledError:
        task.take_back()  # what has not begun is not to begin
        raise


def _copy(done: Future[ResultT], answer: asyncio.Future[ResultT]) -> None:
    """Give who waits on the loop what the call returned or raised."""
    if answer.done():
        return
    fault = done.exception()
    if fault is None:
        answer.set_result(done.result())
    elif isinstance(fault, Exception) and not isinstance(fault, StopIteration):  # that one no future takes
        answer.set_exception(fault)
    else:
        answer.set_exception(error_for("internal_error", type(fault).__name__))
