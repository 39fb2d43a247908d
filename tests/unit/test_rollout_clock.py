"""A rollout whose clock was ahead and runs back: nothing lost, no stage skipped, no refusal for ever."""

from __future__ import annotations

from pathlib import Path

import pytest
from counting import bad, worker
from rollouts import ISSUER, NOW_S, ask, engine, forged

from rapidjws.errors import RolloutRefused
from rapidjws.rollout import GuardRails, Partner, Rollout, StateFolder
from rapidjws.rollout.counters import HOUR_S, HOURS_KEPT, Request, Row
from rapidjws.rollout.escalation import JWKS_DOWN_S, escalations
from rapidjws.rollout.evidence import Evidence
from rapidjws.rollout.evidence_files import EvidenceFiles
from rapidjws.rollout.measures import AHEAD_S, SourceRecord
from rapidjws.rollout.rollout import first_plan

YEAR_S = 365 * 86_400


class Clock:
    """A clock that can be set."""

    def __init__(self, now_s: int) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        """Return seconds since the epoch."""
        return self.now_s


def service(folder: Path, clock: Clock, **guard_rails: object) -> Rollout:
    """Return a worker's rollout over a folder."""
    return Rollout(
        [Partner(name="a", issuers=[ISSUER.iss])],
        state=StateFolder(folder, first_plan("detection")),
        guard_rails=GuardRails(**{"min_evidence": 0, **guard_rails}),  # type: ignore[arg-type]
        partners_named=True,
        clock=clock,
    )


def phase(policy: Rollout, partner: str | None = None) -> str:
    """Return a partner's phase, or everyone's."""
    return policy.state.plan().find(partner, None)[1].phase


@pytest.mark.parametrize("back_s", [1, 7200, YEAR_S, NOW_S + YEAR_S])
def test_each_step_is_one_step_whatever_the_clock_says(tmp_path: Path, back_s: int) -> None:
    """Steps made while the clock was ahead, and after it ran back, follow each other, none left out."""
    clock = Clock(NOW_S + YEAR_S)
    ahead = service(tmp_path, clock)
    ahead.promote(by="ann", to="warning", canary_percent=10)
    clock.now_s -= back_s
    policy = service(tmp_path, clock)
    policy.promote(by="ann", canary_percent=100)
    assert phase(policy) == phase(ahead) == "warning"
    policy.promote(by="ann")
    assert phase(policy) == phase(ahead) == "allow_list"
    policy.rollback(by="ann", why="twice")
    policy.promote(by="ann", why="twice")
    policy.rollback(by="ann", why="twice")
    policy.promote(by="ann", why="twice")
    assert phase(policy) == phase(ahead) == "allow_list"
    policy.freeze(by="ann")
    with pytest.raises(RolloutRefused, match="frozen"):
        policy.promote(by="ann")
    policy.thaw(by="ann")
    policy.promote(by="ann", partner="a")
    assert (phase(policy, "a"), phase(policy)) == ("enforcement", "allow_list")
    history = service(tmp_path, clock).history()
    assert [one.revision for one in history] == list(range(1, 11))
    assert [one.after for one in history if one.action in ("promote", "rollback")] == [
        "warning for 10 %, detection for the rest", "warning", "allow_list", "warning", "allow_list",
        "warning", "allow_list", "enforcement",
    ]  # fmt: skip
    assert [one.at_s for one in history] == [NOW_S + YEAR_S] + [clock.now_s] * 9


@pytest.mark.parametrize("back_s", [7200, YEAR_S])
def test_an_automatic_rollback_is_made_once_after_the_clock_ran_back(tmp_path: Path, back_s: int) -> None:
    """A stage that began in the future is watched as any other, and goes back one phase, not two."""
    clock = Clock(NOW_S + back_s)
    policy = service(tmp_path, clock, min_evidence=20, automatic_rollback=True, rollback_error_rate=0.5)
    policy.promote(by="ann", partner="a", to="enforcement", force=True)
    clock.now_s = NOW_S
    gate = engine(policy)
    for _ in range(19):
        assert ask(gate, forged(), "a").outcome == "deny"
    assert phase(policy, "a") == "enforcement"
    ask(gate, forged(), "a")
    assert phase(policy, "a") == "allow_list"
    assert [one.action for one in policy.history()] == ["promote", "automatic_rollback"]
    policy.promote(by="ann", partner="a", force=True)
    assert phase(policy, "a") == "enforcement"


def good_request(now_s: int) -> Request:
    """Return a request with a good token."""
    return Request(code="ok", now_s=now_s, elapsed_ns=1, failed=False, refused=False)


def test_evidence_of_the_future_is_none_and_hides_none(tmp_path: Path) -> None:
    """Months of it, more hours than are kept: today's requests count, and a promotion is let through."""
    clock = Clock(NOW_S)
    wrong = Evidence(tmp_path)
    for hour in range(HOURS_KEPT):
        wrong.count(("a", ""), good_request(NOW_S + YEAR_S + hour * HOUR_S))
    wrong.flush()
    policy = service(tmp_path, clock, min_evidence=10)
    for _ in range(9):
        policy.evidence.count(("a", ""), good_request(NOW_S))
    with pytest.raises(RolloutRefused, match="9, 1 missing"):
        policy.promote(by="ann", partner="a")
    policy.evidence.count(("a", ""), good_request(NOW_S))
    policy.evidence.flush()
    del wrong
    reader = service(tmp_path, clock, min_evidence=10)
    reader.evidence._files.compact(NOW_S)  # type: ignore[union-attr]
    assert reader.objections("a") == ()
    reader.promote(by="ann", partner="a")
    assert phase(reader, "a") == "warning"


