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
from time import time
from typing import TYPE_CHECKING, Any, Final

from rapidjws import _files, _locks
from rapidjws.rollout.counters import ROWS_KEPT_S, Counts, counts_of
from rapidjws.rollout.history import DAMAGED

if TYPE_CHECKING:
    from pathlib import Path

ARCHIVE: Final = "evidence-archive.json"
FILE_MAX_BYTES: Final = 256 << 20
"""Largest file that is read."""

_LOCK: Final = "evidence.lock"
_BROKEN: Final = (OSError, *DAMAGED)
"""What reading a damaged file may raise."""


@dataclass(slots=True)
class _Archive:
    """The counts of workers that ended, and the names of their files."""

    counts: Counts = field(default_factory=Counts)
    taken: tuple[str, ...] = ()


class EvidenceFiles:
    """This worker's file in a folder, and those of others.

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
            _files.write_all(descriptor, octets)
            _files.move(fresh, self._folder / self.name)
        except BaseException:
            os.close(descriptor)
            with contextlib.suppress(OSError):
                _files.remove(fresh)
            raise
        self._let_go()
        self._descriptor = descriptor

    def _fresh(self) -> tuple[Path, int]:
        """Return a new file and its descriptor, which holds its lock; raises OSError."""
        while True:
            path = self._folder / f"{self.name}.{secrets.token_hex(4)}.tmp"
            descriptor = _files.create(path)
            try:
                _locks.lock(descriptor)
            except BaseException:
                os.close(descriptor)
                raise
            if _locks.is_same(descriptor, path):
                return path, descriptor
            os.close(descriptor)  # another took it for a leftover before it was locked

    def others(self, now_s: int) -> Counts:
        """Return what other workers counted, living and ended; what cannot be read is left out.

        Args:
            now_s: Seconds since the epoch.
        """
        total = Counts()
        with contextlib.suppress(OSError), _locks.locked(self._folder / _LOCK, shared=True):
            archive = _Archive()
            with contextlib.suppress(*_BROKEN):
                archive = self._archive()
            total.add(archive.counts, now_s)
            for path in self._workers():
                if path.name not in (*archive.taken, self.name):
                    with contextlib.suppress(*_BROKEN):
                        total.add(counts_of(_json_in(path)), now_s)
        return total

    def compact(self, now_s: int | None = None) -> None:
        """Take the files of workers that ended into the archive; does nothing while another does it.

        Args:
            now_s: Seconds since the epoch; by default the system's clock.

        Raises:
            OSError: The folder cannot be written.
        """
        now_s = int(time()) if now_s is None else now_s
        with contextlib.suppress(BlockingIOError), _locks.locked(self._folder / _LOCK, wait=False):
            self._remove_leftovers()
            ended = [path for path in self._workers() if path.name != self.name and _locks.is_abandoned(path)]
            if not ended:
                return
            archive = self._archive_or_anew()
            damaged: list[Path] = []
            for path in ended:
                if path.name not in archive.taken:
                    try:
                        archive.counts.add(counts_of(_json_in(path)), now_s)
                    except _BROKEN as fault:
                        if _is_passing(fault):
                            raise
                        damaged.append(path)
            archive.counts.forget_before(now_s - ROWS_KEPT_S)
            taken = [path.name for path in self._workers() if path in ended or path.name in archive.taken]
            self._write_archive({"taken": taken, **archive.counts.members()})
            for path in ended:
                if path in damaged:
                    self._put_aside(path)
                else:
                    _files.remove(path)

    # --- the folder --------------------------------------------------------------------------------------

    def _workers(self) -> list[Path]:
        return sorted(path for path in self._folder.glob("evidence-*-*.json") if path.name != ARCHIVE)

    def _remove_leftovers(self) -> None:
        """Remove what a worker that ended was writing."""
        _files.remove_leftovers(self._folder / ARCHIVE)
        for path in self._folder.glob("evidence-*.tmp"):
            if _locks.is_abandoned(path):
                with contextlib.suppress(OSError):
                    _files.remove(path)

    def _archive(self) -> _Archive:
        """Read the archive; raises one of ``_BROKEN``, but not where there is none."""
        try:
            found = _json_in(self._folder / ARCHIVE)
        except FileNotFoundError:
            return _Archive()
        return _Archive(counts=counts_of(found), taken=tuple(str(name) for name in found["taken"]))

    def _archive_or_anew(self) -> _Archive:
        """Read the archive; one that is damaged is put aside, never overwritten."""
        try:
            return self._archive()
        except _BROKEN as fault:
            if _is_passing(fault):
                raise
            self._put_aside(self._folder / ARCHIVE)
            return _Archive()

    def _put_aside(self, path: Path) -> None:
        """Keep what nobody can read for people to look at."""
        _files.move(path, path.with_name(f"{path.name}.{secrets.token_hex(4)}.bad"))

    def _write_archive(self, members: dict[str, Any]) -> None:
        # on the disk at once: what it takes the place of is removed next
        _files.replace(self._folder / ARCHIVE, json.dumps(members).encode())


def _is_passing(fault: BaseException) -> bool:
    """Return whether the disk failed rather than what was read: the next try may read it."""
    return isinstance(fault, OSError) and not isinstance(fault, _files.FileRefused)


def _json_in(path: Path) -> dict[str, Any]:
    """Return the members in a file; raises one of ``_BROKEN``."""
    found = json.loads(_files.read_trusted(path, FILE_MAX_BYTES))
    if not isinstance(found, dict):
        raise TypeError(type(found).__name__)
    return found
