"""Signed tokens with changed claims, and signed bodies with changed octets, against plain definitions."""

from __future__ import annotations

import os
import random

import body_mutants
import claim_mutants
import pytest

COUNT = int(os.environ.get("RAPIDJWS_CLAIM_MUTANTS", "9000"))
"""Mutants of a run; `make test-claim-mutants` takes a million."""
SHARES = len(claim_mutants.SCENES) + 1


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("scene", claim_mutants.SCENES, ids=lambda scene: scene.name)
def test_no_changed_claims_pass_that_must_not(scene: claim_mutants.Scene) -> None:
    """Each mutant gets the verdict of the plain definition: none passes that must not, none else fails."""
    seed = random.SystemRandom().getrandbits(48)
    count = COUNT // SHARES
    assert scene.passes(scene.typ, scene.claims)
    passed, refused = claim_mutants.run(scene, seed, count)
    assert passed + refused == count
    assert passed > 0.005 * count, f"seed {seed}: too few to show that good ones pass"
    assert refused > 0.3 * count, f"seed {seed}"


@pytest.mark.timeout(3600)
def test_no_changed_body_passes_that_must_not() -> None:
    """A body passes only where a plain reader finds the good token in it, once."""
    seed = random.SystemRandom().getrandbits(48)
    passed, refused = body_mutants.run(seed, COUNT // SHARES)
    assert 0 < passed < refused, f"seed {seed}"
