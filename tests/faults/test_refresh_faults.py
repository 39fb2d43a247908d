"""Refreshes that race, and background threads that cannot start: nobody waits for ever, no set grows old."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from thread_faults import failing_starts
from tokens import public

from rapidjws._scheduler import Scheduler
from rapidjws.keys import fetch_schedule
from rapidjws.keys.fetch import Answer, FetchFailed
from rapidjws.keys.remote import RemoteJWKS
from rapidjws.verify.protocols import Event

URL = "https://issuer.example/jwks"
LIMIT_S = 60


class Web:
    """An issuer that answers with its keys, or as the test says.

    Args:
        before: Called with the number of each fetch, from 1; what it raises ends the fetch.
    """

    def __init__(self, before: Callable[[int], None] = lambda _: None) -> None:
        self.before = before
        self.count = 0

    def __call__(self, url: str, etag: str | None) -> Answer:
        """Return the set."""
        self.count += 1
        self.before(self.count)
        body = json.dumps({"keys": [public("ES256").as_dict()]})
        return Answer(status=200, headers={}, body=body.encode())


def refreshing(source: RemoteJWKS, found: list[bool], wait_s: float = LIMIT_S) -> threading.Thread:
    """Refresh on a thread of its own."""
    thread = threading.Thread(target=lambda: found.append(source.refresh(wait_s)), name="refreshing")
    thread.start()
    return thread


def test_A10_a_set_taken_before_the_question() -> None:
    """A refresh asked for between a fetch's set and that fetch's end is answered by the next one."""
    taken, asked = threading.Event(), threading.Event()

    def listen(event: Event) -> None:
        if event.name == "fetch_ok" and not taken.is_set():
            taken.set()
            assert asked.wait(LIMIT_S)  # the first fetch has put its set in place, and has not ended

    waiting: queue.SimpleQueue[threading.Thread] = queue.SimpleQueue()

    def before(number: int) -> None:
        if number == 2:
            waiting.get(timeout=LIMIT_S).join(0.3)  # it must not have its answer before this fetch

    web = Web(before)
    source = RemoteJWKS(URL, fetch=web, events=listen)
    source.start()
    assert taken.wait(LIMIT_S)
    real, found = source.invalidate, []  # type: ignore[var-annotated]

    def invalidate() -> None:
        real()
        asked.set()

    source.invalidate = invalidate  # type: ignore[method-assign]
    thread = refreshing(source, found)
    waiting.put(thread)
    thread.join(LIMIT_S)
    assert found == [True]
    assert source.ready
    assert web.count == 2


def test_A10_a_fetch_under_way_is_not_the_answer() -> None:
    """A fetch that began before the question may bring an older set: its success alone is no True."""
    begun, asked = threading.Event(), threading.Event()

    def before(number: int) -> None:
        if number == 1:
            begun.set()
            assert asked.wait(LIMIT_S)
        else:
            raise FetchFailed("timeout")

    source = RemoteJWKS(URL, fetch=Web(before))
    source.start()
    assert begun.wait(LIMIT_S)
    real, found = source.invalidate, []  # type: ignore[var-annotated]

    def invalidate() -> None:
        real()
        asked.set()

    source.invalidate = invalidate  # type: ignore[method-assign]
    refreshing(source, found).join(LIMIT_S)
    assert found == [False]
    assert source.ready


def test_A10_a_bound_that_is_over() -> None:
    """When the time is over, a set taken since the question counts; without any the answer is False."""
    hold = threading.Event()

    def before(number: int) -> None:
        if number > 1:
            hold.wait(LIMIT_S)

    source = RemoteJWKS(URL, fetch=Web(before))
    assert source.refresh(LIMIT_S)
    assert not source.refresh(0.2)
    hold.set()
    assert source.refresh(LIMIT_S)


def test_A10_many_at_once() -> None:
    """Whoever asks, in whatever order, has True where every fetch succeeds; more than may wait, too."""
    source = RemoteJWKS(URL, fetch=Web())
    waiting = [source.next_answer() for _ in range(1030)]
    found: list[bool] = []
    threads = [refreshing(source, found) for _ in range(8)]
    for thread in threads:
        thread.join(LIMIT_S)
    assert found == [True] * 8
    assert all(one.done() for one in waiting)


@pytest.mark.parametrize("fault", [SystemExit, KeyError, MemoryError, KeyboardInterrupt, FetchFailed("tls")])
def test_S15_a_fetch_that_dies_is_followed_by_another(fault: Any) -> None:
    """Whatever ends a fetch, who waits is let go, and the next fetch comes."""

    def before(number: int) -> None:
        if number == 1:
            raise fault

    source = RemoteJWKS(URL, fetch=Web(before))
    assert not source.refresh(LIMIT_S)
    assert source.status().failures == 1
    assert source.refresh(LIMIT_S)


def _unreadable(*_: Any, **__: Any) -> Any:
    raise AssertionError("spoiled")


class _Odd(FetchFailed):
    """A failure of a fetch that was handed in, whose members are others than promised."""

    def __init__(self) -> None:
        super().__init__("status")
        self.retry_after = 5  # type: ignore[assignment]


@pytest.mark.parametrize("fault", [FetchFailed("connect"), KeyboardInterrupt(), _Odd()], ids=repr)
def test_nothing_leaves_the_thread_of_a_fetch(
    fault: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kept set whose reading fails, or a failure with odd members: the thread ends, the next one comes."""
    left: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", left.append)
    threads: list[threading.Thread] = []

    def before(number: int) -> None:
        threads.append(threading.current_thread())
        if number == 1:
            raise fault

    source = RemoteJWKS(URL, fetch=Web(before), last_good=tmp_path / "kept")
    with monkeypatch.context() as spoiled:
        spoiled.setattr("rapidjws.keys.last_good.read", _unreadable)
        assert not source.refresh(LIMIT_S)
        threads[0].join(LIMIT_S)
    assert source.status().failures == 1
    assert source.refresh(LIMIT_S)
    threads[1].join(LIMIT_S)
    assert left == []


