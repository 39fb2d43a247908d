"""How long a gateway waits for a check, as its ``grpc-timeout`` says it (gRPC over HTTP/2)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from grpc_calls import CHECK, Gateway, RpcFailed
from grpc_world import World, check, now, outcome, run, skip

pytest.importorskip("ngh2", reason="the extra `envoy` is not installed")
pytest.importorskip("httptools", reason="the extra `server` is not installed")

from rapidjws.sidecar.grpc_call import Call

WATCH = b"/grpc.health.v1.Health/Watch"
LATE = 4


@pytest.fixture(name="world")
def _world() -> Iterator[World]:
    one = World()
    yield one
    one.close()


@pytest.mark.parametrize(
    ("time", "code"),
    [
        (b"200m", None),
        (b"99999999S", None),
        (b"0S", LATE),
        (b"", 3),
        (b"S", 3),
        (b"-1S", 3),
        (b"1s", 3),
        (b"123456789S", 3),
    ],
)
def test_grpc_timeout_is_read(time: bytes, code: int | None, world: World) -> None:
    """A call whose client waits no more is not decided, and a time that is none is refused."""

    async def story() -> None:
        gateway = Gateway(world.listener)
        number = gateway.start(check(now()), CHECK, (b"grpc-timeout", time))
        assert await outcome(gateway, number) == ("permit" if code is None else code)

    run(story)


def test_a_call_that_is_late_when_its_answer_is_there_gets_none(world: World) -> None:
    """Time that passes between a message and its decision counts; so does a message that never ends."""

    async def story() -> None:
        gateway = Gateway(world.listener)
        number = gateway.start(check(now()), CHECK, (b"grpc-timeout", b"2S"))
        gateway.turn()
        skip(3.0)
        assert await outcome(gateway, number) == LATE
        unfinished = gateway.start(None, CHECK, (b"grpc-timeout", b"1S"))
        watched = gateway.start(b"", WATCH, (b"grpc-timeout", b"1S"))
        gateway.turn()
        world.listener.sweep(skip(1.5))
        for one in (unfinished, watched):
            with pytest.raises(RpcFailed) as failed:
                await gateway.answer(one)
            assert failed.value.code == LATE

    run(story)


def test_a_decision_that_waits_longer_than_its_client_is_given_up(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where decisions may wait for another machine, no call waits longer than its client does."""
    monkeypatch.setattr(type(world.public), "blocking", True)

    async def never(self: Any, token: Any, **named: Any) -> Any:
        await asyncio.Event().wait()

    monkeypatch.setattr(type(world.public.engine), "adecide", never)

    async def story() -> None:
        gateway = Gateway(world.listener)
        number = gateway.start(check(now()), CHECK, (b"grpc-timeout", b"1m"))
        assert await outcome(gateway, number) == LATE

    run(story)


@pytest.mark.parametrize(("size", "code"), [(0, 0), (9, 0), (10, 0), (11, 8)])
def test_T11_a_message_at_its_largest(size: int, code: int) -> None:
    """One octet more than the limit is refused, as is one that is cut off or goes on."""
    call = Call(None, 1, CHECK, 0.0)  # type: ignore[arg-type]
    octets = b"\0" + size.to_bytes(4, "big") + b"m" * size
    call.pieces = [octets]
    assert call.message(10) == ((octets, 0) if not code else (None, code))
    for wrong in (octets[:-1], octets + b"m"):
        call.pieces = [wrong]
        assert call.message(11) == (None, 3)
