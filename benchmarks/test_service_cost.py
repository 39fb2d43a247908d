"""What observing costs a sidecar: requests with and without, decisions during scrapes, snapshots."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from typing import Any

import ours
import pytest
from test_metrics_cost import ISSUERS, NOISE, PARTNERS, counted_memory, ratio

from rapidjws.observe.exposition import FORMATS, Exposition
from rapidjws.observe.reading import Reading
from rapidjws.observe.region_samples import RegionSamples
from rapidjws.rollout import Rollout
from rapidjws.rollout.rollout import first_plan
from rapidjws.rollout.state import MemoryState
from rapidjws.verify.counter_memory import CounterMemory
from rapidjws.verify.verdict_counters import VerdictCounters

pytestmark = pytest.mark.usefixtures("one_cpu")

REQUEST_AT_MOST = 1.02
DECIDE_AT_MOST = 1.75
"""``decide`` by a rollout, with evidence and the counts of ``rapidjws check``, against ``decide`` alone."""

REQUESTS_AT_MOST = 2.5
"""Requests of the sidecar, from the octets that come to those that leave, against their tokens (ES256)."""

P99_AT_MOST = 1.05
SNAPSHOT_SHARE_AT_MOST = 0.05
"""The part of a snapshot's interval, a second, that making one may take."""


class Transport:
    """A transport that takes what is written and sends it nowhere."""

    def __init__(self) -> None:
        self.octets = 0

    def write(self, data: bytes) -> None:
        """Take octets."""
        self.octets += len(data)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Know nothing of the peer."""
        return default

    def is_closing(self) -> bool:
        """Return that it is open."""
        return False

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None


def policy() -> Rollout:
    """Return a rollout that enforces for everybody."""
    return Rollout((), state=MemoryState(first_plan("enforcement")))


def listener(*, counting: bool) -> tuple[Any, Any]:
    """Return one worker's public listener and its bus, as ``rapidjws serve`` puts them together."""
    from rapidjws.sidecar.app import SidecarApp
    from rapidjws.sidecar.change_bus import ChangeBus
    from rapidjws.sidecar.protocol import PublicListener
    from rapidjws.sidecar.settings import ServerSettings

    engine = ours.make_engine("ES256", counters=False)
    engine.precompute()
    engine.rollout = rollout = policy()
    bus = ChangeBus(1)
    app = SidecarApp(engine=engine, rollout=rollout)
    public = PublicListener(app, ServerSettings(), bus, index=0, seen=bus.counters())
    region = CounterMemory(1).of_worker(0)
    region.begin()
    app.recorder.attach(region)  # requests are counted for the status page in any case
    public.observer.recorder = app.recorder
    rollout.defer(app.recorder.count)
    if counting:
        engine.count_in(VerdictCounters(region))
    return public, bus


def requests_of(public: Any, loop: asyncio.AbstractEventLoop) -> Callable[[], None]:
    """Return what answers 16 requests that came together, and sees that each got its 200."""
    from rapidjws.sidecar.protocol import SidecarProtocol

    connection, transport = SidecarProtocol(public, loop), Transport()
    connection.connection_made(transport)  # type: ignore[arg-type]
    octets = b"".join(
        b"GET /verify HTTP/1.1\r\nhost: a\r\nauthorization: Bearer %b\r\n\r\n" % token
        for token in (
            one if isinstance(one, bytes) else one.encode() for one in ours.good_tokens("ES256", 16)
        )
    )

    def answer() -> None:
        connection.data_received(octets)
        public.flush()

    before = transport.octets
    answer()
    assert transport.octets - before > 16 * len(b"HTTP/1.1 200 OK\r\n")
    return answer


def test_a_request_of_the_sidecar(benchmark: Any) -> None:
    """With metrics a request takes little longer than without, as ``[observability]`` turns them off."""
    pytest.importorskip("httptools", reason="the extra `server` is not installed")
    loop = asyncio.new_event_loop()
    (on, on_bus), (off, off_bus) = listener(counting=True), listener(counting=False)
    try:
        calls = [requests_of(one, loop) for one in (on, off)]
        gc.collect()
        found = min(ratio(calls[0], calls[1], 400) for _ in range(3))
        benchmark.extra_info.update(ratio=found)
        benchmark.pedantic(calls[0], rounds=3)
        assert found <= REQUEST_AT_MOST + NOISE
    finally:
        on_bus.close()
        off_bus.close()
        loop.close()


def test_requests_against_their_tokens(benchmark: Any) -> None:
    """What a request costs beside its signature stays within what its signature costs, and a half."""
    pytest.importorskip("httptools", reason="the extra `server` is not installed")
    loop = asyncio.new_event_loop()
    public, bus = listener(counting=True)
    tokens = ours.good_tokens("ES256", 16)
    try:
        answer = requests_of(public, loop)
        gc.collect()
        found = min(ratio(answer, lambda: public.engine.verify_many(tokens), 400) for _ in range(3))
        benchmark.extra_info.update(ratio=found)
        benchmark.pedantic(answer, rounds=3)
        assert found <= REQUESTS_AT_MOST
    finally:
        bus.close()
        loop.close()


def test_decisions_with_the_counts_of_check(benchmark: Any) -> None:
    """Evidence, and what ``rapidjws check`` needs, cost less than the signature that they are about."""
    plain, counted = ours.make_engine("ES256"), ours.make_engine("ES256", rollout=policy())
    tokens = ours.good_tokens("ES256", 64)
    for engine in (plain, counted):
        engine.precompute()

    def work(engine: Any) -> Callable[[], Any]:
        return lambda: [engine.decide(token) for token in tokens]

    found = min(ratio(work(counted), work(plain), 200) for _ in range(3))
    benchmark.extra_info.update(ratio=found)
    benchmark.pedantic(work(counted), rounds=3)
    assert {engine.decide(tokens[0]).code for engine in (plain, counted)} == {"ok"}
    assert found <= DECIDE_AT_MOST


def test_a_snapshot_of_many_partners(benchmark: Any) -> None:
    """A reading of 100 issuers with 20 partners each, for the status, takes a small part of its second."""
    memory = counted_memory()
    samples, exposition = RegionSamples([memory.of_worker(index) for index in range(2)]), Exposition()

    def snapshot() -> int:
        counted, columns = samples.read()
        found = Reading(counted, 0.0, columns)
        return int(found.total("rapidjws_verifications_total")) + len(exposition.write(found, FORMATS[0]))

    assert snapshot() > 2 * ISSUERS * PARTNERS * 2
    took_s = ours.best_ns([(snapshot, 1)], 20)[0] / 1e9
    benchmark.extra_info.update(snapshot_ms=took_s * 1e3)
    benchmark.pedantic(snapshot, rounds=3)
    assert took_s < SNAPSHOT_SHARE_AT_MOST
