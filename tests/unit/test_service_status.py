"""The status of a service: its windows, what is shared between those who ask, and the stream's bounds."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from rollouts import ask, engine, good, rollout
from thread_faults import failing_starts

from rapidjws.keys import RemoteJWKS
from rapidjws.observe.recorder import MetricRecorder
from rapidjws.observe.status_history import CountSample, StatusHistory
from rapidjws.rollout.history import Change
from rapidjws.sidecar.status_issuers import CHANGES_MAX, Differing, recent_changes

LIMIT_S = 60.0


def sample(at_s: float, *, latency: tuple[int, ...] = (), **codes: int) -> CountSample:
    """Return a sample."""
    return CountSample(at_s=at_s, codes=codes, refused=codes.get("expired", 0), latency=latency)


def test_K_a_window_counts_what_came_within_it() -> None:
    """Counts are the difference to the last sample before the window; what is older is not in them."""
    history = StatusHistory()
    for at_s, verified, expired in ((0, 0, 0), (50, 1000, 100), (100, 1600, 130)):
        history.add(sample(at_s, ok=verified, expired=expired))
    found = history.window(60, sample(110, ok=1700, expired=140, keys_stale=5))
    assert (found["requests"], found["permit"], found["deny"], found["indeterminate"]) == (745, 700, 40, 5)
    assert (found["covered_s"], found["refused"]) == (60.0, 40)
    assert [(row["code"], row["count"]) for row in found["codes"]] == [("expired", 40), ("keys_stale", 5)]
    whole = history.window(3600, sample(110, ok=1700, expired=140))
    assert (whole["covered_s"], whole["requests"]) == (110.0, 1840)


def test_K_a_service_without_samples_has_empty_windows() -> None:
    """Before the first sample nothing is known, and nothing is made up."""
    found = StatusHistory().window(60, sample(10, ok=5))
    assert (found["requests"], found["covered_s"], found["codes"]) == (0, 0.0, [])
    assert all(one["requests"] == 0 for one in StatusHistory().series(sample(10, ok=5)))


def test_K_old_samples_go() -> None:
    """An hour of samples is kept, whatever came before."""
    history = StatusHistory()
    for at_s in range(0, 20_000, 5):
        history.add(sample(at_s, ok=at_s))
    assert len(history._samples) < 800
    assert history.window(3600, sample(19_995, ok=19_995))["requests"] == 3600
    assert not history.is_due(19_999.9)
    assert history.is_due(20_000.0)


def test_K_percentiles_lie_within_their_power_of_two() -> None:
    """Of a hundred requests, ninety took up to 128 us and ten up to 16 ms, not those before the window."""
    before, after = [0] * 40, [0] * 40
    before[30] = 1_000_000
    after[30], after[17], after[24] = 1_000_000, 90, 10
    history = StatusHistory()
    history.add(sample(0, latency=tuple(before)))
    found = history.latency_us(300, sample(100, latency=tuple(after)))
    assert found["requests"] == 100
    assert 65 < found["p50"] <= 131.1
    assert 8300 < found["p95"] <= found["p99"] <= 16_800


def test_K_the_series_is_a_second() -> None:
    """A step shows requests a second: good ones, refused ones, and those without a verdict."""
    history = StatusHistory()
    for at_s in range(0, 301, 5):
        history.add(sample(at_s, ok=at_s * 10, expired=at_s, keys_stale=0))
    found = history.series(sample(300, ok=3000, expired=300, keys_stale=0))
    assert len(found) == 30
    assert {tuple(one.values()) for one in found} == {(11.0, 1.0, 0.0)}


def test_K_changes_of_all_workers_are_reported_once() -> None:
    """What each worker saw is one line; the rollout's changes stand among them; the latest is first."""
    event = {
        "event": "keys_changed",
        "kid": None,
        "detail": None,
        "count": 1,
        "issuer": "https://a.example/jwks",
    }
    row = {"source": "https://a.example/jwks", "issuer": "https://a.example"}
    reports = [
        {"issuers": [row], "events": [{**event, "at_s": 100.0 + pid, "last_s": 100.0 + pid}]}
        for pid in range(4)
    ]
    reports[0]["events"].append({**event, "at_s": 500.0, "last_s": 500.0})
    entry = Change(
        at_s=200, by="ann", action="promote", partner="shop", before="warning", after="enforcement"
    )
    found = recent_changes(reports, [entry] * 3)
    assert [(one["event"], one["workers"]) for one in found] == [
        ("keys_changed", 1),
        ("promote", 1),
        ("promote", 1),
        ("promote", 1),
        ("keys_changed", 4),
    ]
    assert found[-1]["issuer"] == "https://a.example"
    assert (found[1]["detail"], found[1]["by"]) == ("warning -> enforcement", "ann")
    assert len(recent_changes(reports, [entry] * 500)) == CHANGES_MAX


