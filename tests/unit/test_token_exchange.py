"""Token exchange (RFC 8693), client certificates by a gateway's header, and the ASGI application."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from issuing_world import pair
from token_world import (
    FORM,
    ISS,
    ORDERS,
    OTHER,
    SECRET,
    START_S,
    STOCK,
    World,
    basic,
    error_of,
)

from rapidjws import Engine, Issuer, JWKSet, RapidJWSError
from rapidjws.issuing import GatewayCertificate, PublicationApp, TokenClient
from rapidjws.signing import JWTBuilder, LocalSigner
from rapidjws.stores import RevocationFile
from rapidjws.verify.revocations import Revocation

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS = "urn:ietf:params:oauth:token-type:access_token"
JWT = "urn:ietf:params:oauth:token-type:jwt"
FOREIGN = "https://original-issuer.example.net"
FOREIGN_KEY = pair("ES256", 910)
BACKEND = "https://backend.example.com"
COOPERATION = "urn:example:cooperation-context"


def exchanger(**settings: Any) -> TokenClient:
    """Return a client that exchanges, with a secret, so that tests are short."""
    return TokenClient(
        **{
            "client_id": "gateway",
            "audiences": [STOCK, BACKEND, COOPERATION],
            "scopes": ["read", "write", "api", "status", "feed"],
            "authentication": "client_secret_basic",
            "secret": SECRET,
            "grants": [EXCHANGE],
            "subject_issuers": [ISS, FOREIGN],
            "subject_audiences": [ORDERS],
        }
        | settings
    )


def exchange_world(**client: Any) -> World:
    """Return a service with that client, which trusts a foreign issuer as well."""
    subjects = Engine(
        Issuer(FOREIGN, keys=JWKSet([FOREIGN_KEY.public()]), algorithms=["ES256"], audience=[ISS, ORDERS])
    )
    return World(exchanger(**client), subjects=subjects)


def foreign(**claims: Any) -> str:
    """Return a token of the foreign issuer."""
    whole = {"sub": "bdc@example.net", "aud": ISS, "iat": int(START_S), "exp": int(START_S) + 6000} | claims
    return JWTBuilder(LocalSigner(FOREIGN_KEY, "ES256"), iss=FOREIGN).sign(whole)


def own(world: World, **claims: Any) -> str:
    """Return a token of the issuer itself, for the client a, as the orders service received it."""
    made = JWTBuilder(world.active.signer(), iss=ISS, clock=world.clock.time, typ="at+jwt")
    return made.sign({"sub": "a", "client_id": "a", "aud": ORDERS, "scope": "read"} | claims)


def exchanged(world: World, subject: str, **form: Any) -> Any:
    """Exchange a subject token."""
    whole = {
        "grant_type": EXCHANGE,
        "subject_token": subject,
        "subject_token_type": ACCESS,
        "audience": STOCK,
    } | form
    return world.ask({name: value for name, value in whole.items() if value is not None}, basic("gateway"))


def test_rfc_8693_appendix_a_1() -> None:
    """Impersonation: the new token holds the subject and no actor, and the scope that the policy gives."""
    world = exchange_world(may_impersonate=True, exchange_scopes=["api"])
    answered = exchanged(
        world,
        foreign(scope="orders profile history"),
        subject_token_type=JWT,
        requested_token_type=JWT,
        audience=None,
        resource=BACKEND,
    )
    assert json.loads(answered.body)["issued_token_type"] == JWT
    claims = world.verified(answered, BACKEND)
    assert (claims["sub"], claims["scope"], claims["aud"]) == ("bdc@example.net", "api", BACKEND)
    assert "act" not in claims


def test_rfc_8693_appendix_a_2() -> None:
    """Delegation: may_act of the subject token names the actor, who stands in act."""
    world = exchange_world()
    subject = foreign(scope="status feed", may_act={"sub": "admin@example.net"})
    answered = exchanged(
        world,
        subject,
        subject_token_type=JWT,
        audience=COOPERATION,
        actor_token=foreign(sub="admin@example.net"),
        actor_token_type=JWT,
    )
    claims = world.verified(answered, COOPERATION)
    assert (claims["sub"], claims["act"]) == ("bdc@example.net", {"sub": "admin@example.net"})
    assert claims["scope"] == "status feed"


def test_rfc_8693_section_4_1_chains() -> None:
    """A service that exchanges a token with an act puts itself before the prior actor."""
    world = exchange_world()
    claims = world.verified(exchanged(world, own(world, act={"sub": "service77"})), STOCK)
    assert (claims["sub"], claims["act"]) == ("a", {"sub": "gateway", "act": {"sub": "service77"}})
    assert claims["client_id"] == "gateway"


def test_the_client_acts_where_it_may_not_impersonate() -> None:
    """Without an actor token the client itself stands in act, with our iss where the subject is foreign."""
    world = exchange_world()
    assert world.verified(exchanged(world, own(world)), STOCK)["act"] == {"sub": "gateway"}
    claims = world.verified(exchanged(world, foreign(scope="read")), STOCK)
    assert claims["act"] == {"sub": "gateway", "iss": ISS}


def test_a_token_lives_no_longer_than_what_it_was_made_of() -> None:
    """The end of the subject token and of the actor token bound the new one."""
    world = exchange_world()
    now = int(world.clock.time())
    assert json.loads(exchanged(world, own(world, exp=now + 50)).body)["expires_in"] == 50
    subject = own(world, may_act={"sub": "b"}, exp=now + 80)
    answered = exchanged(
        world, subject, actor_token=own(world, sub="b", exp=now + 40), actor_token_type=ACCESS
    )
    assert json.loads(answered.body)["expires_in"] == 40


@pytest.mark.parametrize(
    ("claims", "form", "error"),
    [
        ({"aud": "https://elsewhere.example"}, {}, "invalid_grant"),
        ({"aud": ISS, "cnf": {"jkt": "x"}}, {}, "invalid_grant"),
        ({"exp": 1}, {}, "invalid_grant"),
        ({"exp": None}, {}, "invalid_grant"),
        ({"sub": None}, {}, "invalid_grant"),
        ({"sub": 7}, {}, "invalid_grant"),
        ({"iss": FOREIGN}, {}, "invalid_grant"),
        ({"iss": "https://nobody.example"}, {}, "invalid_grant"),
        ({"act": "b"}, {}, "invalid_grant"),
        ({"act": {"iss": ISS}}, {}, "invalid_grant"),
        ({"act": {"sub": "b", "roles": ["admin"]}}, {}, "invalid_grant"),
        ({"act": {"sub": "1", "act": {"sub": "2", "act": {"sub": "3", "act": {"sub": "4"}}}}}, {},
         "invalid_grant"),
        ({"may_act": {"sub": "b"}}, {}, "invalid_grant"),
        ({"may_act": {"sub": "gateway", "iss": FOREIGN}}, {}, "invalid_grant"),
        ({"may_act": {"sub": "gateway", "group": "x"}}, {}, "invalid_grant"),
        ({"may_act": "gateway"}, {}, "invalid_grant"),
        ({"events": {"http://schemas.openid.net/event/backchannel-logout": {}}}, {}, "invalid_grant"),
        ({}, {"scope": "write"}, "invalid_scope"),
        ({"scope": None}, {"scope": "read"}, "invalid_scope"),
        ({}, {"audience": ORDERS}, "invalid_target"),
        ({}, {"subject_token_type": "urn:ietf:params:oauth:token-type:saml2"}, "invalid_request"),
        ({}, {"subject_token_type": None}, "invalid_request"),
        ({}, {"subject_token": None}, "invalid_request"),
        ({}, {"requested_token_type": "urn:ietf:params:oauth:token-type:refresh_token"}, "invalid_request"),
        ({}, {"actor_token": "x"}, "invalid_request"),
        ({}, {"actor_token_type": ACCESS}, "invalid_request"),
        ({}, {"actor_token": "x", "actor_token_type": ACCESS}, "invalid_grant"),
    ],
    ids=str,
)  # fmt: skip
def test_what_may_not_be_exchanged_is_refused(
    claims: dict[str, Any], form: dict[str, Any], error: str
) -> None:
    """Tokens for others, forged chains, actors that may not act, and wider scopes give no token."""
    world = exchange_world()
    assert exchanged(world, own(world)).status == 200
    records = len(world.records)
    answered = exchanged(world, own(world, **claims), **form)
    assert error_of(answered) == (400, error)
    assert len(world.records) == records


def test_an_actor_needs_the_word_of_the_subject() -> None:
    """An actor token counts where may_act of the subject token names its sub and its issuer."""
    world = exchange_world()
    actor = {"actor_token": own(world, sub="b"), "actor_token_type": ACCESS}
    assert error_of(exchanged(world, own(world), **actor)) == (400, "invalid_grant")
    assert exchanged(world, own(world, may_act={"sub": "b"}), **actor).status == 200
    same_name = {"actor_token": foreign(sub="b"), "actor_token_type": JWT}
    answered = exchanged(world, own(world, may_act={"sub": "b"}), **same_name)
    assert error_of(answered) == (400, "invalid_grant")
    for_another = {"actor_token": own(world, sub="b", aud=STOCK), "actor_token_type": ACCESS}
    answered = exchanged(world, own(world, may_act={"sub": "b"}), **for_another)
    assert error_of(answered) == (400, "invalid_grant")


def test_a_forged_subject_token_is_refused() -> None:
    """A token by another key, of a tainted one, or of an issuer that the client may not exchange from."""
    world = exchange_world()
    forged = JWTBuilder(LocalSigner(OTHER, "ES256"), iss=ISS).sign({"sub": "a", "aud": ORDERS})
    assert error_of(exchanged(world, forged)) == (400, "invalid_grant")
    token = own(world)
    world.keys.taint("es256-0", "leaked", unready=True)
    assert error_of(exchanged(world, token)) == (400, "invalid_grant")
    narrow = exchange_world(subject_issuers=[ISS])
    assert error_of(exchanged(narrow, foreign())) == (400, "invalid_grant")


@pytest.mark.parametrize(
    "revocation",
    [
        Revocation(issuer=ISS, jti="stolen"),
        Revocation(issuer=ISS, sub="a"),
        Revocation(issuer=ISS, kid="es256-0"),
        Revocation(issuer=ISS, issued_before=int(START_S) + 100_000),
    ],
    ids=["jti", "sub", "kid", "issued_before"],
)
def test_a_revoked_token_is_not_exchanged(revocation: Revocation, tmp_path: Path) -> None:
    """What the issuer's store of revocations names gets no new token, from the next request on."""
    store = RevocationFile(tmp_path / "revocations.json")
    world = World(exchanger(), revocations=store)
    token = own(world, jti="stolen", sid="s")
    assert exchanged(world, token).status == 200
    store.add(revocation)
    assert error_of(exchanged(world, token)) == (400, "invalid_grant")
    store.remove(revocation)
    assert exchanged(world, token).status == 200


