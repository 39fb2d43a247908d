"""The bridge to pyca/cryptography: DER and PEM into JWK members, JWKs into key objects.

Used when keys are loaded, and for algorithms that the linked libcrypto lacks; never on the path of a token.
What it never does: accept DER that is not the one canonical form of the key in it.
"""

from __future__ import annotations

from typing import Any, Final, Protocol

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

from rapidjws.errors import error_for
from rapidjws.jose import _base64url, _der, _material


class Key(Protocol):
    """What this bridge needs of a JWK; kept small so that it never imports one."""

    @property
    def kty(self) -> str:
        """Return the key's type."""

    @property
    def crv(self) -> str | None:
        """Return the curve, or None."""

    @property
    def alg(self) -> str | None:
        """Return the algorithm, or None."""

    @property
    def material(self) -> tuple[bytes, bytes]:
        """Return the public numbers."""

    @property
    def private_material(self) -> tuple[tuple[str, bytes], ...]:
        """Return the private members' bytes by name."""


_CURVES: Final[dict[str, type[ec.EllipticCurve]]] = {
    "P-256": ec.SECP256R1,
    "P-384": ec.SECP384R1,
    "P-521": ec.SECP521R1,
    "secp256k1": ec.SECP256K1,
}
_CURVE_NAMES: Final = {str(curve.name): crv for crv, curve in _CURVES.items()}
_EDWARDS: Final[dict[str, tuple[Any, Any]]] = {
    "Ed25519": (ed25519.Ed25519PublicKey, ed25519.Ed25519PrivateKey),
    "Ed448": (ed448.Ed448PublicKey, ed448.Ed448PrivateKey),
}


def _ml_dsa_types() -> dict[str, tuple[Any, Any]]:
    """Return the ML-DSA classes; pyca/cryptography learnt them later than the oldest version we allow."""
    try:
        from cryptography.hazmat.primitives.asymmetric import mldsa
    except ImportError:
        return {}
    return {
        "ML-DSA-44": (mldsa.MLDSA44PublicKey, mldsa.MLDSA44PrivateKey),
        "ML-DSA-65": (mldsa.MLDSA65PublicKey, mldsa.MLDSA65PrivateKey),
        "ML-DSA-87": (mldsa.MLDSA87PublicKey, mldsa.MLDSA87PrivateKey),
    }


_ML_DSA: Final = _ml_dsa_types()
_REFUSALS: Final = (ValueError, TypeError, UnsupportedAlgorithm, OverflowError)
_DER: Final = "der"


def members_from_der(data: bytes, *, private: bool, alg: str | None = None) -> dict[str, Any]:
    """Return the JWK members of a key in DER.

    Args:
        data: SubjectPublicKeyInfo, PKCS#1 RSAPublicKey or a certificate; with ``private`` an unencrypted
            private key in PKCS#8, PKCS#1 or SEC 1.
        private: Which of the two is wanted.
        alg: The algorithm that the caller binds it to, or None; an RSASSA-PSS key without parameters needs
            one.

    Raises:
        KeyRefused: key_malformed, key_private or key_unsupported.
    """
    loaded = _load_private(data) if private else _load_public(data)
    if loaded is None:
        if not private and _load_private(data) is not None:
            raise error_for("key_private", _DER, "a public key", "a private key")
        wanted = "an unencrypted private key" if private else "a public key or a certificate"
        raise error_for("key_malformed", _DER, wanted)
    members = _private_members(loaded) if private else _public_members(loaded)
    only = _der.pss_algorithms(data)
    return members if only is None else members | {"alg": _pss_algorithm(only, alg)}


def _pss_algorithm(only: tuple[str, ...], alg: str | None) -> str:
    """Return the one algorithm of an RSASSA-PSS key, which serves no RS algorithm (RFC 4055 s.1.2)."""
    if alg is not None and alg not in only:
        raise error_for("key_unsupported", f"{_DER}.alg", only or "SHA-2 for an RSASSA-PSS key", alg)
    if alg is None and len(only) != 1:
        wanted = "alg='PS256', 'PS384' or 'PS512'" if only else "SHA-2 and a salt of at most its size"
        raise error_for("key_unsupported", f"{_DER}.alg", wanted, "an RSASSA-PSS key")
    return only[0] if alg is None else alg


def _load_public(data: bytes) -> Any:
    """Return the public key in DER, or None where there is none."""
    try:
        key: Any = serialization.load_der_public_key(data)
    except _REFUSALS:
        try:
            from cryptography import x509  # certificates are rare, and a start loads it in some milliseconds

            key = x509.load_der_x509_certificate(data).public_key()
        except _REFUSALS:
            return None
        if _spki(key) not in data:  # as below, for the key inside
            raise error_for("key_unsupported", _DER, "a named curve, an uncompressed point") from None
        return key
    pkcs1 = isinstance(key, rsa.RSAPublicKey) and data == key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.PKCS1
    )
    if not pkcs1 and data != _spki(key):
        # explicit curve parameters (CVE-2022-0778), compressed points, RSASSA-PSS keys, BER
        raise error_for("key_unsupported", _DER, "canonical DER of a named curve or an RSA key")
    return key


def _spki(key: Any) -> bytes:
    """Return the canonical SubjectPublicKeyInfo; RSA, EC and Edwards keys only have one."""
    encoded = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return bytes(encoded)


def _load_private(data: bytes) -> Any:
    """Return the unencrypted private key in DER, or None where there is none."""
    try:
        return serialization.load_der_private_key(data, password=None)
    except _REFUSALS:
        return None


