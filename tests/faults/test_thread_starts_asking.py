"""Threads that ask an authorization server or poll for signals, where none can be had."""

from __future__ import annotations

import asyncio
from typing import Any

from introspected import OPAQUE, Server, opaque_engine
from thread_faults import failing_starts

from rapidjws.sidecar.periodic_poll import PeriodicPoll

LIMIT_S = 60


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
