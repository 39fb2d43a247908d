"""Answers to many, where a thread cannot be started or a chunk fails: right, an error, or indeterminate."""

from __future__ import annotations

import gc
import itertools
import queue
import random
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import tokens
from thread_faults import failing_starts
from tokens import NOW_S

import rapidjws
from rapidjws.verify import parallel, table_builder
from rapidjws.verify import precomputed as hot
from rapidjws.verify.pipeline import Snapshot

Results = Sequence["rapidjws.VerifiedJWS | rapidjws.Rejected"]


def mixed(count: int, alg: str = "HS256") -> list[str]:
    """Return tokens that tell their position: every third one is forged, every seventh no token."""
    made = []
    for number in range(count):
        text = tokens.token(alg, jti=str(number))
        if number % 3 == 1:
            text = text.rpartition(".")[0] + "." + tokens.b64url(bytes(32))
        made.append("no token" if number % 7 == 5 else text)
    return made


def wanted(number: int) -> str:
    """Return what a token of ``mixed`` is to get."""
    if number % 7 == 5:
        return "malformed_token"
    return "signature_invalid" if number % 3 == 1 else f"ok {number}"


def found(result: rapidjws.VerifiedJWS | rapidjws.Rejected) -> str:
    """Return what a token got, in the words of ``wanted``."""
    return result.code if isinstance(result, rapidjws.Rejected) else f"ok {result.claims['jti']}"


def assert_right(results: Results, count: int, *, or_indeterminate: bool = False) -> int:
    """Check that each token got its own verdict; return how many are indeterminate."""
    assert len(results) == count
    seen = [found(one) for one in results]
    open_ones = [number for number, one in enumerate(seen) if one == "internal_error"]
    assert or_indeterminate or not open_ones, open_ones
    wrong = [(n, one) for n, one in enumerate(seen) if one not in (wanted(n), "internal_error")]
    assert not wrong, wrong[:5]
    return len(open_ones)


@pytest.mark.parametrize("workers", [2, 3, 5])
@pytest.mark.parametrize("count", [64, 200, 1500])
def test_S14_no_start_of_a_thread_moves_a_result(count: int, workers: int) -> None:
    """Whichever starts of helper threads fail, every token gets its own right verdict: the caller does it."""
    engine = rapidjws.Engine(tokens.issuer("HS256"), workers=workers)
    texts = mixed(count)
    failed = 0
    for pattern in itertools.product((False, True), repeat=workers):
        with failing_starts(lambda number, pattern=pattern: pattern[number % workers]) as starts:  # type: ignore[misc]
            for _ in range(3):
                assert_right(engine.verify_many(texts, NOW_S), count)
        failed += starts.failed
    assert failed >= 2 ** (workers - 1)


def test_S14_at_random_under_load() -> None:
    """Many calls at once, threads failing at random: no list is short, and no result is another token's."""
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    texts = mixed(2000)
    engines = [rapidjws.Engine(tokens.issuer("HS256"), workers=workers) for workers in (2, 4, 16)]
    faults: list[BaseException] = []

    def caller(number: int) -> None:
        own = random.Random(seed + number)
        try:
            for _ in range(12):
                count = own.choice([1, 31, 64, 65, 257, 700, 2000])
                assert_right(own.choice(engines).verify_many(texts[:count], NOW_S), count)
        except BaseException as fault:
            faults.append(fault)

    with failing_starts(lambda _: chance.random() < 0.6) as starts:
        callers = [
            threading.Thread(target=caller, args=(number,), name=f"caller {number}") for number in range(6)
        ]
        for one in callers:
            one.start()
        for one in callers:
            one.join(120)
        assert not any(one.is_alive() for one in callers)
    assert not faults, (seed, faults)
    assert starts.failed, seed


