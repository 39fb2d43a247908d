"""Plans and configuration files for tests of the rollout. What it never does: test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rollouts import ISSUER
from typer.testing import CliRunner

from rapidjws.cli.app import app
from rapidjws.rollout import MemoryState, Partner, Stage
from rapidjws.rollout.plan import Plan

A = Partner(name="a", issuers=[ISSUER.iss])
CONFIG = """
[[issuers]]
iss = "https://a.example"
algorithms = ["ES256"]
jwks_file = "absent.json"

[[partners]]
name = "a"
issuers = "https://a.example"

[[partners]]
name = "b"
issuers = "https://b.example"

[rollout]
state = "state"
phase = "detection"
min_evidence = {evidence}
{more}
"""


def stage(phase: Any, **named: Any) -> Stage:
    """Return a stage of one phase."""
    return Stage(**{"phase": phase, "before": phase, **named})


def plan(stages: dict[tuple[str, str], Any]) -> MemoryState:
    """Return a state with these phases."""
    return MemoryState(Plan(stages={key: stage(phase) for key, phase in stages.items()}))


def run(config: Path, *words: str) -> tuple[int, str]:
    """Run a command of ``rapidjws rollout``."""
    command = ["rollout", words[0], "--config", str(config), *words[1:]]
    found = CliRunner().invoke(app, command, env={"COLUMNS": "200"})
    return found.exit_code, found.output


def configured(folder: Path, more: str = "", evidence: int = 0) -> Path:
    """Write a configuration file of two partners."""
    path = folder / "c.toml"
    path.write_text(CONFIG.format(more=more, evidence=evidence))
    return path
