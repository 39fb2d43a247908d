"""The threads of those who sign and publish, where they cannot be started: an error or a later answer."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from redis_server import OwnRedis
from thread_faults import failing_starts

import rapidjws
from rapidjws.issuing import PublicationApp
from rapidjws.issuing.shared_readings import SharedReadings
from rapidjws.sidecar.issuer_server import IssuerConnection, _announce, _on_thread, _tick, turns_of_process
from rapidjws.signing.backend import BackendSigner, SignerLimits
from rapidjws.signing.new_key import make_key
from rapidjws.signing.signing_queue import SigningQueue
from rapidjws.stores import RedisRotations

KEY = make_key("ES256", kid="k")


class Backend(BackendSigner):
    """A backend that answers at once."""

    def __init__(self) -> None:
        limits = SignerLimits(concurrent=2)
        super().__init__(alg="ES256", public=KEY.public(), kid="k", check="never", limits=limits)

    def _signature(self, signing_input: bytes) -> bytes:
        return b"signature of " + signing_input


def test_S15_a_signature_of_asign_without_a_thread() -> None:
    """Without a thread asign is refused at once, and the next call signs."""

    async def main() -> None:
        signer = Backend()
        with failing_starts(lambda number: number == 0):
            with pytest.raises(rapidjws.InternalError):
                await asyncio.wait_for(signer.asign(b"a"), 60)
            assert await asyncio.wait_for(signer.asign(b"b"), 60) == b"signature of b"

    asyncio.run(main())


@pytest.mark.parametrize("failures", [1, 2, 3, 8])
def test_S15_a_queue_without_threads_signs_all_the_same(failures: int) -> None:
    """Where no worker can be started, whoever asks does the work; everyone gets its own signature."""
    with failing_starts(lambda number: number < failures):
        queue = SigningQueue([Backend()], max_age_at_issue_s=60)
        for number in range(6):
            assert queue.sign(b"%d" % number) == b"signature of %d" % number
        queue.close(60)


def test_S15_a_publication_without_a_thread() -> None:
    """The application raises, which servers answer with 500, and answers the next request."""
    answer = SimpleNamespace(status=200, headers={}, body=b"{}")
    read = SimpleNamespace(publishes=lambda *_: True, reading=lambda: None, handle=lambda *_, reading: answer)
    app = PublicationApp.__new__(PublicationApp)
    app._documents = SharedReadings(read)  # type: ignore[arg-type]
    app._endpoints = {}
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        raise AssertionError

    async def main() -> None:
        scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
        with failing_starts(lambda number: number == 0):
            with pytest.raises(rapidjws.InternalError):
                await asyncio.wait_for(app(scope, receive, send), 60)
            assert sent == []
            await asyncio.wait_for(app(scope, receive, send), 60)
        assert [one.get("status") for one in sent] == [200, None]

    asyncio.run(main())


@pytest.mark.parametrize("where", ["endpoint", "metrics"])
def test_S15_an_issuers_answer_without_a_thread(where: str) -> None:
    """A request that finds no thread is answered with 500, the next one as it should be."""
    answered: list[int] = []
    document: Any = SimpleNamespace(status=200, headers={}, body=b"{}")
    metrics = _on_thread(lambda *_: document)

    async def main() -> None:
        turns = turns_of_process()(False)

        def ask() -> Any:
            return turns.answered(lambda: document) if where == "endpoint" else metrics("GET", "/", [])

        one: Any = IssuerConnection.__new__(IssuerConnection)
        one._is_ending = False
        one.answer = lambda status, *_, keep: answered.append(status)
        one.touch = lambda busy: None
        with failing_starts(lambda number: number == 0):
            for _ in range(2):
                await asyncio.wait_for(one._act(ask, b"GET", True), 60)

    asyncio.run(main())
    assert answered == [500, 200]


def test_S24_a_tick_without_a_thread_comes_again() -> None:
    """A look at what is due that finds no thread says so, and the next one happens."""
    lines: list[str] = []

    async def main() -> None:
        looked = asyncio.Event()
        loop = asyncio.get_running_loop()

        def tick() -> list[Any]:
            loop.call_soon_threadsafe(looked.set)
            return []

        with failing_starts(lambda number: number == 0):
            ticking = asyncio.ensure_future(_tick(SimpleNamespace(tick=tick), 0.001, lines.append))  # type: ignore[arg-type]
            await asyncio.wait_for(looked.wait(), 60)
            ticking.cancel()

    asyncio.run(main())
    assert len(lines) == 1
    assert "internal_error" in lines[0]


def test_S24_no_thread_for_the_rotations(tmp_path: Path) -> None:
    """Where no thread can follow announcements that is tried again until one can."""
    redis = OwnRedis(tmp_path)
    fetched = threading.Event()
    source = SimpleNamespace(invalidate=fetched.set)
    try:
        one = RedisRotations(redis.url, timeout_s=5)
        with failing_starts(lambda number: number < 2, only="rapidjws-rotations") as starts:
            one.follow(lambda: {"https://issuer.example": source})
            other = RedisRotations(redis.url, timeout_s=5)
            end_s = time.monotonic() + 60
            while not fetched.is_set():
                other.announce("https://issuer.example", "k")
                assert time.monotonic() < end_s
                fetched.wait(0.05)
        assert starts.failed == 2
    finally:
        redis.stop()


def test_S24_an_announcement_without_a_thread_is_named() -> None:
    """Without a thread that is printed, and the next key is announced."""
    lines: list[str] = []

    async def main() -> None:
        published, announced = asyncio.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()

        def announce() -> None:
            loop.call_soon_threadsafe(announced.set)

        printed = asyncio.Event()

        def say(line: str) -> None:
            lines.append(line)
            printed.set()

        task = loop.create_task(_announce(published, announce, say))
        with failing_starts(lambda number: number == 0):
            published.set()
            await asyncio.wait_for(printed.wait(), 60)
            published.set()
            await asyncio.wait_for(announced.wait(), 60)
        task.cancel()

    asyncio.run(main())
    assert len(lines) == 1
    assert "internal_error" in lines[0]
