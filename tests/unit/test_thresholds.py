"""The service's own alerts: each condition on a status that meets it, and on one that nearly does."""

from __future__ import annotations

from typing import Any

import pytest

from rapidjws.errors import CODES
from rapidjws.observe import thresholds
from rapidjws.observe.alert_list import ALERTS
from rapidjws.observe.runbooks import runbook_names
from rapidjws.observe.thresholds import THRESHOLDS, alerts_of

ISSUER = "https://a.example"


def window(seconds: int, requests: int, restarts: int = 0, **codes: int) -> dict[str, Any]:
    """Return the counts of a window; what no code takes was good."""
    rows = [{"code": code, "verdict": CODES[code].outcome, "count": count} for code, count in codes.items()]
    found = {"seconds": seconds, "requests": requests, "restarts": restarts, "codes": rows}
    for verdict in ("deny", "indeterminate"):
        found[verdict] = sum(row["count"] for row in rows if row["verdict"] == verdict)
    return {**found, "permit": requests - found["deny"] - found["indeterminate"]}


def windows(requests: int, **codes: int) -> dict[str, Any]:
    """Return a status with the same counts in each window."""
    return {"windows": [window(seconds, requests, **codes) for seconds in (60, 300, 3600)]}


def issuer(**found: Any) -> dict[str, Any]:
    """Return a status with one issuer."""
    return {"issuers": [{"issuer": ISSUER, "code": None, "failures": 0, **found}]}


def worker(**found: Any) -> dict[str, Any]:
    """Return a status with one worker."""
    return {"workers": [{"pid": 7, "behind_s": 0.0, "loop_lag_s": 0.0, **found}]}


def partner(**found: Any) -> dict[str, Any]:
    """Return a status with one partner."""
    return {
        "partners": [{"partner": "shop", "phase": "enforcement", "recent": 50, "recent_failed": 50, **found}]
    }


def change(event: str, at_s: float) -> dict[str, Any]:
    """Return a status with one change, looked at at 10 000."""
    return {"at_s": 10_000.0, "changes": [{"event": event, "at_s": at_s, "issuer": ISSUER, "kid": "k"}]}


CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "NotReady": ({"ready": False}, {"ready": True}),
    "KeysUnavailable": (issuer(code="keys_stale"), issuer(code="keys_stale", required=False)),
    "JWKSFetchFailing": (issuer(failures=3, failure="timeout", stale_in_s=9.0), issuer(failures=2)),
    "VerificationBurnFast": (windows(10_000, expired=150), windows(10_000, expired=144)),
    "VerificationBurnSlow": (windows(10_000, expired=70), windows(10_000, expired=60)),
    "NoVerdictBurn": (windows(10_000, keys_unavailable=150), windows(10_000, keys_unavailable=144)),
    "KeysDifferBetweenWorkers": (
        issuer(differs=[7], differs_for_s=301.0),
        issuer(differs=[7], differs_for_s=300.0),
    ),
    "ChangeLag": (worker(behind_s=301.0), worker(behind_s=300.0)),
    "RotationGoneWrong": (windows(199, unknown_kid=10), windows(200, unknown_kid=10)),
    "UnknownKidFlood": (
        {"windows": [{**window(300, 1000), "unknown_kid_floods": {ISSUER: 1}}]},
        {"windows": [{**window(300, 1000, unknown_kid=1), "unknown_kid_floods": {}}]},
    ),
    "Replay": (windows(10_000, replayed=1), windows(10_000)),
    "RevokedKeyUsed": (windows(10_000, revoked=1), windows(10_000)),
    "KeyCompromiseSign": (change("kid_rebound", 9000.0), change("kid_rebound", 6000.0)),
    "ReplayStoreDown": (windows(10_000, replay_store_unavailable=1), windows(10_000)),
    "ClockImplausible": (windows(10_000, clock_implausible=1), windows(10_000)),
    "IssuerClockAhead": (issuer(skew={"max_s": 31.0}), issuer(skew={"max_s": 30.0})),
    "WorkerFlapping": (
        {"windows": [window(300, 0, restarts=3)]},
        {"windows": [window(300, 0, restarts=2)]},
    ),
    "LoopLag": (worker(loop_lag_s=1.1), worker(loop_lag_s=1.0)),
    "LatencyHigh": (
        {"latency_us": {"requests": 50, "p95": 10_001.0}},
        {"latency_us": {"requests": 49, "p95": 10_001.0}},
    ),
    "ConfigurationRefused": (worker(config_refused=True), worker(config_refused=False)),
    "PartnerRefusedWhole": (partner(), partner(recent_failed=49)),
}


def names(status: dict[str, Any]) -> list[str]:
    """Return the names of the alerts that a status calls for."""
    return [alert.name for alert in alerts_of(status)]


