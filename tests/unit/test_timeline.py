"""The timeline of an incident: log lines of all schemas, put together, as Markdown and as a picture."""

from __future__ import annotations

import gzip
import json
import logging
import re
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner

from rapidjws.cli.app import app
from rapidjws.observe.log_events import EVENTS
from rapidjws.observe.log_formats import ATTRIBUTE, JSONLines
from rapidjws.observe.log_reader import LogReader, line_of
from rapidjws.observe.timeline import ENTRIES_MAX, KINDS, Entry, Timeline, kind_of, times_of
from rapidjws.observe.timeline_markdown import timeline_markdown
from rapidjws.observe.timeline_plot import lanes_text, timeline_svg

BEGIN_S = 1_790_000_000.0
HOSTILE = "<script>x</script>|`*[a](b)&\u202e"


def line(event: str, after_s: float = 0.0, schema: str = "plain", **fields: Any) -> bytes:
    """Return a log line as the sidecar writes it."""
    record = logging.LogRecord(f"rapidjws.{EVENTS[event].logger}", EVENTS[event].level, "", 0, "", (), None)
    record.created = BEGIN_S + after_s
    record.msecs = (record.created % 1) * 1000
    setattr(record, ATTRIBUTE, {"event": event, **fields})
    return JSONLines(schema, worker=1).format(record).encode() + b"\n"


def incident(schema: str = "plain") -> list[bytes]:
    """Return the log of a rotation that went wrong and was put right."""
    return [
        line("service_started", 0, schema, version="1", workers=2),
        line("key_removed", 60, schema, issuer="https://a.example", kid="old"),
        *(line("token_refused", 61 + n, schema, code="unknown_kid", partner="shop") for n in range(30)),
        line("lines_left_out", 100, schema, code="unknown_kid", partner="shop", left_out=970),
        line("alert_started", 120, schema, detail="UnknownKidFlood: 900 of 1000"),
        line("fetch_failed", 130, schema, issuer="https://a.example", detail="timeout"),
        line("revocation_added", 300, schema, kid="old", kind="key"),
        line(
            "rollout_changed", 360, schema, action="rollback", by="ann", before="enforcement", after="warning"
        ),
        line("token_refused", 390, schema, code="expired", partner="shop"),
        line("alert_ended", 500, schema, detail="UnknownKidFlood: 900 of 1000"),
        line("worker_ended", 550, schema, worker_pid=7, detail="killed"),
        line("keys_fetched", 560, schema, issuer="https://a.example"),
    ]


def made(lines: list[bytes], **settings: Any) -> Timeline:
    """Return the timeline of some lines."""
    found = Timeline(BEGIN_S - 10, BEGIN_S + 600, **settings)
    found.add_lines(LogReader().parse(lines, found.since_s, found.until_s))
    return found


@pytest.mark.parametrize("schema", ["plain", "ecs", "ocsf"])
def test_K_every_schema_tells_the_same(schema: str) -> None:
    """Lines of each schema are read to the same entries: code, partner, issuer, kid and count."""
    found = [
        (one.kind, one.what, one.whom, one.count) for one in made(incident(schema), step_s=600).entries()
    ]
    assert found == [
        ("restart", "service_started", "", 1),
        ("key", "key_removed", "https://a.example", 1),
        ("refusal", "unknown_kid", "shop", 1000),
        ("alert", "alert_started", "", 1),
        ("fetch", "fetch_failed", "https://a.example", 1),
        ("revocation", "revocation_added", "", 1),
        ("promotion", "rollout_changed", "", 1),
        ("refusal", "expired", "shop", 1),
        ("alert", "alert_ended", "", 1),
        ("restart", "worker_ended", found[-1][2], 1),
    ]


@pytest.mark.parametrize("schema", ["plain", "ecs", "ocsf"])
def test_K_a_sign_in_both_logs_is_counted_once(schema: str) -> None:
    """The log for a SIEM holds lines of the service's log again; two signs of one moment stay two."""
    signs = [
        line("revoked_key_used", after, schema, kid=kid) for after, kid in ((1, "a"), (2, "b"), (2, "b"))
    ]
    found = Timeline(BEGIN_S - 10, BEGIN_S + 600, step_s=600)
    for lines in ([*incident(schema), *signs], signs):
        found.add_lines(LogReader().parse(lines, found.since_s, found.until_s))
    assert sum(one.count for one in found.entries() if one.kind == "attack") == 3


@pytest.mark.parametrize("event", sorted(EVENTS))
def test_K_every_event_has_a_kind(event: str) -> None:
    """No event of the log is without its place on the timeline."""
    assert kind_of(event) in KINDS
    without = ("clock_stepped", "log_lines_dropped", "keys_fetched", "operator_line")
    assert kind_of(event) != "other" or event in without


