"""Claims as Envoy's dynamic metadata: a ``google.protobuf.Struct`` for RBAC, rate limits and access logs.

Source: Envoy API v3, external_auth.proto (CheckResponse.dynamic_metadata); protobuf.dev, struct.proto.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rapidjws._protobuf import double, field, unsigned
from rapidjws.middleware.claim_headers import json_text

if TYPE_CHECKING:
    from collections.abc import Mapping

NAMESPACE: Final = "rapidjws"
VALUE_MAX_CHARS: Final = 4096
"""Longest JSON of a claim that becomes metadata: Envoy keeps it as long as the request, and logs it."""

_METADATA: Final = 4  # CheckResponse
_NULL, _NUMBER, _TEXT, _SWITCH, _STRUCT, _LIST = 1, 2, 3, 4, 5, 6  # Value
_DOUBLE_MAX: Final = 2**53


def metadata_of(claims: Mapping[str, Any]) -> bytes:
    """Return the field of a CheckResponse with claims under ``rapidjws``; nothing for no claims.

    Envoy puts it into the filter's own namespace, ``envoy.filters.http.ext_authz``. A claim that is too long
    or holds no characters is left out. A whole number that a double cannot hold is text, its digits.
    """
    entries: list[bytes] = []
    for name, value in claims.items():
        try:
            if len(json_text(value)) <= VALUE_MAX_CHARS:
                entries.append(_member(name, _value(value)))
        except (
            ValueError,
            RecursionError,
        ):  # a lone surrogate, an infinite number, too many digits or levels
            continue
    if not entries:
        return b""
    return field(_METADATA, _member(NAMESPACE, field(_STRUCT, b"".join(entries))))


def _member(name: str, value: bytes) -> bytes:
    """Return an entry of a Struct's map."""
    return field(1, field(1, name) + field(2, value))


def _value(value: Any) -> bytes:
    """Return a Value's octets."""
    if value is None:
        return unsigned(_NULL, 0)
    if isinstance(value, bool):
        return unsigned(_SWITCH, int(value))
    if isinstance(value, int) and abs(value) > _DOUBLE_MAX:
        return field(_TEXT, str(value))
    if isinstance(value, (int, float)):
        return double(_NUMBER, float(value))
    if isinstance(value, str):
        return field(_TEXT, value)
    if isinstance(value, list):
        return field(_LIST, b"".join([field(1, _value(one)) for one in value]))
    members = [_member(name, _value(one)) for name, one in value.items()]
    return field(_STRUCT, b"".join(members))
