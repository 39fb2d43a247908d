"""Replay detection over processes and machines: ``SET key NX EX life`` in Redis, one pipeline a batch.

Whatever Redis answers but "set" or "was there" means that nobody can tell, within the time budget; a breaker
spares callers the wait while it is down. A use that was refused for that is taken back once Redis answers:
its client may send the same token again.
"""

from __future__ import annotations

import contextlib
import threading
from time import monotonic
from typing import TYPE_CHECKING, Final

from rapidjws._checks import checked
from rapidjws._scheduler import scheduler
from rapidjws.errors import error_for
from rapidjws.stores.redis_client import RedisClient
from rapidjws.stores.unconfirmed_uses import UnconfirmedUses
from rapidjws.verify.protocols import Event, EventListener, emit, no_events

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rapidjws.stores.unconfirmed_uses import Marked

PIPELINE_MAX: Final = 1000
"""Uses sent before their answers are read."""

REPLICAS_MAX: Final = 1000
"""Most replicas that a write may wait for: more is a slip."""

_TAKE_BACK: Final = (
    "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"
)
"""Removes a use by its mark alone: a later one of the same token has another."""


class RedisReplayStore:
    """Uses remembered in Redis: exactly one of any number of processes and machines is first.

    Use a Redis that evicts nothing (``maxmemory-policy noeviction``): ``check`` looks. A fail-over may lose
    the writes of the last moments, and with them a use; ``wait_replicas`` waits for copies first. More than
    half of the replicas: else two primaries that live at once may each accept a use.

    Args:
        url: ``redis://`` or ``rediss://``.
        prefix: Of the keys.
        budget_s: Longest wait for one answer of Redis, in seconds.
        margin_s: Seconds that an entry outlives its token, for clocks that differ.
        wait_replicas: Replicas that must have each write; 0 for none.
        breaker_failures: Failures in a row after which nobody waits any more.
        breaker_s: Seconds until Redis is tried again.
        events: Listener.

    Raises:
        ConfigurationError: ``configuration_invalid``.
        ImportError: redis is not installed.
    """

    blocking: Final = True

    @checked
    def __init__(
        self,
        url: str,
        *,
        prefix: str = "rapidjws:used:",
        budget_s: float = 0.25,
        margin_s: int = 60,
        wait_replicas: int = 0,
        breaker_failures: int = 3,
        breaker_s: float = 1.0,
        events: EventListener = no_events,
    ) -> None:
        if not 0 < budget_s <= 10 or margin_s < 0:
            raise error_for("configuration_invalid", "budget_s", expected="above 0, at most 10 seconds")
        if isinstance(wait_replicas, bool) or not 0 <= wait_replicas <= REPLICAS_MAX:
            raise error_for("configuration_invalid", "wait_replicas", f"0 to {REPLICAS_MAX}")
        limits = {"socket_timeout": budget_s, "socket_connect_timeout": budget_s}
        self._redis = RedisClient(url, "replay detection through Redis", **limits)
        self._prefix = prefix.encode()
        self._budget_s = budget_s
        self._margin_s = margin_s
        self._wait_replicas = wait_replicas
        self._breaker_failures = breaker_failures
        self._breaker_s = breaker_s
        self._events = events
        self._failures = 0
        self._open_until = 0.0
        self._is_answering = False
        self._unconfirmed = UnconfirmedUses()
        self._lock = threading.Lock()
        scheduler.members.add(self)

    def record(self, entries: Sequence[tuple[bytes, int]]) -> list[bool | None]:
        """Record uses, in one round trip for each thousand of them.

        Args:
            entries: 32-byte keys, each with the whole seconds that its entry must live.

        Returns:
            One an entry: True for the first use, False for a later one, None where Redis cannot tell.
        """
        uses = self._unconfirmed.mark([key for key, _ in entries])
        answers: list[bool | None] = []
        if self._may_try():
            begun = monotonic()
            try:
                for start in range(0, len(entries), PIPELINE_MAX):
                    part = slice(start, start + PIPELINE_MAX)
                    answers += self._send(uses[part], [life_s for _, life_s in entries[part]])
            except self._redis.errors as fault:
                self._is_answering = False
                self._failed(type(fault).__name__)
                part = slice(len(answers), len(answers) + PIPELINE_MAX)
                self._unconfirmed.note(uses[part])  # sent, perhaps
            else:
                if None in answers:
                    self._failed("refused")
                else:
                    self._failures = 0
                emit(self._events, Event(name="replay_asked", value=monotonic() - begun))
        return answers + [None] * (len(entries) - len(answers))

    def _send(self, uses: Sequence[Marked], lives_s: Sequence[int]) -> list[bool | None]:
        due = self._unconfirmed.due()
        with self._redis.now.pipeline(transaction=False) as pipe:
            for key, mark in due:
                pipe.eval(_TAKE_BACK, 1, self._prefix + key, mark)
            for (key, mark), life_s in zip(uses, lives_s, strict=True):
                pipe.set(self._prefix + key, mark, nx=True, ex=life_s + self._margin_s)
            if self._wait_replicas and uses:
                pipe.execute_command("WAIT", self._wait_replicas, int(self._budget_s * 500) or 1)
            replies = pipe.execute(raise_on_error=False)
        self._unconfirmed.taken_back(one for one, gone in zip(due, replies, strict=False) if gone == 1)
        self._is_answering = True
        replies = replies[len(due) :]
        answers = [_meaning(one) for one in replies[: len(uses)]]
        copies = replies[-1] if self._wait_replicas and uses else self._wait_replicas
        if not isinstance(copies, int) or copies < self._wait_replicas:
            # written, but a fail-over could lose it; what was there was used all the same
            answers = [False if one is False else None for one in answers]
        if None in answers:
            self._unconfirmed.note(use for use, one in zip(uses, answers, strict=True) if one is None)
        return answers

    def withdraw(self, keys: Sequence[bytes]) -> None:
        """Take back uses that were refused as nobody could confirm them, now or once Redis answers.

        Only for keys for which ``record`` last returned None, whose tokens were let through nowhere. Until
        then, or where Redis allows no ``EVAL``, the same token is ``replayed``.

        Args:
            keys: As for ``record``.
        """
        if self._unconfirmed.withdraw(keys) and self._is_answering:
            with contextlib.suppress(*self._redis.errors):
                self._send((), ())

    def _may_try(self) -> bool:
        """Return whether to ask: always when closed, then one caller a pause."""
        if self._failures < self._breaker_failures:
            return True
        with self._lock:
            now = monotonic()
            if now < self._open_until:
                return False
            self._open_until = now + self._breaker_s
            return True

    def _failed(self, word: str) -> None:
        with self._lock:
            self._failures += 1
            self._open_until = monotonic() + self._breaker_s
            opened = self._failures == self._breaker_failures
        emit(self._events, Event(name="replay_store_failed", detail=word))
        if opened:
            emit(self._events, Event(name="replay_breaker_opened", value=self._breaker_s))

    def check(self) -> str | None:
        """Return what makes this Redis unfit (``unreachable``, ``evicts``, ``unknown_policy``), or None."""
        try:
            policy = self._redis.now.config_get("maxmemory-policy").get("maxmemory-policy")
        except self._redis.response_error:
            return "unknown_policy"
        except self._redis.errors:
            return "unreachable"
        if policy in ("noeviction", b"noeviction"):
            return None
        emit(self._events, Event(name="replay_store_evicts", detail=str(policy)))
        return "evicts"

    def after_fork(self) -> None:
        """Make the lock anew in a forked child."""
        self._lock = threading.Lock()
        self._unconfirmed.after_fork()


def _meaning(replies: object) -> bool | None:
    """Return what one SET answered: OK, nil, or anything else."""
    if replies is True or replies == b"OK" or replies == "OK":
        return True
    return False if replies is None else None
