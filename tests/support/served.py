"""Real servers in a thread of the test: uvicorn, wsgiref and aiohttp's own. What it never does: test."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import socket
import socketserver
import threading
import time
import wsgiref.simple_server
from collections.abc import Iterator
from typing import Any, NamedTuple

Headers = list[tuple[str, str]]
READY_S = 60.0
"""Longest start of a server on a busy machine."""


class Reply(NamedTuple):
    """An answer; names of headers are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """Return the body as JSON."""
        return json.loads(self.body)


def ask(port: int, path: str, headers: Headers, body: Any = None, *, method: str = "GET") -> Reply:
    """Send one request, headers in their order and number; an iterable for a body is sent in chunks."""
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=READY_S)
    try:
        link.putrequest(method, path, skip_accept_encoding=True)
        for name, value in headers:
            link.putheader(name, value)
        chunked = body is not None and not isinstance(body, bytes)
        if chunked:
            link.putheader("Transfer-Encoding", "chunked")
        elif body is not None and not any(name.lower() == "content-length" for name, _ in headers):
            link.putheader("Content-Length", str(len(body)))
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # refused before it was sent
            link.endheaders(message_body=body, encode_chunked=chunked)
        answer = link.getresponse()
        found = {name.lower(): value for name, value in answer.getheaders()}
        return Reply(answer.status, found, answer.read())
    finally:
        link.close()


@contextlib.contextmanager
def uvicorn(app: Any, **settings: Any) -> Iterator[int]:
    """Serve an ASGI application; ``settings`` are uvicorn's own."""
    import uvicorn as server

    listener = socket.create_server(("127.0.0.1", 0))
    config = server.Config(app, **{"log_level": "warning", "timeout_graceful_shutdown": 5, **settings})
    running = server.Server(config)
    thread = threading.Thread(target=running.run, args=([listener],), daemon=True)
    thread.start()
    end_s = time.monotonic() + READY_S
    while not running.started and time.monotonic() < end_s:
        time.sleep(0.01)
    try:
        yield listener.getsockname()[1]
    finally:
        running.should_exit = True
        thread.join(READY_S)
        listener.close()


class _Threaded(socketserver.ThreadingMixIn, wsgiref.simple_server.WSGIServer):
    daemon_threads = True


class _Quiet(wsgiref.simple_server.WSGIRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextlib.contextmanager
def wsgi(app: Any) -> Iterator[int]:
    """Serve a WSGI application."""
    with wsgiref.simple_server.make_server(
        "127.0.0.1", 0, app, server_class=_Threaded, handler_class=_Quiet
    ) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield running.server_port
        finally:
            running.shutdown()
            thread.join(READY_S)


@contextlib.contextmanager
def aiohttp(app: Any) -> Iterator[int]:
    """Serve an aiohttp application."""
    from aiohttp import web

    listener = socket.create_server(("127.0.0.1", 0))
    ready = threading.Event()
    running: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def serve() -> None:
        done = asyncio.Event()
        running.append((asyncio.get_running_loop(), done))
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=5)
        await runner.setup()
        await web.SockSite(runner, listener).start()
        ready.set()
        await done.wait()
        await runner.cleanup()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    assert ready.wait(READY_S)
    try:
        yield listener.getsockname()[1]
    finally:
        loop, done = running[0]
        loop.call_soon_threadsafe(done.set)
        thread.join(READY_S)
        listener.close()
