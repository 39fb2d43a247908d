"""How far an issuer's clock is from ours, from the ``iat`` of its verified tokens."""

from __future__ import annotations

from collections import deque
from typing import Any, Final, NamedTuple

WINDOW: Final = 1024
"""Tokens that the distribution is taken over."""


class Skew(NamedTuple):
    """The distribution of ``iat`` minus now, in seconds; negative for tokens issued in the past.

    Attributes:
        tokens: How many were measured.
        p5_s: The fifth percentile.
        median_s: The median.
        p95_s: The ninety-fifth percentile.
        max_s: The largest: above zero, the issuer's clock runs ahead of ours by at least this.
    """

    tokens: int
    p5_s: float
    median_s: float
    p95_s: float
    max_s: float


class SkewMeter:
    """A measure of one issuer's clock; bounded, and safe to use from several threads."""

    __slots__ = ("_window",)

    def __init__(self) -> None:
        self._window: deque[float] = deque(maxlen=WINDOW)

    def add(self, iat: Any, now_ns: int) -> None:
        """Add one token's ``iat``; anything but a number is left out."""
        if isinstance(iat, (int, float)) and not isinstance(iat, bool):
            self._window.append(iat - now_ns / 1e9)

    def read(self) -> Skew | None:
        """Return the distribution, or None where nothing was measured."""
        seen = sorted(self._window.copy())
        if not seen:
            return None
        at = [seen[min(len(seen) - 1, int(len(seen) * part))] for part in (0.05, 0.5, 0.95)]
        return Skew(len(seen), at[0], at[1], at[2], seen[-1])
