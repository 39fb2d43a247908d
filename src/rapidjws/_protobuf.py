"""The protobuf wire format: fields by number, lengths checked, no descriptors.

Reading never fails but with ValueError, and never copies more than it returns.
Source: protobuf.dev, "Encoding".
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

VARINT: Final = 0
FIXED64: Final = 1
LENGTH: Final = 2
FIXED32: Final = 5
_WIDTHS: Final = {FIXED64: 8, FIXED32: 4}
VARINT_MAX_BYTES: Final = 10
_SHORT: Final = tuple([bytes((number,)) for number in range(0x80)])


def _varint(octets: bytes, at: int, end: int) -> tuple[int, int]:
    """Return a varint and where it ends.

    Raises:
        ValueError: It is cut off, or longer than 64 bits allow.
    """
    if at < end and octets[at] < 0x80:
        return octets[at], at + 1
    value = 0
    for number in range(VARINT_MAX_BYTES):
        if at + number >= end:
            break
        octet = octets[at + number]
        value |= (octet & 0x7F) << 7 * number
        if octet < 0x80:
            return value, at + number + 1
    raise ValueError("varint")


def spans(octets: bytes, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield (number, start, end) of each length-delimited field of a message within bounds; skip all others.

    Args:
        octets: What holds the message.
        start: Where it begins.
        end: Where it ends.

    Raises:
        ValueError: A field is cut off or of an unknown kind (groups are not used since proto2).
    """
    at = start
    while at < end:
        tag, at = _varint(octets, at, end)
        kind = tag & 7
        if kind == LENGTH:
            size, at = _varint(octets, at, end)
            if size > end - at:
                raise ValueError("length")
            yield tag >> 3, at, at + size
            at += size
        elif kind == VARINT:
            _, at = _varint(octets, at, end)
        elif kind in _WIDTHS and _WIDTHS[kind] <= end - at:
            at += _WIDTHS[kind]
        else:
            raise ValueError("kind")


def varint(number: int) -> bytes:
    """Return a number from 0 on as a varint."""
    if 0 <= number <= 0x7F:
        return _SHORT[number]
    made = bytearray()
    while number > 0x7F:
        made.append(number & 0x7F | 0x80)
        number >>= 7
    made.append(number)
    return bytes(made)


def field(number: int, value: bytes | str) -> bytes:
    """Return a length-delimited field."""
    octets = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | LENGTH) + varint(len(octets)) + octets


def unsigned(number: int, value: int) -> bytes:
    """Return a field of a number from 0 on, 0 as well (proto2)."""
    return varint(number << 3 | VARINT) + varint(value)


def signed(number: int, value: int) -> bytes:
    """Return a field of a signed number in zigzag (sint32, sint64)."""
    return varint(number << 3 | VARINT) + varint(value << 1 if value >= 0 else (-value << 1) - 1)


def double(number: int, value: float) -> bytes:
    """Return a field of a double."""
    return varint(number << 3 | FIXED64) + struct.pack("<d", value)


def number_field(number: int, value: int) -> bytes:
    """Return a field of a number from 0 on; proto3 leaves 0 out."""
    return unsigned(number, value) if value else b""
