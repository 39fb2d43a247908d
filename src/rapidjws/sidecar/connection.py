"""One HTTP/1.1 connection of the sidecar: parsing, limits, times, answers; its subclasses know the requests.

Heads, bodies, times and connections are bounded. What this never does: decide, or forward anything.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

import httptools

from rapidjws._native import plain_requests
from rapidjws.sidecar.settings import is_unix

if TYPE_CHECKING:
    from rapidjws.sidecar.settings import ServerSettings

PHRASES: Final = {
    200: b"OK", 202: b"Accepted", 304: b"Not Modified", 400: b"Bad Request", 401: b"Unauthorized",
    403: b"Forbidden",
    404: b"Not Found", 405: b"Method Not Allowed", 408: b"Request Timeout", 409: b"Conflict",
    413: b"Content Too Large", 431: b"Request Header Fields Too Large", 500: b"Internal Server Error",
    503: b"Service Unavailable",
}  # fmt: skip

CHUNK_FRAMING_BYTES: Final = 16
"""A chunk's size and line ends, without extensions (RFC 9112 s.7.1)."""


DRAIN_REST_S: Final = 1.0
"""How long a connection must be at rest until draining closes it: on one in use, the next request may be on
its way already, and is answered with ``Connection: close`` instead."""


class OpenConnection(Protocol):
    """A connection as its listener knows it."""

    def expire(self, now_s: float) -> None:
        """End it where something of it lasts too long."""

    def drain(self) -> None:
        """Close it once nothing is under way."""

    def close(self) -> None:
        """Close it once what was written is sent."""


class Listener:
    """What all connections of a listener share, in one worker."""

    def __init__(self, settings: ServerSettings, *, max_connections: int | None = None) -> None:
        self.settings = settings
        self.max_connections = settings.max_connections if max_connections is None else max_connections
        self.connections: set[OpenConnection] = set()
        self.draining = False

    def sweep(self, now_s: float) -> None:
        """Close connections that took too long; called about once a second."""
        for connection in tuple(self.connections):
            connection.expire(now_s)

    def drain(self) -> None:
        """Close connections at rest, and take no more."""
        self.draining = True
        for connection in tuple(self.connections):
            connection.drain()


