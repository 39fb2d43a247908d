"""Alerts, rule files and runbooks name only what is there, and are what the list says."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest
from promql import faults_of, selectors_of

from rapidjws.errors import CODES, RapidJWSError
from rapidjws.observe import METRICS
from rapidjws.observe.alert_list import ALERTS, BUDGET, PREFIX
from rapidjws.observe.alert_rules import Links, alertmanager, duration, rules, scaled
from rapidjws.observe.runbooks import SECTIONS, runbook, runbook_names
from rapidjws.observe.thresholds import THRESHOLDS
from rapidjws.observe.yaml_text import yaml_text

ROOT = Path(__file__).resolve().parents[2]
RULES = [rule for group in rules()["groups"] for rule in group["rules"]]
RECORDED = frozenset(rule["record"] for rule in RULES if "record" in rule)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.get("alert") or rule["record"])
def test_expressions_name_metrics_that_exist(rule: dict[str, str]) -> None:
    """Each metric and label of an expression is in the list of metrics."""
    assert faults_of(rule["expr"], RECORDED) == []


@pytest.mark.parametrize(
    ("expression", "fault"),
    [
        ("rapidjws_nothing_total > 0", "no metric rapidjws_nothing_total"),
        ('rapidjws_jwks_stale{kid="a"} > 0', "rapidjws_jwks_stale has no label kid"),
        ("sum by (sub) (rapidjws_jwks_stale)", "no label sub"),
        ("rapidjws_jwks_keys_bucket > 0", "no metric rapidjws_jwks_keys_bucket"),
    ],
)
def test_the_check_of_expressions_sees(expression: str, fault: str) -> None:
    """A metric or label that is not there is found."""
    assert faults_of(expression) == [fault]


def test_the_check_of_expressions_sees_syntax() -> None:
    """An expression that is none is found."""
    with pytest.raises(ValueError, match=r"invalid|unexpected|unclosed"):
        list(selectors_of("sum by (issuer (rapidjws_jwks_stale)"))


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_alerts_are_whole(alert: object) -> None:
    """Each alert has severity, cause, a summary with a value, a runbook that exists and a dashboard."""
    (rule,) = (rule for rule in RULES if rule.get("alert") == PREFIX + alert.name)  # type: ignore[attr-defined]
    labels, annotations = rule["labels"], rule["annotations"]
    assert labels["severity"] in ("page", "ticket", "info")
    assert labels["cause"]
    assert "$value" in annotations["summary"] or "$labels.issuer" in annotations["summary"]
    assert annotations["runbook"] in runbook_names()
    assert annotations["runbook_url"].endswith(f"/{annotations['runbook']}/")
    assert re.fullmatch(r"https://.*/d/rapidjws-(executive|oncall|debug)", annotations["dashboard_url"])


def test_alert_names_are_unique() -> None:
    """No name stands twice."""
    names = [alert.name for alert in ALERTS]
    assert len(set(names)) == len(names)


def test_burn_rates_are_those_of_the_objective() -> None:
    """Pages at 14.4 times in 1 h and 5 min, at 6 times in 6 h and 30 min, and escalation at 2 for 30 min."""
    by_name = {rule.get("alert"): rule for rule in RULES}
    fast, slow = by_name[f"{PREFIX}VerificationBurnFast"], by_name[f"{PREFIX}VerificationBurnSlow"]
    kept = by_name[f"{PREFIX}VerificationBurnSustained"]
    assert BUDGET == 0.001
    for rule, factor, windows in ((fast, "14.4", ("1h", "5m")), (slow, "6", ("6h", "30m"))):
        assert rule["labels"]["severity"] == "page"
        for window in windows:
            assert f"ratio_rate{window} > {factor} * 0.001" in rule["expr"]
    assert (kept["for"], kept["labels"]["escalate"]) == ("30m", "true")
    assert "> 2 * 0.001" in kept["expr"]
    assert by_name[f"{PREFIX}VerificationBurnDays"]["labels"]["severity"] == "ticket"


def test_durations_are_scaled() -> None:
    """A game day shortens windows, and nothing but windows."""
    assert [duration(one) for one in (90, 300, 3600, 259_200, 0.5)] == ["90s", "5m", "1h", "3d", "500ms"]
    assert scaled("rate(a[<300>]) > 5 and b < 3", 60) == "rate(a[5s]) > 5 and b < 3"
    assert rules(scale=60)["groups"][0]["interval"] == "250ms"


def test_links_are_the_operators() -> None:
    """The addresses of runbooks and dashboards are replaced."""
    links = Links(runbooks="https://wiki.example/{name}", dashboards="https://g.example/d/{name}")
    text = yaml_text(rules(links))
    assert "docs.example" not in text
    assert "https://wiki.example/jwks-down" in text
    assert "https://g.example/d/rapidjws-oncall" in text


def test_yaml_is_read_back_as_it_was() -> None:
    """What is written is YAML of the same values, where a YAML reader is there."""
    yaml = pytest.importorskip("yaml", reason="PyYAML absent: pip install pyyaml")
    for document in (rules(), alertmanager(), {"a": "yes", "b": "1", "c": ["x: y", {"d": []}], "e": {}}):
        assert yaml.safe_load(yaml_text(document)) == document


@pytest.mark.source_tree
@pytest.mark.parametrize("tool", ["alerts", "runbooks"])
def test_made_files_are_current(tool: str) -> None:
    """What the tools would write is what is committed."""
    command = [sys.executable, str(ROOT / "tools" / f"{tool}.py"), "--check"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, f"run tools/{tool}.py {answer.stdout}{answer.stderr}"


def test_rule_files_are_package_data() -> None:
    """The installed package holds the rules and the configuration of Alertmanager."""
    data = resources.files("rapidjws.observe") / "data"
    assert "RapidJWSKeysUnavailable" in (data / "prometheus-rules.yaml").read_text("utf-8")
    assert "inhibit_rules" in (data / "alertmanager.yaml").read_text("utf-8")


WITHOUT_METRIC = {
    "KeysDifferBetweenWorkers": "only the workers' own reports show it",
    "NoVerdictBurn": "VerificationBurnFast has it, with the label verdict",
}


def test_the_services_own_thresholds_have_the_same_names() -> None:
    """A threshold of the status page is an alert by the same name, and its runbook exists."""
    alerts = {alert.name for alert in ALERTS}
    names = {one.name for one in THRESHOLDS}
    assert names - alerts == set(WITHOUT_METRIC)
    assert {one.runbook for one in THRESHOLDS} <= set(runbook_names())


# --- runbooks --------------------------------------------------------------------------------------------

RUNBOOKS = (
    "cache-flush", "clock-skew", "emergency-revoke", "enforcement-rollback", "issuer-down", "jwks-down",
    "key-compromise", "latency", "partner-onboarding", "replay-store-down", "rotation-gone-wrong",
    "verification-failures", "workers",
)  # fmt: skip


def test_runbooks_are_there() -> None:
    """Each fault has its runbook."""
    assert tuple(runbook_names()) == RUNBOOKS


@pytest.mark.parametrize("name", RUNBOOKS)
def test_runbooks_have_every_section(name: str) -> None:
    """Each runbook says symptoms, check, decide, act, verify, escalate and after, with commands where due."""
    one = runbook(name)
    assert tuple(one.sections) == SECTIONS
    assert all(one.sections.values())
    assert all(one.commands(section) for section in ("Variables", "Check", "Act", "Verify"))


@pytest.mark.parametrize("name", RUNBOOKS)
def test_runbooks_name_what_exists(name: str) -> None:
    """Metrics, codes and other runbooks that a runbook names are there, and its variables are set."""
    text = runbook(name).text
    for metric in re.findall(r"rapidjws_[a-z_]+[a-z]", text):
        series = [one for one in METRICS if one.startswith(metric)]
        assert series, f"no metric {metric}"
    assert set(re.findall(r"\]\(([\w-]+)\.md\)", text)) <= set(RUNBOOKS)
    table = re.findall(r"^\| (`[^|]*`)[^|]* \|", runbook(name).sections["Decide"], re.MULTILINE)
    if name == "verification-failures":
        codes = {code for row in table for code in re.findall(r"`(\w+)`", row)}
        assert codes
        assert codes <= set(CODES)
    commands = [line for section in SECTIONS for line in runbook(name).commands(section)]
    assigned = set(re.findall(r"export (\w+)=", "\n".join(commands)))
    used = set(re.findall(r"\$\{?(\w+)", "\n".join(commands)))
    assert used - assigned <= {"EDITOR"}


def test_an_unknown_runbook_is_an_error() -> None:
    """A name that is none is refused, with those that are."""
    with pytest.raises(RapidJWSError) as refused:
        runbook("../alertmanager")
    assert refused.value.code == "configuration_invalid"
    assert "rapidjws runbook" in str(refused.value)
