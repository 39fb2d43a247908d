"""Read JSON that strangers wrote: a strict scan, then a fast parser. The only room that calls one.

No JSON library refuses equal member names, and orjson turns integers above 2^64-1 into floats; so every text
is scanned first, and texts with such integers take the standard library's exact parser.
What it never does: repair, or read a text that the scan refused.
"""

from __future__ import annotations

from typing import Any

from rapidjws.errors import RapidJWSError, error_for
from rapidjws.jose import _json_strict
from rapidjws.jose._json_strict import Fault


def loads(data: bytes, *, max_bytes: int, max_depth: int, max_members: int, place: str) -> Any:
    """Parse one JSON text strictly.

    Args:
        data: The text in UTF-8.
        max_bytes: Largest text.
        max_depth: Most containers open at once.
        max_members: Most members of any one object.
        place: What the text is, for the error: ``"header"``, ``"claims"``, ``"jwk"``, ``"jwks"``.

    Returns:
        The value; integers are exact.

    Raises:
        MalformedToken: too_large, malformed_json, duplicate_member, too_deep or too_many_members.
    """
    try:
        return _json_strict.parse(data, max_bytes=max_bytes, max_depth=max_depth, max_members=max_members)
    except Fault as fault:
        code = fault.code
    limits = {"too_large": max_bytes, "too_deep": max_depth, "too_many_members": max_members}
    raise refusal(code, place, limits.get(code), len(data) if code == "too_large" else None)


def refusal(code: str, place: str, limit: int | None, actual: int | None) -> RapidJWSError:
    """Build the error of a refused text."""
    return error_for(code, place, None if limit is None else f"at most {limit}", actual)
