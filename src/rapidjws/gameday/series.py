"""The text of ``/metrics`` as numbers, and which of them a fault moves."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_LINE: Final = re.compile(r"^(rapidjws_\w+(?:\{.*\})?) (\S+)", re.MULTILINE)
_PARTS: Final = ("_bucket", "_sum")
"""Of a histogram, its count is enough."""


def read_series(text: bytes) -> dict[str, float]:
    """Return series -> value, buckets and sums of histograms left out."""
    found = {}
    for series, value in _LINE.findall(text.decode("utf-8", "replace")):
        if not series.partition("{")[0].endswith(_PARTS):
            found[series] = float(value)
    return found


def moved(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """Return the series that changed, with by how much, the largest first."""
    changes = {series: value - before.get(series, 0.0) for series, value in after.items()}
    found = {series: round(change, 6) for series, change in changes.items() if change}
    return dict(sorted(found.items(), key=lambda one: -abs(one[1])))
