"""How many decisions of a worker await their record, in memory that outlives a kill of it.

A worker counts in a mapped file what it answered before its record was taken, and what of that the sequencer
took. Where the worker ends, its lock on the file goes, and the sequencer writes a gap record of the rest.
That may count a record that the sequencer took and the worker did not hear of; it never counts too few.
"""

from __future__ import annotations

import contextlib
import mmap
import os
from itertools import count as counter
from typing import TYPE_CHECKING, Final

from rapidjws import _files, _locks
from rapidjws.audit.journal import FOLDER

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SUFFIX: Final = ".count"
_BYTES: Final = 16


class WorkerCount:
    """What one worker owes the trail: in its own memory until it has a file, then in that.

    Attributes:
        owed: Its two numbers: decisions that were answered without their record, and those taken since.
    """

    __slots__ = ("_descriptor", "_due", "_path", "owed")

    def __init__(self) -> None:
        self.owed: list[int] | memoryview = [0, 0]
        self._due = counter(1)
        self._path: Path | None = None
        self._descriptor = -1

    def add(self) -> None:
        """Count one decision that is answered."""
        self.owed[0] = next(self._due)

    def add_taken(self, count: int) -> None:
        """Count records and gaps that the sequencer took; by one thread."""
        self.owed[1] += count

    def keep_in(self, folder: Path) -> None:
        """Count in a file of a trail from now on, where that can be made; not on a token's way."""
        if self._path is not None:
            return
        path = folder / FOLDER / f"{os.getpid()}-{os.urandom(8).hex()}{SUFFIX}"
        draft = _files.temporary_name(path)  # its name comes with its lock: until then nobody counts it
        with contextlib.suppress(OSError, ValueError):
            descriptor, _ = _files.open_to_write(draft)
            try:
                _locks.lock(descriptor, wait=False)
                os.ftruncate(descriptor, _BYTES)
                mapped = memoryview(mmap.mmap(descriptor, _BYTES)).cast("Q")
                mapped[1], mapped[0] = self.owed[1], self.owed[0]
                _files.move(draft, path)
            except BaseException:
                os.close(descriptor)
                raise
            self._path, self._descriptor = path, descriptor
            mapped[0] = self.owed[0]
            self.owed = mapped

    def close(self) -> None:
        """Let the file go: remove it where all was taken, and leave it to the sequencer where not."""
        if self._path is None:
            return
        if self.owed[0] == self.owed[1]:
            with contextlib.suppress(OSError):
                _files.remove(self._path)
        os.close(self._descriptor)
        self.owed, self._path, self._descriptor = list(self.owed), None, -1

    def forget(self) -> None:
        """Leave the file to the process that made it, in a forked child."""
        descriptor, self._descriptor = self._descriptor, -1
        self.owed, self._due, self._path = [0, 0], counter(1), None
        if descriptor >= 0:
            os.close(descriptor)


def ended(folder: Path) -> Iterator[tuple[Path, int]]:
    """Yield the files of workers that ended, and how many decisions each left without a record."""
    for path in (folder / FOLDER).glob(f"*{SUFFIX}"):
        with contextlib.suppress(OSError, ValueError):
            descriptor, _ = _files.open_to_write(path)
            try:
                _locks.lock(descriptor, wait=False)  # BlockingIOError: it lives
                octets = os.pread(descriptor, _BYTES, 0)
            finally:
                os.close(descriptor)
            owed, taken = (int.from_bytes(octets[at : at + 8].ljust(8, b"\0"), "little") for at in (0, 8))
            yield path, max(0, owed - taken)
