"""Token introspection: opaque tokens, asyncio, signed answers, and how we authenticate."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from typing import Any

import pytest
from introspected import (
    ISSUER,
    OPAQUE,
    OTHER,
    Server,
    access,
    client_of,
    engine_of,
    opaque_engine,
)

from rapidjws import Engine, Issuer
from rapidjws.errors import ConfigurationError, DependencyUnavailable
from rapidjws.introspection import Introspection, IntrospectionClient, IntrospectionLimits
from rapidjws.sender import DPoP, SenderConstraints, SenderRequest
from rapidjws.signing import LocalSigner
from rapidjws.testing import FakeIssuer, make_key

# --- opaque tokens ------------------------------------------------------------------------------------


def test_an_opaque_token_has_the_claims_of_its_answer() -> None:
    """Subject, scopes and issuer are those of the answer; due scopes are compared (s.2.2 example)."""
    answer = {
        "active": True,
        "client_id": "l238j323ds-23ij4",
        "username": "jdoe",
        "scope": "read write dolphin",
        "sub": "Z5O3upPC88QrAjx00dis",
        "aud": "https://protected.example.net/resource",
        "iss": ISSUER.iss,
        "exp": 4_102_444_800,
        "iat": 1419350238,
        "extension_field": "twenty-seven",
    }
    server = Server(answer)
    engine = opaque_engine(server, audience="https://protected.example.net/resource")
    decision = engine.decide(OPAQUE, scopes=("write",))
    assert decision.code == "ok"
    verified = decision.verified
    assert verified is not None
    assert (verified.issuer, verified.claims["sub"]) == (ISSUER.iss, "Z5O3upPC88QrAjx00dis")
    assert json.loads(verified.payload)["extension_field"] == "twenty-seven"
    assert OPAQUE not in repr(decision) + repr(verified)
    assert engine.decide(OPAQUE, scopes=("admin",)).code == "insufficient_scope"
    assert engine.decide(access(OTHER)).code == "ok"


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ({"active": False, "sub": "u"}, "token_inactive"),
        ({"active": True, "iss": "https://third.example"}, "issuer_mismatch"),
        ({"active": True}, "audience_mismatch"),
        ({"active": True, "aud": "https://b.example"}, "audience_mismatch"),
        ({"active": True, "aud": ["https://a.example"], "nbf": 4_102_444_800}, "not_yet_valid"),
        ({"active": True, "aud": ["https://a.example"], "exp": 5}, "token_inactive"),
        ({"active": True, "aud": ["https://a.example"], "cnf": {"jkt": "x"}}, "binding_unchecked"),
        ({"active": True, "aud": ["https://a.example"]}, "ok"),
        ({"active": True, "aud": "https://a.example", "token_type": "Bearer"}, "ok"),
        ({"active": True, "aud": "https://a.example", "token_type": "refresh_token"}, "token_inactive"),
        ({"active": True, "aud": "https://a.example", "token_use": "refresh_token"}, "token_inactive"),
        ({"active": True, "aud": "https://a.example", "typ": "Refresh"}, "token_inactive"),
        ({"active": True, "aud": "https://a.example", "typ": "Offline"}, "token_inactive"),
        ({"active": True, "aud": "https://a.example", "typ": "ID"}, "token_inactive"),
    ],
)
def test_what_an_answer_says_is_compared(answer: dict[str, Any], code: str) -> None:
    """An active token of another issuer, audience or kind, for later, or bound to a key is not accepted."""
    assert opaque_engine(Server(answer), audience="https://a.example").decide(OPAQUE).code == code


@pytest.mark.parametrize("token", ["a.b.c", "x" * 2049, "a b", "caf\u00e9", "", "a.b.c.d", "\x00", "a\nb"])
def test_what_is_no_opaque_token_is_not_asked_for(token: str) -> None:
    """Other octets than RFC 6750's, and long ones, are refused here."""
    server = Server()
    assert opaque_engine(server).decide(token).outcome == "deny"
    assert server.count == 0


def test_an_opaque_token_is_refused_where_nobody_is_to_be_asked() -> None:
    """Without opaque_issuer an opaque token is malformed, as it was."""
    server = Server()
    assert engine_of(server).decide(OPAQUE).code == "malformed_token"
    assert server.count == 0


