"""A worker's evidence is written beside its loop: a disk that hangs stops no heartbeat."""

from __future__ import annotations

import asyncio
import os
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from rapidjws.sidecar import worker
from rapidjws.sidecar.worker import FLUSH_S, SLOW_FLUSH_S, PeriodicFlush

WAIT_S = 60.0


class Disk:
    """A flush that waits until it is let go, and notes how many wait at once."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.free = threading.Event()
        self.calls = 0
        self.at_once = 0
        self.most = 0

    def flush(self) -> None:
        """Wait as a disk that hangs has its writer wait."""
        self.calls += 1
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        self.begun.set()
        self.free.wait(WAIT_S)
        self.at_once -= 1


def test_a_disk_that_hangs_stops_no_heartbeat(monkeypatch: pytest.MonkeyPatch) -> None:
    """A flush that never returns: the worker's loop beats on, does what is due, and begins no second one."""
    disk, free = Disk(), threading.Event()
    beats: list[int] = []
    ticks: list[float] = []

    class Server:
        async def close(self) -> None:
            """Close nothing."""

    async def listen(*_: Any) -> Server:
        return Server()

    async def has_keys(*_: Any) -> bool:
        return True

    def beat(_: int) -> None:
        if disk.begun.is_set():
            beats.append(1)
        if len(beats) >= 4:
            free.set()

    public: Any = SimpleNamespace(
        rollout=SimpleNamespace(evidence=disk),
        settings=SimpleNamespace(grpc_listen=None, drain_s=0.0),
        **dict.fromkeys(("sync", "follow", "note_tables", "report"), lambda: None),
        app=SimpleNamespace(signals=None, lines=None, recent=None, event_log=None),
        change_bus=None,
        on_tick=ticks.append,
        print_line=lambda line: None,
        connections=set(),
        draining=False,
    )
    life, life_end = os.pipe()
    status_end, status = os.pipe()
    parent: Any = SimpleNamespace(heartbeats=SimpleNamespace(beat=beat), life=life, status=status)
    sockets: Any = SimpleNamespace(public=None, admin=None, grpc=None, index=0)
    monkeypatch.setattr(worker, "FLUSH_S", 0.0)
    monkeypatch.setattr(worker, "_listen", listen)
    monkeypatch.setattr(worker, "_await_keys", has_keys)

    def end() -> None:
        try:
            free.wait(15.0)
        finally:
            disk.free.set()  # a loop that waits for the disk goes on too, and is found out below
            os.close(life_end)

    ending = threading.Thread(target=end)
    ending.start()
    try:
        asyncio.run(worker._run(public, sockets, parent))
    finally:
        ending.join()
        for descriptor in (life, status, status_end):
            os.close(descriptor)
    assert free.is_set(), f"{len(beats)} heartbeats while the disk hung"
    assert len(ticks) >= 4
    assert disk.most == 1


def wait_until_done(flushes: PeriodicFlush) -> None:
    """Wait for the flush under way."""
    task = flushes._task
    assert task is not None
    assert task.future.exception(WAIT_S) is None


def test_one_flush_is_under_way_at_most_and_the_next_begins_when_it_is_due() -> None:
    """However late, the next one begins after the one before; the report comes after each, on the loop."""
    disk = Disk()
    reports: list[int] = []
    flushes = PeriodicFlush(disk.flush, lambda: reports.append(disk.calls), lambda line: None, 100.0)
    flushes.on_tick(100.0 + FLUSH_S - 0.01)
    assert flushes._task is None
    flushes.on_tick(100.0 + FLUSH_S)
    assert disk.begun.wait(WAIT_S)
    flushes.on_tick(100.0 + 3 * FLUSH_S)
    assert (disk.calls, reports) == (1, [])
    disk.free.set()
    wait_until_done(flushes)
    flushes.on_tick(100.0 + 3 * FLUSH_S)
    wait_until_done(flushes)
    assert reports == [1]
    flushes.on_tick(100.0 + 3 * FLUSH_S + 0.01)
    assert (disk.calls, disk.most, reports) == (2, 1, [1, 2])
    assert flushes._task is None


def test_a_disk_that_does_not_answer_is_reported_once_and_that_it_is_over() -> None:
    """A line for the operator after ten seconds, not at each look, and one once it is over."""
    disk = Disk()
    lines: list[str] = []
    flushes = PeriodicFlush(disk.flush, lambda: None, lines.append, 0.0)
    flushes.on_tick(FLUSH_S)
    flushes.on_tick(FLUSH_S + SLOW_FLUSH_S - 0.01)
    assert lines == []
    flushes.on_tick(FLUSH_S + SLOW_FLUSH_S)
    flushes.on_tick(FLUSH_S + SLOW_FLUSH_S + 1)
    line = "the rollout's evidence is not written: the disk has not answered for 10 s"
    assert lines == [line]
    disk.free.set()
    wait_until_done(flushes)
    flushes.on_tick(100.0)
    assert lines == [line, f"over: {line}"]


def test_what_a_flush_raises_comes_out_once_and_the_next_one_is_made() -> None:
    """It is written in the log by who turns the loop; flushes go on."""
    calls: list[int] = []

    def flush() -> None:
        calls.append(1)
        if len(calls) == 1:
            raise MemoryError

    flushes = PeriodicFlush(flush, lambda: None, lambda line: None, 0.0)
    flushes.on_tick(FLUSH_S)
    assert flushes._task is not None
    assert isinstance(flushes._task.future.exception(WAIT_S), MemoryError)
    with pytest.raises(MemoryError):
        flushes.on_tick(2 * FLUSH_S)
    flushes.on_tick(2 * FLUSH_S)
    wait_until_done(flushes)
    assert len(calls) == 2


def test_where_no_thread_can_be_had_a_flush_is_tried_again_when_it_is_due(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It does not run on the loop in its place."""
    disk = Disk()
    disk.free.set()
    flushes = PeriodicFlush(disk.flush, lambda: None, lambda line: None, 0.0)
    with monkeypatch.context() as without_threads:
        without_threads.setattr(worker, "submit", lambda task: False)
        flushes.on_tick(FLUSH_S)
    assert disk.calls == 0
    flushes.on_tick(2 * FLUSH_S - 0.01)
    assert flushes._task is None
    flushes.on_tick(2 * FLUSH_S)
    wait_until_done(flushes)
    assert disk.calls == 1
