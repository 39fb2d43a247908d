"""Every bit of an archive of a trail, what lies beside its records, and columns that repeat them."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import pytest
from audit_trails import ORIGIN, entry, flip, signer, whole, writer

from rapidjws import RapidJWSError
from rapidjws.audit import TrailReader
from rapidjws.audit.notes import NoteKey

pytest.importorskip("pyarrow", reason="the extra `bulk` is not installed")

from rapidjws.audit import archive, segment_files
from rapidjws.audit.archive_stores import FolderStore
from rapidjws.audit.timestamp_files import FILES, TIMESTAMPS, parts_digest

KEY = NoteKey(ORIGIN, signer().public, "EdDSA")
FLIPS = int(os.environ.get("RAPIDJWS_AUDIT_FLIPS", "80"))
"""How many bits are tried; `make test-audit-flips` tries ten thousand."""


def code_of(call: Any, *given: Any, **named: Any) -> RapidJWSError:
    """Return what a call refuses."""
    with pytest.raises(RapidJWSError) as refused:
        call(*given, **named)
    return refused.value


def files_of(folder: Path) -> dict[str, bytes]:
    """Return what a folder holds."""
    return {
        one.relative_to(folder).as_posix(): one.read_bytes() for one in folder.rglob("*") if one.is_file()
    }


def test_L_a_flipped_bit_of_an_archive_is_found_and_named(tmp_path: Path) -> None:
    """A bit of any object (segments of this run and of the one before, checkpoints, stamps, cosignatures)."""
    folder = tmp_path / "trail"
    store = FolderStore(tmp_path / "archive")
    archive.seal(with_beside(whole(folder, 40)), store)
    made = writer(folder)
    made.append([entry(40 + at) for at in range(5)])
    made.close()
    archive.seal(TrailReader(folder, KEY), store)
    files = sorted(one for one in store.folder.rglob("*") if one.is_file())
    kinds = [one.relative_to(store.folder).parts[0] for one in files]
    assert kinds == ["checkpoints"] * 2 + ["cosigned"] + ["segments"] * 2 + ["timestamps"] * 3
    source = random.Random(int(os.environ.get("RAPIDJWS_AUDIT_SEED", "1")))
    for number in range(FLIPS):
        file = files[number % len(files)]
        bit = source.randrange(8 * file.stat().st_size)
        flip(file, bit)
        fault = code_of(archive.restore, store, KEY, tmp_path / "again")
        name = file.relative_to(store.folder).as_posix()
        named = name.rpartition("/")[0] if name.startswith("timestamps") else name
        assert (fault.code, str(fault.place).rpartition(":")[0]) == ("audit_trail_invalid", named), bit
        assert not (tmp_path / "again").exists()
        flip(file, bit)
    archive.restore(store, KEY, tmp_path / "again")
    assert TrailReader(tmp_path / "again", KEY).check_tree() == []


def with_beside(reader: TrailReader) -> TrailReader:
    """Put a stamp and a cosigned checkpoint beside a trail."""
    parts = (reader.note, b"request", b"response")
    where = reader.folder / TIMESTAMPS / f"{reader.size:016d}.{parts_digest(parts)}"
    where.mkdir(parents=True)
    for name, octets in zip(FILES, parts, strict=True):
        (where / name).write_bytes(octets)
    (reader.folder / "cosigned").mkdir(exist_ok=True)
    (reader.folder / "cosigned" / f"{reader.size:016d}").write_bytes(reader.note + b"\xe2\x80\x94 w AAAA\n")
    return reader


def test_L_stamps_and_cosignatures_go_along(tmp_path: Path) -> None:
    """They are as they were in what is restored; lines of a later run join those of before; a part waits."""
    reader = with_beside(whole(tmp_path / "trail", 40))
    store = FolderStore(tmp_path / "archive")
    archive.seal(reader, store)
    cosigned = tmp_path / "trail/cosigned" / f"{40:016d}"
    cosigned.write_bytes(reader.note + b"\xe2\x80\x94 x BBBB\n")
    archive.seal(reader, store)
    (store.folder / "timestamps" / f"{7:016d}.{'a' * 64}").mkdir()
    (store.folder / "timestamps" / f"{7:016d}.{'a' * 64}" / "checkpoint").write_bytes(
        b"of a run that was cut"
    )
    archive.restore(store, KEY, tmp_path / "again")
    found, before = files_of(tmp_path / "again"), files_of(tmp_path / "trail")
    stamps = [name for name in before if name.startswith("timestamps/")]
    assert len(stamps) == 3
    assert {name: found[name] for name in found if name.startswith("timestamps/")} == {
        name: before[name] for name in stamps
    }
    lines = found[f"cosigned/{40:016d}"].splitlines()
    assert lines[-2:] in (
        [b"\xe2\x80\x94 w AAAA", b"\xe2\x80\x94 x BBBB"],
        [b"\xe2\x80\x94 x BBBB", b"\xe2\x80\x94 w AAAA"],
    )


@pytest.mark.parametrize("column", ["time", "issuer", "partner", "code"])
def test_L_a_column_that_says_something_else_than_its_record_is_refused(
    tmp_path: Path, column: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What DuckDB and Spark read beside the records is what these say, also in a whole file."""
    reader = whole(tmp_path / "trail", 5)
    real = segment_files._shown

    def other(segment: Any) -> dict[str, Any]:
        values = list(real(segment)[column])
        return {**real(segment), column: [*values[:-1], 7 if column == "time" else "other"]}

    store = FolderStore(tmp_path / "archive")
    with monkeypatch.context() as patch:
        patch.setattr(segment_files, "_shown", other)
        archive.seal(reader, store)
    fault = code_of(archive.restore, store, KEY, tmp_path / "again")
    assert (fault.code, column in str(fault.expected)) == ("audit_trail_invalid", True)
