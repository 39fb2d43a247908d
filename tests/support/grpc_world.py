"""A worker with a gRPC listener in this process, a loop whose clock a test moves, and checks to send it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from grpc_calls import Gateway, RpcFailed
from rollouts import engine, good, rollout

from rapidjws._protobuf import field
from rapidjws.sidecar.settings import ServerSettings


class Loop(asyncio.SelectorEventLoop):
    """A loop whose clock the test moves."""

    skipped_s = 0.0

    def time(self) -> float:
        """Return its clock."""
        return super().time() + self.skipped_s


class World:
    """A worker with its gRPC listener."""

    def __init__(self, **settings: Any) -> None:
        from rapidjws.sidecar.app import SidecarApp
        from rapidjws.sidecar.change_bus import ChangeBus
        from rapidjws.sidecar.grpc_listener import GrpcListener
        from rapidjws.sidecar.protocol import PublicListener

        policy, self.bus = rollout(), ChangeBus(1)
        app = SidecarApp(engine=engine(policy), rollout=policy)
        given = ServerSettings(**settings)
        self.public = PublicListener(app, given, self.bus, index=0, seen=self.bus.counters())
        self.listener = GrpcListener(self.public)

    def connection(self) -> Any:
        """Return a connection that nobody has made yet."""
        from rapidjws.sidecar.grpc_connection import GrpcConnection

        return GrpcConnection(self.listener, asyncio.get_running_loop())

    def close(self) -> None:
        """Give back its memory."""
        self.bus.close()


def run(story: Callable[[], Awaitable[None]]) -> None:
    """Run a story on a loop whose clock it can move."""
    loop = Loop()
    try:
        loop.run_until_complete(asyncio.wait_for(story(), 120))
    finally:
        loop.close()


def skip(seconds: float) -> float:
    """Move the loop's clock, and return it."""
    loop: Any = asyncio.get_running_loop()
    loop.skipped_s += seconds
    return float(loop.time())


def now(**claims: Any) -> str:
    """Return a token that is good now."""
    now_s = int(time.time())
    return good(iat=now_s, exp=now_s + 600, **claims)


def check(token: str | None, path: str = "/a") -> bytes:
    """Return a CheckRequest."""
    given = {} if token is None else {b"authorization": b"Bearer " + token.encode()}
    headers = [field(3, field(1, name) + field(2, value)) for name, value in given.items()]
    http = b"".join([field(2, b"GET"), field(4, path.encode()), field(5, b"a"), *headers])
    return field(1, field(4, field(2, http)))


def verdict(response: bytes) -> str:
    """Return what a CheckResponse says."""
    return "permit" if response[:2] == b"\x0a\x00" else "deny"


async def outcome(gateway: Gateway, number: int) -> Any:
    """Return verdict or code of a call."""
    try:
        return verdict(await gateway.answer(number))
    except RpcFailed as failed:
        return failed.code


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """Return a frame (RFC 9113 s.4.1)."""
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload
