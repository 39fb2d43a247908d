"""Rules after the verdict: which apply, what they refuse, and that nothing but a verified token passes."""

from __future__ import annotations

from typing import Any

import pytest
from rollouts import ISSUER, NOW_S
from rules import TENANT, one, said

import rapidjws
from rapidjws.authz import (
    Delegation,
    HTTPRequest,
    Limit,
    Roles,
    Signers,
    TimeWindow,
)
from rapidjws.authz.amounts import amount_of, exact_content
from rapidjws.authz.delegation import chain_of

SCOPES = [
    ({"scopes": ["a", "b"]}, "a b c", "ok"),
    ({"scopes": ["a", "b"]}, ["b", "a"], "ok"),
    ({"scopes": ["a", "b"]}, "a", "insufficient_scope"),
    ({"scopes": ["a"]}, "A", "insufficient_scope"),
    ({"scopes": ["a"]}, "a\tb", "insufficient_scope"),
    ({"scopes": ["a"]}, "b\na", "insufficient_scope"),
    ({"scopes": ["a"]}, "b\u00a0a", "insufficient_scope"),
    ({"scopes": ["a"]}, "", "insufficient_scope"),
    ({"scopes": ["a"]}, [], "insufficient_scope"),
    ({"scopes": ["a"]}, None, "insufficient_scope"),
    ({"scopes": ["a"]}, {"a": True}, "insufficient_scope"),
    ({"scopes": ["a"]}, [["a"]], "insufficient_scope"),
    ({"scopes": ["1"]}, 1, "insufficient_scope"),
    ({"scopes": ["1"]}, [1], "insufficient_scope"),
    ({"scopes": ["a"]}, ["a b"], "insufficient_scope"),
    ({"scopes_any": ["a", "z"]}, "z y", "ok"),
    ({"scopes_any": ["a", "z"]}, "y", "insufficient_scope"),
]


@pytest.mark.parametrize(("condition", "scope", "code"), SCOPES)
def test_scopes(condition: dict[str, Any], scope: Any, code: str) -> None:
    """A token holds all of the scopes, or any of them, letter by letter."""
    assert one(condition, scope=scope) == code


def test_scp_counts_where_there_is_no_scope() -> None:
    """``scp`` as a list or as text counts, but not beside ``scope``."""
    assert one({"scopes": ["a"]}, scp=["a"]) == "ok"
    assert one({"scopes": ["a"]}, scp="b a") == "ok"
    assert one({"scopes": ["a"]}, scope="", scp="a") == "insufficient_scope"


ROLES = [
    (["admin", "dev"], "ok"),
    ("admin", "ok"),
    (["Admin"], "role_missing"),
    ("admin dev", "role_missing"),
    (["dev"], "role_missing"),
    ([["admin"]], "role_missing"),
    ({"admin": True}, "role_missing"),
    (None, "role_missing"),
    (1, "role_missing"),
    (["admi\u0144"], "role_missing"),
]


@pytest.mark.parametrize(("roles", "code"), ROLES)
def test_roles_in_any_claim(roles: Any, code: str) -> None:
    """Roles stand in any claim, by JSON Pointer; a text is one role, and shapes of other kinds hold none."""
    rule = {"roles": [Roles(claim="/realm_access/roles", all_of=["admin"])]}
    assert one(rule, realm_access={"roles": roles}) == code
    assert one({"roles": [Roles(claim="roles", any_of=["admin", "root"])]}, roles=roles) == code


def test_a_pointer_leads_through_no_array() -> None:
    """What a pointer leads to through a list, or past the end, is not there."""
    rule = {"roles": [Roles(claim="/a/0/b", all_of=["x"])]}
    assert one(rule, a=[{"b": ["x"]}]) == "role_missing"
    assert one(rule, a="x") == "role_missing"


