"""What rules read behind a gateway: method and host stand where the configuration says, or are unknown."""

from __future__ import annotations

from typing import Any

import pytest
from rollouts import engine

import rapidjws
from rapidjws import RapidJWSError
from rapidjws.authz import Authorizer, Rule
from rapidjws.config import schema
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


@pytest.mark.parametrize(
    ("setting", "headers", "method"),
    [
        (None, [("x-original-method", "PUT")], ""),
        (None, [("x-forwarded-method", "PUT")], ""),
        (None, [], ""),
        ("X-M", [("x-m", "PUT"), ("x-original-method", "GET")], "PUT"),
        ("X-M", [("x-m", "PUT"), ("x-m", "GET")], ""),
        ("X-M", [("x-original-method", "PUT")], ""),
        (":method", [("x-original-method", "PUT")], "POST"),
    ],
)
def test_one_setting_says_the_method(
    setting: str | None, headers: list[tuple[str, str]], method: str
) -> None:
    """What is compared with a signature reads the header that rules read; two methods are none."""
    settings = ServerSettings(listen="127.0.0.1:0", method_header=setting)
    given = [(name.encode(), value.encode()) for name, value in headers]
    assert settings.client_method(given, b"POST") == method.encode()


def test_the_old_setting_is_refused_with_the_new_one() -> None:
    """Who has the old name in a file is told the one to write."""
    found = next(schema.faults({"issuers": [], "server": {"method_headers": ["x-m"]}}))
    assert found[0] == ("server", "method_headers")
    assert "one of method_header," in found[1]
    assert found[2] == "an unknown setting"


@pytest.mark.parametrize(
    "settings",
    [
        {"route_headers": ("X-M",), "method_header": "X-M"},
        {"partner_header": "x-m", "method_header": "X-M"},
    ],
)
def test_a_header_is_read_for_one_thing(settings: dict[str, Any]) -> None:
    """The header of the method is no other setting's as well."""
    with pytest.raises(RapidJWSError, match="method_header"):
        ServerSettings(listen="127.0.0.1:0", **settings)
