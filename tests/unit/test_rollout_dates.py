"""Dates of a rollout: time zones, first and last seconds, TOML's own; and partners named by attackers."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from rollouts import ISSUER, NOW_S, OTHER, ask, engine, good, rollout

import rapidjws
from rapidjws.config.moments import moment_s
from rapidjws.config.read import load_config
from rapidjws.config.sections import key_sources_of, partner_from, rollout_from, shadow_from
from rapidjws.rollout import GuardRails, MemoryState, Partner
from rapidjws.rollout.rollout import first_plan

NEW_YEAR_S = 1_830_297_600
"""2028-01-01T00:00:00Z."""


@pytest.fixture(name="zone", params=["UTC", "Pacific/Kiritimati", "America/St_Johns"])
def _zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    if sys.platform == "win32":
        pytest.skip("no tzset")
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(("when", "offset_s"), [
    ("2028-01-01", 0),
    ("2028-01-01T00:00", 0),
    ("2028-01-01T00:00:00Z", 0),
    ("2028-01-01 00:00:00+00:00", 0),
    ("2028-01-01T00:00:00+14:00", -14 * 3600),
    ("2027-12-31T12:00:00-12:00", 0),
    ("2028-01-01T00:00:00-03:30", 3.5 * 3600),
    (date(2028, 1, 1), 0),
    (datetime(2028, 1, 1), 0),
    (datetime(2028, 1, 1, tzinfo=timezone(timedelta(hours=1))), -3600),
    (datetime(2028, 1, 1, 0, 0, 0, 999_999), 0),
])  # fmt: skip
def test_dates_mean_the_same_on_every_machine(zone: str, when: Any, offset_s: float) -> None:
    """A date is its first second in UTC, a time without an offset is UTC, whatever the machine's zone is."""
    assert moment_s("place", when) == NEW_YEAR_S + offset_s
    assert os.environ["TZ"] == zone


@pytest.mark.parametrize("when", [
    "", "soon", "2028", "20280101", "2028-W01-1", "2028-13-01", "2028-02-30", "2028-01-01T25:00",
    "1969-12-31", "2028-01-01T00:00:00.5", "2028-01-01T00:00:00z", "2028-01-01T00:00:00+1",
    "2028-01-01\n", " 2028-01-01",
    "0001-01-01T00:00:00+14:00", "\u0662\u0660\u0662\u0668-01-01",
])  # fmt: skip
def test_dates_that_read_apart_are_refused(when: str) -> None:
    """What Python's versions read differently, or lies before all time, is refused with its place."""
    with pytest.raises(rapidjws.ConfigurationError, match="place"):
        moment_s("place", when)


def test_end_date_is_its_first_second() -> None:
    """On the list until a date means up to its first second, not through it; so does a retiring algorithm."""
    late = partner_from({"name": "late", "allow_listed_until": "2028-01-01", "retiring": "EdDSA 2028-01-01"})
    of = engine(rollout(late, phase="allow_list"))
    assert ask(of, None, "late", now=NEW_YEAR_S - 1).outcome == "permit"
    assert ask(of, None, "late", now=NEW_YEAR_S).outcome == "deny"
    for now_s, code in ((NEW_YEAR_S - 1, "ok"), (NEW_YEAR_S, "algorithm_not_allowed")):
        token = ISSUER.token(ISSUER.claims(now_s), alg="EdDSA")
        assert ask(of, token, "late", now=now_s).code == code
        assert ask(of, ISSUER.token(ISSUER.claims(now_s)), "late", now=now_s).code == "ok"


def test_fractions_of_a_second_do_not_lengthen_a_date() -> None:
    """The last moment before a date still passes, the date itself does not."""
    of = engine(rollout(Partner(name="late", allow_listed_until_s=NOW_S), phase="allow_list"))
    assert ask(of, None, "late", now=NOW_S - 0.001).outcome == "permit"
    assert ask(of, None, "late", now=NOW_S + 0.0).outcome == "deny"


def test_clock_that_steps_back_lists_again_and_nothing_else() -> None:
    """A decision is a matter of its own moment: a clock set back leaves no state behind, and no crash."""
    of = engine(rollout(Partner(name="late", allow_listed_until_s=NOW_S), phase="allow_list"))
    for now_s, outcome in ((NOW_S + 10**9, "deny"), (NOW_S - 1, "permit"), (0, "permit"), (NOW_S, "deny")):
        assert ask(of, None, "late", now=now_s).outcome == outcome


