"""The rollout's decisions: phases, partners, leeway, canary, stages."""

from __future__ import annotations

from typing import Any

import pytest
from rollouts import ISSUER, NOW_S, OTHER, ask, engine, forged, good, rollout

import rapidjws
from rapidjws.jwt.decision import Decision
from rapidjws.rollout import Partner, Stage
from rapidjws.rollout.plan import Plan, canary_position
from rapidjws.rollout.routes import is_below, route_of


def test_plain_engine_enforces() -> None:
    """An engine without a rollout permits the good, denies the bad, and tells missing from bad."""
    plain = engine()
    assert ask(plain, good()).outcome == "permit"
    assert ask(plain, good()).verified is not None
    assert (ask(plain, forged()).outcome, ask(plain, forged()).code) == ("deny", "signature_invalid")
    assert ask(plain, None).code == ask(plain, "").code == "missing_token"


@pytest.mark.parametrize(
    ("phase", "outcome", "warned"),
    [("detection", "permit", False), ("warning", "permit", True), ("allow_list", "deny", False),
     ("enforcement", "deny", False)],
)  # fmt: skip
@pytest.mark.parametrize("token", ["missing", "forged"])
def test_phases(phase: str, outcome: str, warned: bool, token: str) -> None:
    """Each phase makes its own of a missing and of a forged token, and permits a good one."""
    of = engine(rollout(phase=phase))
    decision = ask(of, None if token == "missing" else forged())
    assert decision.outcome == outcome
    assert decision.verdict == "deny"
    assert decision.verified is None
    assert decision.code == ("missing_token" if token == "missing" else "signature_invalid")
    assert bool(decision.warnings) == warned
    assert ask(of, good()).verified is not None


def test_let_through_has_no_claims() -> None:
    """A request that is let through unverified holds nothing of its token."""
    decision = ask(engine(rollout(phase="detection")), forged())
    assert decision.let_through
    assert decision.verified is None
    assert forged().split(".")[1] not in repr(decision) + repr(decision.evidence)


def test_outage_is_indeterminate_where_enforced() -> None:
    """Without keys a token is indeterminate where enforced, and let through in detection."""
    one = rollout()

    def down(token: object, now: float | None = None) -> rapidjws.VerifiedJWS:
        raise rapidjws.errors.error_for("keys_unavailable")

    from rapidjws.jwt.deciding import decide

    assert decide(down, down, one, good(), None, None, NOW_S).outcome == "indeterminate"
    one.rollback(by="ann", to="detection")
    assert decide(down, down, one, good(), None, None, NOW_S).outcome == "permit"


def test_fault_of_ours_is_never_a_permit() -> None:
    """An unexpected exception is indeterminate with a code."""
    from rapidjws.jwt.deciding import decide

    def broken(token: object, now: float | None = None) -> rapidjws.VerifiedJWS:
        raise ZeroDivisionError

    decision = decide(broken, broken, rollout(), "x", None, None, NOW_S)
    assert (decision.outcome, decision.code) == ("indeterminate", "internal_error")


def test_contradicting_decisions_cannot_be_made() -> None:
    """No decision says ok without a verified token, or holds one and refuses."""
    verified = engine().verify(good(), NOW_S)
    for parts in (
        {"outcome": "permit", "code": "ok"},
        {"outcome": "deny", "code": "ok", "verified": verified},
        {"outcome": "permit", "code": "expired", "verified": verified},
        {"outcome": "perhaps", "code": "expired"},
        {"outcome": "deny", "code": "no_such_code"},
    ):
        with pytest.raises(rapidjws.InternalError):
            Decision(**parts)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        bool(ask(engine(), None))


def test_allow_list_ends_on_its_date() -> None:
    """A listed partner is let through with a warning until its date, and refused from it on."""
    late = Partner(name="late", allow_listed_until_s=NOW_S + 100)
    of = engine(rollout(late, phase="allow_list"))
    decision = ask(of, None, "late")
    assert (decision.outcome, decision.sunset_at_s) == ("permit", NOW_S + 100)
    assert decision.warnings
    assert ask(of, None, "late", now=NOW_S + 100).outcome == "deny"
    assert ask(of, None, "other").outcome == ask(of, None).outcome == "deny"


