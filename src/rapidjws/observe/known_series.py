"""What is written of a metric's series beside their values: made once, while the series are the same.

A scrape then fills in numbers: it costs as much when all of them changed as when none did.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
P = TypeVar("P")


class KnownSeries(Generic[P, T]):
    """What is written of the series of one metric.

    Args:
        write: Returns what is written of a series of these labels.
        join: Returns what is kept of all series together.
    """

    __slots__ = ("_join", "_last", "_pieces", "_write")

    def __init__(self, write: Callable[[tuple[str, ...]], P], join: Callable[[list[P]], T]) -> None:
        self._write = write
        self._join = join
        self._pieces: dict[tuple[str, ...], P] = {}
        self._last: tuple[list[tuple[str, ...]], T] | None = None

    def of(self, labels: list[tuple[str, ...]]) -> T:
        """Return what is kept of the series of these labels, in their order."""
        last = self._last
        if last is not None and last[0] == labels:
            return last[1]
        pieces = self._pieces
        for one in labels:
            if one not in pieces:
                pieces[one] = self._write(one)
        joined = self._join([pieces[one] for one in labels])
        self._last = labels, joined  # in one step, as several threads may write
        return joined
