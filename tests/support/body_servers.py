"""The application that tells what it read, on many servers, behind a middleware for signed bodies."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import served
from body_apps import (
    aiohttp_app,
    django_asgi,
    django_wsgi,
    fastapi_app,
    flask,
    litestar_app,
    our_middleware,
    reading_middleware,
    starlette,
)

from rapidjws.middleware import JWSMiddleware, WSGIMiddleware

READY_S = served.READY_S

# --- servers ---------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _in_thread(serve: Callable[[], None], stop: Callable[[], None], port: int) -> Iterator[int]:
    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield port
    finally:
        stop()
        thread.join(READY_S)


@contextlib.contextmanager
def cheroot(app: Any) -> Iterator[int]:
    """Serve by Cheroot."""
    from cheroot import wsgi

    server = wsgi.Server(("127.0.0.1", 0), app, numthreads=4)
    server.error_log = lambda *_, **__: None
    server.prepare()
    with _in_thread(server.serve, server.stop, server.bind_addr[1]) as port:
        yield port


@contextlib.contextmanager
def waitress(app: Any) -> Iterator[int]:
    """Serve by waitress."""
    from waitress.server import create_server

    server = create_server(app, host="127.0.0.1", port=0, threads=4, asyncore_loop_timeout=0.05)
    stopping = threading.Event()

    def serve() -> None:
        while not stopping.is_set():
            server.asyncore.loop(timeout=0.05, map=server._map, count=1)

    with _in_thread(serve, stopping.set, server.effective_port) as port:
        yield port
    server.close()
    server.task_dispatcher.shutdown()


@contextlib.contextmanager
def gevent(app: Any) -> Iterator[int]:
    """Serve by gevent's pywsgi, in a thread with its own hub."""
    ready: list[Any] = []
    started = threading.Event()

    def serve() -> None:
        import gevent
        import gevent.event
        from gevent.pywsgi import WSGIServer

        server = WSGIServer(("127.0.0.1", 0), app, log=None, error_log=None)
        server.start()
        done = gevent.event.Event()
        watcher = gevent.get_hub().loop.async_()
        watcher.start(done.set)
        ready.extend((server.server_port, watcher))
        started.set()
        done.wait()
        server.stop(timeout=1)
        gevent.get_hub().destroy(destroy_loop=True)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    assert started.wait(READY_S)
    try:
        yield ready[0]
    finally:
        ready[1].send()
        thread.join(READY_S)


@contextlib.contextmanager
def django_runserver(app: Any) -> Iterator[int]:
    """Serve by what ``manage.py runserver`` serves by."""
    import socketserver

    from django.core.servers.basehttp import WSGIRequestHandler, WSGIServer

    class Threaded(socketserver.ThreadingMixIn, WSGIServer):
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:
            """Say nothing of clients that hung up."""

    class Quiet(WSGIRequestHandler):
        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = Threaded(("127.0.0.1", 0), Quiet, ipv6=False)
    server.set_app(app)
    with _in_thread(lambda: server.serve_forever(0.05), server.shutdown, server.server_port) as port:
        yield port
    server.server_close()