def test_partner_rules() -> None:
    """Issuer, algorithm, claims and scopes of a partner have codes of their own; others get the default."""
    policy = rollout(
        Partner(
            name="a", issuers=[ISSUER.iss], algorithms=["ES256"], required_claims=["tenant"], scopes=["pay"]
        ),
        default=Partner(name="default", scopes=["guest"]),
    )
    of = engine(policy)
    full = {"tenant": "t", "scope": "read pay"}
    assert ask(of, good(**full), "a").outcome == "permit"
    assert ask(of, good(OTHER, **full), "a").code == "partner_mismatch"
    assert ask(of, good(alg="EdDSA", **full), "a").code == "algorithm_not_allowed"
    assert ask(of, good(scope="pay"), "a").code == "missing_claim"
    assert ask(of, good(tenant="t", scope="payment"), "a").code == "insufficient_scope"
    assert ask(of, good(tenant="t", scp=["pay"]), "a").outcome == "permit"
    assert ask(of, good(), "nobody").code == ask(of, good(OTHER), None).code == "insufficient_scope"
    assert ask(of, good(), None).code == "missing_claim"  # its issuer is a's alone
    assert ask(of, good(scope="guest"), "nobody").outcome == "permit"


def test_algorithm_retires_on_its_date() -> None:
    """A retiring algorithm is accepted with a warning until its date, and refused from it on."""
    of = engine(rollout(Partner(name="a", algorithms=["ES256"], retiring={"EdDSA": NOW_S + 50})))
    before = ask(of, good(alg="EdDSA"), "a")
    assert (before.outcome, before.sunset_at_s) == ("permit", NOW_S + 50)
    assert "EdDSA" in before.warnings[0]
    assert ask(of, good(alg="EdDSA"), "a", now=NOW_S + 50).code == "algorithm_not_allowed"


@pytest.mark.parametrize(("leeway_s", "late_s", "code"), [
    (600, 599, "ok"), (600, 600, "expired"), (10, 9, "ok"), (10, 10, "expired"), (None, 600, "expired"),
])  # fmt: skip
def test_partner_leeway(leeway_s: int | None, late_s: int, code: str) -> None:
    """A partner's leeway holds to the second, wider or narrower than its issuer's."""
    of = engine(rollout(Partner(name="a", leeway_s=leeway_s)))
    token = ISSUER.token(ISSUER.claims(NOW_S - 3600, exp=NOW_S))
    assert ask(of, token, "a", now=NOW_S + late_s).code == code


@pytest.mark.parametrize("claim", ["nbf", "iat"])
def test_narrower_leeway_into_the_future(claim: str) -> None:
    """A narrower leeway than the issuer's holds for nbf and iat to the second."""
    of = engine(rollout(Partner(name="a", leeway_s=10)))
    token = ISSUER.token(ISSUER.claims(NOW_S - 3600, exp=NOW_S + 3600) | {claim: NOW_S + 30})
    assert ask(of, token, "a", now=NOW_S + 20).code == "ok"
    assert ask(of, token, "a", now=NOW_S + 19).code in ("not_yet_valid", "issued_in_future")


def test_issuer_of_two_partners_names_neither() -> None:
    """A caller whom nobody named is the partner that owns the issuer, and nobody where two share it."""
    alone = engine(rollout(Partner(name="a", issuers=[ISSUER.iss])))
    assert ask(alone, good()).partner == "a"
    assert ask(alone, forged()).partner is None
    shared = engine(rollout(Partner(name="a", issuers=[ISSUER.iss]), Partner(name="b", issuers=[ISSUER.iss])))
    assert ask(shared, good()).partner is None


def test_partner_leeway_into_the_future() -> None:
    """A wider leeway forgives tokens from a clock that runs ahead, to the second."""
    of = engine(rollout(Partner(name="a", leeway_s=600)))
    token = ISSUER.token(ISSUER.claims(NOW_S, nbf=NOW_S, exp=NOW_S + 3600))
    assert ask(of, token, "a", now=NOW_S - 600).code == "ok"
    assert ask(of, token, "a", now=NOW_S - 601).outcome == "deny"


