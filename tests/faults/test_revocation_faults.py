"""Revocations when writers race, entries are hostile, streams vanish, primaries die, files fail."""

from __future__ import annotations

import contextlib
import itertools
import json
import random
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from issuers import code, now_s, wait_for
from processes import run_python
from redis_server import OwnRedis

from rapidjws import DependencyUnavailable, Engine, Event, Issuer, Revocation
from rapidjws.stores import RedisRevocations
from rapidjws.testing import FakeIssuer

ISSUER = FakeIssuer("https://a.example", "ES256", lifetime_s=3600)
STREAM, BEGIN = "rapidjws:revocations", {"change": '{"verb": "begin"}'}


def engine_of(store: Any) -> Engine:
    """Make an engine on a revocation store."""
    rules = Issuer(ISSUER.iss, keys=ISSUER.jwks, algorithms=["ES256"], audience=ISSUER.audience)
    return Engine(rules, revocations=store)


def token_of(jti: str = "a") -> str:
    """Return a good token."""
    return ISSUER.token(ISSUER.claims(now_s(), jti=jti))


def client_of(redis: OwnRedis) -> Any:
    """Return a client of the test's own."""
    import redis as client

    return client.Redis.from_url(redis.url)


@pytest.fixture(name="redis")
def _redis(tmp_path: Path) -> Iterator[OwnRedis]:
    server = OwnRedis(tmp_path)
    yield server
    server.stop()


def alone(redis: OwnRedis, **named: Any) -> RedisRevocations:
    """Return a store that nothing but the test reads: without its thread."""
    return RedisRevocations(redis.url, timeout_s=5, **named)


# --- S16: entries ----------------------------------------------------------------------------------------

HOSTILE: list[dict[str, Any] | str] = [
    '{"verb": "revoke", "jti": "x", "at_s": 1' + "0" * 400 + "}",
    '{"verb": "revoke", "at_s": 1, "issued_before": 1' + "0" * 400 + "}",
    '{"verb": "revoke", "at_s": NaN, "jti": "x"}',
    '{"verb": "revoke", "at_s": Infinity, "jti": "x"}',
    '{"verb": ["revoke"], "at_s": 1, "jti": "x"}',
    '{"verb": {"a": 1}, "at_s": 1, "jti": "x"}',
    '{"verb": "revoke", "at_s": {}, "jti": "x"}',
    '{"verb": "revoke", "at_s": 1, "jti": "' + "x" * 20_000 + '"}',
    '{"verb": "revoke", "at_s": 1, "jti": "\\ud800", "": 1}',
    "[" * 100_000,
    "9" * 10_000,
    "\x00",
    "null",
    '{"verb": "revoke", "at_s": 1, "self": 1}',
]


def test_S16_no_entry_stops_the_list(redis: OwnRedis) -> None:
    """Each hostile entry is skipped and reported, by who runs and by who starts; what follows it holds."""
    events: list[Event] = []
    store = alone(redis, events=events.append)
    with client_of(redis) as there:
        for number, text in enumerate(HOSTILE):
            there.xadd(STREAM, {"change": text})
            there.xadd(STREAM, {"change": json.dumps({"verb": "revoke", "at_s": 1, "jti": str(number)})})
            assert store.load()[-1] == Revocation(jti=str(number)), text[:60]
        there.xadd(STREAM, {b"\xff": b"\xfe"})
        assert len(store.load()) == len(HOSTILE)
    assert [event.name for event in events] == ["revocation_unreadable"] * (len(HOSTILE) + 1)
    assert alone(redis).load() == store.load()


def test_S16_fuzzed_entries_stop_nothing(redis: OwnRedis) -> None:
    """A thousand entries with changed, dropped and doubled octets end in the same list for everybody."""
    seed = random.randrange(2**32)
    print("seed", seed)
    chance = random.Random(seed)
    good = json.dumps({"verb": "revoke", "at_s": 1.5, "jti": "a", "issuer": "b"}).encode()
    early = alone(redis)
    with client_of(redis) as there:
        for _ in range(1000):
            octets = bytearray(good)
            for _ in range(chance.randrange(1, 5)):
                at = chance.randrange(len(octets))
                octets[at : at + chance.randrange(3)] = chance.randbytes(chance.randrange(3))
            there.xadd(STREAM, {"change": bytes(octets)})
            if chance.random() < 0.05:
                early.load()
        there.xadd(STREAM, {"change": good})
    assert early.load() == alone(redis).load()
    assert Revocation(jti="a", issuer="b") in early.load()


