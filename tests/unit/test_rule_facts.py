"""What rules read behind a gateway: method and host stand where the configuration says, or are unknown."""

from __future__ import annotations

from typing import Any

import pytest
from rollouts import engine

import rapidjws
from rapidjws.authz import Authorizer, Rule
from rapidjws.sidecar.rule_facts import RuleFacts
from rapidjws.sidecar.settings import ServerSettings

HEADERS = [
    (b"host", b"sidecar"),
    (b"x-m", b"PUT"),
    (b"x-h", b"api.example"),
    (b"x-two", b"a"),
    (b"x-two", b"b"),
]


def facts(*rules: dict[str, Any], **settings: Any) -> RuleFacts:
    """Return what is read for rules."""
    asking = engine()
    if rules:
        asking.authorizer = Authorizer([Rule(**one) for one in rules])
    return RuleFacts(ServerSettings(**settings), asking)


def test_nothing_is_read_without_rules() -> None:
    """Where there are no rules nothing is looked at."""
    assert facts().of(HEADERS, b"GET") is None
    assert facts().of_envoy(HEADERS, b"GET", b"api.example") is None
    assert facts().fields == frozenset()


def test_method_and_host_stand_where_the_configuration_says() -> None:
    """The check's own method and host count only where that is written."""
    rule = {"name": "r", "claim_equals": {"t": "header.X-T"}}
    unnamed = facts(rule).of(HEADERS, b"GET")
    assert unnamed is not None
    assert (unnamed.method, list(unnamed.headers(b"host"))) == ("", [])
    named = facts(rule, method_header="X-M", host_header="X-H")
    found = named.of(HEADERS, b"GET")
    assert found is not None
    assert (found.method, list(found.headers(b"host"))) == ("PUT", [b"api.example"])
    assert named.fields == {b"x-t", b"x-m", b"x-h"}
    own = facts(rule, method_header=":method").of(HEADERS, b"PATCH")
    assert own is not None
    assert own.method == "PATCH"
    twice = facts(rule, method_header="X-Two").of(HEADERS, b"GET")
    assert twice is not None
    assert twice.method == ""


def test_envoy_says_method_and_host_itself() -> None:
    """Of a CheckRequest its own method and host count, whatever headers a client sends."""
    found = facts({"name": "r", "any_token": True}).of_envoy(HEADERS, b"GET", b"api.example")
    assert found is not None
    assert (found.method, list(found.headers(b"host"))) == ("GET", [b"api.example"])
    hidden = facts({"name": "r", "any_token": True}).of_envoy(HEADERS, b"GET", b"")
    assert hidden is not None
    assert list(hidden.headers(b"host")) == []


@pytest.mark.parametrize("rule", [
    {"name": "r", "methods": ["GET"], "any_token": True}, {"name": "r", "claim_equals": {"m": "method"}},
    {"name": "r", "hosts": ["a.example"], "any_token": True}, {"name": "r", "claim_equals": {"h": "host"}},
])  # fmt: skip
def test_rules_that_read_what_nobody_names_are_refused_at_the_start(rule: dict[str, Any]) -> None:
    """A rule on methods or hosts needs the setting that says where they stand."""
    with pytest.raises(rapidjws.ConfigurationError, match=r"server\.(method|host)_header"):
        facts(rule)
    facts(rule, grpc_listen="127.0.0.1:1")
