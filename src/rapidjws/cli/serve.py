"""``rapidjws serve``: the sidecar behind nginx, Envoy, HAProxy, Traefik and Caddy."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rapidjws.cli.config_check import problems_in
from rapidjws.cli.output import complain
from rapidjws.config.audit_section import audit_settings_from
from rapidjws.config.log_section import log_settings_from
from rapidjws.config.read import load_config
from rapidjws.config.sections import lenient_phase, phase_not_in_force
from rapidjws.config.senders import sender_constraints_of
from rapidjws.errors import RapidJWSError
from rapidjws.sidecar.app import app_from
from rapidjws.sidecar.body_settings import body_settings_from
from rapidjws.sidecar.server import serve as serve_workers
from rapidjws.sidecar.settings import absolute_address, settings_from

if TYPE_CHECKING:
    from rapidjws.config.read import LoadedConfig


def serve(
    config: Annotated[Path, typer.Option("--config", help="Configuration file, TOML or JSON.")],
    listen: Annotated[
        str | None, typer.Option(help="host:port or unix:/path, instead of the file's.")
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Processes, instead of the file's.")] = None,
) -> None:
    """Decide for a gateway over HTTP until SIGTERM: exit 0 after draining, 2 on a wrong configuration."""
    given: dict[str, Any] = {}
    if listen is not None:
        given["listen"] = absolute_address(listen, Path())
    if workers is not None:
        given["workers"] = workers
    try:
        loaded = load_config(config, check=False, server=given)
        _refuse_problems(loaded)
        for notice in (phase_not_in_force, lenient_phase):
            words = notice(loaded.section("rollout"), folder=loaded.folder)
            if words is not None:
                print(f"rapidjws serve: {words}", file=sys.stderr, flush=True)
        bodies = loaded.section("server.body")
        body = body_settings_from(bodies, loaded.folder) if bodies else None
        sender = sender_constraints_of(loaded)
        settings = settings_from(loaded.section("server"), loaded.folder, sender, body)
        logs = log_settings_from(loaded.section("logs"), loaded.folder)
        audit = audit_settings_from(loaded.section("audit"), loaded.folder)
        status = serve_workers(settings, partial(app_from, loaded), logs, audit)
    except RapidJWSError as refused:
        complain("serve", refused)
        raise typer.Exit(2) from None
    except OSError as fault:
        complain("serve", fault.strerror or fault)
        raise typer.Exit(2) from None
    raise typer.Exit(2 if status else 0)


def _refuse_problems(loaded: LoadedConfig) -> None:
    """Write all that is wrong with a configuration and what it names, a line each, before anything is forked.

    Raises:
        typer.Exit: Something is wrong.
    """
    problems = problems_in(loaded, lambda table: settings_from(table, loaded.folder))
    for one in problems:
        complain("serve", f"{loaded.path}:{one}")
    if problems:
        raise typer.Exit(2)
