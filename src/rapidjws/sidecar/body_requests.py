"""Requests that are decided by a signature of their body, as gateways hand them on with it.

The gateway sends the service the octets that it sent here; nothing of a body is changed.
"""

from __future__ import annotations

from functools import partial
from time import perf_counter_ns
from typing import TYPE_CHECKING, Final

from rapidjws.jwt.decision import Decision
from rapidjws.middleware.requests import RequestContext
from rapidjws.observe.request_info import IdentifiedHeaders
from rapidjws.sidecar.request_headers import names_of, values_of
from rapidjws.verify.worker_pool import call_on_thread

if TYPE_CHECKING:
    from rapidjws.jwt.decision import Names
    from rapidjws.middleware.signed_body import SignedBody
    from rapidjws.observe.tracing import RequestTrace
    from rapidjws.sidecar.body_settings import BodySettings
    from rapidjws.sidecar.request_headers import CheckingWorker

SCHEME: Final = "JWS"
"""The scheme of challenges for a signed body, as the middlewares write it."""

PARTIAL_FIELD: Final = b"x-envoy-auth-partial-body"
"""How Envoy says that it cut a body off (``allow_partial_message``)."""

Headers = list[tuple[bytes, bytes]]


class BodyRequests:
    """The requests of a worker that are decided by their body.

    Args:
        settings: Which, and how.
        body: What verifies them.
    """

    __slots__ = ("_body", "_settings", "fields")

    def __init__(self, settings: BodySettings, body: SignedBody) -> None:
        self._settings = settings
        self._body = body
        own = frozenset({*body.fields, b"content-encoding", PARTIAL_FIELD})
        self.fields: frozenset[bytes] | None = None if settings.reads_request else own
        """Headers that are read for them; None for all, where any of them may be signed."""

    def concerns(self, state: CheckingWorker, target: bytes | None, headers: Headers) -> bool:
        """Return whether a request is decided here, one among them whose path has several readings.

        Args:
            state: Knows which headers name the path.
            target: The path where the gateway says it otherwise, or None.
            headers: Lower-case names and values.
        """
        return self._settings.covered.covers(_targets(state, target, headers)) is not False

    async def decide(
        self,
        state: CheckingWorker,
        target: bytes | None,
        headers: Headers,
        method: bytes,
        octets: bytes,
        *,
        host: bytes = b"",
    ) -> tuple[Decision, IdentifiedHeaders, RequestTrace | None]:
        """Decide on one request, off the loop.

        Args:
            state: The worker's.
            target: Its path and query where the gateway says them otherwise than in a header, or None.
            headers: Lower-case names and values.
            method: Its method, which counts where there is such a target.
            octets: Its body.
            host: What the gateway says beside the headers of its host.

        Returns:
            The decision, the request's headers with an id for its log line, and its span.
        """
        started_ns = perf_counter_ns()
        given = IdentifiedHeaders(partial(values_of, headers))
        trace = state.observer.begin(given)
        try:
            context = self._context(state, target, headers, method, trace, host)
            token = self._token(context, octets)
            state.observer.look(trace, token)
            decision = await self._decided(state, context, target, headers, octets)
            if state.audit is not None:
                decision = await state.audit.anote(decision, token, given)
        except BaseException:  # the client is gone
            state.observer.abandon(trace)
            raise
        state.observer.end(decision, token, given, started_ns, trace)
        return decision, given, trace

    def nonce(self, state: CheckingWorker, decision: Decision, headers: Headers) -> str | None:
        """Return the nonce for the next request of whoever gets the answer, or None; see ``SignedBody``."""
        return self._body.nonce(decision, _partner(state, headers))

    async def _decided(
        self,
        state: CheckingWorker,
        context: RequestContext,
        target: bytes | None,
        headers: Headers,
        octets: bytes,
    ) -> Decision:
        if self._settings.covered.covers(_targets(state, target, headers)) is None:
            return Decision(outcome="deny", code="malformed_request", place="target")
        body: bytes | None = octets
        if any(value.lower() != b"false" for value in values_of(headers, PARTIAL_FIELD)):
            body = None
        elif not octets and not self._settings.empty_body:
            context = context._replace(values=[])
        work = partial(self._body.decide, context, body)
        return await call_on_thread(work, inline=True)

    def _context(
        self,
        state: CheckingWorker,
        target: bytes | None,
        headers: Headers,
        method: bytes,
        trace: RequestTrace | None,
        host: bytes,
    ) -> RequestContext:
        """Return what a request says, to the signature and to rules."""
        targets = _targets(state, target, headers)
        if target is None:
            method = state.settings.client_method(headers, method)
        facts = state.rule_facts.of_envoy(headers, method, host) if host else None
        if facts is None:
            facts = state.rule_facts.of(headers, method)
        signed = targets[0].decode("latin-1") if len(set(targets)) == 1 else None
        return RequestContext(
            values=[value for field in self._body.fields for value in values_of(headers, field)],
            query=b"",
            partner=_partner(state, headers),
            route=names_of(targets),
            headers=partial(values_of, headers) if facts is None else facts.headers,
            trace=trace,
            method=(facts.method if facts is not None else "") or method.decode("latin-1"),
            target=signed,
        )

    def _token(self, context: RequestContext, octets: bytes) -> bytes | None:
        """Return the JWS of a request as far as it can be seen at once, for logs, spans and records."""
        if self._settings.signature_headers:
            return context.values[0] if len(context.values) == 1 else None
        return octets if self._body.part is None else None


def _partner(state: CheckingWorker, headers: Headers) -> Names:
    """Return whose request the gateway's header names."""
    return names_of([] if state.partner_field is None else values_of(headers, state.partner_field))


def _targets(state: CheckingWorker, target: bytes | None, headers: Headers) -> list[bytes]:
    """Return what names a request's path: the gateway's own word, or its headers."""
    if target is not None:
        return [target]
    return [value for name, value in headers if name in state.route_fields]
