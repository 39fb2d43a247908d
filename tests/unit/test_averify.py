"""averify: tokens of one turn of the loop go together, and nobody waits for a stranger's trouble."""

from __future__ import annotations

import asyncio
import time

import pytest
import tokens

import rapidjws
from rapidjws.jwt import micro_batch as gather
from rapidjws.verify import parallel
from rapidjws.verify.pipeline import Snapshot


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the sizes of the batches, as they come."""
    sizes: list[int] = []
    whole = parallel.verify_chunk

    def counting(snapshot: Snapshot, some: list[bytes], now_s: int) -> object:
        sizes.append(len(some))
        return whole(snapshot, some, now_s)

    monkeypatch.setattr(parallel, "verify_chunk", counting)
    return sizes


def good(alg: str, count: int) -> list[str]:
    """Return distinct tokens that are good now."""
    now_s = int(time.time())
    return [tokens.token(alg, jti=str(number), iat=now_s, exp=now_s + 300) for number in range(count)]


def test_one_turn_is_one_batch(batches: list[int]) -> None:
    """What arrives in the same turn of the loop is verified together, each in its place."""
    engine = tokens.engine("HS256")
    texts = good("HS256", 40)

    async def main() -> list[rapidjws.VerifiedJWS]:
        return await asyncio.gather(*map(engine.averify, texts))

    found = asyncio.run(main())
    assert [one.claims["jti"] for one in found] == [str(number) for number in range(40)]
    assert batches == [40]


def test_a_window_gathers_over_turns(batches: list[int]) -> None:
    """With micro_batch_us a batch waits for later turns, too."""
    engine = rapidjws.Engine(tokens.issuer("HS256"), micro_batch_us=50_000)
    texts = good("HS256", 4)

    async def main() -> None:
        waiting = []
        for text in texts:
            waiting.append(asyncio.ensure_future(engine.averify(text)))
            await asyncio.sleep(0)
        await asyncio.gather(*waiting)

    asyncio.run(main())
    assert batches == [4]


def test_refusals_are_their_own() -> None:
    """A bad token raises in its own call and touches no other of its batch."""
    engine = tokens.engine("ES256")
    texts = good("ES256", 6)
    texts[2] = texts[2].rpartition(".")[0] + ".AAAA"
    texts[4] = "not a token"

    async def main() -> list[object]:
        return await asyncio.gather(*map(engine.averify, texts), return_exceptions=True)

    found = asyncio.run(main())
    kinds = [isinstance(one, rapidjws.VerifiedJWS) for one in found]
    assert kinds == [True, True, False, True, False, True]
    assert [getattr(found[at], "code", None) for at in (2, 4)] == ["signature_invalid", "malformed_token"]


def test_cancelling_one_disturbs_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that is given up, before or during its batch, leaves the others their results."""
    monkeypatch.setattr(gather, "INLINE_US", 0)
    engine = rapidjws.Engine(tokens.issuer("ES256"), acceleration="openssl")
    texts = good("ES256", 50)

    async def main() -> list[object]:
        waiting = [asyncio.ensure_future(engine.averify(text)) for text in texts]
        waiting[0].cancel()
        await asyncio.sleep(0)
        waiting[1].cancel()
        return await asyncio.gather(*waiting, return_exceptions=True)

    found = asyncio.run(main())
    assert sum(isinstance(one, asyncio.CancelledError) for one in found) == 2
    assert sum(isinstance(one, rapidjws.VerifiedJWS) for one in found) == 48


def test_long_work_leaves_the_loop_free() -> None:
    """While slow signatures are verified the loop turns on: they are on a worker thread."""
    engine = rapidjws.Engine(tokens.issuer("ES384"), acceleration="openssl")
    texts = good("ES384", 60)

    async def main() -> int:
        turns = 0
        done = asyncio.ensure_future(asyncio.gather(*map(engine.averify, texts)))
        while not done.done():
            turns += 1
            await asyncio.sleep(0)
        assert len(done.result()) == 60
        return turns

    assert asyncio.run(main()) > 10


def test_every_loop_has_its_own_gatherer() -> None:
    """An engine serves one loop after another."""
    engine = tokens.engine("HS256")
    text = good("HS256", 1)[0]
    for _ in range(3):
        assert asyncio.run(engine.averify(text)).kid == "k1-hs256"


def test_a_given_time_is_heeded() -> None:
    """now means the same as in verify."""
    engine = tokens.engine("ES256")
    text = tokens.token("ES256")
    assert asyncio.run(engine.averify(text, tokens.NOW_S)).issuer == tokens.ISS
    with pytest.raises(rapidjws.ClaimRefused):
        asyncio.run(engine.averify(text, tokens.NOW_S + 10**6))


@pytest.mark.parametrize("value", [-1, 1.5, 10**6, True])
def test_gather_us_out_of_range(value: float) -> None:
    """A window is a whole number of microseconds up to a tenth of a second."""
    with pytest.raises(rapidjws.ConfigurationError):
        rapidjws.Engine(tokens.issuer("HS256"), micro_batch_us=value)