PATHS = [
    ("/tenants/acme", "acme", "ok"),
    ("/tenants/acme/orders/7?tenant=other", "acme", "ok"),
    ("/tenants/acme/", "acme", "ok"),
    ("/Tenants/acme", "acme", "ok"),
    ("/tenants/ac%6De", "acme", "ok"),
    ("/tenants/caf%C3%A9", "caf\u00e9", "ok"),
    ("/tenants/42", 42, "ok"),
    ("/tenants/Acme", "acme", "request_mismatch"),
    ("/tenants/acme", "Acme", "request_mismatch"),
    ("/tenants/acme", "acme ", "request_mismatch"),
    ("/tenants/042", 42, "request_mismatch"),
    ("/tenants/1", True, "request_mismatch"),
    ("/tenants/True", True, "request_mismatch"),
    ("/tenants/1.5", 1.5, "request_mismatch"),
    ("/tenants/1", 1.0, "request_mismatch"),
    ("/tenants/acme", ["acme"], "request_mismatch"),
    ("/tenants/acme", {"acme": 1}, "request_mismatch"),
    ("/tenants/None", None, "request_mismatch"),
    ("/tenants/other", "acme", "request_mismatch"),
    ("/tenants", "acme", "no_rule"),
    ("/tenants/", "acme", "no_rule"),
    ("/tenantsx/acme", "acme", "no_rule"),
    ("/tenants//acme", "acme", "ambiguous_request"),
    ("//tenants/acme", "acme", "ambiguous_request"),
    ("/tenants/acme/../other", "acme", "ambiguous_request"),
    ("/tenants/acme/%2e%2e/other", "acme", "ambiguous_request"),
    ("/tenants/./acme", "acme", "ambiguous_request"),
    ("/tenants/acme%2Fother", "acme", "ambiguous_request"),
    ("/tenants/acme%2fother", "acme", "ambiguous_request"),
    ("/tenants/acme%5Cother", "acme", "ambiguous_request"),
    ("/tenants/acme\\other", "acme", "ambiguous_request"),
    ("/tenants/acme;x=1", "acme", "ambiguous_request"),
    ("/tenants/acme%3Bx", "acme", "ambiguous_request"),
    ("/tenants/acme%00", "acme", "ambiguous_request"),
    ("/tenants/%61cme%", "acme", "ambiguous_request"),
    ("/tenants/%2561cme", "acme", "ambiguous_request"),
    ("/tenants/acme%23x", "acme", "ambiguous_request"),
    ("/tenants/acme%3Fx", "acme", "ambiguous_request"),
    ("/tenants/%u0061cme", "acme", "ambiguous_request"),
    ("/tenants/\uff41cme", "acme", "ambiguous_request"),
    ("/tenants/%EF%BD%81cme", "acme", "ambiguous_request"),
    ("/tenants/acme%E2%80%8B", "acme", "ambiguous_request"),
    ("/tenants/%C0%AEacme", "acme", "ambiguous_request"),
    ("/tenants/acme.", "acme", "ambiguous_request"),
    ("/tenants/acme%20", "acme", "ambiguous_request"),
    ("http://h/tenants/acme", "acme", "ambiguous_request"),
    ("tenants/acme", "acme", "ambiguous_request"),
    ("*", "acme", "ambiguous_request"),
    ("", "acme", "ambiguous_request"),
    (None, "acme", "ambiguous_request"),
    (("/tenants/acme", "/tenants/other"), "acme", "request_mismatch"),
    (("/tenants/acme", "/tenants/acme/%2e"), "acme", "ambiguous_request"),
    ((), "acme", "ambiguous_request"),
    ("/tenants/acme" + "/x" * 63, "acme", "ambiguous_request"),
]


@pytest.mark.parametrize(("path", "tid", "code"), PATHS)
def test_the_tenant_of_the_token_is_that_of_the_path(path: Any, tid: Any, code: str) -> None:
    """A segment counts in its one spelling and letter by letter; a path of two readings is refused."""
    assert said([TENANT], HTTPRequest(method="GET", path=path), tid=tid) == code


def test_a_rule_without_a_path_reads_none() -> None:
    """A path of two readings disturbs no rules that look at none."""
    assert one({"scopes": ["a"]}, HTTPRequest(path="/a/../b"), scope="a") == "ok"


def test_each_route_that_fits_must_hold() -> None:
    """A path that two routes of one rule read apart must fit both ways."""
    rule = {"name": "r", "routes": ["/{tenant}/a", "/a/{tenant}"], "claim_equals": {"tid": "path.tenant"}}
    assert said([rule], HTTPRequest(path="/a/a"), tid="a") == "ok"
    assert said([rule], HTTPRequest(path="/b/a"), tid="b") == "ok"
    rule["routes"] = ["/{tenant}", "/x/{tenant}"]
    assert said([rule], HTTPRequest(path="/x/a"), tid="x") == "request_mismatch"
    assert said([rule], HTTPRequest(path="/x/a"), tid="a") == "request_mismatch"


