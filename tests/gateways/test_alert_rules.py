"""The alert rules, by the real promtool and Alertmanager: each alert fires, is quiet, and is inhibited."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from alert_cases import CASES, Series
from monitoring import ALERTMANAGER, free_port, program

from rapidjws.observe.alert_list import ALERTS, PREFIX
from rapidjws.observe.alert_rules import alertmanager, rules
from rapidjws.observe.yaml_text import yaml_text

pytestmark = pytest.mark.gateways

Promtool = Callable[..., str]
BY_NAME = {alert.name: alert for alert in ALERTS}


@pytest.fixture(scope="module")
def promtool(tmp_path_factory: pytest.TempPathFactory) -> Promtool:
    """Give what has promtool run tests against an alert's rule, and returns what it says."""
    binary = program("promtool")
    folder = tmp_path_factory.mktemp("rules")

    def run(name: str, tests: list[dict[str, Any]], step: str = "1m") -> str:
        (folder / "rules.yaml").write_text(yaml_text(rule_alone(name)))
        document = {"rule_files": ["rules.yaml"], "evaluation_interval": step, "tests": tests}
        path = folder / "tests.yaml"
        path.write_text(json.dumps(document))
        answer = subprocess.run(
            [binary, "test", "rules", str(path)], capture_output=True, text=True, check=False
        )
        return "" if answer.returncode == 0 else answer.stdout + answer.stderr

    return run


def rule_alone(name: str) -> dict[str, Any]:
    """Return one alert's rule, with the recorded series that it reads, evaluated as often as a test says."""
    groups = rules()["groups"]
    (rule,) = (one for group in groups for one in group["rules"] if one.get("alert") == PREFIX + name)
    recorded = [one for one in groups[0]["rules"] if one["record"] in rule["expr"]]
    return {"groups": [{"name": "alone", "rules": [*recorded, rule]}]}


def firing_test(name: str, series: Series, at: str, *, fires: bool) -> dict[str, Any]:
    """Return a test that an alert fires, or that it does not even wait to."""
    state = ',alertstate="firing"' if fires else ""
    alert = f'ALERTS{{alertname="{PREFIX}{name}"{state}}}'
    samples = [{"labels": "{}", "value": 1}] if fires else []
    return {
        "interval": "1m",
        "input_series": [{"series": one, "values": values} for one, values in series.items()],
        "promql_expr_test": [{"expr": f"count({alert})", "eval_time": at, "exp_samples": samples}],
    }


def test_every_alert_has_a_case() -> None:
    """No alert is without a case that makes it fire and one that does not."""
    assert set(CASES) == set(BY_NAME)


@pytest.mark.parametrize("name", list(BY_NAME))
def test_fires_and_is_quiet(name: str, promtool: Promtool) -> None:
    """An alert fires where its cause is there, and not where something near it is."""
    case = CASES[name]
    tests = [
        firing_test(name, case.fires, case.at, fires=True),
        firing_test(name, case.quiet, case.at, fires=False),
    ]
    assert promtool(name, tests, "15m" if len(case.at) > 4 else "1m") == ""


def test_the_tests_can_fail(promtool: Promtool) -> None:
    """A case that does not fire is noticed, and one that does."""
    case = CASES["KeysUnavailable"]
    for series, fires in ((case.quiet, True), (case.fires, False)):
        test = firing_test("KeysUnavailable", series, case.at, fires=fires)
        assert "FAILED" in promtool("KeysUnavailable", [test])


def test_what_an_alert_says(promtool: Promtool) -> None:
    """An alert carries severity, cause, a summary with the value, its runbook and its dashboard."""
    case, alert = CASES["KeysUnavailable"], BY_NAME["KeysUnavailable"]
    assert (
        promtool(
            "KeysUnavailable",
            [
                {
                    "interval": "1m",
                    "input_series": [{"series": one, "values": v} for one, v in case.fires.items()],
                    "alert_rule_test": [
                        {
                            "eval_time": case.at,
                            "alertname": f"{PREFIX}KeysUnavailable",
                            "exp_alerts": [
                                {
                                    "exp_labels": {
                                        "issuer": "https://a.example",
                                        "severity": "page",
                                        "cause": "keys",
                                        "measure": "M4",
                                        "service": "rapidjws",
                                    },
                                    "exp_annotations": {
                                        "summary": alert.summary.replace(
                                            "{{ $labels.issuer }}", "https://a.example"
                                        ),
                                        "runbook": "jwks-down",
                                        "runbook_url": (
                                            "https://docs.example/rapidjws/operations/runbooks/jwks-down/"
                                        ),
                                        "dashboard_url": "https://grafana.example/d/rapidjws-oncall",
                                    },
                                }
                            ],
                        }
                    ],
                }
            ],
        )
        == ""
    )


# --- Alertmanager ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def manager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run an Alertmanager with our configuration; give its address."""
    binary = program(ALERTMANAGER)
    folder = tmp_path_factory.mktemp("manager")
    (folder / "alertmanager.yaml").write_text(yaml_text(alertmanager()))
    port = free_port()
    words = [
        binary,
        f"--config.file={folder / 'alertmanager.yaml'}",
        f"--storage.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(words, stdout=log, stderr=log)
    try:
        address = f"http://127.0.0.1:{port}"
        end_s = time.monotonic() + 60
        while True:
            try:
                with urllib.request.urlopen(f"{address}/-/ready", timeout=5):
                    break
            except OSError:
                assert time.monotonic() < end_s, (folder / "log").read_text()
                time.sleep(0.1)
        yield address
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder / "data", ignore_errors=True)


