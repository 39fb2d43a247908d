"""Game days, scaled: each fault is named by its alert in time, and ended by its runbook."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from gates import COMMAND
from monitoring import program

from rapidjws.gameday import exercise, scenarios, series
from rapidjws.gameday.exercise import Exercise, Outcome

pytestmark = pytest.mark.gateways

SCALE = 30.0
IN_SUITE = ("issuer-outage", "flood")  # each takes about a minute; the others run with `make test-long`


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Give a folder whose path is short enough for a Unix socket."""
    path = tmp_path_factory.mktemp("day")
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.mark.parametrize(
    "name",
    [
        name if name in IN_SUITE else pytest.param(name, marks=pytest.mark.long)
        for name in scenarios.GAME_DAYS
    ],
)
def test_a_game_day_passes(name: str, folder: Path) -> None:
    """The fault is detected, named and over in time, its runbook does what it says, and metrics move."""
    for needed in ("prometheus", "curl"):
        program(needed)
    if scenarios.SCENARIOS[name].redis:
        program("redis-server")
    outcome = Exercise(name, folder, scale=SCALE).run()
    assert outcome.faults == ()
    assert outcome.rules == "prometheus"
    if scenarios.SCENARIOS[name].planned:
        assert not outcome.alerts
        return
    assert outcome.moved
    assert outcome.named_s is not None
    assert outcome.named_s <= exercise.ROTATION_MAX_S
    assert outcome.recover_s is not None
    assert outcome.recover_s <= exercise.RECOVERY_MAX_S


def test_a_game_day_fails_where_no_alert_comes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault that no alert names in time fails the day, whatever the runbook does."""
    program("prometheus")
    monkeypatch.setattr(exercise, "DETECTION_S", 30.0)
    monkeypatch.setattr(exercise, "MARGIN_S", 1.0)
    quiet = {"alerts": ("NoSuchAlert",)}
    found = scenarios.SCENARIOS["clock-skew"]
    changed = {name: getattr(found, name) for name in found.__slots__} | quiet
    monkeypatch.setitem(exercise.SCENARIOS, "clock-skew", type(found)(**changed))
    outcome: Outcome = Exercise("clock-skew", folder, scale=SCALE).run()
    assert not outcome.passed
    assert any("no alert named the cause" in fault for fault in outcome.faults)


def test_the_command_prints_json(folder: Path) -> None:
    """The command runs a day with a configuration of one's own, and gives JSON and an exit status."""
    for needed in ("prometheus", "curl"):
        program(needed)
    config = folder / "mine.json"
    issuer = {"iss": "https://mine.example", "algorithms": ["ES256"], "audience": ["https://me.example"]}
    config.write_text(json.dumps({"issuers": [{**issuer, "jwks_url": "https://mine.example/jwks.json"}]}))
    words = ["gameday", "clock-skew", "--config", str(config), "--scale", str(SCALE), "--json"]
    answer = subprocess.run(
        [*COMMAND, *words], capture_output=True, text=True, check=False, timeout=240, cwd=folder
    )
    found = json.loads(answer.stdout)
    assert (answer.returncode, found["passed"]) == (0, True), answer.stdout + answer.stderr
    assert any("https://mine.example" in one for one in found["moved"])


def test_an_unknown_game_day_is_wrong_usage() -> None:
    """A name that is none exits 2 and says which there are."""
    answer = subprocess.run([*COMMAND, "gameday", "party"], capture_output=True, text=True, check=False)
    assert answer.returncode == 2
    assert "issuer-outage" in answer.stderr


def test_series_that_move() -> None:
    """Counters that grew are named, buckets are left out."""
    before = series.read_series(b'# HELP x\nrapidjws_a_total{issuer="i"} 1\nrapidjws_b 2\n')
    after = series.read_series(
        b'rapidjws_a_total{issuer="i"} 5\nrapidjws_b 2\nrapidjws_s_bucket{le="1"} 9\nrapidjws_s_count 3\n'
    )
    assert series.moved(before, after) == {'rapidjws_a_total{issuer="i"}': 4.0, "rapidjws_s_count": 3.0}


def test_a_game_day_without_prometheus(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no Prometheus is installed, the service's own thresholds name the cause."""
    program("curl")
    monkeypatch.setattr(exercise, "prometheus_is_here", lambda: False)
    outcome = Exercise("issuer-outage", folder, scale=SCALE).run()
    assert (outcome.rules, outcome.faults) == ("thresholds", ())
    assert "KeysUnavailable" in outcome.alerts
