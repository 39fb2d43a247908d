"""The dashboards of the package as tests read them: panels and their expressions, variables filled in."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

NAMES = ("debug", "executive", "oncall")
_FILLED = {"$issuer": ".*", "$partner": ".*", "$__rate_interval": "1m"}


def dashboard(name: str) -> dict[str, Any]:
    """Return a dashboard."""
    path = resources.files("rapidjws.observe") / "data" / "dashboards" / f"{name}.json"
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return found


def filled(expression: str) -> str:
    """Return an expression with Grafana's variables filled in."""
    for name, value in _FILLED.items():
        expression = expression.replace(name, value)
    return expression


def metric_queries(name: str) -> list[tuple[str, str]]:
    """Return title and expression of each query to Prometheus: panels and annotations."""
    found = []
    for panel in dashboard(name)["panels"]:
        for target in panel.get("targets", ()):
            if target["datasource"]["type"] == "prometheus":
                found.append((panel["title"], filled(target["expr"])))
    for one in dashboard(name)["annotations"]["list"]:
        found.append((f"annotation {one['name']}", filled(one["expr"])))
    return found


def log_queries(name: str) -> list[tuple[str, str]]:
    """Return title and expression of each query to the logs."""
    return [
        (panel["title"], target["expr"])
        for panel in dashboard(name)["panels"]
        for target in panel.get("targets", ())
        if target["datasource"]["type"] == "loki"
    ]
