"""Erasing what is stored beside records: the log keeps each record, and one more that says what was erased.

The record of an erasure is in the log before anything is erased: content that is gone without one is missing.
"""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import asdict, dataclass, field
from time import time_ns
from typing import TYPE_CHECKING, Any, Final

from rapidjws import _files
from rapidjws._checks import check_range, checked
from rapidjws._version import __version__
from rapidjws.audit.content_keys import MONTH, ContentKeys, subject_of
from rapidjws.audit.journal import FOLDER, SUSPECT
from rapidjws.audit.records import ERASURE, canonical, parsed_record, record_at
from rapidjws.audit.side_content import SEALED, unpacked
from rapidjws.audit.tile_files import CONTENT, TileReader, bundle, tile_path, write_tile
from rapidjws.errors import error_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from rapidjws.audit.trail_writer import TrailWriter

ERASURES: Final = "erasures"
ERASURES_MAX_BYTES: Final = 16 << 20
NAMED_MAX: Final = 2000
"""Most keys and records that one record of an erasure names."""

WIDTH: Final = 256
SLACK_BUNDLES: Final = 8
EMPTY_BUNDLES: Final = 1000
"""Bundles without contents after which all before are taken to have none."""


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class ErasureRequest:
    """What is to be erased.

    Args:
        subjects: Issuer and subject of each.
        months: Months as ``2027-01``, of which each has a key of its own.
        records: Records by index.
        before_us: All contents of records before this moment, microseconds since the epoch; 0 for none.
        reason: Why, for the record: a ticket, a retention rule.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """

    subjects: tuple[tuple[str, str], ...] = ()
    months: tuple[str, ...] = ()
    records: tuple[int, ...] = ()
    before_us: int = 0
    reason: str = ""

    def __post_init__(self) -> None:
        """Check months, records and the reason, and that there is anything to erase."""
        for month in self.months:
            if MONTH.fullmatch(month) is None:
                raise error_for("configuration_invalid", "months", "a month as 2027-01", month)
        for one in self.records:
            check_range("records", one, 0, 1 << 52)
        check_range("before_us", self.before_us, 0, 1 << 53)
        if len(self.reason) > 500:
            raise error_for("configuration_invalid", "reason", "at most 500 characters", len(self.reason))
        if not (self.subjects or self.months or self.records or self.before_us):
            raise error_for("configuration_invalid", "erasure", "a subject, month, record or moment", "none")

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return asdict(self)


def request_of(found: dict[str, Any]) -> ErasureRequest:
    """Return a request of JSON; raises ConfigurationError."""
    return ErasureRequest(
        subjects=tuple((str(iss), str(sub)) for iss, sub in found["subjects"]),
        months=tuple(found["months"]),
        records=tuple(found["records"]),
        before_us=found["before_us"],
        reason=found["reason"],
    )


@dataclass(slots=True, kw_only=True)
class Erased:
    """What a log says was erased.

    Attributes:
        keys: Ids of keys.
        records: Records by index.
        before_us: Contents of records before this moment.
    """

    keys: set[str] = field(default_factory=set)
    records: set[int] = field(default_factory=set)
    before_us: int = 0

    def covers(self, index: int, record: dict[str, Any], key_id: str | None = None) -> bool:
        """Say whether the content of a record is gone by an erasure that the log has."""
        return record["time_us"] < self.before_us or index in self.records or key_id in self.keys


def erased_in(folder: Path, reader: TileReader) -> Erased:
    """Return what the log says was erased; what names no record of an erasure is left out.

    Raises:
        ConfigurationError: ``audit_trail_invalid``: such a record is not one.
    """
    found = Erased()
    try:
        octets = _files.read_trusted(folder / ERASURES, ERASURES_MAX_BYTES)
    except OSError:
        return found
    for word in octets.split():
        index = int(word) if word.isdigit() and len(word) < 17 else reader.size
        if index >= reader.size:
            continue  # not covered by this checkpoint yet
        record = record_at(reader, index)
        if record.get("kind") == ERASURE:
            found.keys.update(record["keys"])
            found.records.update(record["records"])
            found.before_us = max(found.before_us, record["before_us"])
    return found


