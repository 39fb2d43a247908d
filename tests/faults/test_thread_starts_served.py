"""Middlewares, the sidecar and tools where a thread or a process cannot be started."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import time
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
import tokens
from issuers import now_s, wait_for
from rollouts import engine, rollout
from thread_faults import NO_THREAD, failing_starts

import rapidjws
from rapidjws.contract import checklist, kit
from rapidjws.contract.samples import Maker
from rapidjws.keys.hook import PATH as HOOK_PATH
from rapidjws.middleware import SignedBody
from rapidjws.middleware.authenticator import Authenticator
from rapidjws.middleware.requests import RequestContext
from rapidjws.testing import make_key

LIMIT_S = 60.0
CONTRACT = kit.Contract(
    partner="acme",
    our_iss="https://us.example",
    our_audience="acme",
    their_iss="https://acme.example",
    their_audience="us",
    algorithms=("ES256",),
)


def test_S15_a_signed_body_without_threads() -> None:
    """Where no thread can be had the loop itself verifies a body, and gets what a thread would."""
    verifier = rapidjws.Verifier(tokens.public("ES256"), algorithms=["ES256"])
    key = tokens.key("ES256")
    authenticator: Authenticator[Any] = Authenticator(
        body=SignedBody(verifier=verifier, signature_header=None)
    )
    good = tokens.sign(key, {"alg": "ES256", "kid": key.kid}, b"paid").encode()
    bad = good[:-20] + b"A" * 20

    async def codes() -> list[str]:
        asked = RequestContext([b"application/jose"], b"", None, "/")
        calls = [authenticator.adecide(asked, one) for one in (good, bad, good)]
        return [(await asyncio.wait_for(one, LIMIT_S)).code for one in calls]

    for pattern in itertools.product((False, True), repeat=3):
        with failing_starts(lambda number, pattern=pattern: pattern[number % 3]):  # type: ignore[misc]
            assert asyncio.run(codes()) == ["ok", "signature_invalid", "ok"]


SECRET = "s" * 32
WORKERS = "rapidjws_"  # the pool's threads; a neighbour's fetch of keys starts others meanwhile


@pytest.fixture(name="public")
def _public() -> Any:
    pytest.importorskip("httptools", reason="the extra `server` is not installed")
    from rapidjws.observe.recorder import MetricRecorder
    from rapidjws.sidecar.app import SidecarApp
    from rapidjws.sidecar.change_bus import ChangeBus
    from rapidjws.sidecar.metrics import Metrics
    from rapidjws.sidecar.protocol import PublicListener
    from rapidjws.sidecar.settings import ServerSettings
    from rapidjws.verify.counter_memory import CounterMemory

    policy = rollout()
    change_bus, counters = ChangeBus(1), CounterMemory(1)
    app = SidecarApp(engine=engine(policy), rollout=policy)
    public = PublicListener(
        app, ServerSettings(hook_secret=SECRET), change_bus, index=0, seen=change_bus.counters()
    )
    public.metrics = Metrics(public, counters, MetricRecorder())
    before = signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # which tells a worker of a change
    yield public
    signal.signal(signal.SIGUSR1, before)
    counters.close()
    change_bus.close()


def statuses(public: Any, path: str, count: int, method: str = "GET") -> list[int]:
    """Return the answers to so many requests, each over a connection of its own."""
    from rapidjws.sidecar.protocol import SidecarProtocol

    async def main() -> list[int]:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: SidecarProtocol(public, loop), "127.0.0.1", 0)
        port, found = server.sockets[0].getsockname()[1], []
        for _ in range(count):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            head = f"{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n"
            writer.write(f"{head}authorization: Bearer {SECRET}\r\ncontent-length: 0\r\n\r\n".encode())
            answer = await asyncio.wait_for(reader.read(), LIMIT_S)
            found.append(int(answer.split()[1]))
            writer.close()
        server.close()
        return found

    return asyncio.run(main())


def test_S15_metrics_without_threads(public: Any) -> None:
    """A scrape that finds no thread gets a 500, and the next one the metrics."""
    with failing_starts(lambda number: number < 2, only=WORKERS):
        assert statuses(public, "/metrics", 3) == [500, 500, 200]


def test_S15_a_hook_without_threads(public: Any) -> None:
    """A hook that finds no thread is answered with 500, so that its sender tries again."""
    with failing_starts(lambda number: number == 0, only=WORKERS):
        assert statuses(public, HOOK_PATH, 2, "POST") == [500, 202]


def test_S24_no_thread_to_take_changes_over(public: Any) -> None:
    """A change that found no thread is taken over with a later request; each has its verdict."""
    for failures in range(4):
        seen = public.change_bus.announce("rollout", time.monotonic_ns())
        with failing_starts(lambda number, most=failures: number < most, only=WORKERS):  # type: ignore[misc]
            assert statuses(public, "/verify", failures + 1) == [401] * (failures + 1)
            wait_for(lambda: not public.is_behind, LIMIT_S)
        assert seen


@pytest.mark.parametrize("call", ["pipe", "fork"])
def test_S24_a_worker_that_cannot_be_started(call: str, capfd: pytest.CaptureFixture[str]) -> None:
    """A supervisor without descriptors or processes goes on, and starts the worker when it is due again."""
    pytest.importorskip("httptools", reason="the extra `server` is not installed")
    from rapidjws.observe.logs import LogSettings
    from rapidjws.sidecar.listeners import ListeningSockets
    from rapidjws.sidecar.supervisor import Supervisor
    from rapidjws.sidecar.worker_processes import WorkerProcess

    supervisor = Supervisor.__new__(Supervisor)
    supervisor.heartbeats, supervisor.logs = mock.Mock(), LogSettings()
    sockets: Any = SimpleNamespace(index=0)
    worker = WorkerProcess(sockets=sockets)
    made: list[int] = []
    still_open: list[int] = []

    def pipe() -> tuple[int, int]:
        ends = real_pipe()
        made.extend(ends)
        still_open.extend(ends)
        return ends

    def close(descriptor: int) -> None:
        if descriptor in still_open:
            still_open.remove(descriptor)
        real_close(descriptor)

    real_pipe, real_close = os.pipe, os.close
    for number in range(3):
        with (
            mock.patch.object(os, "pipe", pipe),
            mock.patch.object(os, "close", close),
            mock.patch.object(os, call, side_effect=OSError(11, "Resource temporarily unavailable")),
        ):
            supervisor._start(worker)
        assert (worker.pid, worker.failures) == (0, number + 1)
        assert worker.due_s > time.monotonic()
    assert capfd.readouterr().err.count("cannot be started") == 3
    assert len(made) == (6 if call == "fork" else 0)
    assert still_open == []  # counting this process's descriptors would count those of other threads
    assert ListeningSockets


def test_S24_no_thread_for_the_checklist() -> None:
    """A check of a contract that finds no thread leaves its item open and says why."""
    key = make_key("ES256", kid="theirs")
    maker = Maker(key, "ES256", CONTRACT, now_s(), iss=CONTRACT.their_iss, audience=CONTRACT.their_audience)
    with failing_starts(lambda _: True, only="Thread"):
        item = checklist._rotation(CONTRACT, maker, now_s())
    assert (item.status, item.detail) == ("open", f"not tried: {NO_THREAD}")
