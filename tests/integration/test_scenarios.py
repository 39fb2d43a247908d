"""The scenarios, each by its one command, for a moment: what they print is what an operator measures."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCENARIOS = Path(__file__).resolve().parents[2] / "examples" / "scenarios"


def run(name: str, *words: str) -> str:
    """Run a scenario, and return what it printed."""
    command = [sys.executable, str(SCENARIOS / name / "run.py"), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_webhooks_of_a_function_that_starts_cold() -> None:
    """Each forged webhook is 401 and each good one 204, cold or warm; one fetch serves two cold starts."""
    shown = run("serverless", "--cold", "2", "--warm", "60")
    assert "wrong answers {}" in shown
    assert "1 fetches of the JWK Set for 2 cold starts" in shown
    assert int(re.findall(r"(\d+) forged", shown)[0]) > 0


def test_an_incident_is_named_and_mended() -> None:
    """Tokens of a key that caches cannot know are refused, the kid is named, and a hook recovers from it."""
    for module in ("httptools", "uvloop"):
        pytest.importorskip(module, reason="the extra `server` is not installed")
    shown = run("incident", "--requests", "20")
    assert "20 of 20 requests refused" in shown
    for measured in ("failing kid", "caches' age", "time to name", "time to recover"):
        assert re.search(rf"^{measured} +\S", shown, re.MULTILINE), shown
    assert "# Incident of" in shown
    assert "cache invalidations" in shown


@pytest.mark.parametrize(
    ("seconds", "rate"), [("12", "60"), pytest.param("30", "200", marks=pytest.mark.long)]
)
def test_a_mesh_rotates_under_load(seconds: str, rate: str) -> None:
    """Behind Envoy and a sidecar no good token is refused while keys in KMS rotate."""
    sys.path[:0] = [str(SCENARIOS.parent)]
    from gateway import program

    for module in ("boto3", "moto", "httptools", "uvloop"):
        pytest.importorskip(module, reason=f"{module} is not installed")
    if program("envoy") is None or shutil.which("redis-server") is None:
        pytest.skip("envoy or redis-server absent: make gateways, apt-get install redis-server")
    shown = run("mesh", "--seconds", seconds, "--rate", rate, "--every", "7")
    assert "100.0000% accepted" in shown
    for name in ("Envoy jwt_authn", "sidecar"):
        assert int(re.findall(rf"{name} +(\d+) accepted, 0 refused", shown)[0]) > 0
    assert int(re.findall(r"rotations +(\d+)", shown)[0]) >= 1
    for measured in ("rotation lag", "JWKS fetches"):
        assert re.search(rf"^{measured} .*\d", shown, re.MULTILINE), shown
