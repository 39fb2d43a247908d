"""Counts in memory: series by name, in words that one process writes and others may read.

A sidecar makes the memory before it forks its workers; each worker writes a region of its own, without a
lock, and whoever reads adds the regions up. A worker that is started again goes on in the region of the one
before it, so its counts are kept. An engine alone has one region of its own process.
"""

from __future__ import annotations

import contextlib
import os
import struct
import sys
import threading
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from rapidjws import _native

if TYPE_CHECKING:
    import mmap
    from collections.abc import Iterator

REGION_BYTES: Final = 6 * 1024 * 1024
"""Memory of one worker's region; it takes no more of the machine than is written."""

NAMES_SHARE: Final = 8
"""One part in so many of a region is for names."""

WORD: Final = 8
SUM_UNIT_S: Final = 2.0**-30
"""What a histogram's sum is counted in, in seconds."""

_NAME: Final = struct.Struct("=HHI")  # octets of the name, words of the series, its first word
_HEAD_WORDS: Final = 8
_NEXT, _SERIES, _NAMES_END, _DROPPED, _PID = range(5)  # words of the head
_SPARE_WORDS: Final = 64
"""Words that take counts for which no memory is left."""

Kind = Literal["c", "g", "h"]
"""Counter, gauge (a float) or histogram (counts by bucket, and the sum)."""


class Series(NamedTuple):
    """One series of a region.

    Attributes:
        name: What is counted.
        labels: Values of its labels.
        kind: How its words are read.
        word: The first of its words.
        words: How many it has.
    """

    name: str
    labels: tuple[str, ...]
    kind: Kind
    word: int
    words: int


