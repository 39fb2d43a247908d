"""A whole migration over simulated weeks: four phases, three partners, a rollback, and the report."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from rollouts import engine
from typer.testing import CliRunner

import rapidjws
from rapidjws.cli.app import app
from rapidjws.policy import GuardRails, Partner, Rollout, StateFolder
from rapidjws.policy.readiness import Readiness, readiness
from rapidjws.policy.readiness_html import page
from rapidjws.policy.rollout import first_plan
from rapidjws.testing import FakeIssuer

START_S = 1_800_000_000
DAY_S = 86_400
ISSUERS = {name: FakeIssuer(f"https://{name}.example") for name in ("ready", "late", "skewed")}
SKEW_S = 300
A_DAY = 20


class Weeks:
    """Simulate three partners against one engine; the clock is moved by hand."""

    def __init__(self, folder: Path) -> None:
        self.now_s = START_S
        partners = [
            Partner(name="ready", issuers=[ISSUERS["ready"].iss], contact="ops@ready.example"),
            Partner(name="late", issuers=[ISSUERS["late"].iss], allow_listed_until_s=START_S + 42 * DAY_S),
            Partner(name="skewed", issuers=[ISSUERS["skewed"].iss]),
        ]
        self.rollout = Rollout(
            partners,
            state=StateFolder(folder, first_plan()),
            guard_rails=GuardRails(min_evidence=100, max_error_rate=0.05, window_s=7 * DAY_S),
            clock=lambda: self.now_s,
        )
        issuers = [
            rapidjws.Issuer(one.iss, keys=one.jwks, algorithms=one.algorithms, audience="https://api.example")
            for one in ISSUERS.values()
        ]
        self.engine = rapidjws.Engine(*issuers, rollout=self.rollout)
        self.late_signs = self.skew_is_mended = False
        self.refused = dict.fromkeys(ISSUERS, 0)
        self.warned = dict.fromkeys(ISSUERS, 0)

    def token(self, name: str) -> str | None:
        """Return what a partner sends now."""
        if name == "late" and not self.late_signs:
            return None
        behind_s = SKEW_S if name == "skewed" and not self.skew_is_mended else 0
        issuer = ISSUERS[name]
        return issuer.token(issuer.claims(self.now_s + behind_s, nbf=self.now_s + behind_s))

    def days(self, count: int) -> None:
        """Let days pass, each with requests of all partners."""
        for _ in range(count):
            for name in ISSUERS:
                token = self.token(name)
                for _ in range(A_DAY):
                    found = self.engine.decide(token, partner=name, now=self.now_s)
                    self.refused[name] += found.outcome != "permit"
                    self.warned[name] += bool(found.warnings)
            self.now_s += DAY_S

    def report(self) -> dict[str, Any]:
        """Return the report's rows by partner, as of the end of the last day with requests."""
        found = readiness(self.rollout, self.now_s - DAY_S // 2)
        return {row.partner: row for row in found.partners}


def test_migration(tmp_path: Path) -> None:
    """Nobody is refused early; guard rails hold; a rollback lets through at once; the report agrees."""
    weeks = Weeks(tmp_path)
    # two weeks of detection: nobody notices
    weeks.days(14)
    assert weeks.refused == weeks.warned == {"ready": 0, "late": 0, "skewed": 0}
    rows = weeks.report()
    assert (rows["ready"].rejected_tomorrow, rows["ready"].failures) == (False, ())
    assert not rows["late"].rejected_tomorrow
    assert rows["late"].why == "let through by the allow-list"
    assert rows["skewed"].rejected_tomorrow
    (failure,) = rows["skewed"].failures
    assert failure.name in ("not_yet_valid", "issued_in_future")
    assert (failure.count, failure.first_s) == (14 * A_DAY, START_S)
    # the guard rails hold everyone back, and let the ready one go
    with pytest.raises(rapidjws.ConfigurationError, match="error rate"):
        weeks.rollout.promote(by="ann")
    weeks.rollout.promote(by="ann", to="warning", force=True, why="announced")
    weeks.rollout.promote(by="ann", partner="ready", to="enforcement")
    weeks.days(7)
    assert weeks.refused == {"ready": 0, "late": 0, "skewed": 0}
    assert weeks.warned == {"ready": 0, "late": 7 * A_DAY, "skewed": 7 * A_DAY}
    # the allow-list: the late one passes, the skewed one is refused, and rolled back
    weeks.rollout.promote(by="bob", to="allow_list", force=True)
    weeks.days(1)
    assert weeks.refused == {"ready": 0, "late": 0, "skewed": A_DAY}
    assert weeks.report()["skewed"].refused == A_DAY
    weeks.rollout.rollback(by="bob", partner="skewed", why="clock")
    weeks.days(6)
    assert weeks.refused["skewed"] == A_DAY
    # clocks and code are mended; a week later everyone is enforced
    weeks.late_signs = weeks.skew_is_mended = True
    weeks.days(8)
    for partner in ("late", "skewed"):
        assert not weeks.report()[partner].rejected_tomorrow
        weeks.rollout.promote(by="ann", partner=partner, to="enforcement")
    weeks.rollout.promote(by="ann", to="enforcement")
    weeks.days(14)
    assert weeks.refused == {"ready": 0, "late": 0, "skewed": A_DAY}
    rows = weeks.report()
    assert {name: row.phase for name, row in rows.items()} == dict.fromkeys(ISSUERS, "enforcement")
    assert {name: row.requests for name, row in rows.items()} == dict.fromkeys(ISSUERS, 50 * A_DAY)
    assert {name: row.verified for name, row in rows.items()} == {
        "ready": 50 * A_DAY, "late": 22 * A_DAY, "skewed": 22 * A_DAY}  # fmt: skip
    assert [(entry.by, entry.action, entry.partner, entry.after) for entry in weeks.rollout.history()] == [
        ("ann", "promote", "", "warning"), ("ann", "promote", "ready", "enforcement"),
        ("bob", "promote", "", "allow_list"), ("bob", "rollback", "skewed", "warning"),
        ("ann", "promote", "late", "enforcement"), ("ann", "promote", "skewed", "enforcement"),
        ("ann", "promote", "", "enforcement")]  # fmt: skip


def test_retiring_algorithm_and_silence_are_told() -> None:
    """A partner whose algorithm ends by tomorrow would be refused; one without requests is silent."""
    from rollouts import NOW_S, ask, good, rollout

    one = rollout(Partner(name="a", retiring={"ES256": NOW_S + 3600}), Partner(name="b"))
    ask(engine(one), good(), "a")
    ask(engine(one), None)
    rows = {row.partner: row for row in readiness(one, NOW_S).partners}
    assert rows["a"].rejected_tomorrow
    assert "ES256" in rows["a"].why
    assert rows["b"].why.startswith("silent")
    assert rows["(unknown callers)"].recent_failed == 1


def test_page_stands_alone_and_escapes() -> None:
    """The page loads nothing, holds each partner, and lets no name become markup."""
    from rollouts import NOW_S, ask, good, rollout

    one = rollout(Partner(name="a", contact="o'neil&co@x.example"), phase="detection")
    for token in (good(), None, None):
        ask(engine(one), token, "a")
    text = page(readiness(one, NOW_S))
    assert "<svg" in text
    assert "missing_token" in text
    assert "o&#x27;neil&amp;co@x.example" in text
    assert not any(mark in text for mark in ("http://", "https://", "<script", "<link", "url("))
    assert page(Readiness(at_s=NOW_S, frozen=True, partners=())).count("frozen") == 1


def test_command_line_changes_and_reports(tmp_path: Path) -> None:
    """The commands promote, refuse, freeze, roll back, and print plan, history and report."""
    config = tmp_path / "c.toml"
    config.write_text("""
[[issuers]]
iss = "https://a.example"
algorithms = ["ES256"]
jwks_file = "absent.json"

[[partners]]
name = "a"
issuers = "https://a.example"
retiring = ["ES256 2030-01-31"]
allow_listed_until = "2020-01-31T12:00:00+01:00"

[rollout]
state = "state"
phase = "detection"
min_evidence = 5
""")

    def run(*words: str) -> tuple[int, str]:
        command = ["rollout", words[0], "--config", str(config), *words[1:]]
        found = CliRunner().invoke(app, command, env={"COLUMNS": "160"})
        return found.exit_code, found.output

    assert run("promote", "--by", "ann")[0] == 1
    assert run("promote", "--by", "ann", "--force", "--canary", "25", "--enforce-on", "2030-01-31")[0] == 0
    assert run("freeze", "--by", "ann")[0] == 0
    assert run("promote", "--force")[0] == 1
    assert run("thaw", "--by", "ann")[0] == 0
    assert run("rollback", "--by", "ann", "--why", "noon")[0] == 0
    assert json.loads(run("status")[1])["stages"][0]["phase"] == "detection"
    actions = [json.loads(line)["action"] for line in run("history", "--json")[1].splitlines()]
    assert actions == ["promote", "freeze", "thaw", "rollback"]
    assert "noon" in run("history")[1]
    code, text = run("report", "--json")
    assert (code, json.loads(text)["partners"][0]["why"]) == (0, "silent: no request in a day")
    state = StateFolder(tmp_path / "state", first_plan())
    worker = Rollout([Partner(name="a")], state=state)
    engine(worker).decide(None, partner="a", now=int(time.time()))
    worker.evidence.flush()
    code, text = run("report", "--html", str(tmp_path / "r.html"))
    assert code == 1
    assert "missing_token" in (tmp_path / "r.html").read_text()
    assert "missing_token" in run("report")[1]
    config.write_text(config.read_text().replace('state = "state"', ""))
    assert run("status")[0] == 2
