"""One gRPC connection of the sidecar: HTTP/2 by libnghttp2, calls, limits, times, answers.

What comes in one read is handed on together, and leaves in one write. Security: a call that is not
understood, cut off, too large or late gets an error and no decision, on which Envoy lets nothing pass.
Source: RFC 9113; gRPC over HTTP/2 (PROTOCOL-HTTP2).
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, Final, cast

import ngh2

from rapidjws._loggers import logger
from rapidjws.sidecar import grpc_call, grpc_health, grpc_limits
from rapidjws.sidecar.grpc_answers import GrpcAnswers
from rapidjws.sidecar.grpc_call import Call
from rapidjws.sidecar.settings import is_unix

if TYPE_CHECKING:
    from rapidjws.sidecar.ext_authz import Check
    from rapidjws.sidecar.grpc_listener import GrpcListener

CHECK: Final = b"/envoy.service.auth.v3.Authorization/Check"

_METHODS: Final = frozenset({CHECK, grpc_health.CHECK, grpc_health.WATCH})

_log: Final = logger("middleware")


class GrpcConnection(GrpcAnswers, asyncio.Protocol):
    """A connection.

    Args:
        listener: What the connections of this listener share.
        loop: The loop.
    """

    def __init__(self, listener: GrpcListener, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(listener)
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._whole: list[Call] = []
        self._heard_s = self._made_s = self._ticked_s = loop.time()
        self._pinged_s: float | None = None
        self._blocked_s: float | None = None
        self._noticed_s: float | None = None
        self._is_greeted = self._is_ending = self._sends_later = False

    @property
    def peer(self) -> str | None:
        """Return the address of the gateway, ``"unix"`` on a Unix socket."""
        if self._transport is None:
            return None
        name = self._transport.get_extra_info("peername")
        if isinstance(name, tuple):
            return str(name[0])
        return "unix" if is_unix(self._listener.settings.grpc_listen) else None

    # --- the transport's calls ---------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a connection, or close it where there are too many."""
        self._transport = cast("asyncio.Transport", transport)
        listener = self._listener
        if len(listener.connections) >= listener.max_connections or listener.draining:
            self._transport.abort()
            return
        listener.connections.add(self)
        self._http2.initiate_connection(grpc_limits.connection_settings(listener.message_max_bytes))
        self._http2.set_local_window_size(grpc_limits.WINDOW_BYTES)
        self.send()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget a connection and its calls."""
        self._transport = None
        self._listener.connections.discard(self)
        for call in tuple(self.calls.values()):
            self._forget(call)

    def pause_writing(self) -> None:
        """Read no more from a client that does not read."""
        self._blocked_s = self._loop.time()
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Go on reading."""
        self._blocked_s = None
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()
            self.send()

    def data_received(self, data: bytes) -> None:
        """Take the frames that came; calls whose message is whole are decided with all others of the turn."""
        if self._transport is None or self._transport.is_closing():
            return
        self._heard_s = self._loop.time()
        try:
            self._http2.receive_data(data)
            self._take_events()
        except ngh2.NGH2Error:  # no HTTP/2, or a limit of libnghttp2
            self.abort()
            return
        if self._controls < 0:
            self.end(ngh2.ErrorCode.ENHANCE_YOUR_CALM)
            return
        whole, self._whole = self._whole, []
        waits = bool(whole) and self._listener.state.blocking
        for call in whole:
            if not call.is_over:  # reset in the same read: nothing is decided
                self._dispatch(call, waits=waits)
        self.send()

    def _take_events(self) -> None:
        find = _HANDLERS.get
        for event in self._http2.events():
            handle = find(event.__class__)
            if handle is not None:
                handle(self, event)

    # --- events ------------------------------------------------------------------------------------------

    def _on_request(self, event: ngh2.RequestReceived) -> None:
        fields: dict[bytes, bytes] = dict(event.headers)
        stream_id = event.stream_id
        call = self.calls[stream_id] = Call(self, stream_id, fields.get(b":path", b""), self._heard_s)
        if fields.get(b":method") != b"POST":
            self.refuse_http(call, b"405")
        elif not fields.get(b"content-type", b"").startswith(b"application/grpc"):
            self.refuse_http(call, b"415")
        elif call.method not in _METHODS:
            self.refuse(call, grpc_call.UNIMPLEMENTED, "unknown method")
        elif event.end_stream:
            self.refuse(call, grpc_call.INVALID_ARGUMENT, "a message expected")
        elif b"grpc-timeout" in fields:
            self._take_timeout(call, fields[b"grpc-timeout"])

    def _take_timeout(self, call: Call, field: bytes) -> None:
        """Note until when the client of a call waits."""
        try:
            call.due_s = call.begun_s + grpc_call.timeout_s(field)
        except ValueError:
            self.refuse(call, grpc_call.INVALID_ARGUMENT, "a time expected in grpc-timeout")

    def is_late(self, call: Call) -> bool:
        """Return whether the client of a call waits no more."""
        return call.due_s is not None and self._loop.time() >= call.due_s

    def _on_data(self, event: ngh2.DataReceived) -> None:
        call = self.calls.get(event.stream_id)
        if call is None or call.is_over or call.is_decided:
            return
        listener, data = self._listener, event.data
        if data:
            call.pieces.append(data)
            call.size += len(data)
            listener.unfinished_bytes += len(data)
        elif not event.end_stream:
            self._controls -= 1  # an empty frame (CVE-2019-9518)
        if call.size > listener.message_max_bytes + grpc_call.PREFIX_BYTES:
            self.refuse(call, grpc_call.RESOURCE_EXHAUSTED, "message too large")
        elif event.end_stream:
            call.is_decided = True
            listener.unfinished_bytes -= call.size
            self._whole.append(call)
        elif listener.unfinished_bytes > grpc_limits.UNFINISHED_MAX_BYTES:
            self.refuse(call, grpc_call.RESOURCE_EXHAUSTED, "too many unfinished messages")

    def _on_trailers(self, event: ngh2.TrailersReceived) -> None:
        call = self.calls.get(event.stream_id)
        if call is not None and not call.is_over:  # a gRPC client has none
            self.refuse(call, grpc_call.INVALID_ARGUMENT, "no trailers expected")

    def _on_closed(self, event: ngh2.StreamClosed) -> None:
        call = self.calls.pop(event.stream_id, None)
        if call is not None and (not call.is_over or call.task is not None):
            self._forget(call)
        if event.error_code:
            self._controls -= 1

    def _on_settings(self, event: ngh2.SettingsReceived) -> None:
        self._is_greeted = True
        self._controls -= 1

    def _on_control(self, event: ngh2.Event) -> None:
        self._controls -= 1

    def _on_goaway(self, event: ngh2.GoAwayReceived) -> None:
        self._is_ending = True

    # --- calls -------------------------------------------------------------------------------------------

    def _dispatch(self, call: Call, *, waits: bool) -> None:
        """Have a whole call decided, or answer it."""
        octets, code = call.message(self._listener.message_max_bytes)
        if self.is_late(call):
            call.refuse_late()
        elif octets is None:
            self.refuse(call, code, "one message expected")
        elif call.method == CHECK:
            self._check(call, octets, waits=waits)
        else:
            self._health(call, octets)

    def _check(self, call: Call, octets: bytes, *, waits: bool) -> None:
        state, authorization = self._listener.state, self._listener.authorization
        try:
            check = authorization.reader.read(octets, grpc_call.PREFIX_BYTES)
        except ValueError:
            self.refuse(call, grpc_call.INVALID_ARGUMENT, "a CheckRequest expected")
            return
        call.pieces = []
        of_body = state.bodies is not None and state.bodies.concerns(state, check.path, check.headers)
        if of_body or waits:
            call.task = self._loop.create_task(self._answer_later(call, check))
            return
        state.add_to_batch((call, check.path, (b"", check.headers, check.method, check)), self._loop)

    async def _answer_later(self, call: Call, check: Check) -> None:
        """Answer a call whose decision may wait for another machine, or is made of a body."""
        try:
            self._listener.state.sync()
            left_s = None if call.due_s is None else call.due_s - self._loop.time()
            octets = await asyncio.wait_for(self._listener.authorization.answer(check, self.peer), left_s)
        except Exception as fault:  # no decision is no permit
            call.task = None
            if call.due_s is not None and isinstance(fault, asyncio.TimeoutError):
                call.refuse_late()
            else:
                _log.exception("a check could not be decided")
                call.hang_up(500)
        else:
            call.task = None
            self.answer(call, octets)
        self.send_later()

    def _health(self, call: Call, octets: bytes) -> None:
        try:
            service = grpc_health.service_of(octets, grpc_call.PREFIX_BYTES)
        except ValueError:
            self.refuse(call, grpc_call.INVALID_ARGUMENT, "a HealthCheckRequest expected")
            return
        if call.method == grpc_health.WATCH:
            if not self._listener.watch(call, service):
                self.refuse(call, grpc_call.RESOURCE_EXHAUSTED, "too many watches")
            return
        status = self._listener.status_of(service)
        if status == grpc_health.SERVICE_UNKNOWN:
            self.refuse(call, grpc_call.NOT_FOUND, "unknown service")
        else:
            self.answer(call, grpc_health.response(status))

    # --- sending -----------------------------------------------------------------------------------------

    def send_later(self) -> None:
        """Send once all calls of this turn have their answers."""
        if not self._sends_later:
            self._sends_later = True
            self._loop.call_soon(self.send)

    def send(self) -> None:
        """Write what is to be sent; a connection that has nothing more to say is closed."""
        self._sends_later = False
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        try:
            octets = self._frames()
            self._take_events()  # what was sent closes streams
            unsent = self._http2.queued_body_size()
        except ngh2.NGH2Error:
            self.abort()
            return
        if octets:
            transport.write(octets)
        is_over = not self._http2.want_read and not self._http2.want_write
        if is_over or (self._is_ending and not self.calls):
            transport.close()
        elif unsent > grpc_limits.UNSENT_MAX_BYTES:
            self.end(ngh2.ErrorCode.ENHANCE_YOUR_CALM)

    def end(self, error: ngh2.ErrorCode) -> None:
        """Say that a connection ends for a fault, and close it."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        try:
            self._http2.terminate_connection(error)
            transport.write(self._http2.data_to_send())
        except ngh2.NGH2Error:
            self.abort()
            return
        transport.close()

    def close(self) -> None:
        """Close a connection once what was written is sent."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close a connection at once."""
        if self._transport is not None:
            self._transport.abort()

    # --- times -------------------------------------------------------------------------------------------

    def expire(self, now_s: float) -> None:
        """End what takes too long: a greeting, a message, an answer that is not taken, a silent peer."""
        settings = self._listener.settings
        limit_s = settings.header_timeout_s
        more = grpc_limits.CONTROLS_PER_S * max(0.0, now_s - self._ticked_s)
        self._ticked_s = now_s
        self._controls = min(self._controls + more, grpc_limits.CONTROLS_MAX)
        since_s = self._blocked_s if self._is_greeted else self._made_s
        if since_s is not None and now_s - since_s > limit_s:
            self.abort()
            return
        for call in tuple(self.calls.values()):
            waits = not call.is_decided or call.is_over
            if waits and now_s - call.begun_s > limit_s:
                self._reset(call)
            elif not call.is_over and call.due_s is not None and now_s >= call.due_s and call.task is None:
                if call.method == grpc_health.WATCH and call.is_decided:  # it has its first answer
                    self.finish(call, grpc_call.DEADLINE_EXCEEDED)
                else:
                    call.refuse_late()
        if self._pinged_s is not None and self._heard_s >= self._pinged_s:
            self._pinged_s = None
        if self._pinged_s is not None:
            if now_s - self._pinged_s > limit_s:
                self.abort()
                return
        elif now_s - self._heard_s > settings.idle_timeout_s:
            self._pinged_s = now_s
            self._http2.ping()
        self.send()

    def _reset(self, call: Call) -> None:
        with contextlib.suppress(ngh2.NGH2Error):
            self._http2.reset_stream(call.stream_id, ngh2.ErrorCode.CANCEL)
        self._forget(call)

    def drain(self) -> None:
        """Have the client open no more calls here, answer those under way, and close."""
        now_s = self._loop.time()
        try:
            if self._noticed_s is None:
                self._noticed_s = now_s
                self._http2.send_shutdown_notice()
            elif not self._is_ending and now_s - self._noticed_s >= grpc_limits.NOTICE_S:
                self._is_ending = True
                self._listener.end_watches(self)
                self._http2.send_goaway(ngh2.ErrorCode.NO_ERROR)
        except ngh2.NGH2Error:
            self.abort()
            return
        self.send()


_HANDLERS: Final[dict[type, Any]] = {
    ngh2.RequestReceived: GrpcConnection._on_request,
    ngh2.DataReceived: GrpcConnection._on_data,
    ngh2.TrailersReceived: GrpcConnection._on_trailers,
    ngh2.StreamClosed: GrpcConnection._on_closed,
    ngh2.SettingsReceived: GrpcConnection._on_settings,
    ngh2.PingReceived: GrpcConnection._on_control,
    ngh2.WindowUpdated: GrpcConnection._on_control,
    ngh2.PriorityUpdateReceived: GrpcConnection._on_control,
    ngh2.GoAwayReceived: GrpcConnection._on_goaway,
}
