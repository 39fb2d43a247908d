"""One table of decisions, the same by built-in rules, CEL, Rego, Cedar and a real OPA server."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from issuers import wait_for
from rollouts import NOW_S, engine, good

from rapidjws.authz import Authorizer, HTTPRequest, Limit, Roles, Rule
from rapidjws.authz.opa import OPAPolicy

OPA = Path(__file__).resolve().parents[2] / "build/opa/opa"
LANGUAGES = ("rules", "cel", "rego", "cedar", "opa")
GET = {"method": "GET", "path": "/pay"}


class Policy(NamedTuple):
    """One condition in each language, and what must come of requests."""

    rules: dict[str, Any]
    cel: str
    rego: str
    cedar: str
    cases: list[tuple[dict[str, Any], dict[str, Any], str]]


POLICIES = {
    "tenant": Policy(
        {"claim_equals": {"tid": "header.x-tenant"}},
        'has(claims.tid) && "x-tenant" in header && claims.tid == header["x-tenant"]',
        'input.claims.tid == input.header["x-tenant"]',
        'context.claims has tid && context.header has "x-tenant" && '
        'context.claims.tid == context.header["x-tenant"]',
        [
            ({"tid": "acme"}, {"headers": {"X-Tenant": "acme"}}, "permit"),
            ({"tid": "acme"}, {"headers": {"x-tenant": "other"}}, "deny"),
            ({"tid": "acme"}, {"headers": {"x-tenant": "ACME"}}, "deny"),
            ({"tid": "acme"}, {"headers": {"x-tenant": ("acme", "acme")}}, "deny"),
            ({"tid": "acme"}, {"headers": {"x-tenant": "\u00e4"}}, "deny"),
            ({"tid": "acme"}, {}, "deny"),
            ({}, {"headers": {"x-tenant": "acme"}}, "deny"),
        ],
    ),
    "role": Policy(
        {"roles": [Roles(claim="roles", any_of=["clerk", "manager"])]},
        'has(claims.roles) && ("clerk" in claims.roles || "manager" in claims.roles)',
        'some role in input.claims.roles; role in {"clerk", "manager"}',
        'context.claims has roles && context.claims.roles.containsAny(["clerk", "manager"])',
        [
            ({"roles": ["clerk"]}, {}, "permit"),
            ({"roles": ["a", "manager"]}, {}, "permit"),
            ({"roles": ["Clerk"]}, {}, "deny"),
            ({"roles": []}, {}, "deny"),
            ({}, {}, "deny"),
        ],
    ),
    "method": Policy(
        {"methods": ["GET"], "any_token": True},
        'request.method == "GET"',
        'input.request.method == "GET"',
        'action == Action::"GET"',
        [
            ({}, {"method": "GET"}, "permit"),
            ({}, {"method": "get"}, "permit"),
            ({}, {"method": "POST"}, "deny"),
            ({}, {"method": ""}, "deny"),
            ({}, {"method": "GET /"}, "deny"),
        ],
    ),
    "path": Policy(
        {"routes": ["/pay"], "any_token": True},
        'request.path == "/pay"',
        'input.request.path == "/pay"',
        'resource == Resource::"/pay"',
        [
            ({}, {"path": "/pay"}, "permit"),
            ({}, {"path": "/pa%79?x=1"}, "permit"),
            ({}, {"path": "/pay/../admin"}, "deny"),
            ({}, {"path": "/admin/../pay"}, "deny"),
            ({}, {"path": "/pay%2fadmin"}, "deny"),
            ({}, {"path": "//pay"}, "deny"),
            ({}, {"path": "/admin"}, "deny"),
            ({}, {"path": None}, "deny"),
        ],
    ),
    "partner": Policy(
        {"partners": ["shop"], "any_token": True},
        'partner == "shop"',
        'input.partner == "shop"',
        'context.partner == "shop"',
        [
            ({}, {"partner": "shop"}, "permit"),
            ({}, {"partner": "other"}, "deny"),
            ({}, {"partner": None}, "deny"),
        ],
    ),
    "amount": Policy(
        {"limits": [Limit(at="/amount", maximum="100")]},
        "has(claims.amount) && claims.amount <= 100",
        "input.claims.amount <= 100",
        "context.claims has amount && context.claims.amount <= 100",
        [
            ({"amount": 100}, {}, "permit"),
            ({"amount": 0}, {}, "permit"),
            ({"amount": 101}, {}, "deny"),
            ({"amount": 2**53}, {}, "deny"),
            ({}, {}, "deny"),
        ],
    ),
}
CASES = [
    pytest.param(name, number, id=f"{name}-{number}")
    for name, policy in POLICIES.items()
    for number in range(len(policy.cases))
]


def rego_of() -> str:
    """Return all policies as one package: a rule each."""
    rules = "\n".join(f"{name} if {{ {one.rego} }}" for name, one in POLICIES.items())
    defaults = "\n".join(f"default {name} := false" for name in POLICIES)
    return f"package rapidjws\nimport rego.v1\n{defaults}\n{rules}\n"


EACH = """
tenant_each[i] := value if {
    some i, one in input
    value := tenant with input as one
}
"""
"""A rule for several questions at once, as the documentation has it."""


def listens(path: Path) -> bool:
    """Return whether somebody takes connections at a Unix socket."""
    with socket.socket(socket.AF_UNIX) as one:
        return one.connect_ex(str(path)) == 0


@pytest.fixture(scope="module")
def opa_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the address of a real OPA with all policies."""
    if not os.access(OPA, os.X_OK):
        pytest.skip("no OPA server: make opa builds it")
    folder = tmp_path_factory.mktemp("opa")
    (folder / "policy.rego").write_text(rego_of() + EACH, "utf-8")
    path = folder / "o.sock"
    words = [
        str(OPA),
        "run",
        "--server",
        "--addr",
        f"unix://{path}",
        "--log-level",
        "error",
        "--disable-telemetry",
    ]
    with subprocess.Popen([*words, str(folder / "policy.rego")], stderr=subprocess.PIPE) as process:
        try:
            wait_for(lambda: listens(path))
            yield f"unix:{path}"
        finally:
            process.kill()


