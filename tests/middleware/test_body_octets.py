"""What the application reads is what was verified, on real servers: lengths, chunks, forms, early ends."""

from __future__ import annotations

import contextlib
import io
import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from body_servers import SERVERS, gunicorn
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from verdicts import SPOOFED

import rapidjws
from rapidjws.middleware import SignedBody, WSGIMiddleware
from rapidjws.signing import LocalSigner, sign_compact
from rapidjws.testing import make_key

KEY = make_key("ES256", kid="sender")
SIGNER = LocalSigner(KEY, "ES256")
VERIFIER = rapidjws.Verifier(KEY.public(), algorithms=["ES256"])
LIMIT_BYTES = 4096
WAIT_S = 60

ORDER = b'{"order": 7}'
EVIL = b'{"order": 999, "to": "mallory"}'
FORM = b"order=7&goods=crates"
EVIL_FORM = b"order=999&goods=gold"
MULTIPART = b'--b\r\nContent-Disposition: form-data; name="order"\r\n\r\n7\r\n--b--\r\n'
EVIL_MULTIPART = MULTIPART.replace(b"7", b"9")
BODIES = [b"", ORDER, EVIL, FORM, EVIL_FORM, MULTIPART, EVIL_MULTIPART, ORDER + EVIL, ORDER[:5], b"x" * 5000]
TYPES = {
    "json": "application/json",
    "form": "application/x-www-form-urlencoded",
    "multi": "multipart/form-data; boundary=b",
}
FORMS = {
    FORM: {"order": "7", "goods": "crates"},
    EVIL_FORM: {"order": "999", "goods": "gold"},
    MULTIPART: {"order": "7"},
    EVIL_MULTIPART: {"order": "9"},
}
SIGNATURES = {body: sign_compact(body, SIGNER, detached=True) for body in BODIES}


class Server:
    """A server under test.

    Attributes:
        name: Its name.
        port: Its port.
        reads_chunks: Whether it reads chunks.
    """

    def __init__(self, name: str, port: int, *, reads_chunks: bool) -> None:
        self.name = name
        self.port = port
        self.reads_chunks = reads_chunks
        self.paths = ["/who", "/form"]
        if "flask" not in name and "django" in name and not name.startswith("wsgiref"):
            self.paths.append("/rest")
        self.bodies = [b"", ORDER, FORM, MULTIPART]
        if name == "uvicorn fastapi":  # a dependency reads signed JSON as its claims
            self.paths, self.bodies = ["/who"], [ORDER]


