"""A whole migration over simulated weeks: four phases, three partners, a rollback, mails, and the report."""

from __future__ import annotations

import json
import time
from pathlib import Path

import jwt
import pytest
from rollouts import engine
from typer.testing import CliRunner

import rapidjws
from rapidjws.cli.app import app
from rapidjws.rollout import GuardRails, Partner, Rollout, Shadow, StateFolder
from rapidjws.rollout.report.mailing import MailServer, SentLog, send
from rapidjws.rollout.report.notices import notices_for
from rapidjws.rollout.report.readiness import PartnerReadiness, Readiness, readiness
from rapidjws.rollout.report.readiness_html import page
from rapidjws.rollout.rollout import first_plan
from rapidjws.testing import FakeIssuer
from rapidjws.verify.protocols import Event

START_S = 1_800_000_000
DAY_S = 86_400
ISSUERS = {name: FakeIssuer(f"https://{name}.example") for name in ("ready", "late", "skewed")}
JWKS_URL = "https://ready.example/jwks.json"
SKEW_S = 700
A_DAY = 20
ENFORCE_ON_S = START_S + 28 * DAY_S
LISTED_UNTIL_S = START_S + 42 * DAY_S


def incumbent(token: str) -> object:
    """Verify as the old gateway does: the signature by the issuer's key, whatever kid and times say."""
    iss = jwt.decode(token, options={"verify_signature": False})["iss"]
    issuer = next(one for one in ISSUERS.values() if one.iss == iss)
    key = jwt.PyJWK(issuer.jwks.as_dict()["keys"][0]).key
    unchecked = {"verify_exp": False, "verify_nbf": False, "verify_iat": False, "verify_aud": False}
    return jwt.decode(token, key, algorithms=["ES256"], options=unchecked)


