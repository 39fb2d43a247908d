"""JSON Pointers (RFC 6901) to members of objects, parsed once."""

from __future__ import annotations

import re
from typing import Any, Final

from rapidjws.errors import error_for

TOKENS_MAX: Final = 16
POINTER_MAX_CHARS: Final = 512

_BAD_ESCAPE: Final = re.compile(r"~(?![01])")

ABSENT: Final = object()
"""Stands for a member that is not there: ``None`` is a value of JSON."""


def split_pointer(pointer: str) -> tuple[str, ...] | None:
    """Return the names of a pointer that begins with a slash; None where a tilde is not escaped.

    Source: RFC 6901 sections 3 and 4.
    """
    if _BAD_ESCAPE.search(pointer):
        return None
    return tuple(one.replace("~1", "/").replace("~0", "~") for one in pointer[1:].split("/"))


def parse_pointer(pointer: object, place: str) -> tuple[str, ...]:
    """Return the names that a pointer leads through.

    Args:
        pointer: ``"/sub"``, ``"/realm_access/roles"``; ``~1`` stands for a slash, ``~0`` for a tilde.
        place: The setting, for the error.

    Raises:
        ConfigurationError: ``configuration_invalid``: no JSON Pointer, or one to the whole document.

    Source: RFC 6901 sections 3 and 4.
    """
    tokens = None
    if isinstance(pointer, str) and pointer[:1] == "/" and len(pointer) <= POINTER_MAX_CHARS:
        tokens = split_pointer(pointer)
    if tokens is None:
        raise error_for("configuration_invalid", place, expected="a JSON Pointer (RFC 6901), /like/this")
    if len(tokens) > TOKENS_MAX:
        raise error_for("configuration_invalid", place, expected=f"at most {TOKENS_MAX} names")
    return tokens


def member_at(document: Any, tokens: tuple[str, ...]) -> Any:
    """Return the value of a member of nested objects, or ``ABSENT``; an array on the way has no names."""
    for name in tokens:
        if not isinstance(document, dict) or name not in document:
            return ABSENT
        document = document[name]
    return document
