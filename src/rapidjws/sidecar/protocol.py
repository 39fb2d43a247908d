"""The sidecar's public side: requests in, decisions out, health and counters beside them.

What one turn of the loop brings is decided together. Pipelined requests are answered in order.
What this never does: change anything, but fetch keys again for a caller with the hook's secret.
"""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING, Final

from rapidjws.observe.exposition import chosen_format
from rapidjws.observe.request_info import IdentifiedHeaders
from rapidjws.sidecar.body_requests import SCHEME
from rapidjws.sidecar.connection import Connection, head_of
from rapidjws.sidecar.endpoints import endpoint_answer, is_endpoint
from rapidjws.sidecar.overload import SHED
from rapidjws.sidecar.request_batch import BatchingWorker
from rapidjws.sidecar.request_headers import values_of, wanted_fields
from rapidjws.sidecar.response_cache import ResponseCache, with_head
from rapidjws.sidecar.worker_state import WorkerState
from rapidjws.verify.worker_pool import call_on_thread

if TYPE_CHECKING:
    from collections import deque

    from rapidjws.jwt.decision import Decision
    from rapidjws.sidecar.app import SidecarApp
    from rapidjws.sidecar.change_bus import ChangeBus
    from rapidjws.sidecar.metrics import Metrics
    from rapidjws.sidecar.request_batch import Observed
    from rapidjws.sidecar.rule_facts import RequestToRule
    from rapidjws.sidecar.settings import ServerSettings
    from rapidjws.sidecar.worker_state import WorkerState
    from rapidjws.verify.protocols import SenderCheck
    from rapidjws.verify.snapshot import Token

QUEUE_MAX: Final = 64
"""Most pipelined requests that wait for a slow replay store before the connection is no longer read."""

METRICS_PATH: Final = b"/metrics"

Waiting = tuple[bytes, list[tuple[bytes, bytes]], bytes, bytes, bool]


class PublicListener(BatchingWorker):
    """What the public connections of a worker share."""

    def __init__(
        self, app: SidecarApp, settings: ServerSettings, change_bus: ChangeBus, *, index: int, seen: bytes
    ) -> None:
        super().__init__(app, settings, change_bus, index=index, seen=seen)
        self.body_replies = ResponseCache(settings, lambda line: self.print_line(line), scheme=SCHEME)
        self.metrics: Metrics | None = None
        of_signals = frozenset[bytes]() if app.signals is None else frozenset({b"content-type"})
        wanted = wanted_fields(self, frozenset() if self.bodies is None else self.bodies.fields)
        self.wanted = None if wanted is None else wanted | of_signals
        self.plain_fields = None if self.wanted is None else tuple(sorted(self.wanted))
        self.usual_url = None if self.is_slow(self.prefix) else self.prefix
        """What most gateways ask for, where it is no endpoint."""

    def is_slow(self, url: bytes) -> bool:
        """Return whether a request is answered beside the loop, in its turn."""
        path = url.partition(b"?")[0]
        return path == METRICS_PATH or is_endpoint(self, path)


def target_of(rest: bytes) -> bytes | None:
    """Return path and query where they follow the prefix of a request; else headers name them."""
    return rest if rest[:1] == b"/" else None


