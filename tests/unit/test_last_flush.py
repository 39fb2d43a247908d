"""What was counted is put by without another request, and before a server ends by a signal of its own."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest
from counting import KEY, bad, seen
from issuers import wait_for
from rollouts import engine, rollout

from rapidjws.middleware import JWSMiddleware
from rapidjws.rollout import StateFolder
from rapidjws.rollout import evidence as module
from rapidjws.rollout.evidence import Evidence
from rapidjws.rollout.rollout import first_plan


def test_the_last_requests_before_a_rest_are_put_by(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No request follows: they are in the folder a moment later, and then nothing is written."""
    monkeypatch.setattr(module, "FLUSH_S", 0.05)
    evidence = Evidence(tmp_path)
    writes: list[str] = []
    flush = evidence.flush
    monkeypatch.setattr(Evidence, "flush", lambda self: (writes.append("flush"), flush())[1])
    for count in (3, 2):
        before = len(writes)
        for _ in range(count):
            evidence.count(KEY, bad())
        wait_for(lambda: len(writes) > before and not evidence._is_new, 60)  # noqa: B023
    wait_for(lambda: seen(tmp_path) == 5, 60)
    quiet = len(writes)
    threading.Event().wait(0.3)  # several times as long as it takes
    assert len(writes) == quiet


def test_a_lifespan_that_ends_puts_by_what_was_counted(tmp_path: Path) -> None:
    """Before the server hears that the application ended: uvicorn then ends by the signal it got."""
    policy = rollout(state=StateFolder(tmp_path, first_plan()))
    found: list[int] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for kind in ("startup", "shutdown"):
            assert (await receive())["type"] == f"lifespan.{kind}"
            await send({"type": f"lifespan.{kind}.complete"})

    async def live() -> None:
        middleware = JWSMiddleware(app, engine=engine(policy))
        waiting = ["lifespan.shutdown", "lifespan.startup"]

        async def receive() -> Any:
            return {"type": waiting.pop()}

        async def send(message: Any) -> None:
            if message["type"] == "lifespan.startup.complete":
                policy.evidence.count(KEY, bad())
                policy.evidence._is_planned = True  # the timer has nothing to do with it
            found.append(seen(tmp_path))

        await middleware({"type": "lifespan"}, receive, send)

    asyncio.run(live())
    assert found == [0, 1]
