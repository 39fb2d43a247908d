"""What the writer of a trail hands to a thread to be written: tiles, and what a checkpoint signs."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from rapidjws.audit.merkle import Tree

TileFile = tuple[str, bytes]


@dataclass(slots=True, kw_only=True)
class Publication:
    """What is to be written of a tree of one size.

    Attributes:
        size: Its size.
        root: Its root.
        files: The tiles and bundles: path and octets.
        tree: The tree at the last multiple of 256 records: what a journal needs to go on after these tiles.
        old_segments: Segments that are not needed once the tiles are on the disk.
        wants_spare: Whether the next segment is to overwrite a file of zeros.
    """

    size: int
    root: bytes
    files: list[TileFile]
    tree: Tree
    old_segments: list[Path] = field(default_factory=list)
    wants_spare: bool = False
