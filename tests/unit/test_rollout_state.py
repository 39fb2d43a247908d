"""The shared state of a rollout under damage and races: torn files, a removed folder, two at once."""

from __future__ import annotations

import json
import shutil
import types
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from processes import run_python
from rollouts import NOW_S, ask, engine, rollout

import rapidjws
from rapidjws.rollout import Partner, Rollout, Stage, StateFolder
from rapidjws.rollout.plan_edits import rollback_edit
from rapidjws.rollout.rollout import first_plan

DEEP = "[" * 100_000
GOOD_STAGE = {"partner": "", "route": "", "phase": "warning", "before": "warning"}
DAMAGED = [
    "",
    '{"revision": 3, "fro',
    DEEP,
    "[]",
    "null",
    "\ufeff{}",
    '{"revision": 1, "frozen": false, "stages": []}',
    json.dumps({"revision": 1e999, "frozen": False, "stages": [GOOD_STAGE]}),
    json.dumps({"revision": 1, "frozen": "false", "stages": [GOOD_STAGE]}),
    json.dumps({"revision": 1, "frozen": False, "stages": [{**GOOD_STAGE, "phase": "off"}]}),
    json.dumps({"revision": 1, "frozen": False, "stages": [{**GOOD_STAGE, "canary_percent": "all"}]}),
    json.dumps({"revision": 1, "frozen": False, "stages": [[1, 2]]}),
    json.dumps({"revision": 1, "frozen": False, "stages": [GOOD_STAGE], "change": {"who": "x"}}),
]


def damage(folder: Path, text: str, *names: str) -> None:
    """Overwrite files of a state folder."""
    for name in names:
        (folder / name).write_text(text, encoding="utf-8")


@pytest.mark.parametrize("text", DAMAGED, ids=range(len(DAMAGED)))
def test_damaged_plan_is_read_from_its_copy(tmp_path: Path, text: str) -> None:
    """A plan torn or tampered with is taken from its copy, by a running worker and by a start."""
    state = StateFolder(tmp_path, first_plan("enforcement"))
    Rollout(state=state).freeze(by="ann")
    damage(tmp_path, text, "plan.json")
    state._counter.count()
    assert state.plan().find(None, None)[1].phase == "enforcement"
    assert state.plan().frozen
    assert StateFolder(tmp_path, first_plan()).plan() == state.plan()


@pytest.mark.parametrize("text", DAMAGED, ids=range(len(DAMAGED)))
def test_two_damaged_copies_leave_the_last_good_one(tmp_path: Path, text: str) -> None:
    """Without any readable plan a worker goes on by its own, a start is refused, a rollback mends it."""
    state = StateFolder(tmp_path, first_plan("enforcement"))
    of = engine(rollout(state=state))
    damage(tmp_path, text, "plan.json", "plan.copy.json")
    state._counter.count()
    assert ask(of, None).outcome == "deny"
    with pytest.raises(rapidjws.ConfigurationError):
        StateFolder(tmp_path, first_plan())
    assert isinstance(of.rollout, Rollout)
    of.rollout.rollback(by="ann", to="warning")
    assert ask(of, None).outcome == "permit"
    assert StateFolder(tmp_path, first_plan()).plan().find(None, None)[1].phase == "warning"


def test_torn_history_line_costs_nothing(tmp_path: Path) -> None:
    """A change whose line a crash cut off is made up for by the plan, and does not spoil the next line."""
    policy = Rollout(state=StateFolder(tmp_path, first_plan("enforcement")), clock=lambda: NOW_S)
    policy.freeze(by="ann")
    policy.rollback(by="bob")
    whole = (tmp_path / "history.jsonl").read_bytes()
    (tmp_path / "history.jsonl").write_bytes(whole[:-20])
    assert [entry.by for entry in policy.history()] == ["ann", "bob"]
    policy.thaw(by="eve")
    assert [entry.by for entry in policy.history()] == ["ann", "bob", "eve"]
    assert [entry.by for entry in StateFolder(tmp_path, first_plan()).history()] == ["ann", "bob", "eve"]


