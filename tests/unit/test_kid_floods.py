"""Floods of unknown kids: one definition, which line, metrics and the service's own alert follow from."""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path

import pytest

from rapidjws import Engine, Issuer
from rapidjws.keys import FileJWKS
from rapidjws.observe import EngineMetrics
from rapidjws.observe.alert_list import ALERTS
from rapidjws.observe.event_log import EventLog
from rapidjws.testing import FakeIssuer
from rapidjws.verify import key_availability
from rapidjws.verify.kid_floods import FLOOD, FLOOD_WINDOW_S, KidFloods
from rapidjws.verify.protocols import Event

ISSUERS = [FakeIssuer(f"https://{name}.example", "ES256", lifetime_s=36_000) for name in ("a", "b")]


def unknown(issuer: FakeIssuer, number: int) -> str:
    """Return a token of an issuer that names a kid which nobody published."""
    return issuer.token(issuer.claims(int(time.time())), header={"kid": f"nobody-{number}"})


def made(folder: Path, listener: object) -> Engine:
    """Return an engine of two issuers with sources of keys."""
    issuers = []
    for number, one in enumerate(ISSUERS):
        path = folder / f"{number}.json"
        path.write_text(json.dumps({"keys": [key.as_dict() for key in one.jwks.keys]}))
        issuers.append(Issuer(one.iss, keys=FileJWKS(path), algorithms=one.algorithms, audience=one.audience))
    return Engine(*issuers, events=listener)  # type: ignore[arg-type]


def test_a_flood_is_once_an_issuer_and_window() -> None:
    """From so many on, once; fewer in each window are none; one issuer's tokens are not another's."""
    floods = KidFloods()
    assert not any(floods.note(name, 5.0) for name in "ab" for _ in range(FLOOD - 1))
    assert not any(floods.note(name, 5.0 + FLOOD_WINDOW_S) for name in "ab" for _ in range(FLOOD - 1))
    found = [floods.note("a", 6.0 + FLOOD_WINDOW_S) for _ in range(3 * FLOOD)]
    assert found == [True, *[False] * (3 * FLOOD - 1)]
    assert floods.note("b", 7.0 + FLOOD_WINDOW_S)


def test_line_metric_and_sign_are_of_one_event(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One flood is one line, one in either counter, all with its issuer; also across a change of keys."""
    metrics, log = EngineMetrics(), EventLog()
    events: list[Event] = []

    def listener(event: Event) -> None:
        for one in (events.append, metrics, log):
            one(event)

    now_s = 1000.0
    monkeypatch.setattr(key_availability, "monotonic", lambda: now_s)
    engine = made(tmp_path, listener)
    metrics.attach(engine)
    caplog.set_level(logging.INFO, "rapidjws")
    for _ in range(2):
        tokens = [unknown(ISSUERS[0], number) for number in range(FLOOD - 1)]
        assert {one.code for one in engine.verify_many(tokens)} == {"unknown_kid"}  # type: ignore[union-attr]
        now_s += FLOOD_WINDOW_S
    assert [one for one in events if one.name == "unknown_kid_flood"] == []
    for number in range(FLOOD):
        engine.decide(unknown(ISSUERS[1], number))
        if number == FLOOD // 2:
            engine.revoke(kid="another")  # a new snapshot
    found = [one for one in events if one.name == "unknown_kid_flood"]
    assert [(one.issuer, one.value) for one in found] == [(ISSUERS[1].iss, FLOOD)]
    (line,) = [one.getMessage() for one in caplog.records if "unknown_kid_flood" in one.getMessage()]
    assert ISSUERS[1].iss in line
    reading = metrics.reading()
    counted = {one.labels: one.value for one in reading.samples("rapidjws_unknown_kid_floods_total")}
    signs = {one.labels: one.value for one in reading.samples("rapidjws_security_events_total")}
    assert counted == {(ISSUERS[1].iss,): 1}
    assert signs == {("unknown_kid_flood", ISSUERS[1].iss): 1}


def test_the_alert_is_of_the_same_event() -> None:
    """The rule asks for floods that were counted, and for no rate of its own."""
    (rule,) = [one for one in ALERTS if one.name.endswith("UnknownKidFlood")]
    assert "rapidjws_unknown_kid_floods_total" in rule.expression
    assert "rapidjws_unknown_kids_total" not in rule.expression
