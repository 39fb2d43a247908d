"""A rollout's history that grew for years: changes are made all the same, and nothing of it is lost."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from faulty_system import Killed, calls_of, faulty
from rollouts import NOW_S

from rapidjws import _files
from rapidjws.rollout import StateFolder
from rapidjws.rollout.history import Change
from rapidjws.rollout.plan_edits import rollback_edit
from rapidjws.rollout.rollout import first_plan
from rapidjws.rollout.state import PlanEdit

WHOLE = "rapidjws.rollout.history"


def rollback(to: str, why: str = "") -> PlanEdit:
    """Return a rollback for everyone."""
    return rollback_edit(("", ""), to, by="ann", why=why, action="rollback", now_s=NOW_S)  # type: ignore[arg-type]


def test_S3_a_history_above_any_bound_blocks_no_change(tmp_path: Path) -> None:
    """Behind a history of 70 MiB, a line cut off at its end, a rollback is made and remembered."""
    state = StateFolder(tmp_path, first_plan("enforcement"))
    line = json.dumps(Change(at_s=NOW_S, by="bob", action="freeze", why="x" * 190).as_dict()).encode() + b"\n"
    with (tmp_path / "history.jsonl").open("wb") as file:
        file.write(line * ((70 << 20) // len(line)) + line[:-30])
    state.edit(rollback("detection"))
    assert StateFolder(tmp_path, first_plan()).plan().find(None, None)[1].phase == "detection"
    assert [one.after for one in state.history()][-1] == "detection"
    assert [one.by for one in state.history()] == ["bob", "ann"]  # what is alike is one
    assert (tmp_path / "history.jsonl").stat().st_size < 1000
    assert (tmp_path / "history.jsonl.1").stat().st_size > 70 << 20


def test_S3_a_history_is_kept_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts are put aside at their size, read in order, and no more than so many are kept."""
    monkeypatch.setattr(f"{WHOLE}.HISTORY_PART_BYTES", 500)
    monkeypatch.setattr(f"{WHOLE}.HISTORY_PARTS", 4)
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    state = StateFolder(tmp_path, first_plan("enforcement"))
    for number in range(40):
        entry = Change(at_s=number, by="ann", action="freeze", revision=number + 1)

        def edit(plan: object, entry: Change = entry) -> object:
            return replace(plan, revision=entry.revision), entry  # type: ignore[type-var]

        state.edit(edit)  # type: ignore[arg-type]
    parts = sorted(path.name for path in tmp_path.glob("history.jsonl*"))
    assert parts == ["history.jsonl", *(f"history.jsonl.{number}" for number in range(1, 5))]
    kept = [one.at_s for one in state.history()]
    assert kept == list(range(40 - len(kept), 40))
    assert 8 <= len(kept) <= 20


@pytest.mark.parametrize("fault", ["kill", "kill after", "ENOSPC", "EIO"])
def test_S18_a_change_that_begins_a_part_may_die_at_every_call(
    tmp_path: Path, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever call is the last, no entry is lost or doubled, and the repeat makes one step."""
    monkeypatch.setattr(f"{WHOLE}.HISTORY_PART_BYTES", 1)
    monkeypatch.setattr(f"{WHOLE}.HISTORY_PARTS", 8)
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)

    def begun(folder: Path) -> StateFolder:
        state = StateFolder(folder, first_plan("enforcement"))
        state.edit(rollback("allow_list"))
        state.edit(rollback("warning"))
        return state

    sample = begun(tmp_path / "sample")
    for at in range(len(calls_of(lambda: sample.edit(rollback("detection"))))):
        state = begun(tmp_path / f"{at}")
        try:
            with faulty(at, fault):
                state.edit(rollback("detection"))
        except (Killed, OSError, Exception):
            pass
        again = StateFolder(tmp_path / f"{at}", first_plan())
        again.edit(rollback("detection"))
        assert [one.after for one in again.history()] == ["allow_list", "warning", "detection"], at


def test_S3_the_end_of_a_file_is_whole_lines(tmp_path: Path) -> None:
    """At each bound, what is read from the end begins with the first line that is not cut."""
    path = tmp_path / "lines"
    path.write_bytes(b"one\ntwo\nthree\n")
    found = [_files.read_end(path, most) for most in range(16)]
    assert found == [b""] * 6 + [b"three\n"] * 4 + [b"two\nthree\n"] * 4 + [b"one\ntwo\nthree\n"] * 2
