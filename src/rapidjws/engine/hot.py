"""Hot keys: precomputed tables for the keys that are seen again and again.

The core counts acceptances and marks the token that earns its key a table. Tables are built on a thread of
their own, off the verification path, within a memory budget, and published by the owner's snapshot swap.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import threading
import weakref
from typing import TYPE_CHECKING, Final, Literal, Protocol, cast, get_args

from rapidjws import _native
from rapidjws.errors import error_for

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rapidjws.engine.keytable import PreparedKey

Acceleration = Literal["auto", "portable", "openssl"]

HOT_THRESHOLD: Final = 64
"""Acceptances after which a key has earned a table."""

HOT_BUDGET_BYTES: Final = 64 * 1024 * 1024
"""Default memory for the tables of one engine."""


ORDERS_MAX: Final = 4096
"""Most tables asked for that wait to be built."""

_log: Final = logging.getLogger("rapidjws.engine")


class Owner(Protocol):
    """Who holds the snapshot that the tables go into."""

    def heat(self) -> Mapping[PreparedKey, int]:
        """Return how often each key with a table was used since the last swap."""

    def publish_hot(self) -> None:
        """Build and swap in a snapshot with the tables as they are now."""


def checked_acceleration(acceleration: str) -> Acceleration:
    """Return the setting.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """
    for known in get_args(Acceleration):
        if acceleration == known:
            return cast("Acceleration", known)
    raise error_for("configuration_invalid", "acceleration", expected=("auto", "portable", "openssl"))


Order = tuple["weakref.ref[Owner]", "HotKeys", "PreparedKey"]


class HotKeys:
    """Hold the tables of one engine's hot keys within a budget.

    Args:
        acceleration: ``"auto"``; ``"portable"`` keeps to plain C; ``"openssl"`` has no tables.
        budget_bytes: Memory for key tables; the coldest goes first.
        threshold: Acceptances that earn a table; 0 turns earning off.
    """

    __slots__ = ("_lock", "acceleration", "budget_bytes", "tables", "threshold", "used_bytes")

    def __init__(
        self,
        acceleration: Acceleration = "auto",
        budget_bytes: int = HOT_BUDGET_BYTES,
        threshold: int = HOT_THRESHOLD,
    ) -> None:
        self.acceleration = acceleration
        self.budget_bytes = budget_bytes
        self.threshold = 0 if acceleration == "openssl" else threshold
        self.tables: dict[PreparedKey, _native.NativeHot] = {}
        self.used_bytes = 0
        self._lock = threading.Lock()  # held by builders only

    @property
    def is_on(self) -> bool:
        """Return whether tables are used at all."""
        return self.acceleration != "openssl"

    def renew_lock(self) -> None:
        """Replace the builders' lock in a forked child."""
        self._lock = threading.Lock()

    def missing(self, keys: Iterable[PreparedKey]) -> list[PreparedKey]:
        """Return the keys that could get a table without another losing its own, in order."""
        if not self.is_on:
            return []
        left_bytes = self.budget_bytes - self.used_bytes
        found = []
        for key in keys:
            need = _native.hot_bytes(key.number)
            if 0 < need <= left_bytes and key.native is not None and key not in self.tables:
                found.append(key)
                left_bytes -= need
        return found

    def keep_only(self, keys: Iterable[PreparedKey]) -> None:
        """Drop the tables of keys that are gone."""
        alive = set(keys)
        with self._lock:
            for key in [key for key in self.tables if key not in alive]:
                self._drop(key)

    def earn(self, keys: Iterable[PreparedKey], heat: Mapping[PreparedKey, int]) -> int:
        """Build tables for keys that have none, in order, evicting colder ones where the budget is used up.

        Args:
            keys: Keys that earned a table.
            heat: How much the keys that have one are used.

        Returns:
            How many tables were built.
        """
        built = 0
        with self._lock:
            for key in keys:
                if key not in self.tables and self._make_room(key, heat) and self._build(key):
                    built += 1
        return built

    def _make_room(self, key: PreparedKey, heat: Mapping[PreparedKey, int]) -> bool:
        need = _native.hot_bytes(key.number)
        if key.native is None or not self.is_on or not 0 < need <= self.budget_bytes:
            return False
        for coldest in sorted(self.tables, key=lambda candidate: heat.get(candidate, 0)):
            if self.used_bytes + need <= self.budget_bytes:
                break
            self._drop(coldest)
        return True

    def _build(self, key: PreparedKey) -> bool:
        table = _native.build_hot(key.number, key.jwk.material[0], portable=self.acceleration == "portable")
        if table is None:
            return False
        self.tables = {**self.tables, key: table}
        self.used_bytes += _native.hot_bytes(key.number)
        return True

    def _drop(self, key: PreparedKey) -> None:
        tables = dict(self.tables)
        del tables[key]
        self.tables = tables
        self.used_bytes -= _native.hot_bytes(key.number)


class _Builder:
    """One background thread a process that builds tables; started on first use, and anew in a forked child.

    A table is an acceleration only: whatever fails here is counted and logged, and no verdict waits for it.

    Attributes:
        failures: Orders that were put off or given up, since the process began.
    """

    __slots__ = ("_lock", "_pid", "_queue", "failures")

    def __init__(self) -> None:
        self.failures = 0
        self._pid = -1
        self.forget()

    def submit(self, owner: Owner, hot: HotKeys, key: PreparedKey) -> None:
        """Ask for a table; returns at once and never raises.

        Where no thread can be started, the order waits for the next one that can.
        """
        try:
            if self._queue.qsize() < ORDERS_MAX:
                self._queue.put((weakref.ref(owner), hot, key))
            if self._pid != os.getpid() and self._lock.acquire(blocking=False):  # else another starts it
                try:
                    self._start()
                finally:
                    self._lock.release()
        except Exception as fault:  # RuntimeError: no more threads; MemoryError
            self._failed(fault)

    def _start(self) -> None:
        if self._pid != os.getpid():
            threading.Thread(target=self._run, args=(self._queue,), name="rapidjws-hot", daemon=True).start()
            self._pid = os.getpid()

    def _failed(self, fault: Exception) -> None:
        self.failures += 1
        with contextlib.suppress(Exception):  # a log handler of the application
            _log.warning(
                "no precomputed table for a key now: %s; its tokens are verified without", str(fault)
            )

    def _run(self, waiting: queue.SimpleQueue[Order]) -> None:
        while True:
            first = waiting.get()
            orders = [first]
            try:
                while not waiting.empty():
                    orders.append(waiting.get())
            except Exception as fault:
                self._failed(fault)
            self._build(orders)
            del first, orders  # an idle builder keeps nobody's keys alive

    def _build(self, orders: list[Order]) -> None:
        """Build what was ordered, and publish it once for each owner that is still there."""
        for reference, hot in {(id(one), id(hot)): (one, hot) for one, hot, _ in orders}.values():
            try:
                owner = reference()
                if owner is not None:
                    keys = [key for one, _, key in orders if one is reference]
                    if hot.earn(keys, owner.heat()):
                        owner.publish_hot()
            except Exception as fault:  # one engine's trouble stops no other's tables
                self._failed(fault)
            owner = None

    def forget(self) -> None:
        """Drop what a fork left behind."""
        self._lock = threading.Lock()
        self._pid = -1
        self._queue: queue.SimpleQueue[Order] = queue.SimpleQueue()


builder: Final = _Builder()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=builder.forget)
