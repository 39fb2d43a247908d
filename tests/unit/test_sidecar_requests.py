"""How the sidecar reads requests: trailers, chunks and their limits, names that come twice."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

pytest.importorskip("httptools", reason="the extra `server` is not installed")

from rapidjws.sidecar.connection import Connection, Listener
from rapidjws.sidecar.settings import ServerSettings

HEAD_BYTES = 4096
BODY_BYTES = 1024


class Requests(Connection):
    """A connection that notes its requests and answers each."""

    keeps_body = True

    def __init__(self, loop: asyncio.AbstractEventLoop, body_bytes: int) -> None:
        settings = ServerSettings(max_header_bytes=HEAD_BYTES, max_body_bytes=body_bytes)
        super().__init__(Listener(settings), loop)
        self.seen: list[tuple[dict[bytes, bytes], bytes]] = []

    def requested(self, url: bytes, headers: Any, method: bytes, body: bytes, *, keep: bool) -> None:
        """Note a request."""
        assert len(headers) == len(dict(headers))
        self.seen.append((dict(headers), body))
        self.answer(200, b"", b"", method, keep=keep)


class Transport(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = b""
        self.closed = False

    def write(self, data: Any) -> None:
        """Keep it."""
        self.sent += data

    def close(self) -> None:
        """Note it."""
        self.closed = True

    def is_closing(self) -> bool:
        """Return whether it was closed."""
        return self.closed


def exchange(
    octets: bytes, piece_bytes: int = 1000, *, body_bytes: int = BODY_BYTES
) -> tuple[list[tuple[dict[bytes, bytes], bytes]], list[int]]:
    """Feed octets in pieces; return the requests that were seen, and the statuses of the answers."""
    loop = asyncio.new_event_loop()
    try:
        connection, transport = Requests(loop, body_bytes), Transport()
        connection.connection_made(transport)
        for start in range(0, len(octets), piece_bytes):
            connection.data_received(octets[start : start + piece_bytes])
        lines = [line for line in transport.sent.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")]
        return connection.seen, [int(line.split()[1]) for line in lines]
    finally:
        loop.close()


START = b"POST /verify HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
NAMES = [b"Authorization", b"X-Partner", b"X-Original-URI", b"Content-Length", b"Host"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("piece_bytes", [1, 7, 5000])
def test_S9_trailers_are_no_headers(name: bytes, piece_bytes: int) -> None:
    """What comes after a body in chunks never counts as a header: no token, no partner, no route."""
    trailer = b"5\r\nhello\r\n0\r\n" + name + b": evil\r\n\r\n"
    seen, statuses = exchange(START + trailer + START + b"0\r\n\r\n", piece_bytes)
    if statuses == [400]:  # a length as a trailer is refused by the parser itself
        assert name == b"Content-Length"
        return
    assert statuses == [200, 200]
    assert [dict(headers) for headers, _ in seen] == [{b"host": b"a", b"transfer-encoding": b"chunked"}] * 2
    assert [body for _, body in seen] == [b"hello", b""]


def test_S9_trailers_count_towards_the_limit() -> None:
    """Trailers without end are cut off at the limit of a head."""
    seen, statuses = exchange(START + b"0\r\n" + b"X-A: b\r\n" * HEAD_BYTES + b"\r\n")
    assert (seen, statuses) == ([], [431])


@pytest.mark.parametrize("piece_bytes", [1, 100, 1000, 100_000])
@pytest.mark.parametrize("kind", ["one long", "many short", "quoted"])
def test_S9_chunk_extensions_count_towards_the_limit(kind: str, piece_bytes: int) -> None:
    """Extensions of chunks are no way to send without end: neither in one chunk nor in many."""
    extensions = {
        "one long": b"1;a=" + b"x" * 50_000 + b"\r\ny\r\n",
        "many short": (b"1;" + b"a" * 60 + b"\r\ny\r\n") * 900,
        "quoted": b'1;a="' + b"x" * 50_000 + b'"\r\ny\r\n',
    }[kind]
    seen, statuses = exchange(START + extensions + b"0\r\n\r\n", piece_bytes)
    assert seen == [] or piece_bytes == 100_000  # read in one go: it was bounded by that
    assert statuses in ([431], [400]) or (piece_bytes == 100_000 and statuses == [200])


@pytest.mark.parametrize("piece_bytes", [1, 100, 100_000])
def test_S9_chunks_of_one_octet_are_served(piece_bytes: int) -> None:
    """A body of the limit's size in the smallest chunks is no attack, again and again on one connection."""
    request = START + b"1\r\ny\r\n" * BODY_BYTES + b"0\r\n\r\n"
    seen, statuses = exchange(request * 3, piece_bytes)
    assert statuses == [200, 200, 200]
    assert [body for _, body in seen] == [b"y" * BODY_BYTES] * 3


def test_S9_a_body_past_its_limit_is_refused_in_chunks_too() -> None:
    """One octet more than the limit is 413, however it is cut."""
    for size in (BODY_BYTES, BODY_BYTES + 1):
        _, statuses = exchange(START + b"1\r\ny\r\n" * size + b"0\r\n\r\n")
        assert statuses == [200 if size == BODY_BYTES else 413]


def test_S9_pipelined_requests_are_counted_one_by_one() -> None:
    """Many small requests in one read are none too large; a head past the limit is, however it is cut."""
    small = b"GET /verify HTTP/1.1\r\nHost: a\r\nX-Fill: " + b"x" * 1000 + b"\r\n\r\n"
    for piece_bytes in (1, 999, 3000, 1_000_000):
        seen, statuses = exchange(small * 50 + small[:900], piece_bytes)
        assert (len(seen), statuses) == (50, [200] * 50)
    large = b"GET /verify HTTP/1.1\r\nHost: a\r\nX-Fill: " + b"x" * 10_000
    for piece_bytes in (1, 999, 3000):
        assert exchange(large, piece_bytes) == ([], [431])
    assert exchange(large + b"\r\n\r\n", 1_000_000) == ([], [431])


def test_S9_a_long_body_without_chunks_is_served() -> None:
    """Octets of a body count towards the body's limit only, in however many reads they come."""
    body = b"x" * 5 * HEAD_BYTES
    request = b"POST /verify HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    for piece_bytes in (500, 3000, 1_000_000):
        seen, statuses = exchange(request, piece_bytes, body_bytes=len(body))
        assert (len(seen), statuses) == (1, [200])
