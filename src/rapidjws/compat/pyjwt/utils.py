"""Helpers of ``jwt.utils``: base64url as PyJWT's lenient functions read it, numbers, and what a key text is.

No token is read by these: tokens are read strictly, by the engine's own decoder.
"""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurve


def force_bytes(value: str | bytes) -> bytes:
    """Return text as UTF-8; raises TypeError for what is neither text nor bytes."""
    if isinstance(value, str):
        return value.encode("utf-8")
    if isinstance(value, bytes):
        return value
    raise TypeError("Expected a string or bytes value")


def base64url_decode(input: str | bytes) -> bytes:  # PyJWT's name of the parameter
    """Decode base64url with or without padding, as the standard library reads it; no token is read so."""
    octets = force_bytes(input)
    return base64.urlsafe_b64decode(octets + b"=" * (-len(octets) % 4))


def base64url_encode(input: bytes) -> bytes:
    """Encode as base64url without padding (RFC 7515 s.2)."""
    return base64.urlsafe_b64encode(input).rstrip(b"=")


def bytes_from_int(val: int, *, bit_length: int | None = None) -> bytes:
    """Return a number's octets, big-endian; raises OverflowError where they do not fit."""
    bits = val.bit_length() if bit_length is None else bit_length
    return val.to_bytes((bits + 7) // 8, "big")


def to_base64url_uint(val: int, *, bit_length: int | None = None) -> bytes:
    """Return a Base64urlUInt (RFC 7518 s.2); raises ValueError for a negative number."""
    if val < 0:
        raise ValueError("Must be a positive integer")
    return base64url_encode(bytes_from_int(val, bit_length=bit_length) or b"\0")


def from_base64url_uint(val: str | bytes) -> int:
    """Return the number of a Base64urlUInt."""
    return int.from_bytes(base64url_decode(val), "big")


def number_to_bytes(num: int, num_bytes: int) -> bytes:
    """Return a number as that many octets, big-endian."""
    return num.to_bytes(num_bytes, "big")


def bytes_to_number(string: bytes) -> int:
    """Return the number of octets, big-endian."""
    return int.from_bytes(string, "big")


def der_to_raw_signature(der_sig: bytes, curve: EllipticCurve) -> bytes:
    """Return R || S of an ECDSA signature in DER (RFC 7518 s.3.4)."""
    size = (curve.key_size + 7) // 8
    r, s = decode_dss_signature(der_sig)
    return number_to_bytes(r, size) + number_to_bytes(s, size)


def raw_to_der_signature(raw_sig: bytes, curve: EllipticCurve) -> bytes:
    """Return the DER of an ECDSA signature R || S; raises ValueError for another length."""
    size = (curve.key_size + 7) // 8
    if len(raw_sig) != 2 * size:
        raise ValueError("Invalid signature")
    der: bytes = encode_dss_signature(bytes_to_number(raw_sig[:size]), bytes_to_number(raw_sig[size:]))
    return der


_PEM_LABELS: Final = (
    b"CERTIFICATE",
    b"TRUSTED CERTIFICATE",
    b"NEW CERTIFICATE REQUEST",
    b"CERTIFICATE REQUEST",
    b"X509 CRL",
    b"PRIVATE KEY",
    b"PUBLIC KEY",
    b"ENCRYPTED PRIVATE KEY",
    b"OPENSSH PRIVATE KEY",
    b"DSA PRIVATE KEY",
    b"RSA PRIVATE KEY",
    b"RSA PUBLIC KEY",
    b"EC PRIVATE KEY",
    b"DH PARAMETERS",
    b"SSH2 PUBLIC KEY",
    b"SSH2 ENCRYPTED PRIVATE KEY",
)
_MARKER: Final = re.compile(rb"(?=----[- ](BEGIN|END) (" + b"|".join(_PEM_LABELS) + rb")[- ]----)")
_SSH_TYPES: Final = (
    b"ssh-ed25519",
    b"ssh-rsa",
    b"ssh-dss",
    b"ecdsa-sha2-nistp256",
    b"ecdsa-sha2-nistp384",
    b"ecdsa-sha2-nistp521",
)


def is_pem_format(key: bytes) -> bool:
    """Say whether a text holds a PEM block: a first line, and later the last line of the same label."""
    begun: set[bytes] = set()
    for marker in _MARKER.finditer(key):
        kind, label = marker.groups()
        if kind == b"BEGIN":
            begun.add(label)
        elif label in begun:
            return True
    return False


def is_ssh_key(key: bytes) -> bool:
    """Say whether a text is a public key of SSH."""
    return key.startswith(_SSH_TYPES)
