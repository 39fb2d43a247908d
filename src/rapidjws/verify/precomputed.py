"""Precomputed tables for the keys that are used again and again, within a memory budget.

The core counts acceptances and says when a key is due for a table, or for a larger one. Where not all can
have the largest, memory goes to where it saves most (``table_sizes.py``). A key gets a table only if it will
keep it: keys that are used alike never take memory from each other, and the whole budget stays in use.
"""

from __future__ import annotations

import threading
from time import monotonic, thread_time
from typing import TYPE_CHECKING, Final

from rapidjws import _native
from rapidjws.verify.table_memory import TableMemory, bytes_of, largest_bytes
from rapidjws.verify.table_sizes import LARGEST, plan_sizes

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

    from rapidjws.verify.acceleration import Acceleration
    from rapidjws.verify.key_table import PreparedKey
    from rapidjws.verify.table_status import Owner, TableStatus


class Turn:
    """What a turn does: the keys that get a table or a larger one, and those that give memory for it."""

    __slots__ = ("grants", "is_planned", "losers", "planned")

    def __init__(self) -> None:
        self.is_planned = False
        self.planned: dict[PreparedKey, int] = {}
        self.grants: list[PreparedKey] = []
        self.losers: list[PreparedKey] = []  # the most used first


PRECOMPUTE_THRESHOLD: Final = 64
"""Acceptances after which a key is due for a table."""

PRECOMPUTE_BUDGET_BYTES: Final = 64 * 1024 * 1024
"""Default memory for the tables of one engine."""

BUILD_SHARE: Final = 0.05
"""Largest share of one CPU that is spent on tables once the budget was filled."""

TURN_S: Final = 0.05
"""So many seconds are built at once; then what is built is put to use."""

AGE_AT: Final = 8
"""A key without a table that is turned away at this many thresholds halves all use counts: what counts is
recent use. One that has a table does so where keys are used as much on average: where few are used most, the
counts of the others would never grow."""

REMEMBERED_AGES: Final = 2
"""A key turned away is in want of memory until it was not turned away for so many halvings."""

LOG_AGAIN_AT: Final = 1.25
"""The budget that would do is logged again when it has grown by this factor."""


