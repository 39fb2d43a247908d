"""What a sequencer has done from time to time on a worker thread, and waits for never."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Final

from rapidjws.errors import RapidJWSError
from rapidjws.verify.protocols import Event, emit
from rapidjws.verify.worker_pool import Task, submit

if TYPE_CHECKING:
    from rapidjws.verify.protocols import Clock, EventListener

RETRY_S: Final = 300.0
"""Longest time between an attempt that failed and the next one."""


class Schedule:
    """A call that is repeated on a worker thread; a subclass makes it.

    Args:
        every_s: Seconds between calls.
        failed: Name of the event of a call that failed.
        events: Listens to it.
        clock: Gives the time; None for the real one.
        subject: What the event's detail begins with.
    """

    def __init__(
        self, *, every_s: float, failed: str, events: EventListener, clock: Clock | None, subject: str = ""
    ) -> None:
        self._every_s, self._event, self._events, self._clock = every_s, failed, events, clock
        self._subject = subject
        self._due_s = float("-inf")
        self._running: Task[float] | None = None

    def step(self) -> None:
        """Begin a call where one is due; nothing is waited for, and nothing raised."""
        now_s = monotonic() if self._clock is None else self._clock.monotonic()
        task = self._running
        if task is not None:
            if task.future.done():
                self._running = None
                fault = task.future.exception()
                self._due_s = now_s + (task.future.result() if fault is None else self._failed(fault))
        elif now_s >= self._due_s:
            task = Task(self._call)
            if submit(task) or task.take_back() is None:
                self._running = task
            else:  # never here: records wait for this thread
                self._due_s = now_s + self._failed(None)

    def _call(self) -> float:
        """Do what is due; return how long the next call has time, in seconds."""
        raise NotImplementedError

    def _failed(self, fault: BaseException | None) -> float:
        if isinstance(fault, RapidJWSError):
            detail = fault.code if fault.actual is None else f"{fault.code}: {fault.actual}"
        else:
            detail = "no_thread" if fault is None else type(fault).__name__
        emit(self._events, Event(name=self._event, detail=self._subject + detail))
        return min(RETRY_S, self._every_s)