def test_a_revoked_token_stays_so_when_keys_change(tmp_path: Path) -> None:
    """A rotation gives the engine other keys and keeps what is revoked; a list that is lost is 503."""
    store = RevocationFile(tmp_path / "revocations.json")
    store.add(Revocation(issuer=ISS, jti="stolen"))
    world = World(exchanger(), revocations=store)
    token = own(world, jti="stolen")
    assert error_of(exchanged(world, token)) == (400, "invalid_grant")
    world.clock.advance(1)
    world.keys.tick()
    world.keys.taint(world.keys.state().in_stage("next")[0].kid, "drill")
    assert error_of(exchanged(world, token)) == (400, "invalid_grant")
    assert exchanged(world, own(world)).status == 200
    (tmp_path / "broken.json").write_text("{")
    broken = World(exchanger(), revocations=RevocationFile(tmp_path / "broken.json"))
    assert error_of(exchanged(broken, own(broken))) == (503, "temporarily_unavailable")


# --- certificates ----------------------------------------------------------------------------------------


@cache
def certificate() -> bytes:
    """Return a certificate with a SPIFFE ID, in DER."""
    import datetime

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "orders")])
    begin = datetime.datetime(2026, 1, 1)
    uri = x509.UniformResourceIdentifier("spiffe://example.org/orders")
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, begin, begin.replace(year=2036))
        .add_extension(x509.SubjectAlternativeName([uri]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.DER)


def digest() -> bytes:
    """Return its thumbprint."""
    return hashlib.sha256(certificate()).digest()


def thumbprint() -> str:
    """Return its thumbprint as text."""
    return base64.urlsafe_b64encode(digest()).rstrip(b"=").decode()


def value_of(form: str) -> str:
    """Return the header's value."""
    text = base64.b64encode(certificate()).decode()
    if form == "rfc9440":
        return f":{text}:"
    if form == "pem":
        return quote(f"-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
    return f'By=spiffe://x/gw;Hash={digest().hex()};Subject="CN=a\\"b,O=\\"c;d\\"";URI=spiffe://example.org/orders'


def certified_world(form: str, **client: Any) -> World:
    """Return a service with a client that has the certificate."""
    given = {"client_id": "mesh", "audiences": [STOCK], "authentication": "tls_client_auth"}
    given |= client or {"certificates": [thumbprint()]}
    gateway = GatewayCertificate(header="Client-Cert", form=form, gateways=["10.0.0.0/8", "unix"])
    return World(TokenClient(**given), mtls=gateway)


MESH = {"grant_type": "client_credentials", "client_id": "mesh"}


@pytest.mark.parametrize("form", ["rfc9440", "pem", "xfcc"])
def test_a_certificate_of_a_gateway_is_the_clients(form: str) -> None:
    """By thumbprint or URI, from a trusted gateway only; the token is bound to the certificate."""
    header = ("client-cert", value_of(form))
    for client in ({}, {"uris": ["spiffe://example.org/orders"]}):
        world = certified_world(form, **client)
        claims = world.verified(world.ask(MESH, header, peer="10.1.2.3"), STOCK)
        assert claims["cnf"] == {"x5t#S256": thumbprint()}
        assert world.ask(MESH, header, peer="::ffff:10.1.2.3").status == 200
        assert world.ask(MESH, header, peer="unix").status == 200
    for peer in ("192.0.2.1", None, "", "gateway", "::ffff:192.0.2.1"):
        assert error_of(world.ask(MESH, header, peer=peer)) == (401, "invalid_client")
    assert error_of(world.ask(MESH, header, header, peer="10.1.2.3")) == (401, "invalid_client")
    assert error_of(world.ask(MESH, peer="10.1.2.3")) == (401, "invalid_client")
    assert error_of(world.ask({**MESH, "client_id": "a"}, header, peer="unix")) == (401, "invalid_client")
    for other in ({"certificates": ["A" * 43]}, {"uris": ["spiffe://example.org/other"]}):
        world = certified_world(form, **other)
        assert error_of(world.ask(MESH, header, peer="unix")) == (401, "invalid_client")


@pytest.mark.parametrize("form", ["rfc9440", "pem", "xfcc"])
def test_a_header_that_cannot_be_read_is_no_certificate(form: str) -> None:
    """Garbage, a cut value, or the list of several proxies is refused, and nothing raised."""
    world = certified_world(form)
    good = value_of(form)
    for value in ("", ":", "::", ":!:", good[3:], good + "," + good, "x" * 40_000, "Hash=12", "é", ":AAAA:"):
        answered = world.ask(MESH, ("client-cert", value), peer="unix")
        assert error_of(answered) == (401, "invalid_client"), value[:20]


@pytest.mark.parametrize(
    "wrong",
    [
        {"header": "a b"},
        {"form": "der"},
        {"gateways": []},
        {"gateways": ["everyone"]},
        {"gateways": ["10.1.0.1/8"]},
    ],
    ids=str,
)
def test_a_wrong_gateway_is_an_error_at_construction(wrong: dict[str, Any]) -> None:
    """No header counts from anywhere: gateways must be named."""
    with pytest.raises(RapidJWSError):
        GatewayCertificate(**({"header": "client-cert", "form": "rfc9440", "gateways": ["unix"]} | wrong))


# --- ASGI ------------------------------------------------------------------------------------------------


def post(app: PublicationApp, path: str, pieces: list[bytes], **scope: Any) -> tuple[int, dict[str, Any]]:
    """Post to an application, and return status and body."""
    sent: list[dict[str, Any]] = []
    waiting = [{"type": "http.request", "body": one, "more_body": True} for one in pieces]
    waiting[-1]["more_body"] = False

    async def receive() -> Any:
        return waiting.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [tuple(part.encode() for part in one) for one in (FORM, basic())]
    whole = {"type": "http", "method": "POST", "path": path, "headers": headers, "client": ("192.0.2.1", 1)}
    asyncio.run(app(whole | scope, receive, send))
    return sent[0]["status"], json.loads(sent[1]["body"])


def test_the_application_answers_the_token_endpoint() -> None:
    """The path of the endpoint gets its form, in pieces; all other paths are those of the publication."""
    world = World()
    app = PublicationApp(world.publication, world.service)
    form = urlencode({"grant_type": "client_credentials"}).encode()
    status, body = post(app, "/token", [form[:5], form[5:]])
    assert (status, body["token_type"]) == (200, "Bearer")
    assert post(app, "/token", [b"a=" + b"b" * 50_000, b"c" * 50_000])[0] == 413
    assert post(app, "/other", [form])[0] == 404
    assert post(PublicationApp(world.publication), "/token", [form])[0] == 404
