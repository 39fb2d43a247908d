"""A JWK Set behind a URL, always at hand: refreshed ahead of its end, one fetch at a time, stale to a limit.

Verification reads the state and never waits for a fetch. A known key never waits for an unknown one. What it
never does: follow a redirect, or let one issuer's trouble reach another.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future, wait
from pathlib import Path
from random import SystemRandom
from typing import Any

from rapidjws._checks import check_range, checked
from rapidjws._scheduler import scheduler
from rapidjws.errors import RapidJWSError
from rapidjws.jose.jwks import JWKSet
from rapidjws.keys import last_good
from rapidjws.keys.fetch import Answer, Fetch, FetchFailed, HttpsFetch
from rapidjws.keys.headers import etag_of, retry_after_s, stated_life_s
from rapidjws.keys.refresh_limiter import RefreshLimiter
from rapidjws.keys.settings import Freshness, Transport, UnknownKids, positive_s
from rapidjws.keys.source import Source
from rapidjws.keys.source_status import SourceStatus
from rapidjws.verify.protocols import Clock, EventListener, KeyState, no_events

JITTER = 0.1
INVALIDATE_MIN_S = 1.0
"""Announced changes closer together than this are one."""

_chance = SystemRandom().random  # a background thread leaves the application's own generator alone


class RemoteJWKS(Source):
    """Bring an issuer's keys from its JWK Set URL; give it to ``Issuer(keys=...)``.

    Args:
        url: An https URL.
        freshness: Lives, refreshes, stale limit and back-off.
        unknown_kids: What a kid that is not in the set may cause.
        transport: Limits and trust of a fetch.
        last_good: File that keeps the last good set for a start during an outage; None keeps none. A relative
            path is relative to the working directory of this moment.
        last_good_max_age_s: Oldest kept set used, in seconds.
        events: Listener.
        clock: Both times.
        fetch: Another way to fetch.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """

    @checked
    def __init__(
        self,
        url: str,
        *,
        freshness: Freshness | None = None,
        unknown_kids: UnknownKids | None = None,
        transport: Transport | None = None,
        last_good: str | Path | None = None,
        last_good_max_age_s: float = 86_400.0,
        events: EventListener = no_events,
        clock: Clock | None = None,
        fetch: Fetch | None = None,
    ) -> None:
        self._transport = transport or Transport()
        super().__init__(self._transport.check_url(url), events, clock)
        positive_s("last_good_max_age_s", last_good_max_age_s)
        self.url = url
        self.freshness = freshness or Freshness()
        self._fetch: Fetch = fetch or HttpsFetch(self._transport)
        self._unknown_kids = unknown_kids or UnknownKids()
        self._limiter = RefreshLimiter(self._unknown_kids, self._clock.monotonic)
        self._last_good = None if last_good is None else Path(last_good).absolute()
        self._last_good_max_age_s = last_good_max_age_s
        self._started = self._fetch_in_progress = self._refetch_after = False
        self._number = self._applied = self._ended = self._failures = 0
        self._last_failure: str | None = None
        self._etag: str | None = None
        self._good_at: float | None = None
        self._fresh_until: float | None = None
        self._next_at = self._clock.monotonic()
        self._invalidated_at: float | None = None
        self._wake_at: float | None = None
        self._held = JWKSet()
        scheduler.step_watchers.add(self)
        self._adopt_last_good()

    # --- for the engine ----------------------------------------------------------------------------------

    def subscribe(self, changed: Any) -> None:
        """Call a bound method after each change, and start fetching."""
        super().subscribe(changed)
        self.start()

    def start(self) -> None:
        """Start the first fetch, in the background; later calls do nothing."""
        with self._lock:
            if self._started:
                return
            self._started = True
        self.poll()

    def unknown_kid(self, kid: str) -> float | None:
        """Take note of a kid that is not in the set; never waits, and costs a flood one look-up a token."""
        due, is_news = self._limiter.request(kid)
        if due is None:
            return None
        if is_news:
            self._plan()
            if due - self._clock.monotonic() > self._unknown_kids.cooldown_s:  # the budget is used up
                self._emit("unknown_kid_flood")
        return 0.0 if self._fetch_in_progress else max(0.0, due - self._clock.monotonic())

    def invalidate(self) -> None:
        """Fetch at once, for a change that was announced; a fetch under way is followed by another."""
        with self._lock:
            now = self._clock.monotonic()
            self._refetch_after = self._fetch_in_progress
            self._limiter.forget()
            if not self._fetch_in_progress:
                planned = self._invalidated_at
                if planned is None or planned <= now:  # else one is planned: they are one
                    planned = now if planned is None else max(now, planned + INVALIDATE_MIN_S)
                self._next_at = self._invalidated_at = planned
        self._emit("keys_invalidated")
        self.poll()

    @checked
    def refresh(self, wait_s: float = 10.0) -> bool:
        """Fetch now and wait for it, 0 to 3600 seconds; for tools, never on the verification path.

        Returns:
            Whether a set fetched from now on is in use; when the bound is over, whether any was taken since.
        """
        check_range("wait_s", wait_s, 0, 3600)
        end_s = time.monotonic() + wait_s
        with self._lock:
            wanted = self._number + 1  # a fetch under way may bring what was published before
            applied = self._applied
            requested_at = self._clock.monotonic()
            self._started = True
        self.invalidate()
        answered: Future[None] = Future()
        while not self._has_ended(wanted, answered):
            if time.monotonic() >= end_s:
                return self._is_newer(requested_at) or self._applied > applied
            wait((answered,), max(0.0, end_s - time.monotonic()))
            answered = Future()
        return self._is_newer(requested_at)

    def _has_ended(self, number: int, answered: Future[None]) -> bool:
        """Return whether a fetch has ended; where not, have the future done when the next one does."""
        with self._lock:
            if self._ended >= number:
                return True
            self._waiters.append(answered)
            return False

    def _is_newer(self, requested_at: float) -> bool:
        """Return whether the set in use was confirmed at or after a moment, here or by another worker."""
        good_at = self._good_at
        return good_at is not None and good_at >= requested_at and self._state.keys is not None

    @property
    def good_at_s(self) -> float | None:
        """Return when the set in use was fetched, in seconds of the monotonic clock, or None."""
        return self._good_at

    def status(self) -> SourceStatus:
        """Return what there is to see."""
        now = self._clock.monotonic()
        state, good_at, fresh_until = self._state, self._good_at, self._fresh_until
        return SourceStatus(
            name=self.url,
            kids=() if state.keys is None else tuple(key.kid for key in state.keys),
            age_s=None if good_at is None else now - good_at,
            fresh_for_s=None if fresh_until is None else fresh_until - now,
            stale_in_s=None if good_at is None else good_at + self.freshness.stale_limit_s - now,
            fetches=self._number,
            failures=self._failures,
            last_failure=self._last_failure,
            code=state.code if state.keys is None else None,
            next_refresh_s=self._next_refresh_s(now),
        )

    def _next_refresh_s(self, now: float) -> float | None:
        if not self._started:
            return None
        return 0.0 if self._fetch_in_progress else max(0.0, self._due_at() - now)

    def probe(self) -> Answer:
        """Fetch now, and use nothing of it: for whoever compares; waits, so never on the verification path.

        Raises:
            FetchFailed: Why there is no answer.
        """
        return self._fetch(self.url, None)

    # --- the schedule ------------------------------------------------------------------------------------

    def poll(self) -> None:
        """Do what is due now: begin a fetch, or stop using a set past its limit; the timer calls this."""
        with self._lock:
            now = self._clock.monotonic()
            if self._state.keys is not None and now >= self._stale_at():
                self._publish(KeyState(keys=None, code="keys_stale"))  # locked: a newer set may be landing
                self._emit("keys_stale")
            begin = self._started and not self._fetch_in_progress and now >= self._due_at()
            by_unknown_kid = begin and now < self._next_at
            if begin:
                self._fetch_in_progress = True
                self._number += 1
                number, requested = self._number, self._limiter.begin_refresh(by_unknown_kid=by_unknown_kid)
        if begin:
            self._begin(number, requested, by_unknown_kid)
        else:
            self._plan()

    def _begin(self, number: int, requested: dict[int, str], by_unknown_kid: bool) -> None:
        try:
            arguments = (number, requested, by_unknown_kid)
            threading.Thread(
                target=self._fetch_once, args=arguments, name="rapidjws-jwks", daemon=True
            ).start()
        except Exception:  # RuntimeError: no more threads; MemoryError: again later, as after any failure
            self._fetch_done(FetchFailed("internal"), by_unknown_kid)

    def _stale_at(self) -> float:
        return (self._good_at or 0.0) + self.freshness.stale_limit_s

    def _due_at(self) -> float:
        due_at = self._limiter.due
        if due_at is None:
            return self._next_at
        if self._failures:  # an outage keeps its own pace
            due_at = max(due_at, min(self._next_at, due_at + self.freshness.retry_after_max_s))
        return min(self._next_at, due_at)

    def _plan(self) -> None:
        """Set the timer for what comes next."""
        if not self._started:
            return
        wakes = [] if self._fetch_in_progress else [self._due_at()]
        if self._state.keys is not None:
            wakes.append(self._stale_at())
        if not wakes:
            return
        now, when = self._clock.monotonic(), min(wakes)
        if self._wake_at is not None and now < self._wake_at <= when:
            return  # the timer is set for then, or for earlier
        planned = scheduler.call_at(time.monotonic() + max(0.0, when - now), self.poll)
        self._wake_at = (
            when if planned else None
        )  # where no thread can be had, whoever comes next tries again

    # --- one fetch ---------------------------------------------------------------------------------------

    def _fetch_once(self, number: int, requested: dict[int, str], by_unknown_kid: bool) -> None:
        """Fetch once and take the answer; on a thread of its own."""
        started = self._clock.monotonic()
        failed: FetchFailed | None = FetchFailed("internal")
        try:
            answer = self._fetch(self.url, self._etag)
            self._apply(number, started, answer, requested)
            failed = None
        except FetchFailed as fault:
            failed = fault
        except (Exception, SystemExit):  # a fault of ours, or of a fetch that was handed in
            pass
        finally:  # whatever ends it: else no fetch would follow
            taken_s = max(0.0, self._clock.monotonic() - started)
            self._emit("fetch_ended", value=taken_s, detail=None if failed is None else failed.reason)
            self._fetch_done(failed, by_unknown_kid)

    def _apply(self, number: int, started: float, answer: Answer, requested: dict[int, str]) -> None:
        """Take an answer unless a newer one was taken before.

        Raises:
            FetchFailed: ``document``: not a JWK Set, or one without a usable key.
        """
        keys = None if answer.status == 304 else self._read(answer.body)
        life_s = self.freshness.clamp(stated_life_s(answer.headers))
        with self._lock:
            if number <= self._applied:
                return  # the issuer may have answered an older question later
            self._applied = number
            self._failures, self._last_failure = 0, None
            self._good_at, self._fresh_until = started, started + life_s
            self._next_at = started + life_s * self.freshness.refresh_at * (1 - JITTER * _chance())
            if keys is not None:
                self._etag = etag_of(answer.headers)
                self._held = keys
            self._limiter.remember_missing(
                {mark: kid for mark, kid in requested.items() if kid not in self._held}
            )
            self._limiter.forget_found(self._held)
            self._publish_keys(self._held)
        self._emit("fetch_ok", value=self._clock.monotonic() - started, detail=str(answer.status))
        self._keep(answer)

    def _read(self, body: bytes) -> JWKSet:
        limits = {"max_keys": self._transport.max_keys, "max_bytes": self._transport.max_bytes}
        try:
            keys = JWKSet.from_json(body, fetched=True, **limits)
        except RapidJWSError:
            raise FetchFailed("document") from None
        if not keys.keys:
            self._tell_skipped(keys)
            raise FetchFailed("no_usable_key")
        return keys

    def _fetch_done(self, failed: FetchFailed | None, by_unknown_kid: bool) -> None:
        """End a fetch: plan the next one, and let go who waited."""
        with self._lock:
            now = self._clock.monotonic()
            self._fetch_in_progress = False
            self._ended = self._number
            if failed is not None:
                self._failures += 1
                self._last_failure = failed.detail
                if not (by_unknown_kid and now < self._next_at):  # else the schedule stays as it is
                    self._next_at = now + self._pause_s(failed)
            if self._refetch_after:
                self._refetch_after, self._next_at = False, now
        try:
            if failed is not None:
                self._emit("fetch_failed", detail=failed.reason, value=failed.status)
                self._adopt_last_good()
        finally:
            self._answered()
            self.poll()

    def _pause_s(self, failed: FetchFailed) -> float:
        rules = self.freshness
        grown_s: float = min(rules.retry_max_s, rules.retry_min_s * 2 ** min(self._failures - 1, 30))
        stated_s = retry_after_s(failed.retry_after, self._clock.time()) or 0.0
        return max(grown_s * (0.5 + 0.5 * _chance()), min(stated_s, rules.retry_after_max_s))

    # --- the last good set -------------------------------------------------------------------------------

    def _keep(self, answer: Answer) -> None:
        if self._last_good is None or answer.status == 304:
            return
        try:
            kept = last_good.LastGood(answer.body, etag_of(answer.headers), self._clock.time())
            last_good.write(self._last_good, self.url, kept)
        except (OSError, UnicodeDecodeError):
            self._emit("last_good_not_written")

    def _adopt_last_good(self) -> None:
        """Take a kept set that is newer than ours: from before the start, or from another worker."""
        if self._last_good is None:
            return
        now_s = self._clock.time()
        kept = last_good.read(
            self._last_good,
            self.url,
            now_s=now_s,
            max_age_s=min(self._last_good_max_age_s, self.freshness.stale_limit_s),
            max_bytes=self._transport.max_bytes,
        )
        if kept is None:
            return
        try:
            keys = self._read(kept.body)
        except FetchFailed:
            return
        with self._lock:
            fetched_at = self._clock.monotonic() - max(0.0, now_s - kept.fetched_at_s)
            if self._good_at is not None and fetched_at <= self._good_at:
                return
            self._good_at = self._fresh_until = fetched_at
            self._etag = None  # only an answer from the issuer itself may be confirmed by a 304
            self._held = keys
            self._publish_keys(keys)
        self._emit("last_good_used", value=now_s - kept.fetched_at_s)

    # --- around it ---------------------------------------------------------------------------------------

    def clock_stepped(self, step_s: float) -> None:
        """Tell that the wall clock stepped; ages here are monotonic, so nothing else is to do."""
        self._emit("clock_stepped", value=step_s)

    def after_fork(self) -> None:
        """Start anew in a forked child: the thread of a fetch under way is not there."""
        super().after_fork()
        self._limiter.after_fork()
        self._fetch_in_progress = self._refetch_after = False
        self._wake_at = None
        if self._started:
            self._next_at = min(self._next_at, self._clock.monotonic() + _chance())
            self._plan()

    def __repr__(self) -> str:
        keys = self._state.keys
        return f"<RemoteJWKS {self.url}: {'no' if keys is None else len(keys)} keys>"
