"""Whose a request is: issuers, claims, the written choice, and what the report says of it."""

from __future__ import annotations

import itertools
from pathlib import Path
from random import Random

import pytest
from plans import A, configured, plan, run, stage
from rollouts import ISSUER, NOW_S, OTHER, ask, engine, forged, good, rollout

import rapidjws
from rapidjws.rollout import GuardRails, MemoryState, Partner, Rollout, Stage, StateFolder
from rapidjws.rollout.attribution import WAYS_OUT, check_attribution
from rapidjws.rollout.counters import counts_of
from rapidjws.rollout.plan import Plan, canary_position
from rapidjws.rollout.report.readiness import readiness


def test_S4_a_verified_issuer_attributes_what_is_refused_later() -> None:
    """Expired, wrong audience, revoked: the signature says whose it is, its stage and its evidence."""
    policy = rollout(A, state=plan({("", ""): "detection", ("a", ""): "enforcement"}), unattributed="default")
    of = engine(policy)
    of.revoke(issuer=ISSUER.iss, jti="stolen")
    late = ISSUER.token(ISSUER.claims(NOW_S - 9000))
    for token, code in (
        (late, "expired"),
        (good(aud="https://x.example"), "audience_mismatch"),
        (good(jti="stolen"), "revoked"),
        (good(sub=None, nbf=NOW_S + 900), "not_yet_valid"),
    ):
        for decision in (
            ask(of, token),
            of.decide_many([(token, None, None), (None, None, None)], now=NOW_S)[0],
        ):
            assert (decision.code, decision.partner, decision.attributed_by) == (code, "a", "issuer")
            assert (decision.phase, decision.outcome) == ("enforcement", "deny")
    row = policy.evidence.rows()["a", ""]
    assert {code: seen[0] for code, seen in row.codes.items()} == {
        "expired": 2,
        "audience_mismatch": 2,
        "revoked": 2,
        "not_yet_valid": 2,
    }
    assert row.claims == {}


def test_S4_a_claim_gets_the_stricter_stage_and_counts_apart() -> None:
    """A forged token that names a partner's issuer, or only its kid, gets the stricter stage of both."""
    policy = rollout(A, state=plan({("", ""): "detection", ("a", ""): "enforcement"}), unattributed="default")
    of = engine(policy)
    decision = ask(of, forged())
    assert (decision.partner, decision.attributed_by, decision.outcome) == (None, "claim", "deny")
    kid = good().partition(".")[0] + "." + good(iss=None).split(".")[1] + ".AAAA"
    assert ask(of, kid).attributed_by == "claim"
    row = policy.evidence.rows()["a", ""]
    assert (row.codes, row.claims["signature_invalid"][0]) == ({}, 2)
    assert policy.evidence.window("a", "", NOW_S - 3600).claimed == 2
    assert policy.evidence.window("a", "", NOW_S - 3600).failed == 0
    mild = rollout(A, state=plan({("", ""): "enforcement", ("a", ""): "detection"}), unattributed="default")
    assert ask(engine(mild), forged()).outcome == "deny"
    assert ask(engine(mild), ISSUER.token(ISSUER.claims(NOW_S - 9000))).outcome == "permit"


def test_S4_a_key_of_another_issuer_proves_nothing_about_the_claimed_one() -> None:
    """A token that B signs with A's iss is B's at most, and never A's own failure."""
    policy = rollout(A, Partner(name="b", issuers=[OTHER.iss]), unattributed="default", phase="detection")
    of = engine(policy)
    for token in (OTHER.token(ISSUER.claims(NOW_S)), OTHER.token(ISSUER.claims(NOW_S - 9000))):
        assert ask(of, token).partner != "a"
    assert policy.evidence.window("a", "", NOW_S - 3600).total == 0


def test_S4_the_leeway_of_a_partner_holds_without_a_header() -> None:
    """A partner known by its issuer has its own leeway, to the second; the default's is not lent to it."""
    token = ISSUER.token(ISSUER.claims(NOW_S - 3600, exp=NOW_S))
    of = engine(rollout(Partner(name="a", issuers=[ISSUER.iss], leeway_s=600)))
    assert [ask(of, token, now=NOW_S + late).code for late in (599, 600)] == ["ok", "expired"]
    lent = engine(rollout(A, default=Partner(name="default", leeway_s=600)))
    assert ask(lent, token, now=NOW_S + 599).code == "expired"


