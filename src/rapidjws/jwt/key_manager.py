"""The changing half of an engine: issuers, their key sources, revocations, and what is ready.

Every change builds a new snapshot under the writers' lock and swaps one reference; verification never takes
that lock.
"""

from __future__ import annotations

import weakref
from functools import partial
from time import time_ns
from typing import TYPE_CHECKING

from rapidjws._checks import checked
from rapidjws.errors import error_for
from rapidjws.jose.jwks import JWKSet
from rapidjws.jwt.issuer import Issuer, by_iss
from rapidjws.jwt.named_issuers import other_names
from rapidjws.jwt.post_checks import PostChecks, TokenStatuses
from rapidjws.jwt.readiness import why_not_ready
from rapidjws.jwt.replay_rule import ReplayRule, widened
from rapidjws.jwt.revoking import RevokingKeys
from rapidjws.jwt.skew import SkewMeter
from rapidjws.verify.arguments import header_limit, token_limit
from rapidjws.verify.given_keys import checked_keys
from rapidjws.verify.key_availability import KeyAvailability
from rapidjws.verify.key_table import IssuerKeys
from rapidjws.verify.kid_floods import KidFloods
from rapidjws.verify.protocols import KeySource, KeyState
from rapidjws.verify.ready_waiters import ReadyWaiters

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from rapidjws.jwt.skew import Skew
    from rapidjws.verify.chains import ChainSource
    from rapidjws.verify.given_keys import Keys
    from rapidjws.verify.key_table import PreparedKey
    from rapidjws.verify.pipeline import Snapshot
    from rapidjws.verify.protocols import EventListener, RevocationStore
    from rapidjws.verify.verdict_counters import VerdictCounters


def _newest(manager: Callable[[], KeyManager | None]) -> Snapshot:
    """Return the snapshot of an engine as it is by now."""
    there = manager()
    assert there is not None
    return there._snapshot


