"""The alert rules for Prometheus, and what Alertmanager makes of them.

``tools/alerts.py`` writes them to files of the package. Durations can be divided by a scale, for game days.
Burn rates: Google's SRE Workbook, chapter 5, "Alerting on SLOs".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from rapidjws.observe.alert_list import ALERTS, ISSUER_RATIO, PREFIX, WINDOWS_S

if TYPE_CHECKING:
    from rapidjws.observe.alert_list import Alert

GROUP_INTERVAL_S: Final = 15.0

ABSENT_MIN_S: Final = 15.0
"""Shortest time for which a service must not answer, whatever the scale: a scrape takes its time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Links:
    """Where alerts link to.

    Attributes:
        runbooks: Address of a runbook, ``{name}`` for its name.
        dashboards: Address of a dashboard, ``{name}`` for its uid.
    """

    runbooks: str = "https://docs.example/rapidjws/operations/runbooks/{name}/"
    dashboards: str = "https://grafana.example/d/{name}"


def duration(seconds: float, scale: float = 1.0) -> str:
    """Return a duration as Prometheus writes it, divided by a scale."""
    milliseconds = max(round(seconds / scale * 1000), 1)
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)):
        if milliseconds % size == 0:
            return f"{milliseconds // size}{unit}"
    return f"{milliseconds}ms"


def scaled(expression: str, scale: float) -> str:
    """Return an expression whose ``<seconds>`` stand for durations, divided by a scale."""
    head, *rest = expression.split("<")
    for piece in rest:
        seconds, _, text = piece.partition(">")
        head += duration(float(seconds), scale) + text if seconds.isdecimal() else f"<{piece}"
    return head


def recording_rules(scale: float = 1.0) -> list[dict[str, Any]]:
    """Return the rules that compute the share of verifications without permit, an issuer and verdict each."""
    return [
        {"record": f"rapidjws:verification_errors:ratio_rate{duration(window_s)}",
         "expr": scaled(ISSUER_RATIO.replace("WINDOW", f"<{window_s}>"), scale)}
        for window_s in WINDOWS_S
    ]  # fmt: skip


def alerting_rule(alert: Alert, links: Links, scale: float = 1.0) -> dict[str, Any]:
    """Return an alert as a rule file holds it."""
    rule: dict[str, Any] = {"alert": PREFIX + alert.name, "expr": scaled(alert.expression, scale)}
    if alert.expression.startswith("absent("):
        rule["for"] = duration(max(alert.for_s / scale, ABSENT_MIN_S))
    elif alert.for_s:
        rule["for"] = duration(alert.for_s, scale)
    rule["labels"] = {"severity": alert.severity, "cause": alert.cause, "service": "rapidjws"}
    if alert.measure:
        rule["labels"]["measure"] = alert.measure
    if alert.escalate:
        rule["labels"]["escalate"] = "true"
    rule["annotations"] = {
        "summary": alert.summary,
        "runbook": alert.runbook,
        "runbook_url": links.runbooks.format(name=alert.runbook),
        "dashboard_url": links.dashboards.format(name=f"rapidjws-{alert.dashboard}"),
    }
    return rule


def rules(links: Links | None = None, scale: float = 1.0) -> dict[str, Any]:
    """Return the rule file.

    Args:
        links: Where alerts link to.
        scale: What durations are divided by; 1 in production.
    """
    links = links or Links()
    interval = duration(GROUP_INTERVAL_S, scale)
    groups = [{"name": "rapidjws-recording", "interval": interval, "rules": recording_rules(scale)}]
    causes = dict.fromkeys(alert.cause for alert in ALERTS)
    for cause in causes:
        found = [alerting_rule(alert, links, scale) for alert in ALERTS if alert.cause == cause]
        groups.append({"name": f"rapidjws-{cause}", "interval": interval, "rules": found})
    return {"groups": groups}


def alertmanager() -> dict[str, Any]:
    """Return a configuration of Alertmanager: groups, receivers without an address, inhibitions."""
    same = ["issuer"]
    rotation = [f'alertname="{PREFIX}PlannedRotation"']
    freeze = [f'alertname="{PREFIX}Freeze"']
    return {
        "route": {
            "receiver": "ticket",
            "group_by": ["service", "issuer", "cause"],
            "group_wait": "10s",
            "group_interval": "1m",
            "repeat_interval": "4h",
            "routes": [
                {"matchers": ['severity="info"'], "receiver": "none"},
                {"matchers": ['escalate="true"'], "receiver": "escalate"},
                {"matchers": ['cause="security"'], "receiver": "security"},
                {"matchers": ['severity="page"'], "receiver": "page"},
            ],
        },
        "receivers": [{"name": name} for name in ("none", "ticket", "page", "security", "escalate")],
        "inhibit_rules": [
            {"source_matchers": rotation, "equal": same,
             "target_matchers": ['cause="rotation"', 'severity=~"page|ticket"']},
            {"source_matchers": rotation, "equal": same,
             "target_matchers": ['cause="refusals"', 'verdict="deny"']},
            {"source_matchers": freeze, "target_matchers": ['cause="rollout"']},
            {"source_matchers": freeze, "target_matchers": ['severity="ticket"', 'cause!="security"']},
            {"source_matchers": ['severity="page"', f'alertname="{PREFIX}KeysUnavailable"'], "equal": same,
             "target_matchers": ['verdict="indeterminate"']},
            {"source_matchers": ['severity="page"', 'cause="refusals"'], "equal": ["issuer", "verdict"],
             "target_matchers": ['severity="ticket"', 'cause="refusals"']},
        ],
    }  # fmt: skip