@pytest.fixture(scope="module", params=LANGUAGES)
def rules(request: pytest.FixtureRequest) -> dict[str, dict[str, Any]]:
    """Return the arguments of each policy's rule in one language."""
    language = request.param
    if language == "rules":
        return {name: one.rules for name, one in POLICIES.items()}
    if language == "cel":
        pytest.importorskip("cel", reason="the extra `cel` is not installed")
        from rapidjws.authz.expression import Expression

        return {name: {"policies": [Expression(one.cel)]} for name, one in POLICIES.items()}
    asked = {name: {"headers": ["x-tenant"], "parts": PARTS.get(name, ())} for name in POLICIES}
    if language == "rego":
        pytest.importorskip("hobofan_regorus", reason="the extra `rego` is not installed")
        from rapidjws.authz.rego import RegoPolicy

        return {
            name: {"policies": [RegoPolicy(rego_of(), path=f"rapidjws/{name}", **asked[name])]}
            for name in POLICIES
        }
    if language == "cedar":
        pytest.importorskip("cedarpy", reason="the extra `cedar` is not installed")
        from rapidjws.authz.cedar import CedarPolicy

        sources = {
            name: f"permit(principal, action, resource) when {{ {one.cedar} }};"
            for name, one in POLICIES.items()
        }
        return {name: {"policies": [CedarPolicy(sources[name], **asked[name])]} for name in POLICIES}
    address = request.getfixturevalue("opa_address")
    found = {
        name: OPAPolicy(address, path=f"rapidjws/{name}", timeout_s=30, cache_s=0, **asked[name])
        for name in POLICIES
    }
    return {name: {"policies": [one]} for name, one in found.items()}


def test_a_real_opa_answers_several_questions_at_once(opa_address: str) -> None:
    """Of requests that find no connection each gets what it gets alone, in questions that go together."""
    settings: Any = {"timeout_s": 30, "connections": 1, "headers": ["x-tenant"]}
    policy = OPAPolicy(opa_address, path="rapidjws/tenant", batch_path="rapidjws/tenant_each", **settings)
    alone = OPAPolicy(opa_address, path="rapidjws/tenant", **settings)
    batches, sizes = policy._batches, list[int]()
    assert batches is not None
    send = batches._send

    def noted(inputs: Sequence[bytes], deadline: float) -> Sequence[Any]:
        sizes.append(len(inputs))
        return send(inputs, deadline)

    batches._send = noted
    decisions = {tid: ENGINE.decide(good(tid=tid), now=NOW_S) for tid in ("acme", "other", "3")}

    def code(one: OPAPolicy, tid: str, tenant: str) -> str:
        rules = Authorizer([Rule(name="r", policies=[one])], listener=lambda *_: None)
        return rules.authorize(decisions[tid], HTTPRequest(**GET, headers={"x-tenant": tenant})).code

    cases = [(tid, tenant) for tid in decisions for tenant in decisions] * 8
    expected = {case: code(alone, *case) for case in dict.fromkeys(cases)}
    with ThreadPoolExecutor(24) as threads:
        found = list(threads.map(lambda case: code(policy, *case), cases))
    assert found == [expected[case] for case in cases]
    assert sorted(expected.values()) == ["ok"] * 3 + ["policy_refused"] * 6
    assert max(sizes) > 1
    for one in (policy, alone):
        one.close()


PARTS = {"method": ("method",), "path": ("path",)}
ENGINE = engine()


@pytest.mark.parametrize(("name", "number"), CASES)
def test_all_languages_decide_alike(rules: dict[str, dict[str, Any]], name: str, number: int) -> None:
    """The same request gets the same outcome, whatever language the condition is written in."""
    claims, changes, outcome = POLICIES[name].cases[number]
    given = {**GET, **changes}
    partner = given.pop("partner", None)
    made = Authorizer([Rule(name="r", **rules[name])], listener=lambda *_: None)
    decision = ENGINE.decide(good(**claims), partner=partner, now=NOW_S)
    found = made.authorize(decision, HTTPRequest(**given), now=NOW_S)
    assert (decision.code, found.outcome) == ("ok", outcome), found
