"""Counts of requests in memory that all workers of a sidecar share, for ``/metrics``.

The memory is made before the workers are forked and has a fixed size. Each worker writes its own region only,
without a lock; whoever reads adds the regions up. A worker that is started again goes on in the region of the
one before it, so its counts are kept.
"""

from __future__ import annotations

import contextlib
import mmap
import struct
from typing import Final

SERIES_MAX: Final = 8192
"""Most series, one for each partner, route and code, that a worker keeps apart."""

NAMES_MAX_BYTES: Final = 512 * 1024
"""Room for the names of a worker's series."""

_SIZE: Final = struct.Struct("=H")
_WORD: Final = 8
_HEAD_WORDS: Final = 3  # series in use; requests beyond them; those of them that were refused
_COUNTS: Final = 2  # of each series: requests, refused ones

SeriesKey = tuple[str, str, str]
"""Partner, route, code."""

Totals = dict[SeriesKey, list[int]]
"""Series -> requests, and how many of them were refused."""


class WorkerCounters:
    """One worker's region: only this worker writes it.

    Args:
        memory: The shared memory.
        start: Where the region begins, in bytes.
        series_max: Most series.
        names_max: Room for names, in bytes.
    """

    __slots__ = ("_first", "_keys", "_memory", "_names", "_names_end", "_series_max", "_used", "_words")

    def __init__(self, memory: mmap.mmap, start: int, series_max: int, names_max: int) -> None:
        self._memory = memory
        self._words = memoryview(memory).cast("Q")
        self._first = start // _WORD
        self._series_max = series_max
        self._names = start + _WORD * (_HEAD_WORDS + _COUNTS * series_max)
        self._names_end = self._names + names_max
        self._keys: dict[SeriesKey, int] = {}
        for place, key in enumerate(self._named()):
            self._keys[key] = self._word(place)

    def count(self, partner: str, route: str, code: str, *, refused: bool) -> None:
        """Count one request; what finds no room is counted without its names.

        Called by one thread of the worker at a time.
        """
        word = self._keys.get((partner, route, code))
        if word is None:
            word = self._begin((partner, route, code))
        words = self._words
        words[word] += 1
        if refused:
            words[word + 1] += 1

    def totals(self) -> tuple[Totals, int]:
        """Return the counts of each series, and how many requests are in none."""
        words = self._words
        found: Totals = {}
        for place, key in enumerate(self._named()):
            word = self._word(place)
            found[key] = [words[word], words[word + 1]]
        return found, words[self._first + 1]

    def close(self) -> None:
        """Let go of the memory."""
        self._words.release()

    def _word(self, place: int) -> int:
        return self._first + _HEAD_WORDS + _COUNTS * place

    def _begin(self, key: SeriesKey) -> int:
        """Write the name of a new series, then that it is there; return where its counts are."""
        octets = "\0".join(key).encode("utf-8", "surrogatepass")
        at, place = self._names, self._words[self._first]
        end = at + _SIZE.size + len(octets)
        if (
            place >= self._series_max
            or end > self._names_end
            or len(octets) > 0xFFFF
            or octets.count(b"\0") != 2
        ):
            return self._first + 1
        _SIZE.pack_into(self._memory, at, len(octets))
        self._memory[at + _SIZE.size : end] = octets
        word = self._word(place)
        self._words[word] = self._words[word + 1] = 0
        self._words[self._first] = place + 1
        self._names = end
        self._keys[key] = word
        return word

    def _named(self) -> list[SeriesKey]:
        """Return the names of the series that are there."""
        names = self._first * _WORD + _WORD * (_HEAD_WORDS + _COUNTS * self._series_max)
        found: list[SeriesKey] = []
        for _ in range(self._words[self._first]):
            (size,) = _SIZE.unpack_from(self._memory, names)
            names += _SIZE.size
            octets = self._memory[names : names + size]
            partner, route, code = octets.decode("utf-8", "surrogatepass").split("\0")
            found.append((partner, route, code))
            names += size
        self._names = names
        return found


class RequestCounters:
    """The counters of all workers.

    Args:
        workers: How many.
        series_max: Most series of a worker.
        names_max: Room for the names of a worker's series, in bytes; a multiple of 8.
    """

    def __init__(
        self, workers: int, *, series_max: int = SERIES_MAX, names_max: int = NAMES_MAX_BYTES
    ) -> None:
        self._series_max, self._names_max = series_max, names_max
        self._workers = workers
        self._region = _WORD * (_HEAD_WORDS + _COUNTS * series_max) + names_max
        # of no file: nobody can shorten it, and it takes no more memory than is written
        self._memory = mmap.mmap(-1, workers * self._region)

    def of_worker(self, index: int) -> WorkerCounters:
        """Return a worker's region, from 0 on."""
        return WorkerCounters(self._memory, index * self._region, self._series_max, self._names_max)

    def totals(self) -> tuple[Totals, int]:
        """Return the counts of all workers, dead ones too, and how many requests are in no series."""
        total: Totals = {}
        unnamed = 0
        for index in range(self._workers):
            region = self.of_worker(index)
            counts, more = region.totals()
            region.close()
            unnamed += more
            for key, (seen, refused) in counts.items():
                sums = total.setdefault(key, [0, 0])
                sums[0] += seen
                sums[1] += refused
        return total, unnamed

    def close(self) -> None:
        """Let the memory go."""
        with contextlib.suppress(BufferError):  # a region is still in use
            self._memory.close()
