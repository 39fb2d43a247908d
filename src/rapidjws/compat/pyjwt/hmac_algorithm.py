"""HS256, HS384 and HS512: shared secrets that are no public text (RFC 7518 s.3.2, RFC 8725 s.2.1)."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from typing import Any, ClassVar

from rapidjws.compat.pyjwt.algorithm import Algorithm, jwk_form, jwk_members
from rapidjws.compat.pyjwt.exceptions import InvalidKeyError
from rapidjws.compat.pyjwt.types import HashlibHash, JWKDict
from rapidjws.compat.pyjwt.utils import (
    base64url_decode,
    base64url_encode,
    force_bytes,
    is_pem_format,
    is_ssh_key,
)
from rapidjws.jose.jwk import secret_disguise

_ASYMMETRIC = (
    "The specified key is an asymmetric key or x509 certificate and should not be used as an HMAC secret."
)
_JWK = (
    "The specified key looks like a JWK and should not be used directly as an HMAC secret. "
    "Load it via PyJWK / HMACAlgorithm.from_jwk first."
)


_MEMBER_NAME = re.compile(r'("(?:[^"\\]|\\.)*")[ \t\r\n]*:', re.DOTALL)


def _holds_jwk(secret: bytes) -> bool:
    """Say whether JSON text, however deep and in whatever encoding, has a member ``kty``."""
    try:
        text = secret.decode(json.detect_encoding(secret), "surrogatepass").lstrip("\ufeff \t\r\n")
    except UnicodeError:
        return False
    return text[:1] in ("{", "[") and any(_is_kty(found[1]) for found in _MEMBER_NAME.finditer(text))


def _is_kty(text: str) -> bool:
    try:
        return bool(json.loads(text) == "kty")
    except ValueError:
        return False


class HMACAlgorithm(Algorithm):
    """HMAC with one hash.

    Args:
        hash_alg: A constructor of ``hashlib``.
    """

    SHA256: ClassVar[HashlibHash] = hashlib.sha256
    SHA384: ClassVar[HashlibHash] = hashlib.sha384
    SHA512: ClassVar[HashlibHash] = hashlib.sha512

    def __init__(self, hash_alg: HashlibHash) -> None:
        self.hash_alg = hash_alg

    def prepare_key(self, key: str | bytes) -> bytes:
        """Return a secret's octets.

        Raises:
            InvalidKeyError: It is empty, or reads as a public key, a certificate or a JWK, also in hex or
                base64: the way algorithm confusion begins.
            TypeError: It is neither text nor bytes.
        """
        secret = force_bytes(key)
        if not secret:
            raise InvalidKeyError("HMAC key must not be empty.")
        if is_pem_format(secret) or is_ssh_key(secret):
            raise InvalidKeyError(_ASYMMETRIC)
        if _holds_jwk(secret):
            raise InvalidKeyError(_JWK)
        disguise = secret_disguise(secret)
        if disguise is not None:
            raise InvalidKeyError(_JWK if "JWK" in disguise else _ASYMMETRIC)
        return secret

    @staticmethod
    def to_jwk(key_obj: str | bytes, as_dict: bool = False) -> JWKDict | str:
        """Return a secret as a JWK."""
        return jwk_form({"k": base64url_encode(force_bytes(key_obj)).decode(), "kty": "oct"}, as_dict)

    @staticmethod
    def from_jwk(jwk: str | JWKDict) -> bytes:
        """Return the secret of a JWK; raises InvalidKeyError."""
        secret = base64url_decode(jwk_members(jwk, "oct", "Not an HMAC key")["k"])
        if not secret:
            raise InvalidKeyError("HMAC key must not be empty.")
        return secret

    def check_key_length(self, key: bytes) -> str | None:
        """Return words for a secret shorter than the digest (RFC 7518 s.3.2), or None."""
        digest = self.hash_alg()
        if len(key) >= digest.digest_size:
            return None
        return (
            f"The HMAC key is {len(key)} bytes long, which is below the minimum recommended length of "
            f"{digest.digest_size} bytes for {digest.name.upper()}. See RFC 7518 Section 3.2."
        )

    def sign(self, msg: bytes, key: bytes) -> bytes:
        """Return the MAC."""
        return hmac.new(key, msg, self.hash_alg).digest()

    def verify(self, msg: bytes, key: Any, sig: bytes) -> bool:
        """Return whether a MAC is the secret's, compared in constant time."""
        return hmac.compare_digest(sig, self.sign(msg, key))
