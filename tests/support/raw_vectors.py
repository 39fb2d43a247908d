"""Turn third-party primitive vectors into keys, cases and the verdicts a JOSE verifier owes them.

A case is (its id, message, signature, whether it must verify). A group whose key is refused at load counts as
refused for each of its cases. What it never does: decide a verdict by asking the package under test.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from native_drivers import wycheproof

DIGEST_BYTES = {"SHA-256": 32, "SHA-384": 48, "SHA-512": 64}


class Case(NamedTuple):
    """One message, one signature, one verdict."""

    name: str
    message: bytes
    signature: bytes
    valid: bool


class Group(NamedTuple):
    """The cases of one key, as a JWK without alg."""

    jwk: dict[str, Any]
    cases: list[Case]


def b64url(octets: bytes) -> str:
    """Encode without padding."""
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def _cases(group: dict[str, Any], *, field: str = "sig") -> Iterator[Case]:
    for case in group["tests"]:
        octets = bytes.fromhex(case[field])
        yield Case(str(case["tcId"]), bytes.fromhex(case["msg"]), octets, case["result"] == "valid")


def ecdsa(name: str, crv: str, *, coordinate_bytes: int) -> list[Group]:
    """Read a file of ECDSA cases as they stand: R || S, or DER."""
    groups = []
    for group in wycheproof(name)["testGroups"]:
        point = bytes.fromhex(group["publicKey"]["uncompressed"])[1:]
        x, y = point[: len(point) // 2], point[len(point) // 2 :]
        assert len(x) == coordinate_bytes
        jwk = {"kty": "EC", "crv": crv, "x": b64url(x), "y": b64url(y)}
        groups.append(Group(jwk, list(_cases(group))))
    return groups


def repacked(groups: list[Group], *, coordinate_bytes: int) -> list[Group]:
    """Turn the valid DER signatures into R || S, and leave the others out."""
    made = []
    for jwk, cases in groups:
        kept = []
        for case in cases:
            if case.valid:
                r, s = decode_dss_signature(case.signature)
                raw = r.to_bytes(coordinate_bytes, "big") + s.to_bytes(coordinate_bytes, "big")
                kept.append(case._replace(signature=raw))
        made.append(Group(jwk, kept))
    return made


def all_invalid(groups: list[Group]) -> list[Group]:
    """Expect every case to be refused."""
    return [Group(jwk, [case._replace(valid=False) for case in cases]) for jwk, cases in groups]


def okp(name: str, crv: str) -> list[Group]:
    """Read a file of Ed25519 or Ed448 cases."""
    groups = []
    for group in wycheproof(name)["testGroups"]:
        jwk = {"kty": "OKP", "crv": crv, "x": b64url(bytes.fromhex(group["publicKey"]["pk"]))}
        groups.append(Group(jwk, list(_cases(group))))
    return groups


def _rsa_jwk(group: dict[str, Any]) -> dict[str, Any]:
    numbers = (bytes.fromhex(group["publicKey"][name]) for name in ("modulus", "publicExponent"))
    n, e = (b64url(number.lstrip(b"\0")) for number in numbers)
    return {"kty": "RSA", "n": n, "e": e}


def rsa_pkcs1(name: str) -> list[Group]:
    """Read a file of RSASSA-PKCS1-v1_5 cases; "acceptable" (DigestInfo without NULL) means refused."""
    return [Group(_rsa_jwk(group), list(_cases(group))) for group in wycheproof(name)["testGroups"]]


def rsa_pss(name: str, sha: str) -> list[Group]:
    """Read a file of RSASSA-PSS cases; only JOSE's parameters count: MGF1 and salt follow the digest."""
    groups = []
    for group in wycheproof(name)["testGroups"]:
        fits = group["sha"] == group["mgfSha"] == sha and group["sLen"] == DIGEST_BYTES[sha]
        cases = list(_cases(group)) if fits else [case._replace(valid=False) for case in _cases(group)]
        groups.append(Group(_rsa_jwk(group), cases))
    return groups


def hmac(name: str) -> list[Group]:
    """Read a file of HMAC cases; a tag has the digest's full size, and a key at least that."""
    digest_bytes = int(name.removeprefix("hmac_sha")[:3]) // 8
    groups = []
    for group in wycheproof(name)["testGroups"]:
        fits = group["tagSize"] == 8 * digest_bytes and group["keySize"] >= 8 * digest_bytes
        for case in group["tests"]:
            jwk = {"kty": "oct", "k": b64url(bytes.fromhex(case["key"]))}
            one = next(_cases({"tests": [case]}, field="tag"))
            groups.append(Group(jwk, [one if fits else one._replace(valid=False)]))
    return groups


def mldsa(name: str, alg: str) -> list[Group]:
    """Read a file of ML-DSA cases; JOSE has no context string (RFC 9964), so a case with one is refused."""
    groups = []
    for group in wycheproof(name)["testGroups"]:
        jwk = {"kty": "AKP", "alg": alg, "pub": b64url(bytes.fromhex(group["publicKey"]))}
        cases = [
            case._replace(valid=case.valid and not row.get("ctx"))
            for case, row in zip(_cases(group), group["tests"], strict=True)
        ]
        groups.append(Group(jwk, cases))
    return groups
