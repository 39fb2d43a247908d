"""HMAC secrets: long enough, and no public text in disguise (RFC 7518 s.3.2, RFC 8725 s.2.1).

Algorithm confusion starts with a public key used as a secret; so whatever reads as PEM, SSH, JWK or a DER
public key is refused, with any white space, byte order mark or NUL around it. It never guesses entropy.
"""

from __future__ import annotations

from typing import Final

from rapidjws.jose.jwa import ALGORITHM_TABLE
from rapidjws.jose.limits import HMAC_MIN_BYTES

_PEM_MARKS: Final = (b"-----BEGIN", b"---- BEGIN")
_SSH_TYPES: Final = (
    b"ssh-rsa",
    b"ssh-dss",
    b"ssh-ed25519",
    b"ssh-ed448",
    b"ecdsa-sha2-",
    b"sk-ssh-",
    b"sk-ecdsa-",
)
_JWK_NAMES: Final = (b'"kty"', b'"keys"')
_DER_KEY_TYPES: Final = (
    bytes.fromhex("06092a864886f70d0101"),  # RSA: 1.2.840.113549.1.1.*
    bytes.fromhex("06072a8648ce3d0201"),  # EC: 1.2.840.10045.2.1
    bytes.fromhex("06032b6570"),  # Ed25519: 1.3.101.112
    bytes.fromhex("06032b6571"),  # Ed448: 1.3.101.113
    bytes.fromhex("06096086480165030403"),  # ML-DSA: 2.16.840.1.101.3.4.3.*
)
_DER_HEAD_BYTES: Final = 32


def min_bytes(alg: str | None) -> int:
    """Return the smallest secret for an HMAC algorithm: its digest's size (RFC 7518 s.3.2)."""
    size = ALGORITHM_TABLE[alg].digest_bytes if alg is not None else None
    return HMAC_MIN_BYTES if size is None else size


def disguise(secret: bytes) -> str | None:
    """Say what public text a secret reads as.

    Args:
        secret: The decoded ``k``.

    Returns:
        Words for the text, or None for what may be a secret.
    """
    text = secret.replace(b"\0", b"")  # UTF-16 and NUL in front hide nothing
    upper = text.upper()
    if any(mark in upper for mark in _PEM_MARKS):  # CVE-2017-11424, CVE-2026-34950
        return "PEM text"
    if any(name in text[:64] for name in _SSH_TYPES):  # CVE-2022-29217
        return "an SSH public key"
    if b"{" in text[:64] and any(name in text for name in _JWK_NAMES):  # CVE-2026-48526
        return "JWK text"
    if secret[:1] == b"\x30" and any(kind in secret[:_DER_HEAD_BYTES] for kind in _DER_KEY_TYPES):
        return "a public key in DER"
    if secret[:2] == b"\x30\x82" and secret[4:6] == b"\x02\x82":  # RFC 8017 A.1.1: SEQUENCE { INTEGER n, ...
        return "an RSA key in DER"
    return None
