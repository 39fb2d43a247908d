"""What a gRPC client can do to the sidecar: floods, broken frames, slowness; others are answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import pytest
from grpc_calls import Gateway
from grpc_world import World, check, frame, now, outcome, run, skip, verdict

ngh2 = pytest.importorskip("ngh2", reason="the extra `envoy` is not installed")
pytest.importorskip("httptools", reason="the extra `server` is not installed")


@pytest.fixture(name="world")
def _world() -> Iterator[World]:
    one = World()
    yield one
    one.close()


def test_times_are_bounded(world: World) -> None:
    """A greeting, a message and an answer that is not taken have their time; a silent peer is asked first."""

    async def story() -> None:
        settings = world.public.settings
        silent = world.connection()
        gateway = Gateway(world.listener)
        silent.connection_made(Gateway(world.listener).transport)
        slow = gateway.start(None)
        gateway.client.send_data(slow, b"\0\0", end_stream=False)
        gateway.turn()
        assert world.listener.unfinished_bytes == 2
        world.listener.sweep(skip(settings.header_timeout_s + 1))
        gateway.turn()
        assert silent._transport.is_closed
        assert gateway.closed[slow] == 8
        assert world.listener.unfinished_bytes == 0
        assert not gateway.transport.is_closed
        world.listener.sweep(skip(settings.idle_timeout_s + 1))
        gateway.turn()  # answers the ping
        world.listener.sweep(skip(settings.header_timeout_s + 1))
        assert not gateway.transport.is_closed
        world.listener.sweep(skip(settings.idle_timeout_s + 1))
        world.listener.sweep(skip(settings.header_timeout_s + 1))
        assert gateway.transport.is_closed

    run(story)


def test_who_does_not_read_is_ended(world: World) -> None:
    """A client that takes no answers is read no more, and closed after a while; one without a window too."""

    async def story() -> None:
        gateway = Gateway(world.listener)
        gateway.client.update_settings({ngh2.Setting.INITIAL_WINDOW_SIZE: 0})
        number = gateway.start(check(now()))
        for _ in range(3):
            gateway.turn()
            await asyncio.sleep(0)
        assert gateway.bodies.get(number) is None
        assert len(gateway.connection.calls) == 1
        world.listener.sweep(skip(world.public.settings.header_timeout_s + 1))
        gateway.turn()
        assert gateway.closed[number] == 8
        assert gateway.connection.calls == {}
        gateway.connection.pause_writing()
        assert gateway.transport.is_paused
        world.listener.sweep(skip(1.0))
        gateway.connection.resume_writing()
        assert not gateway.transport.is_paused
        gateway.connection.pause_writing()
        world.listener.sweep(skip(world.public.settings.header_timeout_s + 1))
        assert gateway.transport.is_closed

    run(story)


async def flooded(world: World, frames: Callable[[Gateway], bytes], most: int) -> int:
    """Send frames again and again until the connection is closed; return how often, at most so many times."""
    gateway, other = Gateway(world.listener), Gateway(world.listener)
    for count in range(most):
        if gateway.transport.is_closed:
            assert verdict(await other.answer(other.start(check(now())))) == "permit"
            gateway.gone()
            assert world.listener.unfinished_bytes == 0
            return count
        gateway.connection.data_received(frames(gateway))
        await asyncio.sleep(0)
    raise AssertionError("still open")


def rapid_resets(gateway: Gateway) -> bytes:
    """Return a hundred calls that are reset at once."""
    found = b""
    for _ in range(100):
        number = gateway.start(None)
        found += gateway.client.data_to_send()
        gateway.client.reset_stream(number)
        found += gateway.client.data_to_send()
    return found


FLOODS = {
    "rapid reset": rapid_resets,
    "PING": lambda _: frame(6, 0, 0, b"12345678") * 200,
    "SETTINGS": lambda _: frame(4, 0, 0) * 200,
    "settings that change": lambda _: frame(4, 0, 0, b"\x00\x04\x00\x00\xff\xff") * 200,
    "WINDOW_UPDATE": lambda _: frame(8, 0, 0, b"\x00\x00\x00\x01") * 200,
    "RST_STREAM of none": lambda _: frame(3, 0, 1, b"\x00\x00\x00\x08") * 200,
    "empty CONTINUATION": lambda _: frame(1, 0, 1, b"\x82") + frame(9, 0, 1) * 200,
    "CONTINUATION": lambda _: frame(1, 0, 1, b"\x82") + frame(9, 0, 1, b"\x40\x01a\x01b" * 100) * 200,
    "unasked ACK": lambda _: frame(4, 1, 0) * 200,
    "PUSH_PROMISE": lambda _: frame(5, 4, 1, b"\x00\x00\x00\x02\x82"),
    "even stream": lambda _: frame(1, 4, 2, b"\x82"),
    "DATA of no stream": lambda _: frame(0, 0, 1, b"a"),
    "frame too large": lambda _: frame(0, 0, 1, b"a" * 16385),
    "HPACK index of none": lambda _: frame(1, 4, 1, b"\xff\xff\xff\xff\x0f"),
    "HPACK table too large": lambda _: frame(1, 4, 1, b"\x3f\xff\xff\xff\x0f"),
    "HPACK bomb": lambda _: frame(1, 4, 1, b"\x40\x01a\x7f\x81\x1e" + b"b" * 4000 + b"\xbe" * 8000),
    "window that overflows": lambda _: frame(8, 0, 0, b"\x7f\xff\xff\xff") * 2,
    "no HTTP/2": lambda _: b"GET / HTTP/1.1\r\nhost: a\r\n\r\n" * 10,
}  # fmt: skip


@pytest.mark.parametrize("kind", list(FLOODS))
def test_a_flood_ends_its_own_connection(kind: str, world: World) -> None:
    """Floods and broken frames end the connection that sends them; another one is answered meanwhile."""

    async def story() -> None:
        assert await flooded(world, FLOODS[kind], 100) <= 60
        assert len(world.listener.connections) <= 1

    run(story)


def test_a_busy_gateway_is_no_flood(world: World) -> None:
    """Thousands of calls, some reset, with a window update and a ping beside each ten, are all answered."""

    async def story() -> None:
        gateway = Gateway(world.listener)
        for turn in range(300):
            numbers = [gateway.start(check(None)) for _ in range(10)]
            octets = gateway.client.data_to_send() + frame(6, 0, 0, b"12345678")
            octets += frame(8, 0, 0, b"\x00\x00\x00\x64")
            if turn % 10 == 0:
                gateway.client.reset_stream(numbers.pop())
                octets += gateway.client.data_to_send()
            gateway.connection.data_received(octets)
            for number in numbers:
                assert await outcome(gateway, number) == "deny"
        assert not gateway.transport.is_closed

    run(story)


def test_streams_beyond_the_limit_are_refused(world: World) -> None:
    """A connection has so many calls at once; more are refused, and memory stays within its bound."""
    from rapidjws.sidecar import grpc_limits

    async def story() -> None:
        gateway = Gateway(world.listener)
        found = b"".join(
            frame(1, 4, 2 * number + 1, b"\x83\x86\x44\x01a\x41\x01a")
            for number in range(grpc_limits.STREAMS_MAX + 50)
        )
        gateway.connection.data_received(found)
        assert len(gateway.connection.calls) <= grpc_limits.STREAMS_MAX

    run(story)


def test_unfinished_messages_are_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What all connections of a worker keep of messages that are not whole has a bound."""
    from rapidjws.sidecar import grpc_limits

    monkeypatch.setattr(grpc_limits, "UNFINISHED_MAX_BYTES", 100_000)

    async def story() -> None:
        gateways = [Gateway(world.listener) for _ in range(3)]
        codes = []
        for gateway in gateways:
            number = gateway.start(None)
            gateway.client.send_data(number, b"\0" * 40_000, end_stream=False)
            gateway.turn()
            codes.append(gateway.heads.get(number, {}).get(b"grpc-status"))
        assert codes == [None, None, b"8"]
        assert world.listener.unfinished_bytes == 80_000
        for gateway in gateways:
            gateway.gone()
        assert world.listener.unfinished_bytes == 0

    run(story)
