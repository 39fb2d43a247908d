"""A refused HEAD has no body: what follows the head on a connection is the next answer (RFC 9110 s.9.3.2)."""

from __future__ import annotations

import contextlib
import io
import socket
from collections.abc import Callable
from typing import Any

import body_servers
import pytest
import served
from guarded_frameworks import GUARDED
from verdicts import engine

import rapidjws
from rapidjws.middleware import JWSMiddleware, SignedBody, WSGIMiddleware
from rapidjws.testing import make_key

WAIT_S = 60
VERIFIER = rapidjws.Verifier(make_key("ES256", kid="sender").public(), algorithms=["ES256"])
TWO = b"HEAD /a HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def wsgi_app(environ: Any, start_response: Any) -> list[bytes]:
    """Answer what is never asked."""
    raise AssertionError(environ["PATH_INFO"])


async def asgi_app(scope: Any, receive: Any, send: Any) -> None:
    """Answer what is never asked."""
    raise AssertionError(scope["type"])


WSGI: dict[str, Callable[[Any], Any]] = {
    "wsgiref": served.wsgi,
    "cheroot": body_servers.cheroot,
    "waitress": body_servers.waitress,
    "gevent": body_servers.gevent,
}
ASGI: dict[str, Callable[[Any], Any]] = {"uvicorn": served.uvicorn, "hypercorn": body_servers.hypercorn}


@pytest.mark.parametrize("name", [*WSGI, *ASGI])
def test_a_refused_head_leaves_nothing_for_the_next_answer(name: str) -> None:
    """A stray body would be the beginning of another client's answer, where a proxy keeps connections."""
    if name != "wsgiref":
        pytest.importorskip(name, reason=f"{name} is not installed: pip install --group middlewares")
    body = SignedBody(verifier=VERIFIER)
    serving = (
        WSGI[name](WSGIMiddleware(wsgi_app, body=body))
        if name in WSGI
        else ASGI[name](JWSMiddleware(asgi_app, body=body))
    )
    answers = b""
    with serving as port, socket.create_connection(("127.0.0.1", port), WAIT_S) as link:
        link.sendall(TWO)
        with contextlib.suppress(ConnectionError):
            while piece := link.recv(65536):
                answers += piece
    first, _, rest = answers.partition(b"\r\n\r\n")
    assert first.startswith((b"HTTP/1.1 401", b"HTTP/1.0 401"))
    assert rest == b"" if name == "wsgiref" else rest.startswith(b"HTTP/1.1 401")


@pytest.mark.parametrize("signature", [None, "half.a.one", "two,of them"])
@pytest.mark.parametrize("length", ["", "1", "x"])
def test_a_refused_head_has_the_head_of_a_get(signature: str | None, length: str) -> None:
    """Status and headers are those of GET, its length among them, whatever the request is refused for."""
    heads: list[tuple[Any, ...]] = []

    def start_response(*head: Any) -> None:
        heads.append(head)

    app = WSGIMiddleware(wsgi_app, body=SignedBody(verifier=VERIFIER))
    bodies = []
    for method in ("HEAD", "GET"):
        environ = {"REQUEST_METHOD": method, "PATH_INFO": "/a", "SCRIPT_NAME": "", "QUERY_STRING": ""}
        environ["HTTP_X_REQUEST_ID"] = "one"  # each answer names its own
        if signature is not None:
            environ["HTTP_X_JWS_SIGNATURE"] = signature
        environ["CONTENT_LENGTH"] = length
        bodies.append(b"".join(app({**environ, "wsgi.input": io.BytesIO()}, start_response)))
    assert bodies[0] == b"" != bodies[1]
    assert heads[0] == heads[1]
    assert ("content-length", str(len(bodies[1]))) in heads[0][1]


@pytest.mark.parametrize("name", GUARDED)
def test_a_refused_head_has_no_body_in_any_framework(name: str) -> None:
    """What a decorator, a guard or a backend refuses leaves nothing behind the head either."""
    packages, serve = GUARDED[name]
    for package in packages:
        pytest.importorskip(package, reason=f"{package} is not installed: pip install --group middleware")
    answers = b""
    with serve(engine=engine()) as port, socket.create_connection(("127.0.0.1", port), WAIT_S) as link:
        link.sendall(b"HEAD /who HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        while piece := link.recv(65536):
            answers += piece
    head, _, rest = answers.partition(b"\r\n\r\n")
    assert head.split(b" ")[1] in (b"401", b"405")  # Litestar's routes have no HEAD
    assert rest == b"" or b" 405 " in head
