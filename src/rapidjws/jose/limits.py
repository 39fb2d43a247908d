"""Every size limit of the JOSE modules, once: defaults, changed by the parameters that name them.

Source: RFC 8725 s.3, RFC 7518 s.3, and this project's own judgement.
"""

from __future__ import annotations

from typing import Final

# Tokens
TOKEN_MAX_BYTES: Final = 16 * 1024
TOKEN_MAX_BYTES_MLDSA: Final = 64 * 1024
"""Where ML-DSA is allowed: its signatures alone take up to 6.2 KB of base64url."""
TOKEN_CEILING_BYTES: Final = 256 * 1024
"""The largest limit that may be set: a worker's memory holds the decoded parts of one such token."""
HEADER_MAX_BYTES: Final = 2 * 1024
"""Of the decoded protected header."""
HEADER_CEILING_BYTES: Final = 16 * 1024
"""The largest limit for it that may be set: room for a chain of certificates in ``x5c``."""
HEADER_MAX_MEMBERS: Final = 64
CLAIMS_MAX_MEMBERS: Final = 1024
JSON_MAX_DEPTH: Final = 32
"""Containers open at once."""
KID_MAX_CHARS: Final = 512
SIGNATURES_MAX: Final = 32
"""Of one JWS in General JSON Serialization: each is hashed over the whole payload."""
WHOLE_PAYLOAD_MAX_BYTES: Final = 8 * 1024 * 1024
"""Of a detached payload for EdDSA and ML-DSA, which take it in one piece; others stream without a limit."""

# Keys
JWK_MAX_BYTES: Final = 64 * 1024
JWK_MAX_MEMBERS: Final = 64
KEY_OPS_MAX: Final = 16
RSA_MIN_BITS: Final = 2048
"""RFC 7518 s.3.3 and s.3.5."""
RSA_MAX_BITS: Final = 16384
"""What libcrypto verifies with; larger moduli only burn time."""
RSA_EXPONENT_MAX_BITS: Final = 64
"""What libcrypto accepts for large moduli; larger exponents only burn time."""
HMAC_MIN_BYTES: Final = 32
"""For a key without alg: the digest of HS256 (RFC 7518 s.3.2)."""

# Key sets
JWKS_MAX_BYTES: Final = 256 * 1024
JWKS_MAX_KEYS: Final = 100
JWKS_STATIC_MAX_BYTES: Final = 64 * 1024 * 1024
JWKS_STATIC_MAX_KEYS: Final = 100_000

# Time
NUMERIC_DATE_MAX_S: Final = 253_402_300_799
"""The last second of the year 9999."""
LEEWAY_DEFAULT_S: Final = 60
LEEWAY_MAX_S: Final = 86_400
CLOCK_FLOOR_S: Final = 1_793_491_200
"""2026-11-01T00:00:00Z: a clock that reads earlier than this package is wrong."""


def encoded_bytes(size: int) -> int:
    """Return how many characters of base64url stand for this many bytes."""
    return (size * 4 + 2) // 3
