"""Plain HTTP requests that are read without the parser: what is read is what the parser reads."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from typing import Any

import pytest
from rollouts import engine, rollout

from rapidjws._native import plain_requests
from rapidjws.jwt.decision import AMBIGUOUS

httptools = pytest.importorskip("httptools", reason="the extra `server` is not installed")

WANTED = tuple(sorted([b"accept", b"authorization", b"x-original-uri", b"x-partner"]))
PLAIN = b"GET /verify/a?b=%20c HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer a.b.c\r\nx-Partner:acme\r\n\r\n"
MAX_BYTES = 4096


class Whole:
    """What the parser reads of one request."""

    def __init__(self, octets: bytes) -> None:
        self.url = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.done = 0
        self.body = b""
        self.parser = httptools.HttpRequestParser(self)
        self.parser.feed_data(octets)

    def on_url(self, url: bytes) -> None:
        """Take a piece of the target."""
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a field."""
        if name.lower() in WANTED:
            self.headers.append((name.lower(), value))

    def on_body(self, body: bytes) -> None:
        """Take a piece of a body."""
        self.body += body

    def on_message_complete(self) -> None:
        """Note the end."""
        self.done += 1


def check(octets: bytes) -> bool:
    """Return whether octets are read as one plain request, which is then what the parser reads."""
    requests, size = plain_requests(octets, WANTED, MAX_BYTES)
    if not requests:
        assert size == 0
        return False
    url, headers, method = requests[0]
    first = octets if len(requests) > 1 else octets[:size]
    if len(requests) > 1:
        first = octets[: octets.index(b"\r\n\r\n") + 4]
    whole = Whole(first)
    assert (whole.done, whole.body, whole.parser.should_keep_alive()) == (1, b"", True)
    assert (whole.url, whole.headers, whole.parser.get_method()) == (url, headers, method)
    return True


LINES = [
    b"POST / HTTP/1.1", b"get / HTTP/1.1", b"GET  / HTTP/1.1", b"GET a HTTP/1.1", b"GET http://x/ HTTP/1.1",
    b"GET * HTTP/1.1", b"GET / HTTP/1.0", b"GET / HTTP/2.0", b"GET /\xc3 HTTP/1.1", b"GET /# HTTP/1.1",
    b"GET /a b HTTP/1.1", b"GET /\x00 HTTP/1.1", b"GET /", b"GET / HTTP/1.1\n", b"GET / HTTP/1.1 ",
    b"\r\nGET / HTTP/1.1", b"GET /" + b"a" * MAX_BYTES + b" HTTP/1.1",
]  # fmt: skip
FIELDS = [
    b"\n", b"A: b\n", b"A: b\rc: d\r\n", b"A: b\r\n c\r\n", b" A: b\r\n", b"A : b\r\n", b"A: b \r\n",
    b"A: b\t\r\n", b": b\r\n", b"A\r\n", b"A: \x7f\r\n", b"A: \x80\r\n", b"A: \x00\r\n", b"A(: b\r\n",
    b"Content-Length: 1\r\n",
    b"Content-Length: 00\r\n", b"Content-Length: +0\r\n", b"Content-Length:\r\n", b"content-length: 0, 0\r\n",
    b"Content-Length: 0\r\ncontent-length: 0\r\n", b"Transfer-Encoding: chunked\r\n",
    b"transfer-encoding: identity\r\n", b"Connection: close\r\n", b"connection: keep-alive, upgrade\r\n",
    b"Connection: keep-alive\r\nCONNECTION: keep-alive\r\n", b"Upgrade: h2c\r\n", b"expect: 100-continue\r\n",
    b"Proxy-Connection: close\r\n", b"TE: trailers\r\n", b"Trailer: a\r\n", b"a: b\r\n" * 65,
    b"a: " + b"b" * MAX_BYTES + b"\r\n",
]  # fmt: skip
NOT_PLAIN = [one + b"\r\n\r\n" for one in LINES] + [b"GET / HTTP/1.1\r\n" + one + b"\r\n" for one in FIELDS]


