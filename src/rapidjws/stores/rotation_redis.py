"""Rotations announced through Redis: a message wakes consumers, and a hash keeps who has the key.

A message can make a consumer fetch the keys of an issuer that it has configured, from where it is configured,
and nothing else. A consumer that missed it fetches as its cache ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, Protocol

from rapidjws._checks import checked
from rapidjws._scheduler import scheduler
from rapidjws.errors import error_for
from rapidjws.stores.redis_channel import start_thread, subscribe
from rapidjws.stores.redis_client import RedisClient
from rapidjws.stores.revocation_file import unavailable
from rapidjws.verify.protocols import KeySource

CHANNEL: Final = "rapidjws:rotations"
KEPT_S: Final = 86400
"""How long confirmations are kept, in seconds."""

MESSAGE_MAX_BYTES: Final = 4096
WAITING_MAX: Final = 64
POLL_S: Final = 0.05
"""How often a source is looked at while its key is waited for, in seconds."""

IDLE_S: Final = 1.0
PAUSE_S: Final = 0.5
_PLACE: Final = "rotations.redis"


class Invalidated(Protocol):
    """A source that can be invalidated."""

    def invalidate(self) -> None:
        """Fetch at once."""


class Rotation(NamedTuple):
    """One announcement.

    Attributes:
        issuer: The ``iss``.
        kid: The key that consumers are to have.
        withdrawn: The key that they must have no more, or None.
    """

    issuer: str
    kid: str
    withdrawn: str | None


class RedisRotations:
    """Announces rotations to all who follow the same Redis, or follows them. Needs the extra ``redis``.

    Args:
        url: ``redis://`` or ``rediss://``.
        channel: The channel's name; confirmations stand beside it.
        name: What a consumer is called in confirmations; host, process and a random part by default.
        timeout_s: For one command.

    Raises:
        ConfigurationError: ``configuration_invalid``.
        ImportError: redis is not installed.
    """

    @checked
    def __init__(
        self,
        url: str,
        *,
        channel: str = CHANNEL,
        name: str | None = None,
        timeout_s: float = 0.5,
    ) -> None:
        if not channel:
            raise error_for("configuration_invalid", "channel", "a name that is not empty")
        limits = {"socket_timeout": timeout_s, "socket_connect_timeout": timeout_s}
        self._redis = RedisClient(url, "rotations through Redis", **limits)
        self._channel = channel
        self._given_name = name
        self._sources: Callable[[], Mapping[str, Any]] = dict
        self._waiting: dict[Rotation, float] = {}
        self._follows = False
        self._thread: threading.Thread | None = None
        self._restart()
        scheduler.members.add(self)

    def _restart(self) -> None:
        own = f"{socket.gethostname()}/{os.getpid()}/{secrets.token_hex(3)}"
        self._name = own if self._given_name is None else self._given_name
        self._lock = threading.Lock()

    # --- the issuer's side -------------------------------------------------------------------------------

    @checked
    def announce(self, issuer: str, kid: str, withdrawn: str | None = None) -> int:
        """Publish a rotation, and return how many consumers listen.

        Raises:
            DependencyUnavailable: ``revocation_store_unavailable``: Redis does not answer.
        """
        members = {"issuer": issuer, "kid": kid, "withdrawn": withdrawn}
        try:
            return int(self._redis.now.publish(self._channel, json.dumps(members)))
        except self._redis.errors:
            raise unavailable(_PLACE) from None

    @checked
    def confirmed(self, issuer: str, kid: str, withdrawn: str | None = None) -> dict[str, float]:
        """Return who has the keys of an announcement: name -> when it was so, in seconds since the epoch.

        Raises:
            DependencyUnavailable: ``revocation_store_unavailable``: Redis does not answer.
        """
        try:
            found = self._redis.now.hgetall(self._hash(Rotation(issuer, kid, withdrawn)))
        except self._redis.errors:
            raise unavailable(_PLACE) from None
        shown: dict[str, float] = {}
        for name, at in found.items():
            with contextlib.suppress(ValueError):
                shown[bytes(name).decode("utf-8", "replace")] = float(at)
        return shown

    def _hash(self, one: Rotation) -> str:
        return f"{self._channel}:{json.dumps(one)}"

    # --- a consumer's side -------------------------------------------------------------------------------

    @checked
    def follow(self, sources: Callable[[], Mapping[str, Any]]) -> None:
        """Invalidate the sources of issuers that announce a rotation, and confirm once they have the key.

        Args:
            sources: Returns iss -> key source.
        """
        self._sources = sources
        self._follows = True
        self._listen()

    def _listen(self) -> None:
        """Start the thread; where none can be had, the timer tries again."""
        with self._lock:
            self._thread = self._thread or start_thread(self, "rapidjws-rotations")
            if self._thread is None:
                scheduler.call_at(time.monotonic() + PAUSE_S, self._listen)

    def open(self) -> Any:
        """Return a subscription to the channel."""
        return subscribe(self._redis.now, self._channel)

    def fail(self) -> float:
        """Return the seconds between two tries: who announces sees who has not confirmed."""
        return PAUSE_S

    def turn(self, pubsub: Any) -> None:
        """Take one message, or wait for a moment, and confirm what has come; the thread calls this."""
        message = pubsub.get_message(timeout=POLL_S if self._waiting else IDLE_S)
        if message is not None:
            self._take(message.get("data"))
        for one, until_s in tuple(self._waiting.items()):
            if self._has(one):
                self._confirm(one)
            elif time.monotonic() < until_s:
                continue
            del self._waiting[one]

    def _take(self, octets: Any) -> None:
        """Invalidate the source that a message names; whatever a stranger wrote does no more than that."""
        one = _rotation(octets)
        source: Any = None if one is None else self._sources().get(one.issuer)
        if one is None or not hasattr(source, "invalidate"):
            return
        while len(self._waiting) >= WAITING_MAX:
            del self._waiting[next(iter(self._waiting))]
        self._waiting[one] = time.monotonic() + KEPT_S
        if not self._has(one):
            source.invalidate()

    def _has(self, one: Rotation) -> bool:
        """Return whether a source has a key, and another one no more."""
        source = self._sources().get(one.issuer)
        if not isinstance(source, KeySource):
            return False
        keys = source.state().keys
        kids = set() if keys is None else {key.kid for key in keys.keys}
        return one.kid in kids and one.withdrawn not in kids

    def _confirm(self, one: Rotation) -> None:
        with self._redis.now.pipeline(transaction=True) as pipe:
            pipe.hset(self._hash(one), self._name, repr(time.time()))
            pipe.expire(self._hash(one), KEPT_S)
            pipe.execute()

    def after_fork(self) -> None:
        """Follow anew in a forked child, where no thread is, under a name of its own."""
        self._restart()
        if self._follows:
            self._thread = None
            self._redis.renew()
            self._listen()


def _rotation(octets: Any) -> Rotation | None:
    """Return what a message says, or None."""
    if not isinstance(octets, bytes) or len(octets) > MESSAGE_MAX_BYTES:
        return None
    try:
        whole = json.loads(octets)
        issuer, kid, withdrawn = whole["issuer"], whole["kid"], whole["withdrawn"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    texts = isinstance(issuer, str) and isinstance(kid, str) and isinstance(withdrawn, (str, type(None)))
    return Rotation(issuer, kid, withdrawn) if texts else None
