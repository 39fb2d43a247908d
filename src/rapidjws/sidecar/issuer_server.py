"""A server of what an issuer publishes, which leads its keys as well: for ``rapidjws issue serve``."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from rapidjws.errors import RapidJWSError
from rapidjws.issuing import Document, KeyLifeCycle, Publication
from rapidjws.issuing.shared_readings import SharedReadings
from rapidjws.sidecar.connection import Connection, Listener, head_of
from rapidjws.sidecar.issuer_turns import RequestTurns
from rapidjws.sidecar.listeners import BACKLOG, address_of, listening_sockets
from rapidjws.sidecar.settings import ServerSettings
from rapidjws.verify import worker_pool
from rapidjws.verify.worker_pool import call_on_thread

Documents = Callable[[str, str, list[tuple[str, str]]], Awaitable[Document]]
"""A maker of answers on the loop: ``SharedReadings.answered``."""


Turns = Callable[[bool], RequestTurns]
"""Gives the turns of endpoints whose keys are in this process, or elsewhere."""


def turns_of_process() -> Turns:
    """Return the turns of one server's requests."""
    local = RequestTurns(worker_pool.signing, worker_pool.SIGNING_WORKERS)
    remote = RequestTurns(worker_pool.endpoints, worker_pool.ENDPOINT_WORKERS)
    return lambda is_local: local if is_local else remote


class Handler(Protocol):
    """A maker of answers on a thread: ``IssuerMetricsPage.handle``."""

    def __call__(self, method: str, path: str, headers: list[tuple[str, str]], /) -> Document:
        """Answer one request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """What is answered beside the documents.

    Attributes:
        path: Its path.
        handle: ``TokenService.handle``, ``SigningService.handle``.
        headers: Lower-case names of the headers that it reads.
        is_local: Whether requests wait for no signer: few threads then do more than many.
    """

    path: str
    handle: Callable[..., Document]
    headers: frozenset[bytes] = field(repr=False)
    is_local: bool = False


class IssuerConnection(Connection):
    """One connection, one request at a time; answers are made beside the loop.

    What is published and measured has threads of its own, so that no queue of tokens keeps it waiting.
    """

    wanted = frozenset({b"if-none-match"})

    keeps_body = True

    def __init__(
        self,
        listener: Listener,
        loop: asyncio.AbstractEventLoop,
        documents: Documents,
        endpoints: Sequence[Endpoint] = (),
        turns: Turns | None = None,
    ) -> None:
        super().__init__(listener, loop)
        self._turns = turns or turns_of_process()
        self._documents = documents
        self._endpoints = {one.path: one for one in endpoints}
        self.wanted = self.wanted.union(*(one.headers for one in endpoints))
        self._doing: set[asyncio.Task[None]] = set()

    def requested(
        self, url: bytes, headers: list[tuple[bytes, bytes]], method: bytes, body: bytes, *, keep: bool
    ) -> None:
        """Answer one request; a second one on the way has no answer, and ends the connection."""
        if self._under_way:
            self.end()
            return
        self._under_way = 1
        shown = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]
        path = url.partition(b"?")[0].decode("latin-1")
        verb = method.decode("latin-1")
        endpoint = self._endpoints.get(path)
        ask: Callable[[], Awaitable[Document]] = partial(self._documents, verb, path, shown)
        if endpoint is not None:
            call = partial(endpoint.handle, verb, shown, body, peer=self._peer())
            ask = partial(self._turns(endpoint.is_local).answered, call)
        task = self._loop.create_task(self._act(ask, method, keep))
        self._doing.add(task)
        task.add_done_callback(self._doing.discard)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget a connection; what has not begun for it is not begun."""
        super().connection_lost(exc)
        for task in tuple(self._doing):
            task.cancel()

    def _peer(self) -> str | None:
        """Return where the connection comes from."""
        transport = self._transport
        found = None if transport is None else transport.get_extra_info("socket")
        if found is not None and found.family == socket.AF_UNIX:
            return "unix"
        name = None if transport is None else transport.get_extra_info("peername")
        return str(name[0]) if isinstance(name, tuple) and name else None

    async def _act(self, ask: Callable[[], Awaitable[Document]], method: bytes, keep: bool) -> None:
        try:
            made = await ask()
        except Exception:
            made = Document(status=500, headers={}, body=b"")
        self._under_way = 0
        head = head_of(list(made.headers.items()))
        self.answer(made.status, head, made.body, method, keep=keep and not self._is_ending)
        self.touch(busy=False)


class MetricsConnection(IssuerConnection):
    """A connection of whoever reads the metrics."""

    wanted = frozenset({b"accept"})


def _on_thread(handle: Handler) -> Documents:
    """Return a maker of answers on the loop for one on a thread."""

    async def answered(method: str, path: str, headers: list[tuple[str, str]]) -> Document:
        return await call_on_thread(partial(handle, method, path, headers), pool=worker_pool.reserved)

    return answered


