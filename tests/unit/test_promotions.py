"""What holds a promotion, who stays behind, and changes that race."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from plans import A, configured, plan, run, stage
from rollouts import ISSUER, NOW_S, ask, engine, forged, good, rollout

import rapidjws
from rapidjws.rollout import GuardRails, MemoryState, Partner, StateFolder
from rapidjws.rollout.evidence import Evidence
from rapidjws.rollout.plan import Plan


def test_T13_the_guard_rail_counts_anew_in_each_stage() -> None:
    """Failures of an earlier stage do not take a later one back, also where both began in one second."""
    rails = GuardRails(min_evidence=10, automatic_rollback=True, rollback_error_rate=0.5)
    policy = rollout(A, phase="warning", guard_rails=rails)
    of = engine(policy)
    for phase in ("allow_list", "enforcement"):
        policy.promote(by="ann", force=True)
        stage_now = policy.state.plan().find(None, None)[1]
        assert (stage_now.phase, stage_now.since_s) == (phase, NOW_S)
        for _ in range(9):
            ask(of, None, "a")
    assert [entry.action for entry in policy.history()] == ["promote", "promote"]
    ask(of, None, "a")
    assert policy.history()[-1].action == "automatic_rollback"


def test_automatic_rollback_needs_the_gateways_word() -> None:
    """Whoever sends a partner's old token again and again takes nobody's enforcement back."""
    rails = GuardRails(min_evidence=3, automatic_rollback=True, rollback_error_rate=0.1)
    policy = rollout(A, guard_rails=rails)
    of = engine(policy)
    for token in (ISSUER.token(ISSUER.claims(NOW_S - 9000)), forged(), None):
        for _ in range(20):
            ask(of, token)
    assert policy.history() == ()


def test_N8_a_promotion_lists_who_stays_behind(tmp_path: Path) -> None:
    """The output names each partner with a milder stage of its own and why; the switch takes them along."""
    config = configured(tmp_path, 'unattributed = "default"')
    assert run(config, "promote")[0] == 0
    assert run(config, "rollback", "--partner", "a", "--why", "their clock", "--by", "ann")[0] == 0
    code, text = run(config, "promote")
    assert code == 0
    assert "stays behind: a, a stage of its own (detection, by rollback of ann: their clock)" in text
    assert "--including-partners" in text
    assert "stays behind: b" not in text
    code, text = run(config, "promote", "--including-partners")
    assert code == 0
    assert "stays behind" not in text
    code, text = run(config, "status")
    assert text.count("enforcement") == 1
    assert run(config, "promote", "--partner", "a", "--including-partners")[0] == 1


def test_N8_longer_routes_and_wider_stages_stay_behind_too() -> None:
    """Stages of longer routes are listed, and wider ones of partners, which hide the promoted route."""
    stages = {
        ("", ""): "detection",
        ("", "/pay/big"): "detection",
        ("a", ""): "detection",
        ("b", "/open"): "detection",
        ("a", "/pay/x"): "enforcement",
    }
    policy = rollout(A, Partner(name="b"), state=plan(stages), unattributed="default")
    policy.promote(by="ann", route="/pay", to="enforcement")
    assert [(one.partner, one.route) for one in policy.left_behind("/pay")] == [("", "/pay/big"), ("a", "")]
    fresh = rollout(A, Partner(name="b"), state=plan(stages), unattributed="default")
    after = fresh.promote(by="ann", route="/pay", to="enforcement", including_partners=True)
    assert after.find("a", "/pay")[1].phase == "enforcement"
    assert after.find("a", "/open")[1].phase == "detection"


def test_N8_partners_go_along_only_with_evidence() -> None:
    """The guard rails are asked for each partner that goes along."""
    policy = rollout(
        A, Partner(name="b"), phase="detection", guard_rails=GuardRails(min_evidence=5, max_error_rate=0.3)
    )
    of = engine(policy)
    policy.promote(by="ann", partner="a", to="warning", force=True)
    policy.rollback(by="ann", partner="a")
    for _ in range(5):
        ask(of, None, "a")
    for _ in range(50):
        ask(of, good(), "b")
    with pytest.raises(rapidjws.RapidJWSError, match="partner a"):
        policy.promote(by="ann", to="warning", including_partners=True)
    policy.promote(by="ann", to="warning")


def test_N9_guard_rails_have_their_own_code_and_words(tmp_path: Path) -> None:
    """Too little evidence: what is needed, how much is missing, when it may be met, and how to override."""
    config = configured(tmp_path, evidence=1000)
    code, text = run(config, "promote", "--by", "ann")
    assert code == 1
    assert "guard_rails_not_met at everyone: the guard rails hold this promotion" in text
    for words in ("1000 in 7 days", "0, 1000 missing", "none in the last day", "--force"):
        assert words in text, words
    assert "setting" not in text
    assert run(config, "promote", "--by", "ann", "--force")[0] == 0


def test_N9_objections_say_how_much_and_until_when() -> None:
    """Both rails object at once; the dates follow from the pace of the last day and the end of the window."""
    rails = GuardRails(min_evidence=100, max_error_rate=0.1, window_s=7 * 86_400)
    policy = rollout(A, phase="detection", guard_rails=rails)
    of = engine(policy)
    for _ in range(40):
        ask(of, good(), "a")
    for _ in range(10):
        ask(of, None, "a")
    evidence, rate = policy.objections("a")
    assert (evidence.rule, evidence.actual, evidence.until_s) == (
        "evidence",
        "50, 50 missing",
        NOW_S + 86_400,
    )
    assert (rate.rule, rate.actual) == ("error_rate", "10 of 50 (20.00%)")
    assert rate.until_s == (NOW_S // 3600 + 1) * 3600 + rails.window_s
    with pytest.raises(rapidjws.RapidJWSError) as refused:
        policy.promote(by="ann", partner="a")
    assert refused.value.code == "guard_rails_not_met"
    assert len(str(refused.value)) <= 256
    exact = rollout(A, phase="detection", guard_rails=GuardRails(min_evidence=10, max_error_rate=0.1))
    for number in range(10):
        ask(engine(exact), good() if number else None, "a")
    assert exact.objections("a") == ()


@pytest.mark.parametrize(
    ("act", "code"),
    [
        (lambda one: (one.freeze(by="x"), one.promote(by="x")), "rollout_frozen"),
        (lambda one: one.promote(by="x", if_revision=7), "rollout_changed"),
        (lambda one: one.rollback(by="x"), "rollout_no_step"),
        (lambda one: one.promote(by="x", to="detection"), "rollout_no_step"),
    ],
)
def test_N9_refused_changes_are_no_configuration_fault(act: Any, code: str) -> None:
    """Each refused change has a code of its own."""
    with pytest.raises(rapidjws.RapidJWSError) as refused:
        act(rollout(phase="detection"))
    assert refused.value.code == code


def test_rollbacks_and_promotions_at_once_leave_one_of_both(tmp_path: Path) -> None:
    """Racing changes are made one after the other: the history explains each revision."""
    state = StateFolder(
        tmp_path, Plan(stages={("", ""): stage("warning"), ("", "/pay/big"): stage("enforcement")})
    )
    policy = rollout(A, state=state)
    start, seen = threading.Barrier(4), []

    def change(number: int) -> None:
        start.wait()
        for _ in range(10):
            try:
                if number % 2:
                    policy.promote(by=f"w{number}", route="/pay", to="enforcement")
                else:
                    policy.rollback(by=f"w{number}", route="/pay", to="warning")
            except rapidjws.RapidJWSError as refused:
                seen.append(refused.code)

    threads = [threading.Thread(target=change, args=(number,)) for number in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert set(seen) <= {"rollout_no_step", "rollout_changed"}
    entries = policy.history()
    assert [entry.revision for entry in entries] == list(range(1, len(entries) + 1))
    last = policy.state.plan().find(None, "/pay")[1].phase
    assert last == ("enforcement" if entries[-1].action == "promote" else "warning")
    if entries[-1].action == "rollback":
        assert policy.state.plan().find(None, "/pay/big")[1].phase == "warning"


def test_a_promotion_with_all_partners_reads_the_evidence_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each partner is held by its own evidence, and thousands of them are no reason to read it again."""
    partners = [Partner(name=f"p{number}") for number in range(20)]
    stages = {("", ""): stage("warning"), **{(one.name, ""): stage("detection") for one in partners}}
    rails = GuardRails(min_evidence=1)
    policy = rollout(*partners, state=MemoryState(Plan(stages=stages)), guard_rails=rails)
    of = engine(policy)
    for one in partners[:-1]:
        ask(of, good(), one.name)
    calls: list[None] = []
    rows = Evidence.rows

    def counted(evidence: Evidence) -> Any:
        calls.append(None)
        return rows(evidence)

    monkeypatch.setattr(Evidence, "rows", counted)
    with pytest.raises(rapidjws.ConfigurationError, match="partner p19"):
        policy.promote(by="ann", including_partners=True)
    assert len(calls) == 1
    ask(of, good(), "p19")
    policy.promote(by="ann", including_partners=True)
    assert len(calls) == 2
