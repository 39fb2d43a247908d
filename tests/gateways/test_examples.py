"""The examples: each is one command, and ends with 0 where every request got what it should."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from gateway import GATEWAYS, HERE, program

pytest.importorskip("uvloop", reason="the extra `server` is not installed")


def run(*command: str) -> str:
    """Run an example and return what it printed; whatever it says goes into a failure's report."""
    done = subprocess.run(
        [sys.executable, str(HERE / command[0]), *command[1:]],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.gateways
@pytest.mark.parametrize("name", GATEWAYS)
def test_gateway_example(name: str) -> None:
    """The command of each gateway's example shows every kind of token, and one request at the service."""
    if program(GATEWAYS[name].program) is None:
        pytest.skip(f"{GATEWAYS[name].program} absent: `make gateways` installs it where it can be had")
    if name == "envoy-grpc":
        pytest.importorskip("grpc", reason="the extra `envoy` is not installed")
    shown = run("gateway.py", name)
    assert "good         200" in shown
    assert "outage       503" in shown
    assert "the service saw 1 request, of ann" in shown


def test_fastapi_example() -> None:
    """The FastAPI example answers who may, and tells who may not why."""
    pytest.importorskip("fastapi", reason="the extra `fastapi` is not installed")
    pytest.importorskip("uvicorn", reason="uvicorn is not installed")
    shown = run("fastapi/run.py")
    assert '{"orders of":"ann"}' in shown
    assert 'scope="orders"' in shown


def test_webhook_example() -> None:
    """The webhook example takes what was signed, both ways, and nothing else."""
    shown = run("webhook/run.py")
    assert shown.count("204 ok") == shown.count("received 30 bytes signed by shop-1") == 2
    assert "changed on the way  401 signature_invalid" in shown


def test_L_audit_example() -> None:
    """A day with a rotation is verified again without the old key, and a changed byte is named."""
    shown = run("audit/run.py")
    assert "264 decisions of a day; 2026 rotated at 12:00, removed from the issuer at 18:00" in shown
    first, changed, second = shown.partition("one byte of a record is changed")
    assert changed
    assert "looked at 264; verified again with the same verdict: 240" in first
    assert first.rstrip().endswith("\ngood")
    assert re.search(r"^record_altered at tile/entries/000:\d+ record 6: the record$", second, re.MULTILINE)
    assert "NOT GOOD" in second


def test_unknown_gateway_is_reported() -> None:
    """A gateway that there is no example for is named as such, with those that there are."""
    done = subprocess.run(
        [sys.executable, str(HERE / "gateway.py"), "squid"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "nginx" in done.stderr
