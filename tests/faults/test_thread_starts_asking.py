"""Threads that ask an authorization server or poll for signals, where none can be had."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import statuses
from introspected import OPAQUE, Server, opaque_engine
from issuers import wait_for
from thread_faults import NO_THREAD, failing_starts

import rapidjws
from rapidjws.sidecar.periodic_poll import PeriodicPoll

LIMIT_S = 60
FAULTS = [RuntimeError(NO_THREAD), MemoryError()]


def test_S15_no_thread_to_ask() -> None:
    """It is indeterminate, and nobody was asked; the next one is answered."""
    server = Server()
    engine = opaque_engine(server)

    async def main() -> list[str]:
        first = await asyncio.wait_for(engine.adecide(OPAQUE), LIMIT_S)
        second = await asyncio.wait_for(engine.adecide(OPAQUE), LIMIT_S)
        assert first.outcome == "indeterminate"
        return [first.code, second.code]

    with failing_starts(lambda number: number == 0):
        assert asyncio.run(main()) == ["internal_error", "ok"]


class Signals:
    """Signals that are polled each second."""

    poll_s = 1.0

    def __init__(self) -> None:
        self.polls = 0

    def poll(self) -> bool:
        """Count a poll."""
        self.polls += 1
        return False


def test_S15_no_thread_to_poll() -> None:
    """No thread, no poll; the next one that is due is made."""
    signals, bus = Signals(), None
    polls = PeriodicPoll(signals, bus)  # type: ignore[arg-type]
    with failing_starts(lambda number: number == 0):
        polls.on_tick(1.0)
        assert polls._task is None
        polls.on_tick(1.5)
        assert polls._task is None
        polls.on_tick(2.0)
    task: Any = polls._task
    task.future.result(LIMIT_S)
    assert signals.polls == 1


@pytest.mark.parametrize("fault", FAULTS)
def test_S24_no_thread_for_a_status_list(fault: Exception) -> None:
    """A fetch whose thread cannot be started is a failed one, and is tried again."""
    reported: list[rapidjws.Event] = []
    source = statuses.source(statuses.Served(statuses.listed()), events=reported.append)
    with failing_starts(lambda number: number == 0, only="rapidjws-status-list", fault=fault):
        source.start()
        wait_for(lambda: source.current() is not None, LIMIT_S)
    assert [one.detail for one in reported if one.name == "status_list_fetched"] == ["internal", None]