def _public_members(key: Any) -> dict[str, Any]:
    """Return the JWK members of a public key object."""
    if isinstance(key, rsa.RSAPublicKey):
        numbers = key.public_numbers()
        return {"kty": "RSA", "n": _uint(numbers.n), "e": _uint(numbers.e)}
    if isinstance(key, ec.EllipticCurvePublicKey):
        crv = _CURVE_NAMES.get(key.curve.name)
        if crv is None:
            raise error_for("key_unsupported", _DER, tuple(_CURVES), key.curve.name)
        point = key.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)[
            1:
        ]
        half = len(point) // 2
        x, y = _base64url.encode(point[:half]), _base64url.encode(point[half:])
        return {"kty": "EC", "crv": crv, "x": x, "y": y}
    for crv, (public_type, _) in _EDWARDS.items():
        if isinstance(key, public_type):
            return {"kty": "OKP", "crv": crv, "x": _base64url.encode(key.public_bytes_raw())}
    for alg, (public_type, _) in _ML_DSA.items():
        if isinstance(key, public_type):
            return {"kty": "AKP", "alg": alg, "pub": _base64url.encode(key.public_bytes_raw())}
    raise error_for("key_unsupported", _DER, "a key for signatures", type(key).__name__)


def _private_members(key: Any) -> dict[str, Any]:
    """Return the JWK members of a private key object."""
    members = _public_members(key.public_key())
    if members["kty"] == "RSA":
        numbers = key.private_numbers()
        members.update(
            d=_uint(numbers.d),
            p=_uint(numbers.p),
            q=_uint(numbers.q),
            dp=_uint(numbers.dmp1),
            dq=_uint(numbers.dmq1),
            qi=_uint(numbers.iqmp),
        )
    elif members["kty"] == "EC":
        size = (key.curve.key_size + 7) // 8
        members["d"] = _base64url.encode(key.private_numbers().private_value.to_bytes(size, "big"))
    else:
        members["priv" if members["kty"] == "AKP" else "d"] = _base64url.encode(key.private_bytes_raw())
    return members


def _uint(number: int) -> str:
    """Return a Base64urlUInt (RFC 7518 s.2)."""
    return _base64url.encode(number.to_bytes((number.bit_length() + 7) // 8, "big"))


def public_key(key: Key) -> Any:
    """Return the pyca/cryptography public key object of an asymmetric JWK.

    Raises:
        KeyRefused: key_malformed (pyca refuses the numbers), key_unsupported (it lacks the algorithm).
    """
    first, second = key.material
    try:
        if key.kty == "RSA":
            n, e = int.from_bytes(first, "big"), int.from_bytes(second, "big")
            return rsa.RSAPublicNumbers(e, n).public_key()
        if key.kty == "EC":
            return ec.EllipticCurvePublicKey.from_encoded_point(_CURVES[key.crv or ""](), b"\x04" + first)
        if key.kty == "OKP":
            return _EDWARDS[key.crv or ""][0].from_public_bytes(first)
        if key.kty == "AKP" and key.alg in _ML_DSA:
            return _ML_DSA[key.alg][0].from_public_bytes(first)
    except UnsupportedAlgorithm:
        pass
    except ValueError:
        raise error_for("key_malformed", "jwk", f"an {key.kty} public key") from None
    raise error_for("key_unsupported", "jwk.kty", "a key type of pyca/cryptography", key.kty)


def private_key(key: Key) -> Any:
    """Return the pyca/cryptography private key object of a private JWK.

    Raises:
        KeyRefused: key_malformed (no private half, or numbers that do not belong together), key_unsupported.
    """
    parts = dict(key.private_material)
    try:
        if key.kty == "RSA" and parts:
            return _rsa_private_key(key, {name: int.from_bytes(part, "big") for name, part in parts.items()})
        if key.kty == "EC" and parts:
            return ec.derive_private_key(int.from_bytes(parts["d"], "big"), _CURVES[key.crv or ""]())
        if key.kty == "OKP" and parts:
            return _EDWARDS[key.crv or ""][1].from_private_bytes(parts["d"])
        if key.kty == "AKP" and parts and key.alg in _ML_DSA:
            return _ML_DSA[key.alg][1].from_seed_bytes(parts["priv"])
    except UnsupportedAlgorithm:
        pass
    except (ValueError, TypeError):
        raise error_for("key_malformed", "jwk", f"a consistent {key.kty} private key") from None
    raise error_for("key_unsupported", "jwk", "a private key of pyca/cryptography", key.kty)


def _rsa_private_key(key: Key, parts: dict[str, int]) -> rsa.RSAPrivateKey:
    """Build an RSA private key; pyca checks that the numbers belong together."""
    public = rsa.RSAPublicNumbers(
        int.from_bytes(key.material[1], "big"), int.from_bytes(key.material[0], "big")
    )
    numbers = rsa.RSAPrivateNumbers(
        parts["p"], parts["q"], parts["d"], parts["dp"], parts["dq"], parts["qi"], public
    )
    return numbers.private_key()


def check_pair(key: Key) -> None:
    """Refuse a private key whose public members belong to another.

    Raises:
        KeyRefused: key_malformed, or key_unsupported where pyca/cryptography lacks the algorithm.
    """
    public = _public_members(private_key(key).public_key())
    claimed = _material.public_members(key.kty, key.material)
    if any(public[name] != value for name, value in claimed.items()):
        raise error_for("key_malformed", "jwk", "public members of this private key", "those of another")
