"""A decision costs the same with thousands of partners and routes as with a few."""

from __future__ import annotations

from functools import partial
from typing import Any

import ours
import pytest

from rapidjws.errors import error_for
from rapidjws.rollout import MemoryState, Partner, Rollout, Stage
from rapidjws.rollout.plan import Plan

FEW, MANY = 4, 4000
DECISIONS = 500
AT_MOST = 2.0
NOW_S = 1_800_000_000
REFUSED = error_for("missing_token", "token")


def rollout(count: int) -> Rollout:
    """Return a rollout of so many partners, each with a stage of its own, and so many routes with stages."""
    partners = [Partner(name=f"p{number}", issuers=[f"https://{number}.example"]) for number in range(count)]
    stages = {("", ""): Stage(phase="detection", before="detection")}
    for number in range(count):
        stage = Stage(phase="warning", before="detection", canary_percent=50 + 40 * (number % 2))
        stages["", f"/route/{number}"] = stage
        stages[f"p{number}", f"/own/{number}"] = stage
    return Rollout(partners, state=MemoryState(Plan(stages=stages)), unattributed="strictest")


def decide_all(policy: Rollout, partner: str | None, route: str | None) -> int:
    """Decide on the same request again and again."""
    for _ in range(DECISIONS):
        policy.decide(REFUSED, partner=partner, route=route, now_s=NOW_S, elapsed_ns=1)
    return DECISIONS


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("one_cpu")
@pytest.mark.parametrize(("partner", "route"), [
    ("p1", "/route/1/x"), ("p1", "/own/1"), ("p1", "/odd//"),
    (None, "/route/1"), (None, "/odd//"), (None, None),
])  # fmt: skip
def test_thousands_of_partners_and_routes(benchmark: Any, partner: str | None, route: str | None) -> None:
    """Whoever asks for whatever route, 4000 partners and routes cost at most twice what 4 cost, once warm."""
    calls = [partial(decide_all, rollout(count), partner, route) for count in (FEW, MANY)]
    for call in calls:
        call()
    few_ns, many_ns = ours.best_ns([(call, DECISIONS) for call in calls], 5)
    benchmark.extra_info.update(few_ns=few_ns, many_ns=many_ns, ratio=many_ns / few_ns)
    benchmark.pedantic(calls[1], rounds=1)
    print(f"{partner} {route}: {FEW} {few_ns:.0f} ns, {MANY} {many_ns:.0f} ns: {many_ns / few_ns:.2f} x")
    assert many_ns / few_ns <= AT_MOST