# --- S17, T9: writers ------------------------------------------------------------------------------------


@pytest.mark.parametrize("writers", [2, 3])
def test_S17_the_streams_order_is_everybodys(redis: OwnRedis, writers: int) -> None:
    """Whoever writes what in whatever order: in the end all hold what the stream says, and a newcomer too."""
    seed = random.randrange(2**32)
    print("seed", seed)
    chance = random.Random(seed)
    engines = [engine_of(RedisRevocations(redis.url, timeout_s=5, poll_s=0.02)) for _ in range(writers)]
    one = Revocation(jti="a")
    from concurrent.futures import ThreadPoolExecutor

    def write(engine: Engine, draws: list[bool]) -> None:
        for revokes in draws:
            if revokes:
                engine.revoke(jti="a")
            else:
                engine.unrevoke(one)

    with ThreadPoolExecutor(writers) as many:
        for _ in range(10):
            draws = [[chance.random() < 0.5 for _ in range(5)] for _ in engines]
            for run in [many.submit(write, *both) for both in zip(engines, draws, strict=True)]:
                run.result()
            said = alone(redis).load()
            wait_for(lambda said=said: all(engine.revocations() == said for engine in engines), 20)


def test_S17_a_store_goes_by_what_it_reads_back(redis: OwnRedis) -> None:
    """A change of another that came between ours and its reading is heeded, for each order of three."""
    one = Revocation(jti="a")
    for verbs in itertools.product(("add", "remove"), repeat=3):
        stores = [alone(redis) for _ in range(3)]
        for store, verb in zip(stores, verbs, strict=True):
            getattr(store, verb)(one)
        expected = (one,) if verbs[-1] == "add" else ()
        assert [tuple(store.load()) for store in stores] == [expected] * 3


def test_S17_another_ones_lifting_right_after_ours_is_heeded(redis: OwnRedis) -> None:
    """An engine that revokes ends with what the stream says last, although it was reported while it sent."""
    store, other = alone(redis), alone(redis)
    engine = engine_of(store)
    send = store._send

    def overtaken(verb: str, *revocations: Revocation) -> bytes:
        entry = send(verb, *revocations)
        other.remove(revocations[0])
        return entry

    store._send = overtaken  # type: ignore[method-assign]
    engine.revoke(jti="a")
    assert engine.revocations() == ()
    assert code(engine, token_of()) == "ok"


def test_T9_a_revocation_is_listed_without_the_reader(redis: OwnRedis) -> None:
    """What was added holds at once, without the thread that reads, and though Redis is gone right after."""
    store = alone(redis)
    store.add(Revocation(jti="a"))
    assert store._thread is None
    assert store._listed == (Revocation(jti="a"),)
    sync = store._catch_up

    def gone() -> None:
        raise store._redis.errors[0]("gone")

    def unavailable() -> None:
        redis.stop()
        sync()

    store._catch_up = unavailable  # type: ignore[method-assign]
    store.add(Revocation(jti="b"))
    assert store._listed == (Revocation(jti="a"), Revocation(jti="b"))


# --- S27: streams that vanish ----------------------------------------------------------------------------