@pytest.mark.parametrize("name", [one.name for one in THRESHOLDS])
def test_K_a_condition_is_met_and_nearly_met(name: str) -> None:
    """Each condition is met beyond its bound, with values in its summary, and not at it."""
    met, nearly = CASES[name]
    assert name in names(met)
    assert name not in names(nearly)
    (alert, *_) = [one for one in alerts_of(met) if one.name == name]
    assert alert.as_dict()["summary"] == alert.summary
    assert any(char.isdigit() for char in alert.summary) or name in ("NotReady", "KeysUnavailable",
                                                                      "KeyCompromiseSign")  # fmt: skip


def test_K_every_condition_has_its_case() -> None:
    """No condition is without a case, and no two have one name."""
    listed = [one.name for one in THRESHOLDS]
    assert sorted(listed) == sorted(CASES)


def test_K_nothing_is_judged_from_few_requests() -> None:
    """A handful of refused tokens at night is no alert, and an empty status none at all."""
    few = thresholds.REQUESTS_MIN - 1
    assert names(windows(few, expired=few)) == []
    assert names({}) == []


def test_K_pages_come_first_and_a_fast_burn_is_no_slow_one() -> None:
    """Who looks at the list sees first what cannot wait, and each burn once."""
    found = alerts_of(windows(1000, expired=500, revoked=1))
    assert [one.severity for one in found] == sorted(
        (one.severity for one in found), key=lambda x: x != "page"
    )
    assert names(windows(1000, expired=500)) == ["VerificationBurnFast"]
    assert "expired" in alerts_of(windows(1000, expired=500))[0].summary


def test_K_a_burn_needs_both_windows() -> None:
    """A minute of refusals pages while they go on, not an hour later."""
    over = {"windows": [window(60, 1000), window(300, 10_000, expired=500), window(3600, 10_000, expired=50)]}
    assert names(over) == []


def test_K_every_runbook_is_there_and_the_one_of_the_alert_rule() -> None:
    """A condition of our own and the alert rule of the same name lead to the same runbook, which exists."""
    rules = {rule.name: rule for rule in ALERTS}
    assert {one.runbook for one in THRESHOLDS} <= set(runbook_names())
    shared = [one for one in THRESHOLDS if one.name in rules]
    assert len(shared) > 12
    assert [one.name for one in shared if one.runbook != rules[one.name].runbook] == []


RAISED = {
    "NotReady": {"ready": False},
    "KeysUnavailable": issuer(code="keys_stale", failure="timeout"),
    "JWKSFetchFailing": issuer(failures=9, failure="timeout", stale_in_s=3.0),
    "VerificationBurnFast": windows(20_000, expired=900),
    "VerificationBurnSlow": windows(20_000, expired=150),
    "NoVerdictBurn": windows(20_000, keys_unavailable=900),
    "KeysDifferBetweenWorkers": issuer(differs=[8], differs_for_s=999.0),
    "ChangeLag": worker(behind_s=999.0),
    "RotationGoneWrong": windows(300, unknown_kid=99),
    "UnknownKidFlood": {"windows": [{**window(300, 1000), "unknown_kid_floods": {ISSUER: 7}}]},
    "Replay": windows(10_000, replayed=9),
    "RevokedKeyUsed": windows(10_000, revoked=9),
    "KeyCompromiseSign": change("kid_rebound", 9900.0),
    "ReplayStoreDown": windows(10_000, replay_store_unavailable=9),
    "ClockImplausible": windows(10_000, clock_implausible=9),
    "IssuerClockAhead": issuer(skew={"max_s": 99.0}),
    "WorkerFlapping": {"windows": [window(300, 0, restarts=9)]},
    "LoopLag": worker(loop_lag_s=9.1),
    "LatencyHigh": {"latency_us": {"requests": 90, "p95": 99_001.0}},
    "ConfigurationRefused": worker(config_refused=True, pid=8),
    "PartnerRefusedWhole": partner(recent=99, recent_failed=99),
}
"""Statuses in which each condition is met still, with other values than in its case."""


@pytest.mark.parametrize("name", [one.name for one in THRESHOLDS])
def test_K_an_alert_goes_on_while_its_values_change(name: str) -> None:
    """What it is about stays, so that no line says that it ended and began again."""
    (first,) = [one for one in alerts_of(CASES[name][0]) if one.name == name]
    (later,) = [one for one in alerts_of(RAISED[name]) if one.name == name]
    assert first.subject == later.subject != first.summary
    assert not any(char.isdigit() for char in first.subject.replace("worker 7", ""))


def test_K_alerts_of_two_issuers_are_two() -> None:
    """An issuer's name has colons, which end no subject."""
    rows = [{"issuer": f"https://{name}.example", "code": "keys_stale", "failures": 0} for name in "ab"]
    subjects = [one.subject for one in alerts_of({"issuers": rows})]
    assert subjects == ["https://a.example", "https://b.example"]
