"""What a trail asks of a disk beyond files that are written whole."""

from __future__ import annotations

import os

from rapidjws import _files


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
