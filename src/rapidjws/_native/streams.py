"""Payloads that come piece by piece."""

from __future__ import annotations

from rapidjws._native.core import ffi, lib, made

TYPE_CHECKING = False  # `typing` costs more than all that is imported here
if TYPE_CHECKING:
    from typing import Any, Final

    from rapidjws._native.snapshots import NativeTables

STREAM_MAX_LANES: Final[int] = lib.RJ_STREAM_MAX_LANES


class NativeStream:
    """One stream: the digests of a payload that comes piece by piece, one a signature.

    Args:
        snapshot: Keys; kept alive as long as this object.
        encoded: Whether the signing input holds the payload in base64url, as it does unless ``b64`` is false.
    """

    __slots__ = ("_handle", "_snapshot")

    def __init__(self, snapshot: NativeTables, *, encoded: bool) -> None:
        cell = ffi.new("rj_stream **")
        encoding = lib.RJ_STREAM_BASE64URL if encoded else lib.RJ_STREAM_PLAIN
        status = lib.rj_stream_new(cell, snapshot.handle, encoding)
        self._handle = ffi.gc(made("stream", status, cell), lib.rj_stream_free)
        self._snapshot = snapshot

    def add(self, slot: int, prefix: bytes) -> int:
        """Add a signature's lane and return its number.

        Args:
            slot: The slot whose key answers.
            prefix: The protected header as received, and the dot.
        """
        lane = ffi.new("uint32_t *")
        status = lib.rj_stream_add(self._handle, lane, slot, prefix, len(prefix))
        return int(made("stream lane", status, lane))

    def update(self, piece: Any) -> None:
        """Hash the next piece: any buffer of bytes; the GIL is released meanwhile."""
        octets = ffi.from_buffer("uint8_t[]", piece)
        lib.rj_stream_update(self._handle, octets, len(octets))

    def verify(self, lane: int, signature: bytes) -> int:
        """End a lane and return the status of its signature, given in base64url."""
        status: int = lib.rj_stream_verify(self._handle, lane, signature, len(signature))
        return status
