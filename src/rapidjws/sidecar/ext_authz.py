"""Envoy's ext_authz over gRPC: ``envoy.service.auth.v3.Authorization/Check``, octets in, octets out.

Of a CheckRequest only what decides is read: the headers of the configuration, path, method and host, and the
body where bodies are signed. Security: a message that is not understood lets nothing pass.
Source: Envoy API v3, external_auth.proto and attribute_context.proto.
"""

from __future__ import annotations

from functools import partial
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import unquote

from rapidjws._native import check_request
from rapidjws.middleware.claim_headers import folded
from rapidjws.observe.request_info import IdentifiedHeaders
from rapidjws.sidecar.body_requests import SCHEME
from rapidjws.sidecar.check_responses import CheckResponses
from rapidjws.sidecar.request_headers import values_of, wanted_fields

if TYPE_CHECKING:
    from rapidjws.sidecar.worker_state import WorkerState

METHOD: Final = "/envoy.service.auth.v3.Authorization/Check"


class Check(NamedTuple):
    """What is read of a CheckRequest.

    Attributes:
        headers: Lower-case names and values, of the wanted headers. With ``encode_raw_headers`` each stands
            by itself, else those of one name are joined by commas.
        path: Path and query.
        method: The method.
        host: The host.
        body: The body where bodies are read, with ``pack_as_bytes`` or without; else empty.
        removed: Lower-case names of its headers that only we may set.
    """

    headers: list[tuple[bytes, bytes]]
    path: bytes
    method: bytes
    host: bytes
    body: bytes
    removed: list[str]

    def __repr__(self) -> str:
        return "<Check>"  # headers hold tokens


class CheckReader:
    """The reading of CheckRequests, of what a worker needs.

    Args:
        state: The worker's.
    """

    __slots__ = ("_owned", "_reads_body", "_wanted")

    def __init__(self, state: WorkerState) -> None:
        self._reads_body = state.bodies is not None
        of_bodies = frozenset() if state.bodies is None else state.bodies.fields
        found = wanted_fields(state, of_bodies)
        if found is not None and of_bodies is not None:  # the path is the check's own
            found = found.difference(state.route_fields) | of_bodies | state.rule_facts.fields | {b"host"}
        self._wanted = None if found is None else tuple(sorted(found))
        self._owned = tuple(sorted(folded(name).encode() for name in state.settings.claims_out.names))

    def read(self, octets: bytes, offset: int = 0) -> Check:
        """Return what is read of a CheckRequest.

        Args:
            octets: What ends with the message.
            offset: Where it begins, in bytes.

        Raises:
            ValueError: It is no such message, or holds no HTTP request.
        """
        found = check_request(octets, offset, self._wanted, self._owned, self._reads_body)
        if found is None:
            raise ValueError("a CheckRequest expected")
        return Check._make(found)


def peer_address(name: str) -> str | None:
    """Return the address of a gateway as gRPC names it, ``"unix"`` for a Unix socket."""
    kind, _, rest = unquote(name).partition(":")
    if kind == "unix":
        return "unix"
    return rest.rpartition(":")[0].strip("[]") or None if kind in ("ipv4", "ipv6") else None


class Authorization:
    """The checks of Envoy; octets in and out, for a generic handler of ``grpc.aio``.

    Args:
        state: The worker's.
    """

    def __init__(self, state: WorkerState) -> None:
        self._state = state
        self.reader = CheckReader(state)
        self.replies = CheckResponses(state.settings)
        self.body_replies = CheckResponses(state.settings, scheme=SCHEME)

    async def check(self, octets: bytes, context: Any) -> bytes:
        """Decide on one request."""
        try:
            check = self.reader.read(octets)
        except ValueError:
            import grpc

            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "a CheckRequest expected")
            raise  # unreachable: abort raises
        self._state.sync()
        peer = peer_address(context.peer()) if self._state.settings.sender is not None else None
        return await self.answer(check, peer)

    async def answer(self, check: Check, peer: str | None) -> bytes:
        """Return the CheckResponse to a check whose decision may wait for another machine.

        Args:
            check: The check.
            peer: The gateway's address, which decides whether its word about a client's certificate counts.
        """
        state = self._state
        headers, target = check.headers, check.path
        if state.bodies is not None and state.bodies.concerns(state, target, headers):
            decision, given, trace = await state.bodies.decide(
                state, target, headers, check.method, check.body, host=check.host
            )
            nonce = state.bodies.nonce(state, decision, headers)
            return self.body_replies.reply(decision, check.removed, given, trace, nonce)
        token, partner, route = state.decision_request(headers, target)
        observer, started_ns = state.observer, perf_counter_ns()
        given = IdentifiedHeaders(partial(values_of, headers))
        trace = observer.begin(given)
        try:
            observer.look(trace, token)
            facts = state.rule_facts.of_envoy(headers, check.method, check.host)
            sender = state.sender_check(token, headers, target, check.method, peer, check.host)
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
        return self.replies.reply(decision, check.removed, given, trace)


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
