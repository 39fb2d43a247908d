"""Sums over many blocks of shared memory at once, outside the GIL."""

from __future__ import annotations

from rapidjws._native.core import ffi, lib

TYPE_CHECKING = False  # `typing` costs more than all that is imported here
if TYPE_CHECKING:
    from collections.abc import Sequence

ROWS_MIN = 1024


class _Blocks:
    """Blocks of words, in memory that somebody else keeps, in groups that are added up.

    Args:
        groups: The addresses of the blocks of each group.
    """

    __slots__ = ("_blocks", "_groups", "_len", "_pointers")

    def __init__(self, groups: Sequence[Sequence[int]]) -> None:
        flat = [(number, address) for number, group in enumerate(groups) for address in group]
        self._len = len(flat)
        self._pointers = ffi.new("uint64_t *[]", [ffi.cast("uint64_t *", address) for _, address in flat])
        self._blocks = ffi.cast("const uint64_t *const *", self._pointers)
        self._groups = ffi.new("uint32_t[]", [number for number, _ in flat])


class CounterScan(_Blocks):
    """Blocks with a word a code: their sums that are not zero.

    Args:
        groups: The addresses of the blocks of each group.
    """

    __slots__ = ("_capacity", "_found")

    def __init__(self, groups: Sequence[Sequence[int]]) -> None:
        super().__init__(groups)
        self._capacity = 0
        self._enlarge(max(ROWS_MIN, 4 * len(groups)))

    def _enlarge(self, found: int) -> None:
        self._capacity = found
        self._found = ffi.new("uint64_t[]", 2 * found)

    def nonzero(self) -> list[int]:
        """Return each sum that is not zero: in turn COUNTERS_CODES times its group plus its word, and it."""
        while True:
            found = lib.rj_counters_scan(self._found, self._capacity, self._blocks, self._groups, self._len)
            if found <= self._capacity:
                numbers: list[int] = ffi.unpack(self._found, 2 * found) if found else []
                return numbers
            self._enlarge(2 * found)


class CounterSums(_Blocks):
    """Blocks of so many words each: all their sums.

    Args:
        groups: The addresses of the blocks of each group.
        words: How many words a block has.
    """

    __slots__ = ("_sums_len", "_words")

    def __init__(self, groups: Sequence[Sequence[int]], words: int) -> None:
        super().__init__(groups)
        self._words = words
        self._sums_len = words * len(groups)

    def sums(self) -> list[int]:
        """Return the sums: those of the words of the first group, of the second, and so on."""
        if not self._sums_len:
            return []
        sums = ffi.new("uint64_t[]", self._sums_len)
        lib.rj_counters_sums(sums, self._blocks, self._groups, self._len, self._words)
        found: list[int] = ffi.unpack(sums, self._sums_len)
        return found
