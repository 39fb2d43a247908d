"""The gRPC connection by libnghttp2, in memory: calls, batches, errors, health and drain."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from grpc_calls import CHECK, SERVERS, Gateway, RpcFailed, Transport, checked, framed
from grpc_world import World, check, now, outcome, run, skip, verdict
from rollouts import forged

from rapidjws._protobuf import field

ngh2 = pytest.importorskip("ngh2", reason="the extra `envoy` is not installed")
pytest.importorskip("httptools", reason="the extra `server` is not installed")

HEALTH = b"/grpc.health.v1.Health/"
INVALID_ARGUMENT, NOT_FOUND, EXHAUSTED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE = 3, 5, 8, 12, 13, 14


@pytest.fixture(name="world")
def _world() -> Iterator[World]:
    one = World()
    yield one
    one.close()


def test_calls_of_one_read_are_decided_in_one_batch(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls that come together are decided by one call of the engine, and each gets its own answer."""
    sizes: list[int] = []
    real = type(world.public.engine).decide_many

    def counted(self: Any, requests: Any, **named: Any) -> Any:
        sizes.append(len(requests))
        return real(self, requests, **named)

    monkeypatch.setattr(type(world.public.engine), "decide_many", counted)

    async def story() -> None:
        gateway = Gateway(world.listener)
        asked = [now(sub="ann"), None, forged(), "a.b.c", now(sub="bob")]
        numbers = [gateway.start(check(one)) for one in asked]
        found = [await gateway.answer(number) for number in numbers]
        assert [verdict(one) for one in found] == ["permit", "deny", "deny", "deny", "permit"]
        assert b"ann" in found[0]
        assert b"bob" in found[4]
        assert sizes == [5]
        assert gateway.connection.calls == {}
        gateway.gone()

    run(story)


