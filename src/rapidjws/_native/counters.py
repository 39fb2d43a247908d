"""Sums that are not zero, found in many blocks of shared memory at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rapidjws._native.core import ffi, lib

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOM_MIN = 1024


class CounterScan:
    """Blocks with a word a code, in memory that somebody else keeps, in groups that are added up.

    Args:
        groups: The addresses of the blocks of each group.
    """

    __slots__ = ("_blocks", "_found", "_groups", "_len", "_room")

    def __init__(self, groups: Sequence[Sequence[int]]) -> None:
        flat = [(number, address) for number, group in enumerate(groups) for address in group]
        self._len = len(flat)
        self._blocks = ffi.new("uint64_t *[]", [ffi.cast("uint64_t *", address) for _, address in flat])
        self._groups = ffi.new("uint32_t[]", [number for number, _ in flat])
        self._room = 0
        self._make_room(max(ROOM_MIN, 4 * len(groups)))

    def _make_room(self, found: int) -> None:
        self._room = found
        self._found = ffi.new("uint64_t[]", 2 * found)

    def nonzero(self) -> list[int]:
        """Return in turn each sum that is not zero: 64 times its group plus its word, and the sum."""
        blocks = ffi.cast("const uint64_t *const *", self._blocks)
        while True:
            found = lib.rj_counters_scan(self._found, self._room, blocks, self._groups, self._len)
            if found <= self._room:
                numbers: list[int] = ffi.unpack(self._found, 2 * found) if found else []
                return numbers
            self._make_room(2 * found)
