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
from rapidjws.sidecar.worker_processes import EXIT_CONFIGURATION, FIRST_DELAY_S, STEADY_S, ending_of
from rapidjws.verify.protocols import all_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from rapidjws.audit.settings import AuditSettings
    from rapidjws.verify.protocols import EventListener

STOPPED_WITHIN_S: Final = 10.0
LONGEST_DELAY_S: Final = 5.0
"""Longest time between two starts: meanwhile no decision has a record."""

READY: Final = "ready"
REFUSED: Final = frozenset({"audit_trail_invalid", "configuration_invalid"})
SAME_LINE_S: Final = 60.0


def _say(words: int, line: str) -> None:
    with contextlib.suppress(OSError):
        os.write(words, (line[:4000] + "\n").encode("utf-8", "backslashreplace"))


class SequencerProcess:
    """The sequencer's process, started again where it ends.

    Args:
        settings: What it sequences.
        print_line: Writes one line for the operator.
        counted: Returns, in the process, what counts its events; None where nothing does.
    """

    def __init__(
        self,
        settings: AuditSettings,
        print_line: Callable[[str], None],
        counted: Callable[[], EventListener] | None = None,
    ) -> None:
        self._settings, self._counted = settings, counted
        self._print_line = print_line
        self._pid = 0
        self._begun_s = 0.0
        self._due_s = 0.0
        self._delay_s = FIRST_DELAY_S
        self._words = -1  # the end of a pipe by which it says that it takes records, or why not
        self._written: tuple[str, float] = ("", 0.0)
        self.takes_records = False
        """Whether the one that runs took the trail."""

        self.is_refused = False
        """Whether the trail is one that no sequencer of these settings can take."""

    def look_after(self, now_s: float, close: Callable[[], None]) -> None:
        """Start it where it is due, and notice that it ended.

        Args:
            now_s: The monotonic clock.
            close: Closes in the child what is not its own.
        """
        self._hear(now_s)
        if self._pid:
            found, state = os.waitpid(self._pid, os.WNOHANG)
            if not found:
                return
            steady = now_s - self._begun_s >= STEADY_S
            self._delay_s = FIRST_DELAY_S if steady else min(LONGEST_DELAY_S, 2 * self._delay_s)
            self._pid, self._due_s = 0, now_s + self._delay_s
            code = os.waitstatus_to_exitcode(state)
            self._hear(now_s)
            self._forget_words()
            self.takes_records, self.is_refused = False, code == EXIT_CONFIGURATION
            if code < 0 or (self._written[1] == now_s and not self.is_refused):  # the same fault once alone
                again = f"started again in {self._delay_s:.1f} s"
                self._print_line(f"the sequencer of the audit trail {ending_of(code)}: {again}")
        if now_s >= self._due_s:
            self._start(now_s, close)

    def _hear(self, now_s: float) -> None:
        """Hear that it takes records, or write why not: the same once a minute at most."""
        if self._words < 0:
            return
        with contextlib.suppress(BlockingIOError):
            for line in os.read(self._words, 4096).decode("utf-8", "replace").splitlines():
                if line == READY:
                    self.takes_records = True
                elif line != self._written[0] or now_s - self._written[1] >= SAME_LINE_S:
                    self._written = (line, now_s)
                    self._print_line(f"the sequencer of the audit trail: {line}")

    def _forget_words(self) -> None:
        words, self._words = self._words, -1
        if words >= 0:
            os.close(words)

    def _start(self, now_s: float, close: Callable[[], None]) -> None:
        parent = os.getpid()
        ends: tuple[int, ...] = ()
        try:
            ends = words, words_end = os.pipe()
            pid = os.fork()
        except OSError as fault:
            for one in ends:
                os.close(one)
            self._due_s = now_s + LONGEST_DELAY_S
            self._print_line(f"the sequencer of the audit trail cannot be started ({fault.strerror})")
            return
        if pid:
            os.close(words_end)
            os.set_blocking(words, False)
            self._pid, self._begun_s, self._words = pid, now_s, words
            return
        code = 1
        try:
            close()
            os.close(words)
            code = self._run(parent, words_end)
        except RapidJWSError as fault:
            _say(words_end, " ".join(str(fault).split()))
            code = EXIT_CONFIGURATION if fault.code in REFUSED else 1
        except Exception:  # os._exit would swallow it
            traceback.print_exc()
        finally:
            with contextlib.suppress(Exception):
                sys.stderr.flush()
            os._exit(code)

    def _run(self, parent: int, words: int) -> int:
        stopping: list[int] = []
        signal.signal(signal.SIGTERM, lambda number, _: stopping.append(number))
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
            signal.signal(number, signal.SIG_IGN)  # it ends after the workers, whose records it takes
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        events: EventListener = EventLog()
        if self._counted is not None:
            events = all_of(events, self._counted())
        sequencer = self._settings.sequencer(events)
        _say(words, READY)
        sequencer.run(lambda: bool(stopping) or os.getppid() != parent)
        return 0

    def stop(self) -> None:
        """End it, once no worker sends any more, with all in the trail."""
        pid, self._pid = self._pid, 0
        self._forget_words()
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
