"""A reader of JSON from strangers: a strict scan, then a fast parser. No other module calls one.

No JSON library refuses equal member names, and orjson turns integers above 2^64-1 into floats; so every text
is scanned first, and texts with such integers take the standard library's exact parser.
What it never does: repair, or read a text that the scan refused.
"""

from __future__ import annotations

import functools
import json
import math
import re
from typing import TYPE_CHECKING, Any, Final

from rapidjws import _native
from rapidjws.errors import RapidJWSError, error_for

if TYPE_CHECKING:
    from collections.abc import Callable


_LONG_NUMBER: Final = re.compile(rb"[0-9]{309}|[0-9][eE]")
"""What may be a number that no double can hold."""


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
    code, _, notes = _native.json_check(
        data, max_bytes=max_bytes, max_depth=max_depth, max_members=max_members, any_root=True
    )
    if code == "ok":
        return json.loads(data) if notes & _native.JSON_HAS_BIG_INTEGER else parser()(data)
    if code == "malformed_json" and _has_number_too_large(data):
        raise error_for(code, place, "numbers that a double can hold", "a number with too many digits")
    limits = {"too_large": max_bytes, "too_deep": max_depth, "too_many_members": max_members}
    raise refusal(code, place, limits.get(code), len(data) if code == "too_large" else None)


class _TooLarge(Exception):
    """A number that no double can hold."""


def _number(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise _TooLarge
    return value


def _has_number_too_large(data: bytes) -> bool:
    """Say whether a text that was refused fails at a number that no double can hold (RFC 7493 s.2.2)."""
    if _LONG_NUMBER.search(data) is None:
        return False
    try:
        json.loads(data.decode("utf-8"), parse_int=_number, parse_float=_number)
    except _TooLarge:
        return True
    except (ValueError, RecursionError):
        return False
    return False


def refusal(code: str, place: str, limit: int | None, actual: int | None) -> RapidJWSError:
    """Build the error of a refused text."""
    return error_for(code, place, None if limit is None else f"at most {limit}", actual)


@functools.cache
def parser() -> Callable[[bytes], Any]:
    """Return the parser of texts that the C scan accepted, loaded on first use: it costs milliseconds."""
    try:
        from orjson import loads
    except ModuleNotFoundError:  # no wheel for this interpreter (free-threaded): exact, and slower
        return json.loads
    return loads


def loads_scanned(data: bytes) -> Any:
    """Parse a text that the C scan accepted before, and found no integer past 64 bits in."""
    return parser()(data)


def loads_exact(data: bytes) -> Any:
    """Parse a text that was accepted before, with integers of any size."""
    return json.loads(data)


_SPACE: Final = re.compile(r"[ \t\n\r]*")
_SCANNER: Final = json.JSONDecoder(parse_int=str, parse_float=str)
"""Finds where values end; numbers stay text, of any length."""


def _after_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return at if found is None else found.end()


def member_text(data: bytes, name: str) -> str | None:
    """Return a member's value as it is written in an object that was accepted before; None without one."""
    text = data.decode("utf-8")
    at = _after_space(text, text.index("{") + 1)
    while text[at] != "}":
        member, at = _SCANNER.raw_decode(text, at)
        start = _after_space(text, _after_space(text, at) + 1)  # behind the colon
        _, end = _SCANNER.raw_decode(text, start)
        if member == name:
            return text[start:end]
        at = _after_space(text, end)
        if text[at] == ",":
            at = _after_space(text, at + 1)
    return None


def json_octets(text: str) -> bytes:
    """Return the text of a JSON serialization as octets.

    Raises:
        MalformedToken: ``malformed_json``: a lone surrogate.
    """
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:  # RFC 8259 s.8.1
        raise error_for("malformed_json", "token", expected="Unicode without lone surrogates") from None
