"""What every changing key source does: hold a state, tell its subscribers, and name what changed.

A subscriber is held weakly and reads the current state itself, so an older one can never overtake a newer.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, ClassVar, Final

from rapidjws._listeners import WeakListeners
from rapidjws._scheduler import SystemClock, scheduler
from rapidjws.jose.json_text import parser
from rapidjws.jose.jwks import JWKSet
from rapidjws.verify.protocols import Event, KeyState, emit, no_events

if TYPE_CHECKING:
    from collections.abc import Callable

    from rapidjws.verify.protocols import Clock, EventListener

WAITERS_MAX: Final = 1024
NO_KEYS: Final = KeyState(keys=None, code="keys_unavailable")
_ALARMS: Final = {"key_private": "private_key_published", "duplicate_kid": "duplicate_kid"}


class Source:
    """An issuer's keys as they change.

    Args:
        name: The URL or path, for events.
        events: Listener.
        clock: Both times.
    """

    on_demand: ClassVar[bool] = False
    """Whether keys come only once tokens ask for them: none at first is then no fault."""

    def __init__(self, name: str, events: EventListener = no_events, clock: Clock | None = None) -> None:
        parser()  # loaded before a thread reads keys: not half loaded where the process forks
        self.name = name
        self._events = events
        self._clock: Clock = clock or SystemClock()
        self._state = NO_KEYS
        self._lock = threading.RLock()
        self._subscribers = WeakListeners()
        self._is_behind = (
            False  # a subscriber could not take the state over: notified again at the next answer
        )
        self._waiters: list[Future[None]] = []
        scheduler.members.add(self)

    def state(self) -> KeyState:
        """Return what there is now; never waits."""
        return self._state

    @property
    def ready(self) -> bool:
        """Return whether there are keys to be used now."""
        scheduler.ensure()  # asked from time to time: where a timer could not start, it is tried again
        return self._state.keys is not None

    def subscribe(self, changed: Callable[[], None]) -> None:
        """Call a bound method after each change; it is held weakly."""
        with self._lock:
            self._subscribers.add(changed)

    def next_answer(self) -> Future[None]:
        """Return a future of the caller's own, done when the next refresh ended, well or not."""
        future: Future[None] = Future()
        with self._lock:
            self._waiters = [one for one in self._waiters if not one.done()]
            if len(self._waiters) >= WAITERS_MAX:
                future.set_result(None)  # too many wait already: this one gets its answer now
            else:
                self._waiters.append(future)
        return future

    def unknown_kid(self, kid: str) -> float | None:
        """Take note of a kid that is not in the set; a plain source has nothing to refresh."""
        return None

    def after_fork(self) -> None:
        """Make locks anew in a forked child; who waited is not there."""
        self._lock = threading.RLock()
        self._waiters = []

    def _emit(self, name: str, **members: Any) -> None:
        emit(self._events, Event(name=name, issuer=self.name, **members))

    def _answered(self) -> None:
        """Let go those who waited for a refresh."""
        with self._lock:
            waiters, self._waiters = self._waiters, []
        for future in waiters:
            if future.set_running_or_notify_cancel():
                future.set_result(None)

    def _publish(self, state: KeyState) -> None:
        """Put a state in place and tell the subscribers; one's fault stops no other."""
        with self._lock:
            self._state = state
        self._tell_subscribers()

    def _tell_subscribers(self) -> None:
        self._is_behind = self._subscribers.call() is not None
        if self._is_behind:
            self._emit("swap_failed")

    def _publish_keys(self, keys: JWKSet) -> None:
        """Put a set in place where it differs from what is there, then name what differs: it holds by now."""
        with self._lock:
            before = self._state
        self._tell_skipped(keys)
        if before.keys is not None and before.keys.keys == keys.keys:
            if self._is_behind:
                self._tell_subscribers()
            return
        old = () if before.keys is None else before.keys.keys
        known = {key.kid: key for key in old}
        same = {key: key for key in old}
        kept = JWKSet(same.get(key, key) for key in keys)  # the same objects: nothing is built anew
        for name in ("skipped", "serves_any_kid"):
            object.__setattr__(kept, name, getattr(keys, name))
        seen = {kid: when for kid, when in before.first_seen.items() if kid in keys}
        news: list[dict[str, Any]] = []
        for key in kept:
            if key.kid is None or key in same:
                continue
            if key.kid in known:
                news.append({"name": "kid_rebound", "kid": key.kid, "detail": key.alg or key.kty})
            elif old:
                news.append({"name": "key_added", "kid": key.kid})
                seen[key.kid] = self._clock.monotonic()
        news += [{"name": "key_removed", "kid": kid} for kid in known if kid is not None and kid not in kept]
        self._publish(KeyState(keys=kept, first_seen=seen))
        for one in news:
            self._emit(**one)
        self._emit("keys_changed", value=len(kept))

    def _tell_skipped(self, keys: JWKSet) -> None:
        for gone in keys.skipped:
            name = _ALARMS.get(gone.code, "key_skipped")
            self._emit(name, kid=gone.kid, detail=gone.code)
