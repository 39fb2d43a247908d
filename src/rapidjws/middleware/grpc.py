"""A server interceptor for grpc.aio.server and grpc.server: unary and streaming calls, all kinds of handlers.

Needs the extra ``grpc``. The decision of the call stands in the context variable ``DECISION``, and trusted
metadata in ``context.invocation_metadata()``. The route of a call is its method, ``/package.Service/Method``.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from contextvars import ContextVar, copy_context
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from rapidjws.errors import CODES, error_for
from rapidjws.middleware.authenticator import Authenticator
from rapidjws.middleware.grpc_status import status_details
from rapidjws.middleware.keys_before_start import KeysBeforeStart
from rapidjws.middleware.requests import RequestContext
from rapidjws.middleware.response import RETRY_AFTER_S, warning_headers
from rapidjws.middleware.startup import READY_TIMEOUT_S
from rapidjws.observe.request_info import IdentifiedHeaders

try:
    import grpc
    import grpc.aio
except ImportError as missing:
    raise ImportError("the gRPC interceptor needs: pip install 'rapidjws[grpc]'") from missing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence

    from typing_extensions import Unpack

    from rapidjws.jwt.decision import Decision
    from rapidjws.middleware.authenticator import AuthenticatorSettings
    from rapidjws.observe.tracing import RequestTrace

    Pair = tuple[str, str | bytes]
    Handler = grpc.RpcMethodHandler[Any, Any]
    Continuation = Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]]

DECISION: ContextVar[Decision | None] = ContextVar("rapidjws_decision", default=None)
"""The decision of the call that is served here; None outside of one."""

_STATUS: Final = {
    400: grpc.StatusCode.UNAUTHENTICATED,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    503: grpc.StatusCode.UNAVAILABLE,
}
"""HTTP status -> gRPC status: a call without one well-formed token is unauthenticated too."""


class Metadatum(NamedTuple):
    """One entry of metadata."""

    key: str
    value: str | bytes

    def __repr__(self) -> str:
        """Show the key; the value may be a token."""
        return f"{type(self).__name__}(key={self.key!r})"


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
            ``exempt`` holds methods, ``/grpc.health.v1.Health/Check``.

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
            raise error_for("configuration_invalid", "authenticator.body", "an engine: calls have no body")
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
            decision = await self._authenticator.adecide(call.context)
            DECISION.set(decision)
        handler = await continuation(call.details(decision))
        return call.handler(handler, decision, self._authenticator, is_async=True)


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
            field = authenticator.field.decode()
            headers = IdentifiedHeaders(partial(_values, sent))
            values = list(headers(field.encode()))
            self._trace = authenticator.begin(headers)
            partner = authenticator.partner(details)
            self.context = RequestContext(
                values, b"", partner, method, (), headers, self._trace, "POST", method
            )

    def _metadata(self, decision: Decision | None) -> tuple[Metadatum, ...]:
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
        return _with_metadata(self._sent, self._metadata(decision))

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
            return _wrapped(handler, decision, self._metadata(decision))
        refused = authenticator.answer(decision, self.context)
        if refused is None:
            return _wrapped(handler, decision, self._metadata(decision))
        named: list[Pair] = [pair for pair in refused.headers if pair[0] in ("x-request-id", "dpop-nonce")]
        refuse = _refusing(_STATUS[refused.status], decision.code, named, is_async=is_async)
        return _rebuilt(handler, refuse, coded=False)


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


def _behaviour(handler: Handler) -> Any:
    return (
        handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream
    )  # one of them is set


def _rebuilt(handler: Handler, behaviour: Any, *, coded: bool = True) -> Handler:
    """Return a handler of the same kind that behaves otherwise."""
    kinds = {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (False, True): grpc.unary_stream_rpc_method_handler,
        (True, False): grpc.stream_unary_rpc_method_handler,
        (True, True): grpc.stream_stream_rpc_method_handler,
    }
    make: Callable[..., Handler] = kinds[handler.request_streaming, handler.response_streaming]
    if not coded:  # nobody parses the message of a call that is refused
        return make(behaviour)
    return make(behaviour, handler.request_deserializer, handler.response_serializer)


def _refusing(status: grpc.StatusCode, code: str, named: list[Pair], *, is_async: bool) -> Any:
    """Return a behaviour that ends the call with a status, its code, its id, and when to try again."""
    retry_s = RETRY_AFTER_S if status is grpc.StatusCode.UNAVAILABLE else None
    details = f"{code}: {CODES[code].meaning}"
    packed = status_details(status.value[0], details, reason=code, retry_s=retry_s)
    metadata: list[Pair] = [("grpc-status-details-bin", packed), *named]
    if retry_s is not None:  # what gRPC's own retries heed
        metadata.append(("grpc-retry-pushback-ms", str(retry_s * 1000)))

    async def refuse(_: Any, context: Any) -> None:
        await context.abort(status, details, tuple(metadata))

    def refuse_sync(_: Any, context: Any) -> None:
        context.set_trailing_metadata(tuple(metadata))
        context.abort(status, details)

    return refuse if is_async else refuse_sync


class _Context:
    """A call's context with other metadata, and with the warnings that go out."""

    def __init__(self, context: Any, metadata: tuple[Metadatum, ...], warnings: list[Pair]) -> None:
        self._context = context
        self._metadata = metadata
        self._warnings = warnings
        if warnings:
            context.set_trailing_metadata(tuple(warnings))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    def invocation_metadata(self) -> tuple[Metadatum, ...]:
        """Return the metadata without what only a middleware may set, and with what it set."""
        return self._metadata

    def set_trailing_metadata(self, trailing_metadata: Sequence[Pair]) -> None:
        """Set the handler's metadata beside the warnings."""
        self._context.set_trailing_metadata((*trailing_metadata, *self._warnings))


grpc.aio.ServicerContext.register(_Context)
grpc.ServicerContext.register(_Context)


def _wrapped(handler: Handler, decision: Decision | None, metadata: tuple[Metadatum, ...]) -> Handler:
    """Return a handler that sees what is to be trusted; it stays of its kind, for grpc looks at that."""
    behaviour = _behaviour(handler)
    warnings: list[Pair] = [] if decision is None else list(warning_headers(decision))

    def seen(context: Any) -> _Context:
        DECISION.set(decision)
        return _Context(context, metadata, warnings)

    @functools.wraps(behaviour)
    async def awaited(request: Any, context: Any) -> Any:
        return await behaviour(request, seen(context))

    @functools.wraps(behaviour)
    async def yielding(request: Any, context: Any) -> AsyncIterator[Any]:
        async for message in behaviour(request, seen(context)):
            yield message

    @functools.wraps(behaviour)
    def called(request: Any, context: Any) -> Any:
        return copy_context().run(lambda: behaviour(request, seen(context)))

    @functools.wraps(behaviour)
    def iterated(request: Any, context: Any) -> Iterator[Any]:
        inside = copy_context()  # each message may be asked for on another thread
        messages = iter(inside.run(lambda: behaviour(request, seen(context))))
        nothing = object()
        while (message := inside.run(next, messages, nothing)) is not nothing:
            yield message

    if inspect.iscoroutinefunction(behaviour):
        return _rebuilt(handler, awaited)
    if inspect.isasyncgenfunction(behaviour):
        return _rebuilt(handler, yielding)
    return _rebuilt(handler, iterated if handler.response_streaming else called)
