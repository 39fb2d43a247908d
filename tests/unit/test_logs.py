"""Log lines: their schemas, their bounds, and that no value leaves its place in one."""

from __future__ import annotations

import json
import logging
from typing import Any

import ecs_logging
import jsonschema
import pytest
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema

from rapidjws._loggers import ROOT, logger
from rapidjws.errors import RapidJWSError
from rapidjws.observe.log_events import EVENTS, LOGGERS
from rapidjws.observe.log_fields import BASE_FIELDS, FIELDS, log_text, log_value
from rapidjws.observe.log_formats import ATTRIBUTE, LINE_MAX_BYTES, OCSF_VERSION, SCHEMAS, JSONLines
from rapidjws.observe.logs import LogSettings, event_record

CLASSES = {3002: "authentication", 3004: "entity_management", 6002: "application_lifecycle", 0: "base_event"}
TOKEN_LIKE = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl"
NUMBERS = {"value", "duration_us", "left_out", "count", "window_s", "worker", "worker_pid", "restarts"}
NUMBERS |= {"revision", "status", "workers"}


def full(name: str) -> dict[str, object]:
    """Return a value for each field that an event may have."""
    made: dict[str, object] = {}
    for field in EVENTS[name].fields:
        made[field] = 7 if field in NUMBERS else True if field == "forced" else f"a {field}"
    return made


def line(name: str, schema: str, fields: dict[str, object] | None = None, worker: int | None = 3) -> str:
    """Return the line of an event."""
    record = event_record(name, full(name) if fields is None else fields)
    return JSONLines(schema, worker=worker).format(record)


@pytest.fixture(scope="module")
def ocsf_schemas() -> dict[int, Any]:
    """Return the validators of the OCSF classes in use."""
    schemas = OcsfJsonSchemaEmbedded(get_ocsf_schema(OCSF_VERSION))
    kind = jsonschema.Draft202012Validator
    return {number: kind(schemas.get_class_schema(name)) for number, name in CLASSES.items()}


def test_every_event_names_fields_and_loggers_that_exist() -> None:
    """An event's fields are described, its logger is listed, and its level is one of four."""
    for event in EVENTS.values():
        assert set(event.fields) <= set(FIELDS) | set(BASE_FIELDS), event.name
        assert event.logger in LOGGERS
        assert event.level in (10, 20, 30, 40)
        assert event.meaning
    used = {field for event in EVENTS.values() for field in event.fields} | {"error", "stack"}
    assert set(FIELDS) - used == set()


@pytest.mark.parametrize("name", sorted(EVENTS))
def test_a_plain_line_holds_the_base_and_its_fields(name: str) -> None:
    """Each field of an event is in its plain line under its own name."""
    found = json.loads(line(name, "plain"))
    assert set(found) == {*BASE_FIELDS, *EVENTS[name].fields}
    assert found["event"] == name
    assert found["logger"] == f"rapidjws.{EVENTS[name].logger}"


@pytest.mark.parametrize("name", sorted(EVENTS))
def test_an_ocsf_line_is_valid(name: str, ocsf_schemas: dict[int, Any]) -> None:
    """Each event, full or empty, is valid in its class, and the schemas refuse a line that is not."""
    for fields in (None, {}):
        found = json.loads(line(name, "ocsf", fields))
        ocsf_schemas[found["class_uid"]].validate(found)
        assert found["type_uid"] == found["class_uid"] * 100 + found["activity_id"]
        broken = {**found, "severity_id": 42}
        assert not ocsf_schemas[found["class_uid"]].is_valid(broken)
        assert not ocsf_schemas[found["class_uid"]].is_valid({**found, "kid": "a"})


def test_tokens_are_of_class_3002() -> None:
    """What is about a token is an Authentication event that failed."""
    for name in ("token_refused", "token_indeterminate", "algorithm_confusion", "replay_detected"):
        found = json.loads(line(name, "ocsf"))
        assert (found["class_uid"], found["type_uid"], found["status_id"]) == (3002, 300201, 2)