def test_of_too_many_hours_those_farthest_from_now_go() -> None:
    """The future's end first, or the past's."""
    hour, mine, theirs = NOW_S // HOUR_S, Row(), Row()
    mine.hours = {hour + distance: [1, 0] for distance in range(1, HOURS_KEPT + 1)}
    theirs.hours = {hour + distance: [1, 0] for distance in (-2, 0)}
    mine.add(theirs, NOW_S)
    assert len(mine.hours) == HOURS_KEPT
    assert (min(mine.hours), max(mine.hours)) == (hour - 2, hour + HOURS_KEPT - 2)


def test_a_success_dated_in_the_future_hides_no_outage(tmp_path: Path) -> None:
    """A key set that was fetched while a clock was ahead, and fails since it was set right, is escalated."""
    clock = Clock(NOW_S)
    policy = service(tmp_path, clock)
    source = policy.evidence._counts.sources.setdefault("https://a.example/jwks", SourceRecord())
    other = worker(tmp_path, 1, NOW_S)
    other._counts.sources["https://a.example/jwks"] = SourceRecord(ok_s=NOW_S + YEAR_S)
    other.flush()
    source.failed(NOW_S + YEAR_S, "timeout")
    for age_s in (JWKS_DOWN_S + 1, 0):
        source.failed(NOW_S - age_s, "timeout")
    found = [one for one in escalations(policy, policy.evidence.counts(), NOW_S) if one.rule == "jwks_down"]
    assert [(one.first_s, one.count) for one in found] == [(NOW_S - JWKS_DOWN_S - 1, 3)]


def test_a_success_of_a_clock_a_little_ahead_ends_an_outage() -> None:
    """Workers' clocks, and what was counted since the look at ours, are not a wrong clock."""
    for ahead_s, since_s in ((AHEAD_S, 0), (AHEAD_S + 1, NOW_S)):
        mine = SourceRecord(since_s=NOW_S, last_s=NOW_S, failures=1, words={"timeout": 1})
        mine.add(SourceRecord(ok_s=NOW_S + ahead_s), NOW_S)
        assert mine.since_s == since_s


def test_without_a_moment_the_oldest_hours_go() -> None:
    """As before, where nobody says what now is."""
    mine, theirs = Row(), Row()
    mine.hours = {hour: [1, 0] for hour in range(1, HOURS_KEPT + 1)}
    theirs.count(bad(0))
    mine.add(theirs)
    assert min(mine.hours) == 1


URL = "https://a.example/jwks"


def down(policy: Rollout) -> list[tuple[int, int]]:
    """Return since when a key set is reported to be down, and how often its fetch failed."""
    found = escalations(policy, policy.evidence.counts(), NOW_S)
    return [(one.first_s, one.count) for one in found if one.rule == "jwks_down"]


def test_a_failure_dated_in_the_future_outlasts_no_success(tmp_path: Path) -> None:
    """A worker that ended while its clock was ahead, in an outage that is long over: nobody is written to."""
    clock = Clock(NOW_S)
    policy = service(tmp_path, clock)
    for begun_s in (NOW_S - YEAR_S, NOW_S + YEAR_S):
        other = worker(tmp_path, 1, NOW_S)
        record = other._counts.sources[URL] = SourceRecord()
        record.failed(begun_s, "timeout")
        record.failed(NOW_S + YEAR_S + 1, "timeout")
        other.flush()
        del other
    policy.evidence._counts.sources[URL] = SourceRecord(ok_s=NOW_S - JWKS_DOWN_S - 1)
    assert down(policy) == []
    policy.evidence.flush()
    EvidenceFiles(tmp_path).compact(NOW_S)
    assert down(policy) == []


def test_an_outage_that_a_clock_ahead_saw_is_dated_by_ours(tmp_path: Path) -> None:
    """It goes on after the clock was set back: its last failure is today's, and it ends with it."""
    policy = service(tmp_path, Clock(NOW_S))
    record = policy.evidence._counts.sources[URL] = SourceRecord()
    for when_s in (NOW_S - JWKS_DOWN_S - 1, NOW_S + YEAR_S, NOW_S - 1):
        record.failed(when_s, "timeout")
    assert record.last_s == NOW_S - 1
    assert down(policy) == [(NOW_S - JWKS_DOWN_S - 1, 3)]


def test_a_clock_difference_measured_by_a_wrong_clock_blames_nobody(tmp_path: Path) -> None:
    """Ours was a day ahead, so each token seemed late: from then on its partner is not called slow."""
    policy = service(tmp_path, Clock(NOW_S))
    row = policy.evidence._counts.row(("a", ""))
    wrong = {"elapsed_ns": 1, "failed": True, "refused": False, "skew_s": -86_400.0}
    for ahead_s, expected in ((86_400, 0), (0, 1)):
        for _ in range(100):
            row.count(Request(code="expired", now_s=NOW_S + ahead_s, **wrong))  # type: ignore[arg-type]
        found = [one.rule for one in escalations(policy, policy.evidence.counts(), NOW_S)]
        assert found.count("clock_skew") == expected


def test_names_are_last_seen_in_no_future() -> None:
    """A partner's codes and keys of two workers: of a time far ahead the other one is told."""
    mine, theirs = Row(), Row()
    for one, when_s in ((mine, NOW_S), (theirs, NOW_S + YEAR_S)):
        one.count(
            Request(code="ok", now_s=when_s, elapsed_ns=1, failed=False, refused=False, alg="ES256", key="k")
        )
    mine.add(theirs, NOW_S)
    assert mine.codes["ok"] == mine.algs["ES256"] == mine.keys["k"] == [2, NOW_S, NOW_S]