def test_S4_without_a_choice_a_stricter_stage_is_refused() -> None:
    """At construction and at a promotion, forced or not, naming three ways out; each of them is taken."""
    stricter = {("", ""): "detection", ("a", ""): "enforcement"}
    with pytest.raises(rapidjws.ConfigurationError, match="attribution_missing") as refused:
        Rollout([A], state=plan(stricter))
    for way in ("server.partner_header", '"default"', '"strictest"'):
        assert way in WAYS_OUT
        assert way in str(refused.value)
    for named in ({"partners_named": True}, {"unattributed": "default"}, {"unattributed": "strictest"}):
        Rollout([A], state=plan(stricter), **named)  # type: ignore[arg-type]
    of = Rollout([A], guard_rails=GuardRails(min_evidence=0))
    with pytest.raises(rapidjws.ConfigurationError, match="attribution_missing"):
        of.promote(by="ann", partner="a", force=True)
    with pytest.raises(rapidjws.ConfigurationError, match="attribution_missing"):
        of.promote(by="ann", canary_percent=canary_position("a") + 0.1)
    of.promote(by="ann")
    assert [entry.partner for entry in of.history()] == [""]
    with pytest.raises(rapidjws.ConfigurationError, match="attribution_missing"):
        Rollout([A], state=plan({("", ""): "detection", ("a", "/pay"): "enforcement"}))
    Rollout([A], state=plan({("", ""): "warning", ("a", ""): "warning"}))  # no stricter: nothing to choose
    with pytest.raises(rapidjws.ConfigurationError, match="issuers of its own"):
        Rollout([Partner(name="a")], state=plan(stricter), unattributed="default")
    with pytest.raises(rapidjws.ConfigurationError):
        Rollout([A], unattributed="mildest")  # type: ignore[arg-type]


def test_S4_the_choice_is_in_the_configuration(tmp_path: Path) -> None:
    """A file without a choice cannot promote one partner; with one it can, and a rollback never needs it."""
    config = configured(tmp_path)
    code, text = run(config, "promote", "--partner", "a")
    assert code == 1
    assert "attribution_missing" in text
    chosen = configured(tmp_path, 'unattributed = "strictest"')
    assert run(chosen, "promote", "--partner", "a")[0] == 0
    assert run(configured(tmp_path), "report")[0] == 0
    assert run(configured(tmp_path), "rollback", "--partner", "a")[0] == 0
    assert (
        run(configured(tmp_path, '[server]\npartner_header = "X-Partner"'), "promote", "--partner", "a")[0]
        == 0
    )


def test_S4_strictest_ends_no_enforcement_by_leaving_the_token_away() -> None:
    """With the strictest choice whoever names nobody gets the strictest partner's stage, on each route."""
    stages = {("", ""): "detection", ("a", "/pay"): "enforcement", ("b", ""): "warning"}
    partners = (A, Partner(name="b", issuers=[OTHER.iss]), Partner(name="left"))
    of = engine(rollout(*partners, state=plan(stages), unattributed="strictest"))
    assert ask(of, None, route="/pay/1").outcome == "deny"
    assert ask(of, None, route="/open").phase == "warning"
    assert ask(of, None, "stranger", route="/pay").outcome == "deny"
    gone = engine(
        rollout(A, state=plan({("", ""): "detection", ("gone", ""): "enforcement"}), unattributed="strictest")
    )
    assert ask(gone, None, route="/pay").outcome == "permit"


def test_S4_the_report_tells_what_nobody_could_be_attributed_to() -> None:
    """The report counts them and claims apart, and says whose promotion they make uncertain."""
    rails = GuardRails(min_evidence=5, max_error_rate=0.2)
    policy = rollout(
        A,
        Partner(name="b", issuers=[OTHER.iss]),
        phase="detection",
        unattributed="default",
        guard_rails=rails,
    )
    of = engine(policy)
    for _ in range(10):
        ask(of, good())
    assert not any(one.uncertain for one in readiness(policy, NOW_S).partners)
    for _ in range(4):
        ask(of, None)
        ask(of, forged())
    report = readiness(policy, NOW_S)
    assert (report.unattributed, report.unattributed_failed) == (8, 8)
    rows = {one.partner: one for one in report.partners}
    assert [(one.name, one.count) for one in rows["a"].claims] == [("signature_invalid", 4)]
    assert rows["a"].uncertain == (
        "8 requests without a good token could be attributed to nobody, 4 of them name it"
    )
    assert rows["a"].recent_failed == 0
    policy.promote(by="ann", partner="a")
    certain = rollout(A, phase="detection", guard_rails=rails)
    for _ in range(10):
        ask(engine(certain), good(), "a")
        ask(engine(certain), None)
    assert readiness(certain, NOW_S).partners[0].uncertain == ""


def test_S4_claims_are_kept_and_added_up(tmp_path: Path) -> None:
    """Claimed evidence is summed over workers, and files of before are read."""
    first, second = (
        rollout(
            A,
            state=StateFolder(tmp_path, Plan(stages={("", ""): stage("detection")})),
            unattributed="default",
        )
        for _ in range(2)
    )
    for one in (first, second):
        ask(engine(one), forged())
        one.evidence.flush()
    assert second.evidence.window("a", "", NOW_S - 3600).claimed == 2
    members = first.evidence.counts().members()
    for row in members["rows"]:
        del row["claims"], row["claim_hours"]
    assert counts_of(members).rows["a", ""].claims == {}