HEADERS = [
    ({"X-Tenant": "acme"}, "ok"),
    ({"x-tenant": " acme\t"}, "ok"),
    ({"X-Tenant": ("acme", "acme")}, "ambiguous_request"),
    ({"X-Tenant": "acme", "x-tenant": "other"}, "ambiguous_request"),
    ({"X-Tenant": "acme, acme"}, "ambiguous_request"),
    ({"X-Tenant": "ACME"}, "request_mismatch"),
    ({"X-Tenant": ""}, "ambiguous_request"),
    ({"X-Tenant": "acm\u0435"}, "ambiguous_request"),
    ({"X-Tenant": "ac\x00me"}, "ambiguous_request"),
    ({}, "ambiguous_request"),
]


@pytest.mark.parametrize(("headers", "code"), HEADERS)
def test_a_claim_equals_a_header(headers: dict[str, Any], code: str) -> None:
    """A header counts where it stands once, in plain ASCII, and equals the claim."""
    rule = {"name": "r", "claim_equals": {"tid": "header.X-Tenant"}}
    assert said([rule], HTTPRequest(headers=headers), tid="acme") == code


def test_a_claim_against_host_method_and_partner() -> None:
    """Host, method and partner are compared like a header."""
    rule = {"claim_equals": {"h": "host", "m": "method"}}
    assert one(rule, HTTPRequest(method="get", host="API.example:443"), h="api.example", m="GET") == "ok"
    assert (
        one(rule, HTTPRequest(method="PUT", host="api.example"), h="api.example", m="GET")
        == "request_mismatch"
    )
    assert one(rule, HTTPRequest(host="api.example"), h="api.example", m="") == "ambiguous_request"
    assert one(rule, HTTPRequest(method="GET", host="a@b"), h="b", m="GET") == "ambiguous_request"
    assert one({"claim_equals": {"p": "partner"}}, p="acme") == "ambiguous_request"
    other = HTTPRequest(method="GET", host="api.example", path="http://internal.example/x")
    assert one(rule, other, h="api.example", m="GET") == "ambiguous_request"


def test_rules_of_a_host_know_no_host_where_the_target_names_another() -> None:
    """RFC 9112 s.3.2.2: the host of an absolute target counts, and servers differ: nobody goes by either."""
    rule = {"name": "r", "hosts": ["internal.example"], "scopes": ["admin"]}
    for path, found in (("/x", "ok"), ("*", "ok"), (None, "ok"), ("http://internal.example/x",
                        "ambiguous_request")):  # fmt: skip
        request = HTTPRequest(method="GET", host="api.example", path=path)
        assert said([rule], request, settings={"default": "permit"}) == found


def test_a_claim_that_is_a_list_holds_the_value() -> None:
    """``claim_contains`` wants a list with the value itself; text is no list."""
    rule = {"claim_contains": {"tenants": "header.x"}}
    assert one(rule, HTTPRequest(headers={"X": "a"}), tenants=["b", "a"]) == "ok"
    assert one(rule, HTTPRequest(headers={"X": "7"}), tenants=[7]) == "ok"
    for odd in ("a", ["aa"], [["a"]], {"a": 1}, [], None):
        assert one(rule, HTTPRequest(headers={"X": "a"}), tenants=odd) == "request_mismatch"


def test_claims_by_the_rules_of_issuers() -> None:
    """Conditions on claims are those of ``Issuer(claims=...)``, with a code of their own."""
    rule = {"claims": {"amr": rapidjws.Contains("mfa"), "azp": {"a", "b"}}}
    assert one(rule, amr=["pwd", "mfa"], azp="b") == "ok"
    assert one(rule, amr=["pwd"], azp="b") == "claim_not_accepted"
    assert one(rule, amr=["mfa"]) == "claim_not_accepted"


WINDOWS = [  # 1_800_000_000 is a Friday, 08:00 UTC
    (TimeWindow(start="08:00", end="08:01"), True),
    (TimeWindow(start="08:01", end="12:00"), False),
    (TimeWindow(end="08:00"), False),
    (TimeWindow(days=["fri"]), True),
    (TimeWindow(days=["thu"]), False),
    (TimeWindow(start="22:00", end="09:00", days=["thu"]), True),
    (TimeWindow(start="22:00", end="09:00", days=["fri"]), False),
    (TimeWindow(start="22:00", end="08:00", days=["thu"]), False),
    (TimeWindow(start="09:00", end="10:00", zone="Europe/Berlin"), True),
    (TimeWindow(start="13:30", end="13:31", zone="Asia/Kolkata"), True),
]


