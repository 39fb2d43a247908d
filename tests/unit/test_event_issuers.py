"""Log lines, metrics and spans about a key source name the issuer whose keys it brings."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from recorded_spans import RecordedSpans

from rapidjws.config.key_sources import key_source_from
from rapidjws.config.load import build_service
from rapidjws.config.read import load_config
from rapidjws.config.sections import key_sources_of
from rapidjws.observe import EventLog
from rapidjws.observe.log_formats import ATTRIBUTE
from rapidjws.observe.log_reader import LogLine
from rapidjws.observe.timeline import Timeline
from rapidjws.observe.tracing import TraceEvents
from rapidjws.testing import FakeIssuer
from rapidjws.verify.protocols import Event, no_events

ISS = "https://issuer.example"
URL = "https://keys.example/jwks.json?secret=canary"


def fields_of(records: list[logging.LogRecord]) -> list[dict[str, Any]]:
    """Return the fields of log records."""
    return [getattr(record, ATTRIBUTE) for record in records if hasattr(record, ATTRIBUTE)]


@pytest.mark.parametrize("table", [
    {"jwks_url": URL}, {"certificates_url": URL}, {"spiffe_bundle_url": URL}, {"discover": True},
    {"pem_url": "https://keys.example/{kid}.pem"}, {"jwks_file": "jwks.json"}, {"pem_path": "key.pem"},
])  # fmt: skip
def test_each_kind_of_source_is_known_by_the_name_of_its_events(
    tmp_path: Path, table: dict[str, Any]
) -> None:
    """What a source calls itself leads to its issuer, whatever kind it is."""
    issuer = FakeIssuer("k")
    (tmp_path / "jwks.json").write_text(json.dumps(issuer.jwks.as_dict()))
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "key.pem").write_bytes(pem)
    table = {"iss": ISS, "algorithms": ["ES256"], **table}
    source: Any = key_source_from(table, tmp_path, no_events)
    assert key_sources_of([table], tmp_path) == {source.name: ISS}


def test_a_line_names_the_issuer_and_its_source(caplog: pytest.LogCaptureFixture) -> None:
    """As metrics do; a source of nobody stands as the issuer, and a query is nowhere."""
    log = EventLog(lambda: {URL: ISS}, lines_per_minute=1)
    with caplog.at_level(logging.INFO, "rapidjws"):
        for name in (URL, "https://other.example/jwks?secret=canary", ISS):
            log(Event(name="keys_changed", issuer=name, value=2))
    one, other, named = fields_of(caplog.records)
    assert (one["issuer"], one["source"]) == (ISS, "https://keys.example/jwks.json")
    assert (other["issuer"], "source" in other) == ("https://other.example/jwks", False)
    assert (named["issuer"], "source" in named) == (ISS, False)
    assert "canary" not in caplog.text


def test_the_end_of_an_outage_names_the_issuer(caplog: pytest.LogCaptureFixture) -> None:
    """So does the line about what was left out."""
    log = EventLog(lambda: {URL: ISS})
    with caplog.at_level(logging.INFO, "rapidjws"):
        log(Event(name="fetch_failed", issuer=URL, detail="timeout"))
        log(Event(name="fetch_ok", issuer=URL))
    assert [(one["event"], one["issuer"]) for one in fields_of(caplog.records)] == [
        ("fetch_failed", ISS), ("fetch_recovered", ISS),
    ]  # fmt: skip


def test_log_and_service_are_one_entry_of_a_timeline(caplog: pytest.LogCaptureFixture) -> None:
    """A service's status names the issuer; a line that named the address stood beside it a second time."""
    with caplog.at_level(logging.INFO, "rapidjws"):
        EventLog(lambda: {URL: ISS})(Event(name="key_added", issuer=URL, kid="k2"))
    (fields,) = fields_of(caplog.records)
    timeline = Timeline(0.0, 100.0)
    event = fields.pop("event")
    timeline.add_lines([LogLine(at_s=50.0, event=event, fields=fields)])
    timeline.add_changes([{"event": "key_added", "at_s": 50.5, "issuer": ISS, "kid": "k2"}], "service")
    (entry,) = timeline.entries()
    assert (entry.kind, entry.whom, entry.source) == ("key", ISS, "log")


def test_a_span_names_both() -> None:
    """``jws.issuer`` beside ``jws.source``."""
    recorded = RecordedSpans()
    TraceEvents(recorded.tracer, lambda: {URL: ISS})(Event(name="fetch_ended", issuer=URL, value=0.1))
    attributes = dict(recorded.spans[0].attributes or {})
    assert attributes["jws.issuer"] == ISS
    assert attributes["jws.source"] == "https://keys.example/jwks.json"


def test_a_configured_service_names_issuers_from_its_first_event_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The keys of a file come while the engine is made: their line names the issuer already."""
    issuer = FakeIssuer("k")
    (tmp_path / "jwks.json").write_text(json.dumps(issuer.jwks.as_dict()))
    path = tmp_path / "c.json"
    table = {"iss": ISS, "algorithms": ["ES256"], "audience": "a", "jwks_file": "jwks.json"}
    path.write_text(json.dumps({"issuers": [table]}))
    with caplog.at_level(logging.INFO, "rapidjws"):
        service = build_service(load_config(path))
    changed = [one for one in fields_of(caplog.records) if one["event"] == "keys_changed"]
    assert [one["issuer"] for one in changed] == [ISS]
    event = Event(name="key_added", issuer=str(tmp_path / "jwks.json"), kid="k")
    assert service.recorder.issuer(event) == ISS
