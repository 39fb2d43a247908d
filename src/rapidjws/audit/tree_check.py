"""The check of a trail's tree: every record, tile and bundle against the signed root."""

from __future__ import annotations

import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rapidjws import _files
from rapidjws._checks import checked
from rapidjws.audit.journal import FOLDER, read_segment, segments_of
from rapidjws.audit.merkle import HASH_BYTES, TILE_WIDTH, Tree, leaf_hash
from rapidjws.audit.tile_files import BUNDLE_MAX_BYTES, bundle, index_path, tile_path
from rapidjws.errors import RapidJWSError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rapidjws.audit.tile_files import TileReader

_TILE_FILE: Final = re.compile(r"tile/([0-9]|entries)/((?:x[0-9]{3}/)*[0-9]{3})(?:\.p/([0-9]{1,3}))?")
FINDINGS_MAX: Final = 10_000


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that is not as it was signed or decided.

    Attributes:
        code: A stable word: ``record_altered``, ``tile_altered``, ``root_differs``, ``file_unreadable``,
            ``file_unexpected``, ``journal_altered``.
        place: The file and the offset.
        record: The index of the record, or None.
        expected: What was signed or decided.
        actual: What was found.
        cause: What is at fault, in words.
    """

    code: str
    place: str
    record: int | None = None
    expected: str | None = None
    actual: str | None = None
    cause: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return asdict(self)


class TreeCheck:
    """The check of all tiles and records of a trail.

    Args:
        folder: The trail.
        reader: Its tiles.
        root: The root that its checkpoint signs.
    """

    def __init__(self, folder: Path, reader: TileReader, root: bytes) -> None:
        self._folder, self._reader, self._root = folder, reader, root
        self.findings: list[Finding] = []
        self._of_records = Tree()  # grown from the records
        self._of_tiles = Tree()  # grown from the hashes that the lowest tiles hold
        self._doubtful: list[tuple[int, str]] = []  # records whose hash is not the tile's

    def run(self, each: Callable[[int, list[bytes]], None] | None = None) -> list[Finding]:
        """Check everything; return what was found.

        Args:
            each: Is given the entries of each bundle with the index of the first.
        """
        for index in range((self._reader.size + TILE_WIDTH - 1) // TILE_WIDTH):
            entries = self._bundle(index)
            if each is not None and entries is not None:
                each(index * TILE_WIDTH, entries)
        self._conclude()
        self._check_upper(self._of_records if self._of_records.root() == self._root else self._of_tiles)
        self._check_leftovers()
        self._check_journal()
        return self.findings

    def _add(self, finding: Finding) -> None:
        if len(self.findings) < FINDINGS_MAX:
            self.findings.append(finding)

    def _unreadable(self, fault: RapidJWSError) -> None:
        self._add(Finding(code="file_unreadable", place=str(fault.place), expected=str(fault.expected),
                          actual=str(fault.actual), cause="a file is missing, cut or longer"))  # fmt: skip

    def _bundle(self, index: int) -> list[bytes] | None:
        """Compare a bundle with its tile; return its entries."""
        entries: list[bytes] | None = None
        hashes: list[bytes] | None = None
        try:
            hashes = self._reader.hashes(0, index)
        except RapidJWSError as fault:
            self._unreadable(fault)
        try:
            entries = self._reader.entries(index)
        except RapidJWSError as fault:
            self._unreadable(fault)
        width = min(TILE_WIDTH, self._reader.size - index * TILE_WIDTH)
        leaves = hashes or [b""] * width if entries is None else [leaf_hash(one) for one in entries]
        hashes = leaves if hashes is None else hashes
        self._of_records.append(leaves)
        self._of_tiles.append(hashes)
        for at, (leaf, stored) in enumerate(zip(leaves, hashes, strict=False)):
            if leaf != stored and entries is not None:
                offset = sum(len(one) + 2 for one in entries[:at])
                self._doubtful.append((index * TILE_WIDTH + at, f":{offset}"))
        return entries

    def _conclude(self) -> None:
        """Say for each record that differs from its tile which of both is at fault."""
        records_good = self._of_records.root() == self._root
        tiles_good = self._of_tiles.root() == self._root
        for record, offset in self._doubtful:
            index, at = divmod(record, TILE_WIDTH)
            width = min(TILE_WIDTH, self._reader.size - index * TILE_WIDTH)
            tile = f"{tile_path(0, index, width)}:{at * HASH_BYTES}"
            if records_good:
                self._add(Finding(code="tile_altered", place=tile, record=record,
                                  cause="the tile; the record is as it was signed"))  # fmt: skip
            else:
                place = tile_path("entries", index, width) + offset
                cause = "the record" if tiles_good else f"the record, or {tile}"
                self._add(Finding(code="record_altered", place=place, record=record, cause=cause))
        if not records_good and not tiles_good:
            self._add(Finding(
                code="root_differs", place="checkpoint:0", expected=self._root.hex(),
                actual=self._of_tiles.root().hex(), cause="another tree, or several altered"
            ))  # fmt: skip

    def _check_upper(self, good: Tree) -> None:
        """Compare the upper tiles with those that the lowest ones make."""
        tree = Tree()
        made = {}
        for index in range((self._reader.size + TILE_WIDTH - 1) // TILE_WIDTH):
            try:
                hashes = self._reader.hashes(0, index) if good is self._of_tiles else None
                leaves = hashes or [leaf_hash(one) for one in self._reader.entries(index)]
            except RapidJWSError:
                return
            for level, number, octets in tree.append(leaves):
                made[level, number] = octets
                if level == 0:
                    del made[level, number]
        for level, number, octets in tree.incomplete():
            made[level, number] = octets
        for (level, number), octets in sorted(made.items()):
            if level == 0:
                continue
            try:
                found = b"".join(self._reader.hashes(level, number))
            except RapidJWSError as fault:
                self._unreadable(fault)
                continue
            if found != octets:
                at = next(
                    i for i in range(0, len(octets), HASH_BYTES) if found[i : i + 32] != octets[i : i + 32]
                )
                place = f"{tile_path(level, number, len(octets) // HASH_BYTES)}:{at}"
                self._add(Finding(code="tile_altered", place=place, cause="the tile"))

    def _check_leftovers(self) -> None:
        """Compare files that the tree does not need: tiles of earlier sizes, and what is no tile."""
        for path in self._tile_files():
            named = _TILE_FILE.fullmatch(path)
            if named is None:
                self._add(Finding(code="file_unexpected", place=f"{path}:0", cause="no tile of a log"))
                continue
            if named[3] is not None:
                self._check_leftover(path, named[1], named[2], int(named[3]))

    def _tile_files(self) -> Iterator[str]:
        for folder, _, names in os.walk(self._folder / "tile"):
            for name in sorted(names):
                path = os.path.relpath(os.path.join(folder, name), self._folder)
                if not (name.startswith(".") and name.endswith(".tmp")):
                    yield path.replace(os.sep, "/")

    def _check_leftover(self, path: str, level: str, shown: str, width: int) -> None:
        index = int(shown.replace("x", "").replace("/", ""))
        if index_path(index) != shown or not 0 < width < TILE_WIDTH:
            self._add(Finding(code="file_unexpected", place=f"{path}:0", cause="no tile of a log"))
            return
        try:
            if level == "entries":
                wanted = bundle(self._reader.entries(index)[:width])
            else:
                wanted = b"".join(self._reader.hashes(int(level), index)[:width])
            found = _files.read_trusted(self._folder / path, BUNDLE_MAX_BYTES)
        except (RapidJWSError, OSError):
            return  # a later tile than the checkpoint's, or one that is reported already
        if not (found.startswith(wanted) if len(wanted) < len(found) else found == wanted):
            at = next((i for i, (a, b) in enumerate(zip(found, wanted, strict=False)) if a != b), len(found))
            self._add(Finding(code="tile_altered", place=f"{path}:{at}", cause="a tile of an earlier size"))

    def _check_journal(self) -> None:
        """Compare the journal, where there is one, with the bundles."""
        try:
            segments = segments_of(self._folder)
        except OSError:
            return  # a copy of the log alone
        for start, number, path in segments:
            place = f"{FOLDER}/{path.name}"
            try:
                found = read_segment(start, number, path)
            except RapidJWSError as fault:
                self._add(Finding(code="journal_altered", place=str(fault.place), cause="the journal"))
                continue
            except OSError:
                continue  # the sequencer was quicker
            if found is None:
                continue
            if found.whole_bytes < found.size_bytes:
                self._add(Finding(code="journal_altered", place=f"{place}:{found.whole_bytes}",
                                  record=start + len(found.entries),
                                  cause="the journal, or a record that is being written"))  # fmt: skip
            for at in range(0, len(found.entries), TILE_WIDTH):
                self._compare(found.entries[at : at + TILE_WIDTH], start + at, place)

    def _compare(self, entries: list[bytes], first: int, place: str) -> None:
        if first >= self._reader.size:
            return
        try:
            stored = self._reader.entries(first // TILE_WIDTH)
        except RapidJWSError:
            return
        for at, (entry, other) in enumerate(zip(entries, stored, strict=False)):
            if entry != other:
                self._add(Finding(code="journal_altered", place=f"{place}:0", record=first + at,
                                  cause="the journal and the log have different records"))  # fmt: skip
