"""What Verifier and Engine share: the current snapshot, its changes, and the precomputed tables.

Readers take one reference and never a lock; writers build a new snapshot and swap the reference.
"""

from __future__ import annotations

import os
import threading
from array import array
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, ClassVar, Final
from weakref import WeakSet

from rapidjws import _native
from rapidjws._checks import checked
from rapidjws.errors import error_for
from rapidjws.verify import table_builder
from rapidjws.verify.acceleration import checked_acceleration
from rapidjws.verify.carried_headers import carry_headers
from rapidjws.verify.key_table import IssuerKeys, PreparedKey
from rapidjws.verify.parallel import checked_workers
from rapidjws.verify.pipeline import Snapshot
from rapidjws.verify.precomputed import PrecomputedKeys
from rapidjws.verify.ready_waiters import checked_timeout_s
from rapidjws.verify.slot_table import KeyTable
from rapidjws.verify.worker_pool import call_on_thread

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rapidjws.verify.acceleration import Acceleration
    from rapidjws.verify.key_availability import KeyAvailability
    from rapidjws.verify.protocols import PostCheck
    from rapidjws.verify.result import VerifiedJWS
    from rapidjws.verify.rules import Rules
    from rapidjws.verify.table_status import TableStatus
    from rapidjws.verify.verdict_counters import VerdictCounters


_LOADED_LATER: Final = (
    "concurrent.futures.thread",
    "decimal",
    "hashlib",
    "mmap",
    "rapidjws._loggers",
    "rapidjws.verify.chains",
)
_owners: Final[WeakSet[SnapshotOwner]] = WeakSet()


def load_what_forks_need() -> None:
    """Load what verification first needs later: in a child, an import that a fork interrupted never ends."""
    for name in _LOADED_LATER:
        __import__(name)


def _renew_locks() -> None:
    """Replace the writers' locks in a forked child: a thread that is not there may have held them."""
    _native.renew_locks()
    for owner in _owners:
        owner._renew_locks()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_locks)


