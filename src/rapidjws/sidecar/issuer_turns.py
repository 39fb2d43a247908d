"""Requests of an issuer's endpoints, begun a few at a time, so that keys are published between them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from rapidjws.issuing import Document
from rapidjws.verify.worker_pool import call_on_thread

WAITING_MAX: Final = 1024
"""More requests than that are answered with 503 at once: they would wait longer than their clients."""

BUSY: Final = Document(
    status=503,
    headers={"content-type": "application/json", "cache-control": "no-store", "retry-after": "1"},
    body=b'{"error":"temporarily_unavailable","code":"signing_queue_full"}',
)


class RequestTurns:
    """The requests of one kind of endpoint.

    Threads that are given all that waits finish hundreds of requests while the event loop answers as many:
    each turn of the loop is then as long as the last one, and every other connection waits for several. With
    a few under way, a turn has a few.

    Args:
        pool: Whose threads, one of ``worker_pool``.
        under_way: How many requests at once.
        waiting: How many may wait; further ones are refused.
    """

    __slots__ = ("_free", "_max", "_pool", "_waiting")

    def __init__(self, pool: Any, under_way: int, waiting: int = WAITING_MAX) -> None:
        self._pool = pool
        self._free = under_way
        self._max = waiting
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def answered(self, call: Callable[[], Document]) -> Document:
        """Return the answer of a request in its turn, or BUSY.

        Raises:
            InternalError: ``internal_error``: no thread can be had.
        """
        if self._free > 0:
            self._free -= 1
        elif len(self._waiting) >= self._max:
            return BUSY
        else:
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:  # its client is gone
                if turn.cancelled():
                    self._waiting.remove(turn)
                else:
                    self._next()
                raise
        try:
            return await call_on_thread(call, pool=self._pool)
        finally:
            self._next()

    def _next(self) -> None:
        """Give a place to who waits longest."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1
