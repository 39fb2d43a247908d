"""``rapidjws dashboard``: print a Grafana dashboard."""

from __future__ import annotations

from enum import Enum
from importlib import resources
from typing import Annotated

import typer


class DashboardName(str, Enum):
    """The dashboards there are."""

    EXECUTIVE = "executive"
    ONCALL = "oncall"
    DEBUG = "debug"


def dashboard(
    name: Annotated[DashboardName, typer.Argument(help="Which one.")],
) -> None:
    """Print a dashboard as Grafana imports it."""
    path = resources.files("rapidjws.observe") / "data" / "dashboards" / f"{name.value}.json"
    print(path.read_text("utf-8"), end="")
