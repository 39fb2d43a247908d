"""What an issuer publishes while its endpoints are full, and how often its store is read."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import threading
from collections.abc import Iterator
from functools import partial
from typing import Any
from unittest import mock

import pytest
from issuing_world import life_cycle

from rapidjws.issuing import Document, KeyLifeCycle, MemoryStateStore, Publication, PublicationApp
from rapidjws.issuing.shared_readings import SharedReadings
from rapidjws.testing import FakeClock
from rapidjws.verify import worker_pool

ISS = "https://issuer.example"
JWKS = "/.well-known/jwks.json"
WAITING, THREADS = 40, 8
"""More requests for tokens than there are threads for them."""


@pytest.fixture
def few_threads() -> Iterator[None]:
    """Have few threads for endpoints, and for what all of the process shares."""
    pools = {name: worker_pool._Pool(THREADS) for name in ("_pool", "endpoints", "signing")}
    with mock.patch.multiple(worker_pool, **pools):  # type: ignore[arg-type]
        yield


class SlowStore(MemoryStateStore):
    """A store that counts its readings, and keeps them waiting where a test wants."""

    def __init__(self) -> None:
        super().__init__()
        self.readings = 0
        self.begun = threading.Event()
        self.released = threading.Event()
        self.released.set()

    def read(self) -> Any:
        """Return the state, once it may."""
        found = super().read()
        self.readings += 1
        self.begun.set()
        assert self.released.wait(60)
        return found


class Endpoint:
    """A token endpoint whose requests wait for a signer."""

    path = "/token"
    headers = frozenset({"content-type"})

    def __init__(self, *, is_local: bool = False) -> None:
        self.is_local = is_local
        self.released = threading.Event()
        self.under_way = 0

    def handle(self, *_: Any, peer: str | None = None) -> Document:
        """Answer once it may."""
        self.under_way += 1
        assert self.released.wait(120)
        return Document(status=200, headers={}, body=b"{}")


def publication(store: MemoryStateStore) -> tuple[Publication, KeyLifeCycle]:
    """Give a publication with one key."""
    keys = life_cycle(FakeClock(), store=store)
    keys.tick()
    return Publication(keys, ISS), keys


def test_who_asks_at_the_same_time_shares_a_reading() -> None:
    """A thousand requests during a reading cause one more, which begins after they came."""
    store = SlowStore()
    published, _ = publication(store)
    shared = SharedReadings(published)

    async def main() -> list[Document]:
        store.readings = 0
        store.begun.clear()
        store.released.clear()
        first = asyncio.ensure_future(shared.answered("GET", JWKS, []))
        await asyncio.get_running_loop().run_in_executor(None, store.begun.wait, 60)
        rest = [asyncio.ensure_future(shared.answered("GET", JWKS, [])) for _ in range(1000)]
        await asyncio.sleep(0.01)
        assert store.readings == 1
        store.released.set()
        return await asyncio.wait_for(asyncio.gather(first, *rest), 60)

    answers = asyncio.run(main())
    assert [one.status for one in answers] == [200] * 1001
    assert store.readings == 2


def test_no_answer_is_older_than_its_request() -> None:
    """A key that was tainted during a reading is not in the answer to a request that came after that."""
    store = SlowStore()
    published, keys = publication(store)
    shared = SharedReadings(published)
    kid = keys.state().keys[0].kid

    async def main() -> tuple[Document, Document]:
        store.begun.clear()
        store.released.clear()
        before = asyncio.ensure_future(shared.answered("GET", JWKS, []))
        await asyncio.get_running_loop().run_in_executor(None, store.begun.wait, 60)
        state = MemoryStateStore.read(store)
        gone = state.with_key(type(state.keys[0])(**{**fields_of(state.keys[0]), "stage": "tainted"}))
        store.swap(state, type(state)(revision=state.revision + 1, keys=gone.keys))
        after = asyncio.ensure_future(shared.answered("GET", JWKS, []))
        await asyncio.sleep(0.01)
        store.released.set()
        return await asyncio.wait_for(asyncio.gather(before, after), 60)

    before, after = asyncio.run(main())
    assert [one["kid"] for one in json.loads(before.body)["keys"]] == [kid]
    assert json.loads(after.body)["keys"] == []


def fields_of(one: Any) -> dict[str, Any]:
    """Return a value's fields."""
    return {name: getattr(one, name) for name in type(one).__dataclass_fields__}