LOSSES = {
    "vanished": lambda there: there.flushall(),
    "renewed": lambda there: there.transaction(lambda at: [at.delete(STREAM), at.xadd(STREAM, BEGIN)]),
    "shortened": lambda there: there.xdel(STREAM, there.xrevrange(STREAM, count=1)[0][0]),
}


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("choice", ["keep", "refuse"])
def test_S27_a_lost_stream_is_reported_and_written_back(redis: OwnRedis, loss: str, choice: Any) -> None:
    """Whoever still has the list keeps it, says so, and writes it back; a newcomer has it then."""
    events: list[Event] = []
    first = alone(redis, on_loss=choice, events=events.append)
    first.begin()
    engine = engine_of(first)
    for jti in "abc":
        engine.revoke(jti=jti)
    engine.unrevoke(Revocation(jti="b"))
    engine.revoke(jti="b")
    expected = {Revocation(jti=jti) for jti in "abc"}
    with client_of(redis) as there:
        LOSSES[loss](there)
    wait_for(lambda: events and "revocation_stream_lost" in [event.name for event in events], 20)
    assert [event.detail for event in events if event.name == "revocation_stream_lost"] == [loss]
    wait_for(lambda: set(alone(redis).load()) == expected, 20)
    wait_for(lambda: not first.is_lost and set(engine.revocations()) == expected, 20)
    wait_for(lambda: [code(engine, token_of(jti)) for jti in "abcd"] == ["revoked"] * 3 + ["ok"], 20)


def test_S27_by_choice_nothing_is_accepted_while_the_list_is_lost(redis: OwnRedis) -> None:
    """With refuse tokens are indeterminate from the loss until the list is written back."""
    store = alone(redis, on_loss="refuse")
    with pytest.raises(DependencyUnavailable):
        engine_of(store)  # a lost stream and none look alike
    store.begin()
    store._listen = lambda: None  # type: ignore[method-assign]
    engine = engine_of(store)
    engine.revoke(jti="a")
    assert code(engine, token_of("b")) == "ok"
    with client_of(redis) as there:
        there.delete(STREAM)
    store._read_back()
    assert store.is_lost
    assert code(engine, token_of("b")) == "revocation_store_unavailable"
    assert code(engine, token_of("a")) in ("revoked", "revocation_store_unavailable")
    store._write_back()
    store._report()
    assert not store.is_lost
    assert [code(engine, token_of(jti)) for jti in "ab"] == ["revoked", "ok"]


def test_S27_what_a_renewed_stream_lifts_is_lifted(redis: OwnRedis) -> None:
    """A lifting that came after the loss wins over what was held; one from before it does not."""
    store = alone(redis)
    for jti in "ab":
        store.add(Revocation(jti=jti))
    early = {"change": json.dumps({"verb": "unrevoke", "at_s": 1, "jti": "b"})}
    late = {"change": json.dumps({"verb": "unrevoke", "at_s": 1, "jti": "a"})}
    with client_of(redis) as there:
        there.delete(STREAM)
        there.xadd(STREAM, early, id="1-1")
        there.xadd(STREAM, late)
    assert store.load() == (Revocation(jti="b"),)
    store._write_back()
    assert alone(redis).load() == (Revocation(jti="b"),)


def test_S27_one_of_many_writes_back(redis: OwnRedis) -> None:
    """Of three that hold a lost list one writes it back, not all."""
    stores = [alone(redis) for _ in range(3)]
    stores[0].add(Revocation(jti="a"))
    for store in stores:
        store.load()
    with client_of(redis) as there:
        there.delete(STREAM)
        for store in stores:
            store._catch_up()
        for store in stores:
            store._write_back()
        assert there.xlen(STREAM) == 2, "its beginning, and the one revocation"


def test_S27_a_late_writer_back_looks_first(redis: OwnRedis) -> None:
    """Whoever may write back after another one did finds it there, and writes nothing."""
    stores = [alone(redis) for _ in range(2)]
    stores[0].add(Revocation(jti="a"))
    stores[1].load()
    with client_of(redis) as there:
        there.delete(STREAM)
        for store in stores:
            store._catch_up()
        stores[0]._write_back()
        there.delete(f"{STREAM}:write-back")  # its time is over
        stores[1]._write_back()
        assert there.xlen(STREAM) == 2


# --- fail-over and refusals ------------------------------------------------------------------------------


