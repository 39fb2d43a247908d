"""The sidecar: several workers on one port or Unix socket, started, watched and drained by one parent."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from functools import partial
from typing import TYPE_CHECKING, Final

from rapidjws.errors import RapidJWSError, error_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from rapidjws.engine.engine import Engine
    from rapidjws.gateway.protocol import Shared
    from rapidjws.gateway.settings import ServerSettings
    from rapidjws.policy.rollout import Rollout

    Load = Callable[[], "tuple[Engine, Rollout]"]

EXIT_CONFIGURATION: Final = 78
"""A worker that cannot be configured ends with this, and is not started again (EX_CONFIG)."""

FLUSH_S: Final = 2.0
BACKLOG: Final = 2048


def listening_sockets(settings: ServerSettings) -> list[socket.socket]:
    """Return a bound socket for each worker: one shared Unix socket, or TCP sockets on one port.

    Raises:
        OSError: The address is taken, or not ours.
    """
    if settings.listen.startswith("unix:"):
        path = settings.listen.removeprefix("unix:")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        shared = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        shared.bind(path)
        return [shared] * settings.workers
    host, _, port = settings.listen.rpartition(":")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound: list[socket.socket] = []
    for _ in range(settings.workers):
        one = socket.socket(family, socket.SOCK_STREAM)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        one.bind((host, int(port) if not bound else bound[0].getsockname()[1]))
        bound.append(one)
    return bound


def serve(settings: ServerSettings, load: Load) -> int:
    """Serve until SIGTERM or SIGINT; a worker that dies is started again.

    Args:
        settings: How to serve.
        load: Builds engine and rollout, in each worker.

    Returns:
        The exit status: 0 after draining, 78 where the configuration is refused.

    Raises:
        OSError: The address cannot be listened on.
        ConfigurationError: ``configuration_invalid``: the extra ``server`` is not installed.
    """
    try:
        import httptools  # noqa: F401 (missing in the parent is missing in each worker)
    except ImportError:
        raise error_for("configuration_invalid", "serve", "the extra: rapidjws[server]") from None
    sockets = listening_sockets(settings)
    stopping: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.append(1))
    workers = {_start(settings, load, one): one for one in sockets}
    print(f"rapidjws serve: {_address(sockets[0])}, {settings.workers} workers", file=sys.stderr, flush=True)
    status = 0
    while not stopping and not status:
        for pid, code in _ended(workers):
            listener = workers.pop(pid)
            if code == EXIT_CONFIGURATION:
                status = EXIT_CONFIGURATION
            else:
                time.sleep(0.2)
                workers[_start(settings, load, listener)] = listener
        time.sleep(0.05)
    _stop(workers, settings.drain_s)
    return status


def _address(one: socket.socket) -> str:
    name = one.getsockname()
    return f"unix:{name}" if isinstance(name, str) else f"{name[0]}:{name[1]}"


def _ended(workers: dict[int, socket.socket]) -> list[tuple[int, int]]:
    ended = []
    for pid in workers:
        found, state = os.waitpid(pid, os.WNOHANG)
        if found:
            ended.append((pid, os.waitstatus_to_exitcode(state)))
    return ended


def _stop(workers: dict[int, socket.socket], drain_s: float) -> None:
    """Let each worker finish what it began, and end those that do not."""
    for pid in workers:
        os.kill(pid, signal.SIGTERM)
    end_s = time.monotonic() + drain_s + 2.0
    while workers and time.monotonic() < end_s:
        for pid, _ in _ended(workers):
            del workers[pid]
        time.sleep(0.02)
    for pid in workers:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _start(settings: ServerSettings, load: Load, listener: socket.socket) -> int:
    """Fork a worker and return its process id."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        status = _work(settings, load, listener)
    except RapidJWSError as refused:
        print(f"rapidjws serve: {refused}", file=sys.stderr, flush=True)
        status = EXIT_CONFIGURATION if refused.code == "configuration_invalid" else 1
    finally:
        sys.stderr.flush()
        os._exit(status)


def _work(settings: ServerSettings, load: Load, listener: socket.socket) -> int:
    """Serve in this process until SIGTERM."""
    import uvloop

    from rapidjws.gateway.protocol import Shared

    engine, rollout = load()
    loop = uvloop.new_event_loop()
    try:
        loop.run_until_complete(run(Shared(engine, rollout, settings), listener))
    finally:
        rollout.evidence.flush()
        loop.close()
    return 0


async def run(shared: Shared, listener: socket.socket) -> None:
    """Serve connections of a bound socket until SIGTERM or SIGINT, then drain."""
    from rapidjws.gateway.protocol import SidecarProtocol

    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    listener.setblocking(False)
    server = await loop.create_server(partial(SidecarProtocol, shared, loop), sock=listener, backlog=BACKLOG)
    flushed_s = loop.time()
    while not stop.is_set():
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(stop.wait(), 0.5)
        shared.sweep(loop.time())
        if loop.time() - flushed_s >= FLUSH_S:
            await loop.run_in_executor(None, shared.rollout.evidence.flush)
            flushed_s = loop.time()
    shared.draining = True
    server.close()
    end_s = loop.time() + shared.settings.drain_s
    while shared.connections and loop.time() < end_s:
        for connection in tuple(shared.connections):
            connection.drain()
        shared.sweep(loop.time())
        await asyncio.sleep(0.02)