def test_removed_and_remade_folder_is_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker whose folder was removed goes on, and heeds the one that takes its place."""
    monkeypatch.setattr("rapidjws.rollout.state.LOOK_S", -1.0)
    folder = tmp_path / "state"
    state = StateFolder(folder, first_plan("enforcement"))
    shutil.rmtree(folder)
    assert state.plan().find(None, None)[1].phase == "enforcement"
    other = Rollout(state=StateFolder(folder, first_plan("warning")))
    assert state.plan().find(None, None)[1].phase == "warning"
    other.rollback(by="ann")
    assert state.plan().find(None, None)[1].phase == "detection"


PROMOTE = """
from pathlib import Path
from rapidjws.errors import ConfigurationError
from rapidjws.rollout import Rollout, StateFolder
from rapidjws.rollout.rollout import first_plan
folder, number = Path(os.environ["STATE"]), os.environ["NUMBER"]
one = Rollout(state=StateFolder(folder, first_plan()))
(folder / f"ready-{number}").touch()
end = time.monotonic() + 60
while len(list(folder.glob("ready-*"))) < 2 and time.monotonic() < end:
    time.sleep(0.001)
try:
    one.promote(by=number, force=True, if_revision=0)
    print("made")
except ConfigurationError:
    print("refused")
"""


def test_two_promotions_of_one_revision_make_one_step(tmp_path: Path) -> None:
    """Of two processes that promote what both saw, one is refused: nobody skips a phase by accident."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(2) as both:
        runs = [both.submit(run_python, PROMOTE, STATE=str(tmp_path), NUMBER=number) for number in "12"]
        words = sorted(run.result().strip() for run in runs)
    assert words == ["made", "refused"]
    state = StateFolder(tmp_path, first_plan())
    assert state.plan().find(None, None)[1].phase == "warning"
    assert len(state.history()) == 1


def test_promotion_on_another_revision_is_refused() -> None:
    """A promotion decided on a plan that anybody changed since, anywhere in it, is refused."""
    policy = rollout(Partner(name="a"), Partner(name="b"), phase="detection")
    policy.promote(by="ann", partner="b", if_revision=0)
    with pytest.raises(rapidjws.ConfigurationError, match="revision 0"):
        policy.promote(by="bob", partner="a", if_revision=0)
    policy.promote(by="bob", partner="a", if_revision=1)


def test_promotion_on_a_changed_stage_is_refused() -> None:
    """A promotion whose evidence was looked at for another stage is refused."""
    policy = rollout(phase="detection")
    window = policy.evidence.window

    def meanwhile(*words: Any, **named: Any) -> Any:
        if not policy.history():
            policy.promote(by="bob", force=True)
        return window(*words, **named)

    policy.evidence = types.SimpleNamespace(window=meanwhile, rows=policy.evidence.rows)
    with pytest.raises(rapidjws.ConfigurationError, match="rollout_changed"):
        policy.promote(by="ann")
    assert [entry.by for entry in policy.history()] == ["bob"]


def test_two_workers_roll_one_partner_back_once() -> None:
    """An automatic rollback that another worker already made, or a freeze forbids, is not made again."""
    policy = rollout(Partner(name="a"))
    stage = policy.state.plan().find("a", None)[1]
    named: dict[str, Any] = {"by": "guard rail", "why": "", "action": "automatic_rollback", "now_s": NOW_S}
    policy.freeze(by="ann")
    with pytest.raises(rapidjws.ConfigurationError):
        policy.state.edit(rollback_edit(("a", ""), None, only=stage, **named))
    policy.thaw(by="ann")
    policy.state.edit(rollback_edit(("a", ""), None, only=stage, **named))
    with pytest.raises(rapidjws.ConfigurationError):
        policy.state.edit(rollback_edit(("a", ""), None, only=stage, **named))
    assert policy.state.plan().find("a", None)[1].phase == "allow_list"


CANARY = """
from rapidjws.rollout.plan import Stage
stage = Stage(phase="enforcement", before="warning", canary_percent=30)
print("".join(str(int(stage.phase_for(f"p{n}") == "enforcement")) for n in range(200)))
"""


