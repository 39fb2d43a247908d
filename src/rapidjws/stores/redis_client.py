"""A Redis client that survives a fork: the child opens its own and never touches its parent's."""

from __future__ import annotations

import contextlib
import encodings.idna  # noqa: F401 - as in ``fetch``: loaded before any thread connects
import os
import weakref
from typing import Any, Final

from rapidjws._scheduler import scheduler
from rapidjws.errors import error_for

_inherited: Final[list[Any]] = []
"""Clients of a parent process. Threads that are not here may hold their pools' locks: to reset them, and even
to let them go, could wait for ever."""


def _close(pool: Any, pid: int) -> None:
    """Close the connections of a client that nobody has any more, in the process that opened them."""
    if os.getpid() == pid:
        with contextlib.suppress(Exception):
            pool.disconnect()


class RedisClient:
    """A client of Redis, and another one in each forked child.

    Args:
        url: ``redis://`` or ``rediss://``.
        extra: What needs it, for the message.
        limits: For ``redis.Redis.from_url``.

    Attributes:
        now: The client of this process.
        errors: What it may raise.

    Raises:
        ImportError: redis is not installed.
    """

    def __init__(self, url: str, extra: str, **limits: Any) -> None:
        try:
            import email.parser  # noqa: F401 - the client's at its first connection, on whatever thread

            import redis
            from redis.backoff import NoBackoff
            from redis.retry import Retry
        except ImportError as missing:
            raise ImportError(f"{extra} need: pip install 'rapidjws[redis]'") from missing
        self._redis: Any = redis
        self._url = url
        self._limits = {**limits, "retry": Retry(NoBackoff(), 0)}  # what was sent is not sent again unasked
        self.errors: tuple[type[BaseException], ...] = (redis.RedisError, OSError)
        self.response_error: type[BaseException] = redis.ResponseError
        self.now: Any = self._opened()
        self._pid = os.getpid()
        scheduler.members.add(self)

    def _opened(self) -> Any:
        try:
            opened = self._redis.Redis.from_url(self._url, **self._limits)
        except ValueError:
            raise error_for(
                "configuration_invalid", "url", "redis://host:port/0, rediss:// or unix://"
            ) from None
        # in a cycle of garbage the client's own end may come after that of its sockets
        self._end = weakref.finalize(self, _close, opened.connection_pool, os.getpid())
        self._end.atexit = False
        return opened

    def after_fork(self) -> None:
        """Open a client in a forked child: two processes must not share a socket."""
        self.renew()

    def renew(self) -> None:
        """Open a client where this one is a parent's; whoever learns of a fork first may need it."""
        if self._pid == os.getpid():
            return
        self._pid = os.getpid()
        self._end.detach()
        self.now.auto_close_connection_pool = False  # else its end would wait for its pool's lock
        _inherited.append(self.now)
        self.now = self._opened()