def test_two_connections_share_a_batch(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What several connections bring in one turn is decided together, and each gets its own answers."""

    async def story() -> None:
        first, second = Gateway(world.listener), Gateway(world.listener)
        numbers = [first.start(check(now())), first.start(check(None))]
        others = [second.start(check(None)), second.start(check(now()))]
        first.turn()
        second.turn()
        assert len(world.public._batch) == 4
        assert [verdict(await first.answer(one)) for one in numbers] == ["permit", "deny"]
        assert [verdict(await second.answer(one)) for one in others] == ["deny", "permit"]

    run(story)


@pytest.mark.parametrize(
    ("octets", "code"),
    [
        (b"", INVALID_ARGUMENT),
        (b"\0\0\0\0", INVALID_ARGUMENT),
        (framed(check(None))[:-1], INVALID_ARGUMENT),
        (framed(check(None)) * 2, INVALID_ARGUMENT),
        (framed(check(None)) + field(15, b"a"), INVALID_ARGUMENT),
        (b"\1" + framed(check(None))[1:], UNIMPLEMENTED),
        (b"\0\xff\xff\xff\xff" + check(None), EXHAUSTED),
        (framed(b"\xff" * 30), INVALID_ARGUMENT),
        (framed(check(None) + b"\x0b"), INVALID_ARGUMENT),
    ],
    ids=[
        "nothing",
        "half a prefix",
        "cut off",
        "two",
        "more octets",
        "compressed",
        "too long",
        "garbage",
        "a group",
    ],
)
def test_what_is_no_message_gets_an_error(octets: bytes, code: int, world: World) -> None:
    """A call without one whole message that is a check has no decision."""

    async def story() -> None:
        gateway = Gateway(world.listener)
        number = gateway.start(None)
        gateway.client.send_data(number, octets, end_stream=True)
        with pytest.raises(RpcFailed) as failed:
            await gateway.answer(number)
        assert failed.value.code == code
        assert verdict(await gateway.answer(gateway.start(check(now())))) == "permit"
        assert world.listener.unfinished_bytes == 0

    run(story)


def test_a_message_that_is_too_large_is_refused_before_its_end(world: World) -> None:
    """More octets than a message may have get an error at once; the client is to send no more."""

    async def story() -> None:
        gateway = Gateway(world.listener)
        number = gateway.start(None)
        gateway.client.send_data(number, b"\0" * (world.listener.message_max_bytes + 6), end_stream=False)
        with pytest.raises(RpcFailed) as failed:
            await gateway.answer(number)
        assert failed.value.code == EXHAUSTED
        gateway.turn()
        assert gateway.closed[number] == 0
        assert world.listener.unfinished_bytes == 0
        assert gateway.connection.calls == {}

    run(story)


def test_the_largest_message_is_read(world: World) -> None:
    """A message of exactly the limit is read, in as many frames as it takes."""

    async def story() -> None:
        gateway = Gateway(world.listener)
        rest = world.listener.message_max_bytes - len(check(None)) - 6
        message = check(None) + field(15, b"a" * rest)
        message = message[: world.listener.message_max_bytes]
        number = gateway.start(message)
        found = await outcome(gateway, number)
        assert found in ("deny", INVALID_ARGUMENT)
        assert found != EXHAUSTED

    run(story)


def test_other_methods_are_unimplemented(world: World) -> None:
    """There is no other method, reflection among them, and nothing but gRPC."""

    async def story() -> None:
        gateway = Gateway(world.listener)
        for method in (CHECK + b"s", b"/", b"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"):
            assert await outcome(gateway, gateway.start(check(now()), method)) == UNIMPLEMENTED
        head = [(b":scheme", b"http"), (b":path", CHECK), (b":authority", b"a")]
        got = gateway.client.send_request([(b":method", b"GET"), *head], end_stream=True)
        text = [(b":method", b"POST"), *head, (b"content-type", b"text/plain")]
        posted = gateway.client.send_request(text, end_stream=True)
        gateway.turn()
        assert gateway.heads[got][b":status"] == b"405"
        assert gateway.heads[posted][b":status"] == b"415"

    run(story)


def test_health_is_answered(world: World) -> None:
    """Health/Check says whether the sidecar serves, as /readyz does, and knows its own service only."""

    async def story() -> None:
        gateway = Gateway(world.listener)

        async def asked(service: bytes) -> Any:
            number = gateway.start(field(1, service) if service else b"", HEALTH + b"Check")
            try:
                return await gateway.answer(number)
            except RpcFailed as failed:
                return failed.code

        assert await asked(b"") == b"\x08\x01"
        assert await asked(b"envoy.service.auth.v3.Authorization") == b"\x08\x01"
        assert await asked(b"other.Service") == NOT_FOUND
        number = gateway.start(b"\x0a\x09", HEALTH + b"Check")
        assert await outcome(gateway, number) == INVALID_ARGUMENT
        world.public.draining = True
        assert await asked(b"") == b"\x08\x02"

    run(story)


def test_watchers_hear_of_each_change(world: World) -> None:
    """Health/Watch gets the status at once and when it changes; they are few, and a drain ends them."""

    async def story() -> None:
        gateway = Gateway(world.listener)
        number = gateway.start(b"", HEALTH + b"Watch")
        other = gateway.start(field(1, b"x"), HEALTH + b"Watch")
        gateway.turn()
        assert gateway.bodies[number] == framed(b"\x08\x01")
        assert gateway.bodies[other] == framed(b"\x08\x03")
        world.listener.sweep(skip(3600.0))
        gateway.turn()
        assert gateway.bodies[number] == framed(b"\x08\x01")
        world.public.draining = True
        world.listener.sweep(skip(1.0))
        gateway.turn()
        assert gateway.bodies[number] == framed(b"\x08\x01") + framed(b"\x08\x02")
        more = [gateway.start(b"", HEALTH + b"Watch") for _ in range(7)]
        assert await outcome(gateway, more[-1]) == EXHAUSTED
        for _ in range(3):
            world.listener.drain()
            skip(0.2)
            gateway.turn()
        assert gateway.heads[number][b"grpc-status"] == b"14"
        assert gateway.transport.is_closed

    run(story)


def test_a_drain_answers_what_is_under_way(world: World) -> None:
    """A notice, then the last GOAWAY, then the end: calls that came meanwhile have their answers."""

    async def story() -> None:
        gateway = Gateway(world.listener)
        slow = gateway.start(None)
        gateway.turn()
        on_its_way = gateway.start(check(now()))
        world.listener.drain()
        assert await outcome(gateway, on_its_way) == "permit"
        with pytest.raises(ngh2.ConnectionClosingError):  # the notice reached the client
            gateway.start(check(now()))
        skip(0.2)
        world.listener.drain()
        gateway.turn()
        assert not gateway.transport.is_closed
        gateway.client.send_data(slow, framed(check(now())), end_stream=True)
        assert await outcome(gateway, slow) == "permit"
        world.listener.drain()
        assert gateway.transport.is_closed
        late = world.connection()
        late.connection_made(Transport())
        assert late._transport.is_closed

    run(story)


def test_a_gateway_that_says_goaway_gets_its_answers(world: World) -> None:
    """After a client's GOAWAY the calls under way are answered, and the connection closes."""

    async def story() -> None:
        gateway = Gateway(world.listener)
        number = gateway.start(check(now()))
        gateway.client.send_goaway(0)
        assert await outcome(gateway, number) == "permit"
        gateway.connection.send()
        assert gateway.transport.is_closed

    run(story)


def test_a_call_that_was_reset_is_not_decided(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A check that is reset in the same read costs no decision; those beside it are answered."""
    decided: list[Any] = []
    real = type(world.public).decision_request

    def noted(self: Any, headers: Any, target: Any) -> Any:
        decided.append(target)
        return real(self, headers, target)

    monkeypatch.setattr(type(world.public), "decision_request", noted)

    async def story() -> None:
        gateway = Gateway(world.listener)
        gone = gateway.start(check(now(), "/gone"))
        octets = gateway.client.data_to_send()
        gateway.client.reset_stream(gone)
        gateway.connection.data_received(octets + gateway.client.data_to_send())
        assert await outcome(gateway, gateway.start(check(now(), "/kept"))) == "permit"
        assert decided == [b"/kept"]

    run(story)


def test_shed_checks_are_503(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a turn has no time for is answered 503 with Retry-After, and the rest decided."""
    monkeypatch.setattr(world.public.shedder, "limit", 20)

    async def story() -> None:
        gateway = Gateway(world.listener)
        numbers = [gateway.start(check(now())) for _ in range(50)]
        found = [await gateway.answer(number) for number in numbers]
        shed = [one for one in found if b"retry-after" in one]
        assert len(shed) == 30
        assert all(verdict(one) == "deny" for one in shed)
        assert sum(verdict(one) == "permit" for one in found) == 20

    run(story)


def test_a_fault_of_ours_is_no_permit(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where deciding, or answering, fails, the call gets an error or its connection ends."""

    async def story() -> None:
        gateway = Gateway(world.listener)

        def failing(*_: Any, **__: Any) -> Any:
            raise RuntimeError

        for target in ("decide", "decide_many"):
            monkeypatch.setattr(type(world.public.engine), target, failing)
        assert await outcome(gateway, gateway.start(check(now()))) == INTERNAL
        monkeypatch.undo()
        assert await outcome(gateway, gateway.start(check(now()))) == "permit"
        monkeypatch.setattr(type(gateway.connection.replies), "reply", failing)
        gateway.start(check(now()))
        gateway.turn()
        for _ in range(3):
            await asyncio.sleep(0)
        assert gateway.transport.is_closed
        assert gateway.bodies == {} or verdict(list(gateway.bodies.values())[-1][5:]) == "permit"

    run(story)


def test_decisions_that_wait_are_answered_each_by_itself(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where decisions may wait, calls do so beside each other; one that is reset meanwhile is given up."""
    monkeypatch.setattr(type(world.public), "blocking", True)
    gate = asyncio.Event()
    real = type(world.public.engine).adecide

    async def waiting(self: Any, token: Any, **named: Any) -> Any:
        await gate.wait()
        return await real(self, token, **named)

    monkeypatch.setattr(type(world.public.engine), "adecide", waiting)

    async def story() -> None:
        gateway = Gateway(world.listener)
        numbers = [gateway.start(check(now())), gateway.start(check(None)), gateway.start(check(now()))]
        gateway.turn()
        await asyncio.sleep(0)
        world.listener.sweep(skip(world.public.settings.header_timeout_s + 1))
        assert len(gateway.connection.calls) == 3
        task = gateway.connection.calls[numbers[2]].task
        gateway.client.reset_stream(numbers[2])
        gateway.turn()
        gate.set()
        assert [await outcome(gateway, one) for one in numbers[:2]] == ["permit", "deny"]
        assert task.cancelled()
        assert gateway.connection.calls == {}

    run(story)


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("path", ["/a", "*", "", "a:443"])
def test_a_path_of_its_own_is_the_route(
    path: str, server: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The route is the path that the check itself says, none included: a client's headers never name it."""
    routes: list[Any] = []
    real = type(world.public).decision_request

    def noted(self: Any, headers: Any, target: Any) -> Any:
        found = real(self, headers, target)
        routes.append(found[2])
        return found

    monkeypatch.setattr(type(world.public), "decision_request", noted)
    headers = [(b"x-original-uri", b"/open"), (b"authorization", b"Bearer " + now().encode())]
    pairs = b"".join([field(3, field(1, name) + field(2, value)) for name, value in headers])
    octets = field(1, field(4, field(2, field(2, b"GET") + field(4, path.encode()) + pairs)))
    assert verdict(checked(server, world.public, octets)) == "permit"
    assert routes == [path]
