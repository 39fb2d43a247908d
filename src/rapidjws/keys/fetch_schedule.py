"""The schedule of a fetched key source: one fetch at a time, ahead of the set's end, stale to a limit.

Verification reads the state and never waits for a fetch. A known key never waits for an unknown one. What it
never does: follow a redirect, or let one issuer's trouble reach another.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path
from random import SystemRandom
from typing import TYPE_CHECKING, ClassVar

from rapidjws._scheduler import scheduler
from rapidjws.errors import RapidJWSError
from rapidjws.jose.documents import kind_of
from rapidjws.jose.jwks import JWKSet
from rapidjws.keys import last_good
from rapidjws.keys.fetch import Answer, Fetch, HttpsFetch
from rapidjws.keys.fetch_failed import FetchFailed
from rapidjws.keys.headers import etag_of, retry_after_s, stated_life_s
from rapidjws.keys.refresh_limiter import RefreshLimiter
from rapidjws.keys.settings import Freshness, Transport, UnknownKids, positive_s
from rapidjws.keys.source import Source
from rapidjws.verify.protocols import Clock, EventListener, KeyState, no_events

if TYPE_CHECKING:
    from collections.abc import Mapping

JITTER = 0.1
OUTAGE_SHARE = 0.05
"""The part of an outage so far that a pause may take: who was gone for an hour is not asked each second."""
_chance = SystemRandom().random  # a background thread leaves the application's own generator alone


class FetchSchedule(Source):
    """The state of a fetched source, and what is done to it when: see :class:`FetchedKeys`.

    Args:
        url: The https URL that stands for the source.
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

    document: ClassVar[str] = "a JWK Set"
    """What is fetched, in words: another document is named beside it."""

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
        self._started = self._fetch_in_progress = self._refetch_after = self._announced = False
        self._number = self._applied = self._ended = self._failures = 0
        self._last_failure: str | None = None
        self._etag: str | None = None
        self._good_at: float | None = None
        self._fresh_until: float | None = None
        self._next_at = self._clock.monotonic()
        self._failing_since = self._next_at
        self._invalidated_at: float | None = None
        self._wake_at: float | None = None
        self._held = JWKSet()
        scheduler.step_watchers.add(self)
        self._adopt_last_good()

    # --- what is fetched, and what it holds --------------------------------------------------------------

    def _bring(self, requested: Mapping[int, str], etag: str | None) -> Answer:
        """Fetch the document; a source of several documents does more.

        Args:
            requested: The unknown kids that this fetch is to answer for, by their marks.
            etag: Of the set in use, or None.

        Raises:
            FetchFailed: Why there is no answer.
        """
        return self._fetch(self.url, etag)

    def _parse(self, body: bytes) -> JWKSet:
        """Return the keys of a document.

        Raises:
            RapidJWSError: It is another document.
        """
        raise NotImplementedError

    def _life_s(self, answer: Answer) -> float | None:
        """Return the seconds for which an answer says it is fresh, or None."""
        return stated_life_s(answer.headers)

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
            answer = self._bring(requested, self._etag)
            self._apply(number, started, answer, requested)
            failed = None
        except FetchFailed as fault:
            failed = fault
        except BaseException:  # of ours, or of a fetch that was handed in; nobody interrupts this thread
            pass
        finally:  # whatever ends it: else no fetch would follow
            self._fetch_done(failed, by_unknown_kid, max(0.0, self._clock.monotonic() - started))

    def _apply(self, number: int, started: float, answer: Answer, requested: dict[int, str]) -> None:
        """Take an answer unless a newer one was taken before.

        Raises:
            FetchFailed: ``document``: not a JWK Set, or one without a usable key.
        """
        keys = None if answer.status == 304 else self._read(answer.body)
        life_s = self.freshness.clamp(self._life_s(answer))
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
        """Return the keys of a document.

        Raises:
            FetchFailed: ``document``, ``no_usable_key``.
        """
        try:
            keys = self._parse(body)
        except RapidJWSError as refused:
            raise FetchFailed("document", found=self._mistaken(body, refused)) from None
        if not keys.keys and not self.on_demand:
            self._tell_skipped(keys)
            raise FetchFailed("no_usable_key")
        return keys

    def _mistaken(self, body: bytes, refused: RapidJWSError) -> str:
        """Return what a document is instead, or why it is refused, in words of ours."""
        kind = kind_of(body)
        return refused.code if kind == self.document else f"{kind}, not {self.document}"

    def _fetch_done(
        self, failed: FetchFailed | None, by_unknown_kid: bool, taken_s: float | None = None
    ) -> None:
        """End a fetch: plan the next one, say so, and let go who waited; whoever listens finds it ended.

        Whatever fails here, the next fetch follows: on this thread nobody would hear of it.
        """
        try:
            self._note_end(failed, by_unknown_kid)
            if taken_s is not None:
                self._emit("fetch_ended", value=taken_s, detail=None if failed is None else failed.reason)
            if failed is not None:
                self._emit("fetch_failed", detail=failed.reason, value=failed.status)
                self._adopt_last_good()
        except Exception:
            self._emit("fetch_failed", detail="internal")
        finally:
            self._answered()
            self.poll()

    def _note_end(self, failed: FetchFailed | None, by_unknown_kid: bool) -> None:
        with self._lock:
            now = self._clock.monotonic()
            self._fetch_in_progress = False
            self._ended = self._number
            if failed is not None:
                if not self._failures:
                    self._failing_since = now
                self._failures += 1
                is_extra = by_unknown_kid and now < self._next_at  # then the schedule stays as it is
                if not is_extra:
                    self._next_at = now + self.freshness.retry_max_s  # until it is known better
                self._last_failure = failed.detail
                if not is_extra:
                    self._next_at = now + self._pause_s(failed)
            if self._refetch_after:
                self._refetch_after, self._next_at = False, now

    def _pause_s(self, failed: FetchFailed) -> float:
        rules = self.freshness
        lasts_s = self._clock.monotonic() - self._failing_since
        longest_s = max(rules.retry_max_s, min(lasts_s * OUTAGE_SHARE, rules.retry_outage_max_s))
        grown_s: float = min(longest_s, rules.retry_min_s * 2 ** min(self._failures - 1, 30))
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

    def after_fork(self) -> None:
        """Start anew in a forked child: the thread of a fetch under way is not there."""
        super().after_fork()
        self._limiter.after_fork()
        self._fetch_in_progress = self._refetch_after = False
        self._wake_at = None
        if self._started:
            self._next_at = min(self._next_at, self._clock.monotonic() + _chance())
            self._plan()