@pytest.fixture(scope="module", params=[*SERVERS, "gunicorn django"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """Serve on each server, behind a middleware for signed bodies."""
    name = request.param
    if name == "gunicorn django":
        for package in ("gunicorn", "django", "rest_framework"):
            pytest.importorskip(package, reason=f"{package} is not installed: pip install --group middleware")
        environ = {"BODY_KEY": json.dumps(KEY.public().as_dict())}
        with gunicorn("body_servers:serve_for_gunicorn()", environ) as port:
            yield Server(name, port, reads_chunks=True)
        return
    packages, reads_chunks, serve = SERVERS[name]
    for package in packages:
        pytest.importorskip(package, reason=f"{package} is not installed: pip install --group middleware")
    with serve(SignedBody(verifier=VERIFIER, max_bytes=LIMIT_BYTES)) as port:
        yield Server(name, port, reads_chunks=reads_chunks)


def head(path: str, lines: list[str]) -> bytes:
    """Return the head of a request."""
    return "\r\n".join(
        [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", "Connection: close", *lines, "", ""]
    ).encode("latin-1")


def exchange(port: int, octets: bytes, *, ends: bool) -> tuple[int, Any] | None:
    """Send octets, as they are; return the status and the JSON of the first answer, or None for none."""
    answer = b""
    with contextlib.suppress(ConnectionError), socket.create_connection(("127.0.0.1", port), WAIT_S) as link:
        link.sendall(octets)
        if ends:
            with contextlib.suppress(OSError):  # it was answered, and hung up, already
                link.shutdown(socket.SHUT_WR)
        while piece := link.recv(65536):
            answer += piece
    start, _, rest = answer.partition(b"\r\n\r\n")
    words = start.split(b" ", 2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/"):
        return None
    if not is_whole(start, rest):
        return None  # the connection was reset while the answer was on its way
    first, last = rest.find(b"{"), rest.rfind(b"}")
    try:
        return int(words[1]), json.loads(rest[first : last + 1])
    except ValueError:
        return int(words[1]), None


def is_whole(start: bytes, rest: bytes) -> bool:
    """Return whether an answer's body has the length that its head announces."""
    names = dict(line.lower().split(b":", 1) for line in start.split(b"\r\n")[1:] if b":" in line)
    if b"chunked" in names.get(b"transfer-encoding", b""):
        return rest.endswith(b"0\r\n\r\n")
    return len(rest) >= int(names.get(b"content-length", b"0"))


def check(reply: tuple[int, Any] | None, path: str) -> str | None:
    """Check that an application that got ``ok`` read what was verified; return the code that it got."""
    if reply is None or reply[0] != 200:
        return None
    known = reply[1]
    if known["code"] == "ok":
        verified = known["payload"].encode()
        if path == "/who":
            assert known["body"].encode("latin-1") == verified
        else:
            assert known["form"] in (FORMS.get(verified, {}), {})  # a type that is not the body's: no form
        ours = dict(known["ours"])
        assert (ours["x-jws-status"], ours["x-jws-subject"]) == ("verified", "")
        assert "admin" not in str(known["ours"])
    return str(known["code"])


def chunked(body: bytes, size: int = 5) -> bytes:
    """Return a body in chunks."""
    pieces = [body[n : n + size] for n in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(one), one) for one in pieces) + b"0\r\n\r\n"


def form_of(body: bytes) -> list[str]:
    """Return the lines that say of what type a body is."""
    kind = "form" if body in (FORM, EVIL_FORM) else "multi" if body in (MULTIPART, EVIL_MULTIPART) else "json"
    return [f"Content-Type: {TYPES[kind]}", f"X-JWS-Signature: {SIGNATURES[body]}"]


SPOOFS = [f"{name}: {value}" for name, value in SPOOFED]


@pytest.mark.parametrize("cut", ["length", "chunks"])
def test_S1_good_bodies_arrive_on_every_server(server: Server, cut: str) -> None:
    """A signed body arrives whole, read as octets or as a form, with a length or in chunks."""
    for path in server.paths:
        for body in server.bodies if path == "/who" else (FORM, MULTIPART):
            if cut == "length":
                lines, octets = [f"Content-Length: {len(body)}"], body
            else:
                lines, octets = ["Transfer-Encoding: chunked"], chunked(body)
            reply = exchange(server.port, head(path, [*form_of(body), *SPOOFS, *lines]) + octets, ends=False)
            code = check(reply, path)
            if cut == "chunks" and not server.reads_chunks:
                assert code is None
                assert reply is not None
                assert reply[0] == 400
            else:
                assert code == "ok", (path, body, reply)
                assert path == "/who" or (reply is not None and reply[1]["form"] == FORMS[body])


FIRST_LENGTHS = [
    "+12",
    "1_2",
    " 12",
    "12 ",
    "12,12",
    "-1",
    "0x0c",
    "\xb2",
    "12.0",
    "9" * 30,
    "0",
    "5",
    "12",
    "31",
]


@pytest.mark.parametrize("length", FIRST_LENGTHS)
def test_S1_hostile_length_on_every_server(server: Server, length: str) -> None:
    """A signature of nothing, or of less, covers no body that a malformed length hides."""
    for signed in (b"", ORDER[:5], ORDER):
        lines = [
            f"X-JWS-Signature: {SIGNATURES[signed]}",
            "Content-Type: application/json",
            f"Content-Length: {length}",
        ]
        code = check(exchange(server.port, head("/who", lines) + EVIL, ends=True), "/who")
        assert code is None or length in ("0", "5")  # those two bodies are signed


def test_S1_body_without_a_length_on_every_server(server: Server) -> None:
    """Octets that no length announces are no body: nothing is read under a signature of nothing."""
    lines = [f"X-JWS-Signature: {SIGNATURES[b'']}", "Content-Type: application/json"]
    reply = exchange(server.port, head("/who", lines) + EVIL, ends=True)
    if check(reply, "/who") == "ok":
        assert reply is not None
        assert reply[1]["body"] == ""


LENGTH_LINES = st.sampled_from(
    [
        "Content-Length",
        "content-length",
        "Content_Length",
        "CONTENT-LENGTH",
        "Content-Length ",
        "X-Content-Length",
    ]
)
CODINGS = st.sampled_from(
    [
        "chunked",
        "Chunked",
        "chunked, chunked",
        "gzip, chunked",
        "identity",
        "xchunked",
        " chunked",
        "chunked;a=b",
    ]
)


@settings(
    max_examples=50,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_S1_property_on_every_server(server: Server, data: st.DataObject) -> None:
    """Whatever is sent, an application that is reported ``ok`` read the octets that were verified."""
    draw = data.draw
    sent, signed = draw(st.sampled_from(BODIES)), draw(st.sampled_from(BODIES))
    path = draw(st.sampled_from(server.paths))
    lines = [*form_of(draw(st.sampled_from([sent, signed])))[:1], f"X-JWS-Signature: {SIGNATURES[signed]}"]
    lengths = st.sampled_from([*FIRST_LENGTHS, str(len(sent)), str(len(sent)), str(len(signed))])
    lines += [f"{draw(LENGTH_LINES)}: {draw(lengths)}" for _ in range(draw(st.sampled_from([0, 1, 1, 1, 2])))]
    names = st.sampled_from(["Transfer-Encoding", "Transfer_Encoding", "TRANSFER-ENCODING"])
    in_chunks = draw(st.booleans())
    lines += [
        f"{draw(names)}: {draw(CODINGS)}"
        for _ in range(1 if in_chunks else draw(st.sampled_from([0, 0, 0, 1])))
    ]
    lines += draw(st.lists(st.sampled_from(SPOOFS), max_size=3))
    lines = draw(st.permutations(lines))
    octets = chunked(sent, draw(st.sampled_from([1, 7, 4096]))) if in_chunks else sent
    octets = octets[: len(octets) - draw(st.sampled_from([0, 0, 0, 1, 4]))]  # the client goes away early
    octets += draw(st.sampled_from([b"", b"", EVIL, b"GET /who HTTP/1.1\r\nHost: a\r\n\r\n"]))
    check(exchange(server.port, head(path, lines) + octets, ends=True), path)
    good = head("/who", [*form_of(ORDER), f"Content-Length: {len(ORDER)}"]) + ORDER
    assert check(exchange(server.port, good, ends=False), "/who") == "ok"  # and it still serves


@pytest.mark.parametrize("coding", [{}, {"HTTP_TRANSFER_ENCODING": "chunked"}])
@pytest.mark.parametrize("body", [b"", ORDER, b"x" * (LIMIT_BYTES + 1)])
def test_a_body_that_is_in_memory_needs_no_length(coding: dict[str, str], body: bytes) -> None:
    """Hypercorn gives WSGI a whole body without its length over HTTP/2, and with chunks over HTTP/1.1."""
    read: list[bytes] = []

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        read.append(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
        start_response("200 OK", [])
        return []

    statuses: list[str] = []
    middleware = WSGIMiddleware(application, body=SignedBody(verifier=VERIFIER, max_bytes=LIMIT_BYTES))
    environ = {"REQUEST_METHOD": "POST", "HTTP_X_JWS_SIGNATURE": sign_compact(body, SIGNER, detached=True)}
    whole = {**environ, **coding, "wsgi.input": io.BytesIO(body)}
    list(middleware(whole, lambda status, *_: statuses.append(status)))
    is_small = len(body) <= LIMIT_BYTES
    assert statuses == ["200 OK" if is_small else "413 Request Entity Too Large"]
    assert read == ([body] if is_small else [])