@pytest.mark.parametrize(("window", "holds"), WINDOWS)
def test_hours_of_days_in_a_zone(window: TimeWindow, holds: bool) -> None:
    """A window holds from its first minute up to its last, and past midnight belongs to the day before."""
    assert one({"hours": [window]}) == ("ok" if holds else "outside_hours")


def test_one_of_several_windows_and_dates() -> None:
    """Of several windows one is enough; a date is a bound."""
    assert one({"hours": [TimeWindow(days=["mon"]), TimeWindow(days=["fri"])]}) == "ok"
    assert one({"not_before_s": NOW_S, "not_after_s": NOW_S + 1}) == "ok"
    assert one({"not_after_s": NOW_S}) == "outside_hours"
    assert one({"not_before_s": NOW_S + 1}) == "outside_hours"


AMOUNTS = [
    ('{"amount": 1000.00}', True),
    ('{"amount": "1000.00"}', True),
    ('{"amount": 999}', True),
    ('{"amount": 0}', True),
    ('{"amount": 1000.000000000000000001}', False),
    ('{"amount": "1000.01"}', False),
    ('{"amount": -1}', False),
    ('{"amount": "-0.01"}', False),
    ('{"amount": 1e2}', False),
    ('{"amount": "1e2"}', False),
    ('{"amount": " 1"}', False),
    ('{"amount": "1,5"}', False),
    ('{"amount": "\u0661"}', False),
    ('{"amount": "NaN"}', False),
    ('{"amount": NaN}', False),
    ('{"amount": Infinity}', False),
    ('{"amount": true}', False),
    ('{"amount": null}', False),
    ('{"amount": [1]}', False),
    ('{"amount": {"value": 1}}', False),
    ('{"amount": 1, "amount": 5000}', False),
    ('{"amount": 1, "am\\u006funt": 5000}', False),
    ('{"amount": 1, "Amount": 5000}', False),
    ('{"amount": 1, "amounts": 5000}', True),
    ('{"Amount": 1}', False),
    ('{"amount": ' + "1" * 41 + "}", False),
    ('{"amount": 0.' + "0" * 41 + "}", False),
    ("{}", False),
    ("[]", False),
    ("1", False),
    ("", False),
    ('{"amount": 1', False),
    ('{"amount": 1}x', False),
]


@pytest.mark.parametrize(("content", "holds"), AMOUNTS)
def test_limits_are_exact(content: str, holds: bool) -> None:
    """An amount is a plain decimal, exact to its last digit; what is anything else is over every limit."""
    rule = {"limits": [Limit(at="/amount", maximum="1000.00")]}
    found = one(rule, HTTPRequest(content=content.encode()))
    assert found == ("ok" if holds else "limit_exceeded")


def test_limits_of_the_token_and_in_a_unit() -> None:
    """The smaller of both limits counts; a unit must be one of those named; a payload is content too."""
    limit = Limit(at="/sum/value", maximum="100", maximum_claim="limit", unit_at="/sum/unit", units=["EUR"])
    rule = {"limits": [limit]}

    def asked(value: Any, unit: Any, most: Any) -> str:
        return one(rule, sum={"value": value, "unit": unit}, limit=most)

    assert asked("50.00", "EUR", 50) == "ok"
    assert asked("50.01", "EUR", 50) == "limit_exceeded"
    assert asked("50.01", "EUR", "1000") == "ok"
    assert asked("100.01", "EUR", "1000") == "limit_exceeded"
    assert asked(1, "USD", 50) == "limit_exceeded"
    assert asked(1, None, 50) == "limit_exceeded"
    assert asked(1, "EUR", None) == "limit_exceeded"
    assert asked(1, "EUR", True) == "limit_exceeded"


