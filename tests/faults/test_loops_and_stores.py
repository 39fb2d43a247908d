"""What a micro-batch holds up and holds on to: the loop under a slow store, and loops that are over."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import tokens
from loop_answers import LIMIT_S, answers, answers_of, inline_up_to, mixed, raising, wanted
from thread_faults import failing_starts

import rapidjws
from rapidjws.jwt.post_checks import PostChecks
from rapidjws.stores import MemoryReplayStore


@pytest.fixture(name="threads_only")
def _threads_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every batch handed to a worker thread."""
    inline_up_to(monkeypatch, -1)


class SlowStore:
    """A replay store that may wait; it says how often each use was recorded, and on which threads.

    Args:
        answer: Waited for before each answer.
    """

    blocking = True

    def __init__(self, answer: threading.Event | None = None) -> None:
        self._answer = answer
        self._memory = MemoryReplayStore()
        self.uses: list[bytes] = []
        self.threads: set[int] = set()

    def record(self, entries: Any) -> Any:
        """Record uses once the event is set."""
        self.threads.add(threading.get_ident())
        assert self._answer is None or self._answer.wait(LIMIT_S)
        self.uses += [key for key, _ in entries]
        return self._memory.record(entries)


def replay_engine(store: Any, **options: Any) -> rapidjws.Engine:
    """Return an engine whose tokens are used once."""
    one = tokens.issuer("HS256", replay=rapidjws.Replay(store=store))
    return rapidjws.Engine(one, **options)


@pytest.mark.parametrize("given_now", [False, True])
@pytest.mark.parametrize("cached", [False, True])
def test_T12_a_slow_store_leaves_the_loop_free(cached: bool, given_now: bool) -> None:
    """The loop turns on while a blocking store is asked, for new, cached and dated tokens alike."""
    answer = threading.Event()
    answer.set()
    store = SlowStore(answer)
    engine = replay_engine(store, cache=rapidjws.TokenCache() if cached else None)
    text = mixed(1)[0]
    assert engine.verify(text).claims["jti"] == "0"  # remembered from now on, where there is a cache
    here = threading.get_ident()
    store.threads.clear()
    answer.clear()

    async def main() -> str:
        call = asyncio.ensure_future(answers([engine.averify(text, time.time() if given_now else None)]))
        for _ in range(50):
            await asyncio.sleep(0.001)
        assert not call.done()
        answer.set()
        return (await call)[0]

    assert asyncio.run(main()) == "replayed"
    assert here not in store.threads


@pytest.mark.parametrize("cached", [False, True])
def test_S15_a_blocking_store_and_no_thread(cached: bool) -> None:
    """Without a thread a blocking store is not asked on the loop: a token is neither used nor accepted."""
    store = SlowStore()
    engine = replay_engine(store, cache=rapidjws.TokenCache() if cached else None)
    first, second = mixed(3)[0], mixed(3)[2]

    async def main() -> list[str]:
        return await answers([engine.averify(first), engine.averify(second)])

    with failing_starts(lambda number: number < 2 or number > 3) as starts:
        assert asyncio.run(main()) == ["internal_error"] * 2
        assert not store.uses
        while starts.count < 2:
            assert asyncio.run(main()) == ["internal_error"] * 2
        assert asyncio.run(main()) == ["0", "2"]
    assert len(store.uses) == 2  # what was taken back is not run by a thread that comes later


def test_S15_a_guard_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where revocations and replays cannot be checked, nothing is accepted; refusals stay as they are."""
    engine = replay_engine(MemoryReplayStore())
    monkeypatch.setattr(PostChecks, "run_all", raising(KeyError))
    right = ["internal_error" if one != "signature_invalid" else one for one in wanted(9)]
    assert asyncio.run(answers_of(engine, 9)) == right
    many = engine.verify_many(mixed(9))
    assert [one.code for one in many if isinstance(one, rapidjws.Rejected)] == right


def loops_alive(engine: rapidjws.Engine, run: Callable[[asyncio.AbstractEventLoop], None], count: int) -> int:
    """Return how many of so many loops are left after each was used and closed."""
    left: list[weakref.ref[Any]] = []
    for _ in range(count):
        loop = asyncio.new_event_loop()
        run(loop)
        loop.close()
        left.append(weakref.ref(loop))
        del loop
    gc.collect()
    return sum(one() is not None for one in left)


@pytest.mark.parametrize("window_us", [0, 500, 100_000])
@pytest.mark.parametrize("pending", [False, True])
def test_S23_a_loop_is_let_go(window_us: int, pending: bool) -> None:
    """No event loop lives as long as an engine that it used, also where it is closed within a batch."""
    engine = rapidjws.Engine(tokens.issuer("HS256"), micro_batch_us=window_us)
    text = mixed(1)[0]

    def use(loop: asyncio.AbstractEventLoop) -> None:
        if not pending:
            loop.run_until_complete(engine.averify(text))
            return
        task = loop.create_task(engine.averify(text))
        loop.run_until_complete(asyncio.sleep(0))
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):  # unless it was done by then
            loop.run_until_complete(task)

    assert loops_alive(engine, use, 20) == 0
    assert not engine._batchers


@pytest.mark.usefixtures("threads_only")
def test_S23_a_loop_that_used_threads_is_let_go() -> None:
    """Neither does one whose batches were verified on worker threads."""
    engine = tokens.engine("HS256")
    text = mixed(1)[0]
    assert loops_alive(engine, lambda loop: loop.run_until_complete(engine.averify(text)) and None, 20) <= 1


def test_S23_an_engine_is_let_go() -> None:
    """No engine lives as long as a loop that it was used in."""
    loop = asyncio.new_event_loop()
    try:
        engine = tokens.engine("HS256")
        loop.run_until_complete(engine.averify(mixed(1)[0]))
        gone = weakref.ref(engine)
        del engine
        gc.collect()
        assert gone() is None
    finally:
        loop.close()
