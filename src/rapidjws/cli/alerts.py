"""``rapidjws alerts``: the alert rules for Prometheus, and a configuration of Alertmanager."""

from __future__ import annotations

from typing import Annotated

import typer

from rapidjws.observe.alert_rules import Links, rules
from rapidjws.observe.alert_rules import alertmanager as alertmanager_configuration
from rapidjws.observe.yaml_text import yaml_text

_LINKS = Links()


def alerts(
    runbooks: Annotated[
        str, typer.Option(help="Address of a runbook; {name} stands for its name.")
    ] = _LINKS.runbooks,
    dashboards: Annotated[
        str, typer.Option(help="Address of a dashboard; {name} stands for its uid.")
    ] = _LINKS.dashboards,
    alertmanager: Annotated[
        bool, typer.Option("--alertmanager", help="Print a configuration of Alertmanager instead.")
    ] = False,
) -> None:
    """Print the alert rules as YAML, with your addresses."""
    links = Links(runbooks=runbooks, dashboards=dashboards)
    print(yaml_text(alertmanager_configuration() if alertmanager else rules(links)), end="")
