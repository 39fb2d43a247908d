"""Keys that are fetched, always at hand: what an engine and an operator ask of them.

Verification reads the state and never waits for a fetch. A known key never waits for an unknown one. What it
never does: follow a redirect, or let one issuer's trouble reach another.
"""

from __future__ import annotations

import time
from concurrent.futures import Future, wait
from typing import Any

from rapidjws._checks import check_range, checked
from rapidjws.jose.jwks import JWKSet
from rapidjws.keys.fetch import Answer
from rapidjws.keys.fetch_schedule import FetchSchedule
from rapidjws.keys.source_status import SourceStatus

INVALIDATE_MIN_S = 1.0
"""Announced changes closer together than this are one."""


class FetchedKeys(FetchSchedule):
    """What all fetched sources share: schedule, limits, stale and last good sets."""

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
        return 0.0 if self._fetch_in_progress else max(0.0, due - self._clock.monotonic())

    def invalidate(self) -> None:
        """Fetch at once, for a change that was announced; a fetch under way is followed by another."""
        with self._lock:
            now = self._clock.monotonic()
            self._refetch_after = self._fetch_in_progress
            self._limiter.forget()
            self._announced = True
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

    def probe_keys(self) -> JWKSet:
        """Fetch now as :meth:`probe` does, and return the keys.

        Raises:
            FetchFailed: Why there are none.
        """
        return self._read(self.probe().body)

    # --- around it ---------------------------------------------------------------------------------------

    def clock_stepped(self, step_s: float) -> None:
        """Tell that the wall clock stepped; ages here are monotonic, so nothing else is to do."""
        self._emit("clock_stepped", value=step_s)

    def __repr__(self) -> str:
        keys = self._state.keys
        return f"<{type(self).__name__} {self.url}: {'no' if keys is None else len(keys)} keys>"
