"""The issuers of a registry: which are in memory, and how the others are looked up."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import dataclass, replace
from time import monotonic
from typing import TYPE_CHECKING, Any

from rapidjws import _native
from rapidjws._checks import checked
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.jose.limits import HEADER_MAX_BYTES
from rapidjws.jwt.engine import Engine
from rapidjws.jwt.issuer import Issuer, by_iss
from rapidjws.jwt.registry_entries import Entry, EntryTable
from rapidjws.jwt.registry_limits import check_limits
from rapidjws.jwt.registry_lookups import Lookups, refusal_of
from rapidjws.jwt.registry_tables import RegistryEngine, SharedPrecomputedKeys, TableBudget
from rapidjws.verify.key_selection import unverified_iss
from rapidjws.verify.precomputed import PRECOMPUTE_BUDGET_BYTES, PRECOMPUTE_THRESHOLD
from rapidjws.verify.protocols import EventListener, KeySource, no_events

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rapidjws.jwt.decision import DecisionPolicy
    from rapidjws.jwt.skew import Skew
    from rapidjws.verify.acceleration import Acceleration
    from rapidjws.verify.precomputed import PrecomputedKeys
    from rapidjws.verify.protocols import KeyState
    from rapidjws.verify.table_status import TableStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryStatus:
    """The issuers of a registry as they can be seen.

    Attributes:
        issuers: Issuers in memory.
        evicted: Issuers that made room for others since the start.
        lookups: Calls of the look-up since the start.
        lookups_failed: Those that raised, or returned what cannot be used.
        lookups_refused: Look-ups that did not begin, as too many were under way or found nothing.
    """

    issuers: int
    evicted: int
    lookups: int
    lookups_failed: int
    lookups_refused: int


class LookedUpIssuers(Engine):
    """The issuers of a registry, and their look-ups; see :class:`IssuerRegistry` for the arguments."""

    __slots__ = (
        "_budget",
        "_hints",
        "_lookup_timeout_s",
        "_lookups",
        "_member_settings",
        "_refresh_s",
        "_stale_limit_s",
        "_table",
        "_unknown_by",
    )

    @checked
    def __init__(
        self,
        lookup: Callable[[str], Issuer | None],
        *issuers: Issuer,
        max_issuers: int = 10_000,
        lookup_timeout_s: float = 2.0,
        refresh_s: float = 60.0,
        stale_limit_s: float = 3600.0,
        unknown_ttl_s: float = 60.0,
        unknown_per_minute: int = 600,
        precompute_budget_bytes: int = PRECOMPUTE_BUDGET_BYTES,
        events: EventListener = no_events,
        **settings: Any,
    ) -> None:
        check_limits(
            max_issuers=max_issuers,
            lookup_timeout_s=lookup_timeout_s,
            refresh_s=refresh_s,
            stale_limit_s=stale_limit_s,
            unknown_ttl_s=unknown_ttl_s,
            unknown_per_minute=unknown_per_minute,
        )
        if settings.get("cache") is not None:
            raise error_for("configuration_invalid", "cache", "None: a registry remembers no tokens")
        self._lookup_timeout_s, self._refresh_s = lookup_timeout_s, refresh_s
        self._stale_limit_s = stale_limit_s
        self._budget = TableBudget(precompute_budget_bytes)
        self._table = EntryTable(max_issuers)
        self._hints: dict[str | bytes, Any] = {}
        self._unknown_by = getattr(lookup, "knows", None)
        own = ("rollout", "authorizer", "counters", "revocations")
        self._member_settings = {name: value for name, value in settings.items() if name not in own}
        self._member_settings["events"] = events
        self._lookups = Lookups(
            lookup,
            self._made,
            self._table,
            unknown_per_minute=unknown_per_minute,
            unknown_ttl_s=unknown_ttl_s,
            events=events,
            is_configured=self._is_configured,
        )
        settings.setdefault("max_header_bytes", HEADER_MAX_BYTES)
        settings.setdefault("precompute_threshold", PRECOMPUTE_THRESHOLD)
        super().__init__(*issuers, precompute_budget_bytes=precompute_budget_bytes, events=events, **settings)
        self._member_settings["max_token_bytes"] = self._max_token_bytes
        self._direct = False  # every call goes by iss
        self._renew_headers()

    def _renew_headers(self) -> None:
        """Forget what the core knows of headers; it knows none while anything is revoked."""
        if not self._revocations.listed and not self._is_lost:
            self._set_known(_native.known_headers(self._counters, self._table.most_headers))
        if self._revocations.listed or self._is_lost:  # by now: another thread may have put None there
            self._set_known(None)

    def _rebuild(self) -> None:
        super()._rebuild()
        self._renew_headers()

    @staticmethod
    def _named(issuers: Sequence[Issuer]) -> dict[str, Issuer]:
        """Return issuers by name; none of them may stand for any ``iss``."""
        named = by_iss(issuers) if issuers else {}
        if "" in named:
            raise error_for("configuration_invalid", "issuers", "an iss each: the others are looked up")
        return named

    def _make_precomputed(
        self, acceleration: Acceleration, budget_bytes: int, threshold: int
    ) -> PrecomputedKeys:
        return SharedPrecomputedKeys(self._budget, acceleration, threshold)

    def _renew_locks(self) -> None:
        super()._renew_locks()
        self._budget.after_fork()
        self._table.after_fork()
        self._lookups.after_fork()

    def __repr__(self) -> str:
        return f"<IssuerRegistry of {len(self.issuers)} issuers and {len(self._table)} looked up>"

    def registry_status(self) -> RegistryStatus:
        """Return what there is to see of the issuers that are looked up."""
        lookups = self._lookups
        return RegistryStatus(
            issuers=len(self._table),
            evicted=self._table.evicted,
            lookups=lookups.calls,
            lookups_failed=lookups.failed,
            lookups_refused=lookups.refused,
        )

    def table_status(self) -> TableStatus:
        """Return how many keys have a precomputed table, of all issuers together."""
        return self._budget.status()

    @checked
    def forget(self, issuer: str | None = None) -> None:
        """Have an issuer looked up again before its next token, as its keys, rules or existence changed.

        Args:
            issuer: Its ``iss``; None for all that were looked up.
        """
        names = [entry.name for entry in self._table.entries()] if issuer is None else [issuer]
        self._lookups.forget(issuer)
        for name in names:
            self._table.remove(name)

    def _member(self, issuer: str) -> Engine | None:
        """Return the engine of an issuer that was looked up and is in memory, or None."""
        entry = None if issuer in self._issuers else self._table.get(issuer)
        return None if entry is None else entry.engine

    @checked
    def key_state(self, issuer: str) -> KeyState:
        """Return an issuer's keys as they are used, or why there are none.

        Raises:
            ConfigurationError: ``configuration_invalid``: no such issuer in memory.
        """
        member = self._member(issuer)
        return super().key_state(issuer) if member is None else member.key_state(issuer)

    @checked
    def source_of(self, issuer: str) -> KeySource | None:
        """Return an issuer's key source, or None where it has none, or is not in memory."""
        member = self._member(issuer)
        return super().source_of(issuer) if member is None else member.source_of(issuer)

    @checked
    def skew(self, issuer: str) -> Skew | None:
        """Return how far an issuer's clock is from ours, or None where nothing was measured.

        Raises:
            ConfigurationError: ``configuration_invalid``: no such issuer in memory.
        """
        member = self._member(issuer)
        return super().skew(issuer) if member is None else member.skew(issuer)

    @checked
    def replace_issuers(self, *issuers: Issuer) -> None:
        """Put other issuers in the place of those that are there always; see :class:`Engine`."""
        super().replace_issuers(*issuers)
        self._hints = {}
        self._renew_headers()
        for entry in self._table.entries():  # what is configured wins over what was looked up
            if self._is_configured(entry.name):
                self._table.remove(entry.name)

    def expect_retries(self, policy: DecisionPolicy) -> None:
        """Let uses of tokens be remembered for as long as a policy may still accept them."""
        super().expect_retries(policy)
        for entry in self._table.entries():
            if entry.engine is not None:
                entry.engine._longest_retry_s = self._longest_retry_s

    # --- look-ups ----------------------------------------------------------------------------------------

    def _made(self, iss: str, issuer: Issuer) -> Entry:
        """Return the entry of an issuer that was looked up; on the thread of the look-up."""
        now_s = monotonic()
        entry = self._table.get(iss)
        engine = None if entry is None else entry.engine
        if entry is None or engine is None or bool(issuer.names) != entry.compares_iss:
            engine = RegistryEngine(issuer, self._budget, self._member_settings)
            engine._longest_retry_s = self._longest_retry_s
            entry = Entry(iss, issuer, engine)
            entry.wait_until_s = now_s + self._lookup_timeout_s
        elif entry.issuer != issuer:
            issuer = _with_source_of(entry.issuer, issuer)
            if entry.issuer != issuer:
                engine.replace_issuers(issuer)
                entry.issuer = issuer
        entry.be_due_in(self._refresh_s)
        entry.stale_s = now_s + self._stale_limit_s
        return entry

    def _is_configured(self, iss: str) -> bool:
        """Say whether a name is that of an issuer that is there always."""
        return self._snapshot.issuers.get(iss) is not None

    def _refresh(self, entry: Entry) -> None:
        """Look an issuer up again beside the traffic."""
        entry.due_s = monotonic() + min(1.0, self._refresh_s)  # the core asks Python meanwhile
        self._lookups.request(entry.name, is_known=entry.is_proven, before=entry)

    def _entry_or_pending(self, octets: bytes) -> Entry | Future[Any] | None:
        """Return the entry of a token's issuer, the look-up that may bring it, or None for one of ours.

        Raises:
            RapidJWSError: ``unknown_issuer``, ``keys_unavailable``; what is wrong with the token's form.
        """
        if octets.count(b".") != 2:
            raise error_for("malformed_token", "token", expected="two dots", actual=octets.count(b"."))
        iss = self._stated_iss(octets)
        if self._snapshot.issuers.get(iss) is not None:
            return None
        if iss is None:
            self._check_header(octets)  # whatever is wrong there comes first
            raise error_for("unknown_issuer", "claims.iss", actual=None)
        entry = self._table.get(iss)
        if entry is not None and entry.engine is not None:
            now_s = monotonic()
            if now_s < entry.stale_s:
                if now_s >= entry.due_s:
                    self._refresh(entry)
                return entry
        self._check_header(octets)  # no look-up for what no key could verify
        if entry is None and self._unknown_by is not None and self._unknown_by(iss) is False:
            raise error_for("unknown_issuer", "claims.iss", actual=iss)
        known = entry is not None or self._table.is_remembered(iss)
        pending = self._lookups.request(iss, is_known=known, before=entry)
        if isinstance(pending, tuple):
            raise refusal_of(pending, iss)
        return pending

    def _check_header(self, octets: bytes) -> None:
        """Refuse a token whose header no issuer can accept.

        Raises:
            RapidJWSError: What is wrong with its form.
        """
        header = octets[: octets.index(b".")]
        try:
            self._snapshot._split(header.rstrip(b"=") if self._reads_padding else header)
        except RapidJWSError as refused:
            if refused.code != "crit_unsupported":  # which extensions hold, its issuer says
                raise

    def _stated_iss(self, octets: bytes) -> str | None:
        """Return the ``iss`` that an unverified token states."""
        plain = octets.replace(b"=", b"") if self._reads_padding else octets
        return unverified_iss(plain, self._max_token_bytes)

    def _engine_of(self, outcome: Any, iss: str) -> tuple[Entry, Engine]:
        """Return what a look-up brought.

        Raises:
            RapidJWSError: ``unknown_issuer``, ``keys_unavailable``.
        """
        if isinstance(outcome, tuple):
            raise refusal_of(outcome, iss)
        engine = outcome.engine or outcome.first
        if engine is None:  # forgotten meanwhile
            raise refusal_of(("keys_unavailable", "to be looked up again"), iss)
        return outcome, engine

    def _awaited(self, octets: bytes, end_s: float) -> tuple[Entry, Engine] | None:
        """Return the entry of a token's issuer and its engine, or None for an issuer of ours.

        Args:
            octets: The token.
            end_s: Until when to wait, monotonic seconds; not at all on an event loop.
        """
        found = self._entry_or_pending(octets)
        if found is None:
            return None
        if not isinstance(found, Entry):
            found = self._waited(found, octets, end_s)
            if found is None:
                return None
        entry, engine = self._engine_of(found, "")
        if entry.wait_until_s:
            rest_s = min(end_s, entry.wait_until_s) - monotonic()
            if engine.ready or rest_s <= 0 or _is_on_loop() or engine.wait_ready(rest_s):
                entry.wait_until_s = 0.0
        return entry, engine

    def _waited(self, pending: Future[Any], octets: bytes, end_s: float) -> Entry | None:
        """Return the entry that a look-up brings within the bound; None where the issuer is ours by now."""
        iss = self._stated_iss(octets) or ""
        if not _is_on_loop():
            wait((pending,), max(0.0, end_s - monotonic()))
        if not pending.done():
            raise refusal_of(("keys_unavailable", "no answer yet"), iss)
        return None if self._is_configured(iss) else self._engine_of(pending.result(), iss)[0]

    async def _aawaited(self, octets: bytes) -> tuple[Entry, Engine] | None:
        """Return the entry of a token's issuer and its engine as ``_awaited`` does, from asyncio."""
        import asyncio

        end_s = monotonic() + self._lookup_timeout_s
        found: Any = self._entry_or_pending(octets)
        if found is None:
            return None
        if not isinstance(found, Entry):
            pending = found
            if not pending.done():
                await asyncio.wait((asyncio.wrap_future(_copy_of(pending)),), timeout=self._lookup_timeout_s)
            found = self._waited(pending, octets, 0.0)
            if found is None:
                return None
        entry, engine = self._engine_of(found, "")
        if entry.wait_until_s:
            rest_s = min(end_s, entry.wait_until_s) - monotonic()
            if engine.ready or rest_s <= 0 or await engine.await_ready(rest_s):
                entry.wait_until_s = 0.0
        return entry, engine


def _is_on_loop() -> bool:
    """Return whether this thread runs an event loop, which nothing may hold up."""
    import sys

    loaded = sys.modules.get("asyncio")
    return loaded is not None and loaded._get_running_loop() is not None


def _copy_of(pending: Future[Any]) -> Future[None]:
    """Return a future of the caller's own, done when another is: giving it up disturbs nobody."""
    copy: Future[None] = Future()

    def done(_: Future[Any]) -> None:
        if copy.set_running_or_notify_cancel():
            copy.set_result(None)

    pending.add_done_callback(done)
    return copy


def _with_source_of(before: Issuer, issuer: Issuer) -> Issuer:
    """Return an issuer with the key source of before where its own is the same one made anew."""
    old, new = before.keys, issuer.keys
    if isinstance(old, KeySource) and type(old) is type(new) and old is not new:
        name = getattr(old, "name", None)
        if name is not None and name == getattr(new, "name", None):
            return replace(issuer, keys=old)
    return issuer
