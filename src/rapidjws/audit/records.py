"""The record of a decision: one canonical JSON object (RFC 8785) without token, key or payload.

Values are text, whole numbers and null, and names are ASCII, so that sorted names and shortest escapes are
the canonical form. Digests are SHA-256 in lower-case hexadecimal.
"""

from __future__ import annotations

from hashlib import sha256
from itertools import count
from typing import TYPE_CHECKING, Any, Final

import orjson

from rapidjws._version import __version__
from rapidjws.errors import error_for

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import Self

    from rapidjws.audit.tile_files import TileReader

DECISION: Final = "decision"
GAP: Final = "gap"
ERASURE: Final = "erasure"
FIXED: Final = (
    "alg", "attributed_by", "code", "content", "engine", "generation", "issuer", "key", "kid", "kind",
    "outcome", "partner", "phase", "place", "policy", "verdict",
)  # fmt: skip
"""Fields that many decisions share."""

EACH: Final = ("claims", "request", "route", "time_us", "token", "trace")
"""Fields of one decision alone."""

FIELDS: Final = tuple(sorted(FIXED + EACH))
TEXT_MAX_CHARS: Final = 512
"""Longest text of a field; a longer one is cut and ends with three dots."""

WHOLE_MAX: Final = (1 << 53) - 1
_SEPARATOR: Final = b","


def canonical(value: Any) -> bytes:
    """Return JSON in the canonical form of RFC 8785, of values without fractions and with ASCII names."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def digest(octets: bytes) -> str:
    """Return the SHA-256 of octets in lower-case hexadecimal."""
    return sha256(octets).hexdigest()


def bounded(text: str | None) -> str | None:
    """Return text that a field may hold: cut where it is long, without what UTF-8 cannot hold."""
    if text is None:
        return None
    text = text if len(text) <= TEXT_MAX_CHARS else text[: TEXT_MAX_CHARS - 3] + "..."
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


Fields = dict[str, "str | None"]
_numbers = count(1)


class RecordContext(int):
    """What many records share, as a number of its own that rows carry.

    Attributes:
        fields: The fields.
    """

    fields: Fields

    def __new__(cls, fields: Fields) -> Self:
        """Return the next number of this process for some fields."""
        made = super().__new__(cls, next(_numbers))
        made.fields = fields
        return made


Row = tuple[RecordContext, int, "str | None", "str | None", "str | None", "str | None", "str | None", bool]
"""What many records share, microseconds, token, route, request, trace, claims, is the token stored."""


class RecordTemplate:
    """The canonical record of decisions that have all but a few fields in common.

    Args:
        fixed: The fields of ``FIXED`` that are there; the others are null.
    """

    __slots__ = ("_format", "fixed")

    def __init__(self, fixed: Mapping[str, str | None]) -> None:
        self.fixed = {name: fixed.get(name) for name in FIXED}
        self.fixed["engine"] = self.fixed["engine"] or __version__
        parts = []
        for name in FIELDS:
            if name in EACH:
                parts.append(b'"%b":%%%b' % (name.encode(), b"d" if name == "time_us" else b"b"))
            else:
                value = canonical(self.fixed[name]).replace(b"%", b"%%")
                parts.append(b'"%b":%b' % (name.encode(), value))
        self._format = b"{" + _SEPARATOR.join(parts) + b"}"

    def record(
        self,
        time_us: int,
        *,
        token: bytes | None,
        route: str | None = None,
        request: str | None = None,
        trace: str | None = None,
        claims: bytes | None = None,
    ) -> bytes:
        """Return the record of a decision.

        Args:
            time_us: When it was made, microseconds since the epoch.
            token: The token, of which the digest is recorded.
            route: The route.
            request: The request's id.
            trace: The trace's id.
            claims: Claims that are stored beside it, their salt before, of which the digest is recorded.
        """
        return self.made(time_us, token, route, request, trace, claims)

    def made(
        self,
        time_us: int,
        token: bytes | None,
        route: str | None,
        request: str | None,
        trace: str | None,
        claims: bytes | None,
    ) -> bytes:
        """Return the record, as :meth:`record` does."""
        return self._format % (
            b"null" if claims is None else b'"%b"' % sha256(claims).hexdigest().encode(),
            _text(request),
            _text(route),
            time_us,
            b"null" if token is None else b'"%b"' % sha256(token).hexdigest().encode(),
            _text(trace),
        )


def _text(value: str | None) -> bytes:
    if value is None:
        return b"null"
    return orjson.dumps(value if len(value) <= TEXT_MAX_CHARS and value.isascii() else bounded(value))


def gap_record(time_us: int, lost: int, why: str) -> bytes:
    """Return the record of decisions that have none.

    Args:
        time_us: When it was noticed, microseconds since the epoch.
        lost: How many.
        why: A stable word: ``"queue_full"``, ``"sequencer_down"``, ``"storage"``.
    """
    return canonical({"engine": __version__, "kind": GAP, "lost": lost, "time_us": time_us, "why": why})


def parsed_record(entry: bytes, place: str) -> dict[str, Any]:
    """Return a record's fields.

    Raises:
        ConfigurationError: ``audit_trail_invalid``: not a record of a decision or a gap in canonical form.
    """
    try:
        found = orjson.loads(entry)
    except ValueError:
        found = None
    if not isinstance(found, dict) or not isinstance(found.get("time_us"), int):
        raise error_for("audit_trail_invalid", place, "a record of a decision", "another entry")
    if canonical(found) != entry:
        raise error_for("audit_trail_invalid", place, "a record in canonical form", "another form")
    return found


def record_at(reader: TileReader, index: int) -> dict[str, Any]:
    """Return the fields of a record.

    Raises:
        ConfigurationError: ``audit_trail_invalid``; ``configuration_invalid``: no such record.
    """
    if not 0 <= index < reader.size:
        raise error_for("configuration_invalid", "record", f"0 to {reader.size - 1}", index)
    tile, at = divmod(index, 256)
    return parsed_record(reader.entries(tile)[at], f"record {index}")
