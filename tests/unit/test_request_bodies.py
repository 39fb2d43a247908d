"""What the application reads is what was verified: hostile bodies at each middleware, in memory."""

from __future__ import annotations

import asyncio
import io
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rollouts import rollout

import rapidjws
from rapidjws.middleware import JWSMiddleware, SignedBody, WSGIMiddleware
from rapidjws.middleware.requests import content_length
from rapidjws.signing import LocalSigner, sign_compact
from rapidjws.testing import make_key

KEY = make_key("HS256", kid="sender")
SIGNER = LocalSigner(KEY, "HS256")
VERIFIER = rapidjws.Verifier(KEY, algorithms=["HS256"])
PAID = b'{"event": "paid"}'
EVIL = b'{"event": "refund"}'
LENGTHS = [
    "+5",
    "0_5",
    " 5",
    "5 ",
    "5,5",
    "-1",
    "0x5",
    "5.0",
    "",
    "0",
    "00019",
    "\u0665",
    "\xb2",
    "1" * 5000,
    "x",
]


def signature(body: bytes) -> str:
    """Return a detached signature."""
    return sign_compact(body, SIGNER, detached=True)


def hmac_body(**options: Any) -> SignedBody:
    """Return settings for bodies signed in a header."""
    return SignedBody(verifier=VERIFIER, max_bytes=64, **options)


# --- WSGI ------------------------------------------------------------------------------------------------


def as_django(environ: Any) -> bytes:
    """Read a body as Django does: so much as ``int`` makes of the length."""
    try:
        size = int(environ.get("CONTENT_LENGTH") or 0)
    except ValueError:
        size = 0
    return environ["wsgi.input"].read(max(size, 0))


def as_werkzeug(environ: Any) -> bytes:
    """Read a body as Werkzeug does: to the end of a stream that ends, else by a length of digits."""
    if "wsgi.input_terminated" in environ:
        return environ["wsgi.input"].read()
    length = environ.get("CONTENT_LENGTH")
    if environ.get("HTTP_TRANSFER_ENCODING") == "chunked" or length is None:
        return b""
    try:
        return environ["wsgi.input"].read(max(0, int(length)))
    except ValueError:
        return b""


def to_the_end(environ: Any) -> bytes:
    """Read a body until nothing comes."""
    return environ["wsgi.input"].read()


def connection(octets: bytes) -> io.BufferedReader:
    """Return a stream as of a connection: what comes next on it is no part of the body."""
    return io.BufferedReader(io.BytesIO(octets))


READERS = [as_django, as_werkzeug, to_the_end]


def through_wsgi(environ: Any, reader: Any, body: SignedBody) -> tuple[int, Any, bytes | None]:
    """Return the status, the decision that the application saw, and the body it read."""
    statuses: list[int] = []
    seen: list[Any] = []

    def app(inner: Any, start: Any) -> list[bytes]:
        seen.extend((inner.get("rapidjws"), reader(inner)))
        start("200 OK", [])
        return [b""]

    def start(status: str, headers: Any) -> Any:
        statuses.append(int(status[:3]))

    b"".join(WSGIMiddleware(app, body=body)({"PATH_INFO": "/", **environ}, start))
    decision, octets = seen or (None, None)
    return statuses[0], decision, octets


def check_octets(decision: Any, octets: bytes | None) -> None:
    """Check that an application that gets ``ok`` read the verified octets."""
    if decision is not None and decision.code == "ok":
        assert octets == decision.verified.payload


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("phase", ["detection", "enforcement"])
@pytest.mark.parametrize("length", LENGTHS)
def test_S1_malformed_length_hides_no_body(length: str, phase: Any, reader: Any) -> None:
    """A length that is not plain digits is 400; no application reads octets that were not verified."""
    environ = {
        "CONTENT_LENGTH": length,
        "HTTP_X_JWS_SIGNATURE": signature(b""),
        "wsgi.input": connection(EVIL),
    }
    status, decision, octets = through_wsgi(environ, reader, hmac_body(rollout=rollout(phase=phase)))
    if length in ("", "0"):
        assert (status, decision.code, octets) == (200, "ok", b"")
        return
    if length == "00019":  # plain digits, and leading zeros are allowed
        assert decision is None or decision.code == "signature_invalid"
        return
    assert (status, decision, octets) == (400, None, None)


