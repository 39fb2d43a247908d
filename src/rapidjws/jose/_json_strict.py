"""Strict JSON in plain Python (RFC 8259): the slow twin of the C scan, and its oracle in tests.

Refuses what the C module refuses: bad UTF-8, a byte order mark, lone surrogates, NaN and infinities, numbers
too large for a double, equal member names in one object, and texts past the limits. What it never does:
recurse deeper than the limit, because the depth is counted before the parser runs.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, Final, NoReturn

# A string that never ends is taken to the end of the text: nothing is read twice, so time stays linear.
_TOKENS: Final = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?|[\[{]|[\]}]', re.DOTALL)


class Fault(Exception):
    """A refused text, with its error code."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class SpoiledObject:
    """An object that breaks a rule of its own, where the caller wants the rest of the text."""

    __slots__ = ("code",)

    def __init__(self, code: str) -> None:
        self.code = code


def parse(
    data: bytes, *, max_bytes: int, max_depth: int, max_members: int, keep_spoiled: bool = False
) -> Any:
    """Parse one JSON text.

    Args:
        data: The text in UTF-8.
        max_bytes: Largest text.
        max_depth: Most containers open at once.
        max_members: Most members of any one object.
        keep_spoiled: Put a :class:`SpoiledObject` in the place of an object with equal names or too many
            members, instead of refusing the text.

    Returns:
        The value; integers are exact.

    Raises:
        Fault: with too_large, malformed_json, too_deep, too_many_members or duplicate_member.
    """
    if len(data) > max_bytes:
        raise Fault("too_large")
    try:
        text = data.decode(
            "utf-8"
        )  # RFC 8259 s.8.1: UTF-8 only; Python refuses surrogates and overlong forms
    except UnicodeDecodeError:
        raise Fault("malformed_json") from None
    if text.startswith("\ufeff"):  # RFC 8259 s.8.1: no byte order mark
        raise Fault("malformed_json")
    _check_depth(text, max_depth)
    escapes = "\\u" in text

    def build(pairs: list[tuple[str, Any]]) -> Any:
        members = dict(pairs)
        code = "too_many_members" if len(pairs) > max_members else None
        if len(members) != len(pairs):  # RFC 7515 s.4, RFC 7519 s.4: names are unique
            code = "duplicate_member"
        if code is None:
            return members
        if keep_spoiled:
            return SpoiledObject(code)
        raise Fault(code)

    try:
        value = json.loads(
            text,
            object_pairs_hook=build,
            parse_int=_integer,
            parse_float=_decimal,
            parse_constant=_constant,
        )
    except (ValueError, RecursionError):
        raise Fault("malformed_json") from None
    if escapes:
        _check_surrogates(value)
    return value


def _check_depth(text: str, max_depth: int) -> None:
    """Refuse a text that opens more containers at once than allowed."""
    depth = 0
    for match in _TOKENS.finditer(text):
        mark = match.group()
        if mark in "[{":
            depth += 1
            if depth > max_depth:
                raise Fault("too_deep")
        elif mark in "]}":
            depth -= 1


def _integer(text: str) -> int:
    """Read an integer exactly; RFC 7493 s.2.2: one that no double can hold is no number to exchange."""
    if math.isinf(float(text)):
        raise Fault("malformed_json")
    return int(text)


def _decimal(text: str) -> float:
    """Read a number with a fraction or an exponent; refuse one too large for a double."""
    value = float(text)
    if math.isinf(value):
        raise Fault("malformed_json")
    return value


def _constant(_: str) -> NoReturn:
    """Refuse NaN, Infinity and -Infinity: RFC 8259 s.6 knows no such numbers."""
    raise Fault("malformed_json")


def _check_surrogates(value: Any) -> None:
    """Refuse escaped surrogates without their partner (RFC 7493 s.2.1)."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            try:
                item.encode("utf-8")
            except UnicodeEncodeError:
                raise Fault("malformed_json") from None
        elif isinstance(item, dict):
            waiting.extend(item)
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)
