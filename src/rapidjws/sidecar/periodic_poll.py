"""The polls of a transmitter of signals, by one worker, each on a thread and one at a time."""

from __future__ import annotations

from time import monotonic_ns
from typing import TYPE_CHECKING

from rapidjws.verify.worker_pool import Task, submit

if TYPE_CHECKING:
    from rapidjws.config.signal_section import SignalService
    from rapidjws.sidecar.change_bus import ChangeBus


class PeriodicPoll:
    """A thread that polls from time to time: one at most, and nobody waits for it.

    Args:
        signals: Polls, or None where nothing is polled.
        change_bus: Has the other workers take over what was revoked.
    """

    def __init__(self, signals: SignalService | None, change_bus: ChangeBus) -> None:
        self._signals = signals
        self._change_bus = change_bus
        self._task: Task[None] | None = None
        self._due_s = 0.0

    def on_tick(self, now_s: float) -> None:
        """Begin a poll where one is due.

        Args:
            now_s: The loop's clock.
        """
        signals = self._signals
        if signals is None or signals.poll_s is None or now_s < self._due_s:
            return
        if self._task is not None and not self._task.future.done():
            return
        self._due_s = now_s + signals.poll_s
        task = Task(self._poll)
        if submit(task) or task.take_back() is None:  # or no thread: when it is due again
            self._task = task

    def _poll(self) -> None:
        started_ns = monotonic_ns()
        if self._signals is not None and self._signals.poll():
            self._change_bus.announce("revocations", started_ns)
