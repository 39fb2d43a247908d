"""Locks between processes, on files."""

from __future__ import annotations

import contextlib
import os
import tempfile
from typing import TYPE_CHECKING

from rapidjws import _files

try:
    import fcntl
except ImportError:  # Windows has no flock: writers of two processes are not kept apart there
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def locked(path: str | os.PathLike[str], *, wait: bool = True, shared: bool = False) -> Iterator[None]:
    """Hold a lock file against other processes; raises BlockingIOError where that takes waiting and must not.

    Args:
        path: The lock file, made where it is not there.
        wait: Whether to wait for others.
        shared: Whether others that share it, too, may hold it.
    """
    descriptor, _ = _files.open_to_write(path)
    try:
        lock(descriptor, wait=wait, shared=shared)
        try:
            yield
        finally:
            unlock(descriptor)
    finally:
        os.close(descriptor)


def lock(descriptor: int, *, wait: bool = True, shared: bool = False) -> None:
    """Lock an open file; raises BlockingIOError where another holds it and ``wait`` is False."""
    if fcntl is not None:
        how = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        fcntl.flock(descriptor, how if wait else how | fcntl.LOCK_NB)


def unlock(descriptor: int) -> None:
    """Let a lock go, for a child forked meanwhile as well, which has the same open file."""
    if fcntl is not None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


class ForkedLock:
    """A lock between a process and those it forked, of a file without a name."""

    __slots__ = ("_descriptor",)

    def __init__(self) -> None:
        with tempfile.TemporaryFile() as file:
            self._descriptor = os.dup(file.fileno())

    def __enter__(self) -> None:
        if fcntl is not None:  # lockf, not flock: forked processes share what flock holds
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX)

    def __exit__(self, *fault: object) -> None:
        if fcntl is not None:
            fcntl.lockf(self._descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        """Let the file go."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def __del__(self) -> None:
        self.close()


def is_same(descriptor: int, path: str | os.PathLike[str]) -> bool:
    """Return whether an open file is still the one of that name."""
    try:
        found, named = os.fstat(descriptor), os.stat(path)
    except OSError:
        return False
    return (found.st_dev, found.st_ino) == (named.st_dev, named.st_ino)


def is_abandoned(path: str | os.PathLike[str]) -> bool:
    """Return whether a file is there that no process holds a lock on."""
    try:
        descriptor = os.open(path, _files.READ_FLAGS)
    except OSError:
        return False
    try:
        lock(descriptor, wait=False)
        return is_same(descriptor, path)
    except OSError:
        return False
    finally:
        os.close(descriptor)
