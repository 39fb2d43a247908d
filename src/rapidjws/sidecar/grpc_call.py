"""One gRPC call of a connection: what is asked, the message as it comes, and its answer.

Source: gRPC over HTTP/2 (PROTOCOL-HTTP2); Envoy API v3, external_auth.proto.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Protocol

from rapidjws._native import check_denied
from rapidjws.observe.request_info import IdentifiedHeaders
from rapidjws.sidecar.overload import RETRY_AFTER_S

if TYPE_CHECKING:
    import asyncio

    from rapidjws.jwt.decision import Decision
    from rapidjws.sidecar.check_responses import CheckResponses
    from rapidjws.sidecar.ext_authz import Check
    from rapidjws.sidecar.request_batch import BatchingWorker, Observed
    from rapidjws.sidecar.rule_facts import RequestToRule
    from rapidjws.sidecar.worker_state import WorkerState
    from rapidjws.verify.protocols import SenderCheck
    from rapidjws.verify.snapshot import Token

OK: Final = 0
INVALID_ARGUMENT: Final = 3
DEADLINE_EXCEEDED: Final = 4
NOT_FOUND: Final = 5
RESOURCE_EXHAUSTED: Final = 8
UNIMPLEMENTED: Final = 12
INTERNAL: Final = 13
UNAVAILABLE: Final = 14

_PREFIX: Final = struct.Struct(">BI").unpack_from
_UNITS_S: Final = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
_DIGITS_MAX: Final = 8

PREFIX_BYTES: Final = 5
"""A message's flag of compression and its length."""

SHED: Final = check_denied(
    UNAVAILABLE, 503, (("cache-control", "no-store"), ("retry-after", str(RETRY_AFTER_S))), b""
)
"""The answer to a check that is sent away; nothing of it was looked at (RFC 9110 s.15.6.4)."""


@lru_cache(maxsize=256)
def timeout_s(field: bytes) -> float:
    """Return how long a client waits, in seconds, as ``grpc-timeout`` says it.

    Raises:
        ValueError: It is no such time.
    """
    digits, unit = field[:-1], field[-1:]
    if not (0 < len(digits) <= _DIGITS_MAX and digits.isdigit() and unit in _UNITS_S):
        raise ValueError("a time of grpc-timeout expected")
    return int(digits) * _UNITS_S[unit]


class CallConnection(Protocol):
    """A connection as its calls know it."""

    replies: CheckResponses

    @property
    def peer(self) -> str | None:
        """Return the address of the gateway."""

    def is_late(self, call: Call) -> bool:
        """Return whether the client of a call waits no more."""

    def answer(self, call: Call, message: bytes) -> None:
        """Answer a call by its one message."""

    def stream(self, call: Call, message: bytes, *, is_first: bool) -> None:
        """Send one of several messages of a call."""

    def finish(self, call: Call, code: int) -> None:
        """End a call that got messages."""

    def refuse(self, call: Call, code: int, text: str) -> None:
        """Answer a call by an error."""

    def send_later(self) -> None:
        """Send once all calls of this turn have their answers."""

    def abort(self) -> None:
        """Close at once."""


class Call:
    """A call; the batch of a turn answers it as it answers requests of other connections.

    Args:
        connection: Whose it is.
        stream_id: Its number.
        method: What it calls, one of those that the connection knows.
        now_s: The loop's clock.
    """

    __slots__ = (
        "begun_s",
        "check",
        "connection",
        "due_s",
        "is_decided",
        "is_over",
        "method",
        "pieces",
        "size",
        "stream_id",
        "task",
    )

    def __init__(self, connection: CallConnection, stream_id: int, method: bytes, now_s: float) -> None:
        self.connection = connection
        self.stream_id = stream_id
        self.method = method
        self.begun_s = now_s
        self.due_s: float | None = None
        """Until when its client waits, by the loop's clock, or None."""
        self.pieces: list[bytes] = []
        self.size = 0
        self.check: Check | None = None
        self.task: asyncio.Task[Any] | None = None
        self.is_decided = False  # its message is whole: only the decision may take long
        self.is_over = False

    def message(self, limit_bytes: int) -> tuple[bytes | None, int]:
        """Return the octets of its one message with its prefix, or None and the code of what is wrong.

        Args:
            limit_bytes: The largest message.
        """
        octets = self.pieces[0] if len(self.pieces) == 1 else b"".join(self.pieces)
        if len(octets) < PREFIX_BYTES:
            return None, INVALID_ARGUMENT
        is_compressed, size = _PREFIX(octets)
        if is_compressed:  # though no encoding is offered
            return None, UNIMPLEMENTED
        if size > limit_bytes:
            return None, RESOURCE_EXHAUSTED
        if size != len(octets) - PREFIX_BYTES:  # cut off, or more than one
            return None, INVALID_ARGUMENT
        return octets, OK

    # --- the batch's calls -------------------------------------------------------------------------------

    def target_of(self, rest: bytes) -> bytes:
        """Return path and query: the check itself says them, whatever its headers say."""
        return rest

    def facts(self, state: WorkerState, request: Any) -> RequestToRule | None:
        """Return what rules read of a request."""
        check = request[3]
        return state.rule_facts.of_envoy(check.headers, check.method, check.host)

    def sender_check(
        self, state: WorkerState, token: Token | None, rest: bytes, request: Any
    ) -> SenderCheck | None:
        """Return the check of who sent a request's token."""
        check = request[3]
        return state.sender_check(token, check.headers, rest, check.method, self.connection.peer, check.host)

    def answer_decision(
        self, state: BatchingWorker, decision: Decision, request: Any, seen: Observed | None
    ) -> None:
        """Answer by a decision."""
        if self.connection.is_late(self):
            self.refuse_late()
            return
        given, trace = None, None
        if seen is not None and isinstance(seen[1], IdentifiedHeaders):
            given, trace = seen[1], seen[2]
        self.connection.answer(
            self, self.connection.replies.reply(decision, request[3].removed, given, trace)
        )

    def refuse_late(self) -> None:
        """Answer a call whose client waits no more."""
        self.connection.refuse(self, DEADLINE_EXCEEDED, "deadline exceeded")

    def answer_other(self, *request: Any) -> None:
        """Answer what is not to be decided: unreachable, for every check is."""
        raise AssertionError

    def send_away(self, request: Any) -> None:
        """Answer a check that was not looked at."""
        self.connection.answer(self, SHED)

    def hang_up(self, status: int) -> None:
        """Answer by a fault of ours, on which Envoy lets nothing pass."""
        self.connection.refuse(self, INTERNAL, "no decision")

    def close(self) -> None:
        """Give up the connection of an answer that failed."""
        self.connection.abort()

    def answered(self) -> None:
        """Have the connection send what it has, once all calls of the turn have their answers."""
        self.connection.send_later()
