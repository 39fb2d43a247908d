"""``decode`` of rapidjws.compat.pyjwt against PyJWT's own, in one run: the ratios of ``compat_pyjwt.py``."""

from __future__ import annotations

import compat_pyjwt
import pytest

pytestmark = pytest.mark.usefixtures("one_cpu")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("alg", compat_pyjwt.ALGORITHMS)
def test_decode_is_so_many_times_as_fast(alg: str) -> None:
    """Tokens that come for the first time, and again, are decoded faster by the factors that are asserted."""
    theirs, first, again = compat_pyjwt.measured(alg)
    least_first = compat_pyjwt.LEAST_FIRST if compat_pyjwt.has_vectors() else compat_pyjwt.LEAST_FIRST_PLAIN
    print(f"{alg}: {theirs / first:.1f} x for the first time, {theirs / again:.1f} x again")
    assert theirs / first >= least_first[alg]
    assert theirs / again >= compat_pyjwt.LEAST_AGAIN[alg]
