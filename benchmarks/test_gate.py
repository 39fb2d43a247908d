"""The gate catches a deliberate slowdown and leaves an unchanged checkout alone."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

import corpus
import instructions
import ours
import pytest
from floor import Floor
from gate import TOLERANCES, slower

ROUNDS = 40


@pytest.fixture(scope="module")
def hs256_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a small corpus."""
    folder = tmp_path_factory.mktemp("corpus")
    corpus.write_corpus(folder, ("HS256",))
    return folder


def test_more_instructions_are_caught(hs256_corpus: Path) -> None:
    """Half as many instructions again fail the gate; the same code counted twice passes it."""
    if not shutil.which("valgrind"):
        pytest.skip("no valgrind on this machine")
    work = (("single", "HS256"),)
    before, again = (instructions.measure(hs256_corpus, work) for _ in range(2))
    slowed = instructions.measure(hs256_corpus, work, instructions.ROUNDS + 1)
    tolerance = TOLERANCES["instructions"]
    assert slower("instructions", again, before, tolerance) == []
    assert len(slower("instructions", slowed, before, tolerance)) == 1


@pytest.mark.usefixtures("one_cpu")
def test_a_lower_ratio_to_the_floor_is_caught() -> None:
    """Verifying half the tokens twice fails the gate; the same measurement taken twice passes it."""
    tokens = ours.good_tokens("ES256", 64)
    engine, floor = ours.make_engine("ES256"), Floor("ES256", tokens[0])

    def ratio(work: list[bytes]) -> dict[str, float]:
        call = partial(ours.accept_each, engine, work)
        best_ns = min(ours.best_ns([(call, len(tokens))], 1)[0] for _ in range(ROUNDS))
        return {"single ES256": min(floor.ns_per_call(8) for _ in range(ROUNDS)) / best_ns}

    before, again, slowed = ratio(tokens), ratio(tokens), ratio(tokens + tokens[:32])
    tolerance = TOLERANCES["times_floor"]
    assert slower("times_floor", again, before, tolerance) == []
    assert len(slower("times_floor", slowed, before, tolerance)) == 1


def test_a_figure_that_vanished_is_caught() -> None:
    """A workload of the baseline that nobody measures any more is a fault, not a pass."""
    assert slower("instructions", {}, {"single HS256": 1.0}, 0.02) == [
        "instructions, single HS256: in the baseline, not measured"
    ]
