"""Requests of one turn of the loop, decided together: of all connections, whatever protocol they speak.

What one turn brings is decided in calls of a few requests: the answers then leave one after the other, which
costs the system far less than to read, answer and wake a client in turn. No answer is no permit.
"""

from __future__ import annotations

import contextlib
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol

from rapidjws._loggers import logger
from rapidjws.observe.request_info import IdentifiedHeaders
from rapidjws.sidecar.overload import SLICE_NS, LoadShedder
from rapidjws.sidecar.request_headers import values_of
from rapidjws.sidecar.response_cache import ResponseCache
from rapidjws.sidecar.worker_state import WorkerState

if TYPE_CHECKING:
    import asyncio

    from rapidjws.audit.decision_recorder import DecisionRecorder
    from rapidjws.jwt.decision import Decision, DecisionRequest
    from rapidjws.observe.request_info import Headers
    from rapidjws.observe.tracing import RequestTrace
    from rapidjws.sidecar.app import SidecarApp
    from rapidjws.sidecar.change_bus import ChangeBus
    from rapidjws.sidecar.rule_facts import RequestToRule
    from rapidjws.sidecar.settings import ServerSettings
    from rapidjws.verify.protocols import SenderCheck
    from rapidjws.verify.snapshot import Token

BATCH_MAX: Final = 16
"""Most requests that are decided in one call: a gateway has answers to work on while the rest is decided."""

REFUSED_MAX: Final = 8
"""The same after a call that refused most of its requests; a turn then ends with one call: who sends good
tokens waits for few of another's bad ones, each of which costs more than a good one."""

_log: Final = logger("middleware")

Observed = tuple["Token | None", "Headers", "RequestTrace | None"]


class Answerer(Protocol):
    """Where a request came from, and its answer goes: a connection, or one call of a connection."""

    def target_of(self, rest: bytes) -> bytes | None:
        """Return path and query of a request where headers do not name them."""

    def facts(self, state: WorkerState, request: Any) -> RequestToRule | None:
        """Return what rules read of a request."""

    def sender_check(
        self, state: WorkerState, token: Token | None, rest: bytes, request: Any
    ) -> SenderCheck | None:
        """Return the check of who sent a request's token."""

    def answer_decision(
        self, state: BatchingWorker, decision: Decision, request: Any, seen: Observed | None
    ) -> None:
        """Answer a request by its decision."""

    def answer_other(self, *request: Any) -> None:
        """Answer a request that is not to be decided."""

    def send_away(self, request: Any) -> None:
        """Answer a request that was not looked at."""

    def hang_up(self, status: int) -> None:
        """Answer by a fault of ours."""

    def close(self) -> None:
        """Give up a connection."""

    def answered(self) -> None:
        """Note that a request has its answer."""


BatchedRequest = tuple[Answerer, "bytes | None", Any]
"""Whose it is; the path as the gateway says it, None where nothing is decided; and the request: what it is,
fields, method, and what else its answerer wants to know."""


class BatchingWorker(WorkerState):
    """A worker's share of the sidecar, which decides the requests of a turn together."""

    def __init__(
        self, app: SidecarApp, settings: ServerSettings, change_bus: ChangeBus, *, index: int, seen: bytes
    ) -> None:
        super().__init__(app, settings, change_bus, index=index, seen=seen)
        self.replies = ResponseCache(settings, lambda line: self.print_line(line))
        self.shedder = LoadShedder(app, settings, least=BATCH_MAX, warn=lambda line: self.print_line(line))
        self._batch: list[BatchedRequest] = []
        self._flush: asyncio.Handle | None = None
        self._waits = False
        self.slice_ns = SLICE_NS
        """How long one turn decides, at most."""
        self._mostly_refused = False

    @property
    def waits(self) -> bool:
        """Return whether decisions of this turn may wait for another machine; looked at once a turn."""
        if self._flush is None:
            self._waits = self.blocking
        return self._waits

    def add_to_batch(self, one: BatchedRequest, loop: asyncio.AbstractEventLoop) -> None:
        """Take a request that is answered when this turn of the loop has brought all it had."""
        if self._flush is None:
            # first: where it fails, nothing waits for it
            self._flush = loop.call_soon(partial(self.turn, loop))
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
        begun_ns, done, slice_ns = time.perf_counter_ns(), 0, min(SLICE_NS, self.slice_ns)
        while done < len(batch):
            at_most_ns = 0 if self._mostly_refused else slice_ns
            if done and loop is not None and time.perf_counter_ns() - begun_ns >= at_most_ns:
                with contextlib.suppress(Exception):  # where nothing can be planned, all are decided now
                    self._flush = loop.call_soon(partial(self.turn, loop))
                    self._batch = batch[done:]
                    break
                loop = None
            size = REFUSED_MAX if self._mostly_refused else BATCH_MAX
            self._answer(batch[done : done + size])
            done += size
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
                    one = observed[at]
                    if one is not None and (decision.verified is None or one[2] is not None):
                        one = observed[at] = (one[0], IdentifiedHeaders(one[1]), one[2])
                    connection.answer_decision(self, decision, request, one)
                else:
                    connection.hang_up(500)
            except Exception:  # one connection's fault is not the next one's
                connection.close()
            connection.answered()
        self.shedder.note_good(batch, decisions)
        size = sum(one is not None for one in observed)
        good = sum(found is not None and found.verified is not None for found in decisions)
        self._mostly_refused = 2 * good < size
        for one, found in zip(observed, decisions, strict=True):  # once all have their answers
            if one is None or (one[2] is None and found is not None and found.verified is not None):
                continue
            token, given, trace = one
            if found is None:
                self.observer.abandon(trace)
            else:
                self.observer.end(found, token, given, started_ns, trace, size)

    def _decide(
        self, batch: list[BatchedRequest], decisions: list[Decision | None], observed: list[Observed | None]
    ) -> None:
        """Put a decision in the place of each request that is to be decided: no answer is no permit."""
        places: list[int] = []
        requests: list[DecisionRequest] = []
        for at, (connection, rest, request) in enumerate(batch):
            if rest is None:
                continue
            try:
                one = self.decision_request(request[1], connection.target_of(rest))
            except Exception:  # a fault with one of them is not the others'
                continue
            requests.append(one)
            places.append(at)
            observed[at] = (one[0], partial(values_of, request[1]), None)
        if self.observer.is_tracing:
            self._begin_traces(places, observed)
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

    def _begin_traces(self, places: list[int], observed: list[Observed | None]) -> None:
        """Begin the spans of requests whose callers record."""
        for at in places:
            one = observed[at]
            trace = None if one is None else self.observer.begin(one[1])
            if one is not None and trace is not None:
                self.observer.look(trace, one[0])
                observed[at] = (one[0], one[1], trace)

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
        return [batch[at][0].facts(self, batch[at][2]) for at in places]

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
            connection, rest, request = batch[at]
            sender = connection.sender_check(self, token, rest or b"", request)
            decisions[at] = self.engine.decide(token, partner=partner, route=route, sender=sender, request=of)