def spoil(monkeypatch: pytest.MonkeyPatch, change: Callable[[int, Any], Any]) -> list[int]:
    """Change what the core gives for the n-th list of tokens; return the numbers of the lists so far."""
    real = Snapshot.verify_list
    numbers = itertools.count()
    seen: list[int] = []

    def spoiled(self: Snapshot, some: list[Any], now_s: int, is_alone: bool) -> Any:
        number = next(numbers)
        seen.append(number)
        return change(number, real(self, some, now_s, is_alone))

    monkeypatch.setattr(Snapshot, "verify_list", spoiled, raising=False)
    return seen


def _raise(fault: BaseException) -> Any:
    raise fault


SPOILED: dict[str, Callable[[Any], Any]] = {
    "one missing": lambda results: results[1:],
    "one too many": lambda results: [results[0], *results],
    "none": lambda _: [],
    "no memory": lambda _: _raise(MemoryError()),
    "no thread": lambda _: _raise(RuntimeError("can't start new thread")),
}


@pytest.mark.parametrize("kind", SPOILED)
@pytest.mark.parametrize("at", range(4))
@pytest.mark.parametrize(("count", "workers"), [(100, 1), (700, 1), (300, 3)])
def test_S14_a_chunk_that_fails(
    kind: str, at: int, count: int, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A list of the core that fails, or has another length, loses no token and moves none."""
    engine = rapidjws.Engine(tokens.issuer("HS256"), workers=workers)
    spoil(monkeypatch, lambda number, results: SPOILED[kind](results) if number == at else results)
    assert_right(engine.verify_many(mixed(count), NOW_S), count)


@pytest.mark.parametrize("fault", [MemoryError, RecursionError, RuntimeError])
def test_S14_a_token_that_fails_is_alone(fault: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault of ours with one token is indeterminate for that one, and nothing for its neighbours."""
    engine = rapidjws.Engine(tokens.issuer("HS256"), workers=1)
    real = Snapshot.result_or_error

    def failing(self: Snapshot, token: Any, result: Any, now_s: int) -> Any:
        if token == "no token":
            raise fault
        return real(self, token, result, now_s)

    monkeypatch.setattr(Snapshot, "result_or_error", failing)
    results = engine.verify_many(mixed(100), NOW_S)
    assert assert_right(results, 100, or_indeterminate=True) == len([n for n in range(100) if n % 7 == 5])


@pytest.mark.parametrize("fault", [KeyError, SystemExit, KeyboardInterrupt, MemoryError])
def test_S14_a_helper_that_dies_leaves_refusals(
    fault: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A chunk that its thread never finished is indeterminate for each of its tokens, and none is absent."""
    engine = rapidjws.Engine(tokens.issuer("HS256"), workers=3)
    real = parallel.verify_chunk
    died = threading.Event()
    caller = threading.current_thread()

    def failing(*args: Any, **options: Any) -> Any:
        if threading.current_thread() is caller:
            assert died.wait(60)  # a helper had its chunk by now
            return real(*args, **options)
        died.set()
        raise fault

    monkeypatch.setattr(parallel, "verify_chunk", failing)
    results = engine.verify_many(mixed(300), NOW_S)
    size = parallel.MIN_CHUNK_TOKENS
    assert assert_right(results, 300, or_indeterminate=True) in (size, 2 * size, size + 300 % size)


@pytest.mark.parametrize("change", [lambda found: found[1:], lambda found: [*found, found[0]], lambda _: []])
def test_S14_chunks_of_another_length(change: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A chunk that comes out longer or shorter is refused for its own tokens, and moves no other's result."""
    engine = rapidjws.Engine(tokens.issuer("HS256"), workers=1)
    real, numbers = parallel.verify_chunk, itertools.count()

    def changed(*args: Any, **options: Any) -> Any:
        found = real(*args, **options)
        return change(found) if next(numbers) == 1 else found

    monkeypatch.setattr(parallel, "verify_chunk", changed)
    assert (
        assert_right(engine.verify_many(mixed(900), NOW_S), 900, or_indeterminate=True)
        == parallel.SLICE_TOKENS
    )


def test_S14_a_last_chunk_of_another_length_leaves_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where only the end of a batch is not finished, all before it keep their verdicts."""
    engine = rapidjws.Engine(tokens.issuer("HS256"), workers=1)
    real, count = parallel.verify_chunk, 900
    last = (count - 1) % parallel.SLICE_TOKENS + 1

    def changed(snapshot: Any, some: Any, now_ns: int, **options: Any) -> Any:
        found = real(snapshot, some, now_ns, **options)
        return found[1:] if len(some) == last else found

    monkeypatch.setattr(parallel, "verify_chunk", changed)
    results = engine.verify_many(mixed(count), NOW_S)
    assert assert_right(results, count, or_indeterminate=True) == last


@pytest.mark.parametrize("admitted", [True, False])
def test_S14_a_begun_task_is_awaited(admitted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A helper that has begun is waited for, also where the executor said that it could not be had."""
    engine = rapidjws.Engine(tokens.issuer("HS256"), workers=2)
    real, caller = parallel.verify_chunk, threading.current_thread()
    begun, others_done, threads = threading.Event(), threading.Event(), []  # type: ignore[var-annotated]
    jobs: list[Any] = []

    def chunk(snapshot: Any, some: Any, now_s: int, **options: Any) -> Any:
        if threading.current_thread() is caller:
            assert begun.wait(60)
            found = real(snapshot, some, now_s, **options)
            if not jobs[0].chunks:
                others_done.set()
            return found
        begun.set()
        assert others_done.wait(60)
        assert not late.wait(0.2)  # the caller has nothing left to do but wait for this
        return real(snapshot, some, now_s, **options)

    late = threading.Event()

    def submit(task: Any) -> bool:
        jobs.append(task._waiting[0].__self__)
        threads.append(threading.Thread(target=task.run, name="helper"))
        threads[-1].start()
        return admitted

    monkeypatch.setattr(parallel, "verify_chunk", chunk)
    monkeypatch.setattr(parallel, "submit", submit)
    results = engine.verify_many(mixed(300), NOW_S)
    seen = list(results)
    for one in threads:
        one.join(60)
    assert_right(seen, 300)


@pytest.mark.parametrize("fault", [KeyboardInterrupt, SystemExit, TimeoutError])
def test_S14_an_interrupt_ends_the_call(fault: type[BaseException], monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C, an exit or a signal handler's exception in the caller's chunk is raised; nothing goes on."""
    engine = rapidjws.Engine(tokens.issuer("HS256"), workers=3)
    real = Snapshot.verify_list
    caller = threading.current_thread()
    over = threading.Event()
    chunks = itertools.count()

    def interrupted(self: Snapshot, *args: Any) -> Any:
        next(chunks)
        if threading.current_thread() is caller:
            over.set()
            raise fault
        assert over.wait(60)  # the helpers leave the caller its chunk
        time.sleep(0.05)
        return real(self, *args)

    monkeypatch.setattr(Snapshot, "verify_list", interrupted, raising=False)
    with failing_starts(lambda _: False), pytest.raises(fault):
        engine.verify_many(mixed(1500), NOW_S)
    assert next(chunks) < 1500 // 125  # the helpers ended with the chunk they had
    monkeypatch.undo()
    assert_right(engine.verify_many(mixed(300), NOW_S), 300)


def test_S14_a_list_that_changes_meanwhile() -> None:
    """A caller's list that shrinks or grows during the call changes neither length nor order."""
    engine = rapidjws.Engine(tokens.issuer("HS256"), workers=2)
    texts = mixed(600)
    stop = threading.Event()
    shared = list(texts)

    def changing() -> None:
        while not stop.is_set():
            shared.append(shared.pop(0))
            shared[:] = texts

    thread = threading.Thread(target=changing, name="changing")
    thread.start()
    try:
        for _ in range(20):
            results = engine.verify_many(shared, NOW_S)
            good = [int(one.claims["jti"]) for one in results if isinstance(one, rapidjws.VerifiedJWS)]
            assert sorted(set(good)) == sorted(good)
    finally:
        stop.set()
        thread.join(60)


def test_S24_no_table_thread_no_fault(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the thread that builds tables cannot start, verdicts stay right; the next one builds all."""
    builder = table_builder.TableBuilder()
    monkeypatch.setattr(table_builder, "builder", builder)
    engine = rapidjws.Engine(tokens.issuer("ES256"), workers=2, precompute_threshold=2)
    other = rapidjws.Engine(tokens.issuer("ES256"), workers=2, precompute_threshold=2)
    text = tokens.token("ES256")
    refuse = True
    with failing_starts(lambda _: refuse, only="rapidjws-tables") as starts:
        for _ in range(3):
            assert engine.verify(text, NOW_S).claims["sub"] == "user-1"
        assert all(isinstance(one, rapidjws.VerifiedJWS) for one in other.verify_many([text] * 80, NOW_S))
        assert starts.failed == builder.failures >= 2
        assert not engine.precomputed_kids
        assert "can't start new thread" in caplog.text
        refuse = False
        built = threading.Event()
        monkeypatch.setattr(
            rapidjws.Engine,
            "_publish_tables",
            lambda self, real=rapidjws.Engine._publish_tables: (
                real(self),
                other.precomputed_kids and built.set(),
            ),
        )
        third = rapidjws.Engine(tokens.issuer("ES256"), precompute_threshold=1)
        third.verify(text, NOW_S)
        assert built.wait(60)
    assert engine.precomputed_kids == other.precomputed_kids == ("k1-es256",)


def test_S24_failed_turns_are_logged_once_a_minute(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each failure counts; a line of log comes with the first, and with the first after each minute."""
    moments = iter([1000.0, 1000.5, 1059.9, 1060.0, 1060.1])
    monkeypatch.setattr(table_builder, "monotonic", lambda: next(moments))
    builder = table_builder.TableBuilder()
    for _ in range(5):
        builder._failed(MemoryError("none left"))
    assert builder.failures == 5
    assert [one.getMessage().startswith("no precomputed table") for one in caplog.records] == [True, True]


def test_S24_a_builder_survives_what_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table that cannot be built for want of memory takes neither the thread nor other tables with it."""
    builder = table_builder.TableBuilder()
    monkeypatch.setattr(table_builder, "builder", builder)
    engines = [rapidjws.Engine(tokens.issuer("ES256"), precompute_threshold=1) for _ in range(3)]
    text = tokens.token("ES256")
    built: queue.SimpleQueue[hot.PrecomputedKeys] = queue.SimpleQueue()
    real = hot.PrecomputedKeys.take_turn

    def take_turn(self: hot.PrecomputedKeys, owner: Any) -> bool:
        if self is engines[0]._precomputed:
            raise MemoryError
        left = real(self, owner)
        built.put(self)
        return left

    monkeypatch.setattr(hot.PrecomputedKeys, "take_turn", take_turn)
    with failing_starts(
        lambda number: number == 0, only="rapidjws-tables"
    ):  # the first two orders come together
        assert engines[0].verify(text, NOW_S)
        assert engines[1].verify(text, NOW_S)
        assert built.get(timeout=60) is engines[1]._precomputed
        assert engines[2].verify(text, NOW_S)
        assert built.get(timeout=60) is engines[2]._precomputed
    assert builder.failures == 2  # the start, and the table of the first


def test_S24_waiting_orders_keep_no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine whose table was ordered and never built is let go like any other."""
    monkeypatch.setattr(table_builder, "builder", table_builder.TableBuilder())
    with failing_starts(lambda _: True, only="rapidjws-tables") as starts:
        engine = rapidjws.Engine(tokens.issuer("ES256"), precompute_threshold=1)
        engine.verify(tokens.token("ES256"), NOW_S)
        assert starts.failed
        gone = weakref.ref(engine)
        del engine
        gc.collect()
        assert gone() is None