@pytest.mark.parametrize("octets", NOT_PLAIN, ids=range(len(NOT_PLAIN)))
def test_what_is_not_plain_is_left_to_the_parser(octets: bytes) -> None:
    """A head that could be read in two ways, has a body, or changes the connection is not read here."""
    assert plain_requests(octets, WANTED, MAX_BYTES) == ([], 0)
    requests, size = plain_requests(PLAIN + octets, WANTED, MAX_BYTES)
    assert (len(requests), size) == (1, len(PLAIN))


@pytest.mark.parametrize("more", [b"", b"content-length: 0\r\n", b"Connection: Keep-Alive\r\n", b"A:\r\n"])
def test_plain_requests_are_what_the_parser_reads(more: bytes) -> None:
    """Target, wanted fields in their order, and method of each request are the parser's."""
    octets = PLAIN[:-2] + more + b"Accept: \t a  b\r\nauthorization: x\r\n\r\n"
    assert check(octets)
    assert check(octets.replace(b"GET", b"HEAD"))
    assert len(plain_requests(octets * 3, WANTED, MAX_BYTES)[0]) == 3
    for cut in range(len(octets)):
        assert plain_requests(octets[:cut], WANTED, MAX_BYTES) == ([], 0)


def test_changed_requests_are_read_alike_or_not_here() -> None:
    """Whatever is changed in a request, what is read as plain is what the parser reads."""
    dice = random.Random(16)
    pieces = [
        b"\r\n", b"\n", b"\r", b" ", b"\t", b":", b",", b"\x00", b"\x80", b"0", b"close", b"chunked", b"%",
        b"?", b"#", b'"', b"Content-Length: 0\r\n", b"Transfer-Encoding: chunked\r\n",
        b"Connection: keep-alive\r\n", b"x: y\r\n", b"HTTP/1.1", b"GET ",
        b"Upgrade: x\r\n", b"Authorization: Bearer d.e.f\r\n",
    ]  # fmt: skip
    plain = 0
    for _ in range(20_000):
        octets = bytearray(PLAIN)
        for _ in range(dice.randint(1, 3)):
            at = dice.randrange(len(octets))
            octets[at : at + dice.choice([0, 0, 1, 2, 8])] = dice.choice(
                [*pieces, bytes([dice.randrange(256)])]
            )
        plain += check(bytes(octets))
    assert plain > 1000


