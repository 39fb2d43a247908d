"""A log of sent notices that grew for years: it is read and written, and nothing is sent a second time."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path

import pytest
from faulty_system import Killed, calls_of, faulty

from rapidjws.rollout.report import mailing
from rapidjws.rollout.report.mailing import (
    LOG_COMPACT_BYTES,
    LOG_KEPT_BYTES,
    LOG_MAX_BYTES,
    MailServer,
    SentLog,
    send,
)
from rapidjws.rollout.report.notices import Notice

NOWHERE = MailServer(host="127.0.0.1", port=9, sender="us@gate.example", security="none", timeout_s=1)


def line(mark: str, state: str) -> str:
    """Return a line as ``SentLog.write`` makes it, to the octet."""
    entry = {"mark": mark, "partner": "a", "to": "ops@a.example", "state": state, "at_s": 1}
    return json.dumps(entry) + "\n"


def notice(mark: str) -> Notice:
    """Return a notice."""
    return Notice(partner="a", to="ops@a.example", subject="s", text="x", html="<p>x</p>", mark=mark)


def test_a_log_above_any_bound_refuses_no_notice(tmp_path: Path) -> None:
    """Above 64 MiB the next sending rewrites it; what was sent stays known, and it is short again."""
    path = tmp_path / "notices.jsonl"
    with path.open("w") as file:
        file.write((line("new", "sending") + line("new", "failed")) * (LOG_MAX_BYTES // 160 + 1))
        file.write(line("old", "sent"))
    assert path.stat().st_size > LOG_MAX_BYTES
    assert SentLog(path).states().get("old") == "sent"
    (found,) = send([notice("old")], NOWHERE, SentLog(path))
    assert (found.outcome, found.detail) == ("known", "sent")
    assert path.read_text() == line("new", "failed") + line("old", "sent")


def test_a_short_log_is_left_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It tells what was done when; from the bound on it is rewritten, and no octet before."""
    path = tmp_path / "notices.jsonl"
    log = SentLog(path)
    log.compact()
    assert not path.exists()
    text = line("a", "sending") + line("a", "sent")
    path.write_text(text)
    monkeypatch.setattr(mailing, "LOG_COMPACT_BYTES", len(text) + 1)
    log.compact()
    assert path.read_text() == text
    monkeypatch.setattr(mailing, "LOG_COMPACT_BYTES", len(text))
    log.compact()
    assert path.read_text() == line("a", "sent")


def test_a_rewritten_log_says_of_each_notice_what_it_said_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever lines are damaged or cut, where they stand and what follows them."""
    monkeypatch.setattr(mailing, "LOG_COMPACT_BYTES", 0)
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    chance = random.Random(11)
    marks = [f"{number:04x}" for number in range(12)]
    for number in range(150):
        path = tmp_path / f"{number}"
        text = ""
        for _ in range(chance.randrange(40)):
            whole = line(chance.choice(marks), chance.choice(["sending", "sent", "failed", "refused"]))
            cut = chance.random() < 0.3
            text += whole[: chance.randrange(len(whole))] + "\n" * chance.randrange(2) if cut else whole
        path.write_text(text)
        before = SentLog(path).states()
        SentLog(path).compact()
        after = SentLog(path).states()
        assert [after.get(mark) for mark in marks] == [before.get(mark) for mark in marks], text
        assert path.stat().st_size <= len(text) + 1


def test_of_too_many_notices_the_oldest_are_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one whose last line is the oldest first, and no more than need be."""
    path = tmp_path / "notices.jsonl"
    path.write_text("".join(line(mark, "sent") for mark in "abcda"))
    monkeypatch.setattr(mailing, "LOG_COMPACT_BYTES", 0)
    monkeypatch.setattr(mailing, "LOG_KEPT_BYTES", 3 * len(line("a", "sent")))
    SentLog(path).compact()
    assert path.read_text() == "".join(line(mark, "sent") for mark in "cda")


@pytest.mark.parametrize("fault", ["kill", "kill after", "short", "ENOSPC", "EIO"])
def test_a_rewrite_may_die_at_every_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    """The log is the old one or the new one, and says the same of each notice."""
    monkeypatch.setattr(mailing, "LOG_COMPACT_BYTES", 0)
    text = line("a", "sending") + line("a", "sent") + line("b", "sending")
    path = tmp_path / "notices.jsonl"
    path.write_text(text)
    for at in range(len(calls_of(SentLog(path).compact))):
        path.write_text(text)
        try:
            with faulty(at, fault):
                SentLog(path).compact()
        except (Killed, OSError):
            pass
        assert path.read_text() in (text, line("a", "sent") + line("b", "sending")), at


def test_a_log_that_cannot_be_rewritten_is_used_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk costs the module that was to be won, not what is known."""
    path = tmp_path / "notices.jsonl"
    path.write_text(line("a", "sending") + line("a", "sent"))
    monkeypatch.setattr(mailing, "LOG_COMPACT_BYTES", 0)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("rapidjws._files.replace", refuse)
    assert [one.outcome for one in send([notice("a")], NOWHERE, SentLog(path))] == ["known"]


def test_the_bounds_leave_module() -> None:
    """A rewritten log is read whole, and so is what the next senders add to it."""
    assert LOG_COMPACT_BYTES < LOG_KEPT_BYTES <= LOG_MAX_BYTES // 2
