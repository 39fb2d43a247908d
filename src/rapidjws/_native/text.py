"""base64url and the JSON scan."""

from __future__ import annotations

from typing import Any, Final

from rapidjws._native.core import OK, STATUS_NAMES, ffi, lib, runtime

_new: Any = ffi.new
_buffer: Any = ffi.buffer


def b64url_decode(text: bytes) -> bytes | None:
    """Decode strict, unpadded, canonical base64url.

    Returns:
        The bytes, or None where the text is not strict base64url.
    """
    length = len(text) * 3 // 4
    out = _new("uint8_t[]", length + 8)  # the first 8 bytes take the length, which is known already
    if lib.rj_base64url_decode(out + 8, ffi.cast("size_t *", out), length, text, len(text)) != OK:
        return None
    octets: bytes = _buffer(out + 8, length)[:]
    return octets


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
    cells = ffi.new("uint32_t[2]")
    status = lib.rj_json_check(
        runtime, cells, cells + 1, text, len(text), max_bytes, max_depth, max_members, any_root
    )
    if status == lib.RJ_NO_MEMORY:
        raise MemoryError("no memory for the JSON scan")
    return STATUS_NAMES[status], cells[0], cells[1]
