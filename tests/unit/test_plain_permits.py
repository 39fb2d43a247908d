"""Permits that are made by copying, and trusted headers that are kept as octets, against the plain way."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

import pytest
from rollouts import ISSUER, engine, forged, good

from rapidjws import JWKSet, Verifier
from rapidjws.jwt.decision import Decision, permit_maker, plain_decision
from rapidjws.middleware import Authenticator, trusted_headers
from rapidjws.middleware.response import trusted_octets
from rapidjws.verify.result import VerifiedJWS

SUBJECTS = ["user-1", "", None, "a\r\nX-Admin: 1", "\u00fc", " admin", "a" * 1025, "a" * 1024, "%", "\x7f"]
SCOPES = ["read write", "write read", "", None, "\u00fc", "a\nb", "x " * 600]


def fresh(**claims: Any) -> str:
    """Return a token that is good now; a claim of None is left out."""
    given = ISSUER.claims(int(time.time()), **claims)
    return ISSUER.token({name: value for name, value in given.items() if value is not None})


def octets(headers: list[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    """Return headers as ASGI has them."""
    return [(name.encode(), value.encode()) for name, value in headers]


@pytest.mark.parametrize("partner", [None, "", "acme", ("acme",), ("acme", "other"), ()])
@pytest.mark.parametrize("route", [None, "", "/a", ("/a",), ("/a", "/b")])
def test_a_permit_is_what_its_class_makes(partner: Any, route: Any) -> None:
    """A copied permit has the members, in type and value, of one that was made part by part."""
    verified = engine().verify(fresh())
    one, several = (names if not isinstance(names, tuple) else None for names in (partner, route))
    one = partner[0] if isinstance(partner, tuple) and len(partner) == 1 else one
    several = route[0] if isinstance(route, tuple) and len(route) == 1 else several
    made = plain_decision(verified, partner=partner, route=route)
    plain = Decision(outcome="permit", code="ok", partner=one, route=several, verified=verified)
    assert made == plain
    assert repr(made) == repr(plain)
    assert type(made) is Decision
    for field in dataclasses.fields(Decision):
        assert getattr(made, field.name) is getattr(plain, field.name)


def test_permits_do_not_share_what_differs() -> None:
    """The permit of one token stays that of this token when the next is made."""
    decides = engine()
    first, second = (decides.decide(fresh(sub=sub), route=f"/{sub}") for sub in ("one", "two"))
    assert first.verified is not None
    assert second.verified is not None
    assert (first.verified.claims["sub"], first.route) == ("one", "/one")
    assert (second.verified.claims["sub"], second.route) == ("two", "/two")
    with pytest.raises(dataclasses.FrozenInstanceError):
        first.route = "/other"  # type: ignore[misc]
    assert decides.decide(forged()).verified is None


def test_a_maker_without_copies_makes_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where objects are laid out otherwise, each permit is made and checked by its class."""
    parts = {"phase": "warn", "partner": "acme", "warnings": ("a",), "sunset_at_s": 9}
    verified = engine().verify(fresh())
    copied = permit_maker(**parts)(verified, "/a")
    monkeypatch.setattr("rapidjws.jwt.decision.copy_maker", lambda *_: None)
    assert permit_maker(**parts)(verified, "/a") == copied
    nothing: Any = None
    with pytest.raises(Exception, match="internal_error"):
        permit_maker(**parts)(nothing, "/a")


@pytest.mark.parametrize("subject", SUBJECTS, ids=range(len(SUBJECTS)))
@pytest.mark.parametrize("scope", SCOPES, ids=range(len(SCOPES)))
def test_octets_are_those_of_the_trusted_headers(subject: Any, scope: Any) -> None:
    """An ASGI application gets the same names and values as every other one, each name once."""
    decides = engine()
    token = fresh(sub=subject, scope=scope)
    for partner in (None, "acme", "\u00fc", "a\nb", " a"):
        decision = decides.decide(token, partner=partner)
        assert decision.outcome == "permit"
        assert trusted_octets(decision) == octets(trusted_headers(decision))


def test_octets_where_nothing_was_verified() -> None:
    """Without a verified token the headers say so, and a Verifier's permit names no claims."""
    assert good() != forged()
    for decision in (engine().decide(None, partner="acme"), engine().decide(forged())):
        assert trusted_octets(decision) == octets(trusted_headers(decision))
    signed = Verifier(JWKSet(ISSUER.jwks.keys), algorithms=["ES256"]).verify(fresh())
    assert isinstance(signed, VerifiedJWS)
    decision = plain_decision(signed, partner="acme", route=None)
    assert trusted_octets(decision) == octets(trusted_headers(decision))
    junk: Any = {"verified": None}
    with pytest.raises(Exception, match="Decision"):
        trusted_octets(junk)


def test_claims_in_headers_are_octets_too() -> None:
    """Headers of claims follow ours, on a permit and on a request that is let through without one."""
    mine: Authenticator[Any] = Authenticator(
        engine=engine(), claim_headers={"tid": "X-Tenant", "sub": {"header": "X-Sub", "encoding": "percent"}}
    )
    for token in (fresh(tid="one", sub="\u00fc"), fresh(tid="a\nb"), forged()):
        decision = engine().decide(token)
        assert mine.trusted_octets(decision) == octets(mine.trusted_headers(decision))