def serve_issuer(
    life_cycle: KeyLifeCycle,
    publication: Publication,
    settings: ServerSettings,
    *,
    tick_s: float,
    say: Callable[[str], None],
    endpoints: Sequence[Endpoint] = (),
    announce: Callable[[], str | None] | None = None,
    metrics: Handler | None = None,
    metrics_listen: str | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, and make what is due every ``tick_s`` seconds where this issuer leads.

    At the end the lease is given up, so that another issuer leads at once.

    Args:
        life_cycle: The keys.
        publication: What is published.
        settings: Where to listen, and limits.
        tick_s: Seconds between two looks at what is due.
        say: Prints a line: where it listens, and each new fault of the life cycle.
        endpoints: The token endpoint, the signing endpoint.
        announce: Tells consumers of a new key, and returns who has not confirmed, in words; None for nobody.
        metrics: Makes the answers of ``metrics_listen``.
        metrics_listen: Where metrics are read, or None for nowhere.

    Raises:
        OSError: The address is taken, or not ours.
    """
    documents = SharedReadings(publication).answered
    served: list[tuple[ServerSettings, Callable[..., IssuerConnection]]] = [
        (
            settings,
            partial(IssuerConnection, documents=documents, endpoints=endpoints, turns=turns_of_process()),
        )
    ]
    if metrics is not None and metrics_listen is not None:
        there = ServerSettings(listen=metrics_listen)
        served.append((there, partial(MetricsConnection, documents=_on_thread(metrics))))
    _run(_serve(life_cycle, served, tick_s, say, announce))
    with contextlib.suppress(RapidJWSError):  # else another issuer leads when the lease ends
        life_cycle.resign()


def _run(serving: Coroutine[Any, Any, None]) -> None:
    """Run a server on a loop of its own."""
    import uvloop  # of the extra `server`, as what connections are read with

    loop = uvloop.new_event_loop()
    try:
        loop.run_until_complete(serving)
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        loop.close()


async def _serve(
    life_cycle: KeyLifeCycle,
    served: Sequence[tuple[ServerSettings, Callable[..., IssuerConnection]]],
    tick_s: float,
    say: Callable[[str], None],
    announce: Callable[[], str | None] | None = None,
) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    loop.add_signal_handler(signal.SIGHUP, say, "SIGHUP changes nothing: the file is read at the start")
    with contextlib.ExitStack() as stack:
        listeners, servers = [], []
        for at, (settings, connection) in enumerate(served):
            sockets = listening_sockets(settings)
            stack.callback(sockets.close)
            listener = Listener(settings)
            listeners.append(listener)
            public = sockets.workers[0].public
            made = partial(connection, listener, loop)
            servers.append(await loop.create_server(made, sock=public, backlog=BACKLOG))
            say(f"{'metrics' if at else 'listening'} on {address_of(public)}")
        published = asyncio.Event()
        tasks = [loop.create_task(_tick(life_cycle, tick_s, say, published))]
        if announce is not None:
            tasks.append(loop.create_task(_announce(published, announce, say)))
        tasks += [loop.create_task(_sweep(one, loop)) for one in listeners]
        await ended.wait()
        for task in tasks:
            task.cancel()
        for server in servers:
            server.close()
        for one in listeners:
            await _drain(one, loop, one.settings.drain_s)


async def _announce(
    published: asyncio.Event, announce: Callable[[], str | None], say: Callable[[str], None]
) -> None:
    """Tell consumers of each new key, once it is published."""
    while True:
        await published.wait()
        published.clear()
        try:
            word = await call_on_thread(announce, pool=worker_pool.reserved)
        except RapidJWSError as failed:
            word = str(failed)
        except Exception as fault:
            word = f"internal_error: {type(fault).__name__}"
        if word:
            say(word)


async def _tick(
    life_cycle: KeyLifeCycle,
    tick_s: float,
    say: Callable[[str], None],
    published: asyncio.Event | None = None,
) -> None:
    last = ""
    while True:
        word = ""
        try:
            for one in await call_on_thread(life_cycle.tick, pool=worker_pool.reserved):
                say(f"{one.kid} {one.alg} {one.stage}")
                if one.stage == "next" and published is not None:
                    published.set()
        except RapidJWSError as failed:
            word = "" if failed.code == "not_leader" else f"{failed} ({failed.info.fix})"
        except Exception as fault:  # the keys stay as they are; the server goes on publishing them
            word = f"internal_error: {type(fault).__name__}"
        if word and word != last:
            say(word)
        last = word
        await asyncio.sleep(tick_s)


async def _sweep(listener: Listener, loop: asyncio.AbstractEventLoop) -> None:
    while True:
        await asyncio.sleep(1)
        listener.sweep(loop.time())


async def _drain(listener: Listener, loop: asyncio.AbstractEventLoop, drain_s: float) -> None:
    end_s = loop.time() + drain_s
    while listener.connections and loop.time() < end_s:
        listener.drain()
        await asyncio.sleep(0.05)
    for one in tuple(listener.connections):
        with contextlib.suppress(Exception):
            one.close()
