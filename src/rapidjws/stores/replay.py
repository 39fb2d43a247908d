"""Replay detection in one process: bounded, exact among threads, no live entry dropped.

Ages are monotonic; an entry also outlives the wall-clock time it was made for, so a clock that steps back
opens no gap.
"""

from __future__ import annotations

import heapq
import os
import threading
import time as clocks
from time import monotonic
from typing import TYPE_CHECKING, Final
from weakref import WeakSet

from rapidjws._checks import checked
from rapidjws.errors import error_for
from rapidjws.verify.protocols import Clock, Event, EventListener, emit, no_events

if TYPE_CHECKING:
    from collections.abc import Sequence


_stores: Final[WeakSet[MemoryReplayStore]] = WeakSet()


def _after_fork() -> None:
    for store in list(_stores):
        store.renew_lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class _SystemClock:
    """The machine's clocks, without a call of Python's around them."""

    time = staticmethod(clocks.time)
    monotonic = staticmethod(monotonic)


class MemoryReplayStore:
    """Uses remembered in this process: exactly one of any number of threads is first.

    Workers and machines each have their own: with more than one, use :class:`RedisReplayStore`.

    Args:
        max_entries: Most entries; when all of them live, new tokens get ``replay_store_unavailable``.
        clock: Both times.
        events: Listener.
        timed: Whether its listener gets each question, with the time it took, for spans.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """

    __slots__ = ("__weakref__", "_clock", "_ends", "_entries", "_events", "_lock", "_timed", "max_entries")
    blocking: Final = False

    @checked
    def __init__(
        self,
        max_entries: int = 1_000_000,
        *,
        clock: Clock | None = None,
        events: EventListener = no_events,
        timed: bool = False,
    ) -> None:
        if not isinstance(max_entries, int) or isinstance(max_entries, bool) or max_entries < 1:
            raise error_for("configuration_invalid", "max_entries", expected="a whole number from 1 on")
        self.max_entries = max_entries
        self._clock: Clock = clock or _SystemClock()
        self._events = events
        self._timed = timed
        self._entries: dict[bytes, float] = {}
        self._ends: list[tuple[float, float, bytes]] = []
        self._lock = threading.Lock()
        _stores.add(self)

    def record(self, entries: Sequence[tuple[bytes, int]]) -> list[bool | None]:
        """Record uses.

        Args:
            entries: 32-byte keys, each with the whole seconds that its entry must live.

        Returns:
            One an entry: True for the first use, False for a later one, None when the store is full.
        """
        begun = monotonic() if self._timed else 0.0
        clock = self._clock
        with self._lock:
            now, wall = clock.monotonic(), clock.time()
            if self._ends and self._ends[0][0] <= now:
                self._purge(now, wall)
            answers: list[bool | None] = []
            for key, life_s in entries:
                if key in self._entries:
                    answers.append(False)
                elif len(self._entries) >= self.max_entries:
                    answers.append(None)  # to drop a live entry would let its token pass again
                else:
                    end = now + life_s
                    self._entries[key] = end
                    heapq.heappush(self._ends, (end, wall + life_s, key))
                    answers.append(True)
        if None in answers:
            emit(self._events, Event(name="replay_store_full", value=self.max_entries))
        if self._timed:
            emit(self._events, Event(name="replay_asked", value=monotonic() - begun))
        return answers

    def _purge(self, now: float, wall: float) -> None:
        """Drop what is past its end by both clocks."""
        waiting: list[tuple[float, float, bytes]] = []
        while self._ends and self._ends[0][0] <= now:
            end = heapq.heappop(self._ends)
            if end[1] <= wall:
                del self._entries[end[2]]
            else:  # the wall clock stepped back: its token may be good for as long as it says
                waiting.append((now + min(end[1] - wall, 3600.0), end[1], end[2]))
        for end in waiting:
            heapq.heappush(self._ends, end)

    def renew_lock(self) -> None:
        """Make the lock anew in a forked child."""
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._entries)
