"""Eight hundred more ordinary bad tokens, made in another way: again no attack, no clock, the right cause."""

from __future__ import annotations

from collections import Counter

import pytest
from ordinary_tenants import NOW, tenants

from rapidjws.diagnose import diagnose

TOKENS_A_SEED = 100
RIGHT_AT_LEAST = 0.99
SEEDS = range(8)


@pytest.mark.parametrize("seed", SEEDS)
def test_N6_B_other_ordinary_tokens(seed: int) -> None:
    """Other keys, claims, layouts and slips: no cause at all speaks of an attack or of a clock."""
    wrong: Counter[str] = Counter()
    judged = 0
    for one in tenants(seed, TOKENS_A_SEED):
        report = diagnose(one.token, one.using, now=float(NOW), **one.more)
        cause = report.probable_cause
        if cause is None:  # a mistyped character that carries nothing, such as white space in JSON
            assert "mistyped" in one.name, one.name
            continue
        judged += 1
        blamed = [f"{other.id} ({other.evidence})" for other in report.causes if other.escalate == "security"]
        assert not blamed, (one.name, blamed)
        assert not any(other.id.startswith("clock") for other in report.causes), one.name
        if cause.id not in one.causes:
            wrong[f"{one.name} {report.code}: {cause.id} ({cause.evidence})"] += 1
    assert judged > 0.95 * TOKENS_A_SEED
    assert wrong.total() <= (1 - RIGHT_AT_LEAST) * judged, "\n".join(wrong)