class SnapshotOwner(_native.NativeEngine):
    """A snapshot and change it under traffic.

    Args:
        keys: The prepared keys of each issuer.
        rules: The rules of each issuer, in the same order.
        max_token_bytes: Largest token.
        max_header_bytes: Largest decoded protected header.
        workers: Threads for ``verify_many``, or None for one a core.
        acceleration: ``"auto"``, ``"portable"`` or ``"openssl"``.
        precompute_budget_bytes: Memory for the tables of much-used keys.
        precompute_threshold: Acceptances after which a key gets a table.
        key_availability: Issuers without keys, revoked keys, keys awaited, or None.
        post_checks: Checks verified tokens for revocation and replay, or None.
        counters: Where verdicts are counted, or None.
    """

    __slots__ = (
        "__weakref__",
        "_change",
        "_key_availability",
        "_max_header_bytes",
        "_max_token_bytes",
        "_post_checks",
        "_precomputed",
        "_workers",
    )
    needs_usable_key: ClassVar[bool] = True
    """False only where keys that serve nothing are to be examined: it verifies nothing by them either way."""
    _snapshot: Snapshot
    _key_availability: KeyAvailability | None
    _post_checks: PostCheck | None
    _counters: VerdictCounters | None

    def __init__(
        self,
        keys: Sequence[IssuerKeys],
        rules: Sequence[Rules],
        *,
        max_token_bytes: int,
        max_header_bytes: int,
        workers: int | None,
        acceleration: str,
        precompute_budget_bytes: int,
        precompute_threshold: int,
        key_availability: KeyAvailability | None = None,
        post_checks: PostCheck | None = None,
        counters: VerdictCounters | None = None,
    ) -> None:
        load_what_forks_need()
        _check_count("precompute_budget_bytes", precompute_budget_bytes, 2**62)
        _check_count("precompute_threshold", precompute_threshold, 2**31 - 1)
        self._workers = checked_workers(workers)
        self._max_token_bytes = max_token_bytes
        self._max_header_bytes = max_header_bytes
        self._key_availability = key_availability
        self._post_checks = post_checks
        self._counters = counters
        self._precomputed = self._make_precomputed(
            checked_acceleration(acceleration), precompute_budget_bytes, precompute_threshold
        )
        self._change = threading.RLock()  # held by writers only; verification never takes it
        table = KeyTable(keys)
        self._precomputed.adopt(table.slots)
        self._snapshot = self._make(table, rules)
        _owners.add(self)

    def _make_precomputed(
        self, acceleration: Acceleration, budget_bytes: int, threshold: int
    ) -> PrecomputedKeys:
        return PrecomputedKeys(acceleration, budget_bytes, threshold)

    def _renew_locks(self) -> None:
        self._change = threading.RLock()
        self._precomputed.after_fork()

    @property
    def workers(self) -> int:
        """Return how many threads ``verify_many`` uses."""
        return self._workers

    @property
    def precomputed_kids(self) -> tuple[str | None, ...]:
        """Return the kids of the keys that have a precomputed table now."""
        return tuple(key.jwk.kid for key in self._precomputed.tables)

    @checked
    def precompute(self, *, wait: bool = True, timeout_s: float | None = None) -> int:
        """Build the precomputed tables of keys that have none, in the order of the keys, within the budget.

        Args:
            wait: True returns when the tables are in use; False has them built beside the traffic.
            timeout_s: Longest time to build, in seconds, where ``wait``; None for as long as it takes. A key
                without a table is verified by libcrypto.

        Returns:
            How many tables were built, or will be where ``wait`` is False.

        Raises:
            ConfigurationError: ``configuration_invalid``: no such bound.
        """
        end_s = None if timeout_s is None else monotonic() + checked_timeout_s(timeout_s)
        precomputed = self._precomputed
        missing = precomputed.missing(self._snapshot.table.slots)
        if not wait:
            for key in missing:
                self._table_due(key)
            return len(missing)
        built = 0
        for key in missing:
            if end_s is not None and monotonic() >= end_s:
                break
            built += precomputed.build(key)
        if (
            self._snapshot.tables is not precomputed.tables
        ):  # ours, or one that the background thread just built
            self._publish_tables()
        return built

    @checked
    async def aprecompute(self, *, timeout_s: float | None = None) -> int:
        """Build tables as ``precompute`` does, on another thread, and wait for them from asyncio.

        Args:
            timeout_s: As for ``precompute``.

        Returns:
            How many tables were built.

        Raises:
            ConfigurationError: ``configuration_invalid``: no such bound.
        """
        work = partial(self.precompute, timeout_s=timeout_s)
        return await call_on_thread(work)

    @checked
    def precompute_in_background(self, most: int) -> bool:
        """Ask for the tables of keys that have none, beside the traffic, before their first tokens.

        Args:
            most: How many are asked for at once.

        Returns:
            Whether some are missing that there is room for.
        """
        precomputed = self._precomputed
        if not precomputed.threshold:
            return False
        missing = precomputed.missing(self._snapshot.table.slots)
        for key in missing[:most]:
            self._table_due(key)
        return bool(missing)

    def table_status(self) -> TableStatus:
        """Return how many keys have a precomputed table, and the budget that would do for all in use."""
        return self._precomputed.status()

    def _slot_numbers(self) -> Mapping[PreparedKey, int]:
        """Return the slot number of each key that is in use now."""
        return self._snapshot.table.numbers

    @checked
    def _use_counts(self, keys: Iterable[PreparedKey]) -> dict[PreparedKey, int]:
        """Return how often keys accepted, counted for all over the same time; without keys that are gone."""
        snapshot = self._snapshot
        numbers = snapshot.table.numbers
        known = [key for key in keys if key in numbers]
        counts = snapshot.native.use_counts(array("I", map(numbers.__getitem__, known)))
        return dict(zip(known, counts, strict=True))

    def _halve_use_counts(self) -> None:
        """Halve all use counts."""
        self._snapshot.native.halve_use_counts()

    def _build_due_tables(self) -> float | None:
        """Build tables for one turn, on the background thread; return when the next may begin, or None."""
        precomputed = self._precomputed
        try:
            if precomputed.take_turn(self):
                return precomputed.next_turn_s
        except BaseException:
            precomputed.due.clear()
            precomputed.is_queued = False
            raise
        precomputed.is_queued = False
        if not precomputed.due:
            return None
        precomputed.is_queued = True  # became due in between
        return precomputed.next_turn_s

    def _build_due_tables_now(self) -> None:
        """Build tables that are due on this thread, for one turn; never raises."""
        if self._precomputed.due:
            table_builder.builder.build_here(self._precomputed, self)

    def _publish_tables(self) -> None:
        """Put the tables of now to use, if others; keys, rules and known headers stay."""
        with self._change:
            now = self._snapshot
            self._precomputed.keep_only(now.table.numbers)  # keys may have gone while their tables were built
            if now.tables is not self._precomputed.tables:  # else another thread was quicker
                now.newer = self._snapshot = self._make(now.table, now.rules, now)

    def _swap(self, keys: Sequence[IssuerKeys], rules: Sequence[Rules]) -> None:
        """Swap in other keys or rules; the caller holds ``_change``."""
        table, before = KeyTable(keys), self._snapshot
        in_use = self._issuers_with_tables(before)
        self._precomputed.keep_only(table.numbers)
        known = before.table.numbers
        self._precomputed.adopt([key for key in table.slots if key not in known])
        made = self._make(table, rules)
        carry_headers(before, made)
        self._snapshot = made
        for keys_of, rule in zip(table.issuers, rules, strict=True) if in_use else ():
            if rule.iss in in_use:
                self._tables_for_new_keys(keys_of, before)

    def _issuers_with_tables(self, snapshot: Snapshot) -> set[str | None]:
        """Return the issuers whose tokens come so often that a key of theirs has a table."""
        tables = self._precomputed.tables
        pairs = zip(snapshot.table.issuers, snapshot.rules, strict=True) if tables else ()
        return {rule.iss for keys, rule in pairs if not tables.keys().isdisjoint(keys.prepared)}

    def _tables_for_new_keys(self, keys: IssuerKeys, before: Snapshot) -> None:
        """Ask for the tables of keys that an issuer in use has now, before their first tokens."""
        if self._precomputed.threshold:
            known = before.table.numbers
            for key in self._precomputed.missing([key for key in keys.prepared if key not in known]):
                self._table_due(key)

    def _make(self, table: KeyTable, rules: Sequence[Rules], before: Snapshot | None = None) -> Snapshot:
        return Snapshot(
            table,
            rules,
            self._precomputed,
            max_token_bytes=self._max_token_bytes,
            max_header_bytes=self._max_header_bytes,
            before=before,
            table_due=self._table_due,
            build_due_tables=self._build_due_tables_now,
            verify_other_serialization=self._verify_other_serialization,
            key_availability=self._key_availability,
            post_checks=self._post_checks,
            counters=self._counters,
        )

    def _verify_other_serialization(
        self, snapshot: Snapshot, octets: bytes, now_ns: int
    ) -> VerifiedJWS | None:
        """Verify a token of another serialization than the compact one, or return None where it is none."""
        return None

    def _table_due(self, key: PreparedKey) -> None:
        table_builder.builder.submit(self, self._precomputed, key)


def _check_count(place: str, value: object, most: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise error_for("configuration_invalid", place, expected=f"a whole number from 0 to {most}")
