"""R1 to R10: the replay store. Whatever goes wrong, a token is used once or not at all."""

from __future__ import annotations

import asyncio
import base64
import multiprocessing
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from issuers import code, now_s
from loop_answers import inline_up_to
from redis_server import OwnRedis, free_port

from rapidjws import Engine, Issuer, Rejected, Replay, TokenCache
from rapidjws.errors import RapidJWSError
from rapidjws.stores import MemoryReplayStore, RedisReplayStore
from rapidjws.stores.replay_redis import PIPELINE_MAX
from rapidjws.testing import FakeClock, FakeIssuer

ISSUER = FakeIssuer("https://a.example", "ES256")
LIFE = [(bytes(32), 100)]
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def engine_of(store: Any, *, issuers: tuple[FakeIssuer, ...] = (ISSUER,), **settings: Any) -> Engine:
    """Make an engine whose tokens are used once."""
    cache = settings.pop("cache", None)
    replay = Replay(store=store, **settings)
    rules = [
        Issuer(one.iss, keys=one.jwks, algorithms=["ES256"], audience=one.audience, replay=replay)
        for one in issuers
    ]
    return Engine(*rules, cache=cache)


def fresh(jti: Any = "1", **changes: Any) -> str:
    """Return a good token."""
    return ISSUER.token(ISSUER.claims(now_s(), **{"jti": jti, **changes}))


@pytest.fixture(name="redis")
def _redis(tmp_path: Path) -> Iterator[OwnRedis]:
    server = OwnRedis(tmp_path)
    yield server
    server.stop()


