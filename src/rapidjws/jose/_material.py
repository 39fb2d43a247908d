"""The numbers of a JWK: from its members to bytes and back (RFC 7518 s.6, RFC 8037 s.2, RFC 9964).

One reader a key type, each with the checks that tell a sound key from a dangerous one. What it never does:
look at names and purposes (kid, use, key_ops); jwk.py does that before.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from rapidjws.errors import RapidJWSError, error_for
from rapidjws.jose import _base64url, _rsa, _secret
from rapidjws.jose._curves import EDWARDS, WEIERSTRASS, edwards_fault, weierstrass_fault

if TYPE_CHECKING:
    from collections.abc import Mapping

Material = tuple[bytes, bytes]

PRIVATE_MEMBERS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "RSA": ("d", "p", "q", "dp", "dq", "qi"),
        "EC": ("d",),
        "OKP": ("d",),
        "AKP": ("priv",),
        "oct": (),
    }
)
_EVERY_PRIVATE_MEMBER: Final = ("d", "p", "q", "dp", "dq", "qi", "oth", "priv")
_ML_DSA_PUBLIC_BYTES: Final = MappingProxyType(  # FIPS 204 table 2
    {"ML-DSA-44": 1312, "ML-DSA-65": 1952, "ML-DSA-87": 2592}
)
_ML_DSA_SEED_BYTES: Final = 32
_DISGUISE_EXPECTED: Final = "random octets"


def refuse_private(kty: str, members: Mapping[str, Any]) -> None:
    """Refuse a key pair's private members where a public key is due (RFC 7517 s.9.2)."""
    for name in _EVERY_PRIVATE_MEMBER:
        if name in members and kty != "oct":
            if members[name] is None:  # a serialiser that writes what is absent
                raise error_for("key_malformed", f"jwk.{name}", "no such member", "null: leave it out")
            raise error_for("key_private", f"jwk.{name}", "a public key", "a private member")


def read_public(kty: str, crv: str | None, alg: str | None, members: Mapping[str, Any]) -> Material:
    """Return the public numbers (or the secret of an oct key), checked.

    Args:
        kty: A supported key type.
        crv: A supported curve for EC and OKP.
        alg: The key's algorithm, or None.
        members: The JWK.

    Returns:
        As ``JWK.material``.

    Raises:
        KeyRefused: key_malformed, key_unsupported or key_weak.
    """
    if kty == "EC" and crv is not None:
        return _read_ec(crv, members), b""
    if kty == "RSA":
        return _read_rsa(members)
    if kty == "OKP" and crv is not None:
        return _read_okp(crv, members), b""
    if kty == "AKP" and alg is not None:
        return _exactly(members, "pub", _ML_DSA_PUBLIC_BYTES[alg]), b""
    if kty == "oct":
        return _read_oct(alg, members), b""
    raise error_for("internal_error", "jwk.kty")


def read_private(kty: str, crv: str | None, members: Mapping[str, Any]) -> tuple[tuple[str, bytes], ...]:
    """Return the private members by name, each of its right length; the pair itself is checked later.

    Raises:
        KeyRefused: key_malformed (a member is absent or not strict), key_unsupported (more than two primes).
    """
    if "oth" in members:  # RFC 7518 s.6.3.2.7: multi-prime keys
        raise error_for("key_unsupported", "jwk.oth", "two primes")
    if kty == "EC" and crv is not None:  # RFC 7518 s.6.2.2.1: d has the length of the curve's order
        return (("d", _exactly(members, "d", WEIERSTRASS[crv].coordinate_bytes)),)
    if kty == "OKP" and crv is not None:
        return (("d", _exactly(members, "d", EDWARDS[crv].key_bytes)),)
    if kty == "AKP":
        return (("priv", _exactly(members, "priv", _ML_DSA_SEED_BYTES)),)
    return tuple((name, _number(members, name)) for name in PRIVATE_MEMBERS[kty])


def public_members(kty: str, material: Material) -> dict[str, str]:
    """Return public numbers as the JWK members they came from."""
    first, second = material
    if kty == "EC":
        half = len(first) // 2
        return {"x": _base64url.encode(first[:half]), "y": _base64url.encode(first[half:])}
    if kty == "RSA":
        return {"n": _base64url.encode(first), "e": _base64url.encode(second)}
    return {{"OKP": "x", "AKP": "pub", "oct": "k"}[kty]: _base64url.encode(first)}


def _read_ec(crv: str, members: Mapping[str, Any]) -> bytes:
    """Return x || y of a point on its curve."""
    curve = WEIERSTRASS[crv]
    x = _exactly(members, "x", curve.coordinate_bytes)  # RFC 7518 s.6.2.1.2: the full length
    y = _exactly(members, "y", curve.coordinate_bytes)
    fault = weierstrass_fault(curve, x, y)
    if fault is not None:
        raise error_for("key_malformed", "jwk.x", f"a point of {crv}", fault)
    return x + y


def _read_rsa(members: Mapping[str, Any]) -> Material:
    """Return n and e, sound and strong enough."""
    n, e = _number(members, "n"), _number(members, "e")
    fault = _rsa.fault(int.from_bytes(n, "big"), int.from_bytes(e, "big"))
    if fault is not None:
        raise error_for(fault.code, f"jwk.{fault.member}", fault.expected, fault.actual)
    return n, e


def _read_okp(crv: str, members: Mapping[str, Any]) -> bytes:
    """Return the encoded point of an Edwards curve."""
    curve = EDWARDS[crv]
    encoded = _exactly(members, "x", curve.key_bytes)
    fault = edwards_fault(curve, encoded)
    if fault is not None:
        raise error_for(fault[0], "jwk.x", f"a public key of {crv}", fault[1])
    return encoded


def _read_oct(alg: str | None, members: Mapping[str, Any]) -> bytes:
    """Return a secret that is long enough and no public text."""
    secret = _octets(members, "k")
    smallest = _secret.min_bytes(alg)
    if len(secret) < smallest:  # RFC 7518 s.3.2: at least the digest's size
        raise error_for("key_weak", "jwk.k", f"at least {smallest} bytes", f"{len(secret)} bytes")
    disguise = _secret.disguise(secret)
    if disguise is not None:
        raise error_for("key_weak", "jwk.k", _DISGUISE_EXPECTED, disguise)
    return secret


def _octets(members: Mapping[str, Any], name: str) -> bytes:
    """Return a base64url member."""
    value = members.get(name)
    if not isinstance(value, str):
        raise _unlike(name, "a base64url string", type(value).__name__)
    data = _base64url.decode(value)
    if data is None:  # RFC 7515 s.2
        raise _unlike(name, "strict base64url", "another text")
    return data


def _exactly(members: Mapping[str, Any], name: str, size: int) -> bytes:
    """Return a base64url member of exactly this many bytes."""
    data = _octets(members, name)
    if len(data) != size:
        raise _unlike(name, f"{size} bytes", f"{len(data)} bytes")
    return data


def _number(members: Mapping[str, Any], name: str) -> bytes:
    """Return a Base64urlUInt without leading zero octets; issuers do write them (RFC 7518 s.2)."""
    data = _octets(members, name).lstrip(b"\0")
    if not data:
        raise _unlike(name, "a positive integer", "zero")
    return data


def _unlike(name: str, expected: str, actual: str) -> RapidJWSError:
    """Build the error of a member that does not read."""
    return error_for("key_malformed", f"jwk.{name}", expected, actual)
