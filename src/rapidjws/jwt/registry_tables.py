"""Precomputed tables of many small engines within one budget."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from rapidjws.jwt.engine import Engine
from rapidjws.verify.precomputed import PrecomputedKeys
from rapidjws.verify.table_status import TableStatus

if TYPE_CHECKING:
    from typing import Any

    from rapidjws._native import NativePrecomputed
    from rapidjws.jwt.issuer import Issuer
    from rapidjws.verify.acceleration import Acceleration
    from rapidjws.verify.key_table import PreparedKey
    from rapidjws.verify.table_status import Owner

NO_BUDGET: Final = 0


class TableBudget:
    """The memory for the precomputed tables of all issuers of a registry.

    Args:
        budget_bytes: All of it.
    """

    __slots__ = ("_lock", "budget_bytes", "build_cpu_s", "built", "evicted", "tables", "used_bytes")

    def __init__(self, budget_bytes: int) -> None:
        self.budget_bytes = budget_bytes
        self.used_bytes = self.tables = self.built = self.evicted = 0
        self.build_cpu_s = 0.0
        self._lock = threading.Lock()

    def take(self, more_bytes: int, *, tables: int, built: int = 0) -> None:
        """Note memory that a table takes, or gives back where the number is negative."""
        with self._lock:
            self.used_bytes += more_bytes
            self.tables += tables
            self.built += built

    def note_turn(self, evicted: int, build_cpu_s: float) -> None:
        """Note what one engine's turn of building did."""
        with self._lock:
            self.evicted += evicted
            self.build_cpu_s += build_cpu_s

    def status(self) -> TableStatus:
        """Return what there is to see."""
        return TableStatus(
            tables=self.tables,
            used_bytes=self.used_bytes,
            budget_bytes=self.budget_bytes,
            wanted_bytes=self.used_bytes,
            smaller=0,
            built=self.built,
            evicted=self.evicted,
            build_cpu_s=self.build_cpu_s,
        )

    def after_fork(self) -> None:
        """Make the lock anew in a forked child."""
        self._lock = threading.Lock()


class SharedPrecomputedKeys(PrecomputedKeys):
    """The precomputed tables of one engine, within what others leave of a budget."""

    __slots__ = ("_budget", "_is_closed")
    retires = False

    def __init__(self, budget: TableBudget, acceleration: Acceleration, threshold: int) -> None:
        self._budget = budget
        self._is_closed = False
        super().__init__(acceleration, NO_BUDGET, threshold)

    @property
    def budget_bytes(self) -> int:
        """Return what this engine has, and what nobody has."""
        if self._is_closed:
            return NO_BUDGET
        left_bytes = self._budget.budget_bytes - self._budget.used_bytes
        return self.used_bytes + max(0, left_bytes)

    @budget_bytes.setter
    def budget_bytes(self, budget_bytes: int) -> None:
        """Ignore a budget of one engine alone."""

    def _build(self, key: PreparedKey, size: int) -> bool:
        before = self.built
        done = not self._is_closed and super()._build(key, size)
        self._budget.take(0, tables=0, built=self.built - before)
        return done

    def _hold(self, key: PreparedKey, table: NativePrecomputed, size: int) -> None:
        before = self.used_bytes
        super()._hold(key, table, size)
        self._budget.take(self.used_bytes - before, tables=1)

    def _take_turn(self, owner: Owner) -> bool:
        evicted, build_cpu_s = self.evicted, self.build_cpu_s
        try:
            return super()._take_turn(owner)
        finally:
            self._budget.note_turn(self.evicted - evicted, self.build_cpu_s - build_cpu_s)

    def _drop(self, key: PreparedKey) -> None:
        before = self.used_bytes
        super()._drop(key)
        self._budget.take(self.used_bytes - before, tables=-1)

    def close(self) -> None:
        """Give all memory back, for good."""
        self._is_closed = True
        self.keep_only(())


class RegistryEngine(Engine):
    """The engine of one issuer of a registry, which counts and revokes nothing by itself.

    Args:
        issuer: The issuer.
        budget: What its precomputed tables share with others.
        settings: Arguments of :class:`Engine`.
    """

    __slots__ = ("_budget",)

    def __init__(self, issuer: Issuer, budget: TableBudget, settings: dict[str, Any]) -> None:
        self._budget = budget
        super().__init__(issuer, counters=False, **settings)

    def _make_precomputed(
        self, acceleration: Acceleration, budget_bytes: int, threshold: int
    ) -> PrecomputedKeys:
        return SharedPrecomputedKeys(self._budget, acceleration, threshold)

    def close(self) -> None:
        """Give back the memory of precomputed tables; calls under way end as they would."""
        if isinstance(self._precomputed, SharedPrecomputedKeys):
            self._precomputed.close()
