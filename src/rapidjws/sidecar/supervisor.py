"""The sidecar's supervisor: starts workers, starts them again, passes signals on, and tells systemd.

SIGTERM, SIGINT and SIGQUIT drain; SIGHUP has the configuration read again; SIGUSR2 (an upgrade in place) is
refused with a line: restart, or let systemd hold the socket. Without supervisor, workers end by themselves.
"""

from __future__ import annotations

import contextlib
import math
import os
import platform
import select
import signal
import sys
import time
import traceback
from typing import TYPE_CHECKING, Final

from rapidjws._native import libcrypto_version
from rapidjws._version import __version__
from rapidjws.observe.event_log import write_event
from rapidjws.observe.logs import InstalledLogs, LogSettings
from rapidjws.observe.recorder import MetricRecorder
from rapidjws.sidecar import systemd
from rapidjws.sidecar.change_bus import ChangeBus
from rapidjws.sidecar.listeners import address_of
from rapidjws.sidecar.sequencer_process import SequencerProcess
from rapidjws.sidecar.worker_processes import EXIT_CONFIGURATION, Heartbeats, WorkerProcess, ending_of
from rapidjws.verify.counter_memory import CounterMemory

if TYPE_CHECKING:
    from collections.abc import Callable

    from rapidjws.audit.settings import AuditSettings
    from rapidjws.sidecar.listeners import ListeningSockets, Sockets
    from rapidjws.sidecar.settings import ServerSettings

    Work = Callable[["Supervisor", Sockets, int], int]

"""A worker that cannot be configured ends with this (EX_CONFIG); at the first start that ends the sidecar."""

STOPPING: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
"""What drains a supervisor or a worker: a service manager's, a terminal's Ctrl-C and Ctrl-\\."""

PASSED: Final = (*STOPPING, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGCHLD)
TICK_S: Final = 0.25
SAME_LINE_S: Final = 60.0
"""How long a line of a worker is not written again, in seconds: all workers find the same fault."""

KILLED_AFTER_S: Final = 2.0
"""Beyond ``drain_s``, what a worker has until it is killed."""


def print_line(line: str) -> None:
    """Write one line for the operator; a standard error that is closed or full is no reason to stop."""
    with contextlib.suppress(OSError, ValueError):
        if not select.select([], [sys.stderr], [], 0)[1]:
            return
        print(f"rapidjws serve: {line}", file=sys.stderr, flush=True)