def test_canary_is_the_same_in_every_process() -> None:
    """Workers and restarts agree on who is in the canary, whatever their hash seeds are."""
    drawn = {run_python(CANARY, bare=True, PYTHONHASHSEED=seed) for seed in ("0", "1", "random")}
    assert len(drawn) == 1
    assert 30 <= drawn.pop().count("1") <= 90


def test_promoting_past_a_canary_takes_nobody_back() -> None:
    """From a partial canary the next phase is for all of it, or not yet."""
    policy = rollout(phase="warning")
    policy.promote(by="ann", canary_percent=50)
    with pytest.raises(rapidjws.ConfigurationError, match="100 first"):
        policy.promote(by="ann", to="enforcement", canary_percent=10)
    policy.promote(by="ann", to="enforcement")
    assert policy.state.plan().find("x", None)[1].phase_for("x") == "enforcement"


def test_one_partner_goes_from_where_it_is() -> None:
    """For one partner of a canary, promotion and rollback begin at the phase that holds for it."""
    names = [f"p{n}" for n in range(50)]
    policy = rollout(*(Partner(name=name) for name in names), phase="warning")
    policy.promote(by="ann", to="enforcement", canary_percent=50)
    stage = policy.state.plan().find(None, None)[1]
    inside = next(name for name in names if stage.phase_for(name) == "enforcement")
    outside, other = [name for name in names if stage.phase_for(name) == "warning"][:2]

    def phase(name: str) -> str:
        return policy.state.plan().find(name, None)[1].phase_for(name)

    policy.rollback(by="ann", partner=outside)
    assert phase(outside) == "detection"
    policy.rollback(by="ann", partner=inside)
    assert phase(inside) == "allow_list"
    policy.promote(by="ann", partner=other)
    assert phase(other) == "allow_list"
    with pytest.raises(rapidjws.ConfigurationError):
        policy.promote(by="ann", partner=other, canary_percent=50)


def test_rollback_of_a_route_reaches_partners_with_stages_of_their_own() -> None:
    """A route rolled back for everyone is rolled back for a partner who is enforced everywhere, too."""
    policy = rollout(Partner(name="a"), phase="warning")
    policy.promote(by="ann", partner="a", to="enforcement")
    policy.promote(by="ann", route="/pay", to="enforcement")
    plan = policy.rollback(by="ann", route="/pay", to="warning")
    assert plan.find("a", "/pay/1")[1].phase == "warning"
    assert plan.find("a", "/other")[1].phase == "enforcement"
    assert plan.find(None, "/pay/1")[1].phase == "warning"


def test_a_plan_that_nobody_could_read_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A promotion that makes the plan too large is refused; what holds goes on, and can be changed."""
    monkeypatch.setattr("rapidjws.rollout.state.STATE_MAX_BYTES", 1000)
    partners = [Partner(name=f"p{number}") for number in range(9)]
    policy = rollout(*partners, state=StateFolder(tmp_path, first_plan("detection")))
    made = 0
    refused: list[str] = []
    for partner in partners:
        try:
            policy.promote(by="ann", partner=partner.name, to="enforcement")
            made += 1
        except rapidjws.ConfigurationError as fault:
            refused.append(str(fault))
    assert 0 < made < len(partners)
    assert all("at most" in words for words in refused)
    other = rollout(*partners, state=StateFolder(tmp_path, first_plan("detection")))
    for policy_of in (policy, other):
        plan = policy_of.state.plan()
        assert [plan.find(one.name, None)[1].phase for one in partners].count("enforcement") == made
    assert policy.rollback(by="ann", partner="p0", to="detection").revision == made + 1
    assert not list(tmp_path.glob("*.bad"))


def test_a_plan_of_thousands_of_stages_is_kept(tmp_path: Path) -> None:
    """Stages of two thousand partners on four routes are a plan like any other."""
    stages = {
        (f"partner-{number}", f"/api/v1/orders/{route}"): Stage(phase="warning", before="warning")
        for number in range(2000)
        for route in range(4)
    }
    first = first_plan("detection")
    state = StateFolder(tmp_path, replace(first, stages={**first.stages, **stages}))
    Rollout(state=state).freeze(by="ann")
    assert StateFolder(tmp_path, first).plan() == state.plan()
    assert len(state.plan().stages) == 8001