class KeyManager(RevokingKeys):
    """The issuers of an engine, and what changes their keys; see :class:`Engine` for the arguments."""

    __slots__ = (
        "_issuers",
        "_keys",
        "_longest_retry_s",
        "_meters",
        "_ready_waiters",
        "_replays",
        "_skew_every",
        "_sources",
        "_states",
    )
    _longest_retry_s: int
    _status_lists: TokenStatuses | None = None
    _named = staticmethod(by_iss)

    def __init__(
        self,
        issuers: Sequence[Issuer],
        *,
        max_token_bytes: int | None,
        max_header_bytes: int,
        workers: int | None,
        acceleration: str,
        precompute_budget_bytes: int,
        precompute_threshold: int,
        revocations: RevocationStore | None,
        skew_every: int,
        events: EventListener,
        counters: VerdictCounters | None,
    ) -> None:
        if not isinstance(skew_every, int) or isinstance(skew_every, bool) or skew_every < 0:
            raise error_for("configuration_invalid", "skew_every", expected="a whole number from 0 on")
        self._issuers = self._named(issuers)
        self._replays = self._replay_rules({})
        self._ready_waiters = ReadyWaiters()
        self._events = events
        self._skew_every = skew_every
        self._load_revocations(revocations)
        self._meters = {iss: SkewMeter() for iss in self._issuers}
        self._sources: dict[str, KeySource] = {}
        self._states: dict[str, KeyState] = {}
        self._keys: dict[str, IssuerKeys] = {}
        for issuer in issuers:
            self._take_keys(issuer, {}, {})
        names = [name for issuer in issuers for name in issuer.algorithms]
        key_availability = self._make_key_availability(None)
        super().__init__(
            self._filtered(key_availability),
            [issuer.rules() for issuer in issuers],
            max_token_bytes=token_limit(names, max_token_bytes, header_limit(max_header_bytes)),
            max_header_bytes=max_header_bytes,
            workers=workers,
            acceleration=acceleration,
            precompute_budget_bytes=precompute_budget_bytes,
            precompute_threshold=precompute_threshold,
            key_availability=key_availability,
            post_checks=self._make_post_checks(),
            counters=counters,
        )
        if revocations is not None:
            revocations.subscribe(self._revocations_changed)
        for source in self._sources.values():
            source.subscribe(self._keys_changed)
        self._keys_changed()

    def _renew_locks(self) -> None:
        super()._renew_locks()
        self._ready_waiters = ReadyWaiters()
        if self._counters is not None:
            self._counters.after_fork()

    # --- issuers and keys --------------------------------------------------------------------------------

    @property
    def issuers(self) -> tuple[Issuer, ...]:
        """Return the issuers as they were configured."""
        return tuple(self._issuers.values())

    @property
    def ready(self) -> bool:
        """Return whether each required issuer has keys that may be used now."""
        return not self.not_ready

    @property
    def not_ready(self) -> Mapping[str, str]:
        """Return why the engine is not ready: ``iss`` of a required issuer without a usable key -> why.

        A set that came, but holds no key for the issuer's algorithms, counts as none.
        """
        return why_not_ready(self._snapshot, self._issuers)

    def wait_ready(self, timeout_s: float) -> bool:
        """Wait, within a bound, until each required issuer has keys that may be used.

        Args:
            timeout_s: Longest wait, in seconds, from 0 to 3600.

        Returns:
            Whether the engine is ready now.

        Raises:
            ConfigurationError: ``configuration_invalid``: no such bound.
        """
        return self._ready_waiters.wait(lambda: self.ready, timeout_s)

    async def await_ready(self, timeout_s: float) -> bool:
        """Wait as ``wait_ready`` does, from asyncio, without holding up the loop.

        Args:
            timeout_s: As for ``wait_ready``.

        Returns:
            Whether the engine is ready now.

        Raises:
            ConfigurationError: ``configuration_invalid``: no such bound.
        """
        return await self._ready_waiters.wait_async(lambda: self.ready, timeout_s)

    @checked
    def key_state(self, issuer: str) -> KeyState:
        """Return an issuer's keys as the engine uses them, or why there are none.

        Raises:
            ConfigurationError: ``configuration_invalid``: no such issuer.
        """
        self._known(issuer)
        return self._states[issuer]

    @checked
    def source_of(self, issuer: str) -> KeySource | None:
        """Return an issuer's key source, or None where its keys were given as they are."""
        return self._sources.get(issuer)

    @checked(but=("keys",))
    def replace_keys(self, issuer: str, keys: Keys) -> None:
        """Give an issuer a new set of keys; the next call uses it, calls under way finish on the old one.

        Args:
            issuer: The ``iss`` of one of the engine's issuers.
            keys: All keys of the issuer from now on; an empty list takes them all away.

        Raises:
            ConfigurationError: ``configuration_invalid``: no such issuer, one whose keys come from a source,
                or keys of which none can be used. The old keys stay.
        """
        known = self._known(issuer)
        if issuer in self._sources:
            raise error_for("configuration_invalid", "issuer", expected="an issuer without a key source")
        with self._change:
            state = KeyState(keys=checked_keys(keys))
            made = self._prepared(known, state, self._keys[issuer])
            if made.jwks or made.left_out:  # an empty list takes all keys away, knowingly
                made.check_usable("keys")
            before = self._keys, self._states
            self._keys, self._states = {**self._keys, issuer: made}, {**self._states, issuer: state}
            self._rebuild_or_undo(*before)

    @checked
    def replace_issuers(self, *issuers: Issuer) -> None:
        """Put other issuers in the place of all there are, in one swap; what is unchanged is not built anew.

        A wider leeway or age of an issuer whose tokens are used once holds for tokens issued from now on.
        Uses of others may be forgotten where the narrower bound ended: they are ``expired`` from there on.

        Args:
            issuers: At least one; each ``iss`` once.

        Raises:
            ConfigurationError: ``configuration_invalid``. Everything stays as it was.
        """
        named = self._named(issuers)
        with self._change:
            before = (
                self._issuers, self._sources, self._states, self._keys, self._meters, self._replays,
            )  # fmt: skip
            longest = self._max_token_bytes
            self._sources, self._states, self._keys = {}, {}, {}
            try:
                for issuer in issuers:
                    self._take_keys(issuer, before[2], before[3])
                self._issuers = named
                self._replays = self._replay_rules(before[5])
                self._meters = {iss: before[4].get(iss) or SkewMeter() for iss in named}
                names = [name for issuer in issuers for name in issuer.algorithms]
                self._max_token_bytes = max(
                    self._max_token_bytes, token_limit(names, None, self._max_header_bytes)
                )
                self._rebuild()
            except BaseException:
                (self._issuers, self._sources, self._states, self._keys, self._meters, self._replays) = before
                self._max_token_bytes = longest
                raise
            fresh = [source for iss, source in self._sources.items() if before[1].get(iss) is not source]
        for source in fresh:
            source.subscribe(self._keys_changed)
        self._keys_changed()

    def _replay_rules(self, before: Mapping[str, ReplayRule]) -> dict[str, ReplayRule]:
        """Return the rules of issuers whose tokens are used once, beside those that held before."""
        found = {}
        for iss, issuer in self._issuers.items():
            if issuer.replay is None:
                continue
            rule = ReplayRule(replay=issuer.replay, leeway_s=issuer.leeway_s, max_age_s=issuer.max_age_s)
            found[iss] = widened(before[iss], rule, time_ns()) if iss in before else rule
        return found

    def _known(self, issuer: str) -> Issuer:
        known = self._issuers.get(issuer)
        if known is None:
            raise error_for("configuration_invalid", "issuer", expected=tuple(self._issuers), actual=issuer)
        return known

    def _take_keys(
        self, issuer: Issuer, states: dict[str, KeyState], prepared: dict[str, IssuerKeys]
    ) -> None:
        """Take an issuer's keys as they are now, from itself or from its source."""
        if isinstance(issuer.keys, KeySource):
            self._sources[issuer.name] = issuer.keys
            state = issuer.keys.state()
        else:
            state = KeyState(keys=checked_keys(issuer.keys))
        made = self._prepared(issuer, state, prepared.get(issuer.name))
        if self.needs_usable_key and issuer.name not in self._sources:
            made.check_usable("keys" if issuer.iss is None else f"issuer {issuer.name}: keys")
        self._states[issuer.name], self._keys[issuer.name] = state, made

    @staticmethod
    def _prepared(issuer: Issuer, state: KeyState, previous: IssuerKeys | None) -> IssuerKeys:
        keys = JWKSet() if state.keys is None else state.keys
        made = IssuerKeys(keys, tuple(issuer.algorithms), previous, issuer_names=issuer.names)
        return made.try_each_algorithm()

    def _keys_changed(self) -> None:
        """Take over what the sources have now; called by them after each change."""
        with self._change:
            before = self._keys, self._states
            keys, states = dict(self._keys), dict(self._states)
            for iss, source in self._sources.items():
                state = source.state()
                if state is not states[iss]:
                    keys[iss] = self._prepared(self._issuers[iss], state, keys[iss])
                    states[iss] = state
            if any(states[iss] is not self._states[iss] for iss in states):
                self._keys, self._states = keys, states
                self._rebuild_or_undo(*before)

    def _rebuild_or_undo(self, keys: dict[str, IssuerKeys], states: dict[str, KeyState]) -> None:
        """Rebuild, or go back to these: what failed is then tried again, as it is news still."""
        try:
            self._rebuild()
        except BaseException:
            self._keys, self._states = keys, states
            raise

    # --- the swap ----------------------------------------------------------------------------------------

    def _make_key_availability(self, before: KeyAvailability | None) -> KeyAvailability | None:
        unavailable = {
            number: self._states[iss].code
            for number, iss in enumerate(self._issuers)
            if self._states[iss].keys is None
        }
        if self._is_lost:
            unavailable = dict.fromkeys(range(len(self._issuers)), "revocation_store_unavailable")
        if not (unavailable or self._sources or self._revocations.on_keys):
            return None
        done = set() if before is None else before.accepted
        seen = {
            (iss, kid): when for iss, state in self._states.items() for kid, when in state.first_seen.items()
        }
        done &= seen.keys()  # what was accepted before the swap is not awaited again
        return KeyAvailability(
            unavailable=unavailable,
            revocations=self._revocations,
            unknown_kid=self._unknown_kid,
            awaited={pair: when for pair, when in seen.items() if pair not in done},
            accepted=done,
            events=self._events,
            chains=self._chains(),
            newest=partial(_newest, weakref.ref(self)),
            floods=KidFloods() if before is None else before.floods,
        )

    def _chains(self) -> dict[int, ChainSource]:
        """Return the sources whose keys come in the headers of tokens, by their issuers' numbers."""
        named = ((number, self._sources.get(iss)) for number, iss in enumerate(self._issuers))
        return {number: source for number, source in named if hasattr(source, "leaf_for")}  # type: ignore[misc]

    def _filtered(self, key_availability: KeyAvailability | None) -> list[IssuerKeys]:
        """Return the issuers' keys without those revoked, and note the latter."""
        if key_availability is not None and self._is_lost:  # no token can be known not to be revoked
            return [keys.without(lambda _: True)[0] for keys in self._keys.values()]
        if key_availability is None or not self._revocations.on_keys:
            return list(self._keys.values())
        kept: list[IssuerKeys] = []
        removed: dict[int, tuple[PreparedKey, ...]] = {}
        for number, (iss, keys) in enumerate(self._keys.items()):
            rest, removed[number] = keys.without(partial(self._revocations.hits_key, iss))
            kept.append(rest)
        key_availability.removed = removed
        return kept

    def _make_post_checks(self) -> PostChecks | None:
        post_checks = PostChecks(
            self._revocations, self._replays, self._meters, self._skew_every, self._events, self,
            self._count_use,
            {iss: source for iss, source in self._sources.items() if hasattr(source, "leaf_for")},  # type: ignore[misc]
            [name for name, issuer in self._issuers.items() if issuer.trust_domain is not None],
            {name: issuer.cnf for name, issuer in self._issuers.items() if issuer.cnf != "unchecked"},
            self._status_lists,
            other_names(self._revocations.issuers_named, self._issuers),
        )  # fmt: skip
        return post_checks if post_checks.is_needed else None

    def _count_use(self, iss: str, result: str) -> None:
        """Count a use of a token that is to be used once."""
        if self._counters is not None:
            self._counters.region.add("replay_checks_total", (iss, result))

    def _rebuild(self) -> None:
        """Swap in a snapshot of everything as it is now; the caller holds ``_change``."""
        before = self._key_availability, self._post_checks
        keys = self._filtered(key_availability := self._make_key_availability(before[0]))
        self._key_availability, self._post_checks = key_availability, self._make_post_checks()
        try:
            self._swap(keys, [issuer.rules() for issuer in self._issuers.values()])
        except BaseException:
            self._key_availability, self._post_checks = before
            raise
        if self.ready:
            self._ready_waiters.release()

    def _unknown_kid(self, iss: str, kid: str) -> None:
        if (source := self._sources.get(iss)) is not None:
            source.unknown_kid(kid)

    @checked
    def skew(self, issuer: str) -> Skew | None:
        """Return how far an issuer's clock is from ours, or None where nothing was measured.

        Raises:
            ConfigurationError: ``configuration_invalid``: no such issuer.
        """
        self._known(issuer)
        return self._meters[issuer].read()