@pytest.mark.parametrize("name", sorted(EVENTS))
def test_an_ecs_line_has_what_elastic_writes(name: str) -> None:
    """Base fields have the names, types and forms of Elastic's own formatter; ours lie below rapidjws."""
    record = event_record(name, full(name))
    record.created, record.msecs = 1_800_000_000.25, 250.0  # a moment that both write alike
    theirs = json.loads(ecs_logging.StdlibFormatter().format(record))
    ours = json.loads(JSONLines("ecs", worker=0).format(record))
    assert ours["@timestamp"] == theirs["@timestamp"]
    assert ours["log.level"] == theirs["log.level"]
    assert ours["log.logger"] == theirs["log"]["logger"]
    assert ours["process.pid"] == theirs["process"]["pid"]
    assert type(ours["ecs.version"]) is type(theirs["ecs.version"]) is str
    sets = ("@timestamp", "message", "ecs.", "log.", "event.", "service.", "process.", "error.", "trace.")
    sets = (*sets, "url.", "http.request.id", "rapidjws.")
    assert [key for key in ours if not key.startswith(sets)] == []
    assert ours["event.kind"] == ("alert" if EVENTS[name].logger == "security" else "event")


HOSTILE = [
    "a\nb", 'a"},{"event":"forged', "a\x1b[31m", "\u2028\u2029\x85", "\u202egnp", "\ud800", "\x00",
    "a" * 9000, "\U0001f600" * 4000, "%s%n{}", "\r\n\r\n{}",
]  # fmt: skip


@pytest.mark.parametrize("schema", SCHEMAS)
@pytest.mark.parametrize("at", range(len(HOSTILE)))
def test_no_value_leaves_its_place(schema: str, at: int) -> None:
    """Whatever the values are: one line, ASCII, one JSON object, no longer than one write takes."""
    fields = {name: HOSTILE[at] for name in EVENTS["token_refused"].fields if name not in NUMBERS}
    text = line("token_refused", schema, fields)
    assert text.isascii()
    assert text.isprintable()
    assert len(text) < LINE_MAX_BYTES
    again = json.loads(text)
    assert "forged" not in (again.get("event"), again.get("event.action"))


def test_texts_are_bounded_and_hold_no_jws() -> None:
    """A field is cut at its limit, and what looks like a JWS is replaced in it."""
    assert len(log_text("k" * 500, 80)) < 110
    assert TOKEN_LIKE not in log_text(f"/a/{TOKEN_LIKE}/b")
    assert log_text(f"/a/{TOKEN_LIKE}/b") == "/a/(redacted)/b"
    assert log_value(float("nan")) is None
    assert log_value(1 << 70) == str(1 << 70)
    assert log_value(True) is True


def test_a_record_of_somebody_else_is_free_text() -> None:
    """A plain record becomes a line too; of an exception only the type and the place are reported."""
    try:
        raise ValueError(TOKEN_LIKE)
    except ValueError:
        record = logger("middleware").makeRecord(
            "rapidjws.middleware", 40, "f", 1, "failed: %s", ("x\ny",), __import__("sys").exc_info()
        )
    for schema in SCHEMAS:
        text = JSONLines(schema).format(record)
        assert "c2lnbmF0dXJl" not in text
        assert "ValueError" in text
        assert "\\\\u000ay" in text
    bad = logging.LogRecord("rapidjws.x", 30, "f", 1, "%d", ("no number",), None)
    assert json.loads(JSONLines().format(bad))["event"] == "text"
    forged = logging.makeLogRecord({"name": "x", ATTRIBUTE: {"event": "no such"}, "msg": "m"})
    assert json.loads(JSONLines().format(forged))["message"] == "m"


@pytest.mark.parametrize(
    "wrong",
    [
        {"schema": "xml"},
        {"level": "loud"},
        {"destination": ""},
        {"security_destination": ""},
        {"claims": ("a b",)},
        {"claims": tuple(f"c{n}" for n in range(17))},
        {"lines_per_minute": 0},
        {"queue_lines": 15},
        {"operator_lines": 1},
    ],
)
def test_settings_are_checked(wrong: dict[str, Any]) -> None:
    """A setting out of its range is refused by name."""
    with pytest.raises(RapidJWSError) as caught:
        LogSettings(**wrong)
    assert caught.value.code == "configuration_invalid"
    assert str(caught.value.place).startswith(f"logs.{next(iter(wrong))}")


def test_the_library_is_silent_on_its_own() -> None:
    """The logger above all others has a NullHandler, so that not even a warning reaches standard error."""
    assert any(isinstance(one, logging.NullHandler) for one in logging.getLogger(ROOT).handlers)
    assert logging.getLogger(ROOT).level == logging.NOTSET
