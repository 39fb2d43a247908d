"""The handlers of gRPC calls: let through with what may be trusted, refused, or decided by their message.

Needs the extra ``grpc``. A message that is signed is parsed once its octets verified.
"""

from __future__ import annotations

import functools
import inspect
from contextvars import ContextVar, copy_context
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from rapidjws.errors import CODES
from rapidjws.middleware.grpc_status import status_details
from rapidjws.middleware.response import RETRY_AFTER_S, warning_headers

try:
    import grpc
    import grpc.aio
except ImportError as missing:
    raise ImportError("the gRPC interceptor needs: pip install 'rapidjws[grpc]'") from missing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence

    from rapidjws.jwt.decision import Decision
    from rapidjws.middleware.response import Answer

    Pair = tuple[str, str | bytes]
    Handler = grpc.RpcMethodHandler[Any, Any]

DECISION: ContextVar[Decision | None] = ContextVar("rapidjws_decision", default=None)
"""The decision of the call that is served here; None outside of one."""

STATUSES: Final = {
    400: grpc.StatusCode.UNAUTHENTICATED,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    503: grpc.StatusCode.UNAVAILABLE,
}
"""HTTP status -> gRPC status: a call without one well-formed token is unauthenticated too."""


_UNPARSED: Final = (grpc.StatusCode.INTERNAL, "Exception deserializing request!")
"""What grpc itself answers where a message cannot be parsed."""

_HANDED_ON: Final = ("x-request-id", "dpop-nonce", "replay-nonce")
"""What a refusal says in its metadata beside its status."""


class Metadatum(NamedTuple):
    """One entry of metadata."""

    key: str
    value: str | bytes

    def __repr__(self) -> str:
        """Show the key; the value may be a token."""
        return f"{type(self).__name__}(key={self.key!r})"


def _behaviour(handler: Handler) -> Any:
    return (
        handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream
    )  # one of them is set


def rebuilt(handler: Handler, behaviour: Any, *, coded: bool = True, parsed: bool = True) -> Handler:
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
    return make(behaviour, handler.request_deserializer if parsed else None, handler.response_serializer)


def _answer(refused: Answer, code: str) -> tuple[grpc.StatusCode, str, tuple[Pair, ...]]:
    """Return a refusal's status, its words, and its metadata: the code, its id, and when to try again."""
    status = STATUSES[refused.status]
    retry_s = RETRY_AFTER_S if status is grpc.StatusCode.UNAVAILABLE else None
    details = f"{code}: {CODES[code].meaning}"
    packed = status_details(status.value[0], details, reason=code, retry_s=retry_s)
    metadata: list[Pair] = [("grpc-status-details-bin", packed)]
    metadata += [pair for pair in refused.headers if pair[0] in _HANDED_ON]
    if retry_s is not None:  # what gRPC's own retries heed
        metadata.append(("grpc-retry-pushback-ms", str(retry_s * 1000)))
    return status, details, tuple(metadata)


def refusing(handler: Handler, refused: Answer, code: str, *, is_async: bool) -> Handler:
    """Return a handler that ends the call with a status; nobody parses its message."""
    status, details, metadata = _answer(refused, code)

    async def refuse(_: Any, context: Any) -> None:
        await context.abort(status, details, metadata)

    def refuse_sync(_: Any, context: Any) -> None:
        context.set_trailing_metadata(metadata)
        context.abort(status, details)

    return rebuilt(handler, refuse if is_async else refuse_sync, coded=False)


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


def wrapped(handler: Handler, decision: Decision | None, metadata: tuple[Metadatum, ...]) -> Handler:
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
        return rebuilt(handler, awaited)
    if inspect.isasyncgenfunction(behaviour):
        return rebuilt(handler, yielding)
    return rebuilt(handler, iterated if handler.response_streaming else called)


class MessageDecision(Protocol):
    """The decision about one call by the octets of its message."""

    def decide(self, message: bytes) -> Decision:
        """Decide."""

    async def adecide(self, message: bytes) -> Decision:
        """Decide from asyncio."""

    def answer(self, decision: Decision) -> Answer | None:
        """Return the refusal, or None for a permit."""

    def metadata(self, decision: Decision | None) -> tuple[Metadatum, ...]:
        """Return what the handler may trust."""


def _seen(
    call: MessageDecision, decision: Decision, parse: Any, message: bytes, context: Any
) -> tuple[Any, _Context] | None:
    """Return what a handler gets of a verified message; None where that is no message of the method."""
    try:
        request = message if parse is None else parse(message)
    except Exception:
        return None
    DECISION.set(decision)
    return request, _Context(context, call.metadata(decision), list(warning_headers(decision)))


def decided_by_message(handler: Handler, call: MessageDecision) -> Handler:
    """Return a handler of calls with one message, which is decided by its octets before anybody parses it."""
    behaviour, parse = _behaviour(handler), handler.request_deserializer

    def refusal(decision: Decision) -> tuple[grpc.StatusCode, str, tuple[Pair, ...]] | None:
        refused = call.answer(decision)
        return None if refused is None else _answer(refused, decision.code)

    async def let_through(message: bytes, context: Any) -> Any:
        decision = await call.adecide(message)
        refused = refusal(decision)
        if refused is not None:
            await context.abort(*refused)  # which raises
        found = _seen(call, decision, parse, message, context)
        if found is None:
            await context.abort(*_UNPARSED)
        return found

    def let_through_sync(message: bytes, context: Any) -> Any:
        decision = call.decide(message)
        refused = refusal(decision)
        if refused is not None:
            status, details, metadata = refused
            context.set_trailing_metadata(metadata)
            context.abort(status, details)  # which raises
        found = _seen(call, decision, parse, message, context)
        if found is None:
            context.abort(*_UNPARSED)
        return found

    @functools.wraps(behaviour)
    async def awaited(message: bytes, context: Any) -> Any:
        return await behaviour(*await let_through(message, context))

    @functools.wraps(behaviour)
    async def yielding(message: bytes, context: Any) -> AsyncIterator[Any]:
        async for answer in behaviour(*await let_through(message, context)):
            yield answer

    @functools.wraps(behaviour)
    def called(message: bytes, context: Any) -> Any:
        return copy_context().run(lambda: behaviour(*let_through_sync(message, context)))

    @functools.wraps(behaviour)
    def iterated(message: bytes, context: Any) -> Iterator[Any]:
        inside = copy_context()  # each message may be asked for on another thread
        answers = iter(inside.run(lambda: behaviour(*let_through_sync(message, context))))
        nothing = object()
        while (answer := inside.run(next, answers, nothing)) is not nothing:
            yield answer

    if inspect.iscoroutinefunction(behaviour):
        return rebuilt(handler, awaited, parsed=False)
    if inspect.isasyncgenfunction(behaviour):
        return rebuilt(handler, yielding, parsed=False)
    return rebuilt(handler, iterated if handler.response_streaming else called, parsed=False)
