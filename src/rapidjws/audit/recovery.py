"""What a trail has after its last writer ended: out of the journal, or else out of the tiles."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rapidjws.audit.journal import FOLDER, read_segment, segments_of
from rapidjws.audit.merkle import TILE_WIDTH, Tree
from rapidjws.audit.tile_files import CHECKPOINT, TileReader
from rapidjws.errors import error_for

if TYPE_CHECKING:
    from pathlib import Path

    from rapidjws.audit.notes import Checkpoint

LOCK = "lock"


@dataclass(slots=True, kw_only=True)
class Recovered:
    """What a trail has.

    Attributes:
        tree: The tree at a multiple of 256 records, whose tiles are on the disk.
        entries: The records after that.
        contents: What is stored beside them.
        segments: The journal's files.
        number: The number of the next segment.
        torn_bytes: What a crash left of a record at the end.
    """

    tree: Tree
    entries: list[bytes] = field(default_factory=list, repr=False)
    contents: list[bytes] = field(default_factory=list, repr=False)
    segments: list[Path] = field(default_factory=list)
    number: int = 0
    torn_bytes: int = 0


def recovered(folder: Path, known: Checkpoint | None) -> Recovered:
    """Return what a trail has.

    Args:
        folder: The trail.
        known: Its checkpoint, or None where there is none.

    Raises:
        ConfigurationError: ``audit_trail_invalid``: it has less than its checkpoint, or is none.
        OSError: It cannot be read.
    """
    found: Recovered | None = None
    number, paths = 0, []
    for begin, at, path in segments_of(folder):
        number = max(number, at + 1)
        paths.append(path)
        segment = read_segment(begin, at, path)
        if segment is None:  # cut off before it had a record
            continue
        if found is None or begin < found.tree.size:  # each has all it began with
            found = Recovered(tree=segment.tree)
        first = found.tree.size
        if begin > first + len(found.entries):
            place = f"{FOLDER}/{path.name}:0"
            raise error_for("audit_trail_invalid", place, f"record {first + len(found.entries)}", begin)
        del found.entries[begin - first :], found.contents[begin - first :]  # written again after a fault
        found.entries += segment.entries
        found.contents += segment.contents
        found.torn_bytes += segment.size_bytes - segment.whole_bytes
    found = _from_tiles(folder, known) if found is None else found
    found.number, found.segments = number, paths
    size = found.tree.size + len(found.entries)
    if known is not None and known.size > size:
        raise error_for("audit_trail_invalid", f"{FOLDER}:{size}", f"{known.size} records", size)
    return found


def _from_tiles(folder: Path, known: Checkpoint | None) -> Recovered:
    """Return what the tiles of a checkpoint have, where there is no journal: a copy, or a new folder."""
    if known is None:
        strange = sorted(one for one in os.listdir(folder) if one not in (LOCK, FOLDER))
        if strange:
            place = f"{folder}/{strange[0]}:0"
            raise error_for("audit_trail_invalid", place, "an empty folder, or a trail with its checkpoint")
        return Recovered(tree=Tree())
    reader = TileReader(folder, known.size)
    levels: list[list[bytes]] = [[]]
    size = known.size // TILE_WIDTH
    while size:
        width = size % TILE_WIDTH
        levels.append(reader.hashes(len(levels), size // TILE_WIDTH)[:width] if width else [])
        size //= TILE_WIDTH
    found = Recovered(tree=Tree(levels, known.size - known.size % TILE_WIDTH))
    if known.size % TILE_WIDTH:
        last = known.size // TILE_WIDTH
        found.entries, found.contents = reader.entries(last), reader.contents(last)
    if not known.size and found.tree.root() != known.root:
        raise error_for("audit_trail_invalid", f"{CHECKPOINT}:0", "the root of an empty tree")
    return found
