"""What follows from rules: phases, the default, and that nothing but a verified token passes."""

from __future__ import annotations

from typing import Any

import pytest
from rollouts import ISSUER, NOW_S, engine, forged, good, rollout
from rules import ENGINE, TENANT, said

import rapidjws
from rapidjws.authz import (
    Authorizer,
    Delegation,
    Deny,
    HTTPRequest,
    Indeterminate,
    Limit,
    Permit,
    Roles,
    Rule,
    RuleResult,
    Signers,
    TimeWindow,
)
from rapidjws.jwt.decision import Decision
from rapidjws.middleware.response import FORBIDDEN, answer_for


def test_only_a_verified_token_is_permitted() -> None:
    """What is not verified gets the code of its verdict, also where a rollout lets it through."""
    rules = Authorizer([Rule(name="all", any_token=True)])
    lenient = engine(rollout(phase="detection", unattributed="default"))
    for token, code in ((forged(), "signature_invalid"), (None, "missing_token")):
        decision = lenient.decide(token, now=NOW_S)
        assert decision.outcome == "permit"
        found = rules.authorize(decision, HTTPRequest(path="/a"), now=NOW_S)
        assert isinstance(found, Deny)
        assert found.code == code
    with pytest.raises(rapidjws.InternalError):
        Permit(None)  # type: ignore[arg-type]
    verified = ENGINE.decide(good(), now=NOW_S).verified
    with pytest.raises(rapidjws.InternalError):
        Permit(verified, (RuleResult("r", "enforce", "no_rule"),))  # type: ignore[arg-type]
    unknown = rapidjws.Decision(outcome="indeterminate", code="keys_unavailable")
    assert isinstance(rules.authorize(unknown, HTTPRequest()), Indeterminate)


def test_phases_of_rules() -> None:
    """detect tells, warn warns, enforce refuses; one that is met tells nothing."""
    told: list[tuple[str, str, str]] = []

    def listen(rule: str, phase: str, code: str, _: Decision) -> None:
        told.append((rule, phase, code))

    for phase, outcome, warnings in (("detect", "permit", 0), ("warn", "permit", 1), ("enforce", "deny", 0)):
        rules = Authorizer([Rule(name="r", scopes=["pay"], phase=phase)], listener=listen)  # type: ignore[arg-type]
        decision = ENGINE.decide(good(), now=NOW_S)
        found = rules.apply(decision, None, now=NOW_S)
        assert (found.outcome, len(found.warnings)) == (outcome, warnings)
        assert told.pop() == ("r", phase, "insufficient_scope")
        assert rules.apply(ENGINE.decide(good(scope="pay"), now=NOW_S), None, now=NOW_S).rule is None
        assert told == []
    assert found.rule == "r"
    assert found.scopes_due == ("pay",)
    assert found.evidence["rule"] == "r"


def test_the_default_is_deny() -> None:
    """Where no rule applies the request is refused, unless the operator wrote otherwise."""
    rule = [{"name": "r", "routes": ["/b"], "scopes": ["a"]}]
    assert said(rule) == "no_rule"
    assert said([]) == "no_rule"
    assert said(rule, settings={"default": "permit"}) == "ok"
    assert said(rule, settings={"phase": "detect"}) == "ok"


def test_every_rule_that_applies_must_hold() -> None:
    """A second rule only adds to the first, whatever their order."""
    rules = [{"name": "a", "scopes": ["a"]}, {"name": "b", "scopes": ["b"], "routes": ["/a"]}]
    assert said(rules, scope="a b") == "ok"
    assert said(rules, scope="a") == "insufficient_scope"
    assert said(rules[::-1], scope="b") == "insufficient_scope"


def test_where_a_rule_applies() -> None:
    """Methods, hosts, issuers and partners choose rules; what is unknown of them is refused."""
    rule = {"name": "r", "methods": ["POST"], "hosts": ["pay.example"], "scopes": ["a"]}
    other = {"name": "o", "any_token": True}

    def asked(**request: Any) -> str:
        return said([rule, other], HTTPRequest(path="/a", **request))

    assert asked(method="POST", host="pay.example") == "insufficient_scope"
    assert asked(method="post", host="PAY.example.") == "insufficient_scope"
    assert asked(method="GET", host="pay.example") == "ok"
    assert asked(method="POST", host="other.example") == "ok"
    assert asked(host="pay.example") == "ambiguous_request"
    assert asked(method="POST") == "ambiguous_request"
    assert asked(method="P OST", host="pay.example") == "ambiguous_request"
    assert asked(method="POST", host="pay.example:x") == "ambiguous_request"
    mine = [{"name": "r", "issuers": [ISSUER.iss], "scopes": ["a"]}]
    assert said(mine) == "insufficient_scope"
    assert said([{**mine[0], "issuers": ["https://b.example"]}]) == "no_rule"


