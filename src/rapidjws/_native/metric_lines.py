"""Lines and histograms of a metrics exposition, whose numbers are filled in outside the GIL."""

from __future__ import annotations

from itertools import accumulate

from rapidjws._native.core import ffi, lib

TYPE_CHECKING = False  # `typing` costs more than all that is imported here
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Final

METRIC_TEXT: Final = 2**64 - 1
"""A value in whose place the next text is written."""


class MetricLines:
    """Lines, but for their values.

    Args:
        starts: What stands before the value of each line.
    """

    __slots__ = ("_ends", "_len", "_starts")

    def __init__(self, starts: Sequence[bytes]) -> None:
        self._starts = b"".join(starts)
        self._ends = ffi.new("uint32_t[]", list(accumulate(map(len, starts))))
        self._len = len(starts)

    def bytes_at_most(self, texts: Sequence[bytes]) -> int:
        """Return how much memory the lines take at most, in bytes."""
        return len(self._starts) + sum(map(len, texts)) + self._len * int(lib.RJ_METRIC_VALUE_BYTES)

    def write(self, out: Any, capacity: int, values: Sequence[int], texts: Sequence[bytes] = ()) -> int:
        """Write the lines with their values; return how many bytes they take.

        Args:
            out: Where to, ``char *``.
            capacity: How many bytes may be written, at least ``bytes_at_most``.
            values: One a line, from 0 on.
            texts: One for each value of METRIC_TEXT.

        Raises:
            OverflowError: A value is below zero or has more than 64 bits.
            ValueError: Not one a line.
        """
        if len(values) != self._len:
            raise ValueError(f"expected {self._len} values, found {len(values)}")
        ends = ffi.new("uint32_t[]", list(accumulate(map(len, texts))))
        numbers = ffi.new("uint64_t[]", values)
        size: int = lib.rj_metric_lines(
            out, capacity, self._starts, self._ends, numbers, self._len, b"".join(texts), ends, len(texts)
        )
        return size


MetricPart = tuple[MetricLines, "Sequence[int]", "Sequence[bytes]"]
"""Lines, their values and their texts."""


class MetricText:
    """Writes texts of many lines, in memory that is kept from one to the next."""

    __slots__ = ("_spare",)

    def __init__(self) -> None:
        self._spare: list[tuple[int, Any]] = []

    def joined(self, parts: Sequence[bytes | MetricPart]) -> bytes:
        """Return octets and lines, one after the other."""
        capacity = sum(len(one) if isinstance(one, bytes) else one[0].bytes_at_most(one[2]) for one in parts)
        spare = self._spare.pop() if self._spare else None  # another thread at the same time makes its own
        if spare is None or spare[0] < capacity:
            spare = capacity, ffi.new("char[]", capacity)
        size, out = spare
        at = 0
        for one in parts:
            if isinstance(one, bytes):
                ffi.memmove(out + at, one, len(one))
                at += len(one)
            else:
                lines, values, texts = one
                at += lines.write(out + at, size - at, values, texts)
        written: bytes = ffi.buffer(out, at)[:] if at else b""
        self._spare[:] = [spare]
        return written


class MetricHistograms:
    """Histograms in protobuf, but for their counts.

    Args:
        labels: The labels of each, as fields of a Metric.
    """

    __slots__ = ("_ends", "_labels", "_len")

    def __init__(self, labels: Sequence[bytes]) -> None:
        self._labels = b"".join(labels)
        self._ends = ffi.new("uint32_t[]", list(accumulate(map(len, labels))))
        self._len = len(labels)

    def written(self, counts: Sequence[int], sums: Sequence[float], bounds: int, first_power: int) -> bytes:
        """Return them as fields of a MetricFamily.

        Args:
            counts: Of each in turn ``bounds`` + 1, not cumulative.
            sums: Of each the sum, in the metric's unit.
            bounds: How many bounds there are, at most RJ_METRIC_BOUNDS_MAX.
            first_power: The power of two of the smallest.

        Raises:
            OverflowError: A count is below zero or has more than 64 bits.
            ValueError: Too many bounds, or not as many counts and sums as there are histograms.
        """
        fits = 0 < bounds <= int(lib.RJ_METRIC_BOUNDS_MAX)
        if not fits or len(counts) != self._len * (bounds + 1) or len(sums) != self._len:
            raise ValueError(f"expected {bounds} bounds and a sum for each of {self._len} histograms")
        capacity = len(self._labels) + self._len * (int(lib.RJ_METRIC_HISTOGRAM_BYTES) + 16)
        out = ffi.new("uint8_t[]", capacity)
        numbers, totals = ffi.new("uint64_t[]", counts), ffi.new("double[]", sums)
        size = lib.rj_metric_histograms(
            out, capacity, self._labels, self._ends, numbers, totals, self._len, bounds, first_power
        )
        written: bytes = ffi.buffer(out, size)[:]
        return written
