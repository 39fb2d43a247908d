"""Rules against an independent model: no permit that a rule forbids, however a server reads the request."""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

import pytest
from rollouts import NOW_S, engine, good

from rapidjws.authz import Authorizer, HTTPRequest, Roles, Rule

ENGINE = engine()
RULES: list[dict[str, Any]] = [
    {"name": "all", "routes": ["/"], "scopes": ["api"]},
    {"name": "tenant", "routes": ["/tenants/{t}"], "claim_equals": {"tid": "path.t"}},
    {"name": "pay", "routes": ["/tenants/{t}/pay", "/pay"], "methods": ["POST"], "scopes": ["pay"]},
    {"name": "admin", "routes": ["/admin"], "roles": [Roles(claim="/realm/roles", any_of=["admin"])]},
    {"name": "host", "hosts": ["internal.example"], "claims": {"staff": True}},
    {"name": "shop", "partners": ["shop"], "claim_equals": {"org": "header.x-org"}},
]
AUTHORIZER = Authorizer([Rule(**one) for one in RULES], listener=lambda *_: None)

PIECES = (
    "/", "/", "/", "//", "tenants", "Tenants", "TENANTS", "acme", "ACME", "other", "pay", "PAY", "p%61y",
    "p%2561y",
    "admin", "%61dmin", "ADMIN", "ad%6Din", "%2f", "%2F", "%252f", ".", "..", "%2e", "%2e%2e", "/./",
    "/../", ";",
    ";x=1", "\\", "%5c", "?", "#", "?/admin", "%00", "%", "%zz", "\u00e9", "%c3%a9", "%C0%AF", "%e2%80%8b",
    "\uff0f",
    "\u2215", "\u0130", "\u017f", " ", "%20", "+", "\t", "\n", "%0a", "", "a" * 300, ":", "@", "*", "~",
    "{t}", "acme%20",
)  # fmt: skip
METHODS = ("GET", "POST", "post", "Post", "PUT", "DELETE", "", "GET ", " POST", "POST\n", "P\u00d6ST",
    "POST,GET", "*",
           "PROPFIND", "X" * 40)  # fmt: skip
HOSTS = (None, "api.example", "internal.example", "INTERNAL.EXAMPLE", "internal.example.",
    "internal.example:443",
         "internal.example:x", "internal.example,api.example", "internal\u2024example", " internal.example",
         "user@internal.example", "internal.example/", "", "[::1]", "internal..example")  # fmt: skip
ORGS: tuple[tuple[str, ...], ...] = ((), ("o1",), ("o2",), ("O1",), ("o1", "o1"), ("o1", "o2"), ("o1,o2",),
    (" o1 ",),
                                     ("o1\u00e9",), ("",), ("7",))  # fmt: skip
SCOPES: tuple[Any, ...] = ("api", "api pay", "pay", "api  pay", "apipay", "API pay", ["api", "pay"],
    ["api pay"], None, 7,
                           {"api": 1}, ["api", 7], "", "api\tpay", "api,pay", True)  # fmt: skip
TIDS: tuple[Any, ...] = (
    "acme",
    "ACME",
    "other",
    "",
    7,
    None,
    ["acme"],
    {"acme": 1},
    True,
    "acme ",
    "p%61y",
    "\u00e9",
    1.5,
)
REALMS: tuple[Any, ...] = ({"roles": ["admin"]}, {"roles": "admin"}, {"roles": "admin x"},
    {"roles": [["admin"]]}, {},
                           {"roles": ["ADMIN"]}, [], "admin", None, {"roles": {"admin": 1}},
                           {"roles": [None, "admin"]})  # fmt: skip
STAFF: tuple[Any, ...] = (True, False, 1, "true", None, [True])


def readings(target: str) -> Iterator[str]:
    """Yield each path that some server may see in a target: decoded or not, with dots resolved or not."""
    cut = re.split("[?#]", target)[0]
    for decodes, slashes, dots, params, fold in itertools.product(
        (0, 1, 2), (False, True), (False, True), (False, True), (False, True)
    ):
        path = cut
        for _ in range(decodes):
            path = unquote(path, errors="replace")
        if slashes:
            path = re.sub("/+", "/", path.replace("\\", "/").replace("\uff0f", "/"))
        if params:
            path = re.sub(";[^/]*", "", path)
        if dots:
            path = resolved(path)
        yield path.lower() if fold else path


def resolved(path: str) -> str:
    """Return a path without dot segments (RFC 3986 section 5.2.4, the slow way)."""
    found: list[str] = []
    for one in path.split("/"):
        if one == "..":
            found = found[:-1]
        elif one != ".":
            found.append(one)
    return "/".join(found)


def text_of(value: Any) -> str | None:
    """Return a claim as a segment or a header would have it: a whole number has one spelling."""
    return value if isinstance(value, str) else str(value) if type(value) is int else None


