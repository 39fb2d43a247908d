"""``rapidjws serve``: the sidecar behind nginx, Envoy, HAProxy, Traefik and Caddy."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from rapidjws import _files
from rapidjws.cli.config_check import problems_in
from rapidjws.cli.output import complain
from rapidjws.config import schema
from rapidjws.config.log_section import log_settings_from, tracer_from
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.middleware.token_location import TokenLocation
from rapidjws.observe.event_log import EventLog
from rapidjws.observe.recorder import MetricRecorder
from rapidjws.observe.tracing import NO_TRACER, TraceEvents
from rapidjws.sidecar.app import SidecarApp
from rapidjws.sidecar.event_lines import EventLines
from rapidjws.sidecar.recent_events import RecentEvents
from rapidjws.sidecar.server import serve as serve_workers
from rapidjws.sidecar.settings import ServerSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rapidjws.config.load import ConfigFile, LoadedConfig
    from rapidjws.keys.hook import Invalidated

_PLACE = {"token_header": "header", "token_scheme": "scheme", "token_cookie": "cookie"}


_SECRETS = {"admin_token_file": "admin_token", "hook_secret_file": "hook_secret"}
SECRET_MAX_BYTES = 4096


def _secret(path: Path, place: str) -> str:
    """Return the secret in a file; raises ConfigurationError."""
    try:
        return _files.read_trusted(path, SECRET_MAX_BYTES).decode("utf-8").strip()
    except (OSError, ValueError) as fault:
        found = (fault.strerror if isinstance(fault, OSError) else None) or type(fault).__name__
        raise error_for("configuration_invalid", place, "a file to read", found) from None


def absolute_address(address: str, folder: Path) -> str:
    """Return an address whose Unix socket, where it is one, has an absolute path.

    Args:
        address: ``host:port`` or ``unix:path``.
        folder: What a relative path is relative to.
    """
    path = address.removeprefix("unix:")
    return address if path == address or not path else f"unix:{(folder / path).absolute()}"


def settings_from(section: dict[str, Any], folder: Path) -> ServerSettings:
    """Return the settings of a table ``server``; raises ConfigurationError.

    Args:
        section: The table.
        folder: What paths are relative to.
    """
    settings = dict(section)
    for name, mine in _SECRETS.items():
        if name in settings:
            settings[mine] = _secret(folder / settings.pop(name), f"server.{name}")
    for name in schema.ADDRESSES:
        if name in settings:
            settings[name] = absolute_address(settings[name], folder)
    place = {mine: settings.pop(name) for name, mine in _PLACE.items() if name in settings}
    headers = settings.get("route_headers")
    if headers is not None:
        settings["route_headers"] = (headers,) if isinstance(headers, str) else tuple(headers)
    return ServerSettings(place=TokenLocation(**place), **settings)


def load(
    path: Path, loaded: LoadedConfig | None = None, server: Mapping[str, Any] | None = None
) -> SidecarApp:
    """Return what a configuration file asks for; raises RapidJWSError.

    Args:
        path: The file.
        loaded: What was read of it before the workers were forked.
        server: The table ``server`` as the command line changed it, or None.
    """
    from rapidjws.config.load import ConfigFile
    from rapidjws.config.relay import Relay, both
    from rapidjws.config.sections import key_sources_of, rollout_from, shadow_from

    relay = Relay()
    config = ConfigFile(path, events=relay, loaded=loaded)
    engine = config.engine
    rollout = rollout_from(
        config.section("rollout") or {},
        config.section("partners") or [],
        folder=path.parent,
        issuer_leeway_s=min(issuer.leeway_s for issuer in engine.issuers),
        shadow=shadow_from(config.section("shadow") or {}),
        key_sources=key_sources_of(config.issuer_tables),
        partners_named="partner_header" in (config.section("server") or {}),
    )
    lines = EventLines()
    recent = RecentEvents()
    recorder = MetricRecorder(lambda: key_sources_of(config.issuer_tables))
    recorder.has_exemplars = (config.section("observability") or {}).get("exemplars", True)
    logs = log_settings_from(config.section("logs") or {}, path.parent)
    event_log = EventLog(lines_per_minute=logs.lines_per_minute)
    event_log.follow_revocations(engine.revocations)
    tracer = tracer_from(config.section("traces"))
    listener = both(both(both(rollout.note, recorder), event_log), both(lines, recent))
    relay.hand_to(listener if tracer is NO_TRACER else both(listener, TraceEvents(tracer)))
    engine.rollout = rollout
    config.watch()
    return SidecarApp(
        engine=engine,
        rollout=rollout,
        reload=config.reload,
        sources=lambda: _invalidated(config),
        tables=lambda: config.tables if server is None else {**config.tables, "server": server},
        lines=lines,
        recent=recent,
        recorder=recorder,
        logs=logs,
        event_log=event_log,
        tracer=tracer,
    )


def _invalidated(config: ConfigFile) -> dict[str, Invalidated]:
    """Return the sources that can be invalidated by a rotation."""
    found = config.sources.items()
    return {iss: cast("Invalidated", source) for iss, source in found if hasattr(source, "invalidate")}


def serve(
    config: Annotated[Path, typer.Option("--config", help="Configuration file, TOML or JSON.")],
    listen: Annotated[
        str | None, typer.Option(help="host:port or unix:/path, instead of the file's.")
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Processes, instead of the file's.")] = None,
) -> None:
    """Decide for a gateway over HTTP until SIGTERM: exit 0 after draining, 2 on a wrong configuration."""
    from rapidjws.config.load import load_config
    from rapidjws.config.sections import lenient_phase, phase_not_in_force

    try:
        loaded = load_config(config, check=False)
        server = loaded.tables.get("server", {})
        section = dict(server) if isinstance(server, dict) else {}
        if listen is not None:
            section["listen"] = absolute_address(listen, Path())
        if workers is not None:
            section["workers"] = workers
        _refuse_problems(loaded, section)
        rollout = loaded.tables.get("rollout", {})
        for notice in (phase_not_in_force, lenient_phase):
            words = notice(rollout, folder=config.parent)
            if words is not None:
                print(f"rapidjws serve: {words}", file=sys.stderr, flush=True)
        logs = log_settings_from(dict(loaded.tables.get("logs", {})), config.parent)
        settings = settings_from(section, config.parent)
        status = serve_workers(settings, lambda: load(config, loaded, section), logs)
    except RapidJWSError as refused:
        complain("serve", refused)
        raise typer.Exit(2) from None
    except OSError as fault:
        complain("serve", fault.strerror or fault)
        raise typer.Exit(2) from None
    raise typer.Exit(2 if status else 0)


def _refuse_problems(loaded: LoadedConfig, server: dict[str, Any]) -> None:
    """Write all that is wrong with a configuration and what it names, a line each, before anything is forked.

    Args:
        loaded: The configuration.
        server: Its table ``server``, as the command line changed it.

    Raises:
        typer.Exit: Something is wrong.
    """
    folder = loaded.path.parent
    tables = dict(loaded.tables)
    if server != tables.get("server", {}) and isinstance(tables.get("server", {}), dict):
        tables["server"] = server
    problems = problems_in(loaded.text, tables, folder, lambda table: settings_from(table, folder))
    for one in problems:
        complain("serve", f"{loaded.path}:{one}")
    if problems:
        raise typer.Exit(2)
