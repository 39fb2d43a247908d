"""Every command of every runbook, run as an operator would, against a live service with its fault."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from monitoring import program

from rapidjws.gameday.commands import Ran, environment, expectation, run_section
from rapidjws.gameday.scenarios import SCENARIOS, Scenario, write_edited
from rapidjws.gameday.testbed import Testbed, wait_until
from rapidjws.observe.runbooks import runbook, runbook_names

pytestmark = pytest.mark.gateways

FAULT_OF = {
    "verification-failures": "verification-failures",
    "jwks-down": "issuer-outage",
    "rotation-gone-wrong": "rotation-gone-wrong",
    "emergency-revoke": "emergency-revoke",
    "key-compromise": "compromise",
    "cache-flush": "cache-flush",
    "clock-skew": "clock-skew",
    "replay-store-down": "replay-store-down",
    "latency": "latency",
    "partner-onboarding": "partner-onboarding",
    "enforcement-rollback": "enforcement-rollback",
    "workers": "workers",
}
SHOWS = {
    "verification-failures": "audience",
    "issuer-outage": "keys_stale",
    "rotation-gone-wrong": "unknown_kid",
    "compromise": "200",
    "clock-skew": "issued_in_future",
    "replay-store-down": "503",
    "enforcement-rollback": "401",
    "partner-onboarding": "401",
}
"""What an operator sees of the fault in the output of the section Check."""


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Give a folder whose path is short enough for a Unix socket."""
    path = tmp_path_factory.mktemp("bed")
    yield path
    shutil.rmtree(path, ignore_errors=True)


def faults(ran: list[Ran]) -> list[str]:
    """Say what is not as the runbook says."""
    return [f"{one.command}\n  {one.fault}\n{one.output}" for one in ran if one.fault is not None]


def test_every_runbook_has_a_fault() -> None:
    """No runbook is without a fault that it is tried against, and the fault names that runbook."""
    assert (
        sorted([*FAULT_OF, "issuer-down"]) == runbook_names()
    )  # the latter: tests/gateways/test_issuer_runbook.py
    assert all(SCENARIOS[fault].runbook == name for name, fault in FAULT_OF.items())


@pytest.mark.parametrize("name", sorted(FAULT_OF))
def test_a_runbook_ends_its_fault(name: str, folder: Path) -> None:
    """Each command does what the runbook says, and afterwards the fault is over."""
    program("curl")
    scenario: Scenario = SCENARIOS[FAULT_OF[name]]
    if scenario.redis:
        program("redis-server")
        program("redis-cli")
    book = runbook(name)
    with Testbed(folder, edit=scenario.start, redis=scenario.redis) as bed:
        wait_until(bed.is_ready, "the service is ready")
        variables = scenario.inject(bed)
        scenario.yields(bed)
        write_edited(bed, scenario.edit)
        token = (folder / "token.txt").read_text()
        for _ in range(5):
            bed.ask(token, scenario.partner)
        time.sleep(1.1)  # a text of metrics is given to others for a second
        env = environment(bed, variables)
        checked = run_section(book, "Check", env, folder)
        assert faults(checked) == []
        if scenario.name in SHOWS:
            assert SHOWS[scenario.name] in "".join(one.output for one in checked)
        for section in ("Act", "Verify"):
            assert faults(run_section(book, section, env, folder)) == [], section
        if not scenario.redis:  # there each token is good for one use, which Verify took
            assert bed.ask(token, scenario.partner) == scenario.ended
        assert faults(run_section(book, "After", env, folder)) == []


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("true", (frozenset({0}), None)),
        ("false  # exit 1: it fails", (frozenset({1}), None)),
        ("x  # exit 0 or 1: either", (frozenset({0, 1}), None)),
        ("x  # prints 200", (frozenset({0}), "200")),
        ("x  # prints 200: it is accepted still", (frozenset({0}), "200")),
    ],
)
def test_comments_are_expectations(command: str, expected: tuple[frozenset[int], str | None]) -> None:
    """What a comment behind a command says is what the test expects."""
    assert expectation(command) == expected
