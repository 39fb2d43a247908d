"""A configuration file's rollout as the sidecar and the commands see it: incumbent, key sets, partners."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from typer.testing import CliRunner

from rapidjws.cli.app import app
from rapidjws.config.read import load_config
from rapidjws.sidecar.app import app_from
from rapidjws.testing import FakeIssuer

ISSUER = FakeIssuer("https://a.example", "ES256")


CONFIG = """
[[issuers]]
iss = "https://a.example"
algorithms = ["ES256"]
audience = "https://api.example"
jwks_file = "a.json"

[[issuers]]
iss = "https://down.example"
algorithms = ["ES256"]
jwks_url = "http://127.0.0.1:{port}/jwks.json?key=secret"
insecure_allow_http = true
retry_min_s = 1

[[partners]]
name = "a"
issuers = ["https://a.example"]

[[partners]]
name = "down"
issuers = ["https://down.example"]
contact = "ops@down.example"

[rollout]
state = "state"
phase = "detection"

[shadow]
incumbent = "old_gateway:verify"
timeout_s = 60
"""


def wait_until(true: Callable[[], bool]) -> None:
    """Wait until something holds, within a generous bound."""
    end_s = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end_s
        time.sleep(0.01)


def test_incumbent_and_failing_key_set_reach_the_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the sidecar's engine sees of an incumbent and of a key set that is down, the command reports."""
    module = ModuleType("old_gateway")
    module.verify = lambda token: token.startswith("ey")  # type: ignore[attr-defined]
    monkeypatch.setitem(__import__("sys").modules, "old_gateway", module)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    (tmp_path / "a.json").write_text(json.dumps(ISSUER.jwks.as_dict()))
    path = tmp_path / "c.toml"
    path.write_text(CONFIG.format(port=port))
    served = app_from(load_config(path))
    evidence = served.rollout.evidence
    good = ISSUER.token(ISSUER.claims(int(time.time())))
    for token in (good, good[:-4] + "AAAA", None):
        served.engine.decide(token, partner="a")
    wait_until(lambda: sum(seen[0] for seen in evidence.rows()[("a", "")].shadow.values()) == 2)
    wait_until(lambda: bool(evidence.counts().sources))
    evidence.flush()
    found = CliRunner().invoke(app, ["rollout", "report", "--config", str(path), "--json"])
    report = json.loads(found.output)
    assert {one["seen"]["name"]: one["seen"]["count"] for one in report["shadow"]} == {
        "agree": 1, "theirs_accepts signature_invalid": 1}  # fmt: skip
    assert report["escalations"] == []  # not for an hour yet
    now = time.time
    monkeypatch.setattr("rapidjws.cli.rollout.time.time", lambda: now() + 3700)
    report = json.loads(
        CliRunner().invoke(app, ["rollout", "report", "--config", str(path), "--json"]).output
    )
    (one,) = report["escalations"]
    assert (one["rule"], one["partner"], one["contact"]) == ("jwks_down", "down", "ops@down.example")
    assert one["evidence"][0] == ["key set", f"http://127.0.0.1:{port}/jwks.json"]
