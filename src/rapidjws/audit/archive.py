"""An archive of a trail: segments in Parquet, keys and policies, and checkpoints, in a folder or in S3.

A checkpoint goes last: what it covers is whole, whatever was interrupted. A run goes on where one ended.
"""

from __future__ import annotations

import contextlib
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rapidjws import _files
from rapidjws._checks import checked
from rapidjws.audit import disk
from rapidjws.audit.archive_beside import beside, check_earlier, restore_beside
from rapidjws.audit.archive_stores import ArchiveStore
from rapidjws.audit.erasure import ERASURES
from rapidjws.audit.merkle import TILE_WIDTH, Tree, leaf_hash
from rapidjws.audit.notes import Checkpoint, NoteKey
from rapidjws.audit.objects import OBJECTS
from rapidjws.audit.publication import TileFile
from rapidjws.audit.records import digest
from rapidjws.audit.segment_files import (
    SEGMENT_RECORDS,
    SealedSegment,
    read_segment_file,
    segment_name,
    segment_octets,
)
from rapidjws.audit.side_content import SEALED, unpacked
from rapidjws.audit.tile_files import (
    CHECKPOINT,
    CONTENT,
    LEFT_OUT,
    TileReader,
    bundle,
    tile_path,
    write_tile,
)
from rapidjws.audit.trail_reader import TrailReader
from rapidjws.errors import RapidJWSError, error_for

if TYPE_CHECKING:
    from collections.abc import Iterator

CHECKPOINTS: Final = "checkpoints"
SEGMENTS: Final = "segments"
FORMING: Final = ".restoring"
RESTORED: Final = "restored"
"""In a folder that is restored: the segments that are there whole."""

_SEGMENT: Final = re.compile(r"segments/([0-9]{16})-([0-9]{16})\.[0-9a-f]{64}\.parquet")
_OBJECT: Final = re.compile(r"objects/[0-9a-f]{2}/([0-9a-f]{64})")
_ERASURES: Final = re.compile(r"erasures/[0-9]{16}")
_CHECKPOINT: Final = re.compile(r"checkpoints/([0-9]{16})")


@dataclass(slots=True, kw_only=True)
class ArchiveReport:
    """What a run did.

    Attributes:
        size: The number of records of the checkpoint.
        added: Objects that were stored or read.
        present: Objects that were there before.
    """

    size: int
    added: int = 0
    present: int = 0


