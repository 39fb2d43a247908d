"""CEL expressions: checked when they are loaded, bounded, and undecided where they cannot be evaluated."""

from __future__ import annotations

from typing import Any

import pytest
from rules import said

pytest.importorskip("cel", reason="the extra `cel` is not installed")

import rapidjws
from rapidjws.authz import HTTPRequest, Rule
from rapidjws.authz.expression import Expression

SAID = [
    ('claims.tier == "gold"', {"tier": "gold"}, "ok"),
    ('claims.tier == "gold"', {"tier": "silver"}, "policy_refused"),
    ('claims.tier == "gold"', {}, "policy_unavailable"),
    ('has(claims.tier) && claims.tier == "gold"', {}, "policy_refused"),
    ('"pay" in claims.roles', {"roles": ["pay"]}, "ok"),
    ('"pay" in claims.roles', {"roles": 7}, "policy_unavailable"),
    ("claims.n < 10", {"n": 9}, "ok"),
    ("claims.n < 10", {"n": "9"}, "policy_unavailable"),
    ("claims.flag", {"flag": True}, "ok"),
    ("claims.flag", {"flag": "true"}, "policy_unavailable"),
    ("claims.flag", {"flag": 1}, "policy_unavailable"),
    ("claims.n > 0", {"n": 2**70}, "policy_unavailable"),
    ('claims.roles.exists(r, r == "a")', {"roles": ["b", "a"]}, "ok"),
    ('claims.roles.exists(r, r == "a")', {"roles": ["a"] * 1025}, "policy_unavailable"),
    ("claims.x.y.exists(r, r == 1) || claims.n == 1", {"n": 1, "x": {"y": [0] * 1025}}, "policy_unavailable"),
    ('claims.exists(name, name == "tier")', {"tier": 1}, "ok"),
    ('claims["tier"] == "gold"', {"tier": "gold"}, "ok"),
    ('header["x-tenant"] == claims.tid', {"tid": "acme"}, "ok"),
    ('header["x-none"] == claims.tid', {"tid": "acme"}, "policy_unavailable"),
    ('"x-none" in header && header["x-none"] == "a"', {}, "policy_refused"),
    ('header["x-two"] == "a"', {}, "ambiguous_request"),
    ('request.method == "GET" && request.host == "api.example"', {}, "ok"),
    ('request.path.startsWith("/tenants/" + claims.tid + "/")', {"tid": "acme"}, "ok"),
    ('partner == ""', {}, "ok"),
    ('now > timestamp("2026-01-01T00:00:00Z")', {}, "ok"),
    ("now.getFullYear() == 2027", {}, "ok"),
]


@pytest.mark.parametrize(("source", "claims", "code"), SAID)
def test_what_an_expression_answers(source: str, claims: dict[str, Any], code: str) -> None:
    """True permits, false refuses, and all else is undecided: an error, another type, too long a list."""
    headers = {"X-Tenant": "acme", "X-Two": ("a", "a")}
    request = HTTPRequest(method="GET", host="api.example", path="/tenants/acme/orders", headers=headers)
    assert said([{"name": "r", "policies": [Expression(source)]}], request, **claims) == code


@pytest.mark.parametrize(
    ("source", "request_", "code"),
    [
        ('request.method != "DELETE"', HTTPRequest(path="/a", host="a.example"), "ambiguous_request"),
        ('request.method != "DELETE"', HTTPRequest(path="/a", method="GET /"), "ambiguous_request"),
        ('request.host != "admin.example"', HTTPRequest(path="/a", method="GET"), "ambiguous_request"),
        ('request.host != "admin.example"', HTTPRequest(path="/a", host="a b"), "ambiguous_request"),
        ('"method" in request', HTTPRequest(path="/a", host="a.example"), "ambiguous_request"),
        ('request.method != "DELETE"', HTTPRequest(path="/a", method="get"), "ok"),
        ('request.path != "/b"', HTTPRequest(path="/a"), "ok"),
    ],
)
def test_a_method_or_host_that_nobody_knows_reaches_no_expression(
    source: str, request_: HTTPRequest, code: str
) -> None:
    """What is forbidden for one method or host is not permitted where it is unknown."""
    rule = Rule(name="r", policies=[Expression(source)])
    assert (rule.reads_method, rule.reads_host) == ("method" in source, "host" in source or '" in' in source)
    assert said([{"name": "r", "policies": [Expression(source)]}], request_) == code


def test_a_path_of_two_readings_reaches_no_expression() -> None:
    """An expression that reads the path gets its one spelling, or is not asked."""
    rule = {"name": "r", "policies": [Expression('request.path == "/a"')]}
    assert said([rule], HTTPRequest(path="/%61")) == "ok"
    assert said([rule], HTTPRequest(path="/b/../a")) == "ambiguous_request"


WRONG = [
    ("claims.", "line 1, column 8"),
    ("claims.a ==\n  ", "line 2, column 3"),
    ("claims.a == 1 &&\n  clams.b == 2", "line 2, column 3: one of"),
    ("nosuch(claims.a)", "line 1, column 1: a function of"),
    ("claims.a.exists(x, claims.b.exists(y, x == y))", "line 1, column 35: no macro within a macro"),
    ("claims.a.all(x, [1].map(y, y + x) == [2])", "no macro within a macro"),
    ("1 + 1", "true or false"),
    ('1 + "a" == 2', "line 1, column 1"),
    ("header.size() == 1", "headers by name"),
    ("header[claims.a] == 1", "headers by name"),
    ('header["X-A"] == "a"', "lower-case"),
    ("claims.a == r'b'", "without a prefix"),
    ('claims.a == """b"""', "triple"),
    ("", "characters"),
    ("claims.a == 1" + " " * 2048, "characters"),
]


@pytest.mark.parametrize(("source", "words"), WRONG)
def test_an_expression_is_checked_when_it_is_loaded(source: str, words: str) -> None:
    """A slip is an error at the start, with line and column."""
    with pytest.raises(rapidjws.ConfigurationError) as caught:
        Expression(source)
    assert words in str(caught.value)


def test_an_expression_tells_which_headers_it_reads() -> None:
    """The sidecar keeps no other headers; a text that looks like a header is none."""
    made = Expression('"x-a" in header && header["x-b"] == "header[c]" && claims.header == 1')
    assert made.header_fields == {b"x-a", b"x-b"}
