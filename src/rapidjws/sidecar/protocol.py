"""The sidecar's public side: requests in, decisions out, health and counters beside them.

What one turn of the loop brings is decided together: the answers then leave one after the other, which costs
the system far less than to read, answer and wake a client in turn. Pipelined requests are answered in order.
What this never does: change anything, but fetch keys again for a caller with the hook's secret.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from functools import partial
from typing import TYPE_CHECKING, Final

from rapidjws._loggers import logger
from rapidjws.observe.exposition import chosen_format
from rapidjws.observe.request_info import IdentifiedHeaders
from rapidjws.sidecar.body_requests import SCHEME
from rapidjws.sidecar.connection import Connection, head_of
from rapidjws.sidecar.endpoints import endpoint_answer, is_endpoint
from rapidjws.sidecar.overload import SLICE_NS, LoadShedder
from rapidjws.sidecar.request_headers import values_of, wanted_fields
from rapidjws.sidecar.response_cache import ResponseCache, with_head
from rapidjws.sidecar.worker_state import WorkerState
from rapidjws.verify.worker_pool import call_on_thread

if TYPE_CHECKING:
    from collections import deque

    from rapidjws.audit.decision_recorder import DecisionRecorder
    from rapidjws.jwt.decision import Decision, DecisionRequest
    from rapidjws.observe.request_info import Headers
    from rapidjws.observe.tracing import RequestTrace
    from rapidjws.sidecar.app import SidecarApp
    from rapidjws.sidecar.change_bus import ChangeBus
    from rapidjws.sidecar.metrics import Metrics
    from rapidjws.sidecar.rule_facts import RequestToRule
    from rapidjws.sidecar.settings import ServerSettings
    from rapidjws.verify.snapshot import Token

QUEUE_MAX: Final = 64
"""Most pipelined requests that wait for a slow replay store before the connection is no longer read."""

BATCH_MAX: Final = 16
"""Most requests that are decided in one call: a gateway has answers to work on while the rest is decided."""

METRICS_PATH: Final = b"/metrics"

_log: Final = logger("middleware")

Waiting = tuple[bytes, list[tuple[bytes, bytes]], bytes, bytes, bool]
BatchedRequest = tuple["SidecarProtocol", "bytes | None", Waiting]
Observed = tuple["Token | None", "Headers", "RequestTrace | None"]


class PublicListener(WorkerState):
    """What the public connections of a worker share."""

    def __init__(
        self, app: SidecarApp, settings: ServerSettings, change_bus: ChangeBus, *, index: int, seen: bytes
    ) -> None:
        super().__init__(app, settings, change_bus, index=index, seen=seen)
        self.replies = ResponseCache(settings, lambda line: self.print_line(line))
        self.body_replies = ResponseCache(settings, lambda line: self.print_line(line), scheme=SCHEME)
        self.metrics: Metrics | None = None
        self.shedder = LoadShedder(app, settings, least=BATCH_MAX, warn=lambda line: self.print_line(line))
        self._batch: list[BatchedRequest] = []
        self._flush: asyncio.Handle | None = None
        of_signals = frozenset[bytes]() if app.signals is None else frozenset({b"content-type"})
        wanted = wanted_fields(self, frozenset() if self.bodies is None else self.bodies.fields)
        self.wanted = None if wanted is None else wanted | of_signals
        self.plain_fields = None if self.wanted is None else tuple(sorted(self.wanted))

    def is_slow(self, url: bytes) -> bool:
        """Return whether a request is answered beside the loop, in its turn."""
        path = url.partition(b"?")[0]
        return path == METRICS_PATH or is_endpoint(self, path)

    def add_to_batch(self, one: BatchedRequest, loop: asyncio.AbstractEventLoop) -> None:
        """Take a request that is answered when this turn of the loop has brought all it had."""
        if self._flush is None:
            self._flush = loop.call_soon(
                partial(self.turn, loop)
            )  # first: where it fails, nothing waits for it
        self._batch.append(one)

    def flush(self) -> None:
        """Decide on all requests that were gathered, and answer them in their order."""
        self._decide_gathered(None)

    def turn(self, loop: asyncio.AbstractEventLoop) -> None:
        """Decide on gathered requests for a slice of time; the rest is in order with what comes meanwhile."""
        self._decide_gathered(loop)

    def _decide_gathered(self, loop: asyncio.AbstractEventLoop | None) -> None:
        gathered, self._flush, self._batch = self._batch, None, []
        batch, sent_away = self.shedder.admitted(gathered)
        begun_ns, done = time.perf_counter_ns(), 0
        while done < len(batch):
            if done and loop is not None and time.perf_counter_ns() - begun_ns >= SLICE_NS:
                with contextlib.suppress(Exception):  # where nothing can be planned, all are decided now
                    self._flush = loop.call_soon(partial(self.turn, loop))
                    self._batch = batch[done:]
                    break
                loop = None
            self._answer(batch[done : done + BATCH_MAX])
            done += BATCH_MAX
        self.shedder.took(min(done, len(batch)), (time.perf_counter_ns() - begun_ns) / 1e9)
        self.shedder.send_away(sent_away)

    def _answer(self, batch: list[BatchedRequest]) -> None:
        """Answer each request by its own decision; one without any by the status for a fault of ours."""
        decisions: list[Decision | None] = [None] * len(batch)
        observed: list[Observed | None] = [None] * len(batch)
        started_ns = time.perf_counter_ns()
        try:
            self.sync()
            self._decide(batch, decisions, observed)
            if self.audit is not None:
                self._record(self.audit, decisions, observed)
        except Exception:  # those that have no decision yet get none
            _log.exception("a batch of requests could not be decided")
        for at, ((connection, rest, request), decision) in enumerate(zip(batch, decisions, strict=True)):
            try:
                if rest is None:
                    connection.answer_other(*request)
                elif decision is not None:
                    reply = self.replies.reply(decision, request[2])
                    one = observed[at]
                    if one is not None and (decision.verified is None or one[2] is not None):
                        token, given, trace = one
                        given = IdentifiedHeaders(given)
                        observed[at] = (token, given, trace)
                        reply = with_head(reply, decision, given, trace)
                    connection.write(reply, keep=request[4])
                else:
                    connection.hang_up(500)
            except Exception:  # one connection's fault is not the next one's
                connection.close()
            connection.answered()
        self.shedder.note_good(batch, decisions)
        size = sum(one is not None for one in observed)
        for one, found in zip(observed, decisions, strict=True):  # once all have their answers
            if one is None:
                continue
            token, given, trace = one
            if found is None:
                self.observer.abandon(trace)
            elif trace is not None or found.verified is None:
                self.observer.end(found, token, given, started_ns, trace, size)

    def _decide(
        self, batch: list[BatchedRequest], decisions: list[Decision | None], observed: list[Observed | None]
    ) -> None:
        """Put a decision in the place of each request that is to be decided: no answer is no permit."""
        places: list[int] = []
        requests: list[DecisionRequest] = []
        for at, (_, rest, (_, headers, _, _, _)) in enumerate(batch):
            if rest is not None:
                with contextlib.suppress(Exception):  # a fault with one of them is not the others'
                    requests.append(self.decision_request(headers, rest if rest[:1] == b"/" else None))
                    places.append(at)
        tracing = self.observer.is_tracing
        for at, (token, _, _) in zip(places, requests, strict=True):
            given = partial(values_of, batch[at][2][1])
            trace = self.observer.begin(given) if tracing else None
            if trace is not None:
                self.observer.look(trace, token)
            observed[at] = (token, given, trace)
        engine = self.engine
        facts = self._facts(batch, places)
        if self.settings.sender is not None:
            self._decide_sent(batch, places, requests, facts, decisions)
            return
        if len(requests) > 1 and engine._cache is None:
            found = engine.decide_many(requests, facts=facts)
            if len(found) == len(places):
                for at, decision in zip(places, found, strict=True):
                    decisions[at] = decision
            return
        for number, (token, partner, route) in enumerate(requests):
            of = None if facts is None else facts[number]
            decisions[places[number]] = engine.decide(token, partner=partner, route=route, request=of)

    def _record(
        self, audit: DecisionRecorder, decisions: list[Decision | None], observed: list[Observed | None]
    ) -> None:
        for at, (decision, seen) in enumerate(zip(decisions, observed, strict=True)):
            if decision is not None and seen is not None:
                decisions[at] = None  # no record and no refusal is no permit
                decisions[at] = audit.note(decision, seen[0], seen[1])

    def _facts(self, batch: list[BatchedRequest], places: list[int]) -> list[RequestToRule | None] | None:
        """Return what rules read of each request that is to be decided, or None where there are no rules."""
        if self.engine.authorizer is None:
            return None
        requests = [batch[at][2] for at in places]
        return [self.rule_facts.of(headers, method) for _, headers, method, _, _ in requests]

    def _decide_sent(
        self,
        batch: list[BatchedRequest],
        places: list[int],
        requests: list[DecisionRequest],
        facts: list[RequestToRule | None] | None,
        decisions: list[Decision | None],
    ) -> None:
        """Decide on each request by itself, with who sent it."""
        for number, (at, (token, partner, route)) in enumerate(zip(places, requests, strict=True)):
            of = None if facts is None else facts[number]
            connection, rest, (_, headers, method, _, _) = batch[at]
            target = rest if rest is not None and rest[:1] == b"/" else None
            sender = self.sender_check(token, headers, target, method, connection.peer)
            decisions[at] = self.engine.decide(token, partner=partner, route=route, sender=sender, request=of)


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
        if self._worker is not None or state.blocking or state.is_slow(url):
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
            reply = state.body_replies.reply(decision, method)
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
