"""What is stored beside a record: the token, and claims. Each part can be left out."""

from __future__ import annotations

import struct
from typing import Final

from rapidjws.errors import error_for

_PART: Final = struct.Struct(">cI")


def packed(token: bytes | None, claims: bytes | None) -> bytes:
    """Return the parts as they are stored."""
    found = b"" if token is None else _PART.pack(b"t", len(token)) + token
    return found if claims is None else found + _PART.pack(b"c", len(claims)) + claims


def unpacked(octets: bytes, place: str) -> dict[str, bytes]:
    """Return the parts: ``token``, ``claims``.

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
        name = {b"t": "token", b"c": "claims"}.get(kind)
        part = octets[at : at + length]
        if name is None or name in found or len(part) != length:
            raise error_for("audit_trail_invalid", place, "whole parts", "another one")
        found[name] = part
        at += length
    return found
