"""The tiles of a log as files (C2SP tlog-tiles): hash tiles, entry bundles, and proofs from them."""

from __future__ import annotations

import os
import struct
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rapidjws import _files
from rapidjws.audit.merkle import HASH_BYTES, TILE_HEIGHT, TILE_WIDTH, complete_root
from rapidjws.errors import error_for

if TYPE_CHECKING:
    from collections.abc import Sequence

ENTRY_MAX_BYTES: Final = 0xFFFF
CONTENT_MAX_BYTES: Final = 1 << 20
CONTENT: Final = "content"
BUNDLE_MAX_BYTES: Final = TILE_WIDTH * (ENTRY_MAX_BYTES + 2)
CHECKPOINT: Final = "checkpoint"
LEFT_OUT: Final = "contents-left-out"
"""Lies in a copy of a trail that was made without contents in clear."""

_LENGTHS: Final = {"entries": struct.Struct(">H"), CONTENT: struct.Struct(">I")}
_CACHED_TILES: Final = 64


def index_path(index: int) -> str:
    """Return a tile's number as a path: three digits a part, all but the last with an x before."""
    parts = [f"{index % 1000:03d}"]
    while index >= 1000:
        index //= 1000
        parts.append(f"x{index % 1000:03d}")
    return "/".join(reversed(parts))


def tile_path(level: int | str, index: int, width: int = TILE_WIDTH) -> str:
    """Return the path of a tile.

    Args:
        level: Its level, or ``"entries"`` for a bundle of entries.
        index: Its number at that level.
        width: How many hashes or entries it has.
    """
    whole = f"{CONTENT}" if level == CONTENT else f"tile/{level}"
    whole = f"{whole}/{index_path(index)}"
    return whole if width == TILE_WIDTH else f"{whole}.p/{width}"


def bundle(entries: Sequence[bytes], kind: str = "entries") -> bytes:
    """Return entries as a bundle holds them: their length before each, in two octets; of contents in four."""
    heads = map(_LENGTHS[kind].pack, map(len, entries))
    return b"".join(chain.from_iterable(zip(heads, entries, strict=True)))


def split_bundle(octets: bytes, width: int, place: str, kind: str = "entries") -> list[bytes]:
    """Return the entries of a bundle.

    Raises:
        ConfigurationError: ``audit_trail_invalid``: with the offset at which it ends early or goes on.
    """
    found: list[bytes] = []
    at, length = 0, _LENGTHS[kind]
    for _ in range(width):
        if at + length.size > len(octets):
            raise error_for("audit_trail_invalid", f"{place}:{at}", f"{width} entries", f"{len(found)}")
        end = at + length.size + length.unpack_from(octets, at)[0]
        if end > len(octets):
            raise error_for("audit_trail_invalid", f"{place}:{at}", f"{width} entries", f"{len(found)}")
        found.append(octets[at + length.size : end])
        at = end
    if at != len(octets):
        raise error_for("audit_trail_invalid", f"{place}:{at}", f"{width} entries", "more octets")
    return found


def write_tile(folder: Path, path: str, octets: bytes, *, sync: bool = False) -> None:
    """Write a tile whole, in a folder that is made where it is not there."""
    file, own = folder / path, path.startswith(f"{CONTENT}/")  # tokens and claims: for the owner only
    file.parent.mkdir(mode=0o700 if own else 0o755, parents=True, exist_ok=True)
    _files.replace(file, octets, mode=0o600 if own else 0o644, sync=sync)


