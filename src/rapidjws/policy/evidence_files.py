"""The files in which workers put their evidence: one for each that lives, and one archive of all that ended.

A worker holds a lock on its file for as long as it lives; whoever finds a file without its lock adds it to
the archive and removes it. The archive names what it took in: a crash between the two counts nothing twice.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from time import time
from typing import TYPE_CHECKING, Any, Final

from rapidjws.policy.rows import ROWS_KEPT_S, Counts, counts_of

if TYPE_CHECKING:
    from collections.abc import Iterator

ARCHIVE: Final = "evidence-archive.json"
_BROKEN: Final = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError)
"""What reading a damaged file may raise."""


@dataclass(slots=True)
class _Archive:
    """Hold the counts of workers that ended, and the names of their files."""

    counts: Counts = field(default_factory=Counts)
    taken: tuple[str, ...] = ()


class EvidenceFiles:
    """Keep this worker's file in a folder, and read those of others.

    Args:
        folder: The folder, which is there.
    """

    __slots__ = ("_descriptor", "_folder", "name")

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._descriptor: int | None = None
        self.begin()

    def begin(self) -> None:
        """Take a name of this process's own; a forked child lets go of its parent's file."""
        self._let_go()
        self.name = f"evidence-{os.getpid()}-{secrets.token_hex(4)}.json"

    def __del__(self) -> None:
        self._let_go()

    def _let_go(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with contextlib.suppress(OSError):
                os.close(descriptor)

    def put(self, octets: bytes) -> None:
        """Replace this worker's file whole.

        Raises:
            OSError: It cannot be written.
        """
        fresh, descriptor = self._fresh()
        try:
            with open(descriptor, "wb", closefd=False) as file:
                file.write(octets)
            os.replace(fresh, self._folder / self.name)
        except BaseException:
            os.close(descriptor)
            with contextlib.suppress(OSError):
                fresh.unlink()
            raise
        self._let_go()
        self._descriptor = descriptor

    def _fresh(self) -> tuple[Path, int]:
        """Return a new file and its descriptor, which holds its lock; raises OSError."""
        import fcntl

        while True:
            path = self._folder / f"{self.name}.{secrets.token_hex(4)}.tmp"
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_ino == os.fstat(descriptor).st_ino:
                    return path, descriptor
            os.close(descriptor)  # another took it for a leftover before it was locked

    def others(self) -> Counts:
        """Return what other workers counted, living and ended; what cannot be read is left out."""
        total = Counts()
        with contextlib.suppress(OSError), self._locked(wait=True, alone=False):
            archive = _Archive()
            with contextlib.suppress(*_BROKEN):
                archive = self._archive()
            total.add(archive.counts)
            for path in self._workers():
                if path.name not in (*archive.taken, self.name):
                    with contextlib.suppress(*_BROKEN):
                        total.add(counts_of(json.loads(path.read_bytes())))
        return total

    def compact(self) -> None:
        """Take the files of workers that ended into the archive; does nothing while another does it.

        Raises:
            OSError: The folder cannot be written.
        """
        with contextlib.suppress(BlockingIOError), self._locked(wait=False, alone=True):
            self._remove_leftovers()
            ended = [path for path in self._workers() if path.name != self.name and _has_ended(path)]
            if not ended:
                return
            archive = self._archive_or_anew()
            for path in ended:
                if path.name not in archive.taken:
                    with contextlib.suppress(*_BROKEN):
                        archive.counts.add(counts_of(json.loads(path.read_bytes())))
            archive.counts.forget_before(int(time()) - ROWS_KEPT_S)
            taken = [path.name for path in self._workers() if path in ended or path.name in archive.taken]
            self._write_archive({"taken": taken, **archive.counts.members()})
            for path in ended:
                path.unlink()

    # --- the folder --------------------------------------------------------------------------------------

    def _workers(self) -> list[Path]:
        return sorted(path for path in self._folder.glob("evidence-*-*.json") if path.name != ARCHIVE)

    def _remove_leftovers(self) -> None:
        """Remove what a worker that ended was writing."""
        for path in self._folder.glob("evidence-*.tmp"):
            if _has_ended(path):
                with contextlib.suppress(OSError):
                    path.unlink()

    def _archive(self) -> _Archive:
        """Read the archive; raises one of ``_BROKEN``, but not where there is none."""
        try:
            found: dict[str, Any] = json.loads((self._folder / ARCHIVE).read_bytes())
        except FileNotFoundError:
            return _Archive()
        return _Archive(counts=counts_of(found), taken=tuple(str(name) for name in found["taken"]))

    def _archive_or_anew(self) -> _Archive:
        """Read the archive; one that is damaged is put aside, never overwritten."""
        try:
            return self._archive()
        except _BROKEN:
            os.replace(self._folder / ARCHIVE, self._folder / f"{ARCHIVE}.bad")
            return _Archive()

    def _write_archive(self, members: dict[str, Any]) -> None:
        fresh = self._folder / f"{ARCHIVE}.{secrets.token_hex(4)}.tmp"
        with open(fresh, "xb") as file:
            file.write(json.dumps(members).encode())
            file.flush()
            os.fsync(file.fileno())  # what it takes the place of is removed next
        os.replace(fresh, self._folder / ARCHIVE)

    @contextlib.contextmanager
    def _locked(self, *, wait: bool, alone: bool) -> Iterator[None]:
        """Hold the archive: alone to change it, together to read; raises BlockingIOError."""
        import fcntl

        mode = (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | (0 if wait else fcntl.LOCK_NB)
        with open(self._folder / "evidence.lock", "ab") as file:
            fcntl.flock(file, mode)
            yield


def _has_ended(path: Path) -> bool:
    """Return whether nobody holds a file any more, and it is still the one of that name."""
    import fcntl

    try:
        with open(path, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return os.fstat(file.fileno()).st_ino == path.stat().st_ino
    except OSError:
        return False
