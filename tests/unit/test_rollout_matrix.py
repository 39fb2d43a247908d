"""Who gets which stage: every kind of token, partner, route and plan, against the written rules.

The oracle is slow and plain, and is made from the rules of docs/rollout-attribution.md, not from the code.
"""

from __future__ import annotations

import hashlib
import itertools
import subprocess
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from rollouts import ISSUER, NOW_S, OTHER, rollout

import rapidjws
from rapidjws.rollout import MemoryState, Partner, Stage
from rapidjws.rollout.plan import Plan
from rapidjws.testing import FakeIssuer

STRICTNESS = ("detection", "warning", "allow_list", "enforcement")
NOBODYS = FakeIssuer("https://nobody.example", "ES256")
OWNERS = {ISSUER.iss: ("a",), OTHER.iss: ("c", "d"), NOBODYS.iss: ()}
ISSUERS_OF = {
    "a": (ISSUER.iss,),
    "b": ("https://elsewhere.example",),
    "c": (OTHER.iss,),
    "d": (OTHER.iss,),
}
NAMES: tuple[Any, ...] = (None, "", "a", "b", "stranger", ("a", "b"), "a,b", ("b", "stranger"))
READINGS: dict[Any, tuple[str | None, ...]] = {
    "/open": ("/open",),
    "/pay/1?x=1": ("/pay/1",),
    "/%70ay": ("/pay",),
    "/PAY": ("/PAY", "/pay"),
    "/open/../pay": (None,),
    "/pay%20": (None,),
    None: (None,),
    "": (None,),
    ("/open", "/pay"): ("/open", "/pay"),
}
PROVEN = ("good", "expired", "wrong_audience", "revoked")
CANARY_PERCENT = 50.0


@lru_cache
def tokens(issuer: FakeIssuer) -> dict[str, str | None]:
    """Return a token of each kind."""
    good = issuer.token(issuer.claims(NOW_S))
    other_signature = issuer.token(issuer.claims(NOW_S, sub="x")).rpartition(".")[2]
    return {
        "none": None,
        "good": good,
        "forged": f"{good.rpartition('.')[0]}.{other_signature}",
        "expired": issuer.token(issuer.claims(NOW_S - 9000)),
        "wrong_audience": issuer.token(issuer.claims(NOW_S, aud="https://other.example")),
        "revoked": issuer.token(issuer.claims(NOW_S, jti="stolen")),
        "unknown_kid": issuer.token(issuer.claims(NOW_S), header={"kid": "never-published"}),
    }


@lru_cache
def engine() -> rapidjws.Engine:
    """Return an engine of three issuers, one token of each revoked."""
    of = rapidjws.Engine(
        *(
            rapidjws.Issuer(one.iss, keys=one.jwks, algorithms=["ES256"], audience="https://api.example")
            for one in (ISSUER, OTHER, NOBODYS)
        )
    )
    for one in (ISSUER, OTHER, NOBODYS):
        of.revoke(issuer=one.iss, jti="stolen")
    return of


@dataclass(frozen=True)
class Expected:
    """What the rules say of a request."""

    phase: str
    partner: str | None
    outcome: str