@contextlib.contextmanager
def gunicorn(factory: str, environ: dict[str, str]) -> Iterator[int]:
    """Serve by gunicorn's sync worker, a process of its own, which takes over our socket."""
    listener = socket.create_server(("127.0.0.1", 0))
    paths = [str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    command = [sys.executable, "-m", "gunicorn", "--bind", f"fd://{listener.fileno()}", "--workers", "1"]
    command += ["--threads", "1", "--no-control-socket", "--log-level", "critical", factory]
    process = subprocess.Popen(
        command,
        pass_fds=[listener.fileno()],
        env={**os.environ, **environ, "PYTHONPATH": os.pathsep.join(paths)},
    )
    try:
        yield listener.getsockname()[1]  # connections wait in the listener's queue until it serves
    finally:
        process.terminate()
        process.wait(READY_S)
        listener.close()


@contextlib.contextmanager
def hypercorn(app: Any) -> Iterator[int]:
    """Serve by hypercorn, on a loop of a thread."""
    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    listener = socket.create_server(("127.0.0.1", 0))
    config = Config()
    config.bind = [f"fd://{listener.fileno()}"]
    config.errorlog = None
    config.graceful_timeout = 1
    loop = asyncio.new_event_loop()
    done = asyncio.Event()
    thread = threading.Thread(
        target=lambda: loop.run_until_complete(serve(app, config, shutdown_trigger=done.wait)), daemon=True
    )
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        loop.call_soon_threadsafe(done.set)
        thread.join(READY_S)
        loop.close()
        listener.detach()  # hypercorn closed it


SERVERS: dict[str, tuple[tuple[str, ...], bool, Callable[[Any], Any]]] = {
    "wsgiref flask": (("flask",), False, lambda body: served.wsgi(WSGIMiddleware(flask(), body=body))),
    "wsgiref django": (
        ("django",),
        False,
        lambda body: served.wsgi(WSGIMiddleware(django_wsgi(), body=body)),
    ),
    "runserver django": (
        ("django", "rest_framework"),
        False,
        lambda body: django_runserver(WSGIMiddleware(django_wsgi(), body=body)),
    ),
    "cheroot django": (
        ("cheroot", "django", "rest_framework"),
        True,
        lambda body: cheroot(WSGIMiddleware(django_wsgi(), body=body)),
    ),
    "cheroot flask": (("cheroot", "flask"), True, lambda body: cheroot(WSGIMiddleware(flask(), body=body))),
    "waitress django": (
        ("waitress", "django", "rest_framework"),
        True,
        lambda body: waitress(WSGIMiddleware(django_wsgi(), body=body)),
    ),
    "gevent django": (
        ("gevent", "django", "rest_framework"),
        True,
        lambda body: gevent(WSGIMiddleware(django_wsgi(), body=body)),
    ),
    "gevent flask": (("gevent", "flask"), True, lambda body: gevent(WSGIMiddleware(flask(), body=body))),
    "uvicorn starlette": (
        ("uvicorn", "starlette"),
        True,
        lambda body: served.uvicorn(JWSMiddleware(starlette(), body=body)),
    ),
    "uvicorn django": (
        ("uvicorn", "django", "rest_framework"),
        True,
        lambda body: served.uvicorn(
            JWSMiddleware(django_asgi(), body=body), http="h11", log_level="critical"
        ),
    ),
    "hypercorn django": (
        ("hypercorn", "django", "rest_framework"),
        True,
        lambda body: hypercorn(JWSMiddleware(django_asgi(), body=body)),
    ),
    "hypercorn before BaseHTTPMiddleware": (
        ("hypercorn", "starlette"),
        True,
        lambda body: hypercorn(starlette(our_middleware(body), reading_middleware(reads="body"))),
    ),
    "hypercorn after BaseHTTPMiddleware": (
        ("hypercorn", "starlette"),
        True,
        lambda body: hypercorn(starlette(reading_middleware(reads="body"), our_middleware(body))),
    ),
    "uvicorn after BaseHTTPMiddleware that reads nothing": (
        ("uvicorn", "starlette"),
        True,
        lambda body: served.uvicorn(starlette(reading_middleware(reads="nothing"), our_middleware(body))),
    ),
    "uvicorn litestar": (("uvicorn", "litestar"), True, lambda body: served.uvicorn(litestar_app(body))),
    "uvicorn fastapi": (("uvicorn", "fastapi"), True, lambda body: served.uvicorn(fastapi_app(body))),
    "aiohttp": (("aiohttp",), True, lambda body: served.aiohttp(aiohttp_app(body))),
}
"""Name -> the packages it needs, whether it reads chunks, and what serves behind a SignedBody."""


def serve_for_gunicorn() -> Any:
    """Return Django behind the middleware, by the key in the environment (gunicorn's factory)."""
    import rapidjws
    from rapidjws.middleware import SignedBody

    key = rapidjws.JWK.from_json(os.environ["BODY_KEY"])
    body = SignedBody(verifier=rapidjws.Verifier(key, algorithms=["ES256"]), max_bytes=4096)
    return WSGIMiddleware(django_wsgi(), body=body)
