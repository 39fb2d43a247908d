"""A promotion that was decided before a rollback does not undo it, whoever's stage was taken back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from plans import stage
from rollouts import rollout

import rapidjws
from rapidjws.rollout import MemoryState, Partner, Rollout
from rapidjws.rollout.plan import Plan
from rapidjws.rollout.state import Change

A, B = Partner(name="a"), Partner(name="b")


class Overtaken:
    """A plan that a rival changes after a decision was made on it, and before that takes hold."""

    def __init__(self, initial: Plan) -> None:
        self.inner = MemoryState(initial)
        self.rival: Callable[[], Any] | None = None

    def plan(self) -> Plan:
        """Return the plan that holds now."""
        return self.inner.plan()

    def edit(self, change: Callable[[Plan], tuple[Plan, Change | None]]) -> Plan:
        """Let the rival go first."""
        rival, self.rival = self.rival, None
        if rival is not None:
            rival()
        return self.inner.edit(change)

    def history(self) -> tuple[Change, ...]:
        """Return all changes."""
        return self.inner.history()


def overtaken(rival: Callable[[Rollout], Any], **stages: str) -> Rollout:
    """Return a rollout whose next change is overtaken; ``a__pay`` is a's stage on ``/pay``."""

    def key(name: str) -> tuple[str, str]:
        who, _, route = name.partition("__")
        return "" if who == "all" else who, "/" + route.replace("__", "/") if route else ""

    state = Overtaken(Plan(stages={key(name): stage(phase) for name, phase in stages.items()}))
    policy = rollout(A, B, state=state)
    state.rival = lambda: rival(rollout(A, B, state=state.inner))
    return policy


TAKEN_BACK: dict[str, tuple[dict[str, str], dict[str, Any], dict[str, Any]]] = {
    "everyone, and a partner's own stage is as mild": (
        {"all": "enforcement", "a": "warning"}, {"to": "warning"}, {"partner": "a", "to": "enforcement"}),
    "everyone on a route, which a partner's stage comes before": (
        {"all": "warning", "all__pay": "enforcement"},
        {"route": "/pay"}, {"partner": "a", "to": "allow_list"}),
    "everyone on a wider route": (
        {"all": "warning", "all__pay": "enforcement", "a__pay__x": "warning", "a__pay": "allow_list"},
        {"route": "/pay", "to": "detection"}, {"partner": "a", "route": "/pay/x", "to": "enforcement"}),
    "a partner that would go along": (
        {"all": "warning", "b": "enforcement"}, {"partner": "b", "to": "detection"},
        {"to": "allow_list", "including_partners": True}),
    "everyone": (
        {"all": "allow_list"}, {}, {"to": "enforcement"}),
}  # fmt: skip


@pytest.mark.parametrize("case", TAKEN_BACK)
@pytest.mark.parametrize("force", [False, True])
def test_a_rollback_is_not_undone_by_a_promotion_decided_before(case: str, force: bool) -> None:
    """The promotion is refused and the plan is the rollback's; asked for again, it is made knowingly."""
    stages, back, forward = TAKEN_BACK[case]
    plans: list[Plan] = []
    policy = overtaken(lambda rival: plans.append(rival.rollback(by="ann", **back)), **stages)
    with pytest.raises(rapidjws.RapidJWSError) as refused:
        policy.promote(by="bob", force=force, **forward)
    assert refused.value.code == "rollout_changed"
    assert policy.state.plan() == plans[0]
    assert [entry.action for entry in policy.history()] == ["rollback"]
    policy.promote(by="bob", force=force, **forward)
    assert [entry.action for entry in policy.history()] == ["rollback", "promote"]


@pytest.mark.parametrize(
    "rival",
    [
        lambda one: one.rollback(by="ann", partner="b", to="detection"),
        lambda one: one.rollback(by="ann", route="/other", to="detection"),
        lambda one: one.promote(by="ann", partner="b", to="enforcement"),
        lambda one: one.promote(by="ann", route="/pay", to="enforcement"),
    ],
)
def test_other_changes_hold_up_no_promotion(rival: Callable[[Rollout], Any]) -> None:
    """What another partner, another route or another promotion changed leaves a promotion as it is."""
    policy = overtaken(rival, all="warning", a="warning", b="allow_list", all__other="warning")
    policy.promote(by="bob", partner="a", route="/pay", to="enforcement")
    assert policy.state.plan().find("a", "/pay")[1].phase == "enforcement"