def test_revocations_hold_for_opaque_tokens_too() -> None:
    """A subject or an issuer that is revoked here is refused though the server's answer is remembered."""
    engine = opaque_engine(Server({"active": True, "sub": "user-1"}))
    assert engine.decide(OPAQUE).code == "ok"
    engine.revoke(issuer=ISSUER.iss, sub="user-1")
    assert engine.decide(OPAQUE).code == "revoked"
    engine = opaque_engine(Server({"active": True, "sub": "user-1"}))
    assert engine.decide(OPAQUE).code == "ok"
    engine.revoke(issuer=ISSUER.iss)
    assert engine.decide(OPAQUE).code == "revoked"


def test_an_opaque_token_bound_to_a_certificate_is_compared() -> None:
    """cnf of an answer is compared with who sent the token (RFC 8705 s.3.2)."""
    engine = opaque_engine(Server({"active": True, "cnf": {"jkt": "x" * 43}}))
    checks = SenderConstraints(dpop=DPoP(external_origins="https://api.example"))
    sender = checks.check(SenderRequest(OPAQUE.encode()))
    assert engine.decide(OPAQUE, sender=sender).code == "dpop_proof_missing"


# --- asyncio, batches, signed answers -----------------------------------------------------------------


def test_asyncio_and_batches_ask_too() -> None:
    """adecide and decide_many come to what decide does; several requests at once disturb no other."""
    server = Server({"active": False})
    engine = engine_of(server, opaque_issuer=ISSUER.iss)
    tokens = [access(), OPAQUE, access(OTHER), "a.b.c", None]

    async def all_of() -> list[str]:
        return [one.code for one in await asyncio.gather(*(engine.adecide(one) for one in tokens))]

    codes = ["token_inactive", "token_inactive", "ok", "malformed_base64url", "missing_token"]
    assert [one.code for one in engine.decide_many([(one, None, None) for one in tokens])] == codes
    assert asyncio.run(all_of()) == codes
    assert server.count == 2


def signed_engine(answer: Any, **header: Any) -> tuple[Engine, Server]:
    """Return an engine that takes signed answers alone, and its server, which signs what it is told."""
    issuer = Issuer.profile(
        "introspection_response", ISSUER.iss, keys=ISSUER.jwks, algorithms=["ES256"], audience="gw"
    )
    if isinstance(answer, dict):
        header = {"typ": "token-introspection+jwt", **header}
        answer = ISSUER.token(answer, header=header).encode()
    server = Server(answer)
    return opaque_engine(server, client={"answers": Engine(issuer, workers=1)}), server


def signed_claims(**changes: Any) -> dict[str, Any]:
    """Return the claims of a signed answer (RFC 9701 s.5)."""
    made = {"iss": ISSUER.iss, "aud": "gw", "iat": int(time.time()),
            "token_introspection": {"active": True, "sub": "Z5O3upPC88QrAjx00dis"}}  # fmt: skip
    return {name: value for name, value in {**made, **changes}.items() if value is not None}


def test_a_signed_answer_counts_as_a_plain_one() -> None:
    """The object token_introspection of a verified answer is what is answer; we ask for that form."""
    engine, server = signed_engine(signed_claims())
    decision = engine.decide(OPAQUE)
    assert decision.code == "ok"
    assert decision.verified is not None
    assert decision.verified.claims["sub"] == "Z5O3upPC88QrAjx00dis"
    assert server.requests[0][1]["accept"] == "application/token-introspection+jwt"
    assert (
        signed_engine(signed_claims(token_introspection={"active": False}))[0].decide(OPAQUE).code
        == "token_inactive"
    )


@pytest.mark.parametrize(
    ("answer", "header"),
    [
        ({"active": True}, {}),
        (b'{"active": true}', {}),
        (signed_claims(aud="another"), {}),
        (signed_claims(iss=OTHER.iss), {}),
        (signed_claims(iat=None), {}),
        (signed_claims(iat=int(time.time()) - 3600), {}),
        (signed_claims(token_introspection=None), {}),
        (signed_claims(token_introspection="x"), {}),
        (signed_claims(token_introspection={"active": 1}), {}),
        (signed_claims(), {"typ": "JWT"}),
        (signed_claims(), {"typ": "at+jwt"}),
        (OTHER.token(signed_claims(), header={"typ": "token-introspection+jwt"}).encode(), {}),
    ],
    ids=[f"answer-{at}" for at in range(12)],
)
def test_an_answer_that_is_not_signed_for_us_says_nothing(answer: Any, header: dict[str, Any]) -> None:
    """Plain JSON, another audience, key, issuer or type: indeterminate (RFC 9701 s.5, s.8)."""
    assert signed_engine(answer, **header)[0].decide(OPAQUE).code == "introspection_unavailable"


