"""Folders for what tests make outside of a test's own folder; all of them go when the process ends."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import tempfile
from pathlib import Path


@functools.cache
def _above(process: int) -> str:
    """Return the folder above those of a process; a child that was forked has its own."""
    made = tempfile.mkdtemp(prefix="rapidjws-tests-")
    atexit.register(_remove, made, process)
    return made


def _remove(folder: str, process: int) -> None:
    if os.getpid() == process:
        shutil.rmtree(folder, ignore_errors=True)


def new_folder() -> Path:
    """Return a new empty folder."""
    return Path(tempfile.mkdtemp(dir=_above(os.getpid())))