def in_canary(partner: str) -> bool:
    """Return whether a partner is among the first half, as the docs say how."""
    digest = hashlib.sha256(b"rapidjws canary\0" + partner.encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48 * 100 < CANARY_PERCENT


def phase_at(plan: Plan, partner: str | None, path: str) -> str:
    """Return the phase of a partner on a path: its own stage first, then the longest route."""
    fitting = [
        (name == partner, len(route), stage)
        for (name, route), stage in plan.stages.items()
        if name in ("", partner) and (not route or path == route or path.startswith(route + "/"))
    ]
    stage = max(fitting, key=lambda one: one[:2])[2]
    inside = stage.canary_percent >= 100 or (partner is not None and in_canary(partner))
    return stage.phase if inside else stage.before


def strictest(phases: list[str]) -> str:
    """Return the strictest of some phases."""
    return max(phases, key=STRICTNESS.index)


def phase_of(plan: Plan, partner: str | None, reading: str | None) -> str:
    """Return the phase of a partner under one reading of a route; of none, the strictest of all routes."""
    paths = [reading] if reading else ["/elsewhere", *(route for _, route in plan.stages if route)]
    return strictest([phase_at(plan, partner, path) for path in paths])


def expected(plan: Plan, kind: str, iss: str, said: Any, route: Any, choice: str) -> Expected:
    """Return what the rules say."""
    words = () if said is None else (said,) if isinstance(said, str) else said
    names = [name for word in words for name in word.split(",") if name]
    known = [name for name in names if name in ISSUERS_OF]
    owners = list(OWNERS[iss]) if kind != "none" else []
    proven = kind in PROVEN
    partner: str | None = None
    falls_back = False
    if len(names) == 1 and known:  # the gateway names it; a token of another's counts as well
        partner = known[0]
        counting = known + ([] if partner in owners else owners)
    elif not names and proven and len(owners) == 1:  # the signature proves whose it is
        partner = owners[0]
        counting = owners
    else:
        counting = known + owners
        certain = (known and len(known) == len(names)) or (not names and proven and owners)
        falls_back = not certain
    phases = [phase_of(plan, name, one) for name in counting for one in READINGS[route]]
    if falls_back:
        everybody: list[str | None] = [None] if choice == "default" else [None, *ISSUERS_OF]
        phases += [phase_of(plan, name, one) for name in everybody for one in READINGS[route]]
    phase = strictest(phases)
    judges = known if len(known) > 1 else [partner] if partner else []
    good = kind == "good" and all(iss in ISSUERS_OF[name] for name in judges)
    permitted = good or phase in ("detection", "warning")
    return Expected(phase, partner, "permit" if permitted else "deny")


def stage(phase: Any, before: Any = None) -> Stage:
    """Return a stage, a canary where another phase came before."""
    share = 100.0 if before is None else CANARY_PERCENT
    return Stage(phase=phase, before=before or phase, canary_percent=share)


def plans() -> list[Plan]:
    """Return plans with each phase by default, own stages milder and stricter, routes, and canaries."""
    made = []
    for number, phase in enumerate(STRICTNESS):
        stricter, milder = STRICTNESS[min(3, number + 1)], STRICTNESS[max(0, number - 1)]
        for own in ({}, {("a", ""): stage(milder)}, {("b", ""): stage("enforcement")},
                    {("a", "/pay"): stage(stricter), ("c", ""): stage(milder),
                     ("d", "/open"): stage("detection")},
                    {("b", "/pay"): stage("detection"), ("d", ""): stage(stricter, milder)}):  # fmt: skip
            for everyone in (
                {("", ""): stage(phase)},
                {("", ""): stage(phase), ("", "/pay"): stage(stricter)},
                {
                    ("", ""): stage(stricter, phase) if number < 3 else stage(phase),
                    ("", "/pay"): stage(milder),
                },
            ):
                made.append(Plan(stages={**everyone, **own}))
    return made


@pytest.mark.parametrize("choice", ["default", "strictest"])
@pytest.mark.parametrize("issuer", [ISSUER, OTHER, NOBODYS], ids=["one owner", "two owners", "no owner"])
def test_S4_S8_T4_matrix(choice: Any, issuer: FakeIssuer) -> None:
    """Each kind of token, of partners named and routes, gets the stage that the rules say."""
    of = engine()
    settled = {kind: (token, of.decide(token, now=NOW_S)) for kind, token in tokens(issuer).items()}
    assert {kind for kind, (_, one) in settled.items() if one.code == "ok"} == {"good"}
    partners = [Partner(name=name, issuers=issuers) for name, issuers in ISSUERS_OF.items()]
    verified = {kind: _settled(of, token) for kind, (token, _) in settled.items()}
    wrong = []
    for plan in plans():
        policy = rollout(*partners, state=MemoryState(plan), unattributed=choice, partners_named=True)
        for kind, said, route in itertools.product(tokens(issuer), NAMES, READINGS):
            want = expected(plan, kind, issuer.iss, said, route, choice)
            got = policy.decide(verified[kind], token=tokens(issuer)[kind], partner=said, route=route,
                                now_ns=NOW_S * 10**9, elapsed_ns=1,
                                named_issuers=of._named_issuers)  # fmt: skip
            found = Expected(got.phase, got.partner, got.outcome)
            if found != want:
                wrong.append((dict(plan.stages), kind, said, route, want, found))
    assert wrong == []


def _settled(of: rapidjws.Engine, token: str | None) -> Any:
    """Return what verification finds of a token."""
    if token is None:
        return rapidjws.errors.error_for("missing_token", "token")
    try:
        return of.verify(token, NOW_S)
    except rapidjws.RapidJWSError as refused:
        return refused


@pytest.mark.source_tree
def test_page_of_the_matrix_is_current() -> None:
    """The tables in the docs are what the code does."""
    tool = Path(__file__).resolve().parents[2] / "tools" / "rollout_attribution.py"
    answer = subprocess.run([sys.executable, str(tool), "--check"], check=False)
    assert answer.returncode == 0, "run tools/rollout_attribution.py"


def test_matrix_holds_both_sides_of_the_canary() -> None:
    """Of the partners of the matrix some are in the canary and some are not."""
    assert {in_canary(name) for name in ISSUERS_OF} == {True, False}
