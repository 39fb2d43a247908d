"""Rules for tests, and what they say about a token at NOW_S. What it never does: test."""

from __future__ import annotations

from typing import Any

from rollouts import NOW_S, engine, good

from rapidjws.authz import Authorizer, Deny, HTTPRequest, Permit, Rule

ENGINE = engine()
TENANT: dict[str, Any] = {
    "name": "tenant",
    "routes": ["/tenants/{tenant}"],
    "claim_equals": {"tid": "path.tenant"},
}


def said(
    rules: list[dict[str, Any]],
    request: HTTPRequest | None = None,
    *,
    settings: dict[str, Any] | None = None,
    **claims: Any,
) -> str:
    """Return "ok", or the code with which rules refuse a token of these claims."""
    made = Authorizer([Rule(**one) for one in rules], listener=lambda *_: None, **(settings or {}))
    decision = ENGINE.decide(good(**claims), now=NOW_S)
    assert decision.code == "ok"
    found = made.authorize(decision, request or HTTPRequest(method="GET", path="/a"), now=NOW_S)
    assert isinstance(found, (Permit, Deny))
    return found.code


def one(condition: dict[str, Any], request: HTTPRequest | None = None, **claims: Any) -> str:
    """Return what a rule with one condition says."""
    return said([{"name": "r", **condition}], request, **claims)
