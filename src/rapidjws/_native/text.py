"""base64url and the JSON scan."""

from __future__ import annotations

from rapidjws._native.core import (
    OK,
    STATUS_NAMES,
    b64url_decode_octets,
    ffi,
    http_requests,
    json_check_octets,
    lib,
    request_id_text,
    runtime,
    trace_id_text,
)

TYPE_CHECKING = False  # `typing` costs more than all that is imported here
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Final

_new: Any = ffi.new
_buffer: Any = ffi.buffer
_RUNTIME: Final = int(ffi.cast("uintptr_t", runtime))


b64url_decode: Callable[[bytes], bytes | None] = b64url_decode_octets
"""Decode strict, unpadded, canonical base64url; None where the text is anything else."""


request_id: Callable[[bytes], str | None] = request_id_text
"""Return an X-Request-Id as text; None where it is not one word of 128 octets at most."""


trace_id: Callable[[bytes], str | None] = trace_id_text
"""Return the trace-id of a ``traceparent``; None where that is not well-formed (W3C Trace Context s.3.2)."""


plain_requests: Callable[
    [bytes, tuple[bytes, ...], int], tuple[list[tuple[bytes, list[tuple[bytes, bytes]], bytes]], int]
] = http_requests
"""Read the plain requests at the beginning of what a connection brought, see ``rj_http_head_scan``.

Takes the octets, the lower-case names of the fields that are wanted, and the most bytes of a head; returns
target, wanted fields and method of each request, and how many octets they take: the rest is for a parser.
"""


def b64url_encode(octets: bytes) -> bytes:
    """Encode as unpadded base64url."""
    capacity = (len(octets) * 4 + 2) // 3
    out = _new("uint8_t[]", capacity + 1)
    out_len = _new("size_t *")
    status = lib.rj_base64url_encode(out, out_len, capacity, octets, len(octets))
    if status != OK:
        raise RuntimeError(STATUS_NAMES[status])
    text: bytes = _buffer(out, out_len[0])[:]
    return text


JSON_HAS_BIG_INTEGER: Final[int] = lib.RJ_JSON_HAS_BIG_INTEGER


def json_check(
    text: bytes, *, max_bytes: int, max_depth: int, max_members: int, any_root: bool = False
) -> tuple[str, int, int]:
    """Check a JSON text's shape, see ``rj_json_scan``.

    Returns:
        The status name (``"ok"``, ``"malformed_json"``, ``"duplicate_member"``, ``"too_deep"``,
        ``"too_many_members"``, ``"too_large"``), the fault's offset in bytes, and notes
        (``JSON_HAS_BIG_INTEGER``: an integer outside of 64 bits).
    """
    status, offset, notes = json_check_octets(_RUNTIME, text, max_bytes, max_depth, max_members, any_root)
    return STATUS_NAMES[status], offset, notes
