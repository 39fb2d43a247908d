"""A rollout's plan whose octets could not be had for a moment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rollouts import NOW_S

from rapidjws.rollout import StateFolder
from rapidjws.rollout.plan_edits import rollback_edit
from rapidjws.rollout.rollout import first_plan


def _refuse(*words: Any, **named: Any) -> Any:
    raise OSError(24, "too many open files")


def test_a_plan_that_was_there_and_could_not_be_read_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same file is read at the next look, though nothing about it changed."""
    monkeypatch.setattr("rapidjws.rollout.state.LOOK_S", -1.0)  # at each call
    worker, writer = (StateFolder(tmp_path, first_plan("enforcement")) for _ in range(2))
    writer.edit(rollback_edit(("", ""), "warning", by="ann", why="", action="rollback", now_s=NOW_S))
    with monkeypatch.context() as patch:
        patch.setattr("rapidjws.rollout.state.read_plan", _refuse)
        assert worker.plan().find(None, None)[1].phase == "enforcement"
        assert worker.fault is not None
    assert worker.plan().find(None, None)[1].phase == "warning"
    assert worker.fault is None
