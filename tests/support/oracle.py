"""The slow, obvious oracle: a strict compact JWS and JWT verifier on pyca/cryptography.

Written against the RFCs, not against the engine, whose code it never uses. One function a step, no caching,
no cleverness. A disagreement is a bug in one of the two.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

ALPHABET = re.compile(rb"[A-Za-z0-9_-]*\Z")
HASHES: dict[str, Any] = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}
CURVES: dict[str, tuple[str, Any, int]] = {
    "ES256": ("P-256", ec.SECP256R1(), 32),
    "ES384": ("P-384", ec.SECP384R1(), 48),
    "ES512": ("P-521", ec.SECP521R1(), 66),
    "ES256K": ("secp256k1", ec.SECP256K1(), 32),
}
EDWARDS = {"EdDSA": ("Ed25519", "Ed448"), "Ed25519": ("Ed25519",), "Ed448": ("Ed448",)}


class Refused(Exception):
    """The token is not accepted."""


def require(condition: object, why: str) -> None:
    """Refuse unless the condition holds."""
    if not condition:
        raise Refused(why)


def decode(part: bytes) -> bytes:
    """Decode one part: the alphabet of RFC 4648 section 5, no padding, no bits left over."""
    require(ALPHABET.match(part), "alphabet")
    require(len(part) % 4 != 1, "length")
    octets = base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4))
    require(base64.urlsafe_b64encode(octets).rstrip(b"=") == part, "trailing bits")
    return octets


def parse(octets: bytes) -> Any:
    """Parse JSON in UTF-8; equal names, constants of other languages and lone surrogates refuse it."""

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        require(len(names) == len(set(names)), "duplicate member")
        return dict(pairs)

    def constant(name: str) -> Any:
        raise Refused(name)

    try:
        value = json.loads(octets.decode("utf-8"), object_pairs_hook=members, parse_constant=constant)
        json.dumps(value, ensure_ascii=False).encode("utf-8")  # a lone surrogate has no UTF-8
    except (ValueError, RecursionError) as fault:
        raise Refused(str(fault)) from None
    require(not octets.startswith(b"\xef\xbb\xbf"), "byte order mark")
    return value


def header_of(octets: bytes, algorithms: set[str]) -> dict[str, Any]:
    """Return the JOSE Header, its registered members checked; no critical extension is understood."""
    require(len(octets) <= 2048, "header too large")
    header = parse(octets)
    require(isinstance(header, dict), "header is no object")
    require(isinstance(header.get("alg"), str) and header["alg"] in algorithms, "alg")
    for name in ("kid", "typ", "cty"):
        require(isinstance(header.get(name, ""), str), name)
    require("crit" not in header and "b64" not in header, "extension")
    return dict(header)


def fits(key: dict[str, Any], alg: str) -> bool:
    """Say whether a JWK serves an algorithm (RFC 8725 section 3.1)."""
    if key.get("alg", alg) != alg:
        return False
    if alg.startswith("HS"):
        return key["kty"] == "oct" and len(decode(key["k"].encode())) * 8 >= int(alg[2:])
    if alg in CURVES:
        return (key["kty"], key.get("crv")) == ("EC", CURVES[alg][0])
    if alg in EDWARDS:
        return key["kty"] == "OKP" and key["crv"] in EDWARDS[alg]
    return bool(key["kty"] == "RSA")


def number(key: dict[str, Any], name: str) -> int:
    """Return a JWK member as a number."""
    return int.from_bytes(decode(key[name].encode()), "big")


def check_signature(alg: str, key: dict[str, Any], message: bytes, signature: bytes) -> None:
    """Verify with pyca/cryptography; every fault refuses."""
    try:
        if alg.startswith("HS"):
            mac = hmac.digest(decode(key["k"].encode()), message, getattr(hashlib, "sha" + alg[2:]))
            require(hmac.compare_digest(mac, signature), "mac")
        elif alg in CURVES:
            _, curve, size = CURVES[alg]
            require(len(signature) == 2 * size, "signature length")
            r, s = int.from_bytes(signature[:size], "big"), int.from_bytes(signature[size:], "big")
            point = ec.EllipticCurvePublicNumbers(number(key, "x"), number(key, "y"), curve).public_key()
            digest = HASHES["256" if alg == "ES256K" else alg[2:]]
            point.verify(encode_dss_signature(r, s), message, ec.ECDSA(digest))
        elif alg in EDWARDS:
            kind = ed25519.Ed25519PublicKey if key["crv"] == "Ed25519" else ed448.Ed448PublicKey
            kind.from_public_bytes(decode(key["x"].encode())).verify(signature, message)
        else:
            modulus = rsa.RSAPublicNumbers(number(key, "e"), number(key, "n")).public_key()
            digest = HASHES[alg[2:]]
            pss = padding.PSS(padding.MGF1(digest), digest.digest_size)
            scheme = pss if alg.startswith("PS") else padding.PKCS1v15()
            modulus.verify(signature, message, scheme, digest)
    except (InvalidSignature, ValueError) as fault:
        raise Refused(type(fault).__name__) from None


def verify(token: bytes, keys: list[dict[str, Any]], algorithms: set[str]) -> bytes:
    """Return the payload of a good token.

    Raises:
        Refused: In every other case.
    """
    require(len(token) <= 16 * 1024, "token too large")
    parts = token.split(b".")
    require(len(parts) == 3 and parts[0] and parts[2], "three parts")
    header_octets, payload, signature = map(decode, parts)
    header = header_of(header_octets, algorithms)
    alg = header["alg"]
    if "kid" in header:
        named = [key for key in keys if key.get("kid") == header["kid"]]
        require(len(named) == 1, "kid")
        candidates = [key for key in named if fits(key, alg)]
    else:
        candidates = [key for key in keys if fits(key, alg)]
    require(len(candidates) == 1, "exactly one key")
    check_signature(alg, candidates[0], token[: token.rindex(b".")], signature)
    return payload


def check_claims(
    payload: bytes, *, iss: str, audiences: set[str], leeway_s: int, now_s: int
) -> dict[str, Any]:
    """Return the claims of a good JWT: iss, aud where asked or stated, exp required, nbf and iat if there.

    Raises:
        Refused: In every other case.
    """
    claims = parse(payload)
    require(isinstance(claims, dict), "claims are no object")
    for name in ("iss", "sub", "jti"):
        require(isinstance(claims.get(name, ""), str), name)
    for name in ("exp", "nbf", "iat"):
        value = claims.get(name, 0)
        require(isinstance(value, (int, float)) and not isinstance(value, bool), name)
        require(0 <= value <= 253402300799, name)
    aud = claims.get("aud", [])
    named = [aud] if isinstance(aud, str) else aud
    require(isinstance(named, list) and all(isinstance(name, str) for name in named), "aud")
    require(claims.get("iss") == iss, "iss")
    require(("aud" not in claims and not audiences) or audiences & set(named), "aud")
    require("exp" in claims and now_s < claims["exp"] + leeway_s, "exp")
    require(now_s + leeway_s >= claims.get("nbf", 0), "nbf")
    require(claims.get("iat", 0) <= now_s + leeway_s, "iat")
    return dict(claims)
