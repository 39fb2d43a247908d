"""What a trail asks of a disk beyond files that are written whole."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rapidjws import _files

if TYPE_CHECKING:
    from collections.abc import Iterable


_fdatasync: Final = getattr(os, "fdatasync", os.fsync)  # the size with the data, without the times
SYNCED_AT_ONCE: Final = 256


def sync_data(descriptor: int) -> None:
    """Have what was written to an open file on the disk; raises OSError."""
    _fdatasync(descriptor)


def sync_files(folder: Path, paths: Iterable[str]) -> None:
    """Have files below a folder and their names on the disk; raises OSError.

    All are handed to the disk before the first is waited for, which takes a fraction of one after the other.
    What is not there any more is left out.
    """
    waiting = sorted(set(paths))
    for start in range(0, len(waiting), SYNCED_AT_ONCE):
        _sync(folder, waiting[start : start + SYNCED_AT_ONCE])
    above = {one for path in waiting for one in Path(path).parents}
    for one in sorted(above, key=lambda one: -len(one.parts)):
        with contextlib.suppress(FileNotFoundError):
            _files.sync_folder(folder / one / "x")


def _sync(folder: Path, paths: list[str]) -> None:
    descriptors: list[int] = []
    try:
        for path in paths:
            with contextlib.suppress(FileNotFoundError):
                descriptors.append(_files.open_trusted(folder / path, own=True))
        if hasattr(os, "posix_fadvise"):
            for one in descriptors:
                os.posix_fadvise(one, 0, 0, os.POSIX_FADV_DONTNEED)  # begins to write, and does not wait
        for one in descriptors:
            os.fsync(one)
    finally:
        for one in descriptors:
            os.close(one)


def remove_drafts(beside: Iterable[Path]) -> None:
    """Remove what a killed writer left beside files, tokens among it; only for who has the lock."""
    for folder in {one.parent for one in beside}:
        for left in folder.glob(".*.tmp"):
            with contextlib.suppress(OSError):
                _files.remove(left)