def test_a_rule_on_get_holds_for_head() -> None:
    """Servers answer HEAD by what answers GET: nobody learns by HEAD what a rule on GET keeps from him."""
    rules = [{"name": "r", "methods": ["GET"], "scopes": ["a"]}, {"name": "o", "any_token": True}]

    def asked(method: str, scope: str = "") -> str:
        return said(rules, HTTPRequest(path="/a", method=method), scope=scope)

    assert [asked(one) for one in ("GET", "HEAD", "head")] == ["insufficient_scope"] * 3
    assert [asked(one, "a") for one in ("GET", "HEAD", "OPTIONS", "POST")] == ["ok"] * 4
    alone = [{"name": "r", "methods": ["HEAD"], "scopes": ["a"]}]
    assert said(alone, HTTPRequest(path="/a", method="GET")) == "no_rule"


def test_a_method_that_no_rule_names_is_refused() -> None:
    """On a path whose rules name methods, each other one gets ``no_rule``, known or made up."""
    rules = [{"name": "r", "methods": ["GET"], "routes": ["/a"], "scopes": ["a"]}]
    for method in ("POST", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "GETX"):
        assert said(rules, HTTPRequest(path="/a", method=method), scope="a") == "no_rule"
    for method in ("", "G ET", "GET\n"):
        assert said(rules, HTTPRequest(path="/a", method=method), scope="a") == "ambiguous_request"


def test_rules_of_partners() -> None:
    """A partner's rule holds for its requests; of several partners that are named, each one's does."""
    rules = Authorizer(
        [Rule(name="r", partners=["acme"], scopes=["a"]), Rule(name="o", any_token=True)],
        listener=lambda *_: None,
    )
    asking = engine()
    asking.authorizer = rules

    def code(partner: Any) -> str:
        return asking.decide(good(), partner=partner, route="/a", now=NOW_S).code

    assert code("acme") == "insufficient_scope"
    assert code("other") == "ok"
    assert code(None) == "ok"
    assert code(("other", "acme")) == "insufficient_scope"
    assert code(("other, acme",)) == "insufficient_scope"


def test_rules_never_make_an_answer_milder() -> None:
    """A refusal stays, and what a rollout lets through unverified is refused where rules enforce."""
    asking = engine()
    asking.authorizer = Authorizer([Rule(name="all", any_token=True)])
    assert asking.decide(forged(), now=NOW_S).code == "signature_invalid"
    lenient = engine(rollout(phase="detection", unattributed="default"))
    lenient.authorizer = Authorizer([Rule(name="pay", routes=["/pay"], scopes=["pay"], partners=["acme"])])
    found = lenient.decide(None, route="/pay/1", now=NOW_S)
    assert (found.outcome, found.code, found.rule) == ("deny", "missing_token", "pay")
    lenient.authorizer = Authorizer([Rule(name="pay", scopes=["pay"], phase="detect")])
    assert lenient.decide(None, route="/pay/1", now=NOW_S).outcome == "permit"


def test_a_fault_in_a_rule_is_no_permit() -> None:
    """A condition that raises leaves the request undecided; rules of others that lie are not believed."""

    class Broken:
        blocking = False
        header_fields: frozenset[bytes] = frozenset()
        reads_method = reads_host = False

        def check(self) -> Any:
            def check(_: Any) -> Any:
                raise ValueError("secret")

            return check

    asking = engine()
    asking.authorizer = Authorizer([Rule(name="r", policies=[Broken()])])
    found = asking.decide(good(), now=NOW_S)
    assert (found.outcome, found.code, found.place) == ("indeterminate", "internal_error", "ValueError")

    class Lying:
        blocking = False
        header_fields: frozenset[bytes] = frozenset()

        def apply(self, decision: Decision, *_: Any, **__: Any) -> Any:
            return rapidjws.Decision(outcome="permit", code="missing_token")

    asking.authorizer = Lying()
    assert asking.decide(forged(), now=NOW_S).outcome == "indeterminate"


def test_many_at_once() -> None:
    """Each of many requests gets the answer that it would get alone."""
    asking = engine()
    asking.authorizer = Authorizer([Rule(**TENANT)], listener=lambda *_: None)
    tokens = [good(tid="a"), forged(), good(tid="b"), None]
    requests = [(token, None, "/tenants/a") for token in tokens]
    found = asking.decide_many(requests, now=NOW_S)
    assert [one.code for one in found] == ["ok", "signature_invalid", "request_mismatch", "missing_token"]
    rules = Authorizer([Rule(name="m", methods=["GET"], any_token=True)], listener=lambda *_: None)
    asking.authorizer = rules
    facts = [HTTPRequest(method="GET"), HTTPRequest(method="GET"), HTTPRequest(method="PUT"), HTTPRequest()]
    codes = [one.code for one in asking.decide_many(requests, now=NOW_S, facts=facts)]
    assert codes == ["ok", "signature_invalid", "no_rule", "missing_token"]
    codes = [one.code for one in asking.decide_many(requests, now=NOW_S, facts=facts[:1])]
    assert codes[0] == "ambiguous_request"