def test_dates_of_toml_and_where_a_wrong_one_stands(tmp_path: Path) -> None:
    """A date may stand without quotes; a wrong one is reported."""
    text = """
[[issuers]]
iss = "https://a.example"
algorithms = ["ES256"]
jwks_url = "https://a.example/jwks.json"

[[partners]]
name = "a"
allow_listed_until = 2028-01-01

[rollout]
phase = "allow_list"
enforce_on = 2028-01-01T00:00:00+01:00
"""
    path = tmp_path / "c.toml"
    path.write_text(text)
    found = load_config(path).tables
    made = rollout_from(found["rollout"], found["partners"], folder=tmp_path, issuer_leeway_s=60,
                        key_sources=key_sources_of(found["issuers"], tmp_path))  # fmt: skip
    assert made.partners["a"].allow_listed_until_s == NEW_YEAR_S
    assert made.state.plan().find(None, None)[1].enforce_on_s == NEW_YEAR_S - 3600
    assert made.key_sources == {"https://a.example/jwks.json": "https://a.example"}
    path.write_text(text.replace("= 2028-01-01\n", "= 2028\n"))
    with pytest.raises(rapidjws.ConfigurationError, match=r"c\.toml:9"):
        load_config(path)


@pytest.mark.parametrize("name", [
    "default", "", "late ", "Late", "late\0", "\u217cate", "__class__", "a/../late", "late\n", "'; --",
    "x" * 10**6, "\ud800",
])  # fmt: skip
def test_names_an_attacker_may_choose_are_nobodys(name: str) -> None:
    """A name that is not a partner's, letter by letter, gets the default's rules and shares one row."""
    policy = rollout(Partner(name="late", allow_listed_until_s=NOW_S + 99), phase="allow_list")
    of = engine(policy)
    decision = ask(of, None, name)
    assert (decision.outcome, decision.partner) == ("deny", None)
    assert list(policy.evidence.rows()) == [("", "")]
    with pytest.raises(rapidjws.ConfigurationError):
        policy.promote(by="ann", partner=name or "nobody")


def test_partner_cannot_use_anothers_issuer() -> None:
    """An authenticated partner with issuers of its own is refused with another's good token."""
    of = engine(rollout(Partner(name="a", issuers=[ISSUER.iss]), Partner(name="b", issuers=[OTHER.iss])))
    assert ask(of, good(), "b").code == "partner_mismatch"
    assert ask(of, good(OTHER), "b").code == "ok"


def test_evidence_of_a_removed_partner_promotes_nobody() -> None:
    """Requests of a partner that left the configuration are neither evidence for all nor against them."""
    policy = rollout(Partner(name="a"), phase="detection", guard_rails=GuardRails(min_evidence=2))
    of = engine(policy)
    for _ in range(5):
        ask(of, good(), "a")
    del policy.partners["a"]
    with pytest.raises(rapidjws.ConfigurationError, match=r"evidence: .* found '0, "):
        policy.promote(by="ann")


def test_guard_rail_window_ends_at_its_hour() -> None:
    """Requests before the window are no evidence, and a wrong clock's from the future are none either."""
    policy = rollout(Partner(name="a"), phase="detection",
                     guard_rails=GuardRails(min_evidence=1, window_s=3600))  # fmt: skip
    of = engine(policy)
    for hours in (-2, +3):
        moment_s = NOW_S + hours * 3600
        ask(of, ISSUER.token(ISSUER.claims(moment_s)), "a", now=moment_s)
    with pytest.raises(rapidjws.ConfigurationError, match=r"evidence: .* found '0, "):
        policy.promote(by="ann")
    ask(of, good(), "a")
    policy.promote(by="ann")


def incumbent(token: str) -> bool:
    """Accept anything, for a configuration to name."""
    return True


def test_shadow_of_a_configuration() -> None:
    """A table names the incumbent by module and name; what cannot be had is refused in one line."""
    assert shadow_from({}) is None
    assert shadow_from({"incumbent": "json:loads", "sample": 0.5, "concurrent": 1}) is not None
    for name in ("", "json", "json:", "json:absent", "absent_module:x", ":x", "json:decoder", "this is:no"):
        with pytest.raises(rapidjws.ConfigurationError, match="shadow"):
            shadow_from({"incumbent": name})
    with pytest.raises(rapidjws.ConfigurationError, match="sample"):
        shadow_from({"incumbent": "json:loads", "sample": 3})
    assert MemoryState(first_plan()).history() == ()
