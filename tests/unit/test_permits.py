"""Permits of good tokens by what they share: each is what the rollout decides, and is counted as often."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from rollouts import LAX, NOW_S, OTHER, engine, forged, good, rollout

from rapidjws.rollout import GuardRails, Partner, Rollout
from rapidjws.rollout.permits import NAME_MAX_CHARS, SHAPES_MAX, Permits
from rapidjws.rollout.plan import EVERYONE, EVERYWHERE, Plan, Stage
from rapidjws.rollout.state import MemoryState

Request = tuple[str | None, Any, Any]

PARTNERS = (
    Partner(name="own", issuers=["https://b.example"]),
    Partner(name="alg", algorithms=["EdDSA"]),
    Partner(name="retiring", retiring={"ES256": NOW_S + 1}),
    Partner(name="late", retiring={"ES256": NOW_S}),
    Partner(name="claims", required_claims=["contract"]),
    Partner(name="narrow", leeway_s=0),
    Partner(name="listed", allow_listed_until_s=NOW_S + 1),
)


def policy(**named: Any) -> Rollout:
    """Return a rollout with partners of each kind and a route of its own stage."""
    stages = {
        (EVERYONE, EVERYWHERE): Stage(phase="warning", before="detection"),
        (EVERYONE, "/pay"): Stage(phase="enforcement", before="warning"),
        ("listed", EVERYWHERE): Stage(phase="allow_list", before="warning"),
    }
    named.setdefault("guard_rails", LAX)
    return rollout(*PARTNERS, state=MemoryState(Plan(stages=stages)), **named)


def requests() -> list[Request]:
    """Return requests of each partner and route, by good tokens and others."""
    tokens = [
        good(), good(OTHER), good(alg="EdDSA"), good(contract="c", iat=NOW_S - 400), good(iat=NOW_S + 5.5),
        good(exp=NOW_S + 5000), forged(), None,
    ]  # fmt: skip
    names: list[Any] = [None, "", "own,alg", ("own", "listed"), "stranger", *(one.name for one in PARTNERS)]
    routes = [None, "/pay/1", "/a", "//pay", ("/pay", "/a"), "/" + "x" * NAME_MAX_CHARS]
    return [(token, name, route) for name in names for route in routes for token in tokens]


def counted(of: Rollout) -> Any:
    """Return what a rollout counted but for durations."""
    rows = {key: dataclasses.asdict(row) for key, row in of.evidence.rows().items()}
    for row in rows.values():
        assert sum(row.pop("latency")) == sum(count for count, _, _ in row["codes"].values())
    return rows


@pytest.mark.parametrize("watched", [False, True])
@pytest.mark.parametrize("now_s", [NOW_S, NOW_S + 1])
def test_a_permit_is_what_the_rollout_decides(
    watched: bool, now_s: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With and without permits by shape each request has the same decision, and the same is counted."""
    rails = GuardRails(min_evidence=0, automatic_rollback=watched, rollback_error_rate=1.0)
    quick, slow = policy(guard_rails=rails), policy(guard_rails=rails)
    found = engine(quick).decide_many(requests(), now=now_s)
    alone = [
        engine(one := policy(guard_rails=rails)).decide(token, partner=name, route=route, now=now_s)
        for token, name, route in requests()[:16]
    ]
    assert one is not None
    monkeypatch.setattr(Rollout, "permits", lambda *_: None)
    whole = engine(slow).decide_many(requests(), now=now_s)

    def parts(decision: Any) -> Any:
        fields = {name: getattr(decision, name) for name in decision.__slots__ if name != "verified"}
        return fields, decision.verified and decision.verified.payload

    assert [parts(decision) for decision in found] == [parts(decision) for decision in whole]
    assert [parts(decision) for decision in alone] == [parts(decision) for decision in whole[:16]]
    assert counted(quick) == counted(slow)
    assert {decision.code for decision in found} >= {"ok", "partner_mismatch", "missing_claim"}
    assert any(decision.verified and decision.warnings for decision in found) == (now_s == NOW_S)


def test_a_shape_lasts_a_second_and_a_plan() -> None:
    """A retired algorithm, and another plan, hold for the next batch."""
    of = policy()
    one = engine(of)
    asked: list[Request] = [(good(), "retiring", None)]
    assert [one.decide_many(asked, now=now_s)[0].code for now_s in (NOW_S, NOW_S + 1)] == [
        "ok",
        "algorithm_not_allowed",
    ]
    before = one.decide_many([(good(), None, "/a")], now=NOW_S)[0].phase
    of.promote(by="test", to="enforcement", force=True)
    assert (before, one.decide_many([(good(), None, "/a")], now=NOW_S)[0].phase) == ("warning", "enforcement")


def test_routes_of_strangers_are_bounded() -> None:
    """However many routes are asked for in a second, few shapes are kept."""
    of = policy()
    one = engine(of)
    token = good()
    for start in range(0, 2 * SHAPES_MAX, 512):
        one.decide_many([(token, None, f"/{start + n}") for n in range(512)], now=NOW_S)
    assert of._shapes is not None
    assert 0 < len(of._shapes.found) <= SHAPES_MAX


def test_what_is_not_counted_is_not_permitted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the counts of a batch fail, its good tokens are indeterminate, and its bad ones stay refused."""
    of = policy()
    monkeypatch.setattr(Permits, "count", lambda *_: 1 // 0)
    found = engine(of).decide_many([(good(), None, "/pay"), (forged(), None, "/pay")], now=NOW_S)
    assert [(one.outcome, one.code) for one in found] == [
        ("indeterminate", "internal_error"),
        ("deny", "signature_invalid"),
    ]
    assert found[0].verified is None


def test_a_fault_with_a_shape_is_the_rollouts_to_find(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a permit by shape fails, the rollout decides by itself, and each request counts once."""
    of = policy()
    monkeypatch.setattr(Permits, "decide", lambda *_: 1 // 0)
    found = engine(of).decide_many([(good(), None, None)] * 3, now=NOW_S)
    assert [one.code for one in found] == ["ok"] * 3
    assert sum(row.codes["ok"][0] for row in of.evidence.rows().values()) == 3


@pytest.mark.parametrize(("chars", "is_kept"), [(NAME_MAX_CHARS, True), (NAME_MAX_CHARS + 1, False)])
def test_T11_names_at_their_longest_are_kept(chars: int, is_kept: bool) -> None:
    """A longer one is decided without being remembered: a stranger chooses it."""
    of = policy()
    for name, route in (("n" * chars, None), (None, "/" + "r" * (chars - 1))):
        before = len(of._shapes.found) if of._shapes is not None else 0
        engine(of).decide_many([(good(), name, route)], now=NOW_S)
        assert (len(of._shapes.found) > before) is is_kept  # type: ignore[union-attr]


def test_T11_a_batch_is_counted_once() -> None:
    """What was counted of one batch is not counted again with the next of the same permits."""
    of = policy()
    shared = engine(of)
    permits = of.permits(NOW_S * 10**9)
    assert permits is not None
    verified = shared.verify(good(), NOW_S)
    for _ in range(2):
        assert permits.decide(verified, None, None) is not None
        assert [times for *_, times in permits.count(1)] == [1]
