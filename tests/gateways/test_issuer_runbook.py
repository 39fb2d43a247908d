"""The runbook of an issuer of ours, by its own commands, against one whose process was killed."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from issue_process import QUICK, IssueServer
from monitoring import program

from rapidjws.config.issuing_file import load_issuing
from rapidjws.gameday.commands import Ran, run_section
from rapidjws.observe.runbooks import runbook

pytestmark = pytest.mark.gateways


def faults(ran: list[Ran]) -> list[str]:
    """Say what is not as the runbook says."""
    return [f"{one.command}\n  {one.fault}\n{one.output}" for one in ran if one.fault is not None]


def test_the_runbook_gives_an_issuer_its_next_key(tmp_path: Path) -> None:
    """Without a process and without a next key, each command does what it says, and then there is one."""
    program("curl")
    (tmp_path / "keys").mkdir()
    config = tmp_path / "issuing.toml"
    config.write_text(
        '[issuing]\nissuer = "https://issuer.example"\nstate_file = "keys.json"\nkey_folder = "keys"\n'
        f"lease_s = 0.1\n{QUICK}"
        '[publication]\nlisten = "127.0.0.1:0"\nmetrics_listen = "127.0.0.1:0"\ntick_s = 0.05\n'
    )
    server = IssueServer(config)
    server.line(" active")
    server.process.kill()
    server.end()
    keys = load_issuing(config).life_cycle
    for one in keys.state().in_stage("next"):
        keys.taint(one.kid, "the fault")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "ISSUING": str(config), "PUBLIC": f"http://{server.address()}",
                   "METRICS": f"http://{server.address('metrics')}"}  # fmt: skip
    for section in ("Check", "Act", "Verify", "After"):
        assert faults(run_section(runbook("issuer-down"), section, environment, tmp_path)) == [], section
    stages = [one["stage"] for one in json.loads((tmp_path / "keys.json").read_text())["keys"]]
    assert stages[-1] == "next"
