"""Read what a shared object gives and asks: its dynamic symbols and its needed libraries. ELF, 64 bits.

Where a wheel is tried out there is no binutils, so this reads the file itself.
Source: System V ABI, chapters 4 and 5.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import NamedTuple

SHT_DYNAMIC, SHT_DYNSYM = 6, 11
DT_NEEDED = 1


class Shared(NamedTuple):
    """What the dynamic linker sees of a shared object."""

    defined: frozenset[str]
    undefined: frozenset[str]
    needed: frozenset[str]


def _text(strings: bytes, offset: int) -> str:
    return strings[offset : strings.index(b"\0", offset)].decode()


def shared(path: Path) -> Shared:
    """Read a shared object."""
    octets = path.read_bytes()
    assert octets[:6] == b"\x7fELF\x02\x01", "no little-endian 64-bit ELF file"
    (table,) = struct.unpack_from("<Q", octets, 40)
    size, count = struct.unpack_from("<HH", octets, 58)
    # name, type, flags, address, offset, size, link, info, alignment, size of an entry
    sections = [struct.unpack_from("<IIQQQQIIQQ", octets, table + size * one) for one in range(count)]
    defined, undefined, needed = set(), set(), set()
    for _, kind, _, _, offset, length, link, *_ in sections:
        if kind not in (SHT_DYNAMIC, SHT_DYNSYM):
            continue
        strings = octets[sections[link][4] :][: sections[link][5]]
        content = octets[offset : offset + length]
        if kind == SHT_DYNSYM:
            for name, _, _, section, _, _ in struct.iter_unpack("<IBBHQQ", content):
                (defined if section else undefined).add(_text(strings, name))
        else:
            needed |= {
                _text(strings, at) for tag, at in struct.iter_unpack("<QQ", content) if tag == DT_NEEDED
            }
    return Shared(frozenset(defined - {""}), frozenset(undefined - {""}), frozenset(needed))
