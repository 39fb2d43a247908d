"""An ASGI application of what an issuer publishes, for any ASGI server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from functools import partial
from typing import Any

from rapidjws._checks import checked
from rapidjws.issuing.publication import Document, Publication
from rapidjws.issuing.shared_readings import SharedReadings
from rapidjws.issuing.signing_service import SigningService
from rapidjws.issuing.token_request import BODY_MAX_BYTES
from rapidjws.issuing.token_service import TokenService
from rapidjws.verify import worker_pool
from rapidjws.verify.worker_pool import call_on_thread

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class PublicationApp:
    """An ASGI application; a store is read on a thread, never on the loop.

    Documents wait for no request for a token: they have threads of their own, and who asks at the same time
    shares one reading of the store.

    Args:
        publication: What is published.
        tokens: The token endpoint, answered under its path, or None.
        signing: The signing endpoint, answered under its path, or None.
    """

    __slots__ = ("_documents", "_endpoints")

    @checked
    def __init__(
        self,
        publication: Publication,
        tokens: TokenService | None = None,
        signing: SigningService | None = None,
    ) -> None:
        self._documents = SharedReadings(publication)
        self._endpoints = {one.path: one for one in (tokens, signing) if one is not None}

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request, or the server's start and end."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        if scope["type"] != "http":
            return
        headers = [
            (name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"]
        ]
        endpoint = self._endpoints.get(scope["path"])
        if endpoint is None:
            answered: Document = await self._documents.answered(scope["method"], scope["path"], headers)
        else:
            body = await _body(receive)
            if body is None:
                return
            call = partial(endpoint.handle, scope["method"], headers, body, peer=_peer(scope))
            pool = worker_pool.signing if endpoint.is_local else worker_pool.endpoints
            answered = await call_on_thread(call, pool=pool)
        shown = [(name.encode(), value.encode()) for name, value in answered.headers.items()]
        if answered.status != 304:
            shown.append((b"content-length", str(len(answered.body)).encode()))
        await send({"type": "http.response.start", "status": answered.status, "headers": shown})
        rest = b"" if scope["method"] == "HEAD" else answered.body
        await send({"type": "http.response.body", "body": rest})

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return


async def _body(receive: Receive) -> bytes | None:
    """Return a body, of one that is too large what suffices to refuse it; None where the client is gone."""
    pieces: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        piece = message.get("body", b"")
        if size <= BODY_MAX_BYTES:
            pieces.append(piece)
            size += len(piece)
        if not message.get("more_body", False):
            return b"".join(pieces)[: BODY_MAX_BYTES + 1]


def _peer(scope: Message) -> str | None:
    """Return where a connection comes from; a server gives no client for a UNIX socket."""
    client = scope.get("client")
    if client:
        return str(client[0])
    server = scope.get("server")
    return "unix" if server and str(server[0]).startswith("/") and server[1] is None else None
