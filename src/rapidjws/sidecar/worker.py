"""One worker of the sidecar: its listeners on one loop, what is due from time to time, and draining."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from rapidjws._loggers import ROOT, logger
from rapidjws.middleware.startup import wait_for_keys
from rapidjws.observe.log_counters import LogCounter
from rapidjws.rollout.revision import release_counters
from rapidjws.sidecar.admin import AdminActions
from rapidjws.sidecar.admin_listener import AdminListener, AdminProtocol
from rapidjws.sidecar.clock_watch import ClockWatch
from rapidjws.sidecar.listeners import BACKLOG
from rapidjws.sidecar.metrics import Metrics
from rapidjws.sidecar.periodic_poll import PeriodicPoll
from rapidjws.sidecar.protocol import PublicListener, SidecarProtocol
from rapidjws.sidecar.report_writer import ReportWriter
from rapidjws.sidecar.status import ServiceStatus
from rapidjws.sidecar.worker_gauges import WorkerGauges
from rapidjws.sidecar.worker_processes import LINE_MAX_BYTES
from rapidjws.sidecar.worker_state import TICK_S
from rapidjws.verify.protocols import all_of
from rapidjws.verify.verdict_counters import VerdictCounters
from rapidjws.verify.worker_pool import Task, call_on_thread, submit

if TYPE_CHECKING:
    from collections.abc import Callable

    from rapidjws.observe.logs import InstalledLogs
    from rapidjws.sidecar.app import SidecarApp
    from rapidjws.sidecar.change_bus import ChangeBus
    from rapidjws.sidecar.connection import Listener
    from rapidjws.sidecar.listeners import Sockets
    from rapidjws.sidecar.settings import ServerSettings
    from rapidjws.sidecar.worker_processes import Heartbeats
    from rapidjws.verify.counter_memory import CounterMemory

FLUSH_S: Final = 2.0
"""Seconds between two times that evidence is written."""

SLOW_FLUSH_S: Final = 10.0
"""Seconds after which an operator is warned that a disk does not take the evidence."""

LOOK_S: Final = 0.02
"""How often a worker that drains looks at its connections, in seconds."""

SWITCH_S: Final = 0.0005
"""Longest time that a thread beside the loop keeps the interpreter from it, in seconds, between two of its
steps: what is written and read there is not to be seen in the times of decisions."""

_log: Final = logger("middleware")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parent:
    """What a worker has of its supervisor.

    Attributes:
        change_bus: Tells of changes between workers.
        heartbeats: Where the worker notes that it is alive.
        counters: The counts of all workers.
        life: A descriptor that can be read, at its end, once the supervisor is gone.
        status: A descriptor by which the worker says that it serves.
        logs: The worker's log.
    """

    change_bus: ChangeBus
    heartbeats: Heartbeats
    counters: CounterMemory
    life: int
    status: int
    logs: InstalledLogs


def work(settings: ServerSettings, app: SidecarApp, parent: Parent, sockets: Sockets, seen: bytes) -> int:
    """Serve in this process until SIGTERM, SIGINT, SIGQUIT or the end of its supervisor, then drain.

    Args:
        settings: How to serve.
        app: What to serve.
        parent: What there is of the supervisor.
        sockets: Where to listen.
        seen: The change bus's counters before ``app`` was made.

    Returns:
        The exit status, 0.

    Raises:
        OSError: The address for gRPC cannot be listened on.
    """
    import uvloop

    sys.setswitchinterval(SWITCH_S)
    index = sockets.index
    logging.basicConfig(format=f"rapidjws serve: worker {index}: %(message)s", level=logging.WARNING)
    public = PublicListener(app, settings, parent.change_bus, index=index, seen=seen)
    _count(public, parent, index)
    public.print_line = partial(_send_line, parent.status)
    public.logs = parent.logs
    public.writer = ReportWriter(app.engine, app.rollout, app.recent, parent.change_bus.reports, index)
    app.recent.hand_to(public.writer.key_event)
    public.status = ServiceStatus(
        engine=app.engine,
        rollout=app.rollout,
        bus=parent.change_bus,
        writer=public.writer,
        counters=parent.counters,
        heartbeats=parent.heartbeats,
    )
    client = None if app.audit is None else app.audit.client()
    if app.audit is not None and client is not None:
        public.audit = app.audit.recorder(app.engine, client)
    if index == 0:
        public.status.watch(app.recent.alert)
    app.lines.attach(public.print_line)
    app.rollout.defer(app.recorder.count)
    loop = uvloop.new_event_loop()
    try:
        loop.run_until_complete(_run(public, sockets, parent))
    finally:
        if client is not None:
            client.close()
        app.rollout.evidence.flush()
        release_counters()
        loop.close()
        app.tracer.close()
        parent.logs.close()
    return 0


def _count(public: PublicListener, parent: Parent, index: int) -> None:
    """Count in this worker's region from now on; where metrics are off, requests only, for the status."""
    app = public.app
    region = parent.counters.of_worker(index)
    region.begin()
    app.recorder.attach(region)
    public.observer.recorder = app.recorder
    logging.getLogger(ROOT).addHandler(LogCounter(app.recorder))
    if app.engine.counters is None:
        return
    app.engine.count_in(VerdictCounters(region))
    public.gauges = WorkerGauges(app.engine, app.recorder, index)
    public.metrics = Metrics(public, parent.counters, app.recorder, parent.heartbeats.restarts)