def test_a_fail_over_lifts_no_revocation(redis: OwnRedis, tmp_path: Path) -> None:
    """The primary dies with entries its replica never got; who knows them writes them to the new primary."""
    (tmp_path / "second").mkdir()
    second = OwnRedis(tmp_path / "second", "--replicaof", "127.0.0.1", str(redis.port))
    try:
        store = alone(redis)
        store.add(Revocation(jti="a"))
        with client_of(second) as copy:
            wait_for(lambda: copy.xlen(STREAM) == 1, 30)
        second.command("REPLICAOF", "NO", "ONE")  # cut off: what comes now is lost in the fail-over
        store.add(Revocation(jti="b"))
        redis.stop()
        store._redis.now = client_of(second)  # as a name that now leads to the new primary
        assert set(store.load()) == {Revocation(jti="a"), Revocation(jti="b")}
        store._write_back()
        assert set(alone(second).load()) == {Revocation(jti="a"), Revocation(jti="b")}
    finally:
        second.stop()


TROUBLES = {
    "OOM": ("CONFIG", "SET", "maxmemory", "1"),
    "READONLY": ("REPLICAOF", "127.0.0.1", "1"),
    "wrong type": ("SET", STREAM, "x"),
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_redis_that_refuses_writes_is_reported_and_loses_nothing(redis: OwnRedis, trouble: str) -> None:
    """The caller learns that it was not sent; it holds here, and what was there before holds everywhere."""
    engine = engine_of(alone(redis, poll_s=0.05))
    if trouble != "wrong type":
        engine.revoke(jti="a")
    redis.command(*TROUBLES[trouble])
    with pytest.raises(DependencyUnavailable):
        engine.revoke(jti="b")
    assert code(engine, token_of("b")) == "revoked"
    if trouble != "wrong type":
        assert code(engine, token_of("a")) == "revoked"


def test_a_redis_that_loads_refuses_the_start(redis: OwnRedis) -> None:
    """While Redis loads its data no engine starts on an empty list."""
    with socket.create_server(("127.0.0.1", 0)) as own:

        def answer() -> None:
            for _ in range(2):
                try:
                    wire, _ = own.accept()
                except OSError:  # the client asked but once, and the test is over
                    return
                with wire, contextlib.suppress(ConnectionError):
                    while wire.recv(4096):
                        wire.sendall(b"-LOADING Redis is loading the dataset in memory\r\n" * 8)
                        wire.shutdown(socket.SHUT_RDWR)

        threading.Thread(target=answer, daemon=True).start()
        store = RedisRevocations(f"redis://127.0.0.1:{own.getsockname()[1]}/0", timeout_s=5)
        with pytest.raises(DependencyUnavailable):
            engine_of(store)


def test_S20_a_fork_beside_a_store_in_use_hangs_no_child(redis: OwnRedis) -> None:
    """A child forked while another thread holds the pools' locks uses both stores with clients of its own."""
    out = run_python(
        """
        from rapidjws.stores import RedisRevocations
        from rapidjws.stores import RedisReplayStore
        from rapidjws import Revocation
        url = os.environ["URL"]
        uses, list_ = RedisReplayStore(url, budget_s=5), RedisRevocations(url, timeout_s=5)
        uses.record([(bytes(32), 100)])
        list_.add(Revocation(jti="a"))
        list_.subscribe(uses.check)
        held, done = threading.Event(), threading.Event()
        def hold():
            pools = [store._redis.now.connection_pool for store in (uses, list_)]
            locks = [lock for pool in pools for lock in (pool._lock, pool._fork_lock)]
            locks += [uses._lock, list_._lock]
            taken = []
            while len(taken) < len(locks):  # in whatever order the listener takes them: no deadlock of ours
                if locks[len(taken)].acquire(timeout=0.2):
                    taken.append(locks[len(taken)])
                else:
                    [taken.pop().release() for _ in tuple(taken)]
            held.set()
            done.wait()
            for lock in locks:
                lock.release()
        threading.Thread(target=hold).start()
        held.wait()
        child = os.fork()
        if child == 0:
            signal.alarm(30)
            ok = uses.record([(bytes(32), 100), (b"1" * 32, 100)]) == [False, True]
            ok = ok and tuple(list_.load()) == (Revocation(jti="a"),)
            uses = list_ = None
            __import__("gc").collect()
            os._exit(0 if ok else 1)
        status = os.waitpid(child, 0)[1]
        done.set()
        print(status, uses.record([(b"1" * 32, 100)]))
        os._exit(0) if not sys.stdout.flush() else None
        """,
        URL=redis.url,
    )
    assert out == "0 [False]\n"
