"""One table of requests and what each must get, the same at every middleware. What it never does: test."""

from __future__ import annotations

import socket
import time
from functools import cache
from typing import Any, NamedTuple

import rapidjws
from rapidjws.authz import Authorizer, Rule
from rapidjws.keys import RemoteJWKS
from rapidjws.rollout import GuardRails, Rollout
from rapidjws.rollout.rollout import first_plan
from rapidjws.rollout.state import MemoryState
from rapidjws.testing import FakeIssuer

Headers = list[tuple[str, str]]

ISSUER = FakeIssuer("https://a.example", "ES256", lifetime_s=86_400)
GONE = FakeIssuer("https://gone.example", "ES256", lifetime_s=86_400)
"""An issuer whose keys cannot be had."""

RULED = FakeIssuer("https://ruled.example", "ES256", lifetime_s=86_400)
"""An issuer for whose tokens there are rules after the verdict."""

SPOOFED: Headers = [
    ("X-JWS-Subject", "admin"),
    ("X-JWS-Subject", "admin"),
    ("X_JWS_Subject", "admin"),
    ("x_jws-issuer", "https://evil.example"),
    ("X-JWS-Status", "verified"),
    ("X-JWS-Role", "admin"),
]
"""What a client sends to pass for somebody else; none of it may arrive."""


class Verdict(NamedTuple):
    """What a request must get.

    Attributes:
        name: What is wrong with the request.
        code: The stable code of the decision.
        status: The HTTP status.
        error: The ``error`` of the challenge, or None for none.
        grpc: The name of the gRPC status.
    """

    name: str
    code: str
    status: int
    error: str | None
    grpc: str


VERDICTS = (
    Verdict("good", "ok", 200, None, "OK"),
    Verdict("forged", "signature_invalid", 401, "invalid_token", "UNAUTHENTICATED"),
    Verdict("expired", "expired", 401, "invalid_token", "UNAUTHENTICATED"),
    Verdict("missing", "missing_token", 401, None, "UNAUTHENTICATED"),
    Verdict("other credentials", "missing_token", 401, None, "UNAUTHENTICATED"),
    Verdict("unknown kid", "unknown_kid", 401, "invalid_token", "UNAUTHENTICATED"),
    Verdict("two tokens", "malformed_request", 400, "invalid_request", "UNAUTHENTICATED"),
    Verdict("outage", "keys_unavailable", 503, None, "UNAVAILABLE"),
    Verdict("meets the rules", "ok", 200, None, "OK"),
    Verdict("lacks a scope", "insufficient_scope", 403, "insufficient_scope", "PERMISSION_DENIED"),
    Verdict("other header", "request_mismatch", 403, "insufficient_scope", "PERMISSION_DENIED"),
    Verdict("header twice", "ambiguous_request", 403, "insufficient_scope", "PERMISSION_DENIED"),
)
HTTP_VERDICTS = (
    Verdict("other method", "request_mismatch", 403, "insufficient_scope", "PERMISSION_DENIED"),
    Verdict("other host", "request_mismatch", 403, "insufficient_scope", "PERMISSION_DENIED"),
)
"""Rows for requests over HTTP to ``/who``."""


def rules() -> Authorizer:
    """Return the rules after the verdict, for the tokens of one issuer."""
    mine = {"issuers": [RULED.iss]}
    return Authorizer(
        [
            Rule(name="via", scopes=["pay"], claim_equals={"via": "header.X-Via"}, **mine),
            Rule(name="facts", routes=["/who"], claim_equals={"m": "method", "h": "host"}, **mine),
        ],
        default="permit",
    )


def ruled(**changes: Any) -> str:
    """Return a token that meets the rules, but for what is changed."""
    return token(
        RULED, **{"sub": "ann", "scope": "a pay", "via": "b", "m": "GET", "h": "127.0.0.1", **changes}
    )


def token(of: FakeIssuer = ISSUER, header: dict[str, Any] | None = None, **changes: Any) -> str:
    """Return a token that is good now."""
    return of.token(of.claims(int(time.time()), **changes), header=header)


def bearer(text: str) -> Headers:
    """Return the header that carries a token."""
    return [("Authorization", f"Bearer {text}")]


def headers_of(name: str) -> Headers:
    """Return the headers of a request of the table."""
    if name == "missing":
        return []
    if name == "other credentials":
        return [("Authorization", "Basic YTpi")]
    if name == "two tokens":
        return bearer(token()) + bearer(token())
    if name == "header twice":
        return [*bearer(ruled()), ("X-Via", "b"), ("X-Via", "b")]
    meant = {
        "meets the rules": {},
        "lacks a scope": {"scope": "a"},
        "other header": {"via": "c"},
        "other method": {"m": "POST"},
        "other host": {"h": "elsewhere"},
    }
    if name in meant:
        return [*bearer(ruled(**meant[name])), ("X-Via", "b")]
    tokens = {
        "good": lambda: token(sub="ann", scope="read"),
        "forged": lambda: token().rpartition(".")[0] + "." + token(sub="x").rpartition(".")[2],
        "expired": lambda: token(exp=1_700_000_000),
        "unknown kid": lambda: token(header={"kid": "made-up"}),
        "outage": lambda: token(GONE),
    }
    return bearer(tokens[name]())


@cache
def _closed_port() -> socket.socket:
    """Hold a port at which nobody listens."""
    held = socket.socket()
    held.bind(("127.0.0.1", 0))
    return held


def engine(phase: Any = "enforcement") -> rapidjws.Engine:
    """Return an engine of the table's issuers, in a phase of a rollout."""
    port = _closed_port().getsockname()[1]
    gone = RemoteJWKS(f"https://127.0.0.1:{port}/jwks.json")
    return rapidjws.Engine(
        rapidjws.Issuer(ISSUER.iss, keys=ISSUER.jwks, algorithms=["ES256"], audience=ISSUER.audience),
        rapidjws.Issuer(RULED.iss, keys=RULED.jwks, algorithms=["ES256"], audience=RULED.audience),
        rapidjws.Issuer(GONE.iss, keys=gone, algorithms=["ES256"], audience=GONE.audience),
        rollout=Rollout(state=MemoryState(first_plan(phase)), guard_rails=GuardRails(min_evidence=0)),
        authorizer=rules() if phase == "enforcement" else None,
    )
