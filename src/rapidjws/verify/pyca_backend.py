"""Verification by pyca/cryptography for what the linked libcrypto lacks (ML-DSA below OpenSSL 3.5).

Only algorithms over the whole message live here. The face is the native key's: a key, and a verdict.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from rapidjws.errors import error_for

if TYPE_CHECKING:
    from rapidjws.jose.jwk import JWK


class PycaKey(Protocol):
    """A key that another library holds."""

    def verify(self, signing_input: bytes, signature: bytes) -> bool:
        """Return whether the signature verifies."""


class _PycaMLDSA:
    """An ML-DSA public key of pyca/cryptography (FIPS 204, empty context)."""

    __slots__ = ("_invalid", "_key")

    def __init__(self, key: Any, invalid: type[Exception]) -> None:
        self._key = key
        self._invalid = invalid

    def verify(self, signing_input: bytes, signature: bytes) -> bool:
        try:
            self._key.verify(signature, signing_input)
        except self._invalid:
            return False
        return True


def mldsa_is_available() -> bool:
    """Return whether the installed pyca/cryptography has ML-DSA."""
    try:
        from cryptography.hazmat.primitives.asymmetric import mldsa
    except ImportError:
        return False
    return hasattr(mldsa, "MLDSA44PublicKey")


def foreign_key(jwk: JWK, alg: str) -> PycaKey:
    """Build a key for an algorithm that the core lacks.

    Raises:
        KeyRefused: ``key_unsupported``: neither backend has the algorithm; ``key_malformed``: not such a key.
    """
    if not alg.startswith("ML-DSA-") or not mldsa_is_available():
        raise error_for("key_unsupported", "key.alg", actual=alg)
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric import mldsa

    kind: Any = getattr(mldsa, "MLDSA" + alg[-2:] + "PublicKey")
    try:
        return _PycaMLDSA(kind.from_public_bytes(jwk.material[0]), InvalidSignature)
    except ValueError:
        raise error_for("key_malformed", "key.pub", expected=alg) from None
