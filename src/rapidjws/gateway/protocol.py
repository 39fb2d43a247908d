"""One connection of the sidecar: HTTP/1.1 in, a decision out; pipelined requests are answered in order.

Heads, bodies, times and connections are bounded. What this never does: forward anything.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, Final, cast

import httptools

from rapidjws.gateway.answer import answer_for, trusted_headers, warning_headers
from rapidjws.gateway.exposition import exposition

if TYPE_CHECKING:
    from rapidjws.engine.decision import Decision
    from rapidjws.engine.engine import Engine
    from rapidjws.gateway.settings import ServerSettings
    from rapidjws.policy.rollout import Rollout

PHRASES: Final = {
    200: b"OK", 400: b"Bad Request", 401: b"Unauthorized", 403: b"Forbidden", 404: b"Not Found",
    408: b"Request Timeout", 413: b"Content Too Large", 431: b"Request Header Fields Too Large",
    503: b"Service Unavailable",
}  # fmt: skip
QUEUE_MAX: Final = 64
"""Most pipelined requests that wait for a slow replay store before the connection is no longer read."""


class Shared:
    """Hold what all connections of a worker share."""

    def __init__(self, engine: Engine, rollout: Rollout, settings: ServerSettings) -> None:
        self.engine = engine
        self.rollout = rollout
        self.settings = settings
        self.connections: set[SidecarProtocol] = set()
        self.draining = False
        self.token_field = settings.place.field
        partner = settings.partner_header
        self.partner_field = None if partner is None else partner.lower().encode("ascii")
        self.route_fields = tuple(name.lower().encode("ascii") for name in settings.route_headers)
        self.prefix = settings.prefix.encode("ascii")

    @property
    def blocking(self) -> bool:
        """Return whether a decision may wait for another machine."""
        guard = self.engine._snapshot.guard
        return guard is not None and guard.blocking

    def sweep(self, now_s: float) -> None:
        """Close connections that took too long; called about once a second."""
        for connection in tuple(self.connections):
            connection.expire(now_s)


class SidecarProtocol(asyncio.Protocol):
    """Serve one connection."""

    def __init__(self, shared: Shared, loop: asyncio.AbstractEventLoop) -> None:
        self._shared = shared
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._parser: Any = httptools.HttpRequestParser(self)
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._size = self._body = 0
        self._in_head = True
        self._since_s = loop.time()
        self._busy = False
        self._waiting: deque[tuple[bytes, list[tuple[bytes, bytes]], bytes, bool]] = deque()
        self._worker: asyncio.Task[None] | None = None

    # --- the transport's calls ---------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a connection, or close it where there are too many."""
        self._transport = cast("asyncio.Transport", transport)
        if len(self._shared.connections) >= self._shared.settings.max_connections or self._shared.draining:
            self._transport.abort()
            return
        self._shared.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget a connection."""
        self._shared.connections.discard(self)
        self._transport = None
        if self._worker is not None:
            self._worker.cancel()

    def pause_writing(self) -> None:
        """Read no more from a client that does not read."""
        self._touch(busy=True)
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Go on reading."""
        self._touch(busy=False)
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        """Parse what came; each complete request is answered at once."""
        if self._transport is None or self._transport.is_closing():
            return
        if not self._busy:
            self._touch(busy=True)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._close()  # answered already; what follows is another protocol
            return
        except httptools.HttpParserError:
            self._fail(400)
            return
        if self._in_head:
            self._size += len(data) if self._url or self._headers else 0
            if self._size > self._shared.settings.max_header_bytes:
                self._fail(431)

    def _touch(self, *, busy: bool) -> None:
        self._busy = busy
        self._since_s = self._loop.time()

    def expire(self, now_s: float) -> None:
        """Close a connection whose request, or whose rest, lasts too long."""
        settings = self._shared.settings
        limit_s = settings.header_timeout_s if self._busy else settings.idle_timeout_s
        if self._worker is None and now_s - self._since_s > limit_s and self._transport is not None:
            self._transport.abort()

    def drain(self) -> None:
        """Close a connection without a request under way."""
        if not self._busy and self._worker is None:
            self._close()

    def _close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    # --- the parser's calls ------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._url = b""
        self._headers = []
        self._size = self._body = 0
        self._in_head = True

    def on_url(self, url: bytes) -> None:
        """Take a piece of the target."""
        self._url += url
        self._grow(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        self._headers.append((name.lower(), value))
        self._grow(len(name) + len(value) + 4)

    def _grow(self, size: int) -> None:
        self._size += size
        if self._size > self._shared.settings.max_header_bytes:
            self._fail(431)

    def on_headers_complete(self) -> None:
        """End a head."""
        self._in_head = False

    def on_body(self, body: bytes) -> None:
        """Throw a body away, up to its limit."""
        self._body += len(body)
        if self._body > self._shared.settings.max_body_bytes:
            self._fail(413)

    def on_message_complete(self) -> None:
        """Answer a request, in its turn."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        self._in_head = True
        keep = self._parser.should_keep_alive() and not self._shared.draining
        request = (self._url, self._headers, self._parser.get_method(), keep)
        if self._worker is None and not self._shared.blocking:
            self._answer(*request)
            self._touch(busy=False)
            return
        self._waiting.append(request)
        if len(self._waiting) >= QUEUE_MAX:
            transport.pause_reading()
        if self._worker is None:
            self._worker = self._loop.create_task(self._work())

    async def _work(self) -> None:
        """Answer waiting requests one after the other, off the loop."""
        while self._waiting:
            request = self._waiting.popleft()
            url, headers, method, keep = request
            asked = self._asked(url, headers)
            if asked is None:
                self._answer(url, headers, method, keep)
            else:
                token, partner, route = asked
                decision = await self._shared.engine.adecide(token, partner=partner, route=route)
                self._reply(decision, method, keep)
        self._worker = None
        self._touch(busy=False)
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    # --- answers -----------------------------------------------------------------------------------------

    def _asked(
        self, url: bytes, headers: list[tuple[bytes, bytes]]
    ) -> tuple[bytes | None, str | None, str | None] | None:
        """Return token, partner and route of a request to be decided, or None for another one."""
        shared = self._shared
        size = len(shared.prefix)
        if url[:size] != shared.prefix or url[size : size + 1] not in (b"", b"/", b"?"):
            return None
        found: list[bytes] = []
        partner: list[bytes] = []
        named: list[bytes] = []
        for name, value in headers:
            if name == shared.token_field:
                found.append(value)
            elif name == shared.partner_field:
                partner.append(value)
            elif name in shared.route_fields:
                named.append(value)
        rest = url[size:]
        route = rest if rest[:1] == b"/" else named[0] if len(named) == 1 else b"//" if named else b""
        who = partner[0].decode("latin-1") if len(partner) == 1 else None
        return shared.settings.place.token(found), who, route.decode("latin-1") or None

    def _answer(self, url: bytes, headers: list[tuple[bytes, bytes]], method: bytes, keep: bool) -> None:
        asked = self._asked(url, headers)
        if asked is not None:
            token, partner, route = asked
            decision = self._shared.engine.decide(token, partner=partner, route=route)
            self._reply(decision, method, keep)
            return
        path = url.partition(b"?")[0]
        if path == b"/healthz":
            self._write(200, [], b"alive\n", method, keep)
        elif path == b"/readyz":
            ready = self._shared.engine.ready and not self._shared.draining
            self._write(200 if ready else 503, [], b"ready\n" if ready else b"not ready\n", method, keep)
        elif path == b"/metrics":
            text = exposition(self._shared.rollout.evidence.rows(), ready=self._shared.engine.ready)
            kind = [("content-type", "text/plain; version=0.0.4")]
            self._write(200, kind, text.encode(), method, keep)
        else:
            self._write(404, [], b"", method, keep)

    def _reply(self, decision: Decision, method: bytes, keep: bool) -> None:
        place = self._shared.settings.place
        realm = self._shared.settings.realm
        refused = answer_for(decision, realm=realm, scheme=place.scheme, bad_request_status=401)
        if refused is not None:
            self._write(refused.status, list(refused.headers), refused.body, method, keep)
            return
        headers = trusted_headers(decision)
        if decision.warnings:
            headers += warning_headers(decision)
        self._write(200, headers, b"", method, keep)

    def _fail(self, status: int) -> None:
        """Answer a request that is not understood, and hang up."""
        if self._transport is not None and not self._transport.is_closing():
            self._write(status, [], b"", b"GET", False)

    def _write(
        self, status: int, headers: list[tuple[str, str]], body: bytes, method: bytes, keep: bool
    ) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        head = "".join([f"{name}: {value}\r\n" for name, value in headers])
        close = b"" if keep else b"connection: close\r\n"
        transport.write(
            b"HTTP/1.1 %d %b\r\ncontent-length: %d\r\n%b%b\r\n%b"
            % (
                status,
                PHRASES[status],
                len(body),
                close,
                head.encode("latin-1"),
                b"" if method == b"HEAD" else body,
            )
        )
        if not keep:
            transport.close()
