"""The rollout: phases, partners, canary, changes at run time, guard rails, history."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import rapidjws
from rapidjws.engine.decision import Decision
from rapidjws.policy import GuardRails, Partner, Rollout, Stage, StateFolder
from rapidjws.policy.evidence import HOURS_KEPT, Row
from rapidjws.policy.rollout import first_plan
from rapidjws.policy.stages import Plan, canary_position, has_two_readings, is_below
from rapidjws.policy.state import MemoryState
from rapidjws.testing import FakeIssuer

NOW_S = 1_800_000_000
ISSUER = FakeIssuer("https://a.example", "ES256", "EdDSA")
OTHER = FakeIssuer("https://b.example", "ES256")
LAX = GuardRails(min_evidence=0)


def rollout(*partners: Partner, phase: Any = "enforcement", **named: Any) -> Rollout:
    """Return a rollout that begins in a phase, with the clock at NOW_S."""
    named.setdefault("state", MemoryState(first_plan(phase)))
    named.setdefault("guard_rails", LAX)
    return Rollout(partners, clock=lambda: NOW_S, **named)


def engine(policy: Rollout | None = None) -> rapidjws.Engine:
    """Return an engine of both issuers."""
    issuers = [
        rapidjws.Issuer(one.iss, keys=one.jwks, algorithms=one.algorithms, audience="https://api.example")
        for one in (ISSUER, OTHER)
    ]
    return rapidjws.Engine(*issuers, rollout=policy)


def good(issuer: FakeIssuer = ISSUER, alg: str | None = None, **changes: Any) -> str:
    """Return a good token."""
    return issuer.token(issuer.claims(NOW_S, **changes), alg=alg)


def forged() -> str:
    """Return a token whose signature is another's."""
    return good().rpartition(".")[0] + "." + good(sub="x").rpartition(".")[2]


def ask(of: rapidjws.Engine, token: str | None, partner: str | None = None, **named: Any) -> Decision:
    """Return the decision at NOW_S."""
    return of.decide(token, partner=partner, now=named.pop("now", NOW_S), **named)


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
    empty = rapidjws.Issuer(ISSUER.iss, keys=rapidjws.JWKSet(), algorithms=["ES256"])
    one = rollout()
    of = rapidjws.Engine(empty, rollout=one)

    def down(token: object, now: float | None = None) -> rapidjws.VerifiedJWS:
        raise rapidjws.errors.error_for("keys_unavailable")

    from rapidjws.engine.decision import decide

    assert decide(down, one, good(), None, None, NOW_S).outcome == "indeterminate"
    one.rollback(by="ann", to="detection")
    assert decide(down, one, good(), None, None, NOW_S).outcome == "permit"
    assert of.rollout is one


def test_fault_of_ours_is_never_a_permit() -> None:
    """An unexpected exception is indeterminate with a code."""
    from rapidjws.engine.decision import decide

    def broken(token: object, now: float | None = None) -> rapidjws.VerifiedJWS:
        raise ZeroDivisionError

    decision = decide(broken, rollout(), "x", None, None, NOW_S)
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
    assert ask(of, good(), None).code == ask(of, good(), "nobody").code == "insufficient_scope"
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


def test_partner_leeway_into_the_future() -> None:
    """A wider leeway forgives tokens from a clock that runs ahead, to the second."""
    of = engine(rollout(Partner(name="a", leeway_s=600)))
    token = ISSUER.token(ISSUER.claims(NOW_S, nbf=NOW_S, exp=NOW_S + 3600))
    assert ask(of, token, "a", now=NOW_S - 600).code == "ok"
    assert ask(of, token, "a", now=NOW_S - 601).outcome == "deny"


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
    "/open//pay", "/open/../pay", "/%70ay", "/open/%2e%2e/pay", "/a;b/pay", "\\pay", "/a%2fb", "pay", "/x%00",
])  # fmt: skip
def test_path_with_two_readings_gets_the_strictest(path: str) -> None:
    """A path that servers may read apart never finds a milder stage."""
    plan = Plan(stages={("", ""): Stage(phase="detection", before="detection"),
                        ("", "/pay"): Stage(phase="enforcement", before="enforcement")})  # fmt: skip
    assert has_two_readings(path)
    assert plan.find(None, path)[1].phase == "enforcement"


def test_plain_paths_have_one_reading() -> None:
    """Ordinary paths, spaces and UTF-8 escapes among them, are looked up as they are."""
    assert not any(has_two_readings(path) for path in ("/", "/a/b", "/a%20b", "/%C3%A9", "/a.b/c?x=../y"))
    assert is_below("/pay/1", "/pay")
    assert not is_below("/payment", "/pay")


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
    with pytest.raises(rapidjws.ConfigurationError, match="evidence: 0"):
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
from rapidjws.policy import *
from rapidjws.policy.rollout import first_plan
Rollout(state=StateFolder(sys.argv[1], first_plan())).promote(by="cron", to="enforcement", force=True)
"""
    subprocess.run([sys.executable, "-c", code, str(state.path)], check=True)
    assert ask(of, None).outcome == "deny"
    assert [entry.by for entry in state.history()] == ["cron"]


def test_broken_plan_leaves_the_last_good_one(tmp_path: Path) -> None:
    """A plan that cannot be read later changes nothing; at the start it is refused."""
    state = StateFolder(tmp_path, first_plan("enforcement"))
    state._counter[:1] = b"\x07"
    (tmp_path / "plan.json").write_text('{"revision": 1, "frozen": false, "stages": []}')
    assert state.plan().find(None, None)[1].phase == "enforcement"
    with pytest.raises(rapidjws.ConfigurationError):
        StateFolder(tmp_path, first_plan())


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
    assert second.evidence.tally("a", "", NOW_S - 3600).failed == 5


def test_rows_are_bounded() -> None:
    """A row forgets its oldest hour instead of growing, and knows the latency of a share."""
    row = Row()
    for hour in range(HOURS_KEPT + 5):
        row.count("ok", None, hour * 3600, 1000, failed=False, refused=False)
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