def test_a_signed_answer_is_no_access_token() -> None:
    """Its type tells it from a token: it is refused as one (RFC 8725 s.3.11)."""
    issuer = Issuer.profile("access_token", ISSUER.iss, keys=ISSUER.jwks, algorithms=["ES256"], audience="gw")
    token = ISSUER.token(signed_claims(), header={"typ": "token-introspection+jwt"})
    assert Engine(issuer, workers=1).decide(token).code == "typ_mismatch"


# --- who we are ---------------------------------------------------------------------------------------


def test_each_way_to_authenticate() -> None:
    """Basic is form-encoded first (RFC 6749 s.2.3.1), post stands in the form, bearer in the header."""
    sent = Server()
    client_of(sent, client_id="a:b", client_secret="c d").ask("t")
    client_of(sent, auth="post").ask("t")
    client_of(sent, auth="bearer", client_id="").ask("t")
    basic, post, bearer = sent.requests
    assert base64.b64decode(basic[1]["authorization"].removeprefix("Basic ")) == b"a%3Ab:c+d"
    assert (post[2]["client_id"], post[2]["client_secret"]) == (["gw"], ["s3cret"])
    assert "authorization" not in post[1]
    assert bearer[1]["authorization"] == "Bearer s3cret"


def test_an_assertion_is_signed_for_the_server_and_new_each_time() -> None:
    """private_key_jwt (RFC 7523): iss and sub are ours, aud the server's, a jti of its own."""
    key, sent = make_key("ES256"), Server()
    client = client_of(sent, client_secret=None, auth="private_key_jwt", signer=LocalSigner(key, "ES256"),
                       assertion_audience=ISSUER.iss)  # fmt: skip
    client.ask("t")
    client.ask("t")
    rules = Issuer("gw", keys=[key.public()], algorithms=["ES256"], audience=ISSUER.iss)
    found = [Engine(rules).verify(form["client_assertion"][0]).claims for _, _, form in sent.requests]
    assert {one["sub"] for one in found} == {"gw"}
    assert len({one["jti"] for one in found}) == 2


def test_a_secret_is_read_again_from_its_file(tmp_path: Any) -> None:
    """A secret that was renewed is used; one that cannot be read leaves a token undecided."""
    path, sent = tmp_path / "secret", Server()
    path.write_text("first\n")
    path.chmod(0o600)
    client = client_of(sent, client_secret=None, client_secret_file=str(path), auth="bearer")
    client.ask("t")
    path.write_text("second")
    client.ask("t")
    assert [headers["authorization"] for _, headers, _ in sent.requests] == ["Bearer first", "Bearer second"]
    path.unlink()
    with pytest.raises(DependencyUnavailable):
        client.ask("t")
    assert "second" not in repr(client)


@pytest.mark.parametrize(
    ("place", "settings"),
    [
        ("client_id", {"client_id": ""}),
        ("client_secret_file", {"client_secret": None}),
        ("client_secret_file", {"client_secret": ""}),
        ("client_secret_file", {"client_secret": "a\nb"}),
        ("client_secret_file", {"client_secret": None, "client_secret_file": "/nowhere/at/all"}),
        ("auth", {"auth": "none"}),
        ("client_key_file", {"auth": "private_key_jwt"}),
        (
            "answers",
            {"answers": Engine(Issuer(ISSUER.iss, keys=ISSUER.jwks, algorithms=["ES256"], audience="gw"))},
        ),
    ],
)
def test_a_client_is_checked_at_construction(place: str, settings: dict[str, Any]) -> None:
    """Each slip names the setting."""
    with pytest.raises(ConfigurationError) as caught:
        client_of(Server(), **settings)
    assert caught.value.place == place


