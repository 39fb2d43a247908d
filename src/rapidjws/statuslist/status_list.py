"""A status list: so many bits for each token of an issuer, packed and compressed.

Security: the compressed octets come from a server; what they may grow to is bounded before they are read.
Source: draft-ietf-oauth-status-list sections 4.1 and 4.2, RFC 1950.
"""

from __future__ import annotations

import zlib
from typing import Any, Final

from rapidjws import _native

BITS: Final = (1, 2, 4, 8)
VALID, INVALID, SUSPENDED = 0, 1, 2
"""The statuses that the draft names; all others are an application's (section 7.1)."""


class StatusListRefused(Exception):
    """Why a status list token brought no list.

    Attributes:
        reason: One stable word.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class StatusList:
    """The statuses of an issuer's tokens.

    Args:
        octets: Not compressed; the status of the first token stands in the lowest bits of the first octet.
        bits: For each token: 1, 2, 4 or 8.
    """

    __slots__ = ("_bits", "_octets", "_per_octet")

    def __init__(self, octets: bytes, bits: int) -> None:
        self._octets, self._bits, self._per_octet = octets, bits, 8 // bits

    def status(self, index: int) -> int | None:
        """Return the status of a token by its index, from 0 on; None where the list does not reach it."""
        at, place = divmod(index, self._per_octet)
        if at >= len(self._octets):
            return None
        return (self._octets[at] >> place * self._bits) & ((1 << self._bits) - 1)

    def __len__(self) -> int:
        return len(self._octets) * self._per_octet


def status_list_of(claim: Any, max_bytes: int) -> StatusList:
    """Return the list in the claim ``status_list``.

    Args:
        claim: Its value.
        max_bytes: The most octets that it may grow to.

    Raises:
        StatusListRefused: ``malformed``; ``too_large``.
    """
    if not isinstance(claim, dict):
        raise StatusListRefused("malformed")
    bits, packed = claim.get("bits"), claim.get("lst")
    if bits.__class__ is not int or bits not in BITS or not isinstance(packed, str) or not packed.isascii():
        raise StatusListRefused("malformed")
    compressed = _native.b64url_decode(packed.encode("ascii"))
    if not compressed:
        raise StatusListRefused("malformed")
    return StatusList(_inflated(compressed, max_bytes), bits)


def _inflated(compressed: bytes, max_bytes: int) -> bytes:
    """Return what is compressed in ZLIB's format, one whole stream and nothing behind it."""
    inflater = zlib.decompressobj()
    try:
        octets = inflater.decompress(compressed, max_bytes + 1)
    except zlib.error:
        raise StatusListRefused("malformed") from None
    if len(octets) > max_bytes:
        raise StatusListRefused("too_large")
    if not inflater.eof or inflater.unused_data or not octets:
        raise StatusListRefused("malformed")
    return octets
