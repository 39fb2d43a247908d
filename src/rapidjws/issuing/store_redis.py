"""The state of an issuer's keys in Redis, for issuers on many machines; needs the extra ``redis``.

One hash holds the revision and the state. A script compares and swaps, so no two issuers write over each
other. Redis's own clock dates the changes: issuers whose clocks differ agree on it.
"""

from __future__ import annotations

import threading
from typing import Final

from rapidjws._checks import check_range, checked
from rapidjws._scheduler import scheduler
from rapidjws.errors import error_for
from rapidjws.issuing.state import STATE_MAX_BYTES, IssuingState, unreadable
from rapidjws.issuing.store import changed, check_swap, unavailable
from rapidjws.stores.redis_client import RedisClient

_PLACE: Final = "issuing.redis"

_SWAP: Final = """
local found = redis.call('HGET', KEYS[1], 'revision') or '0'
if found ~= ARGV[1] then return found end
redis.call('HSET', KEYS[1], 'revision', ARGV[2], 'state', ARGV[3])
return 'ok'
"""


class RedisStateStore:
    """A state in Redis.

    A Redis that lost its newest writes in a fail-over is noticed by its revision; whoever has read a later
    state writes it back, before anything else is changed.

    Args:
        url: ``redis://`` or ``rediss://``.
        name: The hash's name; one for each issuer.
        timeout_s: For one command.

    Raises:
        ConfigurationError: ``configuration_invalid``.
        ImportError: redis is not installed.
    """

    @checked
    def __init__(self, url: str, *, name: str = "rapidjws:issuing", timeout_s: float = 0.5) -> None:
        if not name:
            raise error_for("configuration_invalid", "issuing.name", "a name that is not empty")
        check_range("issuing.timeout_s", timeout_s, 0.001, 60)
        limits = {"socket_timeout": timeout_s, "socket_connect_timeout": timeout_s}
        self._redis = RedisClient(url, "keys of issuers in Redis", **limits)
        self._name = name
        self._last = IssuingState()
        self._parsed_last: tuple[bytes, IssuingState] | None = None
        self._lock = threading.Lock()
        scheduler.members.add(self)

    def read(self) -> IssuingState:
        """Return the state, or write back the later one that was read before where Redis lost it.

        Raises:
            DependencyUnavailable: ``key_state_unavailable``, ``key_state_unreadable``.
        """
        self._redis.renew()
        try:
            revision, octets = self._redis.now.hmget(self._name, "revision", "state")
        except self._redis.errors as fault:
            raise unavailable(_PLACE, actual=type(fault).__name__) from None
        state = self._parsed(octets)
        if str(state.revision).encode() != (revision or b"0"):
            raise unreadable(_PLACE, f"revision {state.revision}", repr(revision))
        with self._lock:
            last = self._last
            if state.revision >= last.revision:
                self._last = state
                return state
        self._write(state.revision, last)
        return last

    def _parsed(self, octets: bytes | None) -> IssuingState:
        """Return the state of octets: the last one where they are the same."""
        if octets is None:
            return IssuingState()
        last = self._parsed_last
        if last is not None and last[0] == octets:
            return last[1]
        state = IssuingState.from_json(bytes(octets))
        self._parsed_last = (bytes(octets), state)
        return state

    @checked
    def swap(self, before: IssuingState, after: IssuingState) -> None:
        """Put a state in the place of the one it was made from, whole or not at all.

        Raises:
            IssuingRefused: ``key_state_changed``.
            DependencyUnavailable: ``key_state_unavailable``; the next reading tells whether it was written.
        """
        check_swap(before, before, after)
        self._write(before.revision, after)
        with self._lock:
            if after.revision > self._last.revision:
                self._last = after

    def _write(self, expected: int, state: IssuingState) -> None:
        octets = state.to_json()
        if len(octets) > STATE_MAX_BYTES:
            raise unavailable(_PLACE, f"at most {STATE_MAX_BYTES} bytes", f"{len(octets)} bytes")
        self._redis.renew()
        try:
            answer = self._redis.now.eval(_SWAP, 1, self._name, str(expected), str(state.revision), octets)
        except self._redis.errors as fault:
            raise unavailable(_PLACE, actual=type(fault).__name__) from None
        if answer != b"ok":
            raise changed(IssuingState(revision=expected), str(answer.decode("ascii", "replace")))

    def time_s(self) -> float | None:
        """Return Redis's clock, in seconds since the epoch.

        Raises:
            DependencyUnavailable: ``key_state_unavailable``.
        """
        self._redis.renew()
        try:
            whole, micro = self._redis.now.time()
        except self._redis.errors as fault:
            raise unavailable(_PLACE, actual=type(fault).__name__) from None
        return int(whole) + int(micro) / 1e6

    def after_fork(self) -> None:
        """Make the lock anew in a forked child."""
        self._lock = threading.Lock()
