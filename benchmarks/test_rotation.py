"""Rotations under load: no consumer of four kinds refuses a good token, whatever happens to the issuers.

``RAPIDJWS_ROTATION_S`` and ``RAPIDJWS_ROTATION_RATE`` shorten it: ten minutes at 2 000 verifications a second
are what the objective says. ``make bench-rotation SECONDS=60 RATE=2000 VARIANT=killed`` sets them.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "examples" / "scenarios" / "mesh")]

import run  # noqa: E402

SECONDS: Final = float(os.environ.get("RAPIDJWS_ROTATION_S", "600"))
RATE: Final = float(os.environ.get("RAPIDJWS_ROTATION_RATE", "2000"))


@pytest.mark.parametrize(
    "faults",
    [
        pytest.param({}, id="plain"),
        pytest.param({"issuers": 2, "kill_every_s": 8.0}, id="killed"),
        pytest.param({"issuers": 2, "fighting": True, "pause_every_s": 12.0}, id="fighting"),
        pytest.param({"issuers": 2, "clock_off_s": 30.0}, id="clock"),
    ],
)
def test_no_good_token_is_refused(faults: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    """Rotation every 10 s, JWK Set kept for 3 s: 0 good tokens refused by sidecar, Envoy, PyJWT and jose."""
    result = run.measure(SECONDS, RATE, every_s=10.0, in_kms=False, foreign=True, **faults)
    with capsys.disabled():
        print()
        run.show(result, SECONDS)
    assert result.rotations >= SECONDS / 25
    if faults.get("fighting"):
        assert result.fights == result.rotations
        assert result.pauses
    assert not result.refused, result.refused[:3]
    assert not result.failed
    assert set(result.accepted) == {"sidecar", "Envoy jwt_authn", "PyJWKClient", "Node jose"}