class SidecarProtocol(Connection):
    """One connection of the public listener."""

    def __init__(self, state: PublicListener, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(state, loop)
        self._state = state
        self.wanted = state.wanted
        self.plain_fields = state.plain_fields
        hooked = state.settings.hook_secret is not None or state.app.signals is not None
        self.keeps_body = hooked or state.bodies is not None
        self._waiting: deque[Waiting] | None = None
        self._worker: asyncio.Task[None] | None = None
        self._has_last = False
        self._prefix = state.prefix
        self._prefix_size = len(state.prefix)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget a connection."""
        super().connection_lost(exc)
        if self._worker is not None:
            self._worker.cancel()

    def requested(
        self, url: bytes, headers: list[tuple[bytes, bytes]], method: bytes, body: bytes, *, keep: bool
    ) -> None:
        """Answer a request in its turn."""
        if self._has_last:
            return
        self._has_last = not keep
        state = self._state
        request = (url, headers, method, body, keep)
        if self._worker is not None or state.waits or (url != state.usual_url and state.is_slow(url)):
            self._queue(request)
            return
        rest = self._target(url)
        if (
            rest is not None
            and state.bodies is not None
            and state.bodies.concerns(state, target_of(rest), headers)
        ):
            self._queue(request)
            return
        if rest is None and not self._under_way:
            self.answer_other(*request)
            self.touch(busy=False)
            return
        self._under_way += 1
        state.add_to_batch((self, rest, request), self._loop)

    @staticmethod
    def target_of(rest: bytes) -> bytes | None:
        """Return path and query where they follow the prefix of a request; else headers name them."""
        return target_of(rest)

    def facts(self, state: WorkerState, request: Waiting) -> RequestToRule | None:
        """Return what rules read of a request."""
        return state.rule_facts.of(request[1], request[2])

    def sender_check(
        self, state: WorkerState, token: Token | None, rest: bytes, request: Waiting
    ) -> SenderCheck | None:
        """Return the check of who sent a request's token."""
        return state.sender_check(token, request[1], target_of(rest), request[2], self.peer)

    def answer_decision(
        self, state: BatchingWorker, decision: Decision, request: Waiting, seen: Observed | None
    ) -> None:
        """Answer a request by its decision."""
        reply = state.replies.reply(decision, request[2])
        if seen is not None and isinstance(seen[1], IdentifiedHeaders):
            reply = with_head(reply, decision, seen[1], seen[2])
        self.write(reply, keep=request[4])

    def send_away(self, request: Waiting) -> None:
        """Answer a request that was not looked at."""
        self.write(SHED, keep=request[4])

    def answered(self) -> None:
        """Note that a gathered request has its answer."""
        self._under_way -= 1
        if self._under_way:
            return
        self.touch(busy=False)
        if self._is_ending:
            self.close()

    def answer_pending(self) -> None:
        """Answer what came before, where what came last ends the connection."""
        if self._under_way:
            self._state.flush()

    def _target(self, url: bytes) -> bytes | None:
        """Return what follows the prefix in a request to be decided; None for another one."""
        size = self._prefix_size
        if url[:size] != self._prefix:
            return None
        rest = url[size:]
        return rest if rest[:1] in (b"", b"/", b"?") else None

    # --- decisions that may wait -------------------------------------------------------------------------

    def _queue(self, request: Waiting) -> None:
        from collections import deque

        if self._waiting is None:
            self._waiting = deque()
        self._waiting.append(request)
        if len(self._waiting) >= QUEUE_MAX and self._transport is not None:
            self._transport.pause_reading()
        if self._worker is None:
            self._under_way += 1
            self._worker = self._loop.create_task(self._work(self._waiting))

    async def _work(self, waiting: deque[Waiting]) -> None:
        """Answer waiting requests one after the other, off the loop."""
        state = self._state
        while waiting:
            try:
                await self._answer_waiting(state, *waiting.popleft())
            except Exception:  # no decision is no permit
                self.hang_up(500)
        self._worker = None
        self.answered()
        self.resume_reading()

    async def _answer_waiting(
        self,
        state: PublicListener,
        url: bytes,
        headers: list[tuple[bytes, bytes]],
        method: bytes,
        body: bytes,
        keep: bool,
    ) -> None:
        rest = self._target(url)
        if rest is None:
            if state.is_slow(url):
                await self._answer_slowly(url, headers, method, body, keep)
            else:
                self.answer_other(url, headers, method, body, keep)
            return
        state.sync()
        target = target_of(rest)
        if state.bodies is not None and state.bodies.concerns(state, target, headers):
            decision, given, trace = await state.bodies.decide(state, target, headers, method, body)
            nonce = state.bodies.nonce(state, decision, headers)
            reply = state.body_replies.reply(decision, method, nonce)
            self.write(with_head(reply, decision, given, trace), keep=keep)
            return
        token, partner, route = state.decision_request(headers, target)
        observer, started_ns = state.observer, time.perf_counter_ns()
        given = IdentifiedHeaders(partial(values_of, headers))
        trace = observer.begin(given)
        try:
            observer.look(trace, token)
            sender = state.sender_check(token, headers, target, method, self.peer)
            facts = state.rule_facts.of(headers, method)
            decision = await state.engine.adecide(
                token, partner=partner, route=route, sender=sender, request=facts
            )
            if state.audit is not None:
                decision = await state.audit.anote(decision, token, given)
        except BaseException:  # the client is gone
            observer.abandon(trace)
            raise
        reply = state.replies.reply(decision, method)
        if trace is not None or decision.verified is None:
            reply = with_head(reply, decision, given, trace)
        self.write(reply, keep=keep)
        observer.end(decision, token, given, started_ns, trace)

    # --- the other paths ---------------------------------------------------------------------------------

    def answer_other(
        self, url: bytes, headers: list[tuple[bytes, bytes]], method: bytes, body: bytes, keep: bool
    ) -> None:
        """Answer a request that is not to be decided."""
        state = self._state
        path = url.partition(b"?")[0]
        if path == b"/healthz":
            self.answer(200, b"", b"alive\n", method, keep=keep)
        elif path == b"/readyz":
            ready = state.engine.ready and not state.draining
            text = b"ready\n" if ready else b"not ready\n"
            self.answer(200 if ready else 503, b"", text, method, keep=keep)
        else:
            self.answer(404, b"", b"", method, keep=keep)

    async def _answer_slowly(
        self, url: bytes, headers: list[tuple[bytes, bytes]], method: bytes, body: bytes, keep: bool
    ) -> None:
        """Answer what takes a lock, or work that grows with what was counted, on a thread."""
        state = self._state
        path = url.partition(b"?")[0]
        if path == METRICS_PATH and state.metrics is not None:
            accept = b",".join(value for name, value in headers if name == b"accept")
            wanted = chosen_format(accept)
            shown = await state.metrics.text(wanted)
            head = [("content-type", wanted.content_type), ("vary", "accept")]
            self.answer(200, head_of(head), shown, method, keep=keep)
        elif is_endpoint(state, path):
            ask = partial(endpoint_answer, state, path, headers, method, body)
            status, fields, shown = await call_on_thread(ask)
            self.answer(status, fields, shown, method, keep=keep)
        else:
            self.answer(404, b"", b"", method, keep=keep)