@checked(but=("store",))
def seal(reader: TrailReader, store: ArchiveStore, *, plain_contents: bool | None = None) -> ArchiveReport:
    """Store a trail in an archive: what is not there yet.

    Args:
        reader: The trail at its checkpoint, each record of which is compared with the signed root before it
            is stored.
        store: The archive.
        plain_contents: Whether contents that are not encrypted go too, or are left out; None refuses a trail
            with such: an archive that is locked cannot erase them.

    Raises:
        ConfigurationError: ``audit_trail_invalid``: the trail is not as it was signed, or the archive is of
            another one; nothing of the part at fault is stored. ``configuration_invalid``: plain contents.
        DependencyUnavailable: ``audit_unavailable``: what is stored is whole; run it again.
    """
    last = reader.size - reader.size % TILE_WIDTH
    tail = (
        (reader.entries(last // TILE_WIDTH), reader.contents(last // TILE_WIDTH))
        if reader.size > last
        else ([], [])
    )
    _check_tiles(reader)
    covered = _covered_by(store, reader)
    report = ArchiveReport(size=reader.size)
    known = {(first, end) for _, first, end in _segments(store.names(SEGMENTS))}
    for first in range(0, reader.size, SEGMENT_RECORDS):
        end = min(reader.size, first + SEGMENT_RECORDS)
        if (first, end) in known and end <= covered:
            report.present += 1
            continue
        segment = _segment_of(reader, first, end, tail if end > last else ([], []), plain_contents)
        octets = segment_octets(segment, reader.checkpoint.origin)
        _count(report, store.add(segment_name(first, end, octets), octets))
    for name, octets in (*_objects_of(reader.folder), *beside(reader.folder)):
        _count(report, store.add(name, octets))
    _count(report, store.add(f"{CHECKPOINTS}/{reader.size:016d}", reader.note))
    return report


def _count(report: ArchiveReport, is_new: bool) -> None:
    report.added += is_new
    report.present += not is_new


def _check_tiles(reader: TrailReader) -> None:
    """Refuse a trail whose lowest tiles do not have the root that is signed."""
    tree = Tree()
    for at in range(-(-reader.size // TILE_WIDTH)):
        tree.append(reader.hashes(at))
    if tree.root() != reader.checkpoint.root:
        raise error_for("audit_trail_invalid", f"{tile_path(0, 0)}:0", "the root that is signed", "another")


def _covered_by(store: ArchiveStore, reader: TrailReader) -> int:
    """Return up to where an archive has this trail; refuse one that is of another."""
    name = _newest(store)
    if name is None:
        return 0
    note = store.read(name)
    origin = note.split(b"\n", 1)[0].decode("utf-8", "replace")
    if origin != reader.checkpoint.origin:
        raise error_for("audit_trail_invalid", f"{name}:0", f"the log {reader.checkpoint.origin}", origin)
    try:
        earlier = Checkpoint.opened(note, [reader.key])
        if earlier.size:
            reader.prove_consistency(earlier)
    except RapidJWSError as fault:
        raise error_for(
            "audit_trail_invalid", f"{name}:0", "the beginning of this trail", fault.actual
        ) from None
    return earlier.size


def _segment_of(
    reader: TrailReader, first: int, end: int, tail: tuple[list[bytes], list[bytes]], plain: bool | None
) -> SealedSegment:
    """Return a segment whose records are those under the signed root."""
    entries: list[bytes] = []
    contents: list[bytes] = []
    for at in range(first // TILE_WIDTH, -(-end // TILE_WIDTH)):
        is_tail = (at + 1) * TILE_WIDTH > end
        here, beside = tail if is_tail else (reader.entries(at), reader.contents(at))
        if [leaf_hash(one) for one in here] != reader.hashes(at):
            place = f"{tile_path('entries', at, len(here))}:0"
            raise error_for("audit_trail_invalid", place, "the records that are signed", "others")
        entries += here
        contents += [_kept(one, f"{tile_path(CONTENT, at, len(here))}:0", plain) for one in beside]
    return SealedSegment(first=first, entries=entries, contents=contents, is_partial=plain is False)


def _kept(content: bytes, place: str, plain: bool | None) -> bytes:
    if plain or not content or SEALED in unpacked(content, place):
        return content
    if plain is None:
        raise error_for("configuration_invalid", "plain_contents", "to be stored, or to be left out", place)
    return b""


def _objects_of(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted((folder / OBJECTS).rglob("*")):
        if path.is_file() and not path.name.startswith("."):
            yield path.relative_to(folder).as_posix(), _files.read_trusted(path, 1 << 26)
    with contextlib.suppress(FileNotFoundError):
        octets = _files.read_trusted(folder / ERASURES, 1 << 24)
        yield f"{ERASURES}/{len(octets.split()):016d}", octets


def _newest(store: ArchiveStore) -> str | None:
    named = [one for one in store.names(CHECKPOINTS) if _CHECKPOINT.fullmatch(one)]
    return max(named, default=None)


# --- restoring -------------------------------------------------------------------------------------------


@checked(but=("store",))
def restore(store: ArchiveStore, key: NoteKey, folder: Path) -> ArchiveReport:
    """Write a trail out of an archive, as its newest checkpoint signs it.

    Args:
        store: The archive.
        key: The log's public key.
        folder: The trail, which must not be there yet.

    Raises:
        ConfigurationError: ``configuration_invalid``: the folder is there; ``audit_trail_invalid``: the file
            at fault; nothing is written.
        DependencyUnavailable: ``audit_unavailable``: nothing is written; the next run goes on where it ended.
        OSError: The folder cannot be written.
    """
    if folder.exists():
        raise error_for("configuration_invalid", str(folder), "a folder that is not there yet")
    name = _newest(store)
    if name is None:
        raise error_for("audit_trail_invalid", f"{CHECKPOINTS}:0", "an archive with a checkpoint", "none")
    note = store.read(name)
    try:
        signed = Checkpoint.opened(note, [key])
    except RapidJWSError as fault:
        raise error_for("audit_trail_invalid", f"{name}:0", fault.expected, fault.actual) from None
    forming = folder.with_name(folder.name + FORMING)
    try:
        report = _formed(store, signed, forming)
        _files.replace(forming / CHECKPOINT, note, mode=0o644)
        earlier = [one for one in store.names(CHECKPOINTS) if one != name]
        check_earlier(store, earlier, TrailReader(forming, key))
    except RapidJWSError as fault:
        if fault.code == "audit_trail_invalid":
            shutil.rmtree(forming, ignore_errors=True)
        raise
    with contextlib.suppress(FileNotFoundError):  # an empty trail has none
        _files.remove(forming / RESTORED)
    _files.move(forming, folder, sync=True)
    return report


def _formed(store: ArchiveStore, signed: Checkpoint, forming: Path) -> ArchiveReport:
    report = ArchiveReport(size=signed.size)
    tree = Tree()
    forming.mkdir(mode=0o700, parents=True, exist_ok=True)
    done = _restored(forming, signed.origin)
    found = _segments(store.names(SEGMENTS))
    chosen = list(_chosen(found, signed.size))
    for name, first, end in found:
        if (
            name,
            first,
            end,
        ) not in chosen:  # of an earlier run: nothing is read of it, no bit of it is other
            read_segment_file(store.read(name), name, signed.origin, first, end)
    for name, first, end in chosen:
        count = min(end, signed.size) - first
        mark = f"{name} {count}"
        leaves = _leaves_there(forming, first, count) if mark in done else None
        if leaves is not None:
            tree.append(leaves)
            report.present += 1
            continue
        segment = read_segment_file(store.read(name), name, signed.origin, first, end)
        if segment.is_partial:
            write_tile(forming, LEFT_OUT, b"")
        disk.sync_files(forming, _write_segment(forming, tree, segment, count))
        done.append(mark)
        _files.replace(forming / RESTORED, "\n".join(done).encode())
        report.added += 1
    for level, index, octets in tree.incomplete():
        write_tile(forming, tile_path(level, index, len(octets) // 32), octets)
    if tree.root() != signed.root:
        raise error_for("audit_trail_invalid", f"{SEGMENTS}:0", "the root that is signed", "another root")
    for name in store.names(OBJECTS):
        named = _OBJECT.fullmatch(name)
        if named is not None and _is_there(forming / name, named[1]):
            report.present += 1
            continue
        octets = store.read(name)
        if named is None or digest(octets) != named[1]:
            raise error_for("audit_trail_invalid", f"{name}:0", "the digest of its name", digest(octets))
        write_tile(forming, name, octets, sync=True)
        report.added += 1
    erasures = [one for one in store.names(ERASURES) if _ERASURES.fullmatch(one)]
    if erasures:
        write_tile(forming, ERASURES, store.read(erasures[-1]))
    report.added += restore_beside(store, forming)
    return report


def _restored(forming: Path, origin: str) -> list[str]:
    """Return what an interrupted run noted of the same log, its name first; what is of another log goes."""
    try:
        found = (
            _files.read_trusted(forming / RESTORED, 1 << 26, own=True).decode("utf-8", "replace").split("\n")
        )
    except FileNotFoundError:
        found = []
    if found[:1] == [origin]:
        return found
    shutil.rmtree(forming)
    forming.mkdir(mode=0o700)
    return [origin]


def _leaves_there(forming: Path, first: int, count: int) -> list[bytes] | None:
    """Return the hashes of records that an interrupted run wrote; None where they cannot be read."""
    reader = TileReader(forming, first + count)
    try:
        bundles = range(first // TILE_WIDTH, -(-(first + count) // TILE_WIDTH))
        return [leaf_hash(entry) for at in bundles for entry in reader.entries(at)]
    except RapidJWSError:
        return None


def _is_there(path: Path, name: str) -> bool:
    try:
        return digest(_files.read_trusted(path, 1 << 26, own=True)) == name
    except OSError:
        return False


def _segments(names: list[str]) -> list[tuple[str, int, int]]:
    """Return the segments among objects: name, first record, and the one after the last."""
    found = []
    for one in names:
        named = _SEGMENT.fullmatch(one)
        if named is None:
            raise error_for("audit_trail_invalid", f"{one}:0", "the name of a segment", "another")
        found.append((one, int(named[1]), int(named[2])))
    return found


def _chosen(segments: list[tuple[str, int, int]], size: int) -> Iterator[tuple[str, int, int]]:
    """Yield a segment for each part of a trail: the longest of those that begin there."""
    found: dict[int, tuple[int, str]] = {}
    for name, begin, end in segments:
        found[begin] = max(found.get(begin, (0, "")), (end, name))
    for first in range(0, size, SEGMENT_RECORDS):
        (end, name), needed = found.get(first, (0, "")), min(size, first + SEGMENT_RECORDS)
        if not needed <= end <= first + SEGMENT_RECORDS:
            place = f"{SEGMENTS}/{first:016d}-{needed:016d}:0"
            raise error_for("audit_trail_invalid", place, f"records up to {needed - 1}", "none")
        yield name, first, end


def _write_segment(forming: Path, tree: Tree, segment: SealedSegment, count: int) -> list[str]:
    """Write tiles and bundles of a segment; return their paths."""
    files: list[TileFile] = []
    for at in range(0, count, TILE_WIDTH):
        entries = segment.entries[at : min(at + TILE_WIDTH, count)]
        contents = segment.contents[at : min(at + TILE_WIDTH, count)]
        index = (segment.first + at) // TILE_WIDTH
        files.append((tile_path("entries", index, len(entries)), bundle(entries)))
        if any(contents):
            files.append((tile_path(CONTENT, index, len(contents)), bundle(contents, CONTENT)))
        for level, number, octets in tree.append([leaf_hash(one) for one in entries]):
            files.append((tile_path(level, number), octets))
    for path, octets in files:
        write_tile(forming, path, octets)
    return [path for path, _ in files]
