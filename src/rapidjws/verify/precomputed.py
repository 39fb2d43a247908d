"""Precomputed tables for the keys that are used again and again, within a memory budget.

The core counts acceptances and says when a key is due for a table. A key gets one only if it will keep it:
where the budget is used up, its recent use must be well above that of the keys whose tables would go. So keys
that are used alike never take tables from each other, and the whole budget stays in use.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from time import monotonic, thread_time
from typing import TYPE_CHECKING, Final, Literal, Protocol, cast, get_args

from rapidjws import _native
from rapidjws._loggers import logger
from rapidjws.errors import error_for

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping

    from rapidjws.verify.key_table import PreparedKey

Acceleration = Literal["auto", "portable", "openssl"]

PRECOMPUTE_THRESHOLD: Final = 64
"""Acceptances after which a key is due for a table."""

PRECOMPUTE_BUDGET_BYTES: Final = 64 * 1024 * 1024
"""Default memory for the tables of one engine."""

BUILD_SHARE: Final = 0.05
"""Largest share of one CPU that is spent on tables once the budget was filled."""

TURN_S: Final = 0.05
"""So many seconds are built at once; then what is built is put to use."""

AGE_AT: Final = 8
"""A key turned away at this many thresholds halves all use counts: what counts is recent use."""

REMEMBERED_AGES: Final = 2
"""A key turned away is in want of memory until it was not turned away for so many halvings."""

BUILD_TRIES: Final = 3
"""A key whose table cannot be built is left alone after so many attempts."""

LOG_AGAIN_AT: Final = 1.25
"""The budget that would do is logged again when it has grown by this factor."""

_log: Final = logger("tables")


class Owner(Protocol):
    """Who holds the snapshot that the tables go into."""

    def _slot_numbers(self) -> Mapping[PreparedKey, int]:
        """Return the slot number of each key that is in use now."""

    def _use_counts(self, keys: Iterable[PreparedKey]) -> dict[PreparedKey, int]:
        """Return how often keys accepted, counted for all over the same time."""

    def _halve_use_counts(self) -> None:
        """Halve all use counts."""

    def _publish_tables(self) -> None:
        """Build and swap in a snapshot with the tables as they are now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableStatus:
    """The precomputed tables of one engine.

    Attributes:
        tables: Keys that have one.
        used_bytes: Memory that they take.
        budget_bytes: Memory that they may take.
        wanted_bytes: The budget that would do for all keys whose use calls for a table.
        built: Tables built since the engine was made.
        evicted: Tables that made room for those of keys in more use.
        build_cpu_s: CPU time spent on them in the background, in seconds.
    """

    tables: int
    used_bytes: int
    budget_bytes: int
    wanted_bytes: int
    built: int
    evicted: int
    build_cpu_s: float


def checked_acceleration(acceleration: str) -> Acceleration:
    """Return the setting.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """
    for known in get_args(Acceleration):
        if acceleration == known:
            return cast("Acceleration", known)
    raise error_for("configuration_invalid", "acceleration", expected=("auto", "portable", "openssl"))


