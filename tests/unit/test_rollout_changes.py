"""The rollout at run time: promotion, rollback, freeze, guard rails, history, shared state, evidence."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from processes import run_python
from rollouts import NOW_S, ask, engine, forged, good, rollout

import rapidjws
from rapidjws.rollout import GuardRails, Partner, Rollout, Stage, StateFolder
from rapidjws.rollout.counters import HOURS_KEPT, Request, Row
from rapidjws.rollout.plan import Plan
from rapidjws.rollout.rollout import first_plan


def test_promote_walks_the_phases_and_is_remembered() -> None:
    """Promotions go phase by phase, a canary widens first, and the history says who did what."""
    policy = rollout(phase="detection")
    assert policy.promote(by="ann").find(None, None)[1].phase == "warning"
    policy.promote(by="ann", canary_percent=20, why="first ones")
    stage = policy.state.plan().find(None, None)[1]
    assert (stage.phase, stage.before, stage.canary_percent) == ("allow_list", "warning", 20)
    with pytest.raises(rapidjws.ConfigurationError):
        policy.promote(by="ann", canary_percent=10)
    policy.promote(by="ann", canary_percent=100)
    policy.promote(by="bob", enforce_on_s=NOW_S + 9)
    with pytest.raises(rapidjws.ConfigurationError):
        policy.promote(by="bob")
    entries = policy.history()
    assert [entry.after for entry in entries] == [
        "warning", "allow_list for 20 %, warning for the rest", "allow_list", "enforcement"]  # fmt: skip
    assert [(entry.by, entry.at_s) for entry in entries[2:]] == [("ann", NOW_S), ("bob", NOW_S)]
    assert entries[1].why == "first ones"


def test_rollback_of_a_canary_and_of_a_phase() -> None:
    """A rollback leaves a canary first, then goes phase by phase, and ends in detection."""
    policy = rollout(phase="warning")
    policy.promote(by="ann", to="enforcement", canary_percent=5)
    assert policy.rollback(by="ann").find("x", None)[1].phase == "warning"
    assert policy.rollback(by="ann").find("x", None)[1].phase == "detection"
    with pytest.raises(rapidjws.ConfigurationError):
        policy.rollback(by="ann")


def test_rollback_for_everyone_means_everyone() -> None:
    """A rollback for all takes stricter stages of single partners and routes with it."""
    policy = rollout(Partner(name="a"), Partner(name="b"), phase="enforcement")
    policy.rollback(by="ann", partner="b", to="detection")
    policy.rollback(by="ann", partner="a")
    policy.promote(by="ann", partner="a", route="/pay")
    plan = policy.rollback(by="ann", to="warning")
    assert {stage.phase for stage in plan.stages.values()} == {"warning", "detection"}
    assert plan.find("a", "/pay")[1].phase == "warning"
    assert plan.find("b", None)[1].phase == "detection"


@pytest.mark.parametrize("route", ["", "/pay"])
def test_rollback_within_a_canary_makes_nobodys_stage_stricter(route: str) -> None:
    """Back to a phase between: the canaries go back to it, whoever is in no canary stays, frozen or not."""
    partners = [Partner(name=f"p{number}") for number in range(60)]
    policy = rollout(*partners, phase="detection")
    if route:
        policy.promote(by="ann", to="enforcement")
        policy.state.edit(lambda plan: (replace(plan, stages={**plan.stages, ("", route): FIRST}), None))
    policy.promote(by="ann", route=route, to="enforcement", canary_percent=10)
    before = phases(policy, route)
    assert set(before.values()) == {"detection", "enforcement"}
    policy.freeze(by="ann")
    policy.rollback(by="ann", to="allow_list")  # of everything: the route goes back with it
    expected = {"detection": "detection", "enforcement": "allow_list"}
    assert phases(policy, route) == {name: expected[phase] for name, phase in before.items()}
    revision = policy.state.plan().revision
    assert policy.rollback(by="ann", to="allow_list").revision == revision  # it is there already
    assert policy.rollback(by="ann", to="detection")
    assert set(phases(policy, route).values()) == {"detection"}


FIRST = Stage(phase="detection", before="detection")


def phases(policy: Rollout, route: str) -> dict[str, str]:
    """Return the phase of each partner on a route."""
    plan = policy.state.plan()
    return {name: plan.find(name, route)[1].phase_for(name) for name in policy.partners}


def test_freeze_holds_promotions_and_not_rollbacks() -> None:
    """Frozen, nobody goes on, but everybody can go back."""
    policy = rollout(phase="warning")
    policy.freeze(by="ann", why="holidays")
    with pytest.raises(rapidjws.ConfigurationError):
        policy.promote(by="ann", force=True)
    policy.rollback(by="ann")
    policy.thaw(by="ann")
    policy.promote(by="ann")
    assert [entry.action for entry in policy.history()] == ["freeze", "rollback", "thaw", "promote"]


def test_guard_rails_hold_a_promotion() -> None:
    """Too little evidence and too many errors stop a promotion; force is remembered."""
    rails = GuardRails(min_evidence=10, max_error_rate=0.1)
    policy = rollout(Partner(name="a"), phase="detection", guard_rails=rails)
    of = engine(policy)
    with pytest.raises(rapidjws.ConfigurationError, match="evidence"):
        policy.promote(by="ann", partner="a")
    for _ in range(8):
        ask(of, good(), "a")
    for _ in range(2):
        ask(of, None, "a")
    with pytest.raises(rapidjws.ConfigurationError, match="error rate"):
        policy.promote(by="ann", partner="a")
    for _ in range(10):
        ask(of, good(), "a")
    policy.promote(by="ann", partner="a")
    policy.promote(by="ann", force=True)
    assert [entry.forced for entry in policy.history()] == [False, True]


def test_strangers_are_no_evidence() -> None:
    """Requests of unknown callers neither stop a promotion for everyone nor make one."""
    rails = GuardRails(min_evidence=5, max_error_rate=0.0)
    policy = rollout(Partner(name="a"), phase="detection", guard_rails=rails)
    of = engine(policy)
    for _ in range(50):
        ask(of, forged())
    with pytest.raises(rapidjws.ConfigurationError, match=r"evidence: .* found '0, "):
        policy.promote(by="ann")
    for _ in range(5):
        ask(of, good(), "a")
    policy.promote(by="ann")


def test_automatic_rollback_takes_one_partner_back() -> None:
    """A partner who fails goes back by itself; others and strangers do not, nor anyone while frozen."""
    rails = GuardRails(min_evidence=10, automatic_rollback=True, rollback_error_rate=0.5)
    policy = rollout(Partner(name="a"), Partner(name="b"), guard_rails=rails)
    of = engine(policy)
    policy.freeze(by="ann")
    for _ in range(20):
        ask(of, None, "a")
    assert len(policy.history()) == 1
    policy.thaw(by="ann")
    for _ in range(20):
        ask(of, None)
        ask(of, good(), "b")
    assert ask(of, None).outcome == "deny"
    for _ in range(20):
        ask(of, None, "a")
    entry = policy.history()[-1]
    assert (entry.action, entry.by, entry.partner, entry.after) == (
        "automatic_rollback", "guard rail", "a", "warning")  # fmt: skip
    assert ask(of, None, "a").outcome == "permit"
    assert ask(of, None, "b").outcome == "deny"


def test_change_holds_in_the_next_call_of_another_process(tmp_path: Path) -> None:
    """A promotion by another process is heeded by the next decision here, and its history is read."""
    state = StateFolder(tmp_path / "state", first_plan("detection"))
    of = engine(rollout(state=state))
    assert ask(of, None).outcome == "permit"
    code = """
