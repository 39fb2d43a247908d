"""The comparison of two payloads byte for byte, and what kind of difference there is.

First mistakes of transport are undone one by one (byte order mark, encoding, line endings, white space), then
JSON is compared by value, so that key order, numbers and escapes are distinguished from content.
"""

from __future__ import annotations

import json
import math
import unicodedata
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Final

BOM: Final = b"\xef\xbb\xbf"
SHOWN_BYTES: Final = 16
_PARSED_MAX_BYTES: Final = 4 * 1024 * 1024
_WIDE: Final = ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))


@dataclass(frozen=True, slots=True, kw_only=True)
class PayloadDiff:
    """How a body differs from what was signed.

    Attributes:
        equal: Whether they are the same bytes.
        kinds: What differs: ``"bom"``, ``"encoding"``, ``"line_endings"``, ``"final_newline"``,
            ``"whitespace"``, ``"key_order"``, ``"number_format"``, ``"unicode_escapes"``,
            ``"unicode_normalisation"``, ``"duplicate_names"`` or ``"content"``.
        offset: The first byte that differs; None where they are equal.
        places: JSON places whose values differ, for ``"content"``: ``"$.amount"``.
        signed: The signed payload.
        body: The body it is compared with.
    """

    equal: bool
    kinds: tuple[str, ...]
    offset: int | None
    places: tuple[str, ...]
    signed: bytes
    body: bytes

    def __repr__(self) -> str:
        return f"PayloadDiff(equal={self.equal}, kinds={self.kinds}, offset={self.offset})"

    def as_dict(self) -> dict[str, Any]:
        """Return the comparison as JSON values, without the payloads."""
        return {
            "equal": self.equal,
            "kinds": list(self.kinds),
            "offset": self.offset,
            "places": list(self.places),
            "signed_bytes": len(self.signed),
            "body_bytes": len(self.body),
        }

    def windows(self) -> tuple[str, str, str, str]:
        """Return both sides around the difference: readable, readable, hexadecimal, hexadecimal."""
        start = max((self.offset or 0) - SHOWN_BYTES // 2, 0)
        one, two = (side[start : start + 2 * SHOWN_BYTES] for side in (self.signed, self.body))
        return _readable(one), _readable(two), one.hex(" "), two.hex(" ")


def payload_diff(signed: bytes, body: bytes) -> PayloadDiff:
    """Compare a signed payload with a body.

    Args:
        signed: The JWS Payload.
        body: What was received.

    Returns:
        Whether and how they differ.
    """
    offset = _first_difference(signed, body)
    kinds: list[str] = []
    places: tuple[str, ...] = ()
    if offset is not None:
        kinds, places = _kinds(signed, body)
    return PayloadDiff(
        equal=offset is None,
        kinds=tuple(kinds),
        offset=offset,
        places=places,
        signed=bytes(signed),
        body=bytes(body),
    )


def _first_difference(one: bytes, two: bytes) -> int | None:
    """Return the first index at which two byte strings differ, or None."""
    if one == two:
        return None
    low, high = 0, min(len(one), len(two))
    while low < high:  # the longest equal prefix, by halving
        middle = (low + high + 1) // 2
        if one[:middle] == two[:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _kinds(signed: bytes, body: bytes) -> tuple[list[str], tuple[str, ...]]:
    """Undo one kind of difference after the other until nothing is left."""
    kinds: list[str] = []
    if signed.startswith(BOM) != body.startswith(BOM):
        kinds.append("bom")
    one, two = signed.removeprefix(BOM), body.removeprefix(BOM)
    if one == two:
        return kinds, ()
    text_one, odd_one = _text(one)
    text_two, odd_two = _text(two)
    if odd_one != odd_two:
        kinds.append("encoding")
    if text_one is None or text_two is None:
        return [*kinds, "content"], ()
    if text_one == text_two:
        return kinds or ["encoding"], ()
    unix_one, unix_two = text_one.replace("\r\n", "\n"), text_two.replace("\r\n", "\n")
    if (unix_one == unix_two) or (unix_one.rstrip("\n") == unix_two.rstrip("\n")):
        lines = unix_one.count("\n") and ("\r\n" in text_one) != ("\r\n" in text_two)
        if unix_one != unix_two:
            kinds.append("final_newline")
        if (lines and unix_one == unix_two) or (lines and "\n" in unix_one.rstrip("\n")):
            kinds.append("line_endings")
        return kinds, ()
    values = _parsed(text_one), _parsed(text_two)
    if values[0] is _NONE or values[1] is _NONE:
        return kinds + _text_kinds(unix_one, unix_two), ()
    return _json_kinds(kinds, text_one, text_two, *values)


def _text(data: bytes) -> tuple[str | None, str]:
    """Return bytes as text with the name of their encoding."""
    for mark, name in _WIDE:
        if data.startswith(mark):
            try:
                return data.decode(name), name
            except UnicodeDecodeError:
                return None, "bytes"
    if data[1:8:2] == bytes(len(data[1:8:2])) and len(data) > 3 and data[0]:
        return data.decode("utf-16-le", "replace"), "utf-16"
    try:
        return data.decode("utf-8"), "utf-8"
    except UnicodeDecodeError:
        return data.decode("latin-1"), "latin-1"


def _text_kinds(one: str, two: str) -> list[str]:
    """Name the difference of two texts that are not both JSON."""
    if unicodedata.normalize("NFC", one) == unicodedata.normalize("NFC", two):
        return ["unicode_normalisation"]
    if "".join(one.split()) == "".join(two.split()):
        return ["whitespace"]
    return ["content"]


_NONE: Final = object()


@dataclass(frozen=True, slots=True)
class _Number:
    """A number with its spelling."""

    text: str

    def value(self) -> Decimal:
        try:
            return Decimal(self.text)
        except InvalidOperation:
            return Decimal("NaN")


@dataclass(frozen=True, slots=True)
class _Members:
    """An object with its order and equal names kept."""

    pairs: tuple[tuple[str, Any], ...]


def _parsed(text: str) -> Any:
    """Return JSON with order and spelling kept, or ``_NONE``."""
    if len(text) > _PARSED_MAX_BYTES:
        return _NONE
    try:
        return json.loads(
            text,
            parse_int=_Number,
            parse_float=_Number,
            object_pairs_hook=lambda pairs: _Members(tuple(pairs)),
        )
    except (ValueError, RecursionError):
        return _NONE


def _json_kinds(
    kinds: list[str], text_one: str, text_two: str, one: Any, two: Any
) -> tuple[list[str], tuple[str, ...]]:
    """Name the differences of two JSON texts."""
    found: set[str] = set()
    places: list[str] = []
    try:
        _compare(one, two, "$", found, places)
    except RecursionError:
        found.add("content")
    if found <= {"key_order"} and _escapes(text_one) != _escapes(text_two):
        found.add("unicode_escapes")
    if _gaps(text_one) != _gaps(text_two) and not found & {"content"}:
        lines = text_one.replace("\r\n", "\n") == text_two
        found.add("line_endings" if lines else "whitespace")
    order = ("whitespace", "line_endings", "key_order", "number_format", "unicode_escapes",
             "unicode_normalisation", "duplicate_names", "content")  # fmt: skip
    return kinds + [kind for kind in order if kind in found] or ["content"], tuple(places[:8])


def _compare(one: Any, two: Any, place: str, found: set[str], places: list[str]) -> None:
    """Walk two values side by side."""
    if isinstance(one, _Members) and isinstance(two, _Members):
        names_one, names_two = [name for name, _ in one.pairs], [name for name, _ in two.pairs]
        first, second = dict(one.pairs), dict(two.pairs)
        if len(names_one) != len(first) or len(names_two) != len(second):
            found.add("duplicate_names")
        if set(first) != set(second):
            found.add("content")
            places += [f"{place}.{name}" for name in sorted(set(first) ^ set(second))]
        elif names_one != names_two:
            found.add("key_order")
        for name in names_one:
            if name in second:
                _compare(first[name], second[name], f"{place}.{name}", found, places)
    elif isinstance(one, list) and isinstance(two, list) and len(one) == len(two):
        for index, (first_item, second_item) in enumerate(zip(one, two, strict=True)):
            _compare(first_item, second_item, f"{place}[{index}]", found, places)
    elif isinstance(one, _Number) and isinstance(two, _Number):
        if one.text != two.text:
            same = one.value() == two.value() or _rounded(one, two)
            found.add("number_format" if same else "content")
            places.append(place)
    elif isinstance(one, str) and isinstance(two, str) and one != two:
        same = unicodedata.normalize("NFC", one) == unicodedata.normalize("NFC", two)
        found.add("unicode_normalisation" if same else "content")
        places.append(place)
    elif one != two:
        found.add("content")
        places.append(place)


def _rounded(one: _Number, two: _Number) -> bool:
    """Say whether two numbers are the same double: large integers lose digits in JavaScript."""
    first, second = float(one.text), float(two.text)
    return math.isfinite(first) and first == second and len(one.text) > 15


def _escapes(text: str) -> list[str]:
    """Return the strings of a JSON text as they are spelled, in any order."""
    return sorted(text[start:end] for start, end in _strings(text))


def _gaps(text: str) -> str:
    """Return the white space between the tokens of a JSON text, each token as one mark."""
    made, last = [], 0
    for start, end in _strings(text):
        made.append(_squeeze(text[last:start]))
        last = end
    made.append(_squeeze(text[last:]))
    return "s".join(made).strip("s") and "".join(sorted("".join(made)))


def _squeeze(text: str) -> str:
    """Return what is between two strings with everything but white space and marks taken away."""
    return "".join(char for char in text if char in " \t\r\n")


def _strings(text: str) -> list[tuple[int, int]]:
    """Return where the strings of a JSON text stand."""
    found, at = [], 0
    while (start := text.find('"', at)) >= 0:
        end = start + 1
        while end < len(text) and text[end] != '"':
            end += 2 if text[end] == "\\" else 1
        at = end + 1
        found.append((start, at))
    return found


def _readable(data: bytes) -> str:
    """Return bytes as text in which nothing is invisible."""
    marks = {0x0A: "␊", 0x0D: "␍", 0x09: "␉", 0x20: "·"}
    text = data.decode("utf-8", "replace")
    return "".join(
        marks.get(ord(char), char if char.isprintable() else f"\\u{ord(char):04x}") for char in text
    )