class PrecomputedKeys(TableMemory):
    """The precomputed tables of one engine's keys, within a budget.

    Args:
        acceleration: ``"auto"``; ``"portable"`` keeps to plain C; ``"openssl"`` has no tables.
        budget_bytes: Memory for key tables.
        threshold: Acceptances after which a key is due for a table; 0: no key ever is.

    Attributes:
        due: Keys that are due for a table, in order; those who verify add to it.
        is_queued: Whether the background thread knows of them.
        next_turn_s: When it may work for this engine again, in monotonic seconds.
    """

    __slots__ = (
        "_ages",
        "_first_sizes",
        "_is_contended",
        "_logged_bytes",
        "_turn",
        "_turned_away",
        "build_cpu_s",
        "built",
        "built_bytes",
        "due",
        "evicted",
        "is_queued",
        "next_turn_s",
    )

    def __init__(
        self,
        acceleration: Acceleration = "auto",
        budget_bytes: int = PRECOMPUTE_BUDGET_BYTES,
        threshold: int = PRECOMPUTE_THRESHOLD,
    ) -> None:
        super().__init__(acceleration, budget_bytes, 0 if acceleration == "openssl" else threshold)
        self.built = self.built_bytes = self.evicted = 0
        self.build_cpu_s = 0.0
        self.next_turn_s = 0.0
        self.due: dict[PreparedKey, None] = {}
        self.is_queued = False
        self._first_sizes: dict[PreparedKey, int] = {}  # of tables asked for before their keys are used
        self._turned_away: dict[PreparedKey, int] = {}  # key -> the age at which it was last
        self._ages = 0
        self._is_contended = False
        self._logged_bytes = 0
        self._turn = threading.Lock()  # held for a turn, by the background thread or by a long batch

    def status(self) -> TableStatus:
        """Return what there is to see; never waits."""
        from rapidjws.verify.table_status import TableStatus

        return TableStatus(
            tables=len(self.tables),
            used_bytes=self.used_bytes,
            budget_bytes=self.budget_bytes,
            wanted_bytes=sum(largest_bytes(key) for key in (*self.tables, *self._wanting())),
            smaller=sum(size != LARGEST for size in list(self._sizes.values())),
            built=self.built,
            evicted=self.evicted,
            build_cpu_s=self.build_cpu_s,
        )

    def _wanting(self) -> list[PreparedKey]:
        """Return the keys in steady use that have no table for want of memory."""
        return [key for key in list(self._turned_away) if key not in self.tables]

    def after_fork(self) -> None:
        """Begin anew in a forked child: the thread that builds is not there, and may have held the lock."""
        self._lock = threading.Lock()
        self._turn = threading.Lock()
        self.due = {}
        self.is_queued = False

    def missing(self, keys: Iterable[PreparedKey]) -> list[PreparedKey]:
        """Return the keys that could get a table without another losing its own, in order.

        Where there is no room for the largest of each, they get smaller ones until their use is known.
        """
        lacking = [key for key in keys if key not in self.tables and self._can_have(key)]
        left_bytes = self.budget_bytes - self.used_bytes
        if sum(map(largest_bytes, lacking)) <= left_bytes:
            for key in lacking:
                self._first_sizes.pop(key, None)
            return lacking
        planned = plan_sizes(dict.fromkeys(lacking, 1), {}, bytes_of, left_bytes, self.threshold)
        self._first_sizes.update(planned)
        return [key for key in lacking if key in planned]

    def keep_only(self, keys: Container[PreparedKey]) -> None:
        """Drop the tables of keys that are gone, and what is remembered of them.

        Until their memory is needed the tables stay, unused: a reload may bring the keys again.
        """
        with self._lock:
            self._retire(keys)
            self._turned_away = {key: age for key, age in self._turned_away.items() if key in keys}
            self._first_sizes = {key: size for key, size in self._first_sizes.items() if key in keys}

    def build(self, key: PreparedKey) -> bool:
        """Build one key's table where it fits beside the others; return whether it was built."""
        with self._lock:
            if key in self.tables or not self._can_have(key):
                return False
            size = self._first_sizes.pop(key, LARGEST)
            return self._more_bytes(key, size) <= self._left_bytes and self._build(key, size)

    # --- in the background -------------------------------------------------------------------------------

    def take_turn(self, owner: Owner, patience_s: float = -1.0) -> bool:
        """Build tables of keys that are due, for one turn, and put them to use.

        Args:
            owner: Whose keys these are.
            patience_s: Longest wait for another thread's turn, in seconds; -1 for as long as it takes.

        Returns:
            Whether some are still due.
        """
        if not self._turn.acquire(timeout=patience_s):
            return bool(self.due)
        try:
            return self._take_turn(owner)
        finally:
            self._turn.release()

    def _take_turn(self, owner: Owner) -> bool:
        start_s, start_cpu_s = monotonic(), thread_time()
        if start_s < self.next_turn_s:
            return bool(self.due)
        before, self._is_contended = self.tables, False
        turn = Turn()
        while self.due and monotonic() - start_s < TURN_S and self._build_next(owner, turn):
            pass
        if self.tables is not before:  # built, dropped, or taken from another engine
            owner._publish_tables()
        spent_s = thread_time() - start_cpu_s
        self.build_cpu_s += spent_s
        if self._is_paced:
            self.next_turn_s = monotonic() + spent_s / BUILD_SHARE
        return bool(self.due)

    @property
    def _is_paced(self) -> bool:
        """Return whether the budget was filled once, or keys compete for it."""
        return self._is_contended or self.built_bytes > self.budget_bytes

    def _take_live(self, key: PreparedKey) -> None:
        """Use the table that another key of this engine has, if one does: it costs nothing."""
        found = self._live(key)
        if key in self.tables or found is None or found[0] not in self._holders:
            return
        self.tables = {**self.tables, key: found[0]}
        self._hold(key, *found)
        del self.due[key]

    def _build_next(self, owner: Owner, turn: Turn) -> bool:
        """Build or drop one table; return False where no key that is due shall have one, or a larger one."""
        numbers = owner._slot_numbers()
        with self._lock:
            for key in tuple(self.due):
                if key not in numbers or not self._can_have(key) or self._sizes.get(key) == LARGEST:
                    del self.due[key]
                else:
                    self._take_live(key)
            if not self.due:
                return False
            if not turn.is_planned:
                if self._largest_fit():
                    key = next(iter(self.due))
                    self._build_due(key, self._first_sizes.get(key, LARGEST))
                    return True
                self._plan(owner, turn)
            return self._take_step(turn)

    def _largest_fit(self) -> bool:
        """Say whether all keys that are due can have what they would have with room."""
        due = tuple(self.due)  # those who verify add to it meanwhile
        needed = sum(self._more_bytes(key, self._first_sizes.get(key, LARGEST)) for key in due)
        return needed <= self._left_bytes

    def _plan(self, owner: Owner, turn: Turn) -> None:
        """Decide for the keys that are due by use and memory, and turn away those that get nothing."""
        rivals = dict.fromkeys(tuple(self.due))
        others = [key for key in self.tables if key not in rivals]
        uses = owner._use_counts((*rivals, *others))
        planned = plan_sizes(uses, self._sizes, bytes_of, self.budget_bytes, self.threshold)
        refused = [key for key in rivals if not self._is_larger(key, planned.get(key))]
        if refused:
            self._is_contended = True
            without = [uses.get(key, 0) for key in refused if key not in self.tables]
            mean = sum(uses.values()) // max(1, len(uses))
            self._turn_away(owner, refused, max(without) if without else mean)
        turn.is_planned = True
        granted = [key for key in rivals if self._is_larger(key, planned.get(key))]
        turn.grants = sorted(granted, key=lambda key: -uses.get(key, 0))
        turn.planned = planned
        turn.losers = sorted(
            (key for key in others if planned.get(key) != self._sizes[key]),
            key=lambda key: -uses.get(key, 0),
        )

    def _is_larger(self, key: PreparedKey, size: int | None) -> bool:
        """Say whether a size is more than a key has."""
        return size is not None and size < self._sizes.get(key, size + 1)

    def _take_step(self, turn: Turn) -> bool:
        """Build the next table of the plan, or make room for it; return False where nothing is left to do."""
        while turn.grants:
            key = turn.grants[0]
            size = turn.planned.get(key)
            if key not in self.due or size is None or not self._is_larger(key, size):
                turn.grants.pop(0)  # its table came another way
                continue
            if self._more_bytes(key, size) <= self._left_bytes:
                turn.grants.pop(0)
                self._build_due(key, size)
                return True
            self._is_contended = True
            if not turn.losers:
                turn.grants.pop(0)  # the memory went to another in between: it is due again at its next count
                del self.due[key]
                continue
            self._shrink(turn.losers.pop(), turn)
            return True
        return False

    def _shrink(self, key: PreparedKey, turn: Turn) -> None:
        """Give a key the smaller table that is planned for it, or none."""
        size = turn.planned.get(key)
        if key not in self.tables or (size is not None and size <= self._sizes[key]):
            return
        self._drop(key)
        self.evicted += 1
        if size is not None:
            self._build(key, size)

    def _build_due(self, key: PreparedKey, size: int) -> None:
        """Build the table of a key that is due, in place of a smaller one."""
        del self.due[key]
        self._first_sizes.pop(key, None)
        self._turned_away.pop(key, None)
        if key in self.tables:
            self._drop(key)
        self._build(key, size)

    def _turn_away(self, owner: Owner, rivals: Iterable[PreparedKey], used: int) -> None:
        """Remember keys that get no table, or no larger one; where keys are used much, let use count anew."""
        for key in rivals:
            del self.due[key]
            if key not in self.tables:
                self._turned_away[key] = self._ages
        if used < AGE_AT * self.threshold:
            return
        owner._halve_use_counts()
        self._ages += 1
        oldest = self._ages - REMEMBERED_AGES
        self._turned_away = {key: age for key, age in self._turned_away.items() if age >= oldest}
        self._log_wanted()

    def _log_wanted(self) -> None:
        wanting, status = self._wanting(), self.status()
        if status.wanted_bytes < LOG_AGAIN_AT * max(self._logged_bytes, 1):
            return
        self._logged_bytes = status.wanted_bytes
        from rapidjws._loggers import logger

        logger("tables").warning(
            "precomputed tables: %d of %d keys in use have one, %d of them a smaller one;"
            " precompute_budget_bytes=%d, %d would do for all",
            status.tables,
            status.tables + len(wanting),
            status.smaller,
            self.budget_bytes,
            status.wanted_bytes,
        )

    # --- one table, under the lock -----------------------------------------------------------------------

    def _build(self, key: PreparedKey, size: int) -> bool:
        live = self._live(key)
        table = _native.build_precomputed(
            key.number, key.jwk.material[0], portable=self.acceleration == "portable", size=size
        )
        if table is None:
            self._failures[key] = self._failures.get(key, 0) + 1
            return False
        self.tables = {**self.tables, key: table}
        self._hold(key, table, size)
        if live is None or live[0] is not table:
            self.built_bytes += bytes_of(key)[size]
            self.built += 1
        return True
