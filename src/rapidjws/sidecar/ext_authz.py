"""Envoy's ext_authz over gRPC: ``envoy.service.auth.v3.Authorization/Check``, octets in, octets out.

Of a CheckRequest only headers and path are read, and the body where bodies are signed. What this never does:
let a request pass whose message it does not understand.
Source: Envoy API v3, external_auth.proto and attribute_context.proto.
"""

from __future__ import annotations

from functools import partial
from time import perf_counter_ns, time_ns
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from rapidjws._protobuf import field, number_field, spans
from rapidjws.middleware.claim_headers import NO_CLAIM_HEADERS
from rapidjws.middleware.response import answer_for, is_ours, trusted_headers, warning_headers
from rapidjws.observe.request_info import IdentifiedHeaders
from rapidjws.sidecar.body_requests import SCHEME
from rapidjws.sidecar.dynamic_metadata import metadata_of
from rapidjws.sidecar.request_headers import values_of

if TYPE_CHECKING:
    from rapidjws.jwt.decision import Decision
    from rapidjws.middleware.claim_headers import ClaimHeaders
    from rapidjws.observe.tracing import RequestTrace
    from rapidjws.sidecar.body_requests import BodyRequests
    from rapidjws.sidecar.settings import ServerSettings
    from rapidjws.sidecar.worker_state import WorkerState

METHOD: Final = "/envoy.service.auth.v3.Authorization/Check"

_ATTRIBUTES: Final = 1  # CheckRequest
_REQUEST: Final = 4  # AttributeContext
_HTTP: Final = 2  # AttributeContext.Request
_METHOD, _HEADERS, _PATH, _HOST, _BODY, _RAW_BODY, _HEADER_MAP = (
    2,
    3,
    4,
    5,
    11,
    12,
    13,
)  # AttributeContext.HttpRequest
_KEY, _VALUE, _RAW_VALUE = 1, 2, 3  # HeaderValue; of a map's entry the first two

_PERMISSION_DENIED: Final = 7
_UNAUTHENTICATED: Final = 16
_UNAVAILABLE: Final = 14
_RPC_CODES: Final = {401: _UNAUTHENTICATED, 403: _PERMISSION_DENIED, 503: _UNAVAILABLE}

CheckRequest = tuple["list[tuple[bytes, bytes]]", bytes]


def read_check(octets: bytes) -> CheckRequest:
    """Return the headers and the target of a CheckRequest.

    Args:
        octets: The message. With ``encode_raw_headers`` it holds each header by itself, else those of one
            name joined by commas.

    Raises:
        ValueError: It is no such message, or holds no HTTP request.
    """
    at = (0, len(octets))
    for wanted in (_ATTRIBUTES, _REQUEST, _HTTP):
        found = [(start, end) for number, start, end in spans(octets, *at) if number == wanted]
        if len(found) != 1:  # a message in two pieces would be merged by others: two readings
            raise ValueError("one HTTP request expected")
        at = found[0]
    headers: list[tuple[bytes, bytes]] = []
    raw: list[tuple[bytes, bytes]] = []
    path = b""
    for number, start, end in spans(octets, *at):
        if number == _HEADERS:
            headers.append(_header(octets, start, end))
        elif number == _PATH:
            path = octets[start:end]
        elif number == _HEADER_MAP:
            raw += [_header(octets, *one[1:]) for one in spans(octets, start, end) if one[0] == 1]
    return raw or headers, path


def read_method(octets: bytes) -> tuple[bytes, bytes]:
    """Return method and host of a CheckRequest that ``read_check`` has read; empty where one stands twice."""
    at = (0, len(octets))
    for wanted in (_ATTRIBUTES, _REQUEST, _HTTP):
        (at,) = [(start, end) for number, start, end in spans(octets, *at) if number == wanted]
    found = {_METHOD: [b""], _HOST: [b""]}
    for number, start, end in spans(octets, *at):
        if number in found:
            found[number].append(octets[start:end])
    method, host = (values[-1] if len(values) <= 2 else b"" for values in found.values())
    return method, host


