"""A server interceptor for grpc.aio.server and grpc.server: unary and streaming calls, all kinds of handlers.

Needs the extra ``grpc``. The decision of the call stands in the context variable ``DECISION``, and trusted
metadata in ``context.invocation_metadata()``. The route of a call is its method, ``/package.Service/Method``.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

from rapidjws.errors import error_for
from rapidjws.middleware.authenticator import Authenticator
from rapidjws.middleware.grpc_handlers import DECISION, Metadatum, decided_by_message, refusing, wrapped
from rapidjws.middleware.keys_before_start import KeysBeforeStart
from rapidjws.middleware.requests import RequestContext
from rapidjws.middleware.startup import READY_TIMEOUT_S
from rapidjws.observe.request_info import IdentifiedHeaders

try:
    import grpc
    import grpc.aio
except ImportError as missing:
    raise ImportError("the gRPC interceptor needs: pip install 'rapidjws[grpc]'") from missing

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from typing_extensions import Unpack

    from rapidjws.jwt.decision import Decision
    from rapidjws.middleware.authenticator import AuthenticatorSettings
    from rapidjws.middleware.grpc_handlers import Handler, Pair
    from rapidjws.middleware.response import Answer
    from rapidjws.middleware.signed_body import SignedBody
    from rapidjws.observe.tracing import RequestTrace

    Continuation = Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]]

__all__ = ["DECISION", "JWSInterceptor", "Metadatum"]


class JWSInterceptor(grpc.aio.ServerInterceptor, grpc.ServerInterceptor, KeysBeforeStart):
    """An interceptor that lets calls through to a gRPC server's handlers as the engine decides.

    One class serves both kinds of servers, ``grpc.aio.server`` and ``grpc.server``. The latter asks its
    interceptors on the one thread that takes calls: with a replay store that another machine holds, prefer
    ``grpc.aio.server``. Put it first: interceptors before it see metadata as the client sent it.

    gRPC has no startup event: call ``wait_ready``, or await ``await_ready``, before the server starts. Calls
    of the first ``ready_timeout_s`` seconds wait all the same until each required issuer has keys.

    Args:
        ready_timeout_s: Longest time, 0 to 3600 seconds from now on, that calls wait for keys.
        settings: As for :class:`rapidjws.middleware.Authenticator`; ``partner_of`` gets the call's details.
            ``exempt`` holds methods, ``/grpc.health.v1.Health/Check``. A ``body`` is the call's one message
            as it was serialized, with its signature in the metadata; interceptors after this one then know
            no decision, and a method that takes a stream of messages is refused (``malformed_request``).

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """

    def __init__(
        self,
        *,
        ready_timeout_s: float = READY_TIMEOUT_S,
        **settings: Unpack[AuthenticatorSettings[grpc.HandlerCallDetails]],
    ) -> None:
        self._authenticator: Authenticator[grpc.HandlerCallDetails] = Authenticator(**settings)
        if self._authenticator.body is not None:
            _check_body(self._authenticator.body)
        self._startup = self._authenticator.startup_wait(ready_timeout_s)

    async def await_ready(self, timeout_s: float = READY_TIMEOUT_S) -> bool:
        """Wait as ``wait_ready`` does, from asyncio: before ``await grpc.aio.server(...).start()``."""
        return await self._authenticator.await_keys(timeout_s)

    def intercept_service(self, continuation: Any, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """Refuse one call, or hand it on with trusted metadata; a coroutine where a loop asks."""
        call = _Call(self._authenticator, handler_call_details)
        if _is_in_loop():
            return self._intercept_async(continuation, call)
        if call.context is not None and not self._startup.is_over:
            self._startup.wait()
        if call.waits_for_message:
            return call.message_handler(continuation(call.details(None)), is_async=False)
        decision = None if call.context is None else self._authenticator.decide(call.context)
        before = DECISION.set(decision)
        try:  # the thread takes the next call too
            handler = continuation(call.details(decision))
        finally:
            DECISION.reset(before)
        return call.handler(handler, decision, self._authenticator, is_async=False)

    async def _intercept_async(self, continuation: Continuation, call: _Call) -> Handler | None:
        decision = None
        if call.context is not None:
            if not self._startup.is_over:
                await self._startup.wait_async()
            if call.waits_for_message:
                return call.message_handler(await continuation(call.details(None)), is_async=True)
            decision = await self._authenticator.adecide(call.context)
            DECISION.set(decision)
        handler = await continuation(call.details(decision))
        return call.handler(handler, decision, self._authenticator, is_async=True)


def _check_body(body: SignedBody) -> None:
    """Refuse what no call can carry: a message has no media type, and is neither JSON nor a form."""
    expected = "the metadata of the signature: a message of gRPC is no JSON, no form and no JWS by itself"
    if body.part is not None:
        raise error_for("configuration_invalid", "authenticator.body.part", expected)
    if body.signature_header is None:
        raise error_for("configuration_invalid", "authenticator.body.signature_header", expected)


def _is_in_loop() -> bool:
    """Return whether grpc.aio asks: grpc.server calls its interceptors on a thread without a loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