async def _run(public: PublicListener, sockets: Sockets, parent: Parent) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGUSR1, public.sync)
    loop.add_reader(parent.life, _end_alone, loop, parent.life, stop)
    await call_on_thread(public.follow, inline=True)
    public.note_tables()
    if not await _await_keys(public, stop):
        return
    listeners: list[Listener] = [public]
    servers = [await _listen(partial(SidecarProtocol, public, loop), sockets.public)]
    if sockets.admin is not None and public.status is not None:
        actions = AdminActions(public, public.settings.admin_token)
        admin = AdminListener(public.settings, actions, public.status)
        listeners.append(admin)
        public.other_listeners["admin"] = admin
        servers.append(await _listen(partial(AdminProtocol, admin, loop), sockets.admin))
    grpc = await _start_grpc(public) if sockets.grpc is None else None
    if sockets.grpc is not None:
        from rapidjws.sidecar.grpc_connection import GrpcConnection
        from rapidjws.sidecar.grpc_listener import GrpcListener

        calls = GrpcListener(public)
        listeners.append(calls)
        public.other_listeners["grpc"] = calls
        servers.append(await _listen(partial(GrpcConnection, calls, loop), sockets.grpc))
    os.write(parent.status, b"ready\n")
    polls = PeriodicPoll(None if sockets.index else public.app.signals, public.change_bus)
    flushes = PeriodicFlush(public.rollout.evidence.flush, public.report, public.print_line, loop.time())
    app = public.app
    clock = ClockWatch(all_of(app.lines, app.recent, app.event_log)) if not sockets.index else None
    while not stop.is_set():
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(stop.wait(), TICK_S)
        parent.heartbeats.beat(sockets.index)
        try:
            public.on_tick(loop.time())
            for one in listeners[1:]:
                one.sweep(loop.time())
            flushes.on_tick(loop.time())
            polls.on_tick(loop.time())
            if clock is not None:
                clock.on_tick()
        except Exception:  # no thread, no memory, no disk: what is due is due again; requests go on
            _log.exception("what a worker does from time to time could not be done")
    for server in servers:
        await server.close()
    await _drain(listeners, grpc, loop.time() + public.settings.drain_s)


