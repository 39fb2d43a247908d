"""Gallery, part three: what people report in public, made here from the bank's own keys."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from broken_world import (
    AUD,
    BANK,
    KINDS,
    NOW,
    b64,
    bank_keys,
    claims,
    der,
    dumps,
    engine,
    header,
    key,
    one_issuer,
    sign,
    signature_of,
    token,
    with_signature,
)
from gallery_shape import Row

from rapidjws.jose.jwks import JWKSet
from rapidjws.jws.verifier import Verifier
from rapidjws.jwt.engine import Engine
from rapidjws.jwt.issuer import Issuer
from rapidjws.testing import make_key

BODY = b'{"id":1,"amount":"10.00"}'


def _graph() -> str:
    """Return a token whose header's nonce was hashed before signing."""
    nonce = "AQABAAAAAABnfiG"
    digest = b64(hashlib.sha256(nonce.encode()).digest())
    sent, signed = header("ES256", nonce=nonce), header("ES256", nonce=digest)
    payload = b64(dumps(claims()))
    signature = sign("ES256", f"{b64(dumps(signed))}.{payload}".encode())
    return f"{b64(dumps(sent))}.{payload}.{b64(signature)}"


def _two(members: dict[str, Any]) -> tuple[str, Engine]:
    """Return a token without kid, and an engine with two keys that serve it."""
    other = make_key("ES256", kid="other")
    keys = JWKSet((key("ES256").public(), other.public()))
    made = token(head={**header("ES256", None), **members})
    return made, Engine(Issuer(BANK, keys=keys, algorithms=["ES256"], audience=AUD))


def _detached(head: bytes, octets: bytes) -> str:
    return f"{b64(head)}..{b64(sign('ES256', b64(head).encode() + b'.' + octets))}"


def rows() -> list[Row]:
    """Return every row of this part."""
    verifier = Verifier(JWKSet(bank_keys()), algorithms=KINDS, crit=["b64"])
    plain, raw = dumps(header("ES256")), dumps(header("ES256", b64=False, crit=["b64"]))
    by_x5t, two = _two({"x5t": "bank-es256-2026"})
    untyped = dumps({name: value for name, value in header("ES256").items() if name != "typ"})
    mistyped = dumps(header("ES256")).replace(b"ES256", b"ES266", 1)
    first, second, last = token().split(".")
    found: list[Row] = [
        ("graph-nonce", "header_nonce_hashed", _graph(), {}),
        ("x5t-alone", "key_named_by_x5t", by_x5t, {"using": two}),
        ("keycloak-other-host", "issuer_of_own_key", token(payload=claims(iss="http://kc:8080/realms/x")),
         {"using": one_issuer()}),
        ("sub-number", "claim_type", token(payload=claims(sub=42)), {}),
        ("jti-number", "claim_type", token(payload=claims(jti=42)), {}),
        ("detached-no-body", "detached_without_body", _detached(plain, b64(BODY).encode()),
         {"using": verifier}),
        ("detached-no-body-engine", "detached_without_body", _detached(plain, b64(BODY).encode()),
         {"using": one_issuer()}),
        ("raw-der", "signature_der",
         with_signature(_detached(raw, BODY), der(signature_of(_detached(raw, BODY)))),
         {"using": verifier, "body": BODY}),
        ("raw-newline", "payload_newline", _detached(raw, BODY), {"using": verifier, "body": BODY + b"\n"}),
        ("raw-spaced", "payload_reserialized", _detached(raw, BODY),
         {"using": verifier, "body": json.dumps(json.loads(BODY)).encode()}),
        ("raw-without-b64", "signed_raw_payload", _detached(plain, BODY), {"using": verifier, "body": BODY}),
        ("encoded-under-b64-false", "signed_encoded_payload", _detached(raw, b64(BODY).encode()),
         {"using": verifier, "body": BODY}),
        ("body-digest", "body_digest_differs",
         token(payload={"iat": NOW, "request_body_sha256": hashlib.sha256(BODY).hexdigest()}),
         {"using": verifier, "body": BODY + b"\n"}),
        ("header-mistyped", "header_altered", f"{b64(mistyped)}.{second}.{last}", {}),
        ("kid-mistyped", "header_altered",
         f"{b64(plain.replace(b'2026', b'2027'))}.{second}.{last}", {"using": engine()}),
        ("header-lost-its-typ", "header_altered", f"{b64(untyped)}.{second}.{last}", {}),
    ]  # fmt: skip
    assert first == b64(plain)
    return [
        (name, cause, made, {"using": engine(), "now": float(NOW), **more})
        for name, cause, made, more in found
    ]


__all__ = ["rows"]