def read_body(octets: bytes) -> bytes:
    """Return the body of a CheckRequest that ``read_check`` has read, with ``pack_as_bytes`` or without.

    Raises:
        ValueError: It stands there twice.
    """
    at = (0, len(octets))
    for wanted in (_ATTRIBUTES, _REQUEST, _HTTP):
        (at,) = [(start, end) for number, start, end in spans(octets, *at) if number == wanted]
    found = [octets[start:end] for number, start, end in spans(octets, *at) if number in (_BODY, _RAW_BODY)]
    if len(found) > 1:
        raise ValueError("one body expected")
    return found[0] if found else b""


def _peer(name: str) -> str | None:
    """Return the address of a gateway as gRPC names it, ``"unix"`` for a Unix socket."""
    kind, _, rest = unquote(name).partition(":")
    if kind == "unix":
        return "unix"
    return rest.rpartition(":")[0].strip("[]") or None if kind in ("ipv4", "ipv6") else None


def _header(octets: bytes, start: int, end: int) -> tuple[bytes, bytes]:
    name = value = b""
    for number, first, last in spans(octets, start, end):
        if number == _KEY:
            name = octets[first:last].lower()
        elif number in (_VALUE, _RAW_VALUE):
            value = octets[first:last]
    return name, value


def _option(name: str, value: str) -> bytes:
    """Return a HeaderValueOption that overwrites: ``append`` is false, and sent as such."""
    return field(1, field(_KEY, name) + field(_VALUE, value)) + field(2, b"")


def permit(
    decision: Decision,
    sent: list[bytes],
    trace: RequestTrace | None = None,
    claim_headers: ClaimHeaders = NO_CLAIM_HEADERS,
) -> bytes:
    """Return the CheckResponse of a permit.

    Args:
        decision: The decision.
        sent: Names of the request's headers that are ours: removed, or overwritten.
        trace: The request's span, for the service as parent.
        claim_headers: Which claims go to the service, and to Envoy's filters as dynamic metadata. A header
            without a value is removed though the check shows none: ``allowed_headers`` may hide it.
    """
    made: list[bytes] = []
    removed = {name.decode("latin-1") for name in sent}.union(claim_headers.names)
    for name, value in trusted_headers(decision) + claim_headers.headers(decision):
        if value:
            made.append(field(2, _option(name, value)))
            removed.discard(name)
    made += [field(5, name) for name in sorted(removed)]
    if trace is not None:
        made += [field(2, _option(name, value)) for name, value in trace.headers()]
    made += [field(6, _option(name, value)) for name, value in warning_headers(decision)]
    return field(1, b"") + field(3, b"".join(made)) + metadata_of(claim_headers.values(decision))


def refusal(
    decision: Decision,
    settings: ServerSettings,
    request: IdentifiedHeaders | None = None,
    *,
    of_body: bool = False,
) -> bytes | None:
    """Return the CheckResponse of a refusal, with the id of its log line, or None for a permit."""
    answer = answer_for(
        decision,
        realm=settings.realm,
        scheme=SCHEME if of_body else settings.place.scheme,
        dpop=None if settings.sender is None or of_body else settings.sender.challenge(time_ns()),
    )
    if answer is None:
        return None
    named = () if request is None else (("x-request-id", request.request_id),)
    headers = [field(2, _option(name, value)) for name, value in (*answer.headers, *named)]
    denied = field(1, number_field(1, answer.status)) + b"".join(headers) + field(3, answer.body)
    code = _RPC_CODES.get(answer.status, _PERMISSION_DENIED)
    return field(1, number_field(1, code)) + field(2, denied)