def test_K_since_when_workers_differ() -> None:
    """The time counts on while they differ, and begins anew after they did not."""
    differing = Differing()
    assert differing.seconds(["a"]) == {"a": 0.0}
    differing._since["a"] -= 100
    assert differing.seconds(["a", "b"]) == {"a": 100.0, "b": 0.0}
    differing.seconds([])
    assert differing.seconds(["a"]) == {"a": 0.0}


# --- the service ---------------------------------------------------------------------------


@pytest.fixture(name="status")
def _status() -> Iterator[Any]:
    pytest.importorskip("httptools", reason="the extra `server` is not installed")
    from rapidjws.sidecar.change_bus import ChangeBus
    from rapidjws.sidecar.recent_events import RecentEvents
    from rapidjws.sidecar.report_writer import ReportWriter
    from rapidjws.sidecar.status import ServiceStatus
    from rapidjws.sidecar.worker_processes import Heartbeats
    from rapidjws.verify.counter_memory import CounterMemory

    policy = rollout()
    one = engine(policy)
    bus, counters, heartbeats = ChangeBus(1), CounterMemory(1), Heartbeats(1)
    bus.begin(0, bus.counters())
    writer = ReportWriter(one, policy, RecentEvents(), bus.reports, 0)
    made = ServiceStatus(
        engine=one, rollout=policy, bus=bus, writer=writer, counters=counters, heartbeats=heartbeats
    )
    yield SimpleNamespace(status=made, counters=counters)
    for each in (bus, counters, heartbeats):
        each.close()


