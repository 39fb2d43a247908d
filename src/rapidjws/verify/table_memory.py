"""Which keys use which precomputed tables, and the memory that these take, within a budget.

A table is of a public key and a size: keys of several issuers that are the same key share one, and so do the
engines of a process. It is checked against libcrypto when it is built, whoever asked for it.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, ClassVar, Final

from rapidjws import _native
from rapidjws.verify.table_sizes import LARGEST, table_bytes

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

    from rapidjws.verify.acceleration import Acceleration
    from rapidjws.verify.key_table import PreparedKey

BUILD_TRIES: Final = 3
"""A key whose table cannot be built is left alone after so many attempts."""


def bytes_of(key: PreparedKey) -> tuple[int, ...]:
    """Return the memory of a key's table by its size, the largest first."""
    return table_bytes(key.number)


def largest_bytes(key: PreparedKey) -> int:
    """Return the memory of a key's largest table; 0 where it has none."""
    return max(bytes_of(key), default=0)


class TableMemory:
    """The tables of one engine's keys.

    Args:
        acceleration: ``"portable"`` has tables for plain C arithmetic; ``"openssl"`` has none.
        budget_bytes: Memory for them.
        threshold: Acceptances after which a key is due for a table; 0: only what is asked for is built.
    """

    retires: ClassVar[bool] = True
    """Whether tables of keys that went are kept while there is memory."""

    __slots__ = (
        "_failures",
        "_holders",
        "_lock",
        "_retired",
        "_sizes",
        "acceleration",
        "budget_bytes",
        "tables",
        "threshold",
        "used_bytes",
    )

    def __init__(self, acceleration: Acceleration, budget_bytes: int, threshold: int) -> None:
        self.acceleration = acceleration
        self.budget_bytes = budget_bytes
        self.threshold = threshold
        self.tables: dict[PreparedKey, _native.NativePrecomputed] = {}
        self.used_bytes = 0
        self._sizes: dict[PreparedKey, int] = {}  # of the tables that there are
        self._holders: dict[_native.NativePrecomputed, int] = {}  # table -> how many keys use it
        self._retired: dict[_native.NativePrecomputed, int] = {}  # of keys that went, with their bytes
        self._failures: dict[PreparedKey, int] = {}
        self._lock = threading.Lock()  # held by who builds or drops one table, never by verification

    @property
    def is_on(self) -> bool:
        """Return whether tables are used at all."""
        return self.acceleration != "openssl"

    def adopt(self, keys: Iterable[PreparedKey]) -> None:
        """Use the tables that this process has for keys that have none here, as far as the budget goes.

        Another issuer or engine may have the same key, and the key may have been here before a reload. Of
        another engine only the largest are taken: a smaller one was made for want of memory there.
        """
        if not self.is_on or not self.threshold:
            return
        with self._lock:
            tables = dict(self.tables)
            for key in keys:
                found = None if key in tables or not self._can_have(key) else self._live(key)
                if found is not None and self._fits(*found, key):
                    tables[key] = found[0]
                    self._hold(key, *found)
            if len(tables) != len(self.tables):
                self.tables = tables

    def _retire(self, keys: Container[PreparedKey]) -> None:
        """Drop the tables of keys that are gone; until their memory is needed they stay, unused."""
        for key in [key for key in self.tables if key not in keys]:
            table, size = self.tables[key], self._sizes[key]
            self._drop(key)
            if table not in self._holders and self.retires:
                self._retired[table] = bytes_of(key)[size]
        self._failures = {key: count for key, count in self._failures.items() if key in keys}
        self._trim_retired()

    def _can_have(self, key: PreparedKey) -> bool:
        sizes = bytes_of(key)
        if key.native is None or not self.is_on or not sizes or sizes[-1] > self.budget_bytes:
            return False
        return self._failures.get(key, 0) < BUILD_TRIES

    @property
    def _left_bytes(self) -> int:
        return self.budget_bytes - self.used_bytes

    def _more_bytes(self, key: PreparedKey, size: int) -> int:
        """Return the memory that a key's table of this size takes beyond the one it has."""
        has_bytes = bytes_of(key)[self._sizes[key]] if key in self._sizes else 0
        return bytes_of(key)[size] - has_bytes

    def _live(self, key: PreparedKey) -> tuple[_native.NativePrecomputed, int] | None:
        """Return the largest table that this process has for a key, and its size."""
        return _native.live_precomputed(
            key.number, key.jwk.material[0], portable=self.acceleration == "portable"
        )

    def _fits(self, table: _native.NativePrecomputed, size: int, key: PreparedKey) -> bool:
        if table in self._holders:
            return True
        return (size == LARGEST or table in self._retired) and self._more_bytes(key, size) <= self._left_bytes

    def _hold(self, key: PreparedKey, table: _native.NativePrecomputed, size: int) -> None:
        """Note that a key uses a table; it takes memory once, whatever number of keys do."""
        holders = self._holders.get(table, 0)
        self._holders[table] = holders + 1
        self._sizes[key] = size
        self._retired.pop(table, None)
        if not holders:
            self.used_bytes += bytes_of(key)[size]
        self._trim_retired()

    def _drop(self, key: PreparedKey) -> None:
        tables = dict(self.tables)
        table, size = tables.pop(key), self._sizes.pop(key)
        self.tables = tables
        self._holders[table] -= 1
        if not self._holders[table]:
            del self._holders[table]
            self.used_bytes -= bytes_of(key)[size]

    def _trim_retired(self) -> None:
        """Free what the budget has no memory for any more, the oldest first."""
        while self._retired and sum(self._retired.values()) > self._left_bytes:
            del self._retired[next(iter(self._retired))]