class Authorization:
    """The checks of Envoy; octets in and out, for a generic handler of ``grpc.aio``."""

    def __init__(self, state: WorkerState) -> None:
        self._state = state

    async def check(self, octets: bytes, context: Any) -> bytes:
        """Decide on one request."""
        state = self._state
        try:
            headers, target = read_check(octets)
        except ValueError:
            import grpc

            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "a CheckRequest expected")
            raise  # unreachable: abort raises
        state.sync()
        if state.bodies is not None and state.bodies.concerns(state, target, headers):
            return await self._check_body(state, state.bodies, octets, headers, target, context)
        token, partner, route = state.decision_request(headers, target)
        observer, started_ns = state.observer, perf_counter_ns()
        given = IdentifiedHeaders(partial(values_of, headers))
        trace = observer.begin(given)
        try:
            observer.look(trace, token)
            sender = facts = None
            if state.settings.sender is not None or state.engine.authorizer is not None:
                method, authority = read_method(octets)
                facts = state.rule_facts.of_envoy(headers, method, authority)
            if state.settings.sender is not None:
                peer = _peer(context.peer())
                sender = state.sender_check(token, headers, target, method, peer, authority)
            if state.blocking:
                decision = await state.engine.adecide(
                    token, partner=partner, route=route, sender=sender, request=facts
                )
            else:
                decision = state.engine.decide(
                    token, partner=partner, route=route, sender=sender, request=facts
                )
            if state.audit is not None:
                decision = await state.audit.anote(decision, token, given)
        except BaseException:  # the gateway is gone
            observer.abandon(trace)
            raise
        observer.end(decision, token, given, started_ns, trace)
        refused = refusal(decision, state.settings, given)
        if refused is not None:
            return refused
        return permit(decision, self._spoofed(headers), trace, state.settings.claims_out)

    async def _check_body(
        self,
        state: WorkerState,
        bodies: BodyRequests,
        octets: bytes,
        headers: list[tuple[bytes, bytes]],
        target: bytes,
        context: Any,
    ) -> bytes:
        """Decide on one request by its body."""
        try:
            body = read_body(octets)
        except ValueError:
            import grpc

            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "one body expected")
            raise  # unreachable: abort raises
        method, host = read_method(octets)
        decision, given, trace = await bodies.decide(state, target, headers, method, body, host=host)
        refused = refusal(decision, state.settings, given, of_body=True)
        if refused is not None:
            return refused
        return permit(decision, self._spoofed(headers), trace, state.settings.claims_out)

    def _spoofed(self, headers: list[tuple[bytes, bytes]]) -> list[bytes]:
        """Return the names of a request's headers that only we may set."""
        owns = self._state.settings.claims_out.owns
        names = [(name, name.decode("latin-1")) for name, _ in headers]
        return [name for name, text in names if is_ours(text) or owns(text)]


async def start(state: WorkerState, address: str, *, handshake_s: float) -> Any:
    """Start the gRPC server of a worker and return it; its own ``stop`` drains it.

    Raises:
        OSError: The address cannot be listened on.
    """
    import grpc
    import grpc.aio

    authorization = Authorization(state)
    handler: Any = grpc.unary_unary_rpc_method_handler(authorization.check)

    class Handler(grpc.GenericRpcHandler):
        def service(self, details: Any) -> Any:
            return handler if details.method == METHOD else None

    settings = state.settings
    options = [
        ("grpc.so_reuseport", 1),
        ("grpc.max_receive_message_length", 2 * settings.max_header_bytes + settings.max_body_bytes),
        ("grpc.max_concurrent_streams", 1024),
        ("grpc.absolute_max_metadata_size", 16 * 1024),
        ("grpc.server_handshake_timeout_ms", int(handshake_s * 1000)),
        ("grpc.keepalive_time_ms", int(settings.idle_timeout_s * 1000)),
        ("grpc.keepalive_timeout_ms", int(handshake_s * 1000)),
    ]
    server = grpc.aio.server(options=options)
    server.add_generic_rpc_handlers((Handler(),))
    try:
        server.add_insecure_port(address)
    except RuntimeError:
        raise OSError(f"gRPC cannot listen on {address}") from None
    await server.start()
    return server
