"""The connections of the admin listener: actions and questions, the status page, and its stream."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol

from rapidjws.sidecar.connection import Connection, Listener, head_of
from rapidjws.sidecar.status_page import FILES, page_file
from rapidjws.sidecar.status_stream import BLOCKED_MAX_S, HEAD, StatusStream
from rapidjws.verify.worker_pool import call_on_thread

if TYPE_CHECKING:
    import asyncio

    from rapidjws.sidecar.settings import ServerSettings
    from rapidjws.sidecar.status import ServiceStatus

PATH: Final = "/admin/"
STREAM: Final = "events"
CONNECTIONS_MAX: Final = 64


class Actions(Protocol):
    """What an administrator may ask for."""

    def handle(
        self, method: str, path: str, authorization: list[str], body: bytes, *, query: str = ""
    ) -> tuple[int, dict[str, Any]]:
        """Handle one request; may wait."""

    def admits(self, authorization: list[str], *, basic: bool = False) -> bool:
        """Return whether a caller shows the secret."""


class AdminListener(Listener):
    """What the admin connections of a worker share.

    Args:
        settings: The sidecar's.
        actions: What may be asked for.
        status: What the page's stream shows.
    """

    def __init__(self, settings: ServerSettings, actions: Actions, status: ServiceStatus) -> None:
        super().__init__(settings, max_connections=CONNECTIONS_MAX)
        self.actions = actions
        self.stream = StatusStream(status)

    def drain(self) -> None:
        """Close connections at rest and streams, and take no more."""
        self.stream.close()
        super().drain()


class AdminProtocol(Connection):
    """One admin connection, one request at a time; the actions run beside the loop."""

    wanted = frozenset({b"authorization"})
    keeps_body = True

    def __init__(self, admin: AdminListener, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(admin, loop)
        self._admin = admin
        self._doing: set[asyncio.Task[None]] = set()
        self._blocked_since_s: float | None = None
        self._is_streaming = False

    def end(self) -> None:
        """Take no more requests, and close once the action under way has its answer; a stream has no end."""
        if self._is_streaming:
            self.close()
        else:
            super().end()

    def requested(
        self, url: bytes, headers: list[tuple[bytes, bytes]], method: bytes, body: bytes, *, keep: bool
    ) -> None:
        """Do what is asked for; a second request on the way has no answer, and ends the connection."""
        if self._under_way:
            self.end()
            return
        self._under_way = 1
        given = [value.decode("latin-1") for _, value in headers]
        path, _, query = url.decode("latin-1").partition("?")
        name = path.removeprefix(PATH) if path.startswith(PATH) else None
        if name in FILES or name == STREAM:
            self._browse(str(name), given, method, keep)
            return
        task = self._loop.create_task(self._act(path, query, given, method, body, keep))
        self._doing.add(task)
        task.add_done_callback(self._doing.discard)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget a connection."""
        super().connection_lost(exc)
        self._admin.stream.remove(self)

    # --- for a browser -----------------------------------------------------------------------------------

    def _browse(self, name: str, given: list[str], method: bytes, keep: bool) -> None:
        """Answer with a file of the status page, or begin the stream."""
        if not self._admin.actions.admits(given, basic=True):
            head = [("content-type", "application/json"), ("www-authenticate", _BASIC)]
            self._answer(401, head, b'{"error":"unauthorized"}\n', method, keep)
        elif method not in (b"GET", b"HEAD"):
            self._answer(405, _JSON, b'{"error":"method_not_allowed"}\n', method, keep)
        elif name != STREAM:
            headers, octets = page_file(name)
            self._answer(200, headers, octets, method, keep)
        elif method == b"HEAD" or self._admin.draining or not self._admin.stream.add(self):
            self._answer(503, _JSON, b'{"error":"too_many_streams"}\n', method, False)
        elif self._transport is not None:
            self._is_streaming = True
            self._transport.write(HEAD)  # _under_way stays: the stream has times of its own

    def send_event(self, octets: bytes, now_s: float) -> None:
        """Send one event; a client that does not read misses it, and is hung up on in the end."""
        transport = self._transport
        if transport is None or transport.is_closing():
            self._admin.stream.remove(self)
        elif not self._is_blocked:
            self._blocked_since_s = None
            transport.write(octets)
        elif self._blocked_since_s is None:
            self._blocked_since_s = now_s
        elif now_s - self._blocked_since_s > BLOCKED_MAX_S:
            self._admin.stream.remove(self)
            transport.abort()

    # --- for commands ------------------------------------------------------------------------------------

    async def _act(
        self, path: str, query: str, given: list[str], method: bytes, body: bytes, keep: bool
    ) -> None:
        name = method.decode("latin-1")
        try:
            handle = partial(self._admin.actions.handle, name, path, given, body, query=query)
            status, shown = await call_on_thread(handle)
        except Exception as fault:
            status, shown = 500, {"error": "internal_error", "detail": type(fault).__name__}
        head = [*_JSON, ("www-authenticate", _BEARER)] if status == 401 else _JSON
        self._answer(status, head, json.dumps(shown).encode() + b"\n", method, keep)

    def _answer(self, status: int, head: Any, body: bytes, method: bytes, keep: bool) -> None:
        self._under_way = 0
        self.answer(status, head_of(head), body, method, keep=keep and not self._is_ending)
        self.touch(busy=False)


_JSON: Final = [("content-type", "application/json"), ("cache-control", "no-store")]
_BEARER: Final = 'Bearer realm="admin"'
_BASIC: Final = 'Basic realm="admin", charset="UTF-8"'