@pytest.mark.parametrize(
    "octets",
    [b"", b"\n", b"no json\n", b"{", b"[1]", b'{"time": 1}', b'{"time": "x", "event": "keys_changed"}',
     b"\xff{",
     b'{"time": "2026-01-01T00:00:00Z", "event": "of another program"}', b"{" * 60_000,
     b'{"time": "9999999999-01-01T00:00:00Z", "event": "keys_changed"}', b'{"metadata": 1}',
     b'{"event.action": "keys_changed"}'],
    ids=range(13),
)  # fmt: skip
def test_K_what_is_no_line_of_ours_is_left_out(octets: bytes) -> None:
    """A foreign line, a torn one and a hostile one are none, and are counted."""
    assert line_of(octets) is None
    reader = LogReader()
    (found,) = reader.parse([octets, line("keys_changed", 0, value=1)], 0, 2e9)
    assert found.event == "keys_changed"
    assert (reader.lines, reader.foreign) == (2, 1)


def test_K_a_line_behind_a_collectors_prefix_is_read() -> None:
    """What a collector puts in front of a line does not hide it."""
    found = line_of(b"Nov 30 host rapidjws[7]: " + line("keys_stale", 0, issuer="https://a.example"))
    assert found is not None
    assert (found.event, found.fields["issuer"]) == ("keys_stale", "https://a.example")


def test_K_the_same_within_a_step_is_counted() -> None:
    """What workers tell within a step is one entry with a count; what lies outside of the time is none."""
    found = made([line("keys_changed", n / 10, issuer="i") for n in range(4)] + [line("keys_changed", 7000)])
    (one,) = found.entries()
    assert (one.count, one.at_s, one.last_s) == (4, BEGIN_S, BEGIN_S + 0.3)
    assert one.workers == {1}
    far = made([line("keys_changed", 0, issuer="i"), line("keys_changed", 60, issuer="i")])
    assert len(far.entries()) == 2


def test_K_a_timeline_is_bounded() -> None:
    """Of more than can be held the rest is counted, and said."""
    found = Timeline(0, 1e9, step_s=1)
    for number in range(ENTRIES_MAX + 7):
        found.add(Entry(at_s=number, kind="refusal", what="expired"))
    assert len(found.entries()) == ENTRIES_MAX
    assert found.left_out == 7
    assert "7 more were left out" in timeline_markdown(found, [])


def test_K_two_sources_tell_of_one_thing_once() -> None:
    """What the log told already is not added from the history or from the running service."""
    found = made(incident())
    before = len(found.entries())
    same = {"event": "rollback", "at_s": BEGIN_S + 361, "by": "ann", "detail": "enforcement -> warning"}
    found.add_changes([same], "history")
    found.add_changes(
        [{"event": "fetch_failed", "at_s": BEGIN_S + 131, "issuer": "https://a.example"}], "service"
    )
    assert len(found.entries()) == before
    found.add_changes([{**same, "at_s": BEGIN_S + 400}, {**same, "event": "freeze"}], "history")
    assert len(found.entries()) == before + 2


def test_K_the_times_of_a_postmortem() -> None:
    """First sign, first alert, first action and last sign are found; of a quiet time there are none."""
    times = times_of(made(incident()).entries())
    assert times.first_sign_s == BEGIN_S + 61
    assert times.detected_s == BEGIN_S + 120
    assert times.acted_s == BEGIN_S + 300
    assert times.recovered_s == BEGIN_S + 550
    quiet = times_of(made([line("keys_changed", 1), line("rollout_changed", 2, action="promote")]).entries())
    assert set(quiet.as_dict().values()) == {None}


