"""Issuers, engines and rollouts for tests, with the clock at NOW_S. What it never does: test."""

from __future__ import annotations

from typing import Any

import rapidjws
from rapidjws.jwt.decision import Decision
from rapidjws.rollout import GuardRails, Partner, Rollout
from rapidjws.rollout.rollout import first_plan
from rapidjws.rollout.state import MemoryState
from rapidjws.testing import FakeIssuer

NOW_S = 1_800_000_000
ISSUER = FakeIssuer("https://a.example", "ES256", "EdDSA")
OTHER = FakeIssuer("https://b.example", "ES256")
LAX = GuardRails(min_evidence=0)


def rollout(*partners: Partner, phase: Any = "enforcement", **named: Any) -> Rollout:
    """Return a rollout that begins in a phase, with the clock at NOW_S."""
    named.setdefault("state", MemoryState(first_plan(phase)))
    named.setdefault("guard_rails", LAX)
    named.setdefault("partners_named", "unattributed" not in named)
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