class PrecomputedKeys:
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
        "_failures",
        "_is_contended",
        "_lock",
        "_logged_bytes",
        "_turned_away",
        "acceleration",
        "budget_bytes",
        "build_cpu_s",
        "built",
        "built_bytes",
        "due",
        "evicted",
        "is_queued",
        "next_turn_s",
        "tables",
        "threshold",
        "used_bytes",
    )

    def __init__(
        self,
        acceleration: Acceleration = "auto",
        budget_bytes: int = PRECOMPUTE_BUDGET_BYTES,
        threshold: int = PRECOMPUTE_THRESHOLD,
    ) -> None:
        self.acceleration = acceleration
        self.budget_bytes = budget_bytes
        self.threshold = 0 if acceleration == "openssl" else threshold
        self.tables: dict[PreparedKey, _native.NativePrecomputed] = {}
        self.used_bytes = self.built = self.built_bytes = self.evicted = 0
        self.build_cpu_s = 0.0
        self.next_turn_s = 0.0
        self.due: dict[PreparedKey, None] = {}
        self.is_queued = False
        self._failures: dict[PreparedKey, int] = {}
        self._turned_away: dict[PreparedKey, int] = {}  # key -> the age at which it was last
        self._ages = 0
        self._is_contended = False
        self._logged_bytes = 0
        self._lock = threading.Lock()  # held by who builds or drops one table, never by verification

    @property
    def is_on(self) -> bool:
        """Return whether tables are used at all."""
        return self.acceleration != "openssl"

    def status(self) -> TableStatus:
        """Return what there is to see; never waits."""
        return TableStatus(
            tables=len(self.tables),
            used_bytes=self.used_bytes,
            budget_bytes=self.budget_bytes,
            wanted_bytes=self.used_bytes
            + sum(_native.precomputed_bytes(key.number) for key in self._wanting()),
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
        self.due = {}
        self.is_queued = False

    def missing(self, keys: Iterable[PreparedKey]) -> list[PreparedKey]:
        """Return the keys that could get a table without another losing its own, in order."""
        left_bytes = self.budget_bytes - self.used_bytes
        found = []
        for key in keys:
            if (
                key not in self.tables
                and self._can_have(key)
                and _native.precomputed_bytes(key.number) <= left_bytes
            ):
                found.append(key)
                left_bytes -= _native.precomputed_bytes(key.number)
        return found

    def keep_only(self, keys: Container[PreparedKey]) -> None:
        """Drop the tables of keys that are gone, and what is remembered of them."""
        with self._lock:
            for key in [key for key in self.tables if key not in keys]:
                self._drop(key)
            self._turned_away = {key: age for key, age in self._turned_away.items() if key in keys}
            self._failures = {key: count for key, count in self._failures.items() if key in keys}

    def build(self, key: PreparedKey) -> bool:
        """Build one key's table where it fits beside the others; return whether it was built."""
        with self._lock:
            return key not in self.tables and self._can_have(key) and self._fits(key) and self._build(key)

    # --- in the background -------------------------------------------------------------------------------

    def take_turn(self, owner: Owner) -> bool:
        """Build tables of keys that are due, for one turn, and put them to use.

        Returns:
            Whether some are still due.
        """
        start_s, start_cpu_s = monotonic(), thread_time()
        if start_s < self.next_turn_s:
            return bool(self.due)
        built, self._is_contended = self.built, False
        while self.due and monotonic() - start_s < TURN_S and self._build_next(owner):
            if self._is_paced:
                break
        if self.built != built:
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

    def _build_next(self, owner: Owner) -> bool:
        """Build one table; return False where no key that is due shall have one."""
        numbers = owner._slot_numbers()
        with self._lock:
            for key in tuple(self.due):
                if key in self.tables or key not in numbers or not self._can_have(key):
                    del self.due[key]
                elif self._fits(key):
                    del self.due[key]
                    self._build(key)
                    return True
            rivals = tuple(self.due)
            if not rivals:
                return False
            self._is_contended = True
            counts = owner._use_counts((*rivals, *self.tables))
            best = max(rivals, key=lambda key: counts.get(key, 0))
            displaced = self._displaced_by(best, counts)
            if displaced is None:
                self._turn_away(owner, rivals, counts[best])
                return False
            for key in displaced:
                self._drop(key)
            self.evicted += len(displaced)
            del self.due[best]
            self._turned_away.pop(best, None)
            self._build(best)
            return True

    def _displaced_by(self, key: PreparedKey, counts: Mapping[PreparedKey, int]) -> list[PreparedKey] | None:
        """Return whose tables a key's would displace; None where they are not used so much less than it."""
        short_bytes = self.used_bytes + _native.precomputed_bytes(key.number) - self.budget_bytes
        displaced: list[PreparedKey] = []
        for least in sorted(self.tables, key=lambda one: counts.get(one, 0)):
            if short_bytes <= 0:
                break
            displaced.append(least)
            short_bytes -= _native.precomputed_bytes(least.number)
        lost = sum(counts.get(one, 0) for one in displaced)
        return displaced if counts.get(key, 0) >= 2 * lost + self.threshold else None

    def _turn_away(self, owner: Owner, rivals: Iterable[PreparedKey], highest: int) -> None:
        """Remember keys that get no table; where they are used much, let use count anew."""
        for key in rivals:
            del self.due[key]
            self._turned_away[key] = self._ages
        if highest < AGE_AT * self.threshold:
            return
        owner._halve_use_counts()
        self._ages += 1
        oldest = self._ages - REMEMBERED_AGES
        self._turned_away = {key: age for key, age in self._turned_away.items() if age >= oldest}
        self._log_wanted()

    def _log_wanted(self) -> None:
        wanting, wanted_bytes = self._wanting(), self.status().wanted_bytes
        if wanted_bytes < LOG_AGAIN_AT * max(self._logged_bytes, 1):
            return
        self._logged_bytes = wanted_bytes
        _log.warning(
            "precomputed tables: %d of %d keys in use have one;"
            " precompute_budget_bytes=%d, %d would do for all",
            len(self.tables),
            len(self.tables) + len(wanting),
            self.budget_bytes,
            wanted_bytes,
        )

    # --- one table, under the lock -----------------------------------------------------------------------

    def _can_have(self, key: PreparedKey) -> bool:
        need = _native.precomputed_bytes(key.number)
        if key.native is None or not self.is_on or not 0 < need <= self.budget_bytes:
            return False
        return self._failures.get(key, 0) < BUILD_TRIES

    def _fits(self, key: PreparedKey) -> bool:
        return self.used_bytes + _native.precomputed_bytes(key.number) <= self.budget_bytes

    def _build(self, key: PreparedKey) -> bool:
        table = _native.build_precomputed(
            key.number, key.jwk.material[0], portable=self.acceleration == "portable"
        )
        if table is None:
            self._failures[key] = self._failures.get(key, 0) + 1
            return False
        self.tables = {**self.tables, key: table}
        self.used_bytes += _native.precomputed_bytes(key.number)
        self.built_bytes += _native.precomputed_bytes(key.number)
        self.built += 1
        return True

    def _drop(self, key: PreparedKey) -> None:
        tables = dict(self.tables)
        del tables[key]
        self.tables = tables
        self.used_bytes -= _native.precomputed_bytes(key.number)
