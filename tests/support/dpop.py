"""A client that has a DPoP key, and an engine whose tokens are bound to it. What it never does: verify."""

from __future__ import annotations

import hashlib
import itertools
import json
from typing import Any

import tokens

import rapidjws
from rapidjws.sender import DPoP, SenderConstraints, SenderRequest

ORIGIN = "https://api.example"
URL = f"{ORIGIN}/orders"
METHOD = "POST"
NOW_S = tokens.NOW_S
_numbers = itertools.count()


def ath(token: str) -> str:
    """Return the digest of a token as proofs hold it."""
    return tokens.b64url(hashlib.sha256(token.encode()).digest())


def thumbprint(alg: str = "ES256", name: str = "dpop") -> str:
    """Return the thumbprint of a client's key."""
    return tokens.public(alg, name).thumbprint()


def bound_token(alg: str = "ES256", name: str = "dpop", **changes: Any) -> str:
    """Return a good token that is bound to a client's key."""
    return tokens.token("ES256", **{"cnf": {"jkt": thumbprint(alg, name)}, **changes})


def proof(
    token: str,
    alg: str = "ES256",
    name: str = "dpop",
    *,
    header: dict[str, Any] | None = None,
    signed_by: rapidjws.JWK | None = None,
    **changes: Any,
) -> str:
    """Return a proof for POST /orders; a change to None leaves a claim out, or a member of its header."""
    key = tokens.key(alg, name)
    members: dict[str, Any] = {"typ": "dpop+jwt", "alg": alg, "jwk": tokens.public(alg, name).as_dict()}
    members = {**members, **(header or {})}
    claims: dict[str, Any] = {
        "jti": f"proof-{next(_numbers)}",
        "htm": METHOD,
        "htu": URL,
        "iat": NOW_S,
        "ath": ath(token),
    }
    claims = {**claims, **changes}
    kept = {key: value for key, value in claims.items() if value is not None}
    head = {key: value for key, value in members.items() if value is not None}
    return tokens.sign(signed_by or key, head, json.dumps(kept).encode(), alg=alg)


def constraints(**settings: Any) -> SenderConstraints:
    """Return checks of proofs."""
    return SenderConstraints(dpop=DPoP(external_origins=ORIGIN, **settings))


def engine(**settings: Any) -> rapidjws.Engine:
    """Return an engine of one issuer."""
    issuer = rapidjws.Issuer(
        tokens.ISS, keys=tokens.public("ES256"), algorithms=["ES256"], audience=tokens.AUD, **settings
    )
    return rapidjws.Engine(issuer, workers=1)


def sent(token: str, *proofs: str, **facts: Any) -> SenderRequest:
    """Return a request that presents a token with its proofs under the scheme DPoP."""
    made: dict[str, Any] = {
        "token": token.encode(),
        "is_dpop": True,
        "proofs": [one.encode() for one in proofs],
        "method": METHOD,
        "path": "/orders",
        "query": b"",
        "hosts": [b"api.example"],
    }
    return SenderRequest(**{**made, **facts})


def outcome(
    request: SenderRequest, token: str, checks: SenderConstraints | None = None, **settings: Any
) -> tuple[str, str | None]:
    """Return code and place of the decision on a request."""
    decision = engine(**settings).decide(token, now=NOW_S, sender=(checks or constraints()).check(request))
    assert (decision.outcome == "permit") == (decision.code == "ok")
    return decision.code, decision.place
