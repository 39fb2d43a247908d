"""Answers to the calls of one gRPC connection, as frames of HTTP/2.

Source: gRPC over HTTP/2 (PROTOCOL-HTTP2); RFC 9113 section 8.1.
"""

from __future__ import annotations

import contextlib
import struct
from typing import TYPE_CHECKING, Final

import ngh2

from rapidjws.sidecar import grpc_limits

if TYPE_CHECKING:
    from rapidjws.sidecar.grpc_call import Call
    from rapidjws.sidecar.grpc_listener import GrpcListener

Fields = list[ngh2.Header]

_HEAD: Final[Fields] = [(b":status", b"200"), (b"content-type", b"application/grpc")]
_GOOD: Final[Fields] = [(b"grpc-status", b"0")]
_PREFIX: Final = struct.Struct(">BI").pack
"""Makes what precedes a message: that it is not compressed, and its length."""


class GrpcAnswers:
    """The calls of a connection, and what goes back.

    Args:
        listener: What the connections of this listener share.

    Attributes:
        calls: Those that are not closed, by their number.
    """

    def __init__(self, listener: GrpcListener) -> None:
        self._listener = listener
        self._http2 = ngh2.Connection(ngh2.Role.SERVER, grpc_limits.CONFIGURATION)
        self._controls = float(grpc_limits.CONTROLS_MAX)
        self.replies = listener.authorization.replies
        self.calls: dict[int, Call] = {}
        self._unread: list[int] = []  # have their answer before they sent all they had

    def _forget(self, call: Call) -> None:
        """Forget a call that is closed, on both sides or by a reset."""
        self.calls.pop(call.stream_id, None)
        if not call.is_over:
            self._end(call)
        if call.task is not None:
            call.task.cancel()

    def _end(self, call: Call) -> None:
        """Note that a call takes no more of its message, and gets no other answer."""
        if not call.is_decided:
            call.is_decided = True
            self._listener.unfinished_bytes -= call.size
        call.is_over = True
        call.pieces = []

    def answer(self, call: Call, message: bytes) -> None:
        """Answer a call by its one message; a call that is over gets none."""
        if call.is_over:
            return
        self._end(call)
        more = self._controls + grpc_limits.CONTROLS_PER_CALL
        self._controls = more if more < grpc_limits.CONTROLS_MAX else grpc_limits.CONTROLS_MAX
        http2, stream_id = self._http2, call.stream_id
        try:
            http2.send_response(stream_id, _HEAD)
            http2.send_data(stream_id, _PREFIX(0, len(message)) + message)
            http2.send_trailers(stream_id, _GOOD)
        except ngh2.NGH2Error:  # the stream, or the connection, is gone
            self._forget(call)

    def stream(self, call: Call, message: bytes, *, is_first: bool) -> None:
        """Send one of several messages of a call."""
        if not call.is_over:
            self._submit(call, _HEAD if is_first else None, message, None)

    def finish(self, call: Call, code: int) -> None:
        """End a call that got messages."""
        if not call.is_over:
            self._end(call)
            self._submit(call, None, None, [(b"grpc-status", b"%d" % code)])

    def _submit(
        self, call: Call, head: Fields | None, message: bytes | None, trailers: Fields | None
    ) -> None:
        http2, stream_id = self._http2, call.stream_id
        try:
            if head is not None:
                http2.send_response(stream_id, head)
            if message is not None:
                http2.send_data(stream_id, _PREFIX(0, len(message)) + message)
            if trailers is not None:
                http2.send_trailers(stream_id, trailers)
        except ngh2.NGH2Error:  # the stream, or the connection, is gone
            self._forget(call)

    def refuse(self, call: Call, code: int, text: str) -> None:
        """Answer a call by an error; what it still sends is not read."""
        self._send_head(call, [*_HEAD, (b"grpc-status", b"%d" % code), (b"grpc-message", text.encode())])

    def refuse_http(self, call: Call, status: bytes) -> None:
        """Answer what is no gRPC by a status of HTTP."""
        self._send_head(call, [(b":status", status), (b"content-length", b"0")])

    def _frames(self) -> bytes:
        """Return the frames that are to be sent.

        Raises:
            ngh2.NGH2Error: The connection is of no use any more.
        """
        octets = self._http2.data_to_send()
        if self._unread:
            unread, self._unread = self._unread, []
            for stream_id in unread:  # RFC 9113 s.8.1: behind the answer, or it would be lost
                with contextlib.suppress(ngh2.StreamUnavailableError):
                    self._http2.reset_stream(stream_id, ngh2.ErrorCode.NO_ERROR)
            octets += self._http2.data_to_send()
        return octets

    def _send_head(self, call: Call, head: Fields) -> None:
        if call.is_over:
            return
        is_whole = call.is_decided
        self._end(call)
        try:
            self._http2.send_response(call.stream_id, head, end_stream=True)
            if not is_whole:
                self._unread.append(call.stream_id)
        except ngh2.NGH2Error:
            self._forget(call)
