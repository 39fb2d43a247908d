"""The check of a trail's tree: every record, tile and bundle against the signed root."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rapidjws import _files
from rapidjws.audit.bundle_check import FINDINGS_MAX, Finding, TreePart, unreadable
from rapidjws.audit.journal import FOLDER, read_segment, segments_of
from rapidjws.audit.merkle import HASH_BYTES, TILE_WIDTH, Tree
from rapidjws.audit.tile_files import BUNDLE_MAX_BYTES, bundle, index_path, tile_path
from rapidjws.errors import RapidJWSError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from rapidjws.audit.tile_files import TileReader

_TILE_FILE: Final = re.compile(r"tile/([0-9]|entries)/((?:x[0-9]{3}/)*[0-9]{3})(?:\.p/([0-9]{1,3}))?")


def _hashes(octets: bytes | bytearray) -> list[bytes]:
    return [bytes(octets[at : at + HASH_BYTES]) for at in range(0, len(octets), HASH_BYTES)]


class _KnownTree:
    """A tree by the roots of its complete bundles, and the hashes of the records after."""

    def __init__(self, roots: bytearray, tail: bytes) -> None:
        upper = Tree()
        self.tiles = [(level + 1, index, octets) for level, index, octets in upper.append(_hashes(roots))]
        self.tiles += [(level + 1, index, octets) for level, index, octets in upper.incomplete()]
        levels = [_hashes(tail), *upper.levels]
        self.root = Tree(levels, upper.size * TILE_WIDTH + len(levels[0])).root()


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
        self._whole = TreePart()

    def check_beside(self) -> list[Finding]:
        """Check the files that the tree does not need: tiles of earlier sizes, and the journal."""
        before, self.findings = self.findings, []
        self._check_leftovers()
        self._check_journal()
        found, self.findings = self.findings, before
        return found

    def conclude(self, parts: Iterable[TreePart], beside: Sequence[Finding] | None = None) -> list[Finding]:
        """Check the tree that the bundles make, and all files beside them; return what was found.

        Args:
            parts: What the bundles say, all of them in their order.
            beside: What :meth:`check_beside` found; None to check that here.
        """
        whole = self._whole
        for part in parts:
            for one in part.findings:
                self._add(one)
            whole.of_records += part.of_records
            whole.of_tiles += part.of_tiles
            whole.records_tail, whole.tiles_tail = part.records_tail, part.tiles_tail
            whole.doubtful += part.doubtful[: FINDINGS_MAX - len(whole.doubtful)]
        of_records = _KnownTree(whole.of_records, whole.records_tail)
        same = whole.of_records == whole.of_tiles and whole.records_tail == whole.tiles_tail
        of_tiles = of_records if same else _KnownTree(whole.of_tiles, whole.tiles_tail)
        self._check_root(of_records, of_tiles)
        self._check_upper(of_records if of_records.root == self._root else of_tiles)
        for one in self.check_beside() if beside is None else beside:
            self._add(one)
        return self.findings

    def _add(self, finding: Finding) -> None:
        if len(self.findings) < FINDINGS_MAX:
            self.findings.append(finding)

    def _check_root(self, of_records: _KnownTree, of_tiles: _KnownTree) -> None:
        """Say for each record that differs from its tile which of both is at fault."""
        records_good, tiles_good = of_records.root == self._root, of_tiles.root == self._root
        for record, offset in self._whole.doubtful:
            index, at = divmod(record, TILE_WIDTH)
            width = min(TILE_WIDTH, self._reader.size - index * TILE_WIDTH)
            tile = f"{tile_path(0, index, width)}:{at * HASH_BYTES}"
            if records_good:
                self._add(Finding(code="tile_altered", place=tile, record=record,
                                  cause="the tile; the record is as it was signed"))  # fmt: skip
            else:
                place = f"{tile_path('entries', index, width)}:{offset}"
                cause = "the record" if tiles_good else f"the record, or {tile}"
                self._add(Finding(code="record_altered", place=place, record=record, cause=cause))
        if not records_good and not tiles_good:
            self._add(Finding(
                code="root_differs", place="checkpoint:0", expected=self._root.hex(),
                actual=of_tiles.root.hex(), cause="another tree, or several altered"
            ))  # fmt: skip

    def _check_upper(self, good: _KnownTree) -> None:
        """Compare the upper tiles with those that the lowest ones make."""
        for level, number, octets in sorted(good.tiles):
            try:
                found = self._reader.hash_octets(level, number)
            except RapidJWSError as fault:
                self._add(unreadable(fault))
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
        whole = str(self._folder / "tile")
        for folder, _, names in os.walk(whole):
            inner = "tile" + folder[len(whole) :].replace(os.sep, "/")
            for name in sorted(names):
                if not (name.startswith(".") and name.endswith(".tmp")):
                    yield f"{inner}/{name}"

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