@pytest.mark.parametrize(
    "url", ["http://as.example/i", "as.example", "https://u:p@as.example/i", "https://as.example/#f"]
)
def test_the_endpoint_is_one_over_https(url: str) -> None:
    """Plain http, credentials and fragments are refused at construction."""
    with pytest.raises(ConfigurationError):
        IntrospectionClient(url, client_id="gw", client_secret="s")


@pytest.mark.parametrize(
    ("place", "settings"),
    [
        ("issuers", {"issuers": ()}),
        ("routes", {"issuers": (), "opaque_issuer": "https://as.example", "routes": "/x"}),
        ("routes", {"routes": "x"}),
        ("audience", {"audience": "x"}),
        ("opaque_issuer", {"opaque_issuer": ""}),
        ("on_failure", {"on_failure": "accept"}),
        ("leeway_s", {"leeway_s": 301}),
    ],
)
def test_what_is_asked_is_checked_at_construction(place: str, settings: dict[str, Any]) -> None:
    """Nothing to ask about, or a setting that nothing reads, is an error with its name."""
    with pytest.raises(ConfigurationError) as caught:
        Introspection(client_of(Server()), **{"issuers": ISSUER.iss, **settings})
    assert caught.value.place == place


@pytest.mark.parametrize(
    "settings",
    [{"cache_s": -1}, {"cache_s": 3601}, {"negative_cache_s": -1}, {"max_entries": 0},
     {"lookups_per_minute": 0},
     {"max_concurrent": 0}, {"max_concurrent": 257}, {"max_waiting": 0}, {"breaker_failures": 0},
     {"breaker_s": 0}, {"breaker_s": 301}],
)  # fmt: skip
def test_limits_are_bounded(settings: dict[str, Any]) -> None:
    """Each limit has bounds."""
    with pytest.raises(ConfigurationError) as caught:
        IntrospectionLimits(**settings)
    assert caught.value.place == next(iter(settings))


RFC9701_ANSWER: dict[str, Any] = {
    "iss": "https://as.example.com/",
    "aud": "https://rs.example.com/resource",
    "iat": 1514797892,
    "token_introspection": {
        "active": True,
        "iss": "https://as.example.com/",
        "aud": "https://rs.example.com/resource",
        "iat": 1514797822,
        "exp": 1514797942,
        "client_id": "paiB2goo0a",
        "scope": "read write dolphin",
        "sub": "Z5O3upPC88QrAjx00dis",
        "birthdate": "1982-02-01",
        "given_name": "John",
        "family_name": "Doe",
        "jti": "t1FoCCaZd4Xv4ORJUWVUeTZfsKhW30CQCrWDDjwXy6w",
    },
}
"""The claims of the answer in RFC 9701 section 5; the RFC does not publish the key that signed it."""


def test_the_answer_of_rfc_9701_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """At its time it permits, with the claims of the inner object; after the token's exp it does not."""
    server_of = FakeIssuer("https://as.example.com/", "RS256", audience="https://rs.example.com/resource")
    signed = server_of.token(RFC9701_ANSWER, header={"typ": "token-introspection+jwt"})
    answers = Engine(
        Issuer.profile(
            "introspection_response",
            server_of.iss,
            keys=server_of.jwks,
            algorithms=["RS256"],
            audience="https://rs.example.com/resource",
        ),
        workers=1,
    )
    monkeypatch.setattr("rapidjws.introspection.client.time", lambda: 1514797893.0)
    server = Server(signed.encode())
    engine = opaque_engine(
        server,
        opaque_issuer=server_of.iss,
        audience="https://rs.example.com/resource",
        client={"answers": answers, "client_id": "https://rs.example.com/resource"},
    )
    decision = engine.decide("2YotnFZFEjr1zCsicMWpAA", scopes=("dolphin",), now=1514797893)
    assert decision.code == "ok"
    assert decision.verified is not None
    assert decision.verified.claims["jti"] == "t1FoCCaZd4Xv4ORJUWVUeTZfsKhW30CQCrWDDjwXy6w"
    assert engine.decide("2YotnFZFEjr1zCsicMWpAA", now=1514797942).code == "token_inactive"
    monkeypatch.setattr("rapidjws.introspection.client.time", lambda: 1514797892.0 + 301)
    other = opaque_engine(Server(signed.encode()), opaque_issuer=server_of.iss, client={"answers": answers})
    assert other.decide("2YotnFZFEjr1zCsicMWpAA", now=1514797893).code == "introspection_unavailable"