def test_K_markdown_for_the_postmortem() -> None:
    """It has the times, the line of time, and refusals by code; foreign text is no markup."""
    found = made([*incident(), line("token_refused", 200, code="expired", partner=HOSTILE)])
    text = timeline_markdown(found, ["app.log (3 lines)"], "a.svg")
    assert "| detected: first alert | 2026-09-21 15:15:20 | 59 s |" in text or "| 59 s |" in text
    assert "| `unknown_kid` | shop | 1000 |" in text
    assert "UnknownKidFlood" in text
    assert "<script>" not in text
    assert "\u202e" not in text
    rows = [row for row in text.splitlines() if row.startswith("| ")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {4, 6, 7}
    assert "Nothing happened" in timeline_markdown(Timeline(0, 10), [])


def test_K_a_picture_of_the_incident() -> None:
    """The picture is XML without script; each kind has its lane, and foreign text is text."""
    found = made([*incident(), line("fetch_failed", 10, issuer=HOSTILE, detail="x")])
    root = ElementTree.fromstring(timeline_svg(found))
    texts = "".join(root.itertext())
    for kind in (
        "alerts",
        "key changes",
        "fetch failures",
        "refused tokens",
        "revocations",
        "changes of the rollout",
    ):
        assert kind in texts
    assert "<script>x</script>" in texts
    assert not [one for one in root.iter() if one.tag.endswith(("script", "image", "foreignObject", "a"))]
    assert not [name for one in root.iter() for name in one.attrib if name.startswith("on") or "href" in name]
    ElementTree.fromstring(timeline_svg(Timeline(0, 10)))
    assert dict(lanes_text(found))["refused tokens"].strip()


def run(*words: object) -> tuple[int, str]:
    """Run the command; return its status and all it wrote."""
    found = CliRunner().invoke(app, ["incident", "timeline", *map(str, words)], env={"COLUMNS": "200"})
    assert found.exception is None or isinstance(found.exception, SystemExit), found.exception
    return found.exit_code, found.output


def test_K_incident_timeline_reads_logs(tmp_path: Path) -> None:
    """The command reads several files, packed ones too, and writes text, Markdown, JSON and a picture."""
    (tmp_path / "a.log").write_bytes(b"".join(incident()[:20]) + b"of another program\n")
    (tmp_path / "b.log.gz").write_bytes(gzip.compress(b"".join(incident("ecs")[20:])))
    since = datetime.fromtimestamp(BEGIN_S - 60, timezone.utc).isoformat().replace("+00:00", "Z")
    words = (
        "--since",
        since,
        "--until",
        BEGIN_S_TEXT,
        "--log",
        tmp_path / "a.log",
        "--log",
        tmp_path / "b.log.gz",
    )
    status, text = run(*words)
    assert status == 0, text
    for word in (
        "unknown_kid",
        "refused tokens",
        "1 of them foreign",
        "detected: after 59 s",
        "acted: after 4 min",
    ):
        assert word in text
    status, text = run(*words, "--format", "markdown", "--plot", tmp_path / "plot.svg")
    assert (status, text.startswith("# Incident of 2026-09-21")) == (0, True)
    assert "![Timeline](plot\\.svg)" in text or "![Timeline](plot.svg)" in text
    ElementTree.fromstring((tmp_path / "plot.svg").read_text("utf-8"))
    found = json.loads(run(*words, "--format", "json")[1])
    assert sum(one["count"] for one in found["entries"] if one["what"] == "unknown_kid") == 1000
    assert found["times"]["first_sign_s"] == BEGIN_S + 61
    assert run("--since", "2h", "--log", tmp_path / "a.log")[0] == 1
    assert run("--log", tmp_path / "none.log")[0] == 2
    assert run("--since", "yesterday", "--log", tmp_path / "a.log")[0] == 2
    assert run("--since", "1h", "--until", "2h", "--log", tmp_path / "a.log")[0] == 2
    (tmp_path / "c.log.gz").write_bytes(b"not packed")
    assert run("--log", tmp_path / "c.log.gz")[0] == 2
    assert run()[0] == 2


BEGIN_S_TEXT = datetime.fromtimestamp(BEGIN_S + 600, timezone.utc).isoformat()


def test_K_incident_timeline_reads_the_rollouts_history(tmp_path: Path) -> None:
    """Promotions, rollbacks and freezes of the history are on it, with who and why."""
    from rapidjws.rollout import Rollout, StateFolder
    from rapidjws.rollout.rollout import first_plan

    (tmp_path / "jwks.json").write_text('{"keys": []}')
    config = tmp_path / "c.json"
    issuer = {"iss": "https://a.example", "jwks_file": "jwks.json", "algorithms": ["ES256"], "audience": "a"}
    config.write_text(json.dumps({"issuers": [issuer], "rollout": {"state": "state"}}))
    Rollout([], state=StateFolder(tmp_path / "state", first_plan())).freeze(by="ann", why="an incident")
    status, text = run("--config", config, "--format", "json")
    (entry,) = json.loads(text)["entries"]
    assert (status, entry["kind"], entry["what"]) == (0, "promotion", "freeze")
    assert "by ann" in entry["detail"]
    assert "why an incident" in entry["detail"]
    assert time.time() - entry["at_s"] < 600


def test_evidence_tells_of_refusals_that_no_log_has() -> None:
    """Whole, or its first or last refusal within the time; what a log tells is not told again."""
    found = Timeline(1000.0, 2000.0)
    found.add(Entry(at_s=1500.0, kind="refusal", what="expired", whom="shop https://a.example"))
    found.add_evidence("shop", "expired", 9, 1100, 1900)
    found.add_evidence("bank", "expired", 9, 1100, 1900)
    found.add_evidence("", "unknown_kid", 5, 10, 1200)
    found.add_evidence("bank", "revoked", 3, 1950, 5000)
    found.add_evidence("bank", "too_old", 3, 10, 20)
    found.add_evidence("bank", "replayed", 3, 10, 5000)
    told = [(one.whom, one.what, one.count, one.at_s, one.last_s, one.detail) for one in found.entries()]
    assert told == [
        ("bank", "expired", 9, 1100, 1900, ""),
        ("", "unknown_kid", 1, 1200, 1200, "the last of 5"),
        ("shop https://a.example", "expired", 1, 1500.0, 1500.0, ""),
        ("bank", "revoked", 1, 1950, 1950, "the first of 3"),
    ]


def test_what_the_service_did_by_itself_is_no_act_of_a_person() -> None:
    """An automatic rollback is no first action; a person's after it is."""
    sign = Entry(at_s=10.0, kind="refusal", what="expired", last_s=10.0)
    automatic = Entry(at_s=20.0, kind="promotion", what="automatic_rollback", last_s=20.0)
    by_ann = Entry(at_s=30.0, kind="promotion", what="rollback", last_s=30.0)
    assert times_of([sign, automatic]).acted_s is None
    assert times_of([sign, automatic, by_ann]).acted_s == 30.0
