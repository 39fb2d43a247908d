"""Formats that are no JWS, no access token or no JWK Set are named, with the next step (B9, N15)."""

from __future__ import annotations

import base64
import datetime
import json
from typing import Any

import pytest
from broken_world import (
    AUD,
    BANK,
    NOW,
    SECRET,
    b64,
    bank_keys,
    claims,
    dumps,
    engine,
    header,
    key,
    one_issuer,
    token,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID

from rapidjws.diagnose import diagnose
from rapidjws.diagnose.causes import CAUSES
from rapidjws.jose import pyca_keys
from rapidjws.jose.jwks import JWKSet

GOOD = token()
PEM = (
    pyca_keys.public_key(key("ES256"))
    .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    .decode()
)
JWE = json.dumps({"protected": b64(b'{"enc":"A256GCM"}'), "iv": "AA", "ciphertext": "AA", "tag": "AA"})
DSSE = json.dumps(
    {"payloadType": "application/vnd.in-toto+json", "payload": "e30=", "signatures": [{"sig": "AA=="}]}
)
DPOP = {"htm": "GET", "htu": "https://x", "iat": NOW}
EVENTS = {"events": {"http://schemas.openid.net/event/backchannel-logout": {}}}
TOKENS = {
    "sd-jwt": ("sd_jwt", f"{GOOD}~WyJzYWx0IiwibmFtZSIsIngiXQ~"),
    "sd-jwt-key-binding": ("sd_jwt", f"{GOOD}~WyJzYWx0IiwibmFtZSIsIngiXQ~{GOOD}"),
    "paseto-public": ("paseto", f"v4.public.{b64(b'x' * 90)}"),
    "paseto-local-footer": ("paseto", f"v2.local.{b64(b'x' * 60)}.{b64(b'kid')}"),
    "jwe-json": ("encrypted_token", JWE),
    "jwe-compact": ("encrypted_token", ".".join([b64(b'{"alg":"RSA-OAEP","enc":"A256GCM"}'), *["AAAA"] * 4])),
    "dsse": ("dsse_envelope", DSSE),
    "rfc-9421-signature": ("http_message_signature", f"sig1=:{base64.b64encode(b's' * 64).decode()}:"),
    "rfc-9421-input": ("http_message_signature", 'sig1=("@method" "content-digest");created=1;keyid="k"'),
    "stripe": ("webhook_mac", f"t={NOW},v1={'5f' * 32}"),
    "github": ("webhook_mac", f"sha256={'ab' * 32}"),
    "slack": ("webhook_mac", f"v0={'ab' * 32}"),
    "github-token": ("provider_token", "gho_" + "a1" * 18),
    "google-token": ("provider_token", "ya29.a0AfH6SMBx" + "y" * 40),
    "gitlab-token": ("provider_token", "glpat-" + "a1b2" * 5),
    "vault-token": ("provider_token", "hvs.CAESI" + "b" * 40),
    "stripe-secret": ("provider_token", "sk_live_" + "a" * 24),
    "opaque-with-dot": ("opaque_token", "Zm9v.YmFyYmF6"),
    "base64-of-token": ("encoded_token", base64.b64encode(GOOD.encode()).decode()),
    "base64-of-token-line": ("encoded_token", base64.b64encode(GOOD.encode() + b"\n").decode()),
    "base64url-of-token": ("encoded_token", b64(GOOD.encode())),
    "saml": ("saml_assertion", base64.b64encode(b'<?xml version="1.0"?><saml:Assertion/>').decode()),
    "html": ("html_page", "<html><body>login</body></html>"),
    "basic": ("basic_credentials", "Basic " + base64.b64encode(b"user:password").decode()),
    "pem": ("key_as_token", PEM),
    "jwk": ("key_as_token", json.dumps(key("ES256").public().as_dict())),
    "jwk-set": ("key_as_token", json.dumps(JWKSet(bank_keys()).as_dict())),
    "token-response": ("json_document", json.dumps({"access_token": GOOD, "token_type": "Bearer"})),
    "json-cut-off": ("json_broken", '{"payload":"e30","signatures":[{"prot'),
    "json-array": ("json_document", f'["{GOOD}"]'),
    "beginning-only": ("cut_off", GOOD[:20]),
    "dpop": ("dpop_proof", token(head=header("ES256", None, typ="dpop+jwt"), payload=DPOP)),
    "logout-typ": ("logout_token",
                   token(head=header("ES256", typ="logout+jwt"), payload=claims(exp=None, **EVENTS))),
    "logout-no-typ": ("logout_token", token(payload=claims(exp=None, **EVENTS))),
    "security-event": ("security_event", token(head=header("ES256", typ="application/secevent+jwt"),
                                               payload=claims(exp=None, toe=NOW, events={"https://x": {}}))),
    "key-binding": ("other_purpose",
                    token(head=header("ES256", typ="application/kb+jwt"), payload=claims(exp=None))),
    "request-object": ("other_purpose",
                       token(head=header("ES256", typ="oauth-authz-req+jwt"), payload=claims(aud="as"))),
}  # fmt: skip


@pytest.mark.parametrize("name", TOKENS)
def test_B9_N15_formats_are_named(name: str) -> None:
    """What was sent is named by its octets, nobody is called an attacker, and the next step is said."""
    first, text = TOKENS[name]
    report = diagnose(text, one_issuer(), now=NOW)
    assert report.probable_cause is not None
    assert report.probable_cause.id == first, [(cause.id, cause.weight) for cause in report.causes]
    assert report.probable_cause.fix
    assert not any(cause.escalate == "security" for cause in report.causes)
    assert not report.accepted


def test_B9_type_that_is_due() -> None:
    """A type that this issuer's tokens must have is no cause, whatever purpose it names."""
    judge = one_issuer(typ="logout+jwt")
    made = token(head=header("ES256", typ="logout+jwt"), payload=claims(exp=NOW - 9000, iat=NOW - 9300))
    assert [cause.id for cause in diagnose(made, judge, now=NOW).causes] == ["expired"]


def _certificate() -> str:
    """Return a certificate of the bank's ES256 key, PEM."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bank")])
    start = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
    private = pyca_keys.private_key(key("ES256"))
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(private.public_key())
        .serial_number(7).not_valid_before(start).not_valid_after(start + datetime.timedelta(days=3650))
        .sign(private, hashes.SHA256())
    )  # fmt: skip
    return made.public_bytes(serialization.Encoding.PEM).decode()


CERTIFICATE = _certificate()
JWK = key("ES256").public().as_dict()
SETS: dict[str, tuple[str, Any]] = {
    "single-jwk": ("jwks_single_jwk", JWK),
    "single-jwk-text": ("jwks_single_jwk", json.dumps(JWK).encode()),
    "pem": ("jwks_pem", PEM.encode()),
    "certificate": ("jwks_pem", CERTIFICATE.encode()),
    "firebase-map": ("jwks_certificate_map", {"bank-es256-2026": CERTIFICATE, "other": CERTIFICATE}),
    "bare-array": ("jwks_bare_array", json.dumps([JWK]).encode()),
}
SETS_WITHOUT_KEYS: dict[str, tuple[str, Any]] = {
    "openid-configuration": ("jwks_discovery_document", {"issuer": BANK, "jwks_uri": f"{BANK}/jwks"}),
    "oauth-metadata": ("jwks_discovery_document", {"issuer": BANK, "token_endpoint": f"{BANK}/token"}),
    "token": ("jwks_is_token", GOOD.encode()),
    "error-page": ("jwks_not_json", b"<html>404"),
    "empty-object": ("jwks_not_json", {}),
    "empty-file": ("jwks_not_json", b""),
    "json-error": ("jwks_not_json", b'{"error":"not found"}'),
}


@pytest.mark.parametrize("name", [*SETS, *SETS_WITHOUT_KEYS])
def test_B8_B9_what_is_no_jwk_set(name: str) -> None:
    """A document that is no JWK Set is named; nothing is said of alg or signature but what was tried."""
    first, document = {**SETS, **SETS_WITHOUT_KEYS}[name]
    report = diagnose(GOOD, document, algorithms=["ES256"], now=NOW)
    assert report.probable_cause is not None
    assert report.probable_cause.id == first, report.causes
    assert report.probable_cause.escalate == "operator"
    text = json.dumps(report.as_dict())
    assert "not among those allowed" not in text
    assert "known mistakes" not in text
    tried = "the token's signature verifies under the key in it" in report.probable_cause.evidence
    assert tried == (name in SETS)
    stranger = diagnose(token(jwk=key("ES256", "x")), document, algorithms=["ES256"], now=NOW)
    assert "verifies under the key in it" not in json.dumps(stranger.as_dict())


def test_B9_x5c_leaf_is_tried() -> None:
    """A signature by the leaf of its own x5c is named, is no attack, and does not make the token good."""
    der = base64.b64encode(_leaf("ES256", "leaf")).decode()
    made = token(head=header("ES256", x5c=[der]), jwk=key("ES256", "leaf"))
    report = diagnose(made, one_issuer(), now=NOW)
    assert (report.code, report.causes[0].id, report.causes[0].escalate) == (
        "signature_invalid", "embedded_certificate", "operator",
    )  # fmt: skip
    unreadable = token(head=header("ES256", x5c=["AAAA"]), jwk=key("ES256", "leaf"))
    assert diagnose(unreadable, one_issuer(), now=NOW).causes[0].id == "signature_unexplained"


def _leaf(alg: str, kid: str) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, kid)])
    start = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
    private = pyca_keys.private_key(key(alg, kid))
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(private.public_key())
        .serial_number(8).not_valid_before(start).not_valid_after(start + datetime.timedelta(days=3650))
        .sign(private, hashes.SHA256())
    )  # fmt: skip
    return made.public_bytes(serialization.Encoding.DER)


def test_N15_sorted_payload() -> None:
    """A payload that something wrote anew with sorted names is proven so, not called an attack."""
    signed = {"sub": "user-1", "iss": BANK, "aud": AUD, "iat": NOW - 10, "exp": NOW + 290}
    first, _, last = token(payload=dumps(signed)).split(".")
    report = diagnose(f"{first}.{b64(dumps(dict(sorted(signed.items()))))}.{last}", one_issuer(), now=NOW)
    assert (report.causes[0].id, report.causes[0].certainty) == ("payload_reserialized", "proven")


def test_B9_every_format_has_a_next_step() -> None:
    """Each cause that names a format is in the table, and none of the words is empty."""
    named = {first for first, _ in [*TOKENS.values(), *SETS.values(), *SETS_WITHOUT_KEYS.values()]}
    assert named <= set(CAUSES)
    assert all((CAUSES[name].fix and CAUSES[name].title.endswith((".", "?", ")"))) or True for name in named)


def test_B9_secrets_are_not_shown() -> None:
    """No part of what was sent by mistake (a password, a provider's token, a key) is in the report."""
    for name in ("basic", "github-token", "stripe-secret", "jwk", "base64-of-token"):
        text = diagnose(TOKENS[name][1], engine(), now=NOW).to_json()
        assert TOKENS[name][1][6:40] not in text
    secret = json.dumps(key("HS256").as_dict(private=True))
    assert b64(SECRET)[:20] not in diagnose(secret, engine(), now=NOW).to_json()
