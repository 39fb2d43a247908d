"""Uses that a store could not confirm: each has a mark of its own, so that it alone can be taken back."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

KEPT_MAX: Final = 10_000
"""Most uses that are remembered; those beyond stay in the store until they end, and refuse a retry."""

TRIES_MAX: Final = 3
"""How often a use is taken back: what was sent before a time-out may arrive after the first try."""

TAKEN_BACK_AT_ONCE: Final = 100

Marked = tuple[bytes, bytes]


class UnconfirmedUses:
    """The keys and marks of uses without an answer, and of those to be taken back."""

    __slots__ = ("_lock", "_unanswered", "_withdrawn")

    def __init__(self) -> None:
        self.after_fork()

    def mark(self, keys: Sequence[bytes]) -> list[Marked]:
        """Return each key with a mark that no other use has; an older use of it can be taken back no more."""
        prefix = os.urandom(12)
        if self._unanswered:
            with self._lock:
                for key in keys:
                    self._unanswered.pop(key, None)
        return [(key, prefix + number.to_bytes(4, "big")) for number, key in enumerate(keys)]

    def note(self, uses: Iterable[Marked]) -> None:
        """Remember uses that nobody confirmed: they may have been written."""
        with self._lock:
            for key, mark in uses:
                self._unanswered[key] = mark
            while len(self._unanswered) > KEPT_MAX:
                del self._unanswered[next(iter(self._unanswered))]

    def withdraw(self, keys: Sequence[bytes]) -> bool:
        """Have the last uses of these keys taken back; return whether any of them may have been written."""
        with self._lock:
            for key in keys:
                mark = self._unanswered.pop(key, None)
                if mark is not None and len(self._withdrawn) < KEPT_MAX:
                    self._withdrawn[key, mark] = TRIES_MAX
        return bool(self._withdrawn)

    def due(self) -> list[Marked]:
        """Return some that are to be taken back, the oldest first; each is returned a few times at most."""
        if not self._withdrawn:
            return []
        with self._lock:
            found = list(self._withdrawn)[:TAKEN_BACK_AT_ONCE]
            for one in found:
                tries = self._withdrawn.pop(one) - 1
                if tries > 0:
                    self._withdrawn[one] = tries
        return found

    def taken_back(self, uses: Iterable[Marked]) -> None:
        """Forget uses that are gone from the store."""
        with self._lock:
            for one in uses:
                self._withdrawn.pop(one, None)

    def after_fork(self) -> None:
        """Begin anew in a forked child: its parent takes back what is its own."""
        self._lock = threading.Lock()
        self._unanswered: dict[bytes, bytes] = {}
        self._withdrawn: dict[Marked, int] = {}
