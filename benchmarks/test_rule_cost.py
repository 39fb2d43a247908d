"""What rules after the verdict cost a decision: ten built-in rules, and one CEL expression, as ratios."""

from __future__ import annotations

import time
from typing import Any

import pytest

from rapidjws import Engine, Issuer
from rapidjws.authz import Authorizer, HTTPRequest, Roles, Rule
from rapidjws.testing import FakeIssuer

ROUNDS = 300
CALLS = 100
BUILT_IN_MAX = 0.4
"""Most time of ten rules, in parts of a plain ``decide``; 3 us where a decision with tables takes 10 us."""
CEL_MAX = 1.5


def best_us(call: Any) -> float:
    """Return the best mean of some rounds, in microseconds."""
    found = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        for _ in range(CALLS):
            call()
        found.append((time.perf_counter() - started) / CALLS * 1e6)
    return min(found)


def ten_rules() -> Authorizer:
    """Return ten rules of different kinds that all apply."""
    routes = ["/tenants/{tenant}"]
    return Authorizer(
        [
            Rule(name="scope", routes=routes, scopes=["orders.read", "pay"]),
            Rule(name="any", routes=routes, scopes_any=["pay", "admin"]),
            Rule(name="tenant", routes=routes, claim_equals={"tid": "path.tenant"}),
            Rule(name="role", routes=routes, roles=[Roles(claim="/realm_access/roles", any_of=["clerk"])]),
            Rule(name="group", routes=routes, roles=[Roles(claim="groups", all_of=["staff"])]),
            Rule(name="method", methods=["GET"], scopes=["pay"]),
            Rule(name="dates", not_before_s=1),
            Rule(name="issuer", issuers=["https://a.example"], scopes=["pay"]),
            Rule(name="other", routes=["/"], scopes=["orders.read"]),
            Rule(name="plain", any_token=True),
        ]
    )


def world() -> tuple[Engine, str, HTTPRequest]:
    """Return an engine, a good token and a request."""
    issuer = FakeIssuer("https://a.example", "ES256", audience="a", lifetime_s=86_400)
    claims = issuer.claims(
        int(time.time()),
        tid="acme",
        scope="orders.read pay",
        groups=["staff"],
        realm_access={"roles": ["clerk"]},
    )
    engine = Engine(Issuer("https://a.example", keys=issuer.jwks, algorithms=["ES256"], audience="a"))
    request = HTTPRequest(method="GET", path="/tenants/acme/orders", headers={"X-Tenant": "acme"})
    return engine, issuer.token(claims), request


def test_ten_built_in_rules(record_property: Any) -> None:
    """Ten rules that hold cost a part of what the decision on the token costs."""
    engine, token, request = world()
    decision = engine.decide(token)
    rules = ten_rules()
    assert rules.apply(decision, request, route=request.path) is decision
    plain = best_us(lambda: engine.decide(token))
    cost = best_us(lambda: rules.apply(decision, request, route=request.path))
    print(f"\nten rules: {cost:.2f} us, a plain decision {plain:.2f} us, {cost / plain:.3f} of it")
    record_property("rules_us", cost)
    assert cost / plain <= BUILT_IN_MAX


def test_an_expression(record_property: Any) -> None:
    """One CEL expression costs a bounded multiple of a plain decision."""
    pytest.importorskip("cel", reason="the extra `cel` is not installed")
    from rapidjws.authz.expression import Expression

    engine, token, request = world()
    decision = engine.decide(token)
    source = 'claims.tid == header["x-tenant"] && "staff" in claims.groups && request.method == "GET"'
    rules = Authorizer([Rule(name="cel", policies=[Expression(source)])])
    assert rules.apply(decision, request, route=request.path) is decision
    plain = best_us(lambda: engine.decide(token))
    cost = best_us(lambda: rules.apply(decision, request, route=request.path))
    print(f"\nCEL: {cost:.2f} us, a plain decision {plain:.2f} us, {cost / plain:.3f} of it")
    record_property("cel_us", cost)
    assert cost / plain <= CEL_MAX
