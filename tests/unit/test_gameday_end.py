"""The end of a game day: each worker answers as it should, not only the one that was asked first."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rapidjws.gameday import exercise
from rapidjws.gameday.exercise import ENDED_IN_A_ROW, Exercise


class Answers:
    """A service whose answers are listed; it looks that no token is used twice where one use is allowed."""

    def __init__(self, folder: Path, statuses: Iterator[int]) -> None:
        self.folder = folder
        self.asked: list[str] = []
        self._statuses = statuses
        self._numbers = itertools.count()
        (folder / "token.txt").write_text("kept")

    def token(self) -> str:
        """Return a token that nobody used."""
        return f"fresh-{next(self._numbers)}"

    def ask(self, token: str, partner: str | None = None) -> int:
        """Return the next status."""
        self.asked.append(token)
        return next(self._statuses)


def is_over(name: str, folder: Path, statuses: Iterator[int]) -> tuple[bool, list[str]]:
    """Return whether a game day would call its fault over, and the tokens that were asked about."""
    bed: Any = Answers(folder, statuses)
    return Exercise(name, folder)._is_over(bed), bed.asked


def test_a_worker_that_leaves_the_store_alone_for_a_moment_is_waited_for(tmp_path: Path) -> None:
    """One worker asks the store again a second after the other: the fault is over then, not before."""
    statuses = itertools.chain([200, 503, 200, 200, 503], itertools.repeat(200))
    over, asked = is_over("replay-store-down", tmp_path, statuses)
    assert over
    assert len(asked) == 5 + ENDED_IN_A_ROW
    assert len(set(asked)) == len(asked)


def test_a_worker_that_stays_broken_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where every other answer is a 503 the fault is not over, however good the first answer was."""
    monkeypatch.setattr(exercise, "MARGIN_S", 1.0)
    assert not is_over("replay-store-down", tmp_path, itertools.cycle([200, 503]))[0]


def test_a_token_of_another_fault_is_asked_about_again(tmp_path: Path) -> None:
    """Without a replay store the client's own token tells, and 200 is not the end that a revocation has."""
    statuses = itertools.chain([200, 401], itertools.repeat(401))
    over, asked = is_over("compromise", tmp_path, statuses)
    assert over
    assert set(asked) == {"kept"}
    assert len(asked) == 1 + ENDED_IN_A_ROW
