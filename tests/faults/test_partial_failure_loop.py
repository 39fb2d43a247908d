"""Micro-batches on an event loop, where any step of theirs fails: nobody waits for ever or gets another's."""

from __future__ import annotations

import asyncio
import itertools
import random
import threading
from collections.abc import Awaitable, Callable
from typing import Any
from unittest import mock

import pytest
import tokens
from loop_answers import LIMIT_S, answers, answers_of, code, inline_up_to, mixed, raising, wanted
from thread_faults import failing_starts

import rapidjws
from rapidjws.jwt import micro_batch
from rapidjws.verify import parallel, worker_pool


@pytest.fixture(name="threads_only")
def _threads_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every batch handed to a worker thread."""
    inline_up_to(monkeypatch, -1)


@pytest.mark.usefixtures("threads_only")
@pytest.mark.parametrize("way", ["averify", "adecide"])
def test_S15_no_thread_no_waiting(way: str) -> None:
    """Whichever starts of worker threads fail, everyone is answered, each with its own verdict."""
    texts = mixed(40)
    engine = tokens.engine("HS256")
    for pattern in itertools.product((False, True), repeat=4):

        async def main() -> None:
            call = getattr(engine, way)
            for size in (1, 7, 40, 3):
                assert await answers([call(text) for text in texts[:size]]) == wanted(size)

        with failing_starts(lambda number, pattern=pattern: pattern[number % 4]):  # type: ignore[misc]
            asyncio.run(main())


@pytest.mark.usefixtures("threads_only")
@pytest.mark.parametrize("way", ["averify", "adecide"])
def test_S15_an_executor_that_refuses(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the interpreter goes down the executor takes nothing: the loop itself does the work."""
    refusing = mock.Mock()
    refusing.submit.side_effect = RuntimeError("cannot schedule new futures after interpreter shutdown")
    monkeypatch.setattr(worker_pool, "executor", lambda: refusing)
    engine = tokens.engine("HS256")

    async def main() -> None:
        call = getattr(engine, way)
        assert await answers([call(text) for text in mixed(20)]) == wanted(20)

    asyncio.run(main())
    assert refusing.submit.called


STEPS: dict[str, tuple[Any, str]] = {
    "the clock": (micro_batch.MicroBatcher, "clock"),
    "the snapshot": (micro_batch.MicroBatcher, "snapshot"),
    "the work on the loop": (parallel, "verify_chunk"),
    "the work on a thread": (parallel, "verify_many"),
    "the task": (worker_pool, "Task"),
    "the executor": (worker_pool, "executor"),
    "the length check": (parallel, "checked_length"),
    "what follows a verification": (micro_batch, "admitted"),
    "the error": (micro_batch, "_error_of"),
}
FAULTS = [RuntimeError, MemoryError, StopIteration, KeyError, asyncio.CancelledError, SystemExit]


