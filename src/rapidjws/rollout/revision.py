"""A counter in memory that all processes of a machine share, for one folder.

The memory lies outside of the folder: a file that a restore or a copy may shorten must not be mapped, as
touching what is no longer there kills the process. Where there is no such memory each process counts alone,
and sees changes of others when it looks at the folder.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import weakref
from pathlib import Path
from typing import Final

from rapidjws import _files, _locks

COUNTER_BYTES: Final = 8
MEMORY: Final = Path("/dev/shm")
_ATTEMPTS: Final = 16


_open: Final[weakref.WeakSet[SharedCounter]] = weakref.WeakSet()


def release_counters() -> None:
    """Let go of all counters, for a process that ends without cleaning up (``os._exit``)."""
    for one in tuple(_open):
        one.close()


class SharedCounter:
    """A count of the changes of what a folder holds.

    Args:
        folder: The folder, which is there.
    """

    __slots__ = ("__weakref__", "_descriptor", "_memory", "_name", "_owner", "_pid")

    def __init__(self, folder: Path) -> None:
        found = folder.stat()
        self._owner = (found.st_uid, found.st_gid)
        self._name = MEMORY / f"rapidjws-{found.st_dev:x}-{found.st_ino:x}"
        self._pid = os.getpid()
        self._descriptor: int | None = None
        self._memory: mmap.mmap | bytearray = bytearray(COUNTER_BYTES)
        self.attach()
        _open.add(self)

    @property
    def is_shared(self) -> bool:
        """Return whether other processes count along."""
        return self._descriptor is not None

    def value(self) -> bytes:
        """Return the counter as octets: another value than before where something changed."""
        return bytes(self._memory[:COUNTER_BYTES])

    def count(self) -> None:
        """Count a change; the caller keeps others from counting at the same time."""
        number = int.from_bytes(self.value(), "little") + 1
        self._memory[:COUNTER_BYTES] = (number % 2**64).to_bytes(COUNTER_BYTES, "little")

    def attach(self) -> None:
        """Use the shared memory of now, where it was removed or could not be had before."""
        if self._descriptor is not None and _locks.is_same(self._descriptor, self._name):
            return
        with contextlib.suppress(OSError):
            self.close()
            self._descriptor, self._memory = self._opened()

    def _opened(self) -> tuple[int, mmap.mmap]:
        for _ in range(_ATTEMPTS):
            descriptor, made = _files.open_to_write(self._name)
            try:
                if made and os.geteuid() == 0:
                    os.fchown(descriptor, *self._owner)
                found = os.fstat(descriptor)
                if found.st_uid not in (0, os.geteuid(), self._owner[0]) or found.st_mode & 0o022:
                    raise PermissionError
                _locks.lock(descriptor, shared=True)  # until this process ends, or lets go
                if _locks.is_same(descriptor, self._name):
                    if found.st_size < COUNTER_BYTES:  # had now, not at its first use: memory may be full
                        os.posix_fallocate(descriptor, 0, COUNTER_BYTES)
                    return descriptor, mmap.mmap(descriptor, COUNTER_BYTES)
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)  # its last user removed it meanwhile
        raise FileNotFoundError

    def close(self) -> None:
        """Let the memory go, and remove it where nobody else uses it."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is None:
            return
        self._memory = bytearray(self.value())
        try:
            if self._pid != os.getpid():
                return  # a child has its parent's lock, and the parent goes on
            _locks.lock(descriptor, wait=False)
            if _locks.is_same(descriptor, self._name):
                _files.remove(self._name)
        except OSError:
            return  # another uses it
        finally:
            os.close(descriptor)

    def __del__(self) -> None:
        with contextlib.suppress(Exception):
            self.close()
