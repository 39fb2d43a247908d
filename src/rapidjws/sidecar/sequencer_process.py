"""The sequencer of the audit trail as a process beside the workers: started, missed, started again."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
import traceback
from typing import TYPE_CHECKING, Final

from rapidjws.errors import RapidJWSError
from rapidjws.observe.event_log import EventLog
from rapidjws.sidecar.worker_processes import FIRST_DELAY_S, STEADY_S, ending_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from rapidjws.audit.settings import AuditSettings

STOPPED_WITHIN_S: Final = 10.0
LONGEST_DELAY_S: Final = 5.0
"""Longest time between two starts: meanwhile no decision has a record."""


class SequencerProcess:
    """The sequencer's process, started again where it ends.

    Args:
        settings: What it sequences.
        print_line: Writes one line for the operator.
    """

    def __init__(self, settings: AuditSettings, print_line: Callable[[str], None]) -> None:
        self._settings = settings
        self._print_line = print_line
        self._pid = 0
        self._begun_s = 0.0
        self._due_s = 0.0
        self._delay_s = FIRST_DELAY_S

    def look_after(self, now_s: float, close: Callable[[], None]) -> None:
        """Start it where it is due, and notice that it ended.

        Args:
            now_s: The monotonic clock.
            close: Closes in the child what is not its own.
        """
        if self._pid:
            found, state = os.waitpid(self._pid, os.WNOHANG)
            if not found:
                return
            steady = now_s - self._begun_s >= STEADY_S
            self._delay_s = FIRST_DELAY_S if steady else min(LONGEST_DELAY_S, 2 * self._delay_s)
            self._pid, self._due_s = 0, now_s + self._delay_s
            ending = ending_of(os.waitstatus_to_exitcode(state))
            self._print_line(
                f"the sequencer of the audit trail {ending}: started again in {self._delay_s:.1f} s"
            )
        if now_s >= self._due_s:
            self._start(now_s, close)

    def _start(self, now_s: float, close: Callable[[], None]) -> None:
        parent = os.getpid()
        try:
            pid = os.fork()
        except OSError as fault:
            self._due_s = now_s + LONGEST_DELAY_S
            self._print_line(f"the sequencer of the audit trail cannot be started ({fault.strerror})")
            return
        if pid:
            self._pid, self._begun_s = pid, now_s
            return
        code = 1
        try:
            close()
            code = self._run(parent)
        except RapidJWSError as fault:
            self._print_line(f"the sequencer of the audit trail: {fault}")
        except Exception:  # os._exit would swallow it
            traceback.print_exc()
        finally:
            with contextlib.suppress(Exception):
                sys.stderr.flush()
            os._exit(code)

    def _run(self, parent: int) -> int:
        stopping: list[int] = []
        signal.signal(signal.SIGTERM, lambda number, _: stopping.append(number))
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
            signal.signal(number, signal.SIG_IGN)  # it ends after the workers, whose records it takes
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        sequencer = self._settings.sequencer(EventLog())
        sequencer.run(lambda: bool(stopping) or os.getppid() != parent)
        return 0

    def stop(self) -> None:
        """End it, once no worker sends any more, with all in the trail."""
        pid, self._pid = self._pid, 0
        if not pid:
            return
        os.kill(pid, signal.SIGTERM)
        end_s = time.monotonic() + STOPPED_WITHIN_S
        while time.monotonic() < end_s:
            if os.waitpid(pid, os.WNOHANG)[0]:
                return
            time.sleep(0.02)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
