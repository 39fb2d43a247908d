"""What is stored beside a record: the token, and claims. Each part can be left out, encrypted or erased."""

from __future__ import annotations

import struct
from typing import Final

from rapidjws.errors import error_for

SALT_BYTES: Final = 16
SEALED: Final = "encrypted"
_PART: Final = struct.Struct(">cI")
_KINDS: Final = {b"t": "token", b"c": "claims", b"e": SEALED}


def packed(token: bytes | None, claims: bytes | None) -> bytes:
    """Return the parts as they are stored.

    Args:
        token: The token, or None.
        claims: The claims behind their salt, or None: who knows a digest alone cannot guess them.
    """
    found = b"" if token is None else _PART.pack(b"t", len(token)) + token
    return found if claims is None else found + _PART.pack(b"c", len(claims)) + claims


def sealed_part(octets: bytes) -> bytes:
    """Return encrypted parts as they are stored."""
    return _PART.pack(b"e", len(octets)) + octets


def unpacked(octets: bytes, place: str) -> dict[str, bytes]:
    """Return the parts: ``token`` and ``claims`` behind their salt of 16 octets, or ``encrypted``.

    Raises:
        ConfigurationError: ``audit_trail_invalid``.
    """
    found: dict[str, bytes] = {}
    at = 0
    while at < len(octets):
        if at + _PART.size > len(octets):
            raise error_for("audit_trail_invalid", place, "whole parts", "a cut one")
        kind, length = _PART.unpack_from(octets, at)
        at += _PART.size
        name = _KINDS.get(kind)
        part = octets[at : at + length]
        if name is None or name in found or len(part) != length:
            raise error_for("audit_trail_invalid", place, "whole parts", "another one")
        found[name] = part
        at += length
    if SEALED in found and len(found) > 1:
        raise error_for("audit_trail_invalid", place, "encrypted parts alone", "more")
    return found
