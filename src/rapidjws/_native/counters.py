"""Counts that are not zero, found in many blocks of shared memory at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rapidjws._native.core import ffi, lib

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOM_MIN = 1024


class CounterScan:
    """Blocks of one size in memory that somebody else keeps.

    Args:
        addresses: Where the blocks begin.
        words: Words of each.
    """

    __slots__ = ("_blocks", "_found", "_room", "_words", "len")

    def __init__(self, addresses: Sequence[int], words: int) -> None:
        self.len = len(addresses)
        self._blocks = ffi.new("uint64_t *[]", [ffi.cast("uint64_t *", one) for one in addresses])
        self._words = words
        self._room = 0
        self._make_room(max(ROOM_MIN, 4 * self.len))

    def _make_room(self, found: int) -> None:
        self._room = found
        self._found = ffi.new("uint64_t[]", 3 * found)

    def nonzero(self) -> list[int]:
        """Return number of the block, word and count of each word that is not zero, one after the other."""
        blocks = ffi.cast("const uint64_t *const *", self._blocks)
        while True:
            found = lib.rj_counters_scan(self._found, self._room, blocks, self.len, self._words)
            if found <= self._room:
                numbers: list[int] = ffi.unpack(self._found, 3 * found) if found else []
                return numbers
            self._make_room(2 * found)
