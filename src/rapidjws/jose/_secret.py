"""HMAC secrets: long enough, and no public text in disguise (RFC 7518 s.3.2, RFC 8725 s.2.1).

Algorithm confusion starts with a public key used as a secret; so whatever reads as PEM, SSH, JWK, a DER
public key or a point is refused: with any white space, byte order mark or NUL around it, in any case of its
letters, and under hex or base64. Entropy is not guessed.
"""

from __future__ import annotations

import binascii
import re
from typing import TYPE_CHECKING, Final

from rapidjws.jose import _der
from rapidjws.jose._curves import WEIERSTRASS, weierstrass_fault
from rapidjws.jose.jwa import ALGORITHM_TABLE
from rapidjws.jose.limits import HMAC_MIN_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator

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
_SSH_BLOB: Final = re.compile(rb"\0\0\0[\x07-\x40](?:sk-)?(?:ssh|ecdsa)-[a-z0-9@.-]+")  # RFC 4253 s.6.6
_JWK_NAMES: Final = (b'"kty"', b'"keys"', b"'kty'", b"'keys'")
_DER_KEY_TYPES: Final = (
    bytes.fromhex("06092a864886f70d0101"),  # RSA: 1.2.840.113549.1.1.*
    bytes.fromhex("06072a8648ce3d0201"),  # EC: 1.2.840.10045.2.1
    bytes.fromhex("06032b6570"),  # Ed25519: 1.3.101.112
    bytes.fromhex("06032b6571"),  # Ed448: 1.3.101.113
    bytes.fromhex("06096086480165030403"),  # ML-DSA: 2.16.840.1.101.3.4.3.*
)
_DER_HEAD_BYTES: Final = 32
_DER_KINDS: Final = {"PUBLIC KEY", "RSA PUBLIC KEY", "CERTIFICATE"}
_SPELLINGS_DEEP: Final = 3
"""Encodings undone one after the other: hex of a PEM, base64 of base64."""
_HEX: Final = re.compile(rb"(?:0x)?(?:[0-9A-Fa-f]{2}[\s:,-]*)+")
_BASE64: Final = re.compile(rb"[A-Za-z0-9+/_-]+={0,2}")


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
    return _disguise(secret, _SPELLINGS_DEEP)


def _disguise(octets: bytes, deep: int) -> str | None:
    """Say what octets read as, in this spelling or under hex or base64."""
    text = octets.replace(b"\0", b"").lstrip(b"\xff\xfe\xef\xbb\xbf").strip()  # UTF-16, byte order marks
    found = _public_text(text) or _public_octets(octets.strip(b"\r\n \t")) or _public_octets(octets)
    if found is not None or deep == 0:
        return found
    return next((words for inner in _unwrapped(text) if (words := _disguise(inner, deep - 1))), None)


def _public_text(text: bytes) -> str | None:
    """Say what a key a text holds, however its letters are cased."""
    upper, lower = text.upper(), text.lower()
    if any(mark in upper for mark in _PEM_MARKS):  # CVE-2017-11424, CVE-2026-34950
        return "PEM text"
    if any(name in lower for name in _SSH_TYPES):  # CVE-2022-29217; options may stand before the type
        return "an SSH public key"
    if b"{" in text[:64] and any(name in lower for name in _JWK_NAMES):  # CVE-2026-48526
        return "JWK text"
    return None


def _public_octets(octets: bytes) -> str | None:
    """Say what a key octets hold."""
    if _SSH_BLOB.match(octets):
        return "an SSH public key"
    if octets[:1] == b"\x30" and any(kind in octets[:_DER_HEAD_BYTES] for kind in _DER_KEY_TYPES):
        return "a public key in DER"
    if octets[:2] == b"\x30\x82" and octets[4:6] == b"\x02\x82":  # RFC 8017 A.1.1: SEQUENCE { INTEGER n, ...
        return "an RSA key in DER"
    if octets[:1] == b"\x30" and _der.label_of(octets) in _DER_KINDS:
        return "a public key in DER"
    return "a point of a curve" if _is_point(octets) else None


def _is_point(octets: bytes) -> bool:
    """Say whether octets are an uncompressed point of a curve of JOSE (SEC 1 s.2.3.3)."""
    if octets[:1] != b"\x04":
        return False
    half = len(octets) // 2
    return any(
        len(octets) == 1 + 2 * curve.coordinate_bytes
        and weierstrass_fault(curve, octets[1 : 1 + half], octets[1 + half :]) is None
        for curve in WEIERSTRASS.values()
    )


def _unwrapped(text: bytes) -> Iterator[bytes]:
    """Yield what a text stands for when it is hex or base64."""
    if _HEX.fullmatch(text):
        yield binascii.unhexlify(re.sub(rb"[\s:,-]|^0x", b"", text))
    packed = b"".join(text.split()).removeprefix(b"data:").rpartition(b",")[2]
    if _BASE64.fullmatch(packed):
        digits = packed.rstrip(b"=").translate(bytes.maketrans(b"-_", b"+/"))
        if len(digits) % 4 != 1:
            yield binascii.a2b_base64(digits + b"=" * (-len(digits) % 4))
