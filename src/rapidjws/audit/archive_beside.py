"""What an archive has beside records: time stamps, cosignatures, and the checkpoints of earlier runs."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rapidjws import _files
from rapidjws.audit.archive_stores import ArchiveStore
from rapidjws.audit.notes import NOTE_MAX_BYTES, Checkpoint
from rapidjws.audit.records import digest
from rapidjws.audit.tile_files import write_tile
from rapidjws.audit.timestamp_files import FILES, STAMP_MAX_BYTES, TIMESTAMPS, parts_digest, timestamp_names
from rapidjws.errors import RapidJWSError, error_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rapidjws.audit.trail_reader import TrailReader

COSIGNED: Final = "cosigned"
_STAMP: Final = re.compile(r"timestamps/([0-9]{16}\.([0-9a-f]{64}))/([a-z.]+)")
_COSIGNED: Final = re.compile(r"cosigned/([0-9]{16})\.([0-9a-f]{64})")


def beside(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the stamps and cosigned checkpoints of a trail as objects of an archive."""
    for name in timestamp_names(folder):
        with contextlib.suppress(FileNotFoundError):  # whose writing was interrupted
            where = folder / TIMESTAMPS / name
            parts = [_files.read_trusted(where / file, STAMP_MAX_BYTES) for file in FILES]
            yield from (
                (f"{TIMESTAMPS}/{name}/{file}", part) for file, part in zip(FILES, parts, strict=True)
            )
    with contextlib.suppress(FileNotFoundError):
        for path in sorted((folder / COSIGNED).iterdir()):
            if path.name.isdigit():
                note = _files.read_trusted(path, NOTE_MAX_BYTES)
                yield f"{COSIGNED}/{path.name}.{digest(note)}", note


def restore_beside(store: ArchiveStore, forming: Path) -> int:
    """Write the stamps and cosigned checkpoints of an archive beside a trail; return how many objects.

    Raises:
        ConfigurationError: ``audit_trail_invalid``: one is not as it was stored.
        DependencyUnavailable: ``audit_unavailable``.
        OSError: They cannot be written.
    """
    return _restore_stamps(store, forming) + _restore_cosigned(store, forming)


def _restore_stamps(store: ArchiveStore, forming: Path) -> int:
    stamps: dict[str, dict[str, str]] = {}
    digests: dict[str, str] = {}
    for name in store.names(TIMESTAMPS):
        named = _STAMP.fullmatch(name)
        if named is None or named[3] not in FILES:
            raise error_for("audit_trail_invalid", f"{name}:0", "a file of a time stamp", "another name")
        stamps.setdefault(named[1], {})[named[3]] = name
        digests[named[1]] = named[2]
    count = 0
    for stamp, files in stamps.items():
        if len(files) < len(FILES):  # of a run that was interrupted
            continue
        parts = tuple(store.read(files[file]) for file in FILES)
        if parts_digest(parts) != digests[stamp]:
            place = f"{TIMESTAMPS}/{stamp}:0"
            raise error_for("audit_trail_invalid", place, "the digest of its name", parts_digest(parts))
        for file, part in zip(FILES, parts, strict=True):
            write_tile(forming, f"{TIMESTAMPS}/{stamp}/{file}", part)
            count += 1
    return count


def _restore_cosigned(store: ArchiveStore, forming: Path) -> int:
    notes: dict[str, bytes] = {}
    count = 0
    for name in store.names(COSIGNED):
        named = _COSIGNED.fullmatch(name)
        octets = store.read(name)
        if named is None or digest(octets) != named[2]:
            raise error_for("audit_trail_invalid", f"{name}:0", "the digest of its name", digest(octets))
        before = notes.get(named[1])
        notes[named[1]] = octets if before is None else _with_lines_of(before, octets, name)
        count += 1
    for size, note in notes.items():
        write_tile(forming, f"{COSIGNED}/{size}", note)
    return count


def _with_lines_of(note: bytes, other: bytes, name: str) -> bytes:
    """Return a signed checkpoint with the signature lines that another copy has more."""
    (text, _, lines), (same, _, more) = note.partition(b"\n\n"), other.partition(b"\n\n")
    if text != same:
        raise error_for("audit_trail_invalid", f"{name}:0", "one checkpoint of a size", "two")
    own = lines.splitlines(keepends=True)
    return note + b"".join(one for one in more.splitlines(keepends=True) if one not in own)


def check_earlier(store: ArchiveStore, names: list[str], reader: TrailReader) -> None:
    """Compare the checkpoints of earlier runs with a trail, of which each must be the beginning.

    Raises:
        ConfigurationError: ``audit_trail_invalid``: one is altered, or of another tree.
        DependencyUnavailable: ``audit_unavailable``.
    """
    for name in names:
        try:
            signed = Checkpoint.opened(store.read(name), [reader.key])
            if signed.size:
                reader.prove_consistency(signed)
            if signed.size != int(name[-16:]):
                raise error_for("audit_trail_invalid", name, "the size of its name", signed.size)
        except RapidJWSError as fault:
            if fault.code != "audit_trail_invalid":
                raise
            raise error_for("audit_trail_invalid", f"{name}:0", fault.expected, fault.actual) from None