def forbids(path: str, case: dict[str, Any]) -> str | None:
    """Return the rule that forbids a request whose path a server reads so,
    or None; written without the code."""
    claims, segments = case["claims"], path.strip("/").split("/")
    scope = claims.get("scope")
    held = set(scope.split(" ")) if isinstance(scope, str) else set()
    if isinstance(scope, list):
        held = {one for one in scope if isinstance(one, str)}
    folded = [one.lower() for one in segments]
    method = case["method"].strip().upper()
    if "api" not in held:
        return "all"
    if (
        folded[0] == "tenants"
        and len(segments) > 1
        and segments[1].lower() != (text_of(claims.get("tid")) or "").lower()
    ):
        return "tenant"
    is_pay = folded[0] == "pay" or (folded[0] == "tenants" and folded[2:3] == ["pay"])
    if is_pay and method == "POST" and "pay" not in held:
        return "pay"
    if folded[0] == "admin":
        realm = claims.get("realm")
        roles = realm.get("roles") if isinstance(realm, dict) else None
        if not (roles == "admin" or (isinstance(roles, list) and "admin" in roles)):
            return "admin"
    if (
        re.sub(r":\d+$", "", (case["host"] or "").lower()).rstrip(".") == "internal.example"
        and claims.get("staff") is not True
    ):
        return "host"
    if case["partner"] == "shop" and (
        len(case["org"]) != 1 or case["org"][0].strip() != text_of(claims.get("org"))
    ):
        return "shop"
    return None


def some_claims(source: random.Random) -> dict[str, Any]:
    """Return random claims."""
    pick = source.choice
    claims = {"scope": pick(SCOPES) if source.random() < 0.3 else "api pay",
    "tid": pick(TIDS) if source.random() < 0.3 else "acme",
              "realm": pick(REALMS), "staff": pick(STAFF), "org": pick(("o1", "o2", None, 7,
              ["o1"]))}  # fmt: skip
    return {name: value for name, value in claims.items() if value is not None}


CLAIMS = [some_claims(random.Random(number)) for number in range(150)]
"""A signature costs more than all else here: few tokens, many requests."""


def made(source: random.Random) -> dict[str, Any]:
    """Return a random request."""
    pick = source.choice
    if source.random() < 0.4:
        target = pick(
            ("/tenants/acme", "/tenants/acme/pay", "/pay", "/admin", "/admin/x", "/", "/tenants/other/pay")
        )
        target += "".join(pick(PIECES) for _ in range(source.choice((0, 0, 1, 2))))
    else:
        target = pick(("/", "/", "")) + "".join(pick(PIECES) for _ in range(source.randint(1, 7)))
    claims = pick(CLAIMS)
    return {
        "target": target, "claims": claims,
        "method": pick(METHODS), "host": pick(HOSTS), "org": pick(ORGS), "partner": pick((None, "shop",
        "other", "Shop")),
    }  # fmt: skip


DECISIONS: dict[str, Any] = {}


def outcome(case: dict[str, Any]) -> str:
    """Return what the rules say of a request."""
    key = repr((case["claims"], case["partner"]))
    decision = DECISIONS.get(key)
    if decision is None:
        if len(DECISIONS) > 20_000:
            DECISIONS.clear()
        decision = DECISIONS[key] = ENGINE.decide(good(**case["claims"]), partner=case["partner"], now=NOW_S)
    assert decision.code == "ok"
    headers = {"x-org": case["org"]} if case["org"] else None
    request = HTTPRequest(method=case["method"], path=case["target"], host=case["host"], headers=headers)
    return AUTHORIZER.authorize(decision, request, now=NOW_S).outcome


@pytest.mark.parametrize(
    "count", [3_000, pytest.param(1_000_000, marks=[pytest.mark.long, pytest.mark.timeout(3600)])]
)
def test_no_permit_that_any_reading_of_the_request_forbids(count: int) -> None:
    """Random paths, methods, hosts, headers and claims: a permit is one by every server's reading of them."""
    source = random.Random(19)
    permits = 0
    for _ in range(count):
        case = made(source)
        if outcome(case) == "permit":
            permits += 1
            wrong = {(path, forbids(path, case)) for path in readings(case["target"])}
            assert {rule for _, rule in wrong} == {None}, (case, wrong)
    assert permits > count // 200


PLAIN = [
    ("/tenants/acme", "GET", {}, "permit"), ("/tenants/acme/orders?x=/admin", "PUT", {}, "permit"),
    ("/tenants/acme/pay", "POST", {}, "permit"), ("/TENANTS/acme/Pay", "post", {}, "permit"),
    ("/tenants/%61cme", "GET", {}, "permit"), ("/", "GET", {}, "permit"), ("/caf%C3%A9", "GET", {}, "permit"),
    ("/tenants/acme/pay", "POST", {"scope": "api"}, "deny"), ("/tenants/acme/pay", "GET", {"scope": "api"},
    "permit"),
    ("/admin", "GET", {}, "deny"), ("/admin", "GET", {"realm": {"roles": ["admin"]}}, "permit"),
    ("/pay", "POST", {"scope": "api"}, "deny"), ("/pays", "POST", {"scope": "api"}, "permit"),
]  # fmt: skip


@pytest.mark.parametrize(("target", "method", "claims", "expected"), PLAIN)
def test_a_plain_request_gets_what_the_rules_say(
    target: str, method: str, claims: dict[str, Any], expected: str
) -> None:
    """What one can read in one way only is not refused for being careful."""
    case = {"target": target, "method": method, "host": "api.example", "org": (), "partner": None,
            "claims": {"scope": "api pay", "tid": "acme", **claims}}  # fmt: skip
    assert outcome(case) == expected