@pytest.mark.parametrize("on_thread", [False, True])
@pytest.mark.parametrize("fault", FAULTS[:4])
@pytest.mark.parametrize("step", [step for step in STEPS if step != "the error"])
def test_S15_every_step_may_raise(
    step: str, fault: type[Exception], on_thread: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever step of a batch raises: everyone who waits gets the right verdict, or internal_error."""
    engine = tokens.engine("HS256")
    made = micro_batch.MicroBatcher.__init__

    def init(self: micro_batch.MicroBatcher, snapshot: Any, clock: Any, window_us: int) -> None:
        made(self, snapshot, clock, window_us, -1 if on_thread else 10**9)
        if step in ("the clock", "the snapshot"):
            setattr(self, STEPS[step][1], raising(fault))

    monkeypatch.setattr(micro_batch.MicroBatcher, "__init__", init)
    if step not in ("the clock", "the snapshot"):
        monkeypatch.setattr(*STEPS[step], raising(fault))

    async def main() -> list[str]:
        return await answers([engine.averify(text) for text in mixed(20)])

    right = wanted(20)
    for found in (asyncio.run(main()), asyncio.run(main())):
        assert all(one in (right[at], "internal_error") for at, one in enumerate(found)), found
    monkeypatch.undo()
    assert asyncio.run(main()) == right


@pytest.mark.usefixtures("threads_only")
def test_S15_who_gives_up_while_a_thread_works_disturbs_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """A waiter that is cancelled after its batch began leaves the others their verdicts."""
    engine = tokens.engine("HS256")
    begun, goes_on, real = threading.Event(), threading.Event(), parallel.verify_many

    def held(*args: Any, **more: Any) -> Any:
        begun.set()
        assert goes_on.wait(LIMIT_S)
        return real(*args, **more)

    monkeypatch.setattr(parallel, "verify_many", held)

    async def main() -> list[str]:
        loop = asyncio.get_running_loop()
        calls = [loop.create_task(_caught(engine.averify(text))) for text in mixed(9)]
        await loop.run_in_executor(None, begun.wait, LIMIT_S)
        calls[0].cancel()
        await asyncio.sleep(0)
        goes_on.set()
        return await answers(list(calls[1:]))

    assert asyncio.run(main()) == wanted(9)[1:]


@pytest.mark.usefixtures("threads_only")
@pytest.mark.parametrize("fault", FAULTS)
def test_S15_a_worker_that_dies(fault: type[BaseException], monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever ends the work on a thread, its batch gets internal_error, and the next one works."""
    engine = tokens.engine("HS256")
    with monkeypatch.context() as patch:
        patch.setattr(parallel, "verify_many", raising(fault))
        found = asyncio.run(answers_of(engine, 20))
    assert found == ["internal_error"] * 20
    assert asyncio.run(answers_of(engine, 20)) == wanted(20)


@pytest.mark.parametrize("fault", [KeyboardInterrupt, SystemExit])
def test_S15_what_ends_the_loop_ends_the_waiting(
    fault: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C in a batch ends the loop; who waited has an error when the loop runs again."""
    engine = tokens.engine("HS256")
    inline_up_to(monkeypatch, 10**9)
    loop = asyncio.new_event_loop()
    try:
        waiting = [loop.create_task(_caught(engine.averify(text))) for text in mixed(5)]
        with monkeypatch.context() as patch:
            patch.setattr(parallel, "verify_chunk", raising(fault))
            with pytest.raises(fault):
                loop.run_until_complete(asyncio.gather(*waiting))
        found = loop.run_until_complete(asyncio.wait_for(asyncio.gather(*waiting), LIMIT_S))
        assert [code(one) for one in found] == ["internal_error"] * 5
    finally:
        loop.close()


async def _caught(call: Awaitable[Any]) -> Any:
    try:
        return await call
    except rapidjws.RapidJWSError as refused:
        return refused


@pytest.mark.usefixtures("threads_only")
def test_S15_a_loop_that_is_hard_to_reach() -> None:
    """A worker's results that the loop does not take at once are offered again."""
    engine = tokens.engine("HS256")

    async def main() -> list[str]:
        loop = asyncio.get_running_loop()
        real, refusals = loop.call_soon_threadsafe, iter([MemoryError, RuntimeError])

        def reluctant(*args: Any, **more: Any) -> Any:
            fault = next(refusals, None)
            if fault is not None:
                raise fault
            return real(*args, **more)

        with mock.patch.object(loop, "call_soon_threadsafe", reluctant):
            return await answers([engine.averify(text) for text in mixed(9)])

    assert asyncio.run(main()) == wanted(9)


@pytest.mark.parametrize("change", [lambda found: found[1:], lambda found: [found[0], *found], lambda _: []])
@pytest.mark.parametrize("on_thread", [False, True])
def test_S15_results_of_another_length(
    change: Callable[[Any], Any], on_thread: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A guard or a batch that gives more or fewer results than tokens gives nobody another's."""
    engine = tokens.engine("HS256")
    name = "verify_many" if on_thread else "verify_chunk"
    real = getattr(parallel, name)
    monkeypatch.setattr(parallel, name, lambda *args, **more: change(real(*args, **more)))
    inline_up_to(monkeypatch, -1 if on_thread else 10**9)
    assert asyncio.run(answers_of(engine, 12)) == ["internal_error"] * 12


def test_S15_at_random_under_load() -> None:
    """Loops on several threads, batches of all sizes, starts failing at random: each answer is its own."""
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    engine = tokens.engine("HS256")
    texts = mixed(600)
    faults: list[BaseException] = []

    def serve(number: int) -> None:
        own = random.Random(seed + number)

        async def main() -> None:
            for _ in range(10):
                size = own.choice([1, 5, 50, 600])
                assert await answers([engine.averify(text) for text in texts[:size]]) == wanted(size)

        try:
            asyncio.run(main())
        except BaseException as fault:
            faults.append(fault)

    with (
        failing_starts(lambda _: chance.random() < 0.5) as starts,
        mock.patch.object(micro_batch.MicroBatcher.__init__, "__defaults__", (100,)),
    ):
        serving = [threading.Thread(target=serve, args=(at,), name=f"loop {at}") for at in range(4)]
        for one in serving:
            one.start()
        for one in serving:
            one.join(120)
        assert not any(one.is_alive() for one in serving)
    assert not faults, (seed, faults)
    assert starts.count, seed


def test_S15_a_refused_call_is_run_once() -> None:
    """A call that the executor queued before it raised runs on that thread or here, never twice."""
    runs: list[int] = []
    gate = threading.Event()
    with failing_starts(lambda number: number > 0):
        assert worker_pool.submit(worker_pool.Task(lambda: gate.wait(LIMIT_S)))  # the one thread is busy

        async def main() -> None:
            results = [
                worker_pool.call_on_thread(lambda number=number: runs.append(number), inline=True)  # type: ignore[misc]
                for number in range(5)
            ]
            await asyncio.wait_for(asyncio.gather(*results), LIMIT_S)
            with pytest.raises(rapidjws.InternalError):
                await worker_pool.call_on_thread(lambda: runs.append(99))

        asyncio.run(main())
        gate.set()
    assert sorted(runs) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("fault", [StopIteration, SystemExit, KeyError])
def test_S15_a_call_on_a_thread_ends(fault: type[BaseException]) -> None:
    """Whatever a call on a thread raises reaches who waits, also what no future takes."""

    async def main() -> None:
        wanted_error = fault if fault is KeyError else rapidjws.InternalError
        with pytest.raises(wanted_error):
            await asyncio.wait_for(worker_pool.call_on_thread(raising(fault)), LIMIT_S)

    asyncio.run(main())