class TileReader:
    """The tiles of a log of one size in a folder.

    Args:
        folder: The trail.
        size: The number of records, as a checkpoint says.
    """

    def __init__(self, folder: str | os.PathLike[str], size: int) -> None:
        self._folder = str(Path(folder))
        self.size = size
        self._tile = lru_cache(_CACHED_TILES)(self._read_hashes)

    def _read(self, level: int | str, index: int, width: int, limit: int) -> tuple[bytes, str, int]:
        """Return a tile's octets, its path and its width; the complete tile serves for an incomplete one."""
        fault: OSError | None = None
        for wide in dict.fromkeys((width, TILE_WIDTH)):
            path = tile_path(level, index, wide)
            try:
                return _files.read_trusted(f"{self._folder}/{path}", limit), path, wide
            except OSError as missing:
                fault = fault or missing
        path = tile_path(level, index, width)
        words = fault.strerror if fault is not None and fault.strerror else "not readable"
        raise error_for("audit_trail_invalid", f"{path}:0", f"a tile of {width}", words)

    def _width(self, level: int, index: int) -> int:
        """Return how many hashes a tile has in a log of this size."""
        return min(TILE_WIDTH, (self.size >> (TILE_HEIGHT * level)) - index * TILE_WIDTH)

    def _bundle_width(self, index: int) -> int:
        """Return how many entries a bundle has; refuse one that this log has not."""
        bundles = (self.size + TILE_WIDTH - 1) // TILE_WIDTH
        if not 0 <= index < bundles:
            raise error_for("configuration_invalid", "bundle", f"0 to {bundles - 1}", index)
        return self._width(0, index)

    def _read_hashes(self, level: int, index: int) -> list[bytes]:
        octets = self.hash_octets(level, index)
        return [octets[at : at + HASH_BYTES] for at in range(0, len(octets), HASH_BYTES)]

    def hash_octets(self, level: int, index: int) -> bytes:
        """Return the hashes of a tile as they lie there; raises as :meth:`hashes`."""
        width = self._width(level, index)
        octets, path, wide = self._read(level, index, width, TILE_WIDTH * HASH_BYTES)
        if len(octets) != wide * HASH_BYTES:
            raise error_for("audit_trail_invalid", f"{path}:{len(octets)}", f"{wide} hashes", len(octets))
        return octets[: width * HASH_BYTES]

    def hashes(self, level: int, index: int) -> list[bytes]:
        """Return the hashes of a tile.

        Raises:
            ConfigurationError: ``audit_trail_invalid``: it is not there, or not of its size.
        """
        return self._tile(level, index)

    def entry_octets(self, index: int) -> tuple[bytes, str]:
        """Return a bundle's octets, which nobody looked at, and its path; raises as :meth:`entries`."""
        width = self._bundle_width(index)
        octets, path, wide = self._read("entries", index, width, BUNDLE_MAX_BYTES)
        return (octets if wide == width else bundle(split_bundle(octets, wide, path)[:width])), path

    def entries(self, index: int) -> list[bytes]:
        """Return the entries of a bundle, from leaf ``256 * index`` on.

        Raises:
            ConfigurationError: ``audit_trail_invalid``: it is not there, or not of its size.
        """
        octets, path = self.entry_octets(index)
        return split_bundle(octets, self._bundle_width(index), path)

    def content_octets(self, index: int) -> tuple[bytes, str] | None:
        """Return the octets beside a bundle and their path, or None; raises as :meth:`contents`."""
        width = self._bundle_width(index)
        wides = dict.fromkeys((width, TILE_WIDTH))
        if not any(os.path.exists(f"{self._folder}/{tile_path(CONTENT, index, wide)}") for wide in wides):
            return None
        octets, path, wide = self._read(CONTENT, index, width, TILE_WIDTH * CONTENT_MAX_BYTES)
        if wide != width:
            octets = bundle(split_bundle(octets, wide, path, CONTENT)[:width], CONTENT)
        return octets, path

    def contents(self, index: int) -> list[bytes]:
        """Return what is stored beside the entries of a bundle; nothing for each where nothing is.

        Raises:
            ConfigurationError: ``audit_trail_invalid``: it is not of its size.
        """
        found, width = self.content_octets(index), self._bundle_width(index)
        return [b""] * width if found is None else split_bundle(found[0], width, found[1], CONTENT)

    def subtree(self, height: int, index: int) -> bytes:
        """Return the hash of a complete subtree, out of the lowest tile that has it."""
        level, above = divmod(height, TILE_HEIGHT)
        first = index << above
        tile, at = divmod(first, TILE_WIDTH)
        return complete_root(self.hashes(level, tile)[at : at + (1 << above)])