class Weeks:
    """Three partners against one engine; the clock is moved by hand."""

    def __init__(self, folder: Path) -> None:
        self.now_s = START_S
        self.folder = folder
        partners = [
            Partner(name=name, issuers=[issuer.iss], contact=f"ops@{name}.example",
                    allow_listed_until_s=LISTED_UNTIL_S if name == "late" else None)
            for name, issuer in ISSUERS.items()
        ]  # fmt: skip
        self.shadow = Shadow(incumbent, timeout_s=60, per_second=1_000_000)
        self.rollout = Rollout(
            partners,
            state=StateFolder(folder, first_plan()),
            guard_rails=GuardRails(min_evidence=100, max_error_rate=0.05, window_s=7 * DAY_S),
            shadow=self.shadow,
            key_sources={JWKS_URL: ISSUERS["ready"].iss},
            clock=lambda: self.now_s,
            unattributed="default",
        )
        issuers = [
            rapidjws.Issuer(one.iss, keys=one.jwks, algorithms=one.algorithms, audience="https://api.example")
            for one in ISSUERS.values()
        ]
        self.engine = rapidjws.Engine(*issuers, rollout=self.rollout)
        self.late_tries = self.late_signs = self.skew_is_mended = False
        self.refused = dict.fromkeys(ISSUERS, 0)
        self.warned = dict.fromkeys(ISSUERS, 0)

    def token(self, name: str, number: int) -> str | None:
        """Return what a partner sends now, as the day's so many-th request."""
        issuer = ISSUERS[name]
        if name == "late" and not self.late_signs:
            header = {"kid": "late-2027"}  # a key it has not published
            tries = self.late_tries and number == 0
            return issuer.token(issuer.claims(self.now_s), header=header) if tries else None
        ahead_s = SKEW_S if name == "skewed" and not self.skew_is_mended else 0
        return issuer.token(issuer.claims(self.now_s + ahead_s))

    def days(self, count: int) -> None:
        """Let days pass, each with requests of all partners."""
        for _ in range(count):
            for name in ISSUERS:
                for number in range(A_DAY):
                    found = self.engine.decide(self.token(name, number), partner=name, now=self.now_s)
                    self.refused[name] += found.outcome != "permit"
                    self.warned[name] += bool(found.warnings)
                assert self.shadow.wait_idle(60)
            self.now_s += DAY_S

    def report(self) -> Readiness:
        """Return the report as of the end of the last day with requests."""
        return readiness(self.rollout, self.now_s - DAY_S // 2)

    def rows(self) -> dict[str, PartnerReadiness]:
        """Return the report's rows by partner."""
        return {row.partner: row for row in self.report().partners}

    def taken_up(self) -> dict[tuple[str, str | None], tuple[tuple[str, str], ...]]:
        """Return the evidence of what is to be taken up, by rule and partner."""
        return {(one.rule, one.partner): one.evidence for one in self.report().escalations}

    def notify(self) -> list[tuple[str, str]]:
        """Send the notices that are due by a real server, and return to whom and with what outcome."""
        smtp_server = pytest.importorskip("smtp_server")
        with smtp_server.OwnSMTP(smtp_server.Box()) as own:
            server = MailServer(host="localhost", port=own.port, sender="us@gate.example", security="none")
            log = SentLog(self.folder / "notices.jsonl")
            done = send(notices_for(self.report()), server, log, clock=lambda: self.now_s)
        return [(one.to, one.outcome) for one in done]


@pytest.fixture(name="weeks")
def _weeks(tmp_path: Path) -> Weeks:
    """Return the first two weeks, in detection: nobody notices."""
    weeks = Weeks(tmp_path)
    weeks.days(7)
    weeks.late_tries = True
    weeks.days(7)
    assert weeks.refused == weeks.warned == {"ready": 0, "late": 0, "skewed": 0}
    return weeks


def compared(weeks: Weeks) -> dict[tuple[str, str], int]:
    """Return what the shadow comparison came to, by partner and outcome."""
    return {(one.partner, one.seen.name): one.seen.count for one in weeks.report().shadow}


def test_detection_tells_all_there_is_to_know(weeks: Weeks) -> None:
    """After two weeks the report names who fails and why, what to take up, and where the two differ."""
    rows = weeks.rows()
    assert (rows["ready"].rejected_tomorrow, rows["ready"].failures) == (False, ())
    assert not rows["late"].rejected_tomorrow
    assert rows["late"].why == "let through by the allow-list"
    assert {(seen.name, seen.count, seen.first_s) for seen in rows["late"].failures} == {
        ("missing_token", 14 * A_DAY - 7, START_S), ("unknown_kid", 7, START_S + 7 * DAY_S)}  # fmt: skip
    assert rows["skewed"].rejected_tomorrow
    (failure,) = rows["skewed"].failures
    assert failure.name == "issued_in_future"
    assert (failure.count, failure.first_s, failure.last_s) == (14 * A_DAY, START_S, START_S + 13 * DAY_S)
    assert weeks.taken_up() == {
        ("unknown_kids", "late"): (("kid", "late-2027 (7 times)"),),
        ("clock_skew", "skewed"): (("ahead by 600 to 1800 s", f"{A_DAY} of {A_DAY} tokens"),),
    }
    assert compared(weeks) == {
        ("ready", "agree"): 14 * A_DAY,
        ("late", "theirs_accepts unknown_kid"): 7,
        ("skewed", "theirs_accepts issued_in_future"): 14 * A_DAY,
    }


def test_key_set_down_for_an_hour_in_the_middle(weeks: Weeks) -> None:
    """An outage of a partner's key set is notified of with its evidence while it lasts, and no longer."""
    for minutes in (0, 30, 61):
        now_s, weeks.now_s = weeks.now_s, weeks.now_s - DAY_S // 2 - (61 - minutes) * 60
        weeks.rollout.note(Event(name="fetch_failed", issuer=JWKS_URL, detail="connect"))
        weeks.now_s = now_s
    assert weeks.taken_up()["jwks_down", "ready"] == (("key set", JWKS_URL), ("failed: connect", "3 times"))
    weeks.rollout.note(Event(name="fetch_ok", issuer=JWKS_URL))
    assert ("jwks_down", "ready") not in weeks.taken_up()


def test_migration(weeks: Weeks) -> None:
    """Nobody is refused early; guard rails hold; a rollback lets through at once; the report agrees."""
    # the guard rails hold everyone back, and let the ready one go
    with pytest.raises(rapidjws.ConfigurationError, match="error rate"):
        weeks.rollout.promote(by="ann")
    weeks.rollout.promote(by="ann", to="warning", force=True, enforce_on_s=ENFORCE_ON_S, why="announced")
    assert weeks.notify() == [("ops@late.example", "sent"), ("ops@skewed.example", "sent")]
    weeks.rollout.promote(by="ann", partner="ready", to="enforcement")
    weeks.days(7)
    assert weeks.refused == {"ready": 0, "late": 0, "skewed": 0}
    assert weeks.warned == {"ready": 0, "late": 7 * A_DAY, "skewed": 7 * A_DAY}
    assert weeks.notify() == [("ops@late.example", "known"), ("ops@skewed.example", "known")]
    # the allow-list: the late one passes, the skewed one is refused, and rolled back
    weeks.rollout.promote(by="bob", to="allow_list", force=True)
    weeks.days(1)
    assert weeks.refused == {"ready": 0, "late": 0, "skewed": A_DAY}
    assert weeks.rows()["skewed"].refused == A_DAY
    weeks.rollout.rollback(by="bob", partner="skewed", why="clock")
    weeks.days(6)
    assert weeks.refused["skewed"] == A_DAY
    # clocks and code are mended; a week later everyone is enforced
    weeks.late_signs = weeks.skew_is_mended = True
    weeks.days(8)
    assert weeks.taken_up() == {}
    assert weeks.notify() == []
    for partner in ("late", "skewed"):
        assert not weeks.rows()[partner].rejected_tomorrow
        weeks.rollout.promote(by="ann", partner=partner, to="enforcement")
    weeks.rollout.promote(by="ann", to="enforcement")
    weeks.days(14)
    assert weeks.now_s > LISTED_UNTIL_S
    assert weeks.refused == {"ready": 0, "late": 0, "skewed": A_DAY}
    agrees_with_what_happened(weeks)


def agrees_with_what_happened(weeks: Weeks) -> None:
    """Compare the last report, in each of its forms, with what was sent and done."""
    rows = weeks.rows()
    assert {name: row.phase for name, row in rows.items()} == dict.fromkeys(ISSUERS, "enforcement")
    assert {name: row.requests for name, row in rows.items()} == dict.fromkeys(ISSUERS, 50 * A_DAY)
    assert {name: row.verified for name, row in rows.items()} == {
        "ready": 50 * A_DAY, "late": 22 * A_DAY, "skewed": 22 * A_DAY}  # fmt: skip
    assert {name: row.refused for name, row in rows.items()} == weeks.refused
    assert compared(weeks) == {
        ("ready", "agree"): 50 * A_DAY,
        ("late", "agree"): 22 * A_DAY,
        ("late", "theirs_accepts unknown_kid"): 21,
        ("skewed", "agree"): 22 * A_DAY,
        ("skewed", "theirs_accepts issued_in_future"): 28 * A_DAY,
    }
    reported = json.loads(json.dumps(weeks.report().as_dict()))
    assert [row["refused"] for row in reported["partners"]] == [0, 0, A_DAY]
    assert page(weeks.report()).count("<svg") == 6
    assert [(entry.by, entry.action, entry.partner, entry.after) for entry in weeks.rollout.history()] == [
        ("ann", "promote", "", "warning"), ("ann", "promote", "ready", "enforcement"),
        ("bob", "promote", "", "allow_list"), ("bob", "rollback", "skewed", "warning"),
        ("ann", "promote", "late", "enforcement"), ("ann", "promote", "skewed", "enforcement"),
        ("ann", "promote", "", "enforcement")]  # fmt: skip


def test_retiring_algorithm_and_silence_are_reported() -> None:
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
unattributed = "default"
""")

    def run(*words: str) -> tuple[int, str]:
        command = ["rollout", words[0], "--config", str(config), *words[1:]]
        found = CliRunner().invoke(app, command, env={"COLUMNS": "160"})
        return found.exit_code, found.output

    assert run("promote", "--by", "ann")[0] == 1
    assert run("promote", "--by", "ann", "--force", "--canary", "25", "--enforce-on", "2030-01-31")[0] == 0
    assert run("freeze", "--by", "ann") == (0, "freeze (revision 2)\n")
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
    worker = Rollout([Partner(name="a")], state=state, partners_named=True)
    engine(worker).decide(None, partner="a", now=int(time.time()))
    worker.evidence.flush()
    code, text = run("report", "--html", str(tmp_path / "r.html"))
    assert code == 1
    assert "missing_token" in (tmp_path / "r.html").read_text()
    assert "missing_token" in run("report")[1]
    config.write_text(config.read_text().replace('state = "state"', ""))
    assert run("status")[0] == 2