def labels_of(name: str, **more: str) -> dict[str, str]:
    """Return the labels with which an alert reaches Alertmanager."""
    alert = BY_NAME[name]
    found = {"alertname": PREFIX + name, "severity": alert.severity, "cause": alert.cause}
    return {**found, "service": "rapidjws", **more}


def inhibited(address: str, *alerts: dict[str, str]) -> list[bool]:
    """Have alerts fire, and return which are inhibited."""
    body = json.dumps([{"labels": labels} for labels in alerts]).encode()
    request = urllib.request.Request(
        f"{address}/api/v2/alerts", body, {"Content-Type": "application/json"}, method="POST"
    )
    urllib.request.urlopen(request, timeout=10).close()
    end_s = time.monotonic() + 60
    while True:
        with urllib.request.urlopen(f"{address}/api/v2/alerts", timeout=10) as answer:
            found = {json.dumps(one["labels"], sort_keys=True): one["status"] for one in json.load(answer)}
        mine = [found.get(json.dumps(labels, sort_keys=True)) for labels in alerts]
        if all(one is not None and one["state"] != "unprocessed" for one in mine):
            return [bool(one["inhibitedBy"]) for one in mine if one is not None]
        assert time.monotonic() < end_s, mine
        time.sleep(0.2)


def check_inhibited(manager: str, alerts: dict[str, tuple[dict[str, str], bool]]) -> None:
    """Check which alerts wait, the first of which makes the others wait.

    Alertmanager's inhibitor hears of alerts in its own time, so the first is sent before, and all again.
    """
    inhibited(manager, next(iter(alerts.values()))[0])
    wanted, end_s = {name: want for name, (_, want) in alerts.items()}, time.monotonic() + 60
    found: dict[str, bool] = {}
    while found != wanted and time.monotonic() < end_s:
        states = inhibited(manager, *(labels for labels, _ in alerts.values()))
        found = dict(zip(alerts, states, strict=True))
    assert found == wanted


def test_a_planned_rotation_inhibits(manager: str) -> None:
    """While an issuer's rotation is announced, alerts of its rotation and refusals wait, and no others."""
    a, b = "https://rotates.example", "https://other.example"
    alerts = {
        "planned": (labels_of("PlannedRotation", issuer=a), False),
        "rotation": (labels_of("RotationGoneWrong", issuer=a), True),
        "flood": (labels_of("UnknownKidFlood", issuer=a), True),
        "burn": (labels_of("VerificationBurnFast", issuer=a, verdict="deny"), True),
        "undecided": (labels_of("VerificationBurnFast", issuer=a, verdict="indeterminate"), False),
        "security": (labels_of("KeyCompromiseSign", issuer=a, event="kid_rebound"), False),
        "another": (labels_of("RotationGoneWrong", issuer=b), False),
    }
    check_inhibited(manager, alerts)


def test_a_freeze_inhibits(manager: str) -> None:
    """While the rollout is frozen, tickets and alerts of the rollout wait; pages and security do not."""
    issuer = "https://frozen.example"
    alerts = {
        "freeze": (labels_of("Freeze"), False),
        "rollout": (labels_of("RefusedAfterPromotion", partner="p"), True),
        "ticket": (labels_of("RotationLag", issuer=issuer), True),
        "page": (labels_of("RotationGoneWrong", issuer=issuer), False),
        "security": (labels_of("RevokedKeyUsed", issuer=issuer), False),
    }
    check_inhibited(manager, alerts)


def test_the_cause_inhibits_its_effect(manager: str) -> None:
    """An issuer without keys is one page, not two."""
    issuer = "https://down.example"
    found = inhibited(
        manager,
        labels_of("KeysUnavailable", issuer=issuer),
        labels_of("VerificationBurnFast", issuer=issuer, verdict="indeterminate"),
        labels_of("VerificationBurnFast", issuer=issuer, verdict="deny"),
    )
    assert found == [False, True, False]


def test_alerts_are_grouped_by_issuer_and_cause(manager: str) -> None:
    """Two alerts of one issuer and cause are one notification; pages go where pages go."""
    issuer = "https://grouped.example"
    inhibited(
        manager, labels_of("KeysUnavailable", issuer=issuer), labels_of("JWKSFetchFailing", issuer=issuer)
    )
    with urllib.request.urlopen(f"{manager}/api/v2/alerts/groups", timeout=10) as answer:
        groups = [one for one in json.load(answer) if one["labels"].get("issuer") == issuer]
    assert {one["receiver"]["name"] for one in groups} == {"page", "ticket"}
    assert all(set(one["labels"]) == {"service", "issuer", "cause"} for one in groups)


def test_committed_files_pass_the_tools(tmp_path: Path) -> None:
    """What the package ships passes promtool and amtool."""
    for words, name, document in (
        ([program("promtool"), "check", "rules"], "rules.yaml", rules()),
        ([program("promtool"), "check", "rules"], "scaled.yaml", rules(scale=60)),
        ([program("amtool"), "check-config"], "alertmanager.yaml", alertmanager()),
    ):
        path = tmp_path / name
        path.write_text(yaml_text(document))
        answer = subprocess.run([*words, str(path)], capture_output=True, text=True, check=False)
        assert answer.returncode == 0, answer.stdout + answer.stderr