@pytest.mark.parametrize("reader", READERS)
def test_S1_body_without_a_length_is_not_handed_on(reader: Any) -> None:
    """Without a length there is no body: the application cannot read one under a signature of nothing."""
    environ = {"HTTP_X_JWS_SIGNATURE": signature(b""), "wsgi.input": connection(EVIL)}
    status, decision, octets = through_wsgi(environ, reader, hmac_body())
    assert (status, decision.code, octets) == (200, "ok", b"")


@pytest.mark.parametrize("reader", READERS)
def test_S1_chunks_that_a_server_did_not_decode_are_refused(reader: Any) -> None:
    """A body in chunks from a server that does not end its stream is 400: nobody knows what is in it."""
    environ = {
        "HTTP_TRANSFER_ENCODING": "chunked",
        "HTTP_X_JWS_SIGNATURE": signature(b""),
        "wsgi.input": connection(b"13\r\n" + EVIL + b"\r\n0\r\n\r\n"),
    }
    assert through_wsgi(environ, reader, hmac_body())[0] == 400


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("coding", [{}, {"HTTP_TRANSFER_ENCODING": "chunked", "HTTP_CONTENT_LENGTH": "3"}])
def test_S1_chunks_that_a_server_decoded_are_read_by_every_framework(reader: Any, coding: Any) -> None:
    """A body without a length from a server that ends its stream arrives whole, however it is read."""
    environ = {
        "wsgi.input_terminated": True,
        "HTTP_X_JWS_SIGNATURE": signature(PAID),
        "wsgi.input": connection(PAID),
        **coding,
    }
    status, decision, octets = through_wsgi(environ, reader, hmac_body())
    assert (status, decision.code, octets) == (200, "ok", PAID)


def test_S1_a_flag_that_is_false_ends_no_stream() -> None:
    """``wsgi.input_terminated`` counts by its value: a read to the end could wait for ever."""
    for ends in (False, None, 0):
        environ = {
            "wsgi.input_terminated": ends,
            "HTTP_X_JWS_SIGNATURE": signature(b""),
            "wsgi.input": connection(EVIL),
        }
        status, decision, octets = through_wsgi(environ, to_the_end, hmac_body())
        assert (status, decision.code, octets) == (200, "ok", b"")
        assert environ["wsgi.input"].tell() == 0  # type: ignore[attr-defined]


@pytest.mark.parametrize(("size", "status"), [(63, 200), (64, 200), (65, 413)])
@pytest.mark.parametrize("declared", [True, False])
def test_S1_body_at_the_limit_is_verified(size: int, status: int, declared: bool) -> None:
    """A body of the limit's size is verified, one octet more is refused: declared or not, WSGI or ASGI."""
    body = b"x" * size
    environ: dict[str, Any] = {"HTTP_X_JWS_SIGNATURE": signature(body), "wsgi.input": connection(body)}
    environ |= {"CONTENT_LENGTH": str(size)} if declared else {"wsgi.input_terminated": True}
    assert through_wsgi(environ, as_django, hmac_body())[0] == status
    headers = [(b"x-jws-signature", signature(body).encode())]
    headers += [(b"content-length", b"%d" % size)] if declared else []
    assert through_asgi(request_messages(body), headers, hmac_body())[0] == status


class Broken(io.RawIOBase):
    """A stream whose client is gone, or whose chunks are broken."""

    def __init__(self, fault: type[Exception]) -> None:
        self._fault = fault

    def read(self, size: int = -1) -> bytes:
        """Fail."""
        raise self._fault("a server's own words")


