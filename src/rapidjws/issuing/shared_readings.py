"""Readings of what an issuer publishes, on a thread of its own, shared by all who ask at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from rapidjws.issuing.publication import Document, Publication, Reading
from rapidjws.verify import worker_pool
from rapidjws.verify.worker_pool import call_on_thread


class SharedReadings:
    """The answers of a publication for an event loop.

    One reading of the store is under way at a time, and answers all who asked before it began: no answer is
    older than its request, and however many ask, the store is read by one.

    Args:
        publication: What is published.
    """

    __slots__ = ("_next", "_publication", "_running")

    def __init__(self, publication: Publication) -> None:
        self._publication = publication
        self._next: asyncio.Task[Reading] | None = None
        self._running: asyncio.Task[Reading] | None = None

    async def answered(self, method: str, path: str, headers: Sequence[tuple[str, str]]) -> Document:
        """Answer one request.

        Raises:
            InternalError: ``internal_error``: no thread can be had.
        """
        if not self._publication.publishes(method, path):
            return self._publication.handle(method, path, headers)
        reading = await asyncio.shield(self._due())
        return self._publication.handle(method, path, headers, reading=reading)

    def _due(self) -> asyncio.Task[Reading]:
        """Return the reading that has not begun yet."""
        loop = asyncio.get_running_loop()
        if self._next is None or self._next.get_loop() is not loop or self._next.done():
            self._next = loop.create_task(self._read())
            self._next.add_done_callback(_seen)
        return self._next

    async def _read(self) -> Reading:
        """Read once the reading under way has ended; who comes after the begin waits for the next one."""
        before, this = self._running, asyncio.current_task()
        if before is not None and before.get_loop() is asyncio.get_running_loop():
            await asyncio.wait([before])
        self._running = this
        if self._next is this:
            self._next = None
        return await call_on_thread(self._publication.reading, pool=worker_pool.reserved)


def _seen(done: asyncio.Task[Reading]) -> None:
    """Take note of an error that nobody waits for any more."""
    if not done.cancelled():
        done.exception()
