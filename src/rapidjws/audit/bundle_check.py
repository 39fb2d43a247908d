"""The check of one bundle after another of a trail: its records against the hashes of its tile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from rapidjws import _native
from rapidjws._checks import checked
from rapidjws.audit.merkle import HASH_BYTES, TILE_WIDTH
from rapidjws.audit.tile_files import CONTENT, split_bundle, tile_path
from rapidjws.errors import RapidJWSError

if TYPE_CHECKING:
    from rapidjws.audit.tile_files import TileReader

FINDINGS_MAX: Final = 10_000

Opened = Callable[[bytes, int, int], "bytes | None"]
"""Decrypts contents of a bundle, of so many records from an index on; None where none is."""


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that is not as it was signed or decided.

    Attributes:
        code: A stable word: ``record_altered``, ``tile_altered``, ``root_differs``, ``file_unreadable``,
            ``file_unexpected``, ``journal_altered``, ``content_altered``, ``content_missing``,
            ``content_key_missing``, ``token_altered``, ``claims_altered``, ``key_altered``,
            ``policy_altered``, ``verdict_differs``, ``timestamp_invalid``, ``timestamp_missing``.
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
        return {
            "code": self.code,
            "place": self.place,
            "record": self.record,
            "expected": self.expected,
            "actual": self.actual,
            "cause": self.cause,
        }


def unreadable(fault: RapidJWSError) -> Finding:
    """Return the finding of a file that is not there or not of its size."""
    return Finding(code="file_unreadable", place=str(fault.place), expected=str(fault.expected),
                   actual=str(fault.actual), cause="a file is missing, cut or longer")  # fmt: skip


@dataclass(slots=True, kw_only=True)
class TreePart:
    """What some bundles in a row say of the tree.

    Attributes:
        of_records: The roots of complete bundles by their records, one behind the other.
        of_tiles: The same by the lowest tiles.
        records_tail: The hashes of the records of the incomplete bundle.
        tiles_tail: The same by its tile.
        doubtful: Records whose hash is not the tile's, and their offset in the bundle's file.
        findings: Files that cannot be read.
    """

    of_records: bytearray = field(default_factory=bytearray, repr=False)
    of_tiles: bytearray = field(default_factory=bytearray, repr=False)
    records_tail: bytes = field(default=b"", repr=False)
    tiles_tail: bytes = field(default=b"", repr=False)
    doubtful: list[tuple[int, int]] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


class BundleCheck:
    """The check of one bundle after another, by one thread.

    Args:
        reader: The tiles.

    Attributes:
        part: What the bundles so far say.
        first: The index of the first record of the bundle that was read last.
        count: How many records it has.
        scan: What the core read of them.
        is_altered_beside: Whether the file of contents is not one: a finding of its own.
    """

    __slots__ = ("_contents", "_entries", "_octets", "_opened", "_reader", "count", "first",
                 "is_altered_beside", "part", "scan")  # fmt: skip

    def __init__(self, reader: TileReader) -> None:
        self._reader = reader
        self.part = TreePart()
        self.scan = _native.NativeTrailBundle()
        self._octets: tuple[bytes, str] | None = None
        self._contents: tuple[bytes, str] | None = None
        self._opened: bytes | None = None
        self._entries: list[bytes] | None = None
        self.first = self.count = 0
        self.is_altered_beside = False

    def read(self, index: int, *, contents: bool, opened: Opened | None = None) -> bool:
        """Read a bundle and compare it with its tile; return whether it has its records.

        Args:
            index: Its number.
            contents: Whether what is stored beside the records is read too.
            opened: Decrypts contents: of so many records from an index on; gives None where it does not.
        """
        self.first = index * TILE_WIDTH
        self.count = min(TILE_WIDTH, self._reader.size - self.first)
        self._entries = self._octets = self._contents = None
        self.is_altered_beside = False
        hashes: bytes | None = None
        try:
            hashes = self._reader.hash_octets(0, index)
        except RapidJWSError as fault:
            self.part.findings.append(unreadable(fault))
        self._opened = None
        good = self._read_records(index, contents=contents, opened=opened)
        leaves = self.scan.leaves if good else hashes or bytes(HASH_BYTES * self.count)
        self._add(leaves, leaves if hashes is None else hashes)
        if good and hashes is not None and leaves != hashes:
            self._doubt(leaves, hashes)
        return good

    def _read_records(self, index: int, *, contents: bool, opened: Opened | None) -> bool:
        try:
            self._octets = self._reader.entry_octets(index)
            if contents:
                try:
                    self._contents = self._reader.content_octets(index)
                except RapidJWSError as fault:
                    self._without_contents(str(fault.place))
            octets = self._octets[0]
            if self._contents is not None and opened is not None:
                self._opened = opened(self._contents[0], self.first, self.count)
            if self._opened is not None and self.scan.read(octets, self._opened, self.count):
                return True
            if self._contents is not None and self.scan.read(octets, self._contents[0], self.count):
                return True
            if self.scan.read(octets, None, self.count):
                if self._contents is not None:
                    self._check_contents()
                return True
            split_bundle(octets, self.count, self._octets[1])  # names the offset
        except RapidJWSError as fault:
            self.part.findings.append(unreadable(fault))
        return False

    @property
    def is_opened(self) -> bool:
        """Return whether encrypted contents were read in clear."""
        return self._opened is not None

    def has_before(self, moment_us: int) -> bool:
        """Say whether a record that was read is from before a moment."""
        times = zip(self.scan.times_ns(), self.scan.states, strict=True) if moment_us else ()
        return any(state and time_ns < moment_us * 1000 for time_ns, state in times)

    def read_sealed(self) -> None:
        """Read the records anew, with encrypted contents as they are."""
        assert self._octets is not None
        assert self._contents is not None
        self._opened = None
        self.scan.read(self._octets[0], self._contents[0], self.count)

    def _check_contents(self) -> None:
        """Name where the contents are not what belongs to so many records."""
        assert self._contents is not None
        try:
            split_bundle(self._contents[0], self.count, self._contents[1], CONTENT)
        except RapidJWSError as fault:
            self._without_contents(str(fault.place))

    def _without_contents(self, place: str) -> None:
        self._contents = None
        self.is_altered_beside = True
        self.part.findings.append(
            Finding(code="content_altered", place=place, record=self.first, cause="the file of contents")
        )

    def _add(self, leaves: bytes, hashes: bytes) -> None:
        part = self.part
        if self.count == TILE_WIDTH:
            root = _native.complete_root(leaves)
            part.of_records += root
            part.of_tiles += root if leaves == hashes else _native.complete_root(hashes)
        else:
            part.records_tail, part.tiles_tail = leaves, hashes

    def _doubt(self, leaves: bytes, hashes: bytes) -> None:
        """Note which records have another hash than the tile says."""
        offset = 0
        for at, entry in enumerate(self.entries()):
            here = slice(at * HASH_BYTES, (at + 1) * HASH_BYTES)
            if leaves[here] != hashes[here] and len(self.part.doubtful) < FINDINGS_MAX:
                self.part.doubtful.append((self.first + at, offset))
            offset += len(entry) + 2

    def entries(self) -> list[bytes]:
        """Return the records that were read."""
        if self._entries is None:
            assert self._octets is not None
            self._entries = split_bundle(self._octets[0], self.count, self._octets[1])
        return self._entries

    def contents(self) -> list[bytes]:
        """Return what is stored beside each record; nothing where that is not whole."""
        if self._contents is None:
            return [b""] * self.count
        return split_bundle(self._contents[0], self.count, self._contents[1], CONTENT)

    @property
    def content_path(self) -> str:
        """Return where the contents lie."""
        return tile_path(CONTENT, self.first // TILE_WIDTH, self.count)
