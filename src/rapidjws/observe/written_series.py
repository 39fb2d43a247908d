"""What was written of a metric's samples at the last reading: only what changed is written again."""

from __future__ import annotations

from operator import is_
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from rapidjws.observe.reading import Sample


class WrittenSeries:
    """The samples of one metric and their pieces of an exposition.

    Args:
        write: Returns the piece of one sample.
        joint: What stands between pieces.
    """

    __slots__ = ("_joint", "_last", "_write")

    def __init__(self, write: Callable[[Sample], bytes], joint: bytes) -> None:
        self._write = write
        self._joint = joint
        self._last: tuple[list[Sample], list[bytes], bytes] = ([], [], b"")

    def text(self, samples: list[Sample]) -> bytes:
        """Return the pieces of all samples, joined; those of samples that are the same objects are kept."""
        before, pieces, whole = self._last
        if len(before) == len(samples):
            if all(map(is_, before, samples)):
                return whole
            pairs = enumerate(zip(before, samples, strict=True))
            changed = [at for at, (old, new) in pairs if old is not new]
            pieces = pieces.copy()
        else:
            changed = list(range(len(samples)))
            pieces = [self._joint] * len(samples)
        for at in changed:
            pieces[at] = self._write(samples[at])
        whole = self._joint.join(pieces)
        self._last = samples, pieces, whole  # in one step, as several threads may write
        return whole
