"""``rapidjws serve``: the sidecar behind nginx, Envoy, HAProxy, Traefik and Caddy."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rapidjws.cli.service import run_service


def serve(
    config: Annotated[Path, typer.Option("--config", help="Configuration file, TOML or JSON.")],
    listen: Annotated[
        str | None, typer.Option(help="host:port or unix:/path, instead of the file's.")
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Processes, instead of the file's.")] = None,
) -> None:
    """Decide for a gateway over HTTP until SIGTERM: exit 0 after draining, 2 on a wrong configuration."""
    raise typer.Exit(run_service(config, listen, workers))
