"""The sidecar: several workers on one port or Unix socket, started, watched and drained by one parent."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import socket
import sys
import time
import traceback
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from rapidjws.errors import RapidJWSError, error_for
from rapidjws.gateway.board import Board

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rapidjws.engine.engine import Engine
    from rapidjws.gateway.settings import ServerSettings
    from rapidjws.keys.hook import Invalidated
    from rapidjws.policy.rollout import Rollout

    Load = Callable[[], "Served"]

EXIT_CONFIGURATION: Final = 78
"""A worker that cannot be configured ends with this, and is not started again (EX_CONFIG)."""


def _nothing() -> None:
    """Do nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """Hold what a worker serves.

    Attributes:
        engine: Decides.
        rollout: Its policy.
        reload: Reads the configuration again, whole or not at all.
        sources: iss -> key source, as configured now.
    """

    engine: Engine
    rollout: Rollout
    reload: Callable[[], None] = _nothing
    sources: Callable[[], Mapping[str, Invalidated]] = field(default=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sockets:
    """Hold a worker's sockets and its number.

    Attributes:
        index: The worker's number.
        public: Where requests come.
        admin: Where admin actions come, shared by all workers, or None.
    """

    index: int
    public: socket.socket
    admin: socket.socket | None


def bound(address: str, *, reuse_port: bool = False, mode: int | None = None) -> socket.socket:
    """Return a bound socket.

    Args:
        address: ``"host:port"`` or ``"unix:/path"``; a socket that lies there is replaced.
        reuse_port: Whether others may bind the same port.
        mode: The rights of a Unix socket, from its first moment on; None for the process's own.

    Raises:
        OSError: The address is taken, or not ours.
    """
    if address.startswith("unix:"):
        path = address.removeprefix("unix:")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        one = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        before = None if mode is None else os.umask(0o777 & ~mode)
        try:
            one.bind(path)
        finally:
            if before is not None:
                os.umask(before)
        return one
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    one = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if reuse_port:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    one.bind((host, int(port)))
    return one


def listening_sockets(settings: ServerSettings) -> list[Sockets]:
    """Return the sockets of each worker: one shared Unix socket, or TCP sockets on one port.

    Raises:
        OSError: An address is taken, or not ours.
    """
    admin = None if settings.admin_listen is None else bound(settings.admin_listen, mode=0o600)
    first = bound(settings.listen, reuse_port=True)
    public = [first] * settings.workers
    if not settings.listen.startswith("unix:"):
        host = settings.listen.rpartition(":")[0]
        same = f"{host}:{first.getsockname()[1]}"
        public[1:] = [bound(same, reuse_port=True) for _ in public[1:]]
    return [Sockets(index=index, public=one, admin=admin) for index, one in enumerate(public)]


def _check_extras(settings: ServerSettings) -> None:
    """Refuse to start what each worker would miss; nothing is imported here, for grpcio does not fork."""
    needed = [("httptools", "server"), ("uvloop", "server")]
    if settings.grpc_listen is not None:
        needed.append(("grpc", "envoy"))
    for module, extra in needed:
        if importlib.util.find_spec(module) is None:
            raise error_for("configuration_invalid", "serve", f"the extra: rapidjws[{extra}]")


def serve(settings: ServerSettings, load: Load) -> int:
    """Serve until SIGTERM or SIGINT; a worker that dies is started again.

    Args:
        settings: How to serve.
        load: Builds engine and rollout, in each worker.

    Returns:
        The exit status: 0 after draining, 78 where the configuration is refused.

    Raises:
        OSError: The address cannot be listened on.
        ConfigurationError: ``configuration_invalid``: an extra is not installed.
    """
    _check_extras(settings)
    sockets = listening_sockets(settings)
    board = Board(settings.workers)
    stopping: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.append(1))
    workers = {_start(settings, load, board, one): one for one in sockets}
    shown = _address(sockets[0].public)
    print(f"rapidjws serve: {shown}, {settings.workers} workers", file=sys.stderr, flush=True)
    status = 0
    while not stopping and not status:
        for pid, code in _ended(workers):
            one = workers.pop(pid)
            board.forget(one.index)
            if code == EXIT_CONFIGURATION:
                status = EXIT_CONFIGURATION
            else:
                time.sleep(0.2)
                workers[_start(settings, load, board, one)] = one
        time.sleep(0.05)
    _stop(workers, settings.drain_s)
    board.close()
    for address in (settings.listen, settings.admin_listen):
        if address is not None and address.startswith("unix:"):
            with contextlib.suppress(OSError):
                os.unlink(address.removeprefix("unix:"))
    return status


def _address(one: socket.socket) -> str:
    name = one.getsockname()
    return f"unix:{name}" if isinstance(name, str) else f"{name[0]}:{name[1]}"


def _ended(workers: dict[int, Sockets]) -> list[tuple[int, int]]:
    ended = []
    for pid in workers:
        found, state = os.waitpid(pid, os.WNOHANG)
        if found:
            ended.append((pid, os.waitstatus_to_exitcode(state)))
    return ended


def _stop(workers: dict[int, Sockets], drain_s: float) -> None:
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


def _start(settings: ServerSettings, load: Load, board: Board, sockets: Sockets) -> int:
    """Fork a worker and return its process id."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # until the loop listens
        from rapidjws.gateway.worker import work

        seen = board.counters()  # before the load: what changes meanwhile is taken over after it
        status = work(settings, load(), board, sockets, seen)
    except RapidJWSError as refused:
        print(f"rapidjws serve: {refused}", file=sys.stderr, flush=True)
        status = EXIT_CONFIGURATION if refused.code == "configuration_invalid" else 1
    except OSError as fault:
        print(f"rapidjws serve: {fault}", file=sys.stderr, flush=True)
        status = EXIT_CONFIGURATION
    except Exception:  # os._exit would swallow it
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)
