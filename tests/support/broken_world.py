"""A small world for diagnosis: two issuers, an engine, and signers that make real mistakes."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from functools import cache
from typing import Any

from rapidjws.jose import pyca_keys
from rapidjws.jose.jwk import JWK
from rapidjws.jose.jwks import JWKSet
from rapidjws.jwt.engine import Engine
from rapidjws.jwt.issuer import Issuer
from rapidjws.signing import LocalSigner
from rapidjws.testing import make_key

NOW = 1_800_000_000
BANK = "https://bank.example"
SHOP = "https://shop.example"
AUD = "https://api.example"
SECRET = b"correct horse battery staple, and then some more of it"


def b64(data: bytes) -> str:
    """Encode as base64url."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def dumps(value: Any) -> bytes:
    """Write JSON as most signers do."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def claims(**changes: Any) -> dict[str, Any]:
    """Return good claims of the bank; None removes one."""
    made = {"iss": BANK, "sub": "user-1", "aud": AUD, "iat": NOW - 10, "exp": NOW + 290, **changes}
    return {name: value for name, value in made.items() if value is not None}


@cache
def key(alg: str, kid: str = "", world: str = "live", bound: bool = True) -> JWK:
    """Return a private key, always the same for the same name."""
    if alg.startswith("HS"):
        members = {"kty": "oct", "k": b64(SECRET), "alg": alg, "kid": kid or "bank-hs"}
        return JWK.from_json(members)
    return make_key(alg, kid=kid or f"bank-{alg.lower()}-2026", bound=bound)


KINDS = ("ES256", "ES384", "ES512", "RS256", "PS256", "EdDSA")


@cache
def bank_keys() -> tuple[JWK, ...]:
    """Return the bank's public keys; the RSA ones bound to their algorithm."""
    return tuple(key(alg).public() for alg in KINDS)


@cache
def engine(**options: Any) -> Engine:
    """Return the engine most cases are sent to: the bank and the shop."""
    shop = Issuer(SHOP, keys=JWKSet((key("ES256", "shop-1").public(),)), algorithms=["ES256"], audience=AUD)
    bank = Issuer(BANK, keys=JWKSet(bank_keys()), algorithms=KINDS, audience=AUD, **options)
    return Engine(bank, shop)


@cache
def one_issuer(**options: Any) -> Engine:
    """Return an engine that knows the bank only."""
    options.setdefault("audience", AUD)
    return Engine(
        Issuer(BANK, keys=JWKSet(bank_keys()), algorithms=options.pop("algorithms", KINDS), **options)
    )


def header(alg: str, kid: str | None = "", **more: Any) -> dict[str, Any]:
    """Return a header; kid "" names the bank's key of the algorithm, None leaves it out."""
    made = {"alg": alg, "kid": f"bank-{alg.lower()}-2026" if kid == "" else kid, "typ": "JWT", **more}
    return {name: value for name, value in made.items() if value is not None}


def sign(alg: str, octets: bytes, jwk: JWK | None = None) -> bytes:
    """Sign octets rightly."""
    return LocalSigner(jwk or key(alg), alg).sign(octets)


def token(
    alg: str = "ES256",
    payload: bytes | dict[str, Any] | None = None,
    *,
    head: dict[str, Any] | bytes | None = None,
    jwk: JWK | None = None,
) -> str:
    """Return a token signed rightly over whatever header and payload these are."""
    head_octets = head if isinstance(head, bytes) else dumps(header(alg) if head is None else head)
    body = payload if isinstance(payload, bytes) else dumps(claims() if payload is None else payload)
    octets = f"{b64(head_octets)}.{b64(body)}"
    return f"{octets}.{b64(sign(alg, octets.encode(), jwk))}"


def resigned(alg: str, octets: bytes, jwk: JWK | None = None, *, payload: bytes | None = None) -> str:
    """Return a good-looking token whose signature is over other octets."""
    body = dumps(claims()) if payload is None else payload
    return f"{b64(dumps(header(alg)))}.{b64(body)}.{b64(sign(alg, octets, jwk))}"


def with_signature(text: str, signature: bytes | str) -> str:
    """Return a token with another signature."""
    return f"{text.rpartition('.')[0]}.{signature if isinstance(signature, str) else b64(signature)}"


def signature_of(text: str) -> bytes:
    """Return a token's signature."""
    part = text.rpartition(".")[2]
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def der(raw: bytes) -> bytes:
    """Return R || S in DER, as most cryptography libraries give it."""
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

    half = len(raw) // 2
    return encode_dss_signature(int.from_bytes(raw[:half], "big"), int.from_bytes(raw[half:], "big"))


def private(alg: str) -> Any:
    """Return the pyca private key of the bank's key."""
    return pyca_keys.private_key(key(alg))


def mac(secret: bytes, octets: bytes) -> bytes:
    """Return an HMAC-SHA-256."""
    return hmac.new(secret, octets, hashlib.sha256).digest()


def hs_engine(**options: Any) -> Engine:
    """Return an engine with the bank's shared secret."""
    return Engine(Issuer(BANK, keys=key("HS256"), algorithms=["HS256"], audience=AUD, **options))


def hs_token(secret: bytes, **changes: Any) -> str:
    """Return a token MACed with a secret."""
    octets = f"{b64(dumps(header('HS256', 'bank-hs')))}.{b64(dumps(claims(**changes)))}"
    return f"{octets}.{b64(mac(secret, octets.encode()))}"
