"""An ASGI application of what an issuer publishes, for any ASGI server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from functools import partial
from typing import Any

from rapidjws._checks import checked
from rapidjws.issuing.publication import Publication
from rapidjws.verify.worker_pool import call_on_thread

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class PublicationApp:
    """An ASGI application; a store is read on a thread, never on the loop.

    Args:
        publication: What is published.
    """

    __slots__ = ("_publication",)

    @checked
    def __init__(self, publication: Publication) -> None:
        self._publication = publication

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
        answered = await call_on_thread(
            partial(self._publication.handle, scope["method"], scope["path"], headers)
        )
        shown = [(name.encode(), value.encode()) for name, value in answered.headers.items()]
        if answered.status != 304:
            shown.append((b"content-length", str(len(answered.body)).encode()))
        await send({"type": "http.response.start", "status": answered.status, "headers": shown})
        body = b"" if scope["method"] == "HEAD" else answered.body
        await send({"type": "http.response.body", "body": body})

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return