def test_a_unit_that_stands_in_two_cases_is_none() -> None:
    """A reader that ignores case would take the other one."""
    limit = Limit(at="/sum/value", maximum="100", unit_at="/sum/unit", units=["EUR"])
    assert one({"limits": [limit]}, sum={"value": 1, "unit": "EUR"}) == "ok"
    assert one({"limits": [limit]}, sum={"value": 1, "unit": "EUR", "UNIT": "BTC"}) == "limit_exceeded"
    assert one({"limits": [limit]}, sum={"value": 1, "unit": "EUR"}, Sum={"value": 999}) == "limit_exceeded"


def test_amounts_are_never_floats() -> None:
    """0.1 and 0.2 are read as they are written."""
    assert str(amount_of(exact_content(b'{"a": 0.30000000000000004}')["a"])) == "0.30000000000000004"
    assert amount_of(0.5) is None
    assert amount_of(1) is None


ACTORS = [
    ({}, None, "ok"),
    ({}, {"sub": "svc"}, "ok"),
    ({}, {"sub": "svc", "act": {"sub": "b"}}, "actor_not_allowed"),
    ({"max_depth": 2}, {"sub": "svc", "act": {"sub": "b"}}, "ok"),
    ({"max_depth": 0}, {"sub": "svc"}, "actor_not_allowed"),
    ({"required": True}, None, "actor_not_allowed"),
    ({"actors": ["svc"]}, {"sub": "svc"}, "ok"),
    ({"actors": ["svc"]}, {"sub": "other"}, "actor_not_allowed"),
    ({"actors": ["svc"], "max_depth": 2}, {"sub": "other", "act": {"sub": "svc"}}, "actor_not_allowed"),
    ({"prior_actors": ["b"], "max_depth": 2}, {"sub": "svc", "act": {"sub": "b"}}, "ok"),
    ({"prior_actors": ["b"], "max_depth": 2}, {"sub": "svc", "act": {"sub": "c"}}, "actor_not_allowed"),
    ({"on_behalf_of": {"svc": ["ann"]}}, {"sub": "svc"}, "ok"),
    ({"on_behalf_of": {"svc": ["bob"]}}, {"sub": "svc"}, "actor_not_allowed"),
    ({"on_behalf_of": {"svc": ["ann"]}}, {"sub": "other"}, "actor_not_allowed"),
    ({"actors": ["svc"]}, {"sub": "svc", "iss": ISSUER.iss}, "ok"),
    ({"actors": ["svc"]}, {"sub": "svc", "iss": "https://evil.example"}, "actor_not_allowed"),
    ({"actors": ["svc"]}, {"sub": "svc", "iss": None}, "actor_not_allowed"),
    ({"actor_issuers": ["https://b.example"]}, {"sub": "svc", "iss": "https://b.example"}, "ok"),
    (
        {"actor_issuers": ["https://b.example"]},
        {"sub": "svc", "iss": ["https://b.example"]},
        "actor_not_allowed",
    ),
    (
        {"max_depth": 2},
        {"sub": "svc", "act": {"sub": "b", "iss": "https://evil.example"}},
        "actor_not_allowed",
    ),
    ({}, [], "actor_not_allowed"),
    ({}, "svc", "actor_not_allowed"),
    ({}, {}, "actor_not_allowed"),
    ({}, {"sub": 7}, "actor_not_allowed"),
    ({}, {"sub": ""}, "actor_not_allowed"),
    ({"max_depth": 3}, {"sub": "svc", "act": None}, "actor_not_allowed"),
]


@pytest.mark.parametrize(("settings", "act", "code"), ACTORS)
def test_who_acts_for_whom(settings: dict[str, Any], act: Any, code: str) -> None:
    """The present actor is the outermost; depth, actors and subjects are bounded, and odd chains refused."""
    claims = {} if act is None else {"act": act}
    assert one({"act": Delegation(**settings)}, sub="ann", **claims) == code


def test_an_actor_that_is_null_is_malformed() -> None:
    """``act: null`` is no actor, and not the absence of one."""
    assert chain_of({"sub": "ann", "act": None}) is None
    assert chain_of({"sub": "ann"}) == ()


def test_signers_of_a_token() -> None:
    """Of a JWT the issuer is the one signer."""
    assert one({"signers": Signers(all_of=[ISSUER.iss])}) == "ok"
    assert one({"signers": Signers(any_of=["https://b.example"])}) == "signer_missing"
    assert one({"signers": Signers(any_of=[ISSUER.iss, "b"], at_least=2)}) == "signer_missing"