import sys
from rapidjws.rollout import *
from rapidjws.rollout.rollout import first_plan
Rollout(state=StateFolder(sys.argv[1], first_plan())).promote(by="cron", to="enforcement", force=True)
"""
    subprocess.run([sys.executable, "-c", code, str(state.path)], check=True)
    assert ask(of, None).outcome == "deny"
    assert [entry.by for entry in state.history()] == ["cron"]


def test_workers_sum_their_evidence(tmp_path: Path) -> None:
    """Counts that another worker put beside the plan are part of the sum."""
    first = rollout(Partner(name="a"), state=StateFolder(tmp_path, first_plan("detection")))
    second = rollout(Partner(name="a"), state=StateFolder(tmp_path, first_plan()))
    for one, count in ((first, 2), (second, 3)):
        for _ in range(count):
            ask(engine(one), None, "a", route="/x")
        one.evidence.flush()
    (tmp_path / "evidence-1-x.json").write_text("cut o")
    row = second.evidence.rows()[("a", "")]
    assert row.codes["missing_token"] == [5, NOW_S, NOW_S]
    assert second.evidence.window("a", "", NOW_S - 3600).failed == 5


def test_forked_worker_counts_anew_and_by_itself_puts_counts_by(tmp_path: Path) -> None:
    """A forked worker's counts are added to its parent's, none of them twice, without anybody flushing."""
    code = """
