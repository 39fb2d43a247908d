"""Two thousand ordinary bad tokens: none is called an attack or a clock fault; the first cause is right."""

from __future__ import annotations

from collections import Counter

import pytest
from broken_world import NOW
from ordinary import ordinary

from rapidjws.diagnose import diagnose

PARTS = 10
TOKENS_A_PART = 200
RIGHT_AT_LEAST = 0.99
CLOCKS = {"clock_local_time", "clock_ahead", "clock_here"}


FIRST = range(0, PARTS * TOKENS_A_PART, TOKENS_A_PART)


@pytest.mark.parametrize("first", FIRST)
def test_N6_B_ordinary_tokens(first: int) -> None:
    """Expired, for others, too early, of another key, cut, mistyped: no attack, no clock, the right cause."""
    wrong: Counter[str] = Counter()
    judged = 0
    for one in ordinary(first, TOKENS_A_PART):
        report = diagnose(one.token, one.using, now=float(NOW), **one.more)
        cause = report.probable_cause
        if cause is None:  # a mistyped character that carries nothing, such as white space in JSON
            assert "mistyped" in one.name or "truncated" in one.name, one.name
            continue
        judged += 1
        assert cause.escalate != "security", (one.name, cause.id, cause.evidence)
        assert cause.id not in CLOCKS, (one.name, cause.evidence)
        assert not any(other.is_proven and other.escalate == "security" for other in report.causes), one.name
        if cause.id not in one.causes:
            wrong[f"{one.name} {report.code}: {cause.id} ({cause.evidence})"] += 1
    assert judged > 0.95 * TOKENS_A_PART
    assert wrong.total() <= (1 - RIGHT_AT_LEAST) * judged, "\n".join(wrong)
