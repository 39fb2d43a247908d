"""What a trail asks of a disk beyond files that are written whole."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from rapidjws import _files

if TYPE_CHECKING:
    from collections.abc import Iterable


def sync_data(descriptor: int) -> None:
    """Have what was written to an open file on the disk; raises OSError."""
    os.fsync(descriptor)


def sync_file(path: str | os.PathLike[str]) -> None:
    """Have a file and its name on the disk; raises OSError."""
    descriptor = _files.open_trusted(path, own=True)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    _files.sync_folder(path)


def remove_drafts(beside: Iterable[Path]) -> None:
    """Remove what a killed writer left beside files, tokens among it; only for who has the lock."""
    for folder in {one.parent for one in beside}:
        for left in folder.glob(".*.tmp"):
            with contextlib.suppress(OSError):
                _files.remove(left)