class PeriodicFlush:
    """A thread that writes the evidence from time to time: one at most, and nobody waits for it.

    A disk may take longer than a worker may stand still.

    Args:
        flush: Writes; runs on a worker thread.
        report: Is called on the loop after each.
        print_line: Writes one line for the operator.
        now_s: The loop's clock.
    """

    def __init__(
        self,
        flush: Callable[[], None],
        report: Callable[[], None],
        print_line: Callable[[str], None],
        now_s: float,
    ) -> None:
        self._flush = flush
        self._report = report
        self._send_line = print_line
        self._begun_s = now_s
        self._is_slow = False
        self._task: Task[None] | None = None

    def on_tick(self, now_s: float) -> None:
        """Look after the flush under way, and begin the next one where it is due.

        Raises:
            Exception: What the last one raised.
        """
        task = self._task
        if task is not None:
            if not task.future.done():
                if not self._is_slow and now_s - self._begun_s >= SLOW_FLUSH_S:
                    self._is_slow = True
                    self._send_line(_SLOW)
                return
            self._task = None
            if self._is_slow:
                self._is_slow = False
                self._send_line(f"over: {_SLOW}")
            self._report()
            task.future.result()
        if now_s - self._begun_s < FLUSH_S:
            return
        self._begun_s = now_s
        task = Task(self._flush)
        if submit(task) or task.take_back() is None:  # or no thread: when it is due again
            self._task = task


_SLOW: Final = f"the rollout's evidence is not written: the disk has not answered for {SLOW_FLUSH_S:.0f} s"


async def _await_keys(public: PublicListener, stop: asyncio.Event) -> bool:
    """Wait for keys before anything is accepted; return False where this worker is to stop meanwhile."""
    loop = asyncio.get_running_loop()
    waits = wait_for_keys(public.engine, public.settings.ready_timeout_s, public.print_line)
    tasks: set[asyncio.Task[Any]] = {loop.create_task(waits), loop.create_task(stop.wait())}
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
    for task in done:
        task.result()
    return not stop.is_set()


def _end_alone(loop: asyncio.AbstractEventLoop, life: int, stop: asyncio.Event) -> None:
    """Stop once the supervisor is gone: nobody would tell this worker of changes."""
    loop.remove_reader(life)
    stop.set()


def _send_line(status: int, line: str) -> None:
    """Hand one line to the supervisor, which writes it once though every worker finds the same."""
    with contextlib.suppress(OSError):
        octets = " ".join(line.split()).encode("utf-8", "backslashreplace")
        os.write(status, octets[: LINE_MAX_BYTES - 1] + b"\n")  # so much is written whole or not at all


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSocket:
    """A listening socket of a worker, and who answers its connections."""

    protocol: Callable[[], asyncio.Protocol]
    socket: socket.socket
    server: asyncio.AbstractServer

    async def close(self) -> None:
        """Stop listening; connections that the system has already made are taken first, or it resets them."""
        loop = asyncio.get_running_loop()
        rest = self.socket.dup()
        self.server.close()
        made: list[socket.socket] = []
        with contextlib.suppress(OSError):
            while len(made) < BACKLOG:
                made.append(rest.accept()[0])
        rest.close()
        for one in made:
            one.setblocking(False)
            with contextlib.suppress(OSError):
                await loop.connect_accepted_socket(self.protocol, one)


async def _listen(protocol: Callable[[], asyncio.Protocol], one: socket.socket) -> ServerSocket:
    one.setblocking(False)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(protocol, sock=one, backlog=BACKLOG)
    return ServerSocket(protocol=protocol, socket=one, server=server)


async def _start_grpc(public: PublicListener) -> Any:
    """Start the gRPC server where it is asked for; return it or None."""
    settings = public.settings
    if settings.grpc_listen is None:
        return None
    from rapidjws.sidecar.ext_authz import start

    return await start(public, settings.grpc_listen, handshake_s=settings.header_timeout_s)


async def _drain(listeners: list[Listener], grpc: Any, end_s: float) -> None:
    """Let requests under way end, until a moment of the loop's clock."""
    loop = asyncio.get_running_loop()
    for one in listeners:
        one.draining = True
    stopping = None if grpc is None else loop.create_task(grpc.stop(max(0.0, end_s - loop.time())))
    while any(one.connections for one in listeners) and loop.time() < end_s:
        await asyncio.sleep(LOOK_S)
        await asyncio.sleep(0)  # lets the loop read what came meanwhile: its connection is not at rest
        for one in listeners:
            one.drain()
            one.sweep(loop.time())
    if stopping is not None:
        await stopping