@pytest.mark.parametrize("late_s", [61, 100, 300, 400, 480, 599, 600])
def test_partner_leeway_for_short_lived_tokens(late_s: int) -> None:
    """A token of five minutes, from a clock that is behind, is good within the partner's leeway only."""
    of = engine(rollout(Partner(name="a", leeway_s=600)))
    token = ISSUER.token(ISSUER.claims(NOW_S, iat=NOW_S, nbf=NOW_S, exp=NOW_S + 300))
    assert ask(of, token, "a", now=NOW_S + 300 + late_s).code == ("ok" if late_s < 600 else "expired")


@pytest.mark.parametrize("late_s", [61, 100, 600, 601])
def test_partner_leeway_for_a_largest_age(late_s: int) -> None:
    """A token past its largest age is good within the partner's leeway, however short that age is."""
    rules = rapidjws.Issuer(
        ISSUER.iss, keys=ISSUER.jwks, algorithms=["ES256"], audience="https://api.example", max_age_s=30
    )
    of = rapidjws.Engine(rules, rollout=rollout(Partner(name="a", leeway_s=600)))
    token = ISSUER.token(ISSUER.claims(NOW_S, iat=NOW_S, nbf=NOW_S, exp=NOW_S + 3600))
    assert ask(of, token, "a", now=NOW_S + 30 + late_s).code == ("ok" if late_s <= 600 else "too_old")


def test_canary_is_stable_and_grows() -> None:
    """A canary's partners stay in it as it grows; strangers join last."""
    names = [f"p{n}" for n in range(400)]
    small = Stage(phase="enforcement", before="warning", canary_percent=10)
    large = Stage(phase="enforcement", before="warning", canary_percent=50)
    inside = {name for name in names if small.phase_for(name) == "enforcement"}
    assert inside <= {name for name in names if large.phase_for(name) == "enforcement"}
    assert 15 <= len(inside) <= 70
    assert large.phase_for(None) == "warning"
    assert all(0 <= canary_position(name) < 100 for name in names)


def test_most_specific_stage_holds() -> None:
    """The partner's own stage comes before everyone's, and a longer route before a shorter one."""

    def stage(phase: Any) -> Stage:
        return Stage(phase=phase, before=phase)

    plan = Plan(stages={("", ""): stage("detection"), ("", "/pay"): stage("enforcement"),
                        ("a", ""): stage("warning"), ("a", "/pay/big"): stage("allow_list")})  # fmt: skip
    assert plan.find(None, None)[1].phase == "detection"
    assert plan.find("b", "/pay/1?x=1")[1].phase == "enforcement"
    assert plan.find("b", "/payment")[1].phase == "detection"
    assert plan.find("a", "/pay")[1].phase == "warning"
    assert plan.find("a", "/pay/big/1")[1].phase == "allow_list"


@pytest.mark.parametrize("path", [
    "/open//pay", "/open/../pay", "/%252e", "/open/%2e%2e/pay", "/a;b/pay", "\\pay", "/a%2fb", "pay", "/x%00",
])  # fmt: skip
def test_path_with_two_readings_gets_the_strictest(path: str) -> None:
    """A path that servers may read apart never finds a milder stage."""
    plan = Plan(stages={("", ""): Stage(phase="detection", before="detection"),
                        ("", "/pay"): Stage(phase="enforcement", before="enforcement")})  # fmt: skip
    assert route_of(path) is None
    assert plan.find(None, path)[1].phase == "enforcement"


def test_plain_paths_have_one_reading() -> None:
    """Ordinary paths, spaces and UTF-8 escapes among them, are looked up as they are."""
    for path in ("/", "/a/b", "/a%20b", "/%C3%A9", "/a.b/c"):
        assert route_of(path) == route_of(f"{path}?x=../y") == path
    assert is_below("/pay/1", "/pay")
    assert not is_below("/payment", "/pay")
