"""Tokens that are good now, asked about on an event loop, and what each call gave."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from typing import Any

import pytest
import tokens

import rapidjws
from rapidjws.jwt import micro_batch as gather

LIMIT_S = 60


def mixed(count: int, alg: str = "HS256") -> list[str]:
    """Return tokens that tell their position and are good now; every third one is forged."""
    now_s = int(time.time())
    made = [tokens.token(alg, jti=str(number), iat=now_s, exp=now_s + 900) for number in range(count)]
    for number in range(1, count, 3):
        made[number] = made[number].rpartition(".")[0] + "." + tokens.b64url(bytes(32))
    return made


def wanted(count: int) -> list[str]:
    """Return what the tokens of ``mixed`` are to get."""
    return ["signature_invalid" if number % 3 == 1 else str(number) for number in range(count)]


def code(answer: Any) -> str:
    """Return a good token's jti, or a refusal's code; anything else is a fault of the test's subject."""
    if isinstance(answer, rapidjws.Decision):
        answer = answer.verified or rapidjws.errors.error_for(answer.code)
    if isinstance(answer, rapidjws.VerifiedJWS):
        return str(answer.claims["jti"])
    assert isinstance(answer, rapidjws.RapidJWSError), repr(answer)
    return answer.code


async def answers(calls: list[Awaitable[Any]]) -> list[str]:
    """Return what each call gave, within a bound."""
    found = await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), LIMIT_S)
    return [code(one) for one in found]


def inline_up_to(monkeypatch: pytest.MonkeyPatch, inline_us: int) -> None:
    """Have batches of so much work verified on the loop, and longer ones on a thread."""
    made = gather.MicroBatcher.__init__

    def init(self: gather.MicroBatcher, snapshot: Any, clock: Any, window_us: int) -> None:
        made(self, snapshot, clock, window_us, inline_us)

    monkeypatch.setattr(gather.MicroBatcher, "__init__", init)


async def answers_of(engine: rapidjws.Engine, count: int) -> list[str]:
    """Return what averify gives for ``mixed``."""
    return await answers([engine.averify(text) for text in mixed(count)])


def raising(fault: type[BaseException]) -> Any:
    """Return a function that takes anything and raises."""

    def fails(*_: Any, **__: Any) -> Any:
        raise fault("made to fail")

    return fails
