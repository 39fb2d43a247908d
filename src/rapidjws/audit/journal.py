"""The journal of a trail: records as they came, each with its hash, until their tiles are on the disk.

A segment begins at a multiple of 256 records and holds the tree as it was there, so that tree and tiles can
be made again from it. What a crash cut off is found by length and hash. A segment whose disk failed is set
aside and never written or synced again: what the system holds of it may not be what the disk has.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import struct
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Final
from zlib import crc32

from rapidjws import _files
from rapidjws.audit import disk
from rapidjws.audit.merkle import HASH_BYTES, TILE_WIDTH, Tree, leaf_hash
from rapidjws.audit.tile_files import CONTENT_MAX_BYTES, ENTRY_MAX_BYTES
from rapidjws.errors import error_for

if TYPE_CHECKING:
    from collections.abc import Sequence

MAGIC: Final = b"rapidjws audit 1\n"
FOLDER: Final = "journal"
SUSPECT: Final = ".suspect"
SEGMENT_MAX_BYTES: Final = 1 << 32
SPARE_BYTES: Final = 32 << 20
SPARE_PART_BYTES: Final = 1 << 20
SPARE_OF_FREE: Final = 64
_NAME: Final = re.compile(r"([0-9]{16})-([0-9]{8})\.log")
_HEAD: Final = struct.Struct(">QI")
_LENGTH: Final = struct.Struct(">I")
_RECORD: Final = struct.Struct(">III")
_LEVELS_MAX: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadSegment:
    """What a segment holds.

    Attributes:
        path: Its file.
        start: The index of its first record.
        number: Its number among all segments.
        tree: The tree before its first record.
        entries: Its records.
        contents: What is stored beside each of them.
        leaves: Their hashes.
        whole_bytes: Up to where it is whole.
        size_bytes: Up to where anything but zeros is written.
    """

    path: Path
    start: int
    number: int
    tree: Tree
    entries: list[bytes] = field(repr=False)
    contents: list[bytes] = field(repr=False)
    leaves: list[bytes] = field(repr=False)
    whole_bytes: int
    size_bytes: int


def _head_of(tree: Tree) -> bytes:
    levels = [b"".join(level) for level in tree.levels]
    body = MAGIC + _HEAD.pack(tree.size, len(levels))
    body += b"".join(part for level in levels for part in (_LENGTH.pack(len(level)), level))
    return body + sha256(body).digest()


class SpareFile:
    """A file of zeros on the disk that a segment overwrites.

    What is appended to it changes neither its size nor its blocks: to have it on the disk takes one write of
    the device, and waits for no other file of the file system.

    Args:
        folder: The trail.

    Raises:
        OSError: It cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        self.path = _files.temporary_name(folder / FOLDER / "spare")
        self.descriptor = _files.create(self.path)
        try:
            zeros = bytes(SPARE_PART_BYTES)
            for _ in range(SPARE_BYTES // SPARE_PART_BYTES):  # in parts: records are synced meanwhile
                _files.write_all(self.descriptor, zeros)
                disk.sync_data(self.descriptor)
            os.lseek(self.descriptor, 0, os.SEEK_SET)
        except BaseException:
            self.drop()
            raise

    def drop(self) -> None:
        """Close and remove it."""
        with contextlib.suppress(OSError):
            os.close(self.descriptor)
        with contextlib.suppress(OSError):
            _files.remove(self.path)


def spare_file(folder: Path) -> SpareFile | None:
    """Return a file of zeros, or None where the disk has not many times its size left."""
    try:
        found = os.statvfs(folder)
        if found.f_bavail * found.f_frsize < SPARE_OF_FREE * SPARE_BYTES:
            return None
        return SpareFile(folder)
    except (OSError, AttributeError):  # the segment grows as it is written, then
        return None


class Segment:
    """A segment that is written: first beside its name, so that none without all it begins with has it.

    Args:
        folder: The trail.
        tree: The tree before its first record: a multiple of 256.
        number: Its number among all segments.
        spare: The file that it overwrites; None for a new one.

    Attributes:
        size_bytes: How much of the file is written.
        file_bytes: The size of the file: what is not written yet is zeros.

    Raises:
        OSError: It cannot be made.
    """

    def __init__(self, folder: Path, tree: Tree, number: int, spare: SpareFile | None = None) -> None:
        self.start = tree.size
        self.number = number
        self.path = folder / FOLDER / f"{self.start:016d}-{number:08d}.log"
        self._draft: Path | None = _files.temporary_name(self.path) if spare is None else spare.path
        self._descriptor = _files.create(self._draft) if spare is None else spare.descriptor
        self.size_bytes = 0
        self.file_bytes = 0 if spare is None else SPARE_BYTES
        try:
            head = _head_of(tree)
            _files.write_all(self._descriptor, head)
            self._wrote(len(head))
        except BaseException:
            self.drop()
            raise

    def append(self, entries: Sequence[bytes], contents: Sequence[bytes], leaves: Sequence[bytes]) -> None:
        """Append records; raises OSError.

        A full disk is no fault of the file: what was written of the records is cut off again.
        """
        heads = map(_RECORD.pack, map(len, entries), map(len, contents), map(crc32, contents))
        octets = b"".join(chain.from_iterable(zip(heads, leaves, entries, contents, strict=True)))
        try:
            _files.write_all(self._descriptor, octets)
        except OSError as fault:
            if fault.errno in (errno.ENOSPC, errno.EDQUOT):
                _files.cut(self._descriptor, self.size_bytes)
                self.file_bytes = self.size_bytes
            raise
        self._wrote(len(octets))

    def _wrote(self, count: int) -> None:
        self.size_bytes += count
        self.file_bytes = max(self.file_bytes, self.size_bytes)

    @property
    def left_bytes(self) -> int:
        """Return how much can be written before the file grows."""
        return self.file_bytes - self.size_bytes

    def sync(self) -> None:
        """Have all records on the disk, and the file under its name the first time; raises OSError."""
        disk.sync_data(self._descriptor)
        if self._draft is not None:
            _files.move(self._draft, self.path, sync=True)
            self._draft = None

    def drop(self) -> None:
        """Close and remove a segment that could not be begun."""
        self.close()
        for path in (self._draft, self.path):
            if path is not None:
                with contextlib.suppress(OSError):
                    _files.remove(path)

    def is_in_place(self) -> bool:
        """Say whether the file is still there under its name, with what was written."""
        try:
            named, own = os.stat(self.path), os.fstat(self._descriptor)
        except OSError:
            return False
        same = (named.st_dev, named.st_ino) == (own.st_dev, own.st_ino)
        return same and named.st_size == self.file_bytes

    def set_aside(self) -> None:
        """Close it for good and mark it as suspect, as far as the disk lets us."""
        self.close()
        with contextlib.suppress(OSError):
            _files.move(self.path, self.path.with_name(self.path.name + SUSPECT))

    def close(self) -> None:
        """Close the file."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            with contextlib.suppress(OSError):
                os.close(descriptor)


def segments_of(folder: Path) -> list[tuple[int, int, Path]]:
    """Return the segments of a trail: first record, number and path, in the order they were made."""
    found = []
    for path in (folder / FOLDER).iterdir():
        named = _NAME.fullmatch(path.name)
        if named is not None:
            found.append((int(named[1]), int(named[2]), path))
    return sorted(found, key=lambda one: one[1])


def read_segment(start: int, number: int, path: Path) -> ReadSegment | None:
    """Return a segment up to its last whole record; None for one that ends within its head.

    Raises:
        ConfigurationError: ``audit_trail_invalid``: no segment of a trail.
        OSError: It cannot be read.
    """
    octets = _files.read_trusted(path, SEGMENT_MAX_BYTES, own=True)
    place = f"{FOLDER}/{path.name}"
    if not octets.startswith(MAGIC[: len(octets)]):
        raise error_for("audit_trail_invalid", f"{place}:0", "a segment of a journal")
    at = len(MAGIC) + _HEAD.size
    if len(octets) < at:
        return None
    size, count = _HEAD.unpack_from(octets, len(MAGIC))
    levels = []
    for _ in range(min(count, _LEVELS_MAX)):
        if len(octets) < at + _LENGTH.size:
            return None
        width = _LENGTH.unpack_from(octets, at)[0]
        at += _LENGTH.size
        level = octets[at : at + width]
        levels.append([level[i : i + HASH_BYTES] for i in range(0, len(level), HASH_BYTES)])
        at += width
    if len(octets) < at + HASH_BYTES:
        return None
    if sha256(octets[:at]).digest() != octets[at : at + HASH_BYTES] or size != start or size % TILE_WIDTH:
        raise error_for("audit_trail_invalid", f"{place}:{len(MAGIC)}", "the head that was written")
    entries, contents, leaves, end = _records(octets, at + HASH_BYTES)
    return ReadSegment(
        path=path, start=start, number=number, tree=Tree(levels, size), entries=entries, contents=contents,
        leaves=leaves, whole_bytes=end, size_bytes=max(end, len(octets.rstrip(b"\0"))),
    )  # fmt: skip


def _records(octets: bytes, at: int) -> tuple[list[bytes], list[bytes], list[bytes], int]:
    """Return the records of a segment, contents, hashes, and where the last whole one ends."""
    entries: list[bytes] = []
    contents: list[bytes] = []
    leaves: list[bytes] = []
    while at + _RECORD.size + HASH_BYTES <= len(octets):
        length, more, check = _RECORD.unpack_from(octets, at)
        begin = at + _RECORD.size + HASH_BYTES
        end = begin + length
        entry, leaf = octets[begin:end], octets[at + _RECORD.size : begin]
        content = octets[end : end + more]
        if length > ENTRY_MAX_BYTES or more > CONTENT_MAX_BYTES or end + more > len(octets):
            break
        if leaf_hash(entry) != leaf or crc32(content) != check:
            break
        entries.append(entry)
        contents.append(content)
        leaves.append(leaf)
        at = end + more
    return entries, contents, leaves, at
