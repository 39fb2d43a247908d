"""Floods of unknown kids: the one place that says when tokens that name no published key are a flood.

Metric, log line, security event and alerts all follow from the event that is emitted here.
"""

from __future__ import annotations

from typing import Final

FLOOD: Final = 100
"""Tokens of one issuer within a window, in one process, whose kid its set does not have, that are a flood."""

FLOOD_WINDOW_S: Final = 60.0


class KidFloods:
    """Counts tokens with unknown kids by issuer; memory is bounded by the issuers of one window."""

    __slots__ = ("_counts", "_since_s")

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._since_s = float("-inf")

    def note(self, iss: str, now_s: float) -> bool:
        """Count a token; return whether it makes a flood, which is once an issuer and window.

        Args:
            iss: The configured issuer.
            now_s: Monotonic seconds.
        """
        if now_s - self._since_s >= FLOOD_WINDOW_S:
            self._counts, self._since_s = {}, now_s
        count = self._counts[iss] = self._counts.get(iss, 0) + 1
        return count == FLOOD
