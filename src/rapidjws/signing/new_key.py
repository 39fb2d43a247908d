"""Fresh keys, one function for every algorithm."""

from __future__ import annotations

import secrets
from typing import Any, Final

from rapidjws._checks import checked, refused
from rapidjws.errors import error_for
from rapidjws.jose.jwa import ALGORITHM_TABLE
from rapidjws.jose.jwk import JWK

RSA_BITS: Final = 2048


def _private_object(alg: str, crv: str | None, rsa_bits: int) -> Any:
    from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

    kind = ALGORITHM_TABLE[alg].kind
    if kind in ("rsa_pkcs1", "rsa_pss"):
        return rsa.generate_private_key(65537, rsa_bits)
    if kind == "ecdsa":
        curves: dict[str, type[Any]] = {
            "P-256": ec.SECP256R1,
            "P-384": ec.SECP384R1,
            "P-521": ec.SECP521R1,
            "secp256k1": ec.SECP256K1,
        }
        return ec.generate_private_key(curves[str(crv)]())
    if kind == "eddsa":
        return (ed448.Ed448PrivateKey if crv == "Ed448" else ed25519.Ed25519PrivateKey).generate()
    from cryptography.hazmat.primitives.asymmetric import mldsa

    return getattr(mldsa, f"MLDSA{alg[-2:]}PrivateKey").generate()


@checked
def make_key(
    alg: str, *, kid: str | None = None, crv: str | None = None, rsa_bits: int = RSA_BITS, bound: bool = True
) -> JWK:
    """Make a fresh private key, or secret, for an algorithm.

    Args:
        alg: A name of ``rapidjws.ALGORITHMS``.
        kid: Its kid, or None.
        crv: For ``EdDSA``: ``"Ed25519"`` (default) or ``"Ed448"``.
        rsa_bits: Modulus size for RS and PS.
        bound: Whether the JWK names ``alg``.

    Returns:
        A private JWK; ``.public()`` is its public half.

    Raises:
        HeaderRefused: ``unsupported_algorithm``.
        ConfigurationError: ``configuration_invalid``: no curve of the algorithm's, no such RSA size.
    """
    if not 2048 <= rsa_bits <= 16384:
        raise error_for("configuration_invalid", "rsa_bits", expected="2048 to 16384")
    row = ALGORITHM_TABLE.get(alg)
    if row is None:
        raise error_for("unsupported_algorithm", "alg", actual=alg)
    if crv is not None and crv not in row.crvs:
        raise refused("crv", " or ".join(row.crvs) or "None", crv)
    named = alg if bound or row.kind == "mldsa" else None
    if row.kind == "hmac":
        from rapidjws import _native

        secret = _native.b64url_encode(secrets.token_bytes(row.digest_bytes or 32)).decode()
        members = {"kty": "oct", "k": secret, "alg": named, "kid": kid}
        return JWK.from_json({name: value for name, value in members.items() if value is not None})
    from cryptography.hazmat.primitives import serialization

    chosen = crv or (row.crvs[0] if row.crvs else None)
    der = _private_object(alg, chosen, rsa_bits).private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return JWK.from_der(der, kid=kid, alg=named, private=True)
