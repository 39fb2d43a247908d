"""The records of an audit trail by the bundle, see ``native/core/trail.h`` and ``trail_content.h``."""

from __future__ import annotations

from rapidjws._native.columns import TokenColumn
from rapidjws._native.core import OK, ffi, lib

TYPE_CHECKING = False  # `typing` costs more than all that is imported here
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Final

_HASH_BYTES: Final[int] = lib.RJ_TRAIL_HASH_BYTES
_WIDTH: Final[int] = lib.RJ_TRAIL_WIDTH
_HEAD_BYTES: Final[int] = lib.RJ_SEALED_HEAD_BYTES
_KEY_BYTES: Final[int] = lib.RJ_CONTENT_KEY_BYTES
RECORD_READ: Final[int] = lib.RJ_RECORD_READ


class NativeTrailBundle:
    """What is known of the records of one bundle after another; for one thread at a time.

    Attributes:
        leaves: The hashes of the records.
        states: An octet a record: ``RECORD_READ``, or 0 where the caller has to read it.
        shapes: An octet a record that was read: the number of its shape.
        shape_texts: The shapes: records whose own members are emptied.
    """

    __slots__ = ("_count", "_found", "_octets", "_shape_text", "leaves", "shape_texts", "shapes", "states")

    def __init__(self) -> None:
        self._found = ffi.new("rj_trail_bundle *")
        self._octets = bytearray()
        self._shape_text = bytearray()
        self._count = 0
        self.leaves = self.states = self.shapes = b""
        self.shape_texts: list[bytes] = []

    def read(self, bundle: bytes, contents: bytes | None, count: int) -> bool:
        """Read a bundle outside the GIL; return whether it and the contents have so many entries."""
        beside = b"" if contents is None else contents
        if len(self._octets) < len(beside):
            self._octets = bytearray(2 * len(beside))
        if len(self._shape_text) < len(bundle):
            self._shape_text = bytearray(2 * len(bundle))
        found = self._found
        status = lib.rj_trail_read(
            found,
            ffi.from_buffer("uint8_t[]", self._octets, require_writable=True),
            ffi.from_buffer("uint8_t[]", self._shape_text, require_writable=True),
            ffi.from_buffer("uint8_t[]", bundle),
            len(bundle),
            ffi.NULL if contents is None else ffi.from_buffer("uint8_t[]", beside),
            len(beside),
            count,
        )
        if status != OK:
            return False
        self._count = count
        self.leaves = ffi.buffer(found.leaves, count * _HASH_BYTES)[:]
        self.states = ffi.buffer(found.states, count)[:]
        self.shapes = ffi.buffer(found.shapes, count)[:]
        ends = found.shape_ends[0 : found.shapes_len + 1]
        self.shape_texts = [
            bytes(self._shape_text[ends[at] : ends[at + 1]]) for at in range(found.shapes_len)
        ]
        return True

    def times_ns(self) -> list[int]:
        """Return the moment of each record that was read."""
        times: list[int] = ffi.unpack(self._found.times_ns, self._count)
        return times

    def token(self, at: int) -> bytes:
        """Return the token of a record that was read."""
        ends = self._found.token_ends
        return bytes(self._octets[ends[at] : ends[at + 1]])

    def column(self) -> TokenColumn:
        """Return all tokens as a column, with the moment of each; it holds until the next ``read``."""
        found: Any = self._found
        return TokenColumn(
            self._octets, ffi.buffer(found.token_ends), 4, 0, self._count, ffi.buffer(found.times_ns)
        )


def complete_root(hashes: bytes) -> bytes:
    """Return the root of the complete tree over a power of two of hashes (RFC 6962 s.2.1)."""
    octets = ffi.new("uint8_t[]", hashes)
    if len(hashes) % _HASH_BYTES or lib.rj_trail_root(octets, len(hashes) // _HASH_BYTES) != OK:
        raise ValueError("no power of two of hashes")
    root: bytes = ffi.buffer(octets, _HASH_BYTES)[:]
    return root


def sealed_heads(contents: bytes, count: int) -> list[bytes]:
    """Return the heads of encrypted contents of a bundle, each once; none where it has others."""
    if not 0 < count <= _WIDTH:
        return []
    heads = ffi.new("uint8_t[]", count * _HEAD_BYTES)
    found = ffi.new("size_t *")
    if lib.rj_trail_heads(heads, found, ffi.from_buffer("uint8_t[]", contents), len(contents), count) != OK:
        return []
    octets = ffi.buffer(heads, found[0] * _HEAD_BYTES)[:]
    return [octets[at : at + _HEAD_BYTES] for at in range(0, len(octets), _HEAD_BYTES)]


def opened_contents(contents: bytes, count: int, keys: Mapping[bytes, bytes]) -> bytes | None:
    """Return contents of a bundle decrypted, outside the GIL; None where it has not so many contents.

    Args:
        contents: The contents, with lengths of four octets.
        count: How many there are.
        keys: The 32 octets of a key for each head; what has none, or is altered, stays as it is.
    """
    if any(len(head) != _HEAD_BYTES or len(key) != _KEY_BYTES for head, key in keys.items()):
        raise ValueError("a head or a key of another length")
    opened = ffi.new("uint8_t[]", len(contents) + 1)
    size = ffi.new("size_t *")
    status = lib.rj_trail_open(
        opened,
        size,
        ffi.from_buffer("uint8_t[]", contents),
        len(contents),
        count,
        ffi.from_buffer("uint8_t[]", b"".join(keys)),
        ffi.from_buffer("uint8_t[]", b"".join(keys.values())),
        len(keys),
    )
    found: bytes | None = ffi.buffer(opened, size[0])[:] if status == OK else None
    return found
