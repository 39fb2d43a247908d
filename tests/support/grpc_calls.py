"""Checks of Envoy in this process: by the handler of ``grpc.aio``, or by a connection in memory."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace
from typing import Any

import pytest

SERVERS = ["grpcio", "ngh2"]
CHECK = b"/envoy.service.auth.v3.Authorization/Check"
WAIT_S = 60.0


class RpcFailed(Exception):
    """A call that ended with another status than OK."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Transport(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self, peer: Any = ("127.0.0.1", 50000)) -> None:
        super().__init__()
        self.octets = b""
        self.is_closed = self.is_paused = False
        self._peer = peer

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Name the peer."""
        return self._peer if name == "peername" else default

    def write(self, data: bytes) -> None:  # type: ignore[override]
        """Take octets."""
        if not self.is_closed:
            self.octets += data

    def is_closing(self) -> bool:
        """Return whether it was closed."""
        return self.is_closed

    def close(self) -> None:
        """Close."""
        self.is_closed = True

    abort = close

    def pause_reading(self) -> None:
        """Read no more."""
        self.is_paused = True

    def resume_reading(self) -> None:
        """Read again."""
        self.is_paused = False

    def taken(self) -> bytes:
        """Return what was written since the last call."""
        octets, self.octets = self.octets, b""
        return octets


class Gateway:
    """A client and a connection of the sidecar's in memory, on the running loop.

    Args:
        listener: The listener.
        peer: The client's address as a transport names it.
    """

    def __init__(self, listener: Any, peer: Any = ("127.0.0.1", 50000)) -> None:
        import ngh2

        from rapidjws.sidecar.grpc_connection import GrpcConnection

        self.transport = Transport(peer)
        self.connection = GrpcConnection(listener, asyncio.get_running_loop())
        self.client = ngh2.Connection(ngh2.Role.CLIENT)
        self.client.initiate_connection({})
        self.heads: dict[int, dict[bytes, bytes]] = {}
        self.bodies: dict[int, bytes] = {}
        self.closed: dict[int, int] = {}
        self.connection.connection_made(self.transport)
        self.turn()

    def turn(self) -> None:
        """Hand each side what the other one has sent."""
        for _ in range(4):
            octets = self.client.data_to_send()
            if octets:
                self.connection.data_received(octets)
            octets = self.transport.taken()
            if octets:
                self.client.receive_data(octets)
            for event in self.client.events():
                self._take(event)

    def _take(self, event: Any) -> None:
        kind = type(event).__name__
        if kind in ("ResponseReceived", "TrailersReceived"):
            self.heads.setdefault(event.stream_id, {}).update(dict(event.headers))
        elif kind == "DataReceived":
            self.bodies[event.stream_id] = self.bodies.get(event.stream_id, b"") + event.data
        elif kind == "StreamClosed":
            self.closed[event.stream_id] = event.error_code

    def start(self, message: bytes | None, method: bytes = CHECK, *more: tuple[bytes, bytes]) -> int:
        """Begin a call, with its whole message or none yet; return its number."""
        head = [
            (b":method", b"POST"), (b":scheme", b"http"), (b":path", method), (b":authority", b"sidecar"),
            (b"te", b"trailers"), (b"content-type", b"application/grpc"), *more,
        ]  # fmt: skip
        number = int(self.client.send_request(head))
        if message is not None:
            self.client.send_data(number, framed(message), end_stream=True)
        return number

    async def answer(self, number: int) -> bytes:
        """Return the message that a call got.

        Raises:
            RpcFailed: It got another status than OK.
        """
        end_s = time.monotonic() + WAIT_S
        while b"grpc-status" not in self.heads.get(number, {}):
            assert time.monotonic() < end_s, "no answer"
            self.turn()
            await asyncio.sleep(0)
        status = int(self.heads[number][b"grpc-status"])
        if status:
            raise RpcFailed(status)
        body = self.bodies[number]
        assert int.from_bytes(body[1:5], "big") == len(body) - 5
        return body[5:]

    def gone(self) -> None:
        """End the connection."""
        self.connection.connection_lost(None)


def framed(message: bytes) -> bytes:
    """Return a message with its prefix."""
    return b"\0" + len(message).to_bytes(4, "big") + message


def checked(server: str, public: Any, octets: bytes, peer: Any = ("127.0.0.1", 50000)) -> bytes:
    """Return the CheckResponse of a worker to one CheckRequest, by either server."""
    if server == "grpcio":
        from rapidjws.sidecar.ext_authz import Authorization

        context = SimpleNamespace(peer=lambda: "unix:" if not peer else f"ipv4:{peer[0]}:{peer[1]}")
        return asyncio.run(Authorization(public).check(octets, context))
    pytest.importorskip("ngh2", reason="the extra `envoy` is not installed")
    from rapidjws.sidecar.grpc_listener import GrpcListener

    async def call() -> bytes:
        gateway = Gateway(GrpcListener(public), peer)
        try:
            return await gateway.answer(gateway.start(octets))
        finally:
            gateway.gone()

    return asyncio.run(call())
