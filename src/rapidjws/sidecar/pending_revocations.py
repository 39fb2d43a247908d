"""Revocations that hold in every worker of a sidecar though their store could not be asked to keep them.

They lie in memory that the workers share. Whoever finds the store back hands them to it; they end with the
sidecar. Such a revocation never makes anything acceptable: it only refuses more.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import struct
import threading
from typing import TYPE_CHECKING, Final

from rapidjws import _locks
from rapidjws.errors import error_for
from rapidjws.stores.revocation_file import revocation_from
from rapidjws.verify.revocations import Revocation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SIZE_BYTES: Final = 256 * 1024
"""Room for some hundred revocations with the longest names, and some thousand ordinary ones."""

_HEAD: Final = struct.Struct("=QQ")  # version, and how long the list is, in octets


class PendingRevocations:
    """A list of revocations, shared between forked workers.

    Args:
        size_bytes: Room for it.
    """

    def __init__(self, size_bytes: int = SIZE_BYTES) -> None:
        self._memory = mmap.mmap(-1, size_bytes)
        self._lock = _locks.ForkedLock()
        self._thread_lock = threading.Lock()  # a lock between processes keeps no threads apart

    @property
    def version(self) -> int:
        """Return a number that is another one after each change: one look at shared memory."""
        version: int = _HEAD.unpack_from(self._memory)[0]
        return version

    def listed(self) -> tuple[Revocation, ...]:
        """Return all of them."""
        with self._exclusively():
            return self._read()

    def add(self, revocation: Revocation) -> None:
        """Add one.

        Raises:
            ConfigurationError: ``configuration_invalid``: no more can be held; nothing is added.
        """
        with self._exclusively():
            self._write((*(one for one in self._read() if one != revocation), revocation))

    def check_fits(self, revocation: Revocation) -> None:
        """Raise ConfigurationError, ``configuration_invalid``, where one more cannot be held."""
        with self._exclusively():
            self._octets((*self._read(), revocation))

    def remove(self, revocation: Revocation) -> bool:
        """Remove one; return whether it was there."""
        with self._exclusively():
            before = self._read()
            if revocation in before:
                self._write(tuple(one for one in before if one != revocation))
            return revocation in before

    def hand_over(self, keep: Callable[[Revocation], object]) -> int:
        """Hand each to a store, and forget it once the store has it; return how many it took.

        Nobody changes the list meanwhile: what is lifted at the same time is not kept after it.

        Args:
            keep: Keeps one; what it raises ends the hand-over.
        """
        with self._exclusively():
            listed = self._read()
            for taken, revocation in enumerate(listed, 1):
                keep(revocation)
                self._write(listed[taken:])
        return len(listed)

    def close(self) -> None:
        """Let the memory go."""
        self._memory.close()
        self._lock.close()

    @contextlib.contextmanager
    def _exclusively(self) -> Iterator[None]:
        with self._thread_lock, self._lock:
            yield

    def _read(self) -> tuple[Revocation, ...]:
        size: int = _HEAD.unpack_from(self._memory)[1]
        if not size:
            return ()
        rows = json.loads(self._memory[_HEAD.size : _HEAD.size + size])
        return tuple(one for one in map(revocation_from, rows) if one is not None)

    def _octets(self, listed: tuple[Revocation, ...]) -> bytes:
        octets = json.dumps([one.as_dict() for one in listed]).encode()
        if _HEAD.size + len(octets) > len(self._memory):
            raise error_for("configuration_invalid", "revocation", "a store that keeps it; no room for more")
        return octets

    def _write(self, listed: tuple[Revocation, ...]) -> None:
        octets = self._octets(listed)
        self._memory[_HEAD.size : _HEAD.size + len(octets)] = octets
        _HEAD.pack_into(self._memory, 0, self.version + 1, len(octets))