class Supervisor:
    """The parent of the workers.

    Args:
        settings: How to serve.
        sockets: Where to listen; closed at the end.
        work: Runs one worker in a forked child, given this supervisor, its sockets, and the descriptor by
            which it says ``ready`` or why it cannot serve; returns its exit status.
        logs: Where log lines go; None for JSON lines on standard error.
        audit: The trail whose sequencer runs beside the workers, or None.
    """

    def __init__(
        self,
        settings: ServerSettings,
        sockets: ListeningSockets,
        work: Work,
        logs: LogSettings | None = None,
        audit: AuditSettings | None = None,
    ) -> None:
        self.settings = settings
        self.logs = logs or LogSettings()
        self._log: InstalledLogs | None = None
        self.change_bus = ChangeBus(settings.workers)
        self.heartbeats = Heartbeats(settings.workers)
        self.counters = CounterMemory(settings.workers + (audit is not None))  # the sequencer's comes last
        self._sockets = sockets
        self._sequencer = (
            None if audit is None else SequencerProcess(audit, self._print_line, self._count_of_sequencer)
        )
        self._needs_trail = audit is not None and audit.on_failure == "refuse"
        self._work = work
        self._workers = [WorkerProcess(sockets=one) for one in sockets.workers]
        self._pid = os.getpid()
        self._life, self._life_end = os.pipe()  # its end of file tells a worker that the supervisor is gone
        self._woken, self._waker = os.pipe()
        self._stopping = False
        self._all_were_ready = False  # whether all workers served at some time
        self._status = 0
        self._reloaded_by: tuple[int, float] | None = None
        self._written: dict[str, float] = {}  # a worker's line -> when it was written
        self._watchdog_s = systemd.watchdog_interval_s()
        self._pinged_s = 0.0

    def run(self) -> int:
        """Serve until SIGTERM, SIGINT or SIGQUIT; return the exit status: 0, or EXIT_CONFIGURATION."""
        self._log = InstalledLogs(self.logs)
        self._listen_to_signals()
        try:
            self._look_after_sequencer(time.monotonic())
            for worker in self._workers:
                self._start(worker)
            while not self._stopping:
                self._wait()
                self._look_after_workers(time.monotonic())
        finally:
            systemd.notify("STOPPING=1")
            self._stop()
            self._sockets.close()
            self.heartbeats.close()
            self.counters.close()
            self.change_bus.close()
            for descriptor in (self._life, self._life_end, self._woken, self._waker):
                os.close(descriptor)
            write_event("service_stopped", {"version": __version__, "status": self._status})
            self._log.close()
        return self._status

    def _print_line(self, line: str) -> None:
        """Write one line for the operator, or one of the log where the settings ask for no others."""
        if self.logs.operator_lines:
            print_line(line)
        else:
            write_event("operator_line", {"detail": line})

    # --- signals -----------------------------------------------------------------------------------------

    def _listen_to_signals(self) -> None:
        os.set_blocking(self._woken, False)
        os.set_blocking(self._waker, False)
        signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)
        for number in PASSED:
            signal.signal(number, lambda *_: None)

    def _wait(self) -> None:
        """Wait for a signal, a word from a worker, or the next tick, and act on signals."""
        descriptors = [self._woken, *(one.status for one in self._workers if one.status >= 0)]
        with contextlib.suppress(InterruptedError):
            select.select(descriptors, [], [], TICK_S)
        with contextlib.suppress(BlockingIOError):
            for number in set(os.read(self._woken, 4096)):
                self._act_on(number)

    def _act_on(self, number: int) -> None:
        if number in STOPPING:
            self._stopping = True
        elif number == signal.SIGHUP:
            self._print_line("SIGHUP: the configuration is read again (listeners and workers need a restart)")
            self._written.clear()
            if self._log is not None:
                self._log.reopen()
            systemd.reloading()
            now_ns = time.monotonic_ns()
            self._reloaded_by = (self.change_bus.announce("config", now_ns), time.monotonic() + 30.0)
        elif number == signal.SIGUSR2:
            self._print_line(
                "SIGUSR2: no upgrade in place; restart, with the socket held by systemd if need be"
            )

    # --- workers -----------------------------------------------------------------------------------------

    def _start(self, worker: WorkerProcess) -> None:
        self.heartbeats.beat(worker.sockets.index)
        ends: tuple[int, ...] = ()
        try:
            ends = status, status_end = os.pipe()
            pid = os.fork()
        except OSError as fault:
            for descriptor in ends:
                os.close(descriptor)
            delay_s = worker.back_off(time.monotonic())
            index = worker.sockets.index
            self._print_line(f"worker {index} cannot be started ({fault.strerror}): again in {delay_s:.1f} s")
            return
        if not pid:
            os.close(status)
            os.set_blocking(status_end, False)  # a line is lost rather than a worker held up
            self._become_worker(worker.sockets, status_end)
        os.close(status_end)
        os.set_blocking(status, False)
        worker.rest = b""
        worker.pid, worker.status, worker.ready, worker.begun_s = pid, status, False, time.monotonic()

    def _become_worker(self, sockets: Sockets, status: int) -> None:
        """Run a worker in a forked child; never returns."""
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            for number in (*STOPPING, signal.SIGCHLD):
                signal.signal(number, signal.SIG_DFL)
            for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):  # SIGUSR1: until the loop listens
                signal.signal(number, signal.SIG_IGN)
            if self._log is not None:
                self._log.remove()
            self._forget_pipes()
            end_with_parent(self._pid)
            code = self._work(self, sockets, status)
        except Exception:  # os._exit would swallow it
            traceback.print_exc()
        finally:
            with contextlib.suppress(Exception):
                sys.stderr.flush()
            os._exit(code)

    def _forget_pipes(self) -> None:
        """Close in a child what only the supervisor reads, and what workers know its end by."""
        for descriptor in (self._life_end, self._waker, self._woken):
            os.close(descriptor)
        for other in self._workers:
            if other.status >= 0:
                os.close(other.status)

    def _become_sequencer(self) -> None:
        """Close what is not the sequencer's own, in its process."""
        signal.set_wakeup_fd(-1)
        self._forget_pipes()
        self._sockets.forget()

    def _count_of_sequencer(self) -> MetricRecorder:
        """Return what counts in the sequencer's process."""
        recorder, region = MetricRecorder(), self.counters.of_worker(self.settings.workers)
        region.begin()
        recorder.attach(region)
        return recorder

    @property
    def life(self) -> int:
        """Return the descriptor that comes to its end when the supervisor is gone."""
        return self._life

    def _look_after_workers(self, now_s: float) -> None:
        """Hear the workers, start what is due, and tell systemd."""
        self._look_after_sequencer(now_s)
        for worker in self._workers:
            if worker.read_status():
                index = worker.sockets.index
                write_event("worker_started", {"worker": index, "worker_pid": worker.pid})
                if self._all_were_ready:
                    self._print_line(f"worker {index} (process {worker.pid}) serves again")
            if worker.ready:
                self._repeat(worker)
        self._reap(now_s)
        for worker in self._workers:
            if not worker.pid and now_s >= worker.due_s and not self._stopping:
                self.heartbeats.count_restart(worker.sockets.index)
                self._start(worker)
        self._end_stuck()
        if not self._all_were_ready and self._all_are_ready():
            self._all_were_ready = True
            where = address_of(self._sockets.workers[0].public)
            self._print_line(f"{where}, {self.settings.workers} workers")
            write_event("service_started", {**versions(), "workers": self.settings.workers, "listen": where})
            systemd.notify("READY=1", f"STATUS=serving {where} with {self.settings.workers} workers")
        self._complete_reload(now_s)
        if self._log is not None:
            self._log.flush()
        self._ping(now_s)

    def _look_after_sequencer(self, now_s: float) -> None:
        if self._sequencer is not None:
            self._sequencer.look_after(now_s, self._become_sequencer)
            if self._sequencer.is_refused and not self._all_were_ready:
                self._stopping, self._status = True, EXIT_CONFIGURATION

    def _all_are_ready(self) -> bool:
        """Say whether all workers serve, and the trail is there that they need."""
        trail = self._sequencer is None or self._sequencer.takes_records or not self._needs_trail
        return trail and all(worker.ready for worker in self._workers)

    def _reap(self, now_s: float) -> None:
        for worker in self._workers:
            if not worker.pid:
                continue
            found, state = os.waitpid(worker.pid, os.WNOHANG)
            if not found:
                continue
            code, pid = os.waitstatus_to_exitcode(state), worker.pid
            worker.read_status()
            self.change_bus.forget(worker.sockets.index)
            self.counters.end(worker.sockets.index)
            self._repeat(worker)
            if code == EXIT_CONFIGURATION and not self._all_were_ready:
                worker.forget()
                self._stopping, self._status = True, EXIT_CONFIGURATION
                continue
            delay_s = worker.back_off(now_s)
            worker.forget()
            if not self._stopping:
                restarts = sum(self.heartbeats.restarts()) + 1
                fields = {"worker": worker.sockets.index, "worker_pid": pid, "restarts": restarts}
                write_event("worker_ended", {**fields, "detail": ending_of(code)})
                self._print_line(f"worker {worker.sockets.index} (process {pid}) {ending_of(code)}: "
                    f"started again in {delay_s:.1f} s (restart {restarts})")  # fmt: skip

    def _repeat(self, worker: WorkerProcess) -> None:
        """Write a worker's line; each finds the same fault, which is written once a minute at most."""
        now_s = time.monotonic()
        for line in worker.words:
            if now_s - self._written.get(line, -math.inf) >= SAME_LINE_S:
                self._written = {
                    old: at_s for old, at_s in self._written.items() if now_s - at_s < SAME_LINE_S
                }
                self._written[line] = now_s
                self._print_line(line)
        worker.words.clear()

    def _end_stuck(self) -> None:
        """Kill a worker whose loop has not turned for ``worker_timeout_s``; it is started again."""
        for worker in self._workers:
            index = worker.sockets.index
            if (
                worker.pid
                and worker.ready
                and self.heartbeats.silence_s(index) > self.settings.worker_timeout_s
            ):
                silent_s = self.settings.worker_timeout_s
                fields: dict[str, object] = {"worker": index, "worker_pid": worker.pid, "value": silent_s}
                write_event("worker_killed", fields)
                self._print_line(f"worker {index} (process {worker.pid}) has not answered for "
                                 f"{silent_s:.0f} s: it is killed")  # fmt: skip
                self.heartbeats.beat(index)
                os.kill(worker.pid, signal.SIGKILL)

    def _complete_reload(self, now_s: float) -> None:
        """Tell systemd that a reload is over: every worker has it, or is known to be behind."""
        if self._reloaded_by is None:
            return
        changes, until_s = self._reloaded_by
        if self.change_bus.wait(changes, 0.0) or now_s > until_s:
            self._reloaded_by = None
            systemd.notify("READY=1")

    def _ping(self, now_s: float) -> None:
        """Feed the watchdog while every worker is alive."""
        if self._watchdog_s is not None and now_s - self._pinged_s >= self._watchdog_s / 2:
            ready = [one.sockets.index for one in self._workers if one.ready]
            if all(self.heartbeats.silence_s(index) <= self._watchdog_s * 2 for index in ready):
                systemd.notify("WATCHDOG=1")
            self._pinged_s = now_s

    def _stop(self) -> None:
        """Let each worker finish what it began, and end those that do not."""
        self._sockets.stop_listening()
        running = [worker for worker in self._workers if worker.pid]
        for worker in running:
            os.kill(worker.pid, signal.SIGTERM)
        end_s = time.monotonic() + self.settings.drain_s + KILLED_AFTER_S
        while running and time.monotonic() < end_s:
            for worker in tuple(running):
                if os.waitpid(worker.pid, os.WNOHANG)[0]:
                    worker.forget()
                    running.remove(worker)
            time.sleep(0.02)
        for worker in running:
            self._print_line(
                f"worker {worker.sockets.index} (process {worker.pid}) did not drain: it is killed"
            )
            os.kill(worker.pid, signal.SIGKILL)
            os.waitpid(worker.pid, 0)
            worker.forget()
        if self._sequencer is not None:
            self._sequencer.stop()


def versions() -> dict[str, object]:
    """Return the versions that a start is logged with."""
    return {
        "version": __version__,
        "python": platform.python_version(),
        "openssl": libcrypto_version(),
    }


def end_with_parent(parent: int) -> None:
    """Ask the kernel for SIGTERM when the supervisor dies, where it can (Linux: PR_SET_PDEATHSIG)."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError, ImportError):  # a Python may be built without it
            import ctypes

            ctypes.CDLL(None).prctl(1, signal.SIGTERM)
    if os.getppid() != parent:  # it died before that
        os._exit(0)