from pathlib import Path
import rapidjws.rollout.evidence as evidence
from rollouts import *
from rapidjws.rollout import StateFolder
evidence.FLUSH_S, evidence.FLUSH_SHARE = -1.0, 0
folder = Path(os.environ["FOLDER"])
one = rollout(Partner(name="a"), state=StateFolder(folder, first_plan("detection")))
missing = rapidjws.errors.error_for("missing_token")
def decide(): one.decide(missing, partner="a", route=None, now_ns=NOW_S * 10**9, elapsed_ns=1)
decide()
child = os.fork()
if child == 0:
    for _ in range(3):
        decide()
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
print(one.evidence.rows()[("a", "")].codes["missing_token"][0], len(list(folder.glob("evidence-*-*.json"))))
"""
    assert run_python(code, FOLDER=str(tmp_path)) == "4 2\n"


def test_rows_are_bounded() -> None:
    """A row forgets its oldest hour instead of growing, and knows the latency of a share."""
    row = Row()
    for hour in range(HOURS_KEPT + 5):
        row.count(Request(code="ok", now_s=hour * 3600, elapsed_ns=1000, failed=False, refused=False))
    assert len(row.hours) == HOURS_KEPT
    assert min(row.hours) == 5
    assert row.latency_ns(0.99) == 1024


def test_evidence_rows_of_strangers_share_one() -> None:
    """Names and paths that nobody configured make no rows of their own."""
    policy = rollout(phase="detection")
    of = engine(policy)
    for number in range(20):
        ask(of, None, f"made-up-{number}", route=f"/made/up/{number}")
    assert list(policy.evidence.rows()) == [("", "")]


@pytest.mark.parametrize(
    "arguments",
    [
        {"name": "a b"},
        {"name": ""},
        {"name": "a", "issuers": "https://x"},
        {"name": "a", "algorithms": ["none"]},
        {"name": "a", "retiring": {"ES256": "soon"}},
        {"name": "a", "leeway_s": -1},
        {"name": "a", "leeway_s": True},
        {"name": "a", "allow_listed_until_s": 1.5},
        {"name": "a", "contact": "nobody"},
        {"name": "a", "contact": "a@b\r\nBcc: c"},
        {"name": "a", "scopes": [""]},
    ],
)
def test_partner_arguments_are_checked(arguments: dict[str, Any]) -> None:
    """A partner that cannot be meant is refused."""
    with pytest.raises(rapidjws.ConfigurationError):
        Partner(**arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        {"canary_percent": 0},
        {"canary_percent": 101},
        {"canary_percent": float("nan")},
        {"canary_percent": True},
        {"before": "enforcement", "phase": "warning"},
        {"phase": "off"},
        {"enforce_on_s": -1},
    ],
)
def test_stage_arguments_are_checked(arguments: dict[str, Any]) -> None:
    """A stage that cannot be meant is refused."""
    with pytest.raises(rapidjws.ConfigurationError):
        Stage(**{"phase": "enforcement", "before": "warning", **arguments})


@pytest.mark.parametrize("arguments", [
    {"max_error_rate": 2}, {"max_error_rate": float("nan")}, {"min_evidence": -1}, {"min_evidence": True},
    {"window_s": 1}, {"rollback_error_rate": -0.1},
])  # fmt: skip
def test_guard_rails_are_checked(arguments: dict[str, Any]) -> None:
    """Guard rails that cannot be meant are refused."""
    with pytest.raises(rapidjws.ConfigurationError):
        GuardRails(**arguments)


def test_plan_needs_a_stage_for_everyone_and_plain_routes() -> None:
    """A plan without an answer for everyone, or with a route that has two readings, is refused."""
    stage = Stage(phase="warning", before="warning")
    for stages in (
        {("a", ""): stage},
        {("", ""): stage, ("", "pay"): stage},
        {("", ""): stage, ("", "/a//b"): stage},
    ):
        with pytest.raises(rapidjws.ConfigurationError):
            Plan(stages=stages)


def test_changes_need_a_name() -> None:
    """Nobody changes anything without saying who, and no partner is made up by a change."""
    policy = rollout(phase="detection")
    for change in (
        lambda: policy.promote(by=""),
        lambda: policy.promote(by="a\nb"),
        lambda: policy.promote(by="ann", partner="nobody"),
        lambda: policy.freeze(by=""),
    ):
        with pytest.raises(rapidjws.ConfigurationError):
            change()
    with pytest.raises(rapidjws.ConfigurationError):
        Rollout([Partner(name="a"), Partner(name="a")])