class Transport:
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        self.octets = b""
        self.is_closed = False

    def write(self, data: bytes) -> None:
        """Take octets."""
        self.octets += data

    def is_closing(self) -> bool:
        """Return whether it was closed."""
        return self.is_closed

    def close(self) -> None:
        """Close."""
        self.is_closed = True

    abort = close

    def pause_reading(self) -> None:
        """Read on all the same."""

    resume_reading = pause_reading

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Know nothing of the peer."""
        return default


def answers(public: Any, pieces: list[bytes], *, plain: bool) -> tuple[bytes, bool]:
    """Return what a connection answers to what comes in pieces, and whether it is closed then."""
    from rapidjws.sidecar.protocol import SidecarProtocol

    loop = asyncio.new_event_loop()
    connection, transport = SidecarProtocol(public, loop), Transport()
    connection.connection_made(transport)  # type: ignore[arg-type]
    if not plain:
        connection.plain_fields = None
    for piece in pieces:
        connection.data_received(piece)
        if public._flush is not None:
            public._flush.cancel()
            public.flush()
    connection.connection_lost(None)
    loop.close()
    return transport.octets, transport.is_closed


@pytest.fixture(name="public")
def _public() -> Iterator[Any]:
    from rapidjws.sidecar.app import SidecarApp
    from rapidjws.sidecar.change_bus import ChangeBus
    from rapidjws.sidecar.protocol import PublicListener
    from rapidjws.sidecar.settings import ServerSettings

    policy, bus = rollout(), ChangeBus(1)
    app = SidecarApp(engine=engine(policy), rollout=policy)
    yield PublicListener(app, ServerSettings(), bus, index=0, seen=bus.counters())
    bus.close()


HEALTH = b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n"
VERIFY = b"GET /verify HTTP/1.1\r\nx-request-id: r\r\n"
KINDS = [
    HEALTH, VERIFY + b"\r\n", VERIFY + b"authorization: Bearer a.b.c\r\n\r\n", b"GET /x HTTP/1.1\r\n\r\n",
    b"POST /verify HTTP/1.1\r\nx-request-id: r\r\ncontent-length: 3\r\n\r\nGET", b"BAD\r\n\r\n", b"\r\n",
    VERIFY + b"transfer-encoding: chunked\r\n\r\n0\r\n\r\n", VERIFY + b"connection: close\r\n\r\n",
    b"HEAD /verify HTTP/1.1\r\nx-request-id: r\r\n\r\n",
]  # fmt: skip


def test_a_connection_answers_alike(public: Any) -> None:
    """However requests are cut and follow each other, the answers are those of the parser alone."""
    dice = random.Random(7)
    for _ in range(120):
        octets = b"".join(dice.choice(KINDS) for _ in range(dice.randint(1, 5)))
        cuts = sorted(dice.randrange(len(octets)) for _ in range(dice.randint(0, 3)))
        pieces = [octets[a:b] for a, b in zip([0, *cuts], [*cuts, len(octets)], strict=True) if a < b]
        assert answers(public, pieces, plain=True) == answers(public, pieces, plain=False), pieces


def test_a_body_that_looks_like_a_request_is_none(public: Any) -> None:
    """What comes while a body is due is body, though it be a whole plain request by itself."""
    post = b"POST /nothing HTTP/1.1\r\ncontent-length: %d\r\n\r\n" % len(HEALTH)
    octets, is_closed = answers(public, [post, HEALTH], plain=True)
    assert (octets.count(b"HTTP/1.1 "), octets[:13], is_closed) == (1, b"HTTP/1.1 404 ", False)


@pytest.mark.parametrize("plain", [True, False])
def test_a_listener_that_drains_answers_one_more(plain: bool, public: Any) -> None:
    """Of requests that come together while a listener drains, one is answered, and says it is the last."""
    from rapidjws.sidecar.protocol import SidecarProtocol

    loop, transport = asyncio.new_event_loop(), Transport()
    connection = SidecarProtocol(public, loop)
    connection.connection_made(transport)  # type: ignore[arg-type]
    if not plain:
        connection.plain_fields = None
    public.draining = True
    connection.data_received(HEALTH * 3)
    loop.close()
    assert (transport.octets.count(b"HTTP/1.1 200"), transport.is_closed) == (1, True)
    assert b"connection: close" in transport.octets


@pytest.mark.parametrize(
    "value",
    [b"Bearer a.b.c", b"bearer a.b.c", b"Bearer  a.b.c", b"Bearer", b"Bearer ", b"Bearer a b", b"Bearer a,b",
     b"Bearer a\tb", b"Basic a", b"", b"DPoP a", b"Bearer a.b.c\t"],
)  # fmt: skip
@pytest.mark.parametrize("route", [b"/a", b"/a?access_token=x", b"/a?b"])
def test_a_token_is_the_one_that_token_location_finds(value: bytes, route: bytes, public: Any) -> None:
    """Whatever stands in Authorization and in the query, the token is what ``TokenLocation`` makes of it."""
    query = route.partition(b"?")[2]
    place = public.settings.place
    for values in ([value], [value, value], []):
        headers = [(b"authorization", one) for one in values] + [(b"x-original-uri", route)]
        token, _, _ = public.decision_request(headers, None)
        assert token == place.token(values, query)
        assert (token is AMBIGUOUS) == (place.token(values, query) is AMBIGUOUS)
        assert public.decision_request(headers[:-1], route)[0] == token
