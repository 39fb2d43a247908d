"""The sidecar: several workers on one port or Unix socket, started, watched and drained by one parent."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import traceback
from functools import partial
from typing import TYPE_CHECKING

from rapidjws.errors import RapidJWSError, error_for
from rapidjws.observe.logs import InstalledLogs, LogSettings
from rapidjws.sidecar.listeners import listening_sockets
from rapidjws.sidecar.supervisor import Supervisor
from rapidjws.sidecar.systemd import activated_sockets
from rapidjws.sidecar.worker_processes import EXIT_CONFIGURATION

if TYPE_CHECKING:
    from collections.abc import Callable

    from rapidjws.audit.settings import AuditSettings
    from rapidjws.sidecar.app import SidecarApp
    from rapidjws.sidecar.listeners import Sockets
    from rapidjws.sidecar.settings import ServerSettings

    Load = Callable[[], SidecarApp]


def _check_extras(settings: ServerSettings) -> None:
    """Refuse to start what each worker would miss; nothing is imported here, for grpcio does not fork."""
    needed = [("httptools", "server"), ("uvloop", "server")]
    if settings.grpc_listen is not None:
        needed.append(("grpc" if settings.grpc_server == "grpcio" else "ngh2", "envoy"))
    for module, extra in needed:
        if importlib.util.find_spec(module) is None:
            raise error_for("configuration_invalid", "serve", f"the extra: rapidjws[{extra}]")


def serve(
    settings: ServerSettings, load: Load, logs: LogSettings | None = None, audit: AuditSettings | None = None
) -> int:
    """Serve until SIGTERM or SIGINT; a worker that dies is started again, later each time it does so at once.

    Args:
        settings: How to serve.
        load: Builds engine and rollout, in each worker.
        logs: Where log lines go; None for JSON lines on standard error.
        audit: The trail whose sequencer runs beside the workers, or None.

    Returns:
        The exit status: 0 after draining, 78 where the configuration is refused.

    Raises:
        AddressInUse: Another process listens on an address.
        OSError: An address cannot be listened on.
        ConfigurationError: ``configuration_invalid``: an extra is not installed.
    """
    _check_extras(settings)
    import rapidjws.sidecar.worker  # noqa: F401  # now: a worker started after an upgrade is as the others

    sockets = listening_sockets(settings, activated_sockets())
    return Supervisor(settings, sockets, partial(_work, load), logs or LogSettings(), audit).run()


def _work(load: Load, supervisor: Supervisor, sockets: Sockets, status: int) -> int:
    """Serve in a forked worker, which says by ``status`` why it cannot; return the exit status."""
    try:
        from rapidjws.sidecar.worker import Parent, work

        logs = InstalledLogs(supervisor.logs, worker=sockets.index)  # first: a load has something to log
        seen = supervisor.change_bus.counters()  # before the load: changes meanwhile are applied after it
        parent = Parent(
            change_bus=supervisor.change_bus,
            heartbeats=supervisor.heartbeats,
            counters=supervisor.counters,
            life=supervisor.life,
            status=status,
            logs=logs,
        )
        app = load()
        return work(app.settings_from(supervisor.settings), app, parent, sockets.opened(), seen)
    except RapidJWSError as refused:
        _say(status, str(refused))
        return EXIT_CONFIGURATION if refused.code == "configuration_invalid" else 1
    except OSError as fault:
        _say(status, str(fault))
        return EXIT_CONFIGURATION
    except Exception:  # os._exit would swallow it
        traceback.print_exc()
        return 1


def _say(status: int, line: str) -> None:
    with contextlib.suppress(OSError):
        os.write(status, (" ".join(line.split()) + "\n").encode("utf-8", "backslashreplace"))