def test_plans_are_bounded() -> None:
    """Strangers choose paths: neither many nor long ones are remembered without a bound."""
    rules = Authorizer([Rule(name="r", routes=["/"], any_token=True)])
    decision = ENGINE.decide(good(), now=NOW_S)
    for number in range(5000):
        rules.authorize(decision, HTTPRequest(path=f"/{number}"), now=NOW_S)
    assert len(rules._plans) <= 4096
    before = len(rules._plans)
    rules.authorize(decision, HTTPRequest(path="/" + "a" * 600), now=NOW_S)
    assert len(rules._plans) == before


def test_refusals_are_403_with_the_challenge_of_rfc_6750() -> None:
    """A good token that does not suffice is 403 insufficient_scope, and names the scopes that are due."""
    asking = engine()
    asking.authorizer = Authorizer([Rule(name="r", scopes=["pay", "a"])], listener=lambda *_: None)
    answer = answer_for(asking.decide(good(), now=NOW_S))
    assert answer is not None
    challenge = dict(answer.headers)["www-authenticate"]
    assert answer.status == 403
    assert 'error="insufficient_scope"' in challenge
    assert challenge.endswith('scope="pay a"')
    asking.authorizer = Authorizer([])
    answer = answer_for(asking.decide(good(), now=NOW_S))
    assert answer is not None
    assert answer.status == 403
    assert b'"code": "no_rule"' in answer.body
    assert "policy_unavailable" not in FORBIDDEN


WRONG: list[dict[str, Any]] = [
    {"name": "r"},
    {"name": "", "any_token": True},
    {"name": "default", "any_token": True},
    {"name": "x" * 65, "any_token": True},
    {"name": "r", "any_token": True, "scopes": ["a"]},
    {"name": "r", "scopes": ["a b"]},
    {"name": "r", "scopes": [""]},
    {"name": "r", "any_token": True, "phase": "off"},
    {"name": "r", "any_token": True, "routes": ["a"]},
    {"name": "r", "any_token": True, "routes": ["/a/../b"]},
    {"name": "r", "any_token": True, "routes": ["/a//b"]},
    {"name": "r", "any_token": True, "routes": ["/a%2Fb"]},
    {"name": "r", "any_token": True, "routes": ["/{a}/{a}"]},
    {"name": "r", "any_token": True, "routes": ["/{A}"]},
    {"name": "r", "any_token": True, "routes": ["/a{b}"]},
    {"name": "r", "any_token": True, "methods": ["G T"]},
    {"name": "r", "any_token": True, "hosts": ["a b"]},
    {"name": "r", "claim_equals": {"t": "path.t"}},
    {"name": "r", "claim_equals": {"t": "path.t"}, "routes": ["/{t}", "/x"]},
    {"name": "r", "claim_equals": {"t": "cookie.a"}},
    {"name": "r", "claim_equals": {"t": "header.a b"}},
    {"name": "r", "claim_equals": {"/~": "host"}},
    {"name": "r", "claims": {}},
    {"name": "r", "not_before_s": 2, "not_after_s": 1},
]


@pytest.mark.parametrize("settings", WRONG)
def test_a_rule_is_checked_at_construction(settings: dict[str, Any]) -> None:
    """An operator's slip is an error at the start."""
    with pytest.raises(rapidjws.ConfigurationError):
        Rule(**settings)


def test_parts_of_rules_are_checked_at_construction() -> None:
    """Each part refuses what it cannot hold."""
    makers: list[tuple[Any, dict[str, Any]]] = [
        (Roles, {"claim": "roles"}),
        (Roles, {"claim": "", "all_of": ["a"]}),
        (Roles, {"claim": "/~2", "all_of": ["a"]}),
        (TimeWindow, {"start": "8:00"}),
        (TimeWindow, {"start": "10:00", "end": "10:00"}),
        (TimeWindow, {"days": ["monday"]}),
        (TimeWindow, {"zone": "Europe/Nowhere"}),
        (TimeWindow, {"zone": "../etc/passwd"}),
        (Limit, {"at": "/a"}),
        (Limit, {"at": "/a", "maximum": "1e3"}),
        (Limit, {"at": "/a", "maximum": "1", "minimum": "2"}),
        (Limit, {"at": "/a", "maximum": "1", "units": ["EUR"]}),
        (Delegation, {"max_depth": -1}),
        (Delegation, {"max_depth": 0, "actors": ["a"]}),
        (Delegation, {"on_behalf_of": {}}),
        (Signers, {}),
        (Signers, {"any_of": ["a"], "at_least": 2}),
        (Authorizer, {"rules": [Rule(name="a", any_token=True)] * 2}),
        (Authorizer, {"rules": [], "default": "allow"}),
        (Authorizer, {"rules": [], "phase": "off"}),
        (HTTPRequest, {"headers": {"a b": "c"}}),
    ]
    for make, settings in makers:
        with pytest.raises(rapidjws.ConfigurationError):
            make(**settings)