class _Call:
    """One call: what it asks, and what its handler gets.

    Attributes:
        context: What is to be decided, or None for an exempt method.
    """

    def __init__(
        self, authenticator: Authenticator[grpc.HandlerCallDetails], details: grpc.HandlerCallDetails
    ) -> None:
        sent: Sequence[Pair] = tuple(details.invocation_metadata or ())
        self._sent = details
        self._authenticator = authenticator
        self._kept = tuple([Metadatum(*pair) for pair in sent if not authenticator.is_ours(pair[0])])
        self.context: RequestContext | None = None
        self._trace: RequestTrace | None = None
        method: str = details.method
        if method not in authenticator.exempt:
            headers = IdentifiedHeaders(partial(_values, sent))
            values = authenticator.values(headers)
            self._trace = authenticator.begin(headers)
            partner = authenticator.partner(details)
            self.context = RequestContext(
                values, b"", partner, method, (), headers, self._trace, "POST", method
            )

    def metadata(self, decision: Decision | None) -> tuple[Metadatum, ...]:
        """Return the metadata without what a client made up, and with what was verified."""
        if decision is None:
            return self._kept
        kept, made = self._kept, self._authenticator.trusted_headers(decision)
        if self._trace is not None:
            ours = self._trace.headers()
            kept = tuple([pair for pair in kept if pair[0] not in dict(ours)])
            made = [*made, *ours]
        return kept + tuple([Metadatum(*pair) for pair in made])

    def details(self, decision: Decision | None) -> grpc.HandlerCallDetails:
        """Return the call's details for who comes after."""
        return _with_metadata(self._sent, self.metadata(decision))

    def handler(
        self,
        handler: Handler | None,
        decision: Decision | None,
        authenticator: Authenticator[grpc.HandlerCallDetails],
        *,
        is_async: bool,
    ) -> Handler | None:
        """Return what serves the call, or refuses it; None where there is no such method."""
        if handler is None:  # grpc answers UNIMPLEMENTED
            return handler
        if decision is None or self.context is None:
            return wrapped(handler, decision, self.metadata(decision))
        refused = authenticator.answer(decision, self.context)
        if refused is None:
            return wrapped(handler, decision, self.metadata(decision))
        return refusing(handler, refused, decision.code, is_async=is_async)

    # --- where the message is signed ---------------------------------------------------------------------

    @property
    def waits_for_message(self) -> bool:
        """Return whether the message decides, and not the metadata alone."""
        return self.context is not None and self._authenticator.body is not None

    def message_handler(self, handler: Handler | None, *, is_async: bool) -> Handler | None:
        """Return what decides by the call's message; None where there is no such method."""
        if handler is None or self.context is None:
            return None
        if not handler.request_streaming:
            return decided_by_message(handler, self)
        decision = self._authenticator.refused(self.context, "malformed_request", place="body")
        refused = self.answer(decision)
        if refused is None:  # unreachable: a refusal has an answer
            raise error_for("internal_error", "grpc")
        return refusing(handler, refused, decision.code, is_async=is_async)

    def _within_limit(self, message: bytes) -> bytes | None:
        return message if len(message) <= self._authenticator.limit_bytes else None

    def decide(self, message: bytes) -> Decision:
        """Decide by the octets of the call's one message."""
        assert self.context is not None
        return self._authenticator.decide(self.context, self._within_limit(message))

    async def adecide(self, message: bytes) -> Decision:
        """Decide as ``decide`` does, from asyncio."""
        assert self.context is not None
        return await self._authenticator.adecide(self.context, self._within_limit(message))

    def answer(self, decision: Decision) -> Answer | None:
        """Return the refusal that a decision asks for, or None for a permit."""
        assert self.context is not None
        return self._authenticator.answer(decision, self.context)


def _with_metadata(
    details: grpc.HandlerCallDetails, metadata: tuple[Metadatum, ...]
) -> grpc.HandlerCallDetails:
    """Return a call's details with other metadata; grpc takes no class but its own, which has no name."""
    kind: Any = type(details)
    changed: grpc.HandlerCallDetails = kind(details.method, metadata)
    return changed


def _values(sent: Sequence[Pair], name: bytes) -> list[bytes]:
    """Return each value of a call's metadata of this name."""
    wanted = name.decode()
    return [_octets(value) for key, value in sent if key == wanted]


def _octets(value: str | bytes) -> bytes:
    return value.encode("latin-1", "replace") if isinstance(value, str) else value
