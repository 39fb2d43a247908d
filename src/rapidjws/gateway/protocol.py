"""The sidecar's public side: requests in, decisions out, health and counters beside them.

Pipelined requests are answered in order. What this never does: change anything, but fetch keys again for a
caller with the hook's secret.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from rapidjws.gateway.connection import Connection
from rapidjws.gateway.exposition import exposition
from rapidjws.gateway.replies import Replies
from rapidjws.gateway.shared import Shared
from rapidjws.keys.hook import PATH as HOOK_PATH
from rapidjws.keys.hook import RotatedHook

if TYPE_CHECKING:
    from collections import deque

    from rapidjws.gateway.board import Board
    from rapidjws.gateway.server import Served
    from rapidjws.gateway.settings import ServerSettings

QUEUE_MAX: Final = 64
"""Most pipelined requests that wait for a slow replay store before the connection is no longer read."""

Waiting = tuple[bytes, list[tuple[bytes, bytes]], bytes, bytes, bool]


class Public(Shared):
    """Hold what the public connections of a worker share."""

    def __init__(self, served: Served, settings: ServerSettings, board: Board, index: int = 0) -> None:
        super().__init__(served, settings, board, index)
        self.replies = Replies(settings)
        self.wanted = frozenset(
            {self.token_field, *self.route_fields, b"authorization"}
            | ({self.partner_field} if self.partner_field else set())
        )


class SidecarProtocol(Connection):
    """Serve one connection."""

    def __init__(self, shared: Public, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(shared, loop)
        self._shared = shared
        self.wanted = shared.wanted
        self.keeps_body = shared.settings.hook_secret is not None
        self._waiting: deque[Waiting] | None = None
        self._worker: asyncio.Task[None] | None = None
        self._prefix = shared.prefix
        self._prefix_size = len(shared.prefix)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget a connection."""
        super().connection_lost(exc)
        if self._worker is not None:
            self._worker.cancel()

    def requested(
        self, url: bytes, headers: list[tuple[bytes, bytes]], method: bytes, body: bytes, *, keep: bool
    ) -> None:
        """Answer a request at once, or in its turn where a decision may wait."""
        if self._worker is None and not self._shared.blocking:
            if not self._decide(url, headers, method, keep):
                self._answer_other(url, headers, method, body, keep)
            self.touch(busy=False)
            return
        self._queue((url, headers, method, body, keep))

    def _target(self, url: bytes) -> bytes | None:
        """Return what follows the prefix in a request to be decided; None for another one."""
        size = self._prefix_size
        if url[:size] != self._prefix:
            return None
        rest = url[size:]
        return rest if rest[:1] in (b"", b"/", b"?") else None

    def _decide(self, url: bytes, headers: list[tuple[bytes, bytes]], method: bytes, keep: bool) -> bool:
        """Answer a request that is to be decided; return whether it was one."""
        rest = self._target(url)
        if rest is None:
            return False
        shared = self._shared
        shared.catch_up()
        token, partner, route = shared.asked(headers, rest if rest[:1] == b"/" else None)
        decision = shared.engine.decide(token, partner=partner, route=route)
        self.write(shared.replies.reply(decision, method), keep=keep)
        return True

    # --- decisions that may wait -------------------------------------------------------------------------

    def _queue(self, request: Waiting) -> None:
        from collections import deque

        if self._waiting is None:
            self._waiting = deque()
        self._waiting.append(request)
        if len(self._waiting) >= QUEUE_MAX and self._transport is not None:
            self._transport.pause_reading()
        if self._worker is None:
            self._under_way = 1
            self._worker = self._loop.create_task(self._work(self._waiting))

    async def _work(self, waiting: deque[Waiting]) -> None:
        """Answer waiting requests one after the other, off the loop."""
        shared = self._shared
        while waiting:
            url, headers, method, body, keep = waiting.popleft()
            rest = self._target(url)
            if rest is None:
                self._answer_other(url, headers, method, body, keep)
                continue
            shared.catch_up()
            token, partner, route = shared.asked(headers, rest if rest[:1] == b"/" else None)
            decision = await shared.engine.adecide(token, partner=partner, route=route)
            self.write(shared.replies.reply(decision, method), keep=keep)
        self._worker = None
        self._under_way = 0
        self.touch(busy=False)
        self.resume_reading()

    # --- the other paths ---------------------------------------------------------------------------------

    def _answer_other(
        self, url: bytes, headers: list[tuple[bytes, bytes]], method: bytes, body: bytes, keep: bool
    ) -> None:
        shared = self._shared
        path = url.partition(b"?")[0]
        if path == b"/healthz":
            self.answer(200, b"", b"alive\n", method, keep=keep)
        elif path == b"/readyz":
            ready = shared.engine.ready and not shared.draining
            text = b"ready\n" if ready else b"not ready\n"
            self.answer(200 if ready else 503, b"", text, method, keep=keep)
        elif path == b"/metrics":
            rows, workers = shared.rollout.evidence.rows(), shared.board.workers()
            shown = exposition(rows, ready=shared.engine.ready, workers=workers).encode()
            self.answer(200, b"content-type: text/plain; version=0.0.4\r\n", shown, method, keep=keep)
        elif path == HOOK_PATH.encode() and shared.settings.hook_secret is not None:
            status, shown = self._hook(shared.settings.hook_secret, headers, method, body)
            self.answer(status, b"content-type: application/json\r\n", shown, method, keep=keep)
        else:
            self.answer(404, b"", b"", method, keep=keep)

    def _hook(
        self, secret: str, headers: list[tuple[bytes, bytes]], method: bytes, body: bytes
    ) -> tuple[int, bytes]:
        """Fetch keys again, in every worker, for a caller with the secret."""
        started_ns = time.monotonic_ns()
        given = [value for name, value in headers if name == b"authorization"]
        said = given[0].decode("latin-1") if len(given) == 1 else None
        hook = RotatedHook(self._shared.served.sources(), secret=secret)
        status, shown = hook.handle(method.decode("latin-1"), said, body)
        if status == 202:
            self._shared.board.announce("keys", started_ns)
        return status, shown