class Connection(asyncio.Protocol):
    """One connection, parsed; a subclass's ``requested`` is called with each complete request.

    Args:
        listener: What the connections of this listener share.
        loop: The loop.
    """

    wanted: frozenset[bytes] | None = None
    """Lower-case names of the headers that are kept, or None for all."""

    plain_fields: tuple[bytes, ...] | None = None
    """The same names where plain requests are read without the parser, or None."""

    keeps_body = False

    def __init__(self, listener: Listener, loop: asyncio.AbstractEventLoop) -> None:
        self._listener = listener
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._parser: Any = httptools.HttpRequestParser(self)
        self._max_head = listener.settings.max_header_bytes
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._pieces: list[bytes] = []
        self._size = self._body = self._unparsed = self._framing = 0
        self._begun = 0
        self._is_under_way = False
        self._in_head = True
        self._since_s = loop.time()
        self._busy = False
        self._is_blocked = False
        self._is_ending = False
        self._under_way = 0

    @property
    def peer(self) -> str | None:
        """Return the address of the gateway, ``"unix"`` on a Unix socket."""
        if self._transport is None:
            return None
        name = self._transport.get_extra_info("peername")
        return (
            str(name[0])
            if isinstance(name, tuple)
            else "unix"
            if is_unix(self._listener.settings.listen)
            else None
        )

    def requested(
        self, url: bytes, headers: list[tuple[bytes, bytes]], method: bytes, body: bytes, *, keep: bool
    ) -> None:
        """Take one complete request; the subclass answers it by ``answer``, in its turn."""
        raise NotImplementedError

    def answer_pending(self) -> None:
        """Answer what came before, where a subclass can at once; what came last ends the connection."""

    # --- the transport's calls ---------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a connection, or close it where there are too many."""
        self._transport = cast("asyncio.Transport", transport)
        state = self._listener
        if len(state.connections) >= state.max_connections or state.draining:
            self._transport.abort()
            return
        state.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget a connection."""
        self._listener.connections.discard(self)
        self._transport = None

    def eof_received(self) -> bool:
        """Close the connection once all that came has its answer: a client may send no more and still read.

        Returns:
            Whether the transport stays open.
        """
        self.end()
        return self._is_ending

    def end(self) -> None:
        """Take no more requests, and close once those under way have their answers."""
        self.answer_pending()
        if self._under_way and self._transport is not None and not self._transport.is_closing():
            self._is_ending = True
            self._transport.pause_reading()
        else:
            self.close()

    def pause_writing(self) -> None:
        """Read no more from a client that does not read."""
        self.touch(busy=True)
        self._is_blocked = True
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Go on reading."""
        self._is_blocked = False
        self.touch(busy=False)
        self.resume_reading()

    def resume_reading(self) -> None:
        """Read again, where the connection still stands and takes requests."""
        if self._transport is not None and not self._transport.is_closing() and not self._is_ending:
            self._transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        """Parse what came."""
        if self._transport is None or self._transport.is_closing():
            return
        if not self._busy:
            self.touch(busy=True)
        if self.plain_fields is not None and not self._is_under_way:
            data = self._take_plain(data, self.plain_fields)
            if not data:
                return
        begun = self._begun
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.end()  # what follows is another protocol
            return
        except httptools.HttpParserError:
            self.fail(400)
            return
        if self._is_under_way and self._begun == begun:  # all of it belongs to one request
            self._count(len(data))

    def _take_plain(self, data: bytes, fields: tuple[bytes, ...]) -> bytes:
        """Hand on the plain requests that begin here, each in its turn; return what is left to the parser."""
        requests, size = plain_requests(data, fields, self._max_head)
        for url, headers, method in requests:
            if self._transport is None or self._transport.is_closing() or self._is_ending:
                return b""
            self.requested(url, headers, method, b"", keep=not self._listener.draining)
        return data[size:] if size < len(data) else b""

    def _count(self, size: int) -> None:
        """Bound what a request's head, or the framing of its body, takes without a word from the parser."""
        if self._in_head:
            self._unparsed += size
        else:
            self._framing += size
        if max(self._unparsed, self._framing) > self._max_head:
            self.fail(431)

    def touch(self, *, busy: bool) -> None:
        """Begin to count the time of a request, or of a rest; who does not read gets no new time."""
        if self._is_blocked:
            return
        self._busy = busy
        self._since_s = self._loop.time()

    def expire(self, now_s: float) -> None:
        """Close a connection whose request, or whose rest, lasts too long."""
        settings = self._listener.settings
        limit_s = settings.header_timeout_s if self._busy else settings.idle_timeout_s
        if not self._under_way and now_s - self._since_s > limit_s and self._transport is not None:
            self._transport.abort()

    def drain(self) -> None:
        """Close a connection at rest; one that was just used gets time for a request on its way."""
        rest_s = min(DRAIN_REST_S, self._listener.settings.drain_s / 4)
        if not self._busy and not self._under_way and self._loop.time() - self._since_s >= rest_s:
            self.close()

    def close(self) -> None:
        """Close the connection once what was written is sent."""
        if self._transport is not None:
            self._transport.close()

    # --- the parser's calls ------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._url = b""
        self._headers = []
        self._pieces = []
        self._size = self._body = self._unparsed = self._framing = 0
        self._begun += 1
        self._is_under_way = True
        self._in_head = True

    def on_url(self, url: bytes) -> None:
        """Take a piece of the target."""
        self._url += url
        self._grow(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; a trailer counts towards the limit, and is no header (RFC 9110 s.6.5.1)."""
        name = name.lower()
        if self._in_head and (self.wanted is None or name in self.wanted):
            self._headers.append((name, value))
        self._size += len(name) + len(value) + 4
        if self._size > self._max_head:
            self.fail(431)

    def _grow(self, size: int) -> None:
        self._size += size
        if self._size > self._max_head:
            self.fail(431)

    def on_headers_complete(self) -> None:
        """End a head."""
        self._in_head = False

    def on_chunk_header(self) -> None:
        """Allow for the framing of a chunk; its extensions count towards the head's limit."""
        self._framing -= CHUNK_FRAMING_BYTES

    def on_body(self, body: bytes) -> None:
        """Take a piece of a body, or throw it away, up to its limit."""
        self._body += len(body)
        self._framing -= len(body)
        if self._body > self._listener.settings.max_body_bytes:
            self.fail(413)
        elif self.keeps_body:
            self._pieces.append(body)

    def on_message_complete(self) -> None:
        """Hand a request on, in its turn."""
        transport = self._transport
        if transport is None or transport.is_closing() or self._is_ending:
            return
        self._in_head = True
        self._is_under_way = False
        keep = self._parser.should_keep_alive() and not self._listener.draining
        if not keep:
            self.plain_fields = None  # nothing that follows is a request
        body = b""
        if self._pieces:
            body = b"".join(self._pieces)
            self._pieces = []
        self.requested(self._url, self._headers, self._parser.get_method(), body, keep=keep)

    # --- answers -----------------------------------------------------------------------------------------

    def fail(self, status: int) -> None:
        """Answer a request that is not understood, and hang up."""
        self.answer_pending()
        self.hang_up(status)

    def hang_up(self, status: int) -> None:
        """Answer with a bare status, and close."""
        if self._transport is not None and not self._transport.is_closing():
            self.answer(status, b"", b"", b"GET", keep=False)

    def answer(self, status: int, head: bytes, body: bytes, method: bytes, *, keep: bool) -> None:
        """Write an answer.

        Args:
            status: Its status, one of PHRASES.
            head: Header lines, each with its line end.
            body: Its body; only its size is sent for HEAD.
            method: The request's method.
            keep: Whether the connection stays.
        """
        size = b"" if status == 304 else b"content-length: %d\r\n" % len(body)  # RFC 9110 s.15.4.5
        text = b"HTTP/1.1 %d %b\r\n%b%b\r\n" % (status, PHRASES[status], size, head)
        self.write(text if method == b"HEAD" else text + body, keep=keep)

    def write(self, octets: bytes, *, keep: bool) -> None:
        """Write a whole answer whose head ends with an empty line; say where it is the last one."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if keep:
            transport.write(octets)
            return
        start, _, rest = octets.partition(b"\r\n")
        transport.write(start + b"\r\nconnection: close\r\n" + rest)
        transport.close()


def head_of(headers: list[tuple[str, str]] | tuple[tuple[str, str], ...]) -> bytes:
    """Return header lines."""
    return "".join([f"{name}: {value}\r\n" for name, value in headers]).encode("latin-1")
