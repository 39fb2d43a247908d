"""A sample of mutants of a token and its proof: none is accepted. ``make test-dpop-mutants`` tries more."""

from __future__ import annotations

from proof_mutants import Mutants

SAMPLE = 4000


def test_no_mutant_of_a_pair_is_accepted() -> None:
    """The good pair permits, before and after; of its mutants none does, on each way of the core."""
    mutants = Mutants(seed=9449)
    assert mutants.is_accepted(mutants.token, mutants.proof)
    first = [pair for pair in mutants.pairs(SAMPLE // 4) if mutants.is_accepted(*pair)]
    assert first == []
    assert mutants.use_tables()
    accepted = [pair for pair in mutants.pairs(SAMPLE) if mutants.is_accepted(*pair)]
    assert accepted == []
    assert mutants.is_accepted(mutants.token, mutants.proof)