class CounterRegion:
    """One process's counts.

    Args:
        memory: The memory, of this process or shared.
        start: Where the region begins, in bytes; a multiple of 8.
        size: Its size, in bytes.
    """

    __slots__ = (
        "_address",
        "_buffer",
        "_floats",
        "_known",
        "_lock",
        "_memory",
        "_names",
        "_size",
        "_start",
        "words",
    )

    def __init__(self, memory: mmap.mmap, start: int, size: int) -> None:
        self._memory = memory
        self._start, self._size = start, size
        self._names = size - size // NAMES_SHARE // WORD * WORD
        self._buffer, self._address = _native.writable_address(memory)
        whole = memoryview(memory)[start : start + size]
        self.words = whole.cast("Q")
        """Every word of the region, from 0 on."""
        self._floats = whole.cast("d")
        self._lock = threading.Lock()
        self._known: dict[tuple[str, tuple[str, ...]], int] = {}
        if not self.words[_NEXT]:
            self.words[_NAMES_END] = self._names
            self.words[_NEXT] = _HEAD_WORDS + _SPARE_WORDS
        for one in self.series():
            self._known[one.name, one.labels] = one.word

    def begin(self) -> None:
        """Begin in this process: counts go on, gauges of the process before are gone."""
        for one in self.series():
            if one.kind == "g":
                self.words[one.word] = 0
        self.words[_PID] = os.getpid()

    def forget_counts(self) -> None:
        """Begin at zero, in a forked child that has this memory for itself; the series stay."""
        for one in self.series():
            self.words[one.word : one.word + one.words] = memoryview(bytes(one.words * WORD)).cast("Q")

    def renew_lock(self) -> None:
        """Replace the lock in a forked child."""
        self._lock = threading.Lock()

    @property
    def pid(self) -> int:
        """Return the process that writes, or 0 where it ended."""
        return self.words[_PID]

    @property
    def dropped(self) -> int:
        """Return how many series found no memory."""
        return self.words[_DROPPED]

    @property
    def version(self) -> int:
        """Return how many series there are: a reader that knows as many knows all."""
        return self.words[_SERIES]

    def __contains__(self, series: object) -> bool:
        return series in self._known

    def place(self, name: str, labels: tuple[str, ...], kind: Kind, words: int = 1) -> int:
        """Return the first word of a series, which is made where it is not there.

        Where no memory is left it is that of the series without values of labels, or words that nobody reads.
        """
        known = self._known.get((name, labels))
        if known is not None:
            return known
        with self._lock:
            known = self._known.get((name, labels))
            if known is None:
                known = self._make(name, labels, kind, words)
            return known

    def _make(self, name: str, labels: tuple[str, ...], kind: Kind, words: int) -> int:
        head = self.words
        octets = "\0".join((kind + name, *labels)).encode("utf-8", "surrogatepass")
        word, at = head[_NEXT], head[_NAMES_END]
        end = at + _NAME.size + len(octets)
        fits = len(octets) <= 0xFFFF and octets.count(b"\0") == len(labels)
        if not fits or end > self._size or (word + words) * WORD > self._names:
            head[_DROPPED] += 1
            empty = self._known.get((name, ("",) * len(labels)), _HEAD_WORDS)
            if fits and len(self._known) < self._size:  # found again without counting it as dropped again
                self._known[name, labels] = empty
            return empty
        _NAME.pack_into(self._memory, self._start + at, len(octets), words, word)
        self._memory[self._start + at + _NAME.size : self._start + end] = octets
        head[_NAMES_END] = end
        head[_NEXT] = word + words
        head[_SERIES] += 1  # last: a reader sees a series whole or not at all
        self._known[name, labels] = word
        return word

    def address(self, word: int) -> int:
        """Return where a word lies in memory; it stays there as long as this object lives."""
        return self._address + self._start + word * WORD

    def series(self, known: int = 0, at: int = 0) -> Iterator[Series]:
        """Yield the series that are there.

        Args:
            known: How many of them to leave out, from the first on.
            at: Where the name of the next one is; 0 for that of the first.
        """
        at = at or self._names
        for number in range(self.words[_SERIES]):
            size, words, word = _NAME.unpack_from(self._memory, self._start + at)
            at += _NAME.size
            if number >= known:
                octets = self._memory[self._start + at : self._start + at + size]
                named, *labels = octets.decode("utf-8", "surrogatepass").split("\0")
                yield Series(named[1:], tuple(labels), named[0], word, words)  # type: ignore[arg-type]
            at += size

    # --- what Python counts, under the GIL and never on a token's way ---------------------------------------

    def add(self, name: str, labels: tuple[str, ...], more: int = 1) -> None:
        """Add to a counter of one word."""
        word = self._known.get((name, labels))
        self.words[self.place(name, labels, "c") if word is None else word] += more

    def add_at(self, name: str, labels: tuple[str, ...], at: int, words: int, more: int = 1) -> None:
        """Add to one word of a counter that has several.

        Args:
            name: What is counted.
            labels: Values of its labels.
            at: Which word, from 0 on.
            words: How many there are.
            more: How much.
        """
        word = self._known.get((name, labels))
        self.words[(self.place(name, labels, "c", words) if word is None else word) + at] += more

    def put(self, name: str, labels: tuple[str, ...], value: float) -> None:
        """Set a gauge."""
        self._floats[self.place(name, labels, "g")] = value

    def observe(self, name: str, labels: tuple[str, ...], value_s: float, first: int, bounds: int) -> None:
        """Count a duration in a histogram whose bounds are powers of two of a second.

        Args:
            name: What is counted.
            labels: Values of its labels.
            value_s: The duration, in seconds; below zero it counts as zero.
            first: The power of the smallest bound.
            bounds: How many there are.
        """
        word = self.place(name, labels, "h", bounds + 2)
        value_s = max(0.0, value_s)
        bucket = next((at for at in range(bounds) if value_s <= 2.0 ** (first + at)), bounds)
        self.words[word + bucket] += 1
        self.words[word + bounds + 1] += int(min(value_s, 2.0**32) / SUM_UNIT_S)

    def floats(self, word: int) -> float:
        """Return the word of a gauge."""
        return self._floats[word]


class CounterMemory:
    """The regions of all workers; made before they are forked.

    Args:
        workers: How many.
        region_bytes: Memory of each, in bytes; a multiple of 64.
    """

    __slots__ = ("_memory", "_region_bytes", "workers")

    def __init__(self, workers: int, *, region_bytes: int = REGION_BYTES) -> None:
        self.workers = workers
        self._region_bytes = region_bytes
        import mmap

        # of no file: nobody can shorten it, and it takes no more memory than is written
        self._memory = mmap.mmap(-1, workers * region_bytes)

    def end(self, index: int) -> None:
        """Note that a worker ended: its gauges count no more; its counts stay."""
        struct.pack_into("=Q", self._memory, index * self._region_bytes + _PID * WORD, 0)

    def close(self) -> None:
        """Let the memory go, where nobody uses a region of it."""
        with contextlib.suppress(BufferError):
            self._memory.close()

    def of_worker(self, index: int) -> CounterRegion:
        """Return a worker's region, from 0 on."""
        return CounterRegion(self._memory, index * self._region_bytes, self._region_bytes)


def private_region(region_bytes: int) -> CounterRegion:
    """Return a region of this process alone; a forked child has a copy."""
    import mmap

    if sys.platform == "win32":
        memory = mmap.mmap(-1, region_bytes)
    else:
        memory = mmap.mmap(-1, region_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    region = CounterRegion(memory, 0, region_bytes)
    region.words[_PID] = os.getpid()
    return region