class Erasing:
    """The erasing of contents of a trail that nobody else writes meanwhile.

    Args:
        writer: Writes the trail, and publishes nothing on another thread.
        keys: The keys of contents, or None where they are not encrypted.
    """

    def __init__(self, writer: TrailWriter, keys: ContentKeys | None) -> None:
        self._writer, self._keys = writer, keys

    def run(self, request: ErasureRequest) -> None:
        """Record an erasure, and erase.

        Raises:
            ConfigurationError: ``configuration_invalid``: a record that the trail does not have, or a key
                that cannot be read.
            DependencyUnavailable: ``audit_unavailable``: nothing is erased.
            OSError: Not all is erased; the log says that it was to be.
        """
        names = self._names(request)
        records = set(request.records) | self._of_subjects(request)
        if records and max(records) >= self._writer.size:
            raise error_for("configuration_invalid", "records", f"0 to {self._writer.size - 1}", max(records))
        key_ids = [] if self._keys is None else self._keys._ids(names)
        self.record(key_ids, sorted(records), request)
        if self._keys is not None:
            self._keys._remove(names)
        if records or request.before_us:
            gone = _gone(records, request.before_us)
            self.drop_complete(gone, self._bundles(records, request.before_us))
            self.drop_rest(gone)

    def record(self, key_ids: list[str], records: list[int], request: ErasureRequest) -> None:
        """Have the log say what is erased, under a checkpoint; raises as ``run`` does."""
        writer = self._writer
        parts = max(1, -(-max(len(key_ids), len(records)) // NAMED_MAX))
        entries = [
            canonical({
                "before_us": request.before_us,
                "engine": __version__,
                "keys": key_ids[at * NAMED_MAX : (at + 1) * NAMED_MAX],
                "kind": ERASURE,
                "reason": request.reason,
                "records": records[at * NAMED_MAX : (at + 1) * NAMED_MAX],
                "time_us": time_ns() // 1000,
            })
            for at in range(parts)
        ]  # fmt: skip
        first = writer.append(entries)
        writer.publish()
        known = _known_erasures(writer.folder)
        text = "".join(f"{one}\n" for one in [*known, *range(first, first + parts)])
        _files.replace(writer.folder / ERASURES, text.encode(), mode=0o644)

    def _names(self, request: ErasureRequest) -> list[bytes]:
        keys = self._keys
        if keys is None:
            if request.months:
                raise error_for("configuration_invalid", "months", "a trail with content keys", "none")
            return []
        names = [keys._month_name(month) for month in request.months]
        if keys.per == "subject":
            names += [keys._subject_name(iss, sub) for iss, sub in request.subjects]
        return names

    def _of_subjects(self, request: ErasureRequest) -> set[int]:
        """Return the records with tokens of subjects that have no key of their own."""
        wanted = set(request.subjects)
        found: set[int] = set()
        if not wanted or (self._keys is not None and self._keys.per == "subject"):
            return found
        reader = self._reader()
        for at in range(-(-reader.size // WIDTH)):
            for offset, content in enumerate(reader.contents(at)):
                parts = opened_parts(content, f"record {at * WIDTH + offset}", self._keys)
                token = None if parts is None else parts.get("token")
                if token is not None and subject_of(token) in wanted:
                    found.add(at * WIDTH + offset)
        return found

    # --- files -------------------------------------------------------------------------------------------

    def _reader(self) -> TileReader:
        self._writer.publish()
        return TileReader(self._writer.folder, self._writer.size)

    def _bundles(self, records: set[int], before_us: int) -> Iterator[int]:
        """Yield the complete bundles that may have contents that are to go."""
        size = self._writer.size // WIDTH
        yield from sorted({one // WIDTH for one in records if one // WIDTH < size})
        if before_us:
            yield from bundles_before(self._writer.folder, self._writer.size, before_us)

    def drop_complete(self, gone: Callable[[int, int], bool], bundles: Iterator[int]) -> None:
        """Drop contents of complete bundles, which nobody writes any more: on any thread."""
        folder = self._writer.folder
        reader = TileReader(folder, self._writer.size)
        for at in bundles:
            path = tile_path(CONTENT, at)
            if not (folder / path).exists():
                continue
            contents = reader.contents(at)
            times = [parsed_record(one, f"bundle {at}")["time_us"] for one in reader.entries(at)]
            kept = [
                b"" if gone(at * WIDTH + offset, time_us) else content
                for offset, (content, time_us) in enumerate(zip(contents, times, strict=True))
            ]
            if kept == contents:
                continue
            if any(kept):
                write_tile(folder, path, bundle(kept, CONTENT), sync=True)
            else:
                _files.remove(folder / path)
            with contextlib.suppress(OSError):
                shutil.rmtree(folder / f"{path}.p")

    def has_before(self, before_us: int) -> bool:
        """Say whether there are contents of records before a moment."""
        writer = self._writer
        reader = TileReader(writer.folder, writer.size - writer.size % WIDTH)
        last = _first_from(reader, before_us) - 1
        if any(
            (writer.folder / tile_path(CONTENT, at)).exists() for at in range(last, -1, -1)[:SLACK_BUNDLES]
        ):
            return True
        return any(
            content and parsed_record(entry, "journal")["time_us"] < before_us
            for entry, content in zip(*writer._kept, strict=True)
        )

    def drop_rest(self, gone: Callable[[int, int], bool]) -> None:
        """Drop contents of the last bundle, and the journals that hold those of others."""
        writer = self._writer
        writer.publish()
        writer._forget_published()
        first = writer._kept_tree.size
        for at, entry in enumerate(writer._kept[0]):
            if gone(first + at, parsed_record(entry, f"record {first + at}")["time_us"]):
                writer._kept[1][at] = b""
        writer._open = (list(writer._kept[0]), list(writer._kept[1]))
        old = writer._segment
        writer._reopen()
        writer._publisher.sync()
        if old is not None:
            old.close()
            writer._older.append(old.path)
        while writer._older:
            _files.remove(writer._older[-1])
            writer._older.pop()
        for path in (writer.folder / FOLDER).glob(f"*{SUSPECT}"):
            _files.remove(path)
        at, width = divmod(writer.size, WIDTH)
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(writer.folder / f"{tile_path(CONTENT, at)}.p")
        if width and any(writer._open[1]):
            octets = bundle(writer._open[1], CONTENT)
            write_tile(writer.folder, tile_path(CONTENT, at, width), octets, sync=True)


def _gone(records: set[int], before_us: int) -> Callable[[int, int], bool]:
    return lambda index, time_us: time_us < before_us or index in records


def bundles_before(folder: Path, size: int, before_us: int) -> Iterator[int]:
    """Yield the complete bundles with contents that have records before a moment, the newest first.

    The time of records rises but for steps of a clock: bundles a little after are looked at, too.
    """
    reader = TileReader(folder, size - size % WIDTH)
    first = _first_from(reader, before_us)
    empty = 0
    for at in range(min(size // WIDTH, first + SLACK_BUNDLES) - 1, -1, -1):
        if (folder / tile_path(CONTENT, at)).exists():
            empty = 0
            yield at
        else:
            empty += 1
            if empty > EMPTY_BUNDLES:
                return


def _first_from(reader: TileReader, before_us: int) -> int:
    """Return the first complete bundle that begins at a moment or after it."""
    low, high = 0, reader.size // WIDTH
    while low < high:
        middle = (low + high) // 2
        time_us = parsed_record(reader.entries(middle)[0], f"bundle {middle}")["time_us"]
        low, high = (middle + 1, high) if time_us < before_us else (low, middle)
    return low


def _known_erasures(folder: Path) -> list[int]:
    try:
        octets = _files.read_trusted(folder / ERASURES, ERASURES_MAX_BYTES)
    except FileNotFoundError:
        return []
    return [int(one) for one in octets.split() if one.isdigit()]


def opened_parts(content: bytes, place: str, keys: ContentKeys | None) -> dict[str, bytes] | None:
    """Return the parts of content in clear; None where it is encrypted and its key is not there.

    Raises:
        ConfigurationError: ``audit_trail_invalid``.
    """
    parts = unpacked(content, place)
    if SEALED not in parts:
        return parts
    plain = None if keys is None else keys.opened(parts[SEALED], place)
    return None if plain is None else unpacked(plain, place)
