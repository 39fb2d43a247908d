"""Subjects and scopes for the service behind a middleware: as they were verified, or not at all."""

from __future__ import annotations

import hashlib
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rollouts import ISSUER, NOW_S, engine, good, rollout

import rapidjws
from rapidjws.jose.scopes import is_scope_token, scopes_objection, scopes_of
from rapidjws.jwt.decision import Decision
from rapidjws.middleware import trusted_headers
from rapidjws.rollout import Partner
from rapidjws.sidecar.response_cache import ResponseCache
from rapidjws.sidecar.settings import ServerSettings


def headers_of(decision: Decision) -> list[dict[str, str]]:
    """Return the trusted headers as middlewares make them, and as the sidecar does."""
    head = ResponseCache(ServerSettings()).reply(decision, b"GET").decode("latin-1")
    lines = [line.partition(": ") for line in head.split("\r\n") if line.startswith("x-jws-")]
    return [dict(trusted_headers(decision)), {name: value for name, _, value in lines}]


def decided(**claims: Any) -> Decision:
    """Return the decision about a good token."""
    decision = engine().decide(ISSUER.token(ISSUER.claims(int(time.time()), **claims)))
    assert decision.code == "ok"
    return decision


@pytest.mark.parametrize(
    "subject", [" admin", "admin ", " admin ", "\tadmin", "admin\r\n", "adm\x00in", "\u00a0admin"]
)
def test_S5_subject_is_never_changed(subject: str) -> None:
    """A subject that would not arrive as it stands gives no header: never another subject's."""
    for headers in headers_of(decided(sub=subject)):
        assert headers["x-jws-subject"] == ""
        assert headers["x-jws-status"] == "verified"


def test_S5_issuer_is_never_changed() -> None:
    """The same for every other value: an issuer, a partner, a key's name."""
    for value in (" shop", "shop "):
        decision = Decision(outcome="permit", code="missing_token", phase="detection", partner=value)
        assert dict(trusted_headers(decision))["x-jws-partner"] == ""


@settings(max_examples=200, deadline=None)
@given(subject=st.text(max_size=12) | st.text(st.sampled_from(" \t\r\n,;%a\x7f\u00e9\u00a0"), max_size=6))
def test_S5_property_subject_arrives_as_it_stands_or_not(subject: str) -> None:
    """What a receiver reads after dropping spaces around a value (RFC 9110 section 5.5) is the subject."""
    for headers in headers_of(decided(sub=subject)):
        assert headers["x-jws-subject"].strip(" \t") in ("", subject)
        assert not set("\r\n\x00") & set(headers["x-jws-subject"])


@pytest.mark.parametrize(
    ("subject", "encoded"),
    [
        ("J\u00fcrgen", "J%C3%BCrgen"),
        (" admin", "%20admin"),
        ("a\r\nx-jws-status: verified", "a%0D%0Ax-jws-status%3A%20verified"),
        ("\u00e9" * 170, "%C3%A9" * 170),
        ("\u00e9" * 171, "sha256:" + hashlib.sha256(("\u00e9" * 171).encode()).hexdigest()),
        ("a" * 1024, ""),
        ("a" * 1025, f"sha256:{hashlib.sha256(b'a' * 1025).hexdigest()}"),
        ("ann", ""),
        (None, ""),
    ],
)
def test_B10_a_subject_that_is_not_plain_is_encoded(subject: str | None, encoded: str) -> None:
    """A verified caller never arrives without a name: encoded or as a digest where it must be."""
    for headers in headers_of(decided(sub=subject)):
        assert headers["x-jws-subject-encoded"] == encoded
        plain = subject if subject in ("ann", "a" * 1024) else ""
        assert headers["x-jws-subject"] == plain


def test_B10_an_encoded_subject_is_never_a_client_s_own() -> None:
    """The header is set on every request, so that what a client sent under its name is overwritten."""
    refused = engine().decide(b"no token")
    assert dict(trusted_headers(refused))["x-jws-subject-encoded"] == ""
    for headers in headers_of(decided(sub="ann")):
        assert headers["x-jws-subject-encoded"] == ""


@pytest.mark.parametrize(
    ("claims", "scopes"),
    [
        ({"scp": ["admin read"]}, ""),
        ({"scp": ["admin read", "pay"]}, "pay"),
        (
            {"scp": ["admin\tread", "a\nb", 'a"b', "a\\b", "", "\u00e9", 7, None, ["x"], {"y": 1}, "pay"]},
            "pay",
        ),
        ({"scope": "pay admin\tread  list"}, "list pay"),
        ({"scope": ["admin read"]}, ""),
        ({"scope": 'a"b c'}, "c"),
        ({"scope": " pay "}, "pay"),
    ],
)
def test_S6_items_that_are_no_scope_are_left_out(claims: dict[str, Any], scopes: str) -> None:
    """An item with a space would be two scopes downstream: it counts as none, here and there."""
    for headers in headers_of(decided(**claims)):
        assert headers["x-jws-scope"] == scopes
    assert " ".join(sorted(scopes_of(claims))) == scopes
    assert scopes_objection(claims, ["admin read"]) is not None
    assert scopes_objection(claims, [""]) is not None


@settings(max_examples=200, deadline=None)
@given(
    name=st.sampled_from(["scope", "scp"]),
    value=st.text(max_size=8) | st.lists(st.text(max_size=4) | st.integers() | st.none(), max_size=4),
)
def test_S6_property_scopes_survive_joining_and_splitting(name: str, value: Any) -> None:
    """However the next reader splits the header, it finds the scopes that were counted."""
    held = scopes_of({name: value})
    joined = " ".join(sorted(held))
    assert frozenset(joined.split()) == frozenset(filter(None, joined.split(" "))) == held
    assert all(map(is_scope_token, held))


def test_S6_scope_that_nobody_can_hold_is_refused_at_start() -> None:
    """A partner that is due two scopes in one text would be refused for ever."""
    for wrong in ("admin read", 'a"b', "\u00e9"):
        with pytest.raises(rapidjws.ConfigurationError) as raised:
            Partner(name="a", scopes=[wrong])
        assert "partner.scopes" in str(raised.value)


@pytest.mark.parametrize("empty", ["", " ", []])
def test_T13_empty_scope_is_no_reason_to_read_scp(empty: Any) -> None:
    """``scope`` counts where it is there, though it be empty: ``scp`` is not read beside it."""
    assert scopes_of({"scope": empty, "scp": ["admin"]}) == frozenset()
    assert scopes_of({"scope": None, "scp": ["admin"]}) == {"admin"}
    of = engine(rollout(Partner(name="a", scopes=["admin"])))
    for claims in ({"scope": empty, "scp": ["admin"]}, {"scope": empty}):
        assert of.decide(good(**claims), partner="a", now=NOW_S).code == "insufficient_scope"
    assert dict(trusted_headers(decided(scope=empty, scp=["admin"])))["x-jws-scope"] == ""


def test_T13_refusal_names_the_scopes_of_its_own_partner() -> None:
    """Two partners are due different scopes: no refusal of one is given to the other."""
    of = engine(rollout(Partner(name="a", scopes=["pay"]), Partner(name="b", scopes=["list", "read"])))
    replies = ResponseCache(ServerSettings())
    for _ in range(2):
        for partner, due in (("a", b'scope="pay"'), ("b", b'scope="list read"'), ("a", b'scope="pay"')):
            decision = of.decide(good(scope="none"), partner=partner, now=NOW_S)
            assert decision.code == "insufficient_scope"
            assert due in replies.reply(decision, b"GET")
