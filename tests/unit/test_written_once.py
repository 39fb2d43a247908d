"""Notices, evidence and kept key sets when any call fails: nothing is sent, counted or lost twice."""

from __future__ import annotations

import gc
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from counting import KEY, bad, seen, worker
from faulty_system import Killed, calls_of, faulty

import rapidjws
from rapidjws.keys import last_good
from rapidjws.rollout.evidence_files import ARCHIVE, EvidenceFiles
from rapidjws.rollout.report.mailing import SentLog, send
from rapidjws.rollout.report.notices import Notice

FAULTS = ["kill", "kill after", "short", "ENOSPC", "EIO", "EINTR"]
NOTICE = Notice(
    partner="a", to="ops@a.example", subject="To a", text="Hello", html="<p>Hello</p>", mark="m" * 32
)


@pytest.fixture(autouse=True)
def _quick_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    """Count a sync and do not wait for the disk."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


class Wire:
    """A mail server that takes everything."""

    sender, reply_to = "ours@b.example", None

    def __init__(self) -> None:
        self.mails = 0

    def connect(self) -> Wire:
        """Return the connection."""
        return self

    def send_message(self, *words: object) -> None:
        """Take a mail."""
        self.mails += 1

    def quit(self) -> None:
        """End."""

    close = quit


def outcome(log: SentLog, wire: Any, **named: Any) -> str:
    """Send the notice, and return what became of it."""
    (sending,) = send([NOTICE], wire, log, **named)
    return sending.outcome


@pytest.mark.parametrize("fault", FAULTS)
def test_S21_no_fault_mails_a_notice_twice(tmp_path: Path, fault: str) -> None:
    """Whichever call of a sending fails, the next one never sends a second mail; asked again it sends."""
    sample = SentLog(tmp_path / "x.jsonl")
    number = len(calls_of(lambda: outcome(sample, Wire())))
    assert number > 15
    for at in range(number):
        log, wire = SentLog(tmp_path / f"{at}.jsonl"), Wire()
        try:
            with faulty(at, fault):
                outcome(log, wire)
        except (Killed, rapidjws.ConfigurationError, OSError):
            pass
        before = wire.mails
        assert outcome(log, wire) in ("sent", "known"), at
        assert wire.mails <= 1, at
        assert outcome(log, wire) == "known", at
        assert wire.mails == (before or wire.mails)
        assert outcome(log, wire, again=True) == "sent"


def test_S21_a_line_cut_off_anywhere_counts_as_begun(tmp_path: Path) -> None:
    """A log whose line was cut within or behind its mark holds the notice back until asked for again."""
    path = tmp_path / "log.jsonl"
    log = SentLog(path)
    log.write(NOTICE, "sent", 1)
    line = path.read_bytes()
    first = line.index(b"mmm") + 1
    for end in range(first, len(line)):
        path.write_bytes(line[:end])
        wire = Wire()
        assert outcome(log, wire) == "known", line[:end]
        assert wire.mails == 0
    path.write_bytes(line.replace(b'"sent"', b'"refused"') + b"\n" + line.replace(b"mmm", b"mnm", 1))
    assert outcome(log, Wire()) == "sent", "refused before, and another's line"


def test_S21_a_log_that_cannot_be_read_sends_nothing(tmp_path: Path) -> None:
    """A log that is a FIFO, somebody's link or too large is an error, not an empty log."""
    os.mkfifo(tmp_path / "log.jsonl")
    wire = Wire()
    with pytest.raises(rapidjws.ConfigurationError, match="not a regular file"):
        outcome(SentLog(tmp_path / "log.jsonl"), wire)
    with pytest.raises(rapidjws.ConfigurationError):
        SentLog(tmp_path / "log.jsonl").states()
    assert wire.mails == 0


# --- evidence --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", FAULTS)
def test_evidence_is_counted_once_whatever_call_fails(tmp_path: Path, fault: str) -> None:
    """Whichever call of a compaction fails: readers and the next compaction count each request once."""

    def folder_of(number: int) -> Path:
        folder = tmp_path / f"{number}"
        folder.mkdir()
        for count in (2, 3):
            worker(folder, count)
        gc.collect()
        return folder

    sample = folder_of(-1)
    for at in range(len(calls_of(EvidenceFiles(sample).compact))):
        folder = folder_of(at)
        try:
            with faulty(at, fault):
                EvidenceFiles(folder).compact()
        except (Killed, OSError):
            pass
        assert seen(folder) == 5, at
        EvidenceFiles(folder).compact()
        assert seen(folder) == 5, at
        assert [path.name for path in folder.iterdir() if path.suffix in (".tmp", ".bad")] == []


@pytest.mark.parametrize("fault", FAULTS)
def test_evidence_that_was_put_by_stays(tmp_path: Path, fault: str) -> None:
    """Whichever call fails while counts are put by, what was put by before is there, and more later."""
    one = worker(tmp_path, 2)
    files = one._files
    assert files is not None
    octets = (tmp_path / files.name).read_bytes()
    for at in range(len(calls_of(lambda: files.put(octets)))):
        try:
            with faulty(at, fault):
                files.put(octets)
        except (Killed, OSError):
            files._descriptor = None  # closed with the process
        assert seen(tmp_path) == 2, at
        files.put(octets)
    one.count(KEY, bad())
    one.flush()
    assert seen(tmp_path) == 3


def test_a_second_damaged_archive_does_not_replace_the_first(tmp_path: Path) -> None:
    """What was put aside stays, however often something has to be."""
    for text in ("first", "second"):
        (tmp_path / ARCHIVE).write_text(text)
        worker(tmp_path, 1)
        gc.collect()
        EvidenceFiles(tmp_path).compact()
    assert sorted(path.read_text() for path in tmp_path.glob("*.bad")) == ["first", "second"]


# --- kept key sets ---------------------------------------------------------------------------------------


def sets() -> Iterator[last_good.LastGood]:
    """Yield an old set and a new one."""
    for text in (b'{"keys": []}', b'{"keys": [{}]}'):
        yield last_good.LastGood(text, '"e"', time.time())


@pytest.mark.parametrize("fault", FAULTS)
def test_a_kept_set_is_the_old_or_the_new_one(tmp_path: Path, fault: str) -> None:
    """Whichever call fails, a whole set is kept."""
    old, new = sets()
    path, url = tmp_path / "kept.json", "https://a.example/jwks.json"
    limits = {"now_s": time.time(), "max_age_s": 100, "max_bytes": 1000}
    for at in range(len(calls_of(lambda: last_good.write(path, url, old)))):
        last_good.write(path, url, old)
        try:
            with faulty(at, fault):
                last_good.write(path, url, new)
        except (Killed, OSError):
            assert last_good.read(path, url, **limits) in (old, new)
        else:
            assert last_good.read(path, url, **limits) == new


def test_a_kept_set_with_odd_members_is_none(tmp_path: Path) -> None:
    """Members of wrong types and sizes make no set, and raise nothing."""
    path, url = tmp_path / "kept.json", "https://a.example/jwks.json"
    last_good.write(path, url, next(sets()))
    whole = json.loads(path.read_bytes())
    odd: list[Any] = [None, [], {}, "x", 10**400, -1, True, float("nan")]
    for name in whole:
        for value in odd:
            fields = {**whole, name: value}
            if name != "sha256":
                fields["sha256"] = last_good._digest(url, fields)
            path.write_text(json.dumps(fields))
            found = last_good.read(path, url, now_s=time.time(), max_age_s=100, max_bytes=1000)
            fits = (name == "etag" and value in (None, "x")) or (name == "body" and value == "x")
            assert (found is not None) is fits, (name, value)