@pytest.mark.parametrize("on_thread", [False, True])
@pytest.mark.parametrize("cached", [False, True])
def test_each_way_in_uses_a_token_once(
    cached: bool, on_thread: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of verify, verify_many and averify share one memory, on the loop and on a thread, cached or not."""
    inline_up_to(monkeypatch, -1 if on_thread else 10**9)
    engine = engine_of(MemoryReplayStore(), cache=TokenCache() if cached else None)
    first, second, third = fresh("a"), fresh("b"), fresh("c")
    assert [code(engine, first), code(engine, first)] == ["ok", "replayed"]
    many = engine.verify_many([second, first, second])
    codes = [one.code if isinstance(one, Rejected) else "ok" for one in many]
    assert codes == ["ok", "replayed", "replayed"]

    async def twice() -> list[Any]:
        return await asyncio.gather(engine.averify(third), engine.averify(third), return_exceptions=True)

    answers = asyncio.run(twice())
    assert sorted(type(one).__name__ for one in answers) == ["PolicyRefused", "VerifiedCompact"]
    assert code(engine, third) == "replayed"
    fourth = fresh("d")
    engine.revoke(jti="d")
    with pytest.raises(RapidJWSError) as caught:
        asyncio.run(engine.averify(fourth))
    assert caught.value.code == "revoked"


def test_R01_redis_down_is_never_accepted() -> None:
    """A store that cannot be reached denies within its budget, and the breaker spares the wait."""
    store = RedisReplayStore(f"redis://127.0.0.1:{free_port()}/0", budget_s=0.2, breaker_s=0.5)
    engine = engine_of(store)
    for number in range(4):
        assert code(engine, fresh(str(number))) == "replay_store_unavailable"
    started = time.monotonic()
    for number in range(50):
        assert code(engine, fresh(str(number))) == "replay_store_unavailable"
    assert time.monotonic() - started < 9  # 50 waits of the budget would be 10 s
    (many,) = engine.verify_many([fresh()])
    assert isinstance(many, Rejected)
    assert many.outcome == "indeterminate"
    with pytest.raises(RapidJWSError):
        asyncio.run(engine.averify(fresh()))


def test_R01_redis_slow_and_back(redis: OwnRedis) -> None:
    """A store that hangs denies within its budget; once it is back, so are the accepts."""
    engine = engine_of(RedisReplayStore(redis.url, budget_s=0.2, breaker_s=0.3))
    assert code(engine, fresh("a")) == "ok"
    redis.pause(on=True)
    started = time.monotonic()
    assert code(engine, fresh("b")) == "replay_store_unavailable"
    assert time.monotonic() - started < 10  # the store hangs for as long as it is paused
    redis.pause(on=False)
    end = time.monotonic() + 60
    while code(engine, fresh(str(time.monotonic()))) != "ok":
        assert time.monotonic() < end
        time.sleep(0.05)
    assert code(engine, fresh("a")) == "replayed"


TROUBLES = {"OOM": ("CONFIG", "SET", "maxmemory", "1"), "READONLY": ("REPLICAOF", "127.0.0.1", "1")}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_R01_redis_refuses_writes(redis: OwnRedis, trouble: str) -> None:
    """A store that is full, or read-only, denies."""
    redis.command(*TROUBLES[trouble])
    assert code(engine_of(RedisReplayStore(redis.url)), fresh("a")) == "replay_store_unavailable"


def test_R01_the_choice_to_accept_is_the_issuers() -> None:
    """Only an issuer configured so accepts while the store cannot tell."""
    store = RedisReplayStore(f"redis://127.0.0.1:{free_port()}/0", budget_s=0.1)
    assert code(engine_of(store, on_failure="accept"), fresh()) == "ok"


def test_R02_a_store_that_evicts_is_found_out(redis: OwnRedis) -> None:
    """The check names an eviction policy, and an unreachable store."""
    store = RedisReplayStore(redis.url)
    assert store.check() is None
    redis.command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    assert store.check() == "evicts"
    redis.stop()
    assert store.check() == "unreachable"


def test_R03_writes_wait_for_replicas_where_asked(redis: OwnRedis) -> None:
    """With replicas asked for and none there, a use that a fail-over could lose is not accepted."""
    store = RedisReplayStore(redis.url, wait_replicas=1, budget_s=0.3)
    assert code(engine_of(store), fresh("a")) == "replay_store_unavailable"


@pytest.mark.parametrize("iat_s", [-30, 0, 50])
def test_R04_an_entry_outlives_its_token(redis: OwnRedis, iat_s: int) -> None:
    """An entry lives to exp plus leeway and beyond, for tokens issued ahead of our clock too."""
    engine = engine_of(RedisReplayStore(redis.url, margin_s=5))
    token = ISSUER.token(ISSUER.claims(now_s() + iat_s, jti="a"))
    assert code(engine, token) == "ok"
    import redis as client

    with client.Redis.from_url(redis.url) as there:
        (name,) = there.keys("*")
        assert there.ttl(name) >= iat_s + ISSUER.lifetime_s + 60


def test_R04_memory_entries_outlive_a_clock_that_steps_back() -> None:
    """An entry goes only when both clocks are past its end."""
    clock = FakeClock()
    store = MemoryReplayStore(2, clock=clock)
    assert store.record(LIFE) == [True]
    clock.advance(99)
    assert store.record(LIFE) == [False]
    clock.step(-50)
    clock.advance(10)
    assert store.record(LIFE) == [False]
    clock.advance(100)
    assert store.record(LIFE) == [True]


def test_R05_one_jti_of_two_issuers_clients_and_senders() -> None:
    """A jti is used up for its issuer, client and bound key only."""
    other = FakeIssuer("https://b.example", "ES256")
    engine = engine_of(MemoryReplayStore(), issuers=(ISSUER, other))
    assert code(engine, fresh("a")) == "ok"
    assert code(engine, other.token(other.claims(now_s(), jti="a"))) == "ok"
    assert code(engine, fresh("a", client_id="x")) == "ok"
    assert code(engine, fresh("a", cnf={"jkt": "y"})) == "ok"
    assert code(engine, fresh("a", cnf={"jkt": "y"})) == "replayed"
    assert code(engine, fresh("a", client_id="x")) == "replayed"


ODD: list[tuple[Any, str]] = [
    (None, "missing_claim"),
    (7, "malformed_claim"),
    (["a"], "malformed_claim"),
    ("", "too_large"),
    ("x" * 5000, "too_large"),
    ("x" * 4000, "ok"),
]


@pytest.mark.parametrize(("jti", "expected"), ODD, ids=lambda value: str(value)[:12])
def test_R06_odd_jti(jti: Any, expected: str) -> None:
    """An absent, huge or non-text jti is refused; what is stored is 32 bytes."""
    store = MemoryReplayStore()
    assert code(engine_of(store), fresh(jti)) == expected
    assert all(len(key) == 32 for key in store._entries)


def test_R06_without_jti_by_digest() -> None:
    """By choice a token without jti is known by its signing input."""
    engine = engine_of(MemoryReplayStore(), identity="jti_or_digest")
    token = fresh(None)
    assert [code(engine, token), code(engine, token)] == ["ok", "replayed"]
    assert code(engine, fresh(None, sub="another")) == "ok"


def test_R07_exactly_one_accept_among_threads() -> None:
    """Of many threads with one token, one is first."""
    engine = engine_of(MemoryReplayStore())
    token, gate = fresh("a"), threading.Barrier(16)
    answers: list[str] = []

    def use() -> None:
        gate.wait()
        answers.append(code(engine, token))

    threads = [threading.Thread(target=use) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == ["ok"] + ["replayed"] * 15


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_R07_exactly_one_accept_among_processes(redis: OwnRedis) -> None:
    """Of several processes with one token, one is first."""
    context = multiprocessing.get_context("fork")
    token, answers = fresh("a"), context.Queue()
    engine = engine_of(RedisReplayStore(redis.url))

    def use() -> None:
        answers.put([code(engine, token) for _ in range(3)])

    workers = [context.Process(target=use) for _ in range(4)]
    for worker in workers:
        worker.start()
    found = [one for _ in workers for one in answers.get(timeout=60)]
    for worker in workers:
        worker.join()
    assert sorted(found) == ["ok"] + ["replayed"] * 11


def test_R07_a_batch_larger_than_a_pipeline(redis: OwnRedis) -> None:
    """Order and answers hold over several round trips: each key is first once."""
    store = RedisReplayStore(redis.url)
    keys = [(number.to_bytes(32, "big"), 100) for number in range(2500)]
    assert store.record([*keys, *keys]) == [True] * 2500 + [False] * 2500


def test_R08_a_full_store_denies_and_forgets_nothing() -> None:
    """When all entries live, new tokens are not accepted and old ones stay used."""
    engine = engine_of(MemoryReplayStore(3))
    assert [code(engine, fresh(str(number))) for number in range(3)] == ["ok"] * 3
    assert code(engine, fresh("3")) == "replay_store_unavailable"
    assert [code(engine, fresh(str(number))) for number in range(3)] == ["replayed"] * 3


def test_R09_a_bad_token_burns_nothing() -> None:
    """A use is recorded only after every other check."""
    store = MemoryReplayStore()
    engine = engine_of(store)
    good = fresh("a")
    head, payload, signature = good.split(".")
    assert code(engine, f"{head}.{payload}.{'A' * len(signature)}") == "signature_invalid"
    assert code(engine, fresh("a", exp=now_s() - 100)) == "expired"
    assert code(engine, fresh("a", aud="https://elsewhere.example")) == "audience_mismatch"
    revocation = engine.revoke(jti="a")
    assert code(engine, good) == "revoked"
    engine.unrevoke(revocation)
    assert len(store) == 0
    assert code(engine, good) == "ok"


def malleated(token: str) -> str:
    """Return the token with the other ECDSA signature for the same input: s -> n - s."""
    signing_input, _, text = token.rpartition(".")
    octets = base64.urlsafe_b64decode(text + "==")
    other = (P256_ORDER - int.from_bytes(octets[32:], "big")).to_bytes(32, "big")
    return f"{signing_input}.{base64.urlsafe_b64encode(octets[:32] + other).rstrip(b'=').decode()}"


def test_R10_second_spellings() -> None:
    """The malleated signature of a used token is the same use; odd base64url is refused."""
    engine = engine_of(MemoryReplayStore(), identity="jti_or_digest")
    for token in (fresh(None), fresh("a")):
        assert code(engine, token) == "ok"
        assert code(engine, malleated(token)) == "replayed"
        assert code(engine, token + "=") == "malformed_base64url"
        assert code(engine, token + "\n") == "malformed_base64url"


class Misbehaving:
    """A store of the caller's own that answers what it is reported, or raises."""

    blocking = False

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def record(self, entries: Any) -> Any:
        """Answer wrongly."""
        if self.answer is None:
            raise KeyError
        return self.answer


@pytest.mark.parametrize("answer", [None, [], [None], [True, True], ["OK"], [1]], ids=str)
def test_a_store_that_misbehaves_never_accepts(answer: Any) -> None:
    """A store that raises, answers short, or anything but True, denies."""
    assert code(engine_of(Misbehaving(answer)), fresh("a")) == "replay_store_unavailable"


def test_replay_needs_an_end_of_life() -> None:
    """An issuer whose tokens may live for ever cannot have them remembered."""
    replay = Replay(store=MemoryReplayStore())
    with pytest.raises(RapidJWSError, match="configuration_invalid"):
        Issuer(ISSUER.iss, keys=ISSUER.jwks, algorithms=["ES256"], exp_required=False, replay=replay)


def test_T11_a_use_that_is_there_is_one_though_its_copies_are_missing(redis: OwnRedis) -> None:
    """Where no replica answers, a first use is uncertain, and a later one is a use all the same."""
    RedisReplayStore(redis.url, budget_s=10).record(LIFE)
    store = RedisReplayStore(redis.url, wait_replicas=1, budget_s=4)
    assert store.record([*LIFE, (b"n" * 32, 100)]) == [False, None]


def test_T11_failures_in_a_row_are_counted_anew_after_an_answer(redis: OwnRedis) -> None:
    """The breaker opens for those in a row, not for all that ever were."""
    store = RedisReplayStore(redis.url, breaker_failures=2, budget_s=10)
    store._failed("once")
    assert store.record(LIFE) == [True]
    store._failed("once more")
    assert store.record(LIFE) == [False]


def test_T11_the_uses_that_were_sent_last_are_the_unconfirmed_ones(
    redis: OwnRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the second thousand fails, none of the first is taken back; the second may be there."""
    store = RedisReplayStore(redis.url)
    sent: list[Any] = []

    def send(uses: Any, lives_s: Any) -> list[bool | None]:
        sent.append(uses)
        if len(sent) == 2:
            raise TimeoutError
        return [True] * len(lives_s)

    monkeypatch.setattr(store, "_send", send)
    monkeypatch.setattr(store._redis, "errors", (TimeoutError,))
    keys = [number.to_bytes(32, "big") for number in range(PIPELINE_MAX + 2)]
    assert store.record([(key, 100) for key in keys])[-3:] == [True, None, None]
    assert list(store._unconfirmed._unanswered) == keys[-2:]
