"""A sidecar whose requests are decided by a signature of their body, asked over HTTP on one connection."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from rollouts import rollout

from rapidjws import Engine, Issuer, JWKSet
from rapidjws._protobuf import field
from rapidjws.rollout import Rollout
from rapidjws.sidecar.app import SidecarApp
from rapidjws.sidecar.change_bus import ChangeBus
from rapidjws.sidecar.protocol import PublicListener, SidecarProtocol
from rapidjws.sidecar.settings import ServerSettings
from rapidjws.signing import LocalSigner, sign_compact
from rapidjws.stores.replay import MemoryReplayStore
from rapidjws.testing import make_key

KEY = make_key("ES256", kid="issuer-1")
SENDER = make_key("ES256", kid="sender-1")
ISSUER = "https://issuer.example"
Headers = list[tuple[str, str]]
Asking = Callable[..., int]


def token(**claims: Any) -> str:
    """Return a good token of the issuer."""
    now_s = int(time.time())
    payload = {"iss": ISSUER, "sub": "a", "iat": now_s, "exp": now_s + 600, **claims}
    return sign_compact(json.dumps(payload).encode(), LocalSigner(KEY))


def detached(payload: bytes, header: dict[str, Any] | None = None, *, b64: bool = True) -> str:
    """Return a detached signature of the sender."""
    signer = LocalSigner(SENDER)
    return sign_compact(payload, signer, header=header or {}, detached=True, b64=b64)


class Asked:
    """A worker's public listener, asked on one connection."""

    def __init__(self, settings: ServerSettings, policy: Rollout | None = None) -> None:
        engine = Engine(Issuer(ISSUER, keys=JWKSet.given([KEY.public()]), algorithms=["ES256"]))
        engine.rollout = policy = policy or rollout()
        app = SidecarApp(engine=engine, rollout=policy, body_uses=MemoryReplayStore())
        bus = ChangeBus(1)
        self.public = PublicListener(app, settings, bus, index=0, seen=bus.counters())
        self.heads: list[bytes] = []

    def all(self, *requests: tuple[str, str, Headers, bytes]) -> list[int]:
        """Return the statuses of requests that arrive together."""

        async def run() -> list[int]:
            loop = asyncio.get_running_loop()
            server = await loop.create_server(partial(SidecarProtocol, self.public, loop), "127.0.0.1", 0)
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            for method, target, headers, body in requests:
                lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
                start = f"{method} {target} HTTP/1.1\r\nhost: a\r\ncontent-length: {len(body)}\r\n{lines}\r\n"
                writer.write(start.encode("latin-1") + body)
            found = []
            for _ in requests:
                head = await reader.readuntil(b"\r\n\r\n")
                self.heads.append(head)
                size = next(
                    int(line.partition(b":")[2])
                    for line in head.split(b"\r\n")
                    if line.lower().startswith(b"content-length")
                )
                await reader.readexactly(size)
                found.append(int(head.split()[1]))
            writer.close()
            server.close()
            return found

        return asyncio.run(asyncio.wait_for(run(), 60))

    def __call__(
        self,
        body: bytes,
        headers: Headers | None = None,
        target: str = "/verify/hooks/pay",
        method: str = "POST",
    ) -> int:
        """Return the status of one request."""
        return self.all((method, target, headers or [], body))[0]


def check_of(body: bytes, headers: Headers, path: str = "/hooks/pay", number: int = 12) -> bytes:
    """Return a CheckRequest."""
    pairs = b"".join(
        field(3, field(1, name.encode()) + field(2, value.encode("latin-1"))) for name, value in headers
    )
    http = field(2, b"POST") + pairs + field(4, path.encode()) + field(5, b"a") + field(number, body)
    return field(1, field(4, field(2, http)))
