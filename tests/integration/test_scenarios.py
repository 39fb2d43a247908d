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


@pytest.mark.long
def test_an_incident_is_named_and_mended() -> None:
    """Tokens of a key that caches cannot know are refused, the kid is named, and a hook recovers from it."""
    for module in ("httptools", "uvloop"):
        pytest.importorskip(module, reason="the extra `server` is not installed")
    shown = run("incident", "--requests", "20")
    assert "20 of 20 requests refused" in shown
    assert "# Incident of" in shown
    assert "cache invalidations" in shown


@pytest.mark.long
def test_a_mesh_rotates_under_load() -> None:
    """Behind Envoy and a sidecar no good token is refused while keys in KMS rotate."""
    sys.path[:0] = [str(SCENARIOS.parent)]
    from gateway import program

    if program("envoy") is None or shutil.which("redis-server") is None:
        pytest.skip("envoy or redis-server absent: make gateways, apt-get install redis-server")
    shown = run("mesh", "--seconds", "16", "--rate", "100", "--every", "7")
    assert "100.0000% accepted" in shown
    assert int(re.findall(r"rotations +(\d+)", shown)[0]) >= 1
