"""One of N issuers of the same keys: it reads their state, signs by it, and changes it while it leads.

One issuer at a time leads, for a lease that it renews. The lease keeps issuers from making the same change
twice; what keeps them from harm is that each change is a compare and swap of the whole state, so an issuer
that slept through the end of its lease changes nothing.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from rapidjws._checks import check_range, checked
from rapidjws._scheduler import SystemClock
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.issuing import transitions
from rapidjws.issuing.key_checks import check_algorithms, check_usable
from rapidjws.issuing.key_copy import CopyKeeper, KeySetCopy
from rapidjws.issuing.key_maker import KeyMaker, made_key
from rapidjws.issuing.schedule import Schedule
from rapidjws.issuing.state import IssuingState, Lease, SigningKey
from rapidjws.issuing.store import StateStore
from rapidjws.issuing.timing import KeyTiming, number
from rapidjws.verify.protocols import Clock, Event, EventListener, emit, no_events

TRIES: Final = 5
"""How often a change is made anew where others change the state at the same moment."""

STAGE_EVENTS: Final = {
    "next": "issuing_key_next",
    "active": "issuing_key_active",
    "retired": "issuing_key_retired",
    "removed": "issuing_key_removed",
    "tainted": "issuing_key_tainted",
}

Change = Callable[[IssuingState, float], IssuingState]


class KeyLifeCycle:
    """The keys of one issuer, as one of its processes sees and changes them.

    Args:
        store: Where the state is.
        timing: How long keys are published.
        maker: Makes keys and signers.
        algorithms: What is signed by; the first is the default. During a migration the old and the new one.
        algorithm_of: audience -> algorithm, for audiences that are to get another than the default.
        schedule: When keys are replaced; None to replace them by hand only.
        lease_s: How long a leader leads without renewing.
        name: This process's name; a random one is added.
        clock: Both clocks.
        events: Listener: one event for each key that changes its stage, by the names of STAGE_EVENTS;
            ``"issuing_leader"``, ``"issuing_copy_failed"``, and ``"issuing_key_left"`` where a removed key's
            file could not be removed.

    Raises:
        ConfigurationError: ``configuration_invalid``; ``key_timing_unsafe``: the schedule is too quick.
    """

    @checked
    def __init__(
        self,
        store: StateStore,
        timing: KeyTiming,
        maker: KeyMaker,
        *,
        algorithms: Sequence[str] = ("ES256",),
        algorithm_of: Mapping[str, str] | None = None,
        schedule: Schedule | None = None,
        lease_s: float = 15.0,
        name: str = "issuer",
        clock: Clock | None = None,
        events: EventListener = no_events,
    ) -> None:
        self.timing = timing
        self.algorithms = tuple(algorithms)
        self._algorithm_of = dict(algorithm_of or {})
        check_algorithms(self.algorithms, self._algorithm_of)
        check_range("issuing.lease_s", lease_s, 0.05, 3600)
        if schedule is not None:
            schedule.check(timing)
        self.schedule = schedule
        self.holder = f"{name}/{secrets.token_hex(4)}"
        self._store = store
        self._maker = maker
        self._lease_s = lease_s
        self._clock: Clock = clock or SystemClock()
        self._events = events
        self._lock = threading.Lock()
        self._read: tuple[IssuingState, float] | None = None
        self.copy = CopyKeeper(events)
        self._dated_s = float("-inf")  # when the clock was found good to date tokens by
        self._unpublished: dict[str, SigningKey] = {}  # alg -> a key made for a change that was not written

    @checked
    def keep_copy(self, copy: KeySetCopy) -> None:
        """Keep a copy of what is published in step with the state."""
        self.copy.keep(copy)

    # --- reading -----------------------------------------------------------------------------------------

    def state(self) -> IssuingState:
        """Return the state: read just now, or the last one while the store fails and it is fresh enough.

        Raises:
            DependencyUnavailable: ``key_state_unavailable``, ``key_state_unreadable``.
        """
        begun_s = self._clock.monotonic()
        try:
            state = self._store.read()
        except RapidJWSError:
            last = self._read
            if last is not None and self._is_fresh(last[1]):
                return last[0]
            raise
        with self._lock:
            if self._read is None or state.revision >= self._read[0].revision:
                self._read = (state, begun_s)
        return state

    def _is_fresh(self, read_s: float) -> bool:
        return 0 <= self._clock.monotonic() - read_s <= self.timing.state_max_age_s

    @checked
    def signing_key(self, audience: str | None = None, *, alg: str | None = None) -> SigningKey:
        """Return the key that signs now for an audience, or by an algorithm.

        It reads the store once the last reading is older than half of ``state_max_age_s``.

        Raises:
            DependencyUnavailable: ``no_signing_key``: none is active, the state is too old to know, or the
                clock is not one to date tokens by.
        """
        alg = alg or self._algorithm_of.get(audience or "", self.algorithms[0])
        last, begun_s = self._read, self._clock.monotonic()
        if last is None or begun_s - min(last[1], self._dated_s) > self.timing.state_max_age_s / 2:
            try:
                state = self.state()  # not younger than it is: an issuer must not sign by it for ever
                self._check_clock(state)
                self._dated_s = begun_s
            except RapidJWSError as failed:
                raise error_for("no_signing_key", alg, "a state that can be read", failed.code) from None
        else:
            state = last[0]
        active = state.in_stage("active", alg)
        if not active:
            raise error_for("no_signing_key", alg, "an active key")
        return active[0]

    def now_s(self) -> float:
        """Return the time by which keys change: the store's clock, or ours where it has none.

        Raises:
            DependencyUnavailable: ``issuing_clock``: the two differ by more than ``clock_skew_s``;
                ``key_state_unavailable``.
        """
        ours, theirs = self._clock.time(), self._store.time_s()
        if theirs is None:
            return ours
        if abs(ours - theirs) > self.timing.clock_skew_s:
            words = f"at most clock_skew_s = {number(self.timing.clock_skew_s)} s from the store's"
            raise error_for("issuing_clock", "clock", words, f"{number(ours - theirs)} s")
        return theirs

    def _check_clock(self, state: IssuingState) -> None:
        """Refuse to sign by a clock that is off: such a token lives longer than its key, or not at all."""
        try:
            now_s = self.now_s()
        except RapidJWSError as failed:
            if failed.code == "issuing_clock":
                raise
            return  # the store fails: the age of the state says for how long that may be
        transitions.moment(state, now_s, self.timing)

    @checked
    def next_change_s(self, state: IssuingState, now_s: float) -> float | None:
        """Return when the schedule promotes the next key, in seconds since the epoch; None without one."""
        if self.schedule is None:
            return None
        active = [one for one in state.in_stage("active") if one.alg in self.algorithms]
        due = [self.schedule.due_s(one.activated_at_s or now_s, one.kid) for one in active]
        return min(due, default=None)

    # --- changing ----------------------------------------------------------------------------------------

    def tick(self) -> tuple[SigningKey, ...]:
        """Lead, or go on leading, and make what is due: all of it in one change, or none.

        Call it every few seconds from each issuer; who does not lead changes nothing.

        Returns:
            The keys that changed their stage.

        Raises:
            IssuingRefused: ``not_leader``: another issuer's lease runs; ``key_state_changed``.
            DependencyUnavailable: ``issuing_clock``, ``key_state_unavailable``, ``key_state_unreadable``;
                ``key_copy_unavailable``: nothing is changed while the copy lags.
            RapidJWSError: What keeps a next key from signing, once nothing else is due: the active one stays.
        """
        self.copy.lead(self.state, self.holder)
        unusable: list[RapidJWSError] = []

        def change(state: IssuingState, now_s: float) -> IssuingState:
            return self._due(self._led(state, now_s), now_s, unusable)

        changed = self._change(change)
        if unusable and not changed:
            raise unusable[-1]
        return changed

    def resign(self) -> None:
        """End the lease where this issuer leads, so that another one need not wait for its end.

        Raises:
            IssuingRefused: ``key_state_changed``.
            DependencyUnavailable: ``issuing_clock``, ``key_state_unavailable``, ``key_state_unreadable``.
        """

        def change(state: IssuingState, now_s: float) -> IssuingState:
            lease = state.lease
            if lease is None or lease.holder != self.holder:
                return state
            return replace(state, lease=replace(lease, until_s=0.0))

        self._change(change)

    @checked
    def promote(self, alg: str | None = None, *, frozen: bool = False) -> tuple[SigningKey, ...]:
        """Let the next key sign now, whoever leads.

        Args:
            alg: The algorithm; by default the first.
            frozen: True to promote inside a freeze window.

        Raises:
            IssuingRefused: ``no_next_key``, ``key_not_ready``, ``key_frozen``, ``key_state_changed``.
            DependencyUnavailable: ``issuing_clock``, ``key_state_unavailable``, ``key_state_unreadable``.
            RapidJWSError: What keeps the next key from signing; nothing is changed then.
        """
        chosen = self._chosen(alg)

        def change(state: IssuingState, now_s: float) -> IssuingState:
            ends_s = None if self.schedule is None else self.schedule.frozen_until_s(now_s)
            if ends_s is not None and not frozen:
                raise error_for("key_frozen", "schedule", f"after {number(ends_s)}", number(now_s))
            after = transitions.promote(state, chosen, now_s, self.timing)
            check_usable(self._maker, state, after)
            return after

        return self._change(change)

    @checked
    def taint(self, kid: str, why: str, *, unready: bool = False) -> tuple[SigningKey, ...]:
        """Take a key out of use at once; where it was active, the next one signs from the same change on.

        Args:
            kid: The key.
            why: For the record; shown to operators.
            unready: True to promote a next key that caches may not know yet, untried.

        Raises:
            IssuingRefused: ``key_not_found``, ``key_state_changed``; ``no_next_key`` and ``key_not_ready``
                where the key is active and none can take its place: nothing is changed then.
            DependencyUnavailable: ``issuing_clock``, ``key_state_unavailable``, ``key_state_unreadable``.
        """

        def change(state: IssuingState, now_s: float) -> IssuingState:
            key = state.key(kid)
            changed = transitions.taint(state, kid, why, now_s, self.timing)
            if key.stage != "active":
                return changed
            after = transitions.promote(changed, key.alg, now_s, self.timing, unready=unready)
            if not unready:
                check_usable(self._maker, state, after)
            return after

        return self._change(change)

    def _chosen(self, alg: str | None) -> str:
        if alg is None:
            return self.algorithms[0]
        if alg not in self.algorithms:
            raise error_for("configuration_invalid", "alg", self.algorithms, alg)
        return alg

    def _led(self, state: IssuingState, now_s: float) -> IssuingState:
        """Return the state with this issuer as its leader.

        Raises:
            IssuingRefused: ``not_leader``.
        """
        lease = state.lease
        if lease is not None and lease.holder != self.holder:
            if now_s < lease.until_s + 2 * self._skew_s():
                raise error_for("not_leader", "lease", f"until {number(lease.until_s)}", lease.holder)
            return replace(
                state, lease=Lease(holder=self.holder, term=lease.term + 1, until_s=now_s + self._lease_s)
            )
        if lease is None:
            return replace(state, lease=Lease(holder=self.holder, term=1, until_s=now_s + self._lease_s))
        if lease.until_s - now_s > self._lease_s / 2:
            return state
        return replace(state, lease=replace(lease, until_s=now_s + self._lease_s))

    def _skew_s(self) -> float:
        """Return how far issuers' clocks may be off: not at all where the store has one for all."""
        return 0.0 if self._store.time_s() is not None else self.timing.clock_skew_s

    def _due(self, state: IssuingState, now_s: float, unusable: list[RapidJWSError]) -> IssuingState:
        """Return the state with all that is due done, but for keys that cannot sign."""
        timing = self.timing
        state, _ = transitions.remove_due(state, now_s, timing)
        for alg in self.algorithms:
            if self._is_due(state, alg, now_s):
                after = transitions.promote(state, alg, now_s, timing)
                try:
                    check_usable(self._maker, state, after)
                    state = after
                except RapidJWSError as failed:
                    unusable.append(failed)
            if not state.in_stage("next", alg):
                at_s = transitions.moment(state, now_s, timing)
                state = transitions.publish(state, self._fresh(state, alg, at_s))
        if all(state.in_stage("active", alg) for alg in self.algorithms):
            for alg in {one.alg for one in state.keys if one.stage in ("next", "active")}:
                if alg not in self.algorithms:  # a migration that ended
                    state = transitions.retire(state, alg, now_s, timing)
        return state

    def _is_due(self, state: IssuingState, alg: str, now_s: float) -> bool:
        waiting = state.in_stage("next", alg)
        if not any(now_s >= transitions.ready_at_s(one, self.timing) for one in waiting):
            return False
        active = state.in_stage("active", alg)
        if not active:
            return True
        if self.schedule is None or self.schedule.frozen_until_s(now_s) is not None:
            return False
        return now_s >= self.schedule.due_s(active[0].activated_at_s or now_s, active[0].kid)

    def _fresh(self, state: IssuingState, alg: str, now_s: float) -> SigningKey:
        """Return a key to publish: one that a failed change left over before a new one."""
        made = self._unpublished.get(alg)
        if made is None or any(one.kid == made.kid for one in state.keys):
            made = self._unpublished[alg] = made_key(self._maker, alg, now_s)
        return replace(made, published_at_s=now_s)

    def _change(self, change: Change) -> tuple[SigningKey, ...]:
        """Make a change by compare and swap, anew where others were quicker."""
        for tries_left in reversed(range(TRIES)):
            before = self._store.read()
            now_s = self.now_s()
            after = change(before, now_s)
            if after == before:
                return ()
            at_s = transitions.moment(before, now_s, self.timing)
            after = replace(after, revision=before.revision + 1, written_at_s=at_s)
            self.copy.precede(before, after)
            try:
                self._store.swap(before, after)
            except RapidJWSError as refused:
                if refused.code != "key_state_changed" or not tries_left:
                    raise
                continue
            self._note(after)
            self.copy.follow(after)
            return self._reported(before, after)
        raise AssertionError("unreachable")

    def _note(self, state: IssuingState) -> None:
        with self._lock:
            if self._read is None or state.revision > self._read[0].revision:
                self._read = (state, self._clock.monotonic())

    def _reported(self, before: IssuingState, after: IssuingState) -> tuple[SigningKey, ...]:
        """Tell listeners what changed, and have removed private keys destroyed."""
        stages = {one.kid: one.stage for one in before.keys}
        changed = tuple(one for one in after.keys if stages.get(one.kid) != one.stage)
        leaders = [None if one.lease is None else one.lease.holder for one in (before, after)]
        if leaders[0] != leaders[1]:
            emit(self._events, Event(name="issuing_leader", detail=leaders[1]))
        for one in changed:
            emit(self._events, Event(name=STAGE_EVENTS[one.stage], kid=one.kid, detail=one.alg))
            if one.stage == "removed":
                try:
                    self._maker.remove(one)
                except RapidJWSError as failed:  # the state is right; the file is the operator's to remove
                    emit(self._events, Event(name="issuing_key_left", kid=one.kid, detail=failed.code))
        return changed
