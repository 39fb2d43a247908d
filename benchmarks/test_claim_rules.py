"""What four claim rules cost a verification, as a ratio in one run: the limits of ``claim_rules.py``."""

from __future__ import annotations

import claim_rules
import pytest

pytestmark = pytest.mark.usefixtures("one_cpu")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("alg", sorted(claim_rules.LIMITS))
def test_four_rules_cost_little(alg: str) -> None:
    """Four rules cost at most 5 % of an ES256 verification, and 15 % of one with HS256."""
    found = claim_rules.ratio(alg, 500 if alg == "ES256" else 3000)
    print(f"{alg}: {found:.3f} with four rules")
    assert found <= claim_rules.LIMITS[alg]
