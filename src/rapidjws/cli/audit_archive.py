"""``rapidjws audit seal`` and ``restore``: a trail in Parquet, in a folder or in S3-compatible storage."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rapidjws import _files
from rapidjws.audit.notes import NoteKey
from rapidjws.cli.audit_erase import fail
from rapidjws.cli.output import print_line
from rapidjws.errors import RapidJWSError

if TYPE_CHECKING:
    from rapidjws.audit.archive_stores import ArchiveStore

Key = Annotated[str, typer.Option("--key", help="The log's public key: NAME+ID+KEY, or a file with it.")]
Address = Annotated[str, typer.Argument(help="s3://bucket/prefix, or a folder.")]


def note_key(text: str) -> NoteKey:
    """Return a log's public key, given as one word or as a file with it; raises RapidJWSError or OSError."""
    is_file = Path(text).is_file()
    return NoteKey.from_text(_files.read_trusted(text, 8192).decode("ascii") if is_file else text)


def _store(address: str, lock_days: int = 0, lock_mode: str = "COMPLIANCE") -> ArchiveStore:
    from rapidjws.audit.archive_stores import store_at

    try:
        return store_at(address, lock_days=lock_days, lock_mode=lock_mode)
    except (RapidJWSError, ImportError) as fault:
        fail(fault)


def seal(
    folder: Annotated[Path, typer.Argument(help="The folder of the trail.")],
    to: Address,
    *,
    key: Key,
    plain_contents: Annotated[
        bool | None,
        typer.Option(
            "--plain-contents/--no-plain-contents", help="Store what is not encrypted too, or leave it out."
        ),
    ] = None,
    lock_days: Annotated[
        int, typer.Option(help="Days for which nobody can remove an object (Object Lock).", min=0)
    ] = 0,
    lock_mode: Annotated[str, typer.Option(help="COMPLIANCE or GOVERNANCE.")] = "COMPLIANCE",
) -> None:
    """Store a trail in Parquet, what is not there yet; its checkpoint comes last: exit 0, or 2.

    An interrupted run is run again and goes on where it was.
    """
    store = _store(to, lock_days, lock_mode)
    try:
        from rapidjws.audit.archive import seal as seal_trail
        from rapidjws.audit.trail_reader import TrailReader

        report = seal_trail(TrailReader(folder, note_key(key)), store, plain_contents=plain_contents)
    except (RapidJWSError, OSError, UnicodeError, ImportError) as fault:
        fail(fault)
    print_line(f"{to}: {report.size} records, {report.added} objects stored, {report.present} were there")


def restore(
    address: Address,
    folder: Annotated[Path, typer.Argument(help="The folder of the trail, made anew.")],
    *,
    key: Key,
) -> None:
    """Write a trail out of its archive, under the root of the newest checkpoint: exit 0, or 2."""
    store = _store(address)
    try:
        from rapidjws.audit.archive import restore as restore_trail

        report = restore_trail(store, note_key(key), folder)
    except (RapidJWSError, OSError, UnicodeError, ImportError) as fault:
        fail(fault)
    print_line(f"{folder}: {report.size} records, as signed")


@contextlib.contextmanager
def local_trail(address: str, key: str) -> Iterator[Path]:
    """Give the folder of a trail; of an archive a scratch one, which goes again."""
    if not address.startswith("s3://") and not (Path(address) / "checkpoints").is_dir():
        yield Path(address)
        return
    with tempfile.TemporaryDirectory(prefix="rapidjws-trail-") as scratch:
        folder = Path(scratch) / "trail"
        store = _store(address)
        try:
            from rapidjws.audit.archive import restore as restore_trail

            restore_trail(store, note_key(key), folder)
        except (RapidJWSError, OSError, UnicodeError, ImportError) as fault:
            fail(fault, 1 if isinstance(fault, RapidJWSError) else 2)
        yield folder
