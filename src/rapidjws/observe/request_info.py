"""What a log line and a trace take over from a request: its id and its ``traceparent``."""

from __future__ import annotations

import re
from os import urandom
from typing import TYPE_CHECKING, Final, NamedTuple

from rapidjws import _native

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Headers = Callable[[bytes], Sequence[bytes]]

REQUEST_ID: Final = b"x-request-id"
TRACEPARENT: Final = b"traceparent"
TRACESTATE: Final = b"tracestate"
TRACED_HEADERS: Final = (REQUEST_ID, TRACEPARENT, TRACESTATE)
"""Lower-case names of the headers that are read."""

_TRACEPARENT: Final = re.compile(
    rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?\Z", re.DOTALL
)
_NO_TRACE: Final = b"0" * 32
_NO_PARENT: Final = b"0" * 16
_VERSION_0_BYTES: Final = 55
_TRACEPARENT_MAX_BYTES: Final = 512
_FLAGS_END: Final = 55
_ODD: Final = frozenset(b"13579bdf")
_TRACESTATE: Final = re.compile(rb"[ !-~]{1,512}\Z")


class TraceContext(NamedTuple):
    """A request's place in a trace (W3C Trace Context s.3.2).

    Attributes:
        trace_id: 32 lower-case hexadecimal digits, not all zero.
        parent_id: The caller's span, 16 of them, not all zero.
        sampled: Whether the caller records.
        tracestate: The ``tracestate`` header as it came, or "".
    """

    trace_id: str
    parent_id: str
    sampled: bool
    tracestate: str = ""


def no_headers(_: bytes) -> Sequence[bytes]:
    """Return that a request has no headers."""
    return ()


class IdentifiedHeaders:
    """A request's headers with one id: its ``X-Request-Id`` where that is sane, else one that is made once.

    Log line and answer name the same one.

    Args:
        headers: Gives each value of a header by its lower-case name.
    """

    __slots__ = ("_headers", "_id")

    def __init__(self, headers: Headers) -> None:
        self._headers = headers
        self._id: str | None = None

    def __call__(self, name: bytes) -> Sequence[bytes]:
        """Return each value of a header."""
        return (self.request_id.encode("ascii"),) if name == REQUEST_ID else self._headers(name)

    @property
    def request_id(self) -> str:
        """Return the request's id."""
        if self._id is None:
            self._id = request_id(self._headers(REQUEST_ID))
        return self._id


def is_sampled(values: Sequence[bytes]) -> bool:
    """Return whether a request may be sampled: one look at one octet, before anything is parsed.

    Args:
        values: Each value of its ``traceparent``.
    """
    return len(values) == 1 and len(values[0]) >= _VERSION_0_BYTES and values[0][_FLAGS_END - 1] in _ODD


def _well_formed(values: Sequence[bytes]) -> re.Match[bytes] | None:
    """Return the parts of a ``traceparent``, or None where there is none that is well-formed."""
    if len(values) != 1 or not _VERSION_0_BYTES <= len(values[0]) <= _TRACEPARENT_MAX_BYTES:
        return None
    found = _TRACEPARENT.match(values[0])
    if found is None:
        return None
    version, trace, parent, more = found.group(1, 2, 3, 5)
    if version == b"ff" or (version == b"00" and more is not None):
        return None
    return None if trace == _NO_TRACE or parent == _NO_PARENT else found


def trace_context(values: Sequence[bytes], states: Sequence[bytes] = ()) -> TraceContext | None:
    """Return a request's place in a trace, or None where it has none that is well-formed.

    Args:
        values: Each value of its ``traceparent``; several are none.
        states: Each value of its ``tracestate``; what is not sane is left out.

    Source: W3C Trace Context, Level 1, sections 3.2 and 3.3; of later versions the first four parts count.
    """
    found = _well_formed(values)
    if found is None:
        return None
    state = b",".join(states)
    return TraceContext(
        trace_id=found[2].decode("ascii"),
        parent_id=found[3].decode("ascii"),
        sampled=bool(int(found[4], 16) & 1),
        tracestate=state.decode("ascii") if states and _TRACESTATE.match(state) else "",
    )


def trace_id(values: Sequence[bytes]) -> str | None:
    """Return the id of a request's trace, as :func:`trace_context` reads it."""
    return _native.trace_id(values[0]) if len(values) == 1 else None


def request_id(values: Sequence[bytes]) -> str:
    """Return a request's id where it is one sane word, else a new one of 32 hexadecimal digits.

    Args:
        values: Each value of its ``X-Request-Id``.
    """
    found = _native.request_id(values[0]) if len(values) == 1 else None
    return found or urandom(16).hex()
