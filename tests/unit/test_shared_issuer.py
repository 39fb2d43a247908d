"""Issuers that many partners share: the strictest stage, found without work for each partner."""

from __future__ import annotations

from random import Random
from unittest import mock

import pytest
from plans import plan
from rollouts import ISSUER, NOW_S, ask, engine, forged, good, rollout

from rapidjws.rollout import Partner, Stage, stage_choice
from rapidjws.rollout.attribution import CLAIMED_MAX, Attribution
from rapidjws.rollout.plan import PHASES, Plan
from rapidjws.rollout.stage_choice import ANSWERS_MAX, FEW_PARTNERS, Chosen, StageChoice

ROUTES = ("", "/a", "/a/b", "/c")
PATHS = ("/a", "/a/b/c", "/c", "/x", "/a%2fb", None)


def partners(count: int) -> list[Partner]:
    """Return partners of one issuer."""
    return [Partner(name=f"p{number}", issuers=(ISSUER.iss,)) for number in range(count)]


def random_plan(random: Random, names: list[str]) -> Plan:
    """Return a plan with canaries, own stages and routes."""

    def any_stage() -> Stage:
        before, phase = sorted(random.choices(PHASES, k=2), key=PHASES.index)
        return Stage(phase=phase, canary_percent=random.choice((1.0, 30.0, 100.0)), before=before)

    stages = {("", ""): any_stage()}
    for _ in range(random.randrange(12)):
        name = random.choice(["", *random.sample(names, 3)])
        stages[name, random.choice(ROUTES)] = any_stage()
    return Plan(stages=stages)


def strictest(
    choice: StageChoice, the_plan: Plan, names: tuple[str, ...], path: str | None, now_s: int
) -> int:
    """Return the rank of the strictest stage, looked up for each partner."""
    found: list[Chosen] = []
    for name in names:
        found.append(
            choice.choose(the_plan, Attribution(name, "issuer", (name,), falls_back=False), path, now_s)
        )
    return max(choice._rank(one, now_s) for one in found)


@pytest.mark.parametrize("seed", range(8))
def test_S4_many_partners_get_the_stage_of_the_strictest(seed: int) -> None:
    """Of many partners that fit, the strictest stage holds; exceptions end in time."""
    random = Random(seed)
    count = FEW_PARTNERS * 4
    known = {
        one.name: Partner(
            name=one.name,
            issuers=one.issuers,
            allow_listed_until_s=random.choice((None, NOW_S + random.randrange(1, 100))),
        )
        for one in partners(count)
    }
    choice = StageChoice(known, unattributed="strictest", fold_case=False)
    names = list(known)
    for _ in range(40):
        the_plan = random_plan(random, names)
        fitting = tuple(random.sample(names, random.randrange(FEW_PARTNERS, count)))
        for now_s in (NOW_S, NOW_S + 50, NOW_S + 99, NOW_S + 10, NOW_S + 1000):
            for path in PATHS:
                who = Attribution(None, "claim", fitting, falls_back=False)
                chosen = choice.choose(the_plan, who, path, now_s)
                assert choice._rank(chosen, now_s) == strictest(choice, the_plan, fitting, path, now_s)
                nobody = choice.choose(
                    the_plan, Attribution(None, "nobody", (), falls_back=True), path, now_s
                )
                readings = choice._readings(the_plan, path)
                every = [stage_choice._found(one, name) for one in readings for name in (None, *names)]
                assert PHASES.index(nobody.phase) == max(PHASES.index(one.phase) for one in every)


def test_S3_a_shared_issuer_costs_no_look_for_each_partner() -> None:
    """A token that only claims an issuer of 3 000 partners is decided by a few looks, then by none."""
    policy = rollout(
        *partners(3000),
        state=plan({("", ""): "detection", ("p7", ""): "enforcement"}),
        unattributed="default",
    )
    of = engine(policy)
    with mock.patch.object(stage_choice, "_found", wraps=stage_choice._found) as found:
        assert ask(of, forged()).outcome == "deny"
        first = found.call_count
        assert ask(of, forged()).outcome == "deny"
        assert ask(of, good()).attributed_by == "several"
        assert found.call_count - first <= 4
    assert first <= 8


def test_S3_a_claim_of_many_partners_makes_no_rows() -> None:
    """Up to a bound, partners whom a stranger's token names are counted; one more, and none is."""
    for count, rows in ((CLAIMED_MAX, CLAIMED_MAX), (CLAIMED_MAX + 1, 0)):
        policy = rollout(*partners(count), unattributed="default")
        assert ask(engine(policy), forged()).attributed_by == "claim"
        assert sum(bool(row.claims) for row in policy.evidence.rows().values()) == rows


def test_S3_what_is_kept_of_many_is_bounded() -> None:
    """However many sets of partners are asked about, a bounded number of answers is kept."""
    known = {one.name: one for one in partners(40)}
    choice = StageChoice(known, unattributed="default", fold_case=False)
    the_plan = plan({("", ""): "detection"}).plan()
    random = Random(1)
    for _ in range(ANSWERS_MAX + 10):
        fitting = tuple(random.sample(list(known), 20))
        choice.choose(the_plan, Attribution(None, "claim", fitting, falls_back=False), "/", NOW_S)
    assert 0 < len(choice._memo_of(the_plan)) <= ANSWERS_MAX