def test_S4_a_partner_on_the_allow_list_is_let_through_by_its_claim_too() -> None:
    """Who is listed is not refused for a broken token, but only where everyone would pass as well."""
    listed = Partner(name="a", issuers=[ISSUER.iss], allow_listed_until_s=NOW_S + 100)
    other = Partner(name="b", issuers=[ISSUER.iss])
    for default, outcomes in (("detection", ("permit", "deny")), ("allow_list", ("deny", "deny"))):
        stages = {("", ""): default, ("a", ""): "allow_list"}
        of = engine(rollout(listed, state=plan(stages), unattributed="default"))
        assert (ask(of, forged()).outcome, ask(of, forged(), now=NOW_S + 100).outcome) == outcomes
    both = rollout(listed, other, state=plan({("", ""): "allow_list"}), unattributed="default")
    assert ask(engine(both), ISSUER.token(ISSUER.claims(NOW_S - 9000))).outcome == "deny"
    assert ask(engine(both), forged(), "a").outcome == "permit"


def test_S4_a_named_partner_does_not_hide_what_its_token_claims() -> None:
    """A token that names two issuers, by iss and by kid, gets the strictest of both and the name."""
    state = plan({("", ""): "detection", ("b", ""): "enforcement"})
    policy = rollout(A, Partner(name="b", issuers=[OTHER.iss]), state=state)
    of = engine(policy)
    mixed = good(OTHER).partition(".")[0] + "." + good().partition(".")[2]
    assert ask(of, mixed, "a").outcome == "deny"
    assert ask(of, forged(), "a").outcome == "permit"
    ask(of, mixed, ("a", "b"))  # type: ignore[arg-type]
    assert all(row.claims == {} for row in policy.evidence.rows().values())


def test_two_partners_must_both_agree_on_a_good_token() -> None:
    """A good token under two names is good only if it is for each; it is nobody's then."""
    of = engine(rollout(A, Partner(name="b", issuers=[OTHER.iss]), Partner(name="c")))
    assert ask(of, good(), ("a", "b")).code == "partner_mismatch"  # type: ignore[arg-type]
    agreed = ask(of, good(), ("a", "c"))  # type: ignore[arg-type]
    assert (agreed.code, agreed.partner, agreed.attributed_by) == ("ok", None, "several")


def test_a_canarys_side_cannot_be_picked() -> None:
    """No token, name or route moves a caller from one side of a canary to the other."""
    names = [f"p{number}" for number in range(40)]
    canary = Stage(phase="enforcement", before="detection", canary_percent=50)
    of = engine(
        rollout(
            *(Partner(name=name) for name in names), A, state=MemoryState(Plan(stages={("", ""): canary}))
        )
    )
    sides = {name: ask(of, None, name).outcome for name in names}
    assert set(sides.values()) == {"permit", "deny"}
    for name, token in itertools.product(names, (None, forged(), "x.y.z", good(OTHER)[:-4] + "AAAA")):
        decision = ask(of, token, name)
        if sides[name] == "deny":
            assert decision.outcome == "deny"
        else:  # a token of A's issuer counts as A's too: never milder
            assert decision.outcome in ("permit", ask(of, None, "a").outcome)


def test_partners_are_checked_as_one_by_one() -> None:
    """What is looked at for each partner at once is what each of its routes gets."""
    chance = Random(7)
    phases = ("detection", "warning", "allow_list", "enforcement")
    routes = ("", "/a", "/a/b", "/c")
    found = set()
    for _ in range(400):
        stages = {("", ""): stage("warning")}
        for name in ("", "p", "q"):
            for route in routes:
                if chance.random() < 0.4:
                    first, second = sorted(chance.choices(range(4), k=2))
                    share = 100.0 if name or chance.random() < 0.5 else chance.choice((1.0, 30.0, 90.0))
                    stages[name, route] = stage(phases[second], before=phases[first], canary_percent=share)
        made = Plan(stages=stages)
        partners = {name: Partner(name=name) for name in ("p", "q", "r")}
        expected = any(
            phases.index(made.find(name, route)[1].phase_for(name))
            > phases.index(made.find(None, route)[1].phase_for(None))
            for name in partners
            for route in (*made.routes, None)
        )
        refused = False
        try:
            check_attribution(made, partners, unattributed=None, partners_named=False)
        except rapidjws.ConfigurationError:
            refused = True
        assert refused is expected
        found.add(refused)
    assert found == {True, False}


def test_thousands_of_partners_and_routes_are_checked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A promotion holds the plan's lock meanwhile: look-ups grow with partners and routes, added up."""
    stages = {("", f"/r{number}"): stage("detection") for number in range(300)}
    partners = {
        f"p{number}": Partner(name=f"p{number}", issuers=[f"https://{number}"]) for number in range(300)
    }
    canary = stage("enforcement", before="detection", canary_percent=10.0)
    none = stage("enforcement", before="detection", canary_percent=0.000001)
    calls = [0]
    find = Plan.find

    def counted(plan: Plan, partner: str | None, route: str | None) -> object:
        calls[0] += 1
        return find(plan, partner, route)

    monkeypatch.setattr(Plan, "find", counted)
    for first, choice in ((canary, "default"), (none, None)):
        made = Plan(stages={("", ""): first, **stages})
        check_attribution(made, partners, unattributed=choice, partners_named=False)  # type: ignore[arg-type]
    assert calls[0] < 2000
