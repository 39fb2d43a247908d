"""The stream of status snapshots (server-sent events): a few clients, each for a bounded time.

One snapshot is made for all of them. Who does not read misses snapshots, and is hung up on after a while;
what waits for it is one snapshot at most. Source: the HTML standard, section 9.2 (server-sent events).
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Final, Protocol

from rapidjws.sidecar.status_page import HEADERS
from rapidjws.verify.worker_pool import call_on_thread

if TYPE_CHECKING:
    from rapidjws.sidecar.status import ServiceStatus

STREAMS_MAX: Final = 16
"""Most streams of a worker; beyond them the answer is 503."""

STREAM_MAX_S: Final = 900.0
"""How long a stream lasts; a browser opens another one by itself."""

BLOCKED_MAX_S: Final = 20.0
"""How long a client may not read until it is hung up on."""

EVENT_S: Final = 2.0
"""Seconds between two snapshots."""

RETRY_MS: Final = 2000

HEAD: Final = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n"
    + "".join(f"{name}: {value}\r\n" for name, value in HEADERS).encode("ascii")
    + b"\r\nretry: %d\n\n" % RETRY_MS
)


class StreamClient(Protocol):
    """A connection that takes snapshots."""

    def send_event(self, octets: bytes, now_s: float) -> None:
        """Take one event, or leave it out where the client does not read."""

    def close(self) -> None:
        """Hang up."""


class StatusStream:
    """The clients of one worker, and what is sent to them.

    Args:
        status: Makes snapshots.
        event_s: Seconds between two of them.
    """

    def __init__(self, status: ServiceStatus, *, event_s: float = EVENT_S) -> None:
        self._status = status
        self._event_s = event_s
        self._clients: dict[StreamClient, float] = {}
        self._task: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._clients)

    def add(self, client: StreamClient) -> bool:
        """Send snapshots to a connection from now on; return False where there are too many."""
        if len(self._clients) >= STREAMS_MAX:
            return False
        loop = asyncio.get_running_loop()
        self._clients[client] = loop.time()
        if self._task is None:
            self._task = loop.create_task(self._run())
        return True

    def remove(self, client: StreamClient) -> None:
        """Forget a connection."""
        self._clients.pop(client, None)

    def close(self) -> None:
        """Hang up on all of them."""
        for client in tuple(self._clients):
            client.close()
        self._clients.clear()

    async def _run(self) -> None:
        try:
            loop = asyncio.get_running_loop()
            while self._clients:
                octets = await self._event()
                now_s = loop.time()
                for client, begun_s in tuple(self._clients.items()):
                    if now_s - begun_s > STREAM_MAX_S:
                        self.remove(client)
                        client.close()
                    else:
                        client.send_event(octets, now_s)
                await asyncio.sleep(self._event_s)
        finally:
            self._task = None

    async def _event(self) -> bytes:
        """Return one event: a snapshot, or a comment where none could be made."""
        try:
            text = await call_on_thread(lambda: json.dumps(self._status.snapshot(), separators=(",", ":")))
        except Exception:  # no thread, no memory, a folder that cannot be read: the next one may do
            return b": no snapshot\n\n"
        return b"data: " + text.encode("ascii") + b"\n\n"
