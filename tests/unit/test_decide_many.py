"""Several requests decided at once: what each gets is what it gets by itself."""

from __future__ import annotations

from typing import Any

import pytest
from rollouts import NOW_S, OTHER, ask, engine, forged, good, rollout

import rapidjws
from rapidjws.jwt.decision import AMBIGUOUS, Decision
from rapidjws.rollout import Partner


def summary(decision: Decision) -> tuple[Any, ...]:
    """Return what two decisions on the same request must agree on."""
    verified = decision.verified
    claims = None if verified is None else verified.claims
    return (decision.outcome, decision.code, decision.phase, decision.partner, decision.warnings, claims)


def requests() -> list[tuple[str | bytes | None, str | None, str | None]]:
    """Return requests of each kind."""
    late = NOW_S - 100
    return [
        (good(sub="ann"), None, "/a"),
        (forged(), "slow", None),
        (None, None, "/b"),
        (good(exp=late), None, None),
        (good(exp=late), "slow", None),
        (AMBIGUOUS, None, None),
        ("", None, None),
        (good(OTHER, sub="bob"), "strict", "/a"),
        (b"a.b", "stranger", "//"),
        (good(sub="eve").encode(), "slow", None),
    ]


@pytest.mark.parametrize("phase", ["detection", "warning", "enforcement", None])
def test_each_gets_what_it_gets_alone(phase: str | None) -> None:
    """In each phase, and without a rollout, a batch decides as one call after the other does, in order."""
    partners = [Partner(name="slow", leeway_s=300), Partner(name="strict", required_claims=["x"])]
    one = engine(None if phase is None else rollout(*partners, phase=phase))
    asked = requests() * 3
    alone = [ask(one, token, partner, route=route) for token, partner, route in asked]
    assert [summary(found) for found in one.decide_many(asked, now=NOW_S)] == [summary(one) for one in alone]
    if phase is not None:
        assert {found.code for found in alone} >= {"ok", "signature_invalid", "missing_token", "expired"}
        assert alone[4].code == "ok"  # by the partner's wider leeway
        assert alone[3].code == "expired"


def test_nothing_asked_nothing_decided() -> None:
    """No requests give no decisions."""
    assert engine().decide_many([]) == []


def test_a_batch_that_fails_is_decided_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the batch itself fails, each token is tried alone, and none answers for another."""
    one = engine()
    calls = []

    def failing(self: Any, tokens: Any, now: Any = None) -> Any:
        calls.append(len(tokens))
        raise MemoryError

    monkeypatch.setattr(rapidjws.Engine, "_verify_together", failing)
    codes = [found.code for found in one.decide_many(requests(), now=NOW_S)]
    assert len(calls) == 1
    assert codes[:3] == ["ok", "signature_invalid", "missing_token"]


def test_an_implausible_clock_is_nobodys_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock before this release makes every token of the batch indeterminate."""
    for module in ("rapidjws.jose.numeric_date", "rapidjws.jose.limits"):
        monkeypatch.setattr(f"{module}.CLOCK_FLOOR_S", NOW_S * 2)
    one = engine()
    found = one.decide_many([(good(), None, None), (forged(), None, None), (None, None, None)])
    assert [decision.outcome for decision in found] == ["indeterminate", "indeterminate", "deny"]