def test_S24_a_fetch_thread_that_cannot_start() -> None:
    """Without a thread to fetch, a refresh is False at once; with one again it is True."""
    source = RemoteJWKS(URL, fetch=Web())
    with failing_starts(lambda number: number == 0, only="rapidjws-jwks"):
        assert not source.refresh(LIMIT_S)
        assert source.refresh(LIMIT_S)


def test_S24_a_timer_that_cannot_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the timer's thread cannot start, plans are kept, and the next look at the source starts it."""
    timer = Scheduler()
    monkeypatch.setattr(fetch_schedule, "scheduler", timer)
    monkeypatch.setattr("rapidjws.keys.source.scheduler", timer)
    called = threading.Event()

    class Waiting:
        def due(self) -> None:
            called.set()

    waiting = Waiting()
    refuse = True
    with failing_starts(lambda _: refuse, only="rapidjws-keys"):
        source = RemoteJWKS(URL, fetch=Web())
        assert source.refresh(LIMIT_S)
        assert not timer.call_at(0.0, waiting.due)
        assert source.ready
        assert source._wake_at is None
        refuse = False
        assert source.ready
        assert called.wait(LIMIT_S)


def test_a_fetch_has_ended_for_who_hears_of_its_end() -> None:
    """Who hears that a fetch ended may ask for the next one at once, and has an answer within the bound."""
    found: list[bool] = []
    heard = threading.Event()

    def listen(event: Event) -> None:
        if event.name == "fetch_ended" and not heard.is_set():
            heard.set()
            found.append(source._fetch_in_progress)

    source = RemoteJWKS(URL, fetch=Web(), events=listen)
    assert source.refresh(LIMIT_S)
    assert heard.wait(LIMIT_S)
    assert found == [False]
