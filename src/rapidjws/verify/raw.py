"""The primitive level: one signature, one key, no token (RFC 7515 s.5.2 step 8)."""

from __future__ import annotations

from functools import lru_cache

from rapidjws._checks import refused
from rapidjws.errors import error_for
from rapidjws.jose.jwa import ALGORITHM_TABLE
from rapidjws.jose.jwk import JWK
from rapidjws.verify.key_table import PreparedKey, prepare

_KEPT_KEYS = 256


@lru_cache(maxsize=_KEPT_KEYS)
def _prepared(key: JWK, alg: str) -> PreparedKey:
    return prepare(key, alg)


def _octets(place: str, value: object) -> bytes:
    """Return octets; ``bytes`` of a number would be so many zeros."""
    if not isinstance(value, (bytes, bytearray, memoryview)):
        raise refused(place, "bytes", value)
    return bytes(value)


def verify_raw(alg: str, key: JWK, signing_input: bytes, signature: bytes) -> None:
    """Verify one signature on the same native path as tokens.

    Args:
        alg: A registered algorithm, as the caller decided it; never taken from a token.
        key: The key.
        signing_input: The octets that were signed.
        signature: The JWS Signature, decoded: R || S for ECDSA.

    Raises:
        SignatureInvalid: ``signature_invalid``.
        HeaderRefused: ``unsupported_algorithm`` or ``key_alg_mismatch``.
        KeyRefused: ``key_malformed``, ``key_weak`` or ``key_unsupported``.
        ConfigurationError: ``configuration_invalid``: no key, or no octets.

    Source: RFC 7518 section 3.1.
    """
    if not isinstance(alg, str) or alg not in ALGORITHM_TABLE:
        raise error_for("unsupported_algorithm", "alg", actual=str(alg))
    if not isinstance(key, JWK):
        raise refused("key", "a JWK", key)
    octets = _octets("signing_input", signing_input)
    if not _prepared(key, alg).verify(octets, _octets("signature", signature)):
        raise error_for("signature_invalid", "signature", expected=alg)
