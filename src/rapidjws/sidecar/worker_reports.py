"""What each worker reports of itself, in memory that all workers of a sidecar share.

A worker replaces its own report whole; whoever reads gets a whole one or none. The memory is made before the
workers are forked, has a fixed size, and takes no more than is written.
"""

from __future__ import annotations

import json
import mmap
import struct
import time
import zlib
from typing import Any, Final

REPORT_MAX_BYTES: Final = 4 << 20
"""Largest report of a worker, in bytes: some ten thousand keys."""

_HEAD: Final = struct.Struct("=QQ")  # size of the report, and its CRC-32
_READ_TRIES: Final = 20
_READ_PAUSE_S: Final = 0.002


class WorkerReports:
    """The reports of all workers.

    Args:
        workers: How many.
        size_bytes: Largest report, in bytes.
    """

    __slots__ = ("_memory", "_size", "_workers")

    def __init__(self, workers: int, *, size_bytes: int = REPORT_MAX_BYTES) -> None:
        self._workers = workers
        self._size = size_bytes
        self._memory = mmap.mmap(-1, workers * (_HEAD.size + size_bytes))

    def write(self, index: int, report: dict[str, Any]) -> bool:
        """Replace the report of a worker; only this worker writes it, one thread at a time.

        Args:
            index: The worker's number, from 0 on.
            report: JSON values.

        Returns:
            False where it is too large: the one before stays.
        """
        octets = json.dumps(report, separators=(",", ":")).encode("utf-8", "backslashreplace")
        if len(octets) > self._size:
            return False
        at = index * (_HEAD.size + self._size)
        begin = at + _HEAD.size
        _HEAD.pack_into(self._memory, at, 0, 0)
        self._memory[begin : begin + len(octets)] = octets
        _HEAD.pack_into(self._memory, at, len(octets), zlib.crc32(octets))
        return True

    def read(self, index: int) -> dict[str, Any] | None:
        """Return the report of a worker, or None where it wrote none, or died while it wrote one."""
        at = index * (_HEAD.size + self._size)
        begin = at + _HEAD.size
        for turn in range(_READ_TRIES):
            size, checksum = _HEAD.unpack_from(self._memory, at)
            octets = self._memory[begin : begin + min(size, self._size)]
            if octets and zlib.crc32(octets) == checksum:
                found: dict[str, Any] = json.loads(octets)
                return found
            if turn and not size:
                return None
            time.sleep(_READ_PAUSE_S)
        return None

    def all(self) -> list[dict[str, Any]]:
        """Return the reports that there are, in the order of the workers."""
        found = (self.read(index) for index in range(self._workers))
        return [one for one in found if one is not None]

    def close(self) -> None:
        """Let the memory go."""
        self._memory.close()