def test_K_a_snapshot_is_made_once_for_all_who_ask(status: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many ask within a second, it is made once, and each gets the same."""
    made: list[int] = []
    make = status.status._make
    monkeypatch.setattr(status.status, "_make", lambda: made.append(1) or make())
    found: list[Any] = []
    threads = [threading.Thread(target=lambda: found.append(status.status.snapshot())) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT_S)
    assert len(found) == 20
    assert len(made) <= 2
    json.dumps(found[0])
    status.status._made_s = float("-inf")
    status.status.snapshot()
    assert len(made) >= 2


def test_K_a_new_service_counts_from_its_start(status: Any) -> None:
    """What came before the first sample of a new service is in its windows."""
    recorder = MetricRecorder()
    recorder.attach(status.counters.of_worker(0))
    recorder.count("shop", "", "ok", refused=False)
    recorder.count("shop", "", "expired", refused=True)
    found = status.status.snapshot()
    assert found["windows"][0]["requests"] == 2
    assert found["windows"][0]["refused"] == 1
    status.status.sample_if_due()


class Listener:
    """A connection of the stream."""

    def __init__(self) -> None:
        self.got: list[bytes] = []
        self.closed = False

    def send_event(self, octets: bytes, now_s: float) -> None:
        """Take an event."""
        self.got.append(octets)

    def close(self) -> None:
        """Hang up."""
        self.closed = True


def test_K_streams_are_few_and_end(status: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound none is added; an old one is ended; without any the work stops."""
    from rapidjws.sidecar import status_stream

    async def main() -> None:
        stream = status_stream.StatusStream(status.status, event_s=0.01)
        listeners = [Listener() for _ in range(status_stream.STREAMS_MAX + 1)]
        assert [stream.add(one) for one in listeners] == [True] * status_stream.STREAMS_MAX + [False]
        end_s = time.monotonic() + LIMIT_S
        while not all(len(one.got) >= 2 for one in listeners[:-1]):
            await asyncio.sleep(0.01)
            assert time.monotonic() < end_s
        assert listeners[0].got[0].startswith(b"data: {")
        assert listeners[0].got[0].endswith(b"}\n\n")
        stream.remove(listeners[0])
        monkeypatch.setattr(status_stream, "STREAM_MAX_S", -1.0)
        while len(stream):
            await asyncio.sleep(0.01)
            assert time.monotonic() < end_s
        assert all(one.closed for one in listeners[1:-1])
        while stream._task is not None:
            await asyncio.sleep(0.01)
            assert time.monotonic() < end_s
        assert stream.add(Listener())
        stream.close()
        assert len(stream) == 0

    asyncio.run(main())


def test_K_a_stream_without_threads(status: Any) -> None:
    """Where no thread can be had to make a snapshot, a comment is sent, and the next one tries again."""
    from rapidjws.sidecar.status_stream import StatusStream

    async def main() -> list[bytes]:
        stream = StatusStream(status.status, event_s=0.01)
        one = Listener()
        with failing_starts(lambda number: number < 1):
            assert stream.add(one)
            end_s = time.monotonic() + LIMIT_S
            while len(one.got) < 2:
                await asyncio.sleep(0.01)
                assert time.monotonic() < end_s
        stream.close()
        return one.got

    first, second, *_ = asyncio.run(main())
    assert first == b": no snapshot\n\n"
    assert second.startswith(b"data: ")


def test_K_a_client_that_does_not_read_misses_events() -> None:
    """Nothing is written to a blocked connection; in the end it is hung up on, unless it reads again."""
    pytest.importorskip("httptools", reason="the extra `server` is not installed")
    from rapidjws.sidecar.admin_listener import AdminProtocol
    from rapidjws.sidecar.status_stream import BLOCKED_MAX_S

    written: list[bytes] = []
    aborted: list[int] = []
    removed: list[Any] = []
    one: Any = object.__new__(AdminProtocol)
    one._transport = SimpleNamespace(
        is_closing=lambda: False, write=written.append, abort=lambda: aborted.append(1)
    )
    one._admin = SimpleNamespace(stream=SimpleNamespace(remove=removed.append))
    one._is_blocked, one._blocked_since_s = False, None
    one.send_event(b"1", 0.0)
    one._is_blocked = True
    one.send_event(b"2", 1.0)
    one.send_event(b"3", BLOCKED_MAX_S)
    one._is_blocked = False
    one.send_event(b"4", BLOCKED_MAX_S + 5)
    one._is_blocked = True
    one.send_event(b"5", BLOCKED_MAX_S + 6)
    assert (written, aborted, removed) == ([b"1", b"4"], [], [])
    one.send_event(b"6", 2 * BLOCKED_MAX_S + 7)
    assert (written, aborted, removed) == ([b"1", b"4"], [1], [one])
    one._transport = None
    one.send_event(b"7", 0.0)
    assert removed == [one, one]


def test_K_a_probe_without_threads() -> None:
    """Where no thread can be had for a fresh fetch, the issuer has a fault in its place."""
    from rapidjws.sidecar.key_status import probe_all

    def fetch(url: str, etag: str | None) -> Any:
        raise AssertionError("no thread, no fetch")

    source = RemoteJWKS("https://a.example/jwks", fetch=fetch)
    one: Any = SimpleNamespace(
        issuers=[SimpleNamespace(name="https://a.example")], source_of=lambda name: source
    )
    with failing_starts(lambda number: True):
        assert probe_all(one) == {"https://a.example": {"fault": "internal"}}


def test_K_alerts_are_told_when_they_begin_and_end(status: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """An alert that goes on is told once, with its runbook; when it is over, that is told as well."""
    told: list[tuple[str, str]] = []
    found: list[Any] = []
    one = {"name": "Replay", "severity": "page", "runbook": "key-compromise", "summary": "replays: 2"}
    status.status.watch(lambda name, detail: told.append((name, detail)))
    monkeypatch.setattr(status.status, "snapshot", lambda: {"alerts": found})

    def look() -> None:
        status.status._watch_s = float("-inf")
        status.status.watch_if_due()

    look()
    found.append(one)
    look()
    found[0] = {**one, "summary": "replays: 9"}
    look()
    status.status.watch_if_due()
    found.clear()
    look()
    words = "Replay: replays: {}; runbook key-compromise"
    assert told == [("alert_started", words.format(2)), ("alert_ended", words.format(9))]


def test_K_alerts_without_threads(status: Any) -> None:
    """Where no thread can be had the look is left out, and taken at the next tick; no change waits for it."""
    from rapidjws.sidecar.worker_state import WorkerState

    looked = threading.Event()
    state: Any = object.__new__(WorkerState)
    state._observing, state.status = None, SimpleNamespace(observe=looked.set)
    with failing_starts(lambda number: number < 1):
        state._observe_on_thread()
        assert state._observing is None
        assert not looked.is_set()
        state._observe_on_thread()
        assert looked.wait(LIMIT_S)


@pytest.mark.parametrize("counting", [True, False], ids=["metrics", "evidence"])
def test_K_latencies_with_metrics_and_without(counting: bool) -> None:
    """Percentiles come from the shared counters, or from the evidence where metrics are off."""
    pytest.importorskip("httptools", reason="the extra `server` is not installed")
    from rapidjws.rollout import Partner
    from rapidjws.sidecar.change_bus import ChangeBus
    from rapidjws.sidecar.recent_events import RecentEvents
    from rapidjws.sidecar.report_writer import ReportWriter
    from rapidjws.sidecar.status import ServiceStatus
    from rapidjws.sidecar.worker_processes import Heartbeats
    from rapidjws.verify.counter_memory import CounterMemory
    from rapidjws.verify.verdict_counters import VerdictCounters

    policy = rollout(Partner(name="shop"))
    one = engine(policy)
    bus, memory, heartbeats = ChangeBus(1), CounterMemory(1), Heartbeats(1)
    bus.begin(0, bus.counters())
    region = memory.of_worker(0)
    region.begin()
    if counting:
        one.count_in(VerdictCounters(region))
    else:
        one._counters = None
    writer = ReportWriter(one, policy, RecentEvents(), bus.reports, 0)
    status = ServiceStatus(
        engine=one, rollout=policy, bus=bus, writer=writer, counters=memory, heartbeats=heartbeats
    )
    assert status.snapshot()["latency_us"]["requests"] == 0
    for _ in range(5):
        ask(one, good(), "shop")
    status._made_s = status._partners_s = float("-inf")
    found = status.snapshot()["latency_us"]
    assert found["requests"] == 5
    assert 0 < found["p50"] <= found["p95"] <= found["p99"]
    for each in (bus, heartbeats):
        each.close()