def test_paths_that_are_none_read_no_store() -> None:
    """404 and 405 cost no reading, however many there are."""
    store = SlowStore()
    published, _ = publication(store)
    shared = SharedReadings(published)
    store.readings = 0
    for method, path, status in (("GET", "/else", 404), ("POST", JWKS, 405)):
        assert asyncio.run(shared.answered(method, path, [])).status == status
    assert store.readings == 0


def test_a_request_that_is_given_up_ends_no_others() -> None:
    """The reading goes on for who still waits; on another loop a new one is made."""
    store = SlowStore()
    published, _ = publication(store)
    shared = SharedReadings(published)

    async def main() -> Document:
        store.begun.clear()
        store.released.clear()
        gone = asyncio.ensure_future(shared.answered("GET", JWKS, []))
        stays = asyncio.ensure_future(shared.answered("GET", JWKS, []))
        await asyncio.get_running_loop().run_in_executor(None, store.begun.wait, 60)
        gone.cancel()
        store.released.set()
        return await asyncio.wait_for(stays, 60)

    assert [asyncio.run(main()).status for _ in range(2)] == [200, 200]


@pytest.mark.usefixtures("few_threads")
@pytest.mark.parametrize("is_local", [False, True])
def test_a_set_is_published_while_every_token_waits(is_local: bool) -> None:
    """Behind any number of requests that wait for a signer, an application answers for its keys."""
    endpoint: Any = Endpoint(is_local=is_local)
    app = PublicationApp(publication(SlowStore())[0])
    app._endpoints = {endpoint.path: endpoint}
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    async def ask(method: str, path: str) -> None:
        await app({"type": "http", "method": method, "path": path, "headers": []}, receive, send)

    async def main() -> None:
        waiting = [asyncio.ensure_future(ask("POST", "/token")) for _ in range(WAITING)]
        while endpoint.under_way < THREADS:
            await asyncio.sleep(0.01)
        try:
            await asyncio.wait_for(ask("GET", JWKS), 30)
        finally:
            endpoint.released.set()
        await asyncio.wait_for(asyncio.gather(*waiting), 60)

    asyncio.run(main())
    assert len(json.loads(sent[1]["body"])["keys"]) == 1


@pytest.mark.usefixtures("few_threads")
@pytest.mark.parametrize("kind", ["keys", "metrics"])
def test_the_server_publishes_while_every_token_waits(kind: str) -> None:
    """So does the server, and shows its metrics; a client that left is not waited for."""
    pytest.importorskip("httptools", reason="httptools absent: pip install 'rapidjws[server]'")
    from rapidjws.sidecar.connection import Listener
    from rapidjws.sidecar.issuer_server import Endpoint as Served
    from rapidjws.sidecar.issuer_server import IssuerConnection, _on_thread
    from rapidjws.sidecar.settings import ServerSettings

    endpoint = Endpoint()
    served = [Served(path="/token", handle=endpoint.handle, headers=frozenset({b"content-type"}))]
    shown = Document(status=200, headers={}, body=b'{"keys": [1]}')
    documents = (
        SharedReadings(publication(SlowStore())[0]).answered
        if kind == "keys"
        else _on_thread(lambda *_: shown)
    )

    async def get(port: int) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET {JWKS} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n".encode())
        found = await reader.read()
        writer.close()
        return found

    async def main() -> bytes:
        loop = asyncio.get_running_loop()
        listener = Listener(ServerSettings(listen="127.0.0.1:0"))
        make = partial(IssuerConnection, listener, loop, documents, served)
        server = await loop.create_server(make, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        links = [await asyncio.open_connection("127.0.0.1", port) for _ in range(WAITING)]
        for _, writer in links:
            writer.write(b"POST /token HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n")
        while endpoint.under_way < THREADS:
            await asyncio.sleep(0.01)
        try:
            found = await asyncio.wait_for(get(port), 30)
            for _, writer in links:
                link = writer.get_extra_info("socket")
                link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                writer.transport.abort()
            while len(listener.connections) > 1:
                await asyncio.sleep(0.01)
        finally:
            endpoint.released.set()
            server.close()
        return found

    found = asyncio.run(main())
    assert found.startswith(b"HTTP/1.1 200 OK")
    assert len(json.loads(found.partition(b"\r\n\r\n")[2])["keys"]) == 1