@pytest.mark.parametrize("fault", [OSError, ConnectionResetError, ValueError, EOFError])
@pytest.mark.parametrize("length", [None, "5"])
def test_S1_a_stream_that_breaks_is_400(fault: type[Exception], length: str | None) -> None:
    """Broken chunks, or a client that went away, are no fault of the service's."""
    environ = {"wsgi.input": Broken(fault), "wsgi.input_terminated": True}
    environ |= {} if length is None else {"CONTENT_LENGTH": length}
    environ["HTTP_X_JWS_SIGNATURE"] = signature(b"")
    assert through_wsgi(environ, to_the_end, hmac_body())[0] == 400


@settings(max_examples=300, deadline=None)
@given(
    sent=st.sampled_from([b"", PAID, EVIL, PAID + EVIL, PAID[:5], b"x" * 64, b"x" * 65, b"x" * 200]),
    signed=st.sampled_from([b"", PAID, EVIL, PAID[:5], b"x" * 64, b"x" * 65]),
    length=st.sampled_from([None, *LENGTHS, "5", "17", "18", "19", "36", "64", "65", "200"])
    | st.text(max_size=3),
    coding=st.sampled_from([None, "chunked", "Chunked", "gzip, chunked", "identity", ""]),
    ends=st.sampled_from([None, True, False]),
    phase=st.sampled_from(["detection", "enforcement"]),
    reader=st.sampled_from(READERS),
)
def test_S1_property_wsgi(
    sent: bytes, signed: bytes, length: Any, coding: Any, ends: Any, phase: Any, reader: Any
) -> None:
    """Whatever a server makes of a body, an application that gets ``ok`` reads the verified octets."""
    environ: dict[str, Any] = {"wsgi.input": connection(sent), "HTTP_X_JWS_SIGNATURE": signature(signed)}
    for name, value in (
        ("CONTENT_LENGTH", length),
        ("HTTP_TRANSFER_ENCODING", coding),
        ("wsgi.input_terminated", ends),
    ):
        if value is not None:
            environ[name] = value
    status, decision, octets = through_wsgi(environ, reader, hmac_body(rollout=rollout(phase=phase)))
    check_octets(decision, octets)
    plain = length == str(len(sent)) or (length is None and ends)
    if sent == signed and plain and len(sent) <= 64:
        assert (status, decision.code) == (200, "ok")  # and nothing good is refused


# --- ASGI ------------------------------------------------------------------------------------------------


def request_messages(*bodies: bytes, ended: bool = True) -> list[Any]:
    """Return the messages of a body; after its end, what a hostile or odd server adds."""
    last = len(bodies) - 1
    return [
        {"type": "http.request", "body": body, "more_body": not (ended and n == last)}
        for n, body in enumerate(bodies)
    ]


def through_asgi(messages: list[Any], headers: Any, body: SignedBody) -> tuple[int | None, Any, bytes, Any]:
    """Return status, decision, all octets that the application can get hold of, and the headers it saw."""
    seen: dict[str, Any] = {"decision": None, "octets": b"", "headers": []}
    statuses: list[int] = []
    waiting = [*messages, {"type": "http.disconnect"}]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen["decision"], seen["headers"] = scope["rapidjws"], scope["headers"]
        while (message := await receive())[
            "type"
        ] == "http.request":  # past the end too, as a careless one does
            seen["octets"] += message.get("body", b"")
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def receive() -> Any:
        return waiting.pop(0)

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    scope = {"type": "http", "path": "/", "headers": headers}
    asyncio.run(JWSMiddleware(app, body=body)(scope, receive, send))
    return (statuses or [None])[0], seen["decision"], seen["octets"], seen["headers"]


