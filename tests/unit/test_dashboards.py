"""The dashboards show what they must, name only metrics and log fields that exist, and are current."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from dashboards import NAMES, dashboard, log_queries, metric_queries
from promql import faults_of

from rapidjws.observe.alert_list import ALERTS
from rapidjws.observe.log_events import LOGGERS
from rapidjws.observe.metric_list import MEASURES, METRICS

ROOT = Path(__file__).resolve().parents[2]
SHOWN = {
    "executive": {
        "Verification success, 24 h",
        "Burn rate",
        "Rotation state",
        "Top failing services",
    },
    "oncall": {"Recent failures by reason", "JWKS errors", "Key change timeline", "Rotation state"},
    "debug": {
        "Latency histograms by service",
        "Last JWKS update per issuer",
        "Sample of refused tokens",
    },
}


@pytest.mark.parametrize("name", NAMES)
def test_dashboards_show_what_they_must(name: str) -> None:
    """Each dashboard has its panels, a description on each, and marks rotations, promotions and reloads."""
    found = dashboard(name)
    panels = [panel for panel in found["panels"] if panel["type"] != "row"]
    assert {panel["title"] for panel in panels} >= SHOWN[name]
    assert all(panel["description"].endswith(".") for panel in panels)
    marks = " ".join(one["name"] for one in found["annotations"]["list"])
    assert all(word in marks for word in ("Rotations", "Promotions", "Reloads"))
    assert found["uid"] == f"rapidjws-{name}"


@pytest.mark.parametrize("name", NAMES)
def test_dashboards_name_metrics_that_exist(name: str) -> None:
    """Each metric and label of a query is in the list of metrics."""
    faults = {title: faults_of(expression) for title, expression in metric_queries(name)}
    assert {title: found for title, found in faults.items() if found} == {}


def test_every_measure_has_a_panel() -> None:
    """M1 to M10 are each to be seen on some dashboard."""
    shown = " ".join(expression for name in NAMES for _, expression in metric_queries(name))
    measured = {metric.measure: metric.name for metric in METRICS.values() if metric.name in shown}
    assert set(measured) >= set(MEASURES)


def test_every_metric_has_a_panel() -> None:
    """What is measured can be seen: no metric of the list is on no dashboard."""
    shown = " ".join(expression for name in NAMES for _, expression in metric_queries(name))
    named = {word.removesuffix("_bucket") for word in re.findall(r"rapidjws_\w+", shown)}
    assert METRICS.keys() - named == set()


def test_log_panels_name_events_that_exist() -> None:
    """Loggers that a panel of logs asks for are those that write."""
    queries = [query for name in NAMES for _, query in log_queries(name)]
    assert queries
    for query in queries:
        for loggers in re.findall(r"rapidjws\.\(([\w|]+)\)", query):
            assert set(loggers.split("|")) <= set(LOGGERS)


def test_refused_tokens_lead_to_their_traces() -> None:
    """The sample of refused tokens links to traces, and latencies have exemplars."""
    by_title = {panel["title"]: panel for panel in dashboard("debug")["panels"]}
    (link,) = by_title["Sample of refused tokens"]["fieldConfig"]["defaults"]["links"]
    assert "trace_id" in link["url"]
    assert all(target["exemplar"] for target in by_title["Verification latency"]["targets"])


def test_alerts_lead_to_dashboards_that_exist() -> None:
    """The dashboard that an alert links to is there."""
    assert {alert.dashboard for alert in ALERTS} <= set(NAMES)


@pytest.mark.source_tree
def test_dashboards_are_current() -> None:
    """What the tool would write is what is committed."""
    pytest.importorskip("grafana_foundation_sdk", reason="grafana-foundation-sdk absent")
    command = [sys.executable, str(ROOT / "tools" / "dashboards.py"), "--check"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, f"run tools/dashboards.py {answer.stdout}{answer.stderr}"