def test_S1_octets_after_the_end_of_a_body_reach_nobody() -> None:
    """A server that sends more after the end of a body cannot slip it past the signature."""
    messages = request_messages(PAID) + request_messages(EVIL)
    headers = [(b"x-jws-signature", signature(PAID).encode())]
    status, decision, octets, _ = through_asgi(messages, headers, hmac_body())
    assert (status, decision.code, octets) == (200, "ok", PAID)


def test_S1_body_in_chunks_gets_its_length_for_the_application() -> None:
    """Frameworks that read by the length (Django's forms) read what was verified."""
    headers = [(b"x-jws-signature", signature(PAID).encode()), (b"transfer-encoding", b"chunked")]
    _, decision, _, seen = through_asgi(request_messages(PAID[:3], PAID[3:]), headers, hmac_body())
    assert decision.code == "ok"
    assert (b"content-length", b"17") in seen
    assert b"transfer-encoding" not in dict(seen)


@pytest.mark.parametrize(
    "lengths", [[b"+17"], [b"1_7"], [b" 17"], [b"17,17"], [b"17", b"17"], [b"16"], [b"18"], [b""]]
)
@pytest.mark.parametrize("name", [b"content-length", b"Content-Length"])
def test_S1_asgi_length_that_is_not_the_bodys_is_400(name: bytes, lengths: list[bytes]) -> None:
    """A length that is malformed, sent twice, or not that of the body is refused before any verdict."""
    headers = [(b"x-jws-signature", signature(PAID).encode()), *((name, one) for one in lengths)]
    status, decision, octets, _ = through_asgi(request_messages(PAID), headers, hmac_body())
    assert (status, decision, octets) == (400, None, b"")


@settings(max_examples=200, deadline=None)
@given(
    pieces=st.lists(
        st.sampled_from([b"", PAID[:3], PAID[3:], PAID, EVIL, b"x" * 65]), min_size=1, max_size=4
    ),
    after=st.lists(st.sampled_from([b"", EVIL]), max_size=2),
    signed=st.sampled_from([b"", PAID, EVIL]),
    length=st.sampled_from([None, b"17", b"18", b"+17", b"0", b"65"]),
    ended=st.booleans(),
    phase=st.sampled_from(["detection", "enforcement"]),
)
def test_S1_property_asgi(
    pieces: list[bytes], after: list[bytes], signed: bytes, length: Any, ended: bool, phase: Any
) -> None:
    """Whatever messages come, an application that gets ``ok`` can get hold of the verified octets only."""
    headers = [(b"x-jws-signature", signature(signed).encode())]
    headers += [] if length is None else [(b"content-length", length)]
    messages = request_messages(*pieces, ended=ended) + (request_messages(*after) if ended and after else [])
    body = hmac_body(rollout=rollout(phase=phase))
    status, decision, octets, _ = through_asgi(messages, headers, body)
    check_octets(decision, octets)
    whole = b"".join(pieces)
    if ended and whole == signed and length in (None, b"%d" % len(whole)):
        assert (status, decision.code) == (200, "ok")


def test_S1_length_is_one_plain_number() -> None:
    """Only 1*DIGIT is a length (RFC 9110 section 8.6), and only one of them."""
    assert [content_length([one]) for one in (b"0", b"7", b"007", b"9" * 19)] == [0, 7, 7, 10**19 - 1]
    for wrong in (
        [],
        [b"1", b"1"],
        [b"9" * 20],
        *([one.encode("utf-8")] for one in LENGTHS if one not in ("0", "00019")),
    ):
        assert content_length(wrong) is None


def test_S28_signature_of_nothing_opens_no_websocket_under_wsgi() -> None:
    """The same for WSGI servers that hand a socket on."""
    environ = {
        "HTTP_UPGRADE": "WebSocket",
        "HTTP_X_JWS_SIGNATURE": signature(b""),
        "wsgi.input": connection(b""),
    }
    assert through_wsgi(environ, to_the_end, hmac_body())[0] == 401
