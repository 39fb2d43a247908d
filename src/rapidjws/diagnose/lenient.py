"""A lenient reader of damaged tokens: each fault is named with its place, and mended.

The mended token is for explanation alone; nothing of it is ever trusted or returned to a caller. What it
never does: raise.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import unquote

from rapidjws import _native
from rapidjws.diagnose.formats import begins_a_token, recognise

PARTS: Final = ("header", "payload", "signature")
MENDED_MAX_CHARS: Final = 256 * 1024
"""Beyond this a token is not looked into."""

_SCHEME: Final = re.compile(
    r"(?:authorization\s*:\s*)?(?:bearer|jwt|token|dpop)(?:\s*:\s*|\s+)", re.IGNORECASE
)
_NAME: Final = re.compile(r"(?:cookie:\s*)?[A-Za-z_][A-Za-z0-9_-]{0,40}=(?=\s*[\"']?ey)", re.IGNORECASE)
_COMPACT_INSIDE: Final = re.compile(
    r"(?<=[\s=\"':])(ey[A-Za-z0-9_-]{8,}\.(?:ey[A-Za-z0-9_-]+)?\.[A-Za-z0-9_-]{8,})(?=$|[\s&#\"'<>,;)])"
)
_INVISIBLE: Final = re.compile("[\u00a0\u00ad\u200b-\u200f\u202a-\u202e\u2060\ufeff]")
_TYPOGRAPHIC: Final = {"\u2010": "-", "\u2011": "-", "\u2012": "-", "\u2013": "-", "\u2014": "-",
                       "\u2212": "-", "\uff0d": "-", "\uff3f": "_", "\uff0e": ".", "\u3002": "."}  # fmt: skip
_QUOTES: Final = "\"'`\u201c\u201d\u2018\u2019"
_WHITESPACE: Final = re.compile(r"\s+")
_FOREIGN: Final = re.compile(r"[^A-Za-z0-9_-]")
_PLAIN: Final = str.maketrans("+/", "-_")
_ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault of shape: a key of ``CAUSES``, where it stands, and words for it."""

    id: str
    place: str
    text: str


@dataclass(slots=True)
class Lenient:
    """A token as far as it could be read.

    Attributes:
        text: What was handed over, as text.
        faults: Every fault of shape, outermost first.
        parts: Three texts in strict base64url, or None where there are not three parts.
        decoded: The three parts decoded; None for a part that cannot be.
        is_unencoded: Whether the header says ``"b64": false``: the payload's text is the payload (RFC 7797).
        is_json: Whether it is a JWS JSON Serialization.
        unprotected: The unprotected header of the signature looked at.
        signatures: How many signatures the JSON serialization has.
    """

    text: str = field(default="", repr=False)
    faults: list[Fault] = field(default_factory=list)
    parts: tuple[str, str, str] | None = field(default=None, repr=False)
    decoded: tuple[bytes | None, bytes | None, bytes | None] = field(default=(None, None, None), repr=False)
    is_unencoded: bool = False
    is_json: bool = False
    unprotected: dict[str, Any] = field(default_factory=dict, repr=False)
    signatures: int = 1

    @property
    def mended(self) -> str | None:
        """Return the compact token with its faults undone, or None."""
        return None if self.parts is None else ".".join(self.parts)

    def names(self, name: str) -> bool:
        """Say whether a fault was noted."""
        return any(fault.id == name for fault in self.faults)

    def note(self, fault: str, place: str, text: str) -> None:
        """Note a fault."""
        self.faults.append(Fault(id=fault, place=place, text=text))


def read(token: object, index: int = 0) -> Lenient:
    """Read a token leniently.

    Args:
        token: Anything.
        index: The signature of a General JSON Serialization that is looked at.

    Returns:
        What could be read of it, with every fault of shape.
    """
    found = Lenient()
    text = _text(token, found)
    found.text = text
    if len(text) > MENDED_MAX_CHARS:
        return found
    text = _unwrap(text, found)
    if not text:
        if not found.names("not_text"):
            found.note("empty", "token", "nothing is left once what surrounds a token is taken away")
        return found
    pieces = _from_json(text, index, found) if text.startswith("{") else None
    if pieces is None:
        kind = recognise(text)
        if kind is not None:
            found.note(kind.id, "token", kind.text)
            if kind.inner is None:
                return found
            text = kind.inner
        pieces = _three(_clean(text, found), found)
    if pieces is not None:
        _take(pieces, found)
    return found


def _take(pieces: list[str], found: Lenient) -> None:
    """Decode three parts, each fault noted; an unencoded payload is taken as it stands."""
    header = _part(0, pieces[0], found)
    first = _native.b64url_decode(header.encode())
    found.is_unencoded = _says_unencoded(first)
    payload = pieces[1] if found.is_unencoded else _part(1, pieces[1], found)
    found.parts = (header, payload, _part(2, pieces[2], found))
    second = (
        payload.encode("utf-8", "replace") if found.is_unencoded else _native.b64url_decode(payload.encode())
    )
    found.decoded = (first, second, _native.b64url_decode(found.parts[2].encode()))


def _says_unencoded(header: bytes | None) -> bool:
    """Say whether a header's member b64 is false (RFC 7797 s.3)."""
    if header is None or b"b64" not in header:
        return False
    try:
        value = json.loads(header)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) and value.get("b64") is False


def _text(token: object, found: Lenient) -> str:
    """Return what was handed over as text."""
    if isinstance(token, str):
        return token
    if not isinstance(token, (bytes, bytearray, memoryview)):
        found.note("not_text", "token", f"found {type(token).__name__}")
        return ""
    octets = bytes(token)
    if octets[:2] in (b"\xff\xfe", b"\xfe\xff") or octets[1:8:2] == bytes(4):
        found.note("utf16", "token", "every second byte is zero")
        return octets.decode("utf-16" if octets[:1] in b"\xff\xfe" else "utf-16-le", "replace")
    return octets.decode("utf-8", "replace")


def _unwrap(text: str, found: Lenient) -> str:
    """Take away what surrounds a token, layer by layer."""
    for _ in range(8):
        before = text
        if text.startswith("\ufeff"):
            found.note("byte_order_mark", "token[0]", "U+FEFF stands first")
            text = text[1:]
        if text != text.strip():
            where = "token[0]" if text[:1].isspace() else f"token[{len(text.rstrip())}]"
            found.note("outer_whitespace", where, "white space surrounds the token")
            text = text.strip()
        if len(text) > 1 and text[0] in _QUOTES and text[-1] in _QUOTES:
            found.note("quoted", "token[0]", "quotation marks surround the token")
            text = text[1:-1]
        scheme = _SCHEME.match(text)
        if scheme:
            found.note("bearer_prefix", "token[0]", f"{scheme.end()} characters of a scheme stand first")
            text = text[scheme.end() :]
        name = _NAME.match(text)
        if name:
            found.note("name_prefix", "token[0]", "a name and '=' stand first")
            text = text[name.end() :]
        if text[-1:] in (",", ";"):
            found.note("trailing_separator", f"token[{len(text) - 1}]", f"{text[-1]!r} stands last")
            text = text[:-1]
        if text == before:
            break
    inside = list(_COMPACT_INSIDE.finditer(text[:MENDED_MAX_CHARS]))
    if len(inside) == 1 and text[0] not in "{[<" and "ey" not in text[: inside[0].start(1)]:
        found.note(
            "text_around", f"token[{inside[0].start(1)}]", f"{inside[0].start(1)} characters stand first"
        )
        text = inside[0][1]
    return text


def _clean(text: str, found: Lenient) -> str:
    """Undo what transports do inside a token: escapes, wrapping, invisible and typographic characters."""
    if "%" in text and re.search(r"%[0-9A-Fa-f]{2}", text):
        found.note("percent_encoded", f"token[{text.index('%')}]", "percent escapes stand in the token")
        text = unquote(text)
    if re.search(r"\\[rn]", text):
        found.note("escaped_newline", f"token[{text.index(chr(92))}]", "a backslash and a letter")
        text = re.sub(r"\\[rn]", "", text)
    match = _INVISIBLE.search(text)
    if match:
        place = f"token[{match.start()}]"
        found.note("invisible_character", place, f"U+{ord(match.group()):04X} stands there")
        text = _INVISIBLE.sub("", text)
    for index, char in enumerate(text):
        if char in _TYPOGRAPHIC:
            found.note(
                "typographic_character", f"token[{index}]", f"U+{ord(char):04X} for an ASCII character"
            )
            text = "".join(_TYPOGRAPHIC.get(other, other) for other in text)
            break
    pieces = [piece for piece in re.split(r"[\s,;]+", text) if piece]
    if len(pieces) > 1 and all(piece.count(".") == 2 for piece in pieces):
        found.note("doubled", f"token[{len(pieces[0])}]", f"{len(pieces)} tokens stand in one value")
        return pieces[0]
    match = _WHITESPACE.search(text)
    if match:
        lines = any("\n" in gap or "\r" in gap for gap in _WHITESPACE.findall(text))
        name = "line_breaks" if lines else "inner_whitespace"
        found.note(name, f"token[{match.start()}]", "line breaks" if lines else "white space")
        text = _WHITESPACE.sub("", text)
    return text


def _three(text: str, found: Lenient) -> list[str] | None:
    """Return the three parts, or None with the reason noted."""
    if "..." in text or "\u2026" in text:
        index = text.index("...") if "..." in text else text.index("\u2026")
        found.note("elided", f"token[{index}]", "an ellipsis stands in the token")
        return None
    if re.search(r"\*{3,}|x{8,}|<redacted>|\[redacted\]", text, re.IGNORECASE):
        found.note("masked", "token", "a run of masking characters")
        return None
    parts = text.split(".")
    if len(parts) == 3:
        for name, part in zip(PARTS, parts, strict=True):
            if not part and name != "payload":
                unsecured = name == "signature" and b'"none' in _head(parts[0]).lower()
                cause = (
                    "alg_none" if unsecured else "signature_missing" if name == "signature" else "empty_part"
                )
                found.note(cause, name, "the part is empty")
        return parts
    if len(parts) == 1:
        if begins_a_token(text):
            found.note(
                "cut_off", f"token[{len(text)}]", "no dot stands in the token; it begins like a header"
            )
        else:
            found.note("opaque_token", "token", "no dot stands in the token")
    elif len(parts) == 2 and not begins_a_token(parts[0]):
        found.note("opaque_token", "token", "one dot, and what stands before it is no header")
    elif len(parts) == 2:
        found.note("signature_missing", "token", "one dot: header and payload only")
        return [*parts, ""]
    elif len(parts) == 5 and (b'"enc"' in _head(parts[0]) or not parts[1]):
        found.note("encrypted_token", "header.enc", "five parts and enc: RFC 7516")
    elif len(parts) == 5 and text[: len(text) // 2] == text[len(text) // 2 :]:
        found.note("doubled", f"token[{len(text) // 2}]", "the same token stands twice without a separator")
        return text[: len(text) // 2].split(".")
    else:
        found.note("wrong_parts", "token", f"{len(parts)} parts")
    return None


def _head(part: str) -> bytes:
    """Return a header as far as it can be decoded."""
    usable = _FOREIGN.sub("", part)
    return _native.b64url_decode(usable[: len(usable) // 4 * 4].encode()) or b""


def _part(index: int, text: str, found: Lenient) -> str:
    """Return a part in strict base64url, noting each fault with its position."""
    name = PARTS[index]
    if "=" in text:
        found.note("padding", f"{name}[{text.index('=')}]", "'=' stands in the part")
        text = text.rstrip("=")
    match = re.search(r"[+/]", text)
    if match:
        found.note("standard_alphabet", f"{name}[{match.start()}]", f"{match.group()!r} stands in the part")
        text = text.translate(_PLAIN)
    match = _FOREIGN.search(text)
    if match:
        char = match.group()
        shown = repr(char) if char.isascii() and char.isprintable() else f"U+{ord(char):04X}"
        found.note("foreign_character", f"{name}[{match.start()}]", f"{shown} is not base64url")
        text = _FOREIGN.sub("", text)
    rest = len(text) % 4
    if rest == 1:
        found.note("cut_off", f"{name}[{len(text)}]", f"{len(text)} characters are no whole number of bytes")
        return text[:-1]
    if rest:
        step = 16 if rest == 2 else 4
        value = _ALPHABET.index(text[-1])
        if value % step:
            found.note(
                "trailing_bits", f"{name}[{len(text) - 1}]", "bits are left over in the last character"
            )
            text = text[:-1] + _ALPHABET[value - value % step]
    return text


def _renamed(members: dict[str, Any], names: tuple[str, ...], found: Lenient) -> dict[str, Any]:
    """Return members with each name that is misspelled by one character put right, and noted."""
    for name in names:
        several = name == "signatures"
        fitting = [other for other, value in members.items() if isinstance(value, list) == several]
        if name in fitting:
            continue
        near = next((other for other in fitting if _one_edit(other, name)), None)
        if near is not None:
            found.note("member_misspelled", f"token.{near[:20]}", f"{near[:20]!r} for {name!r}")
            members = {name if other == near else other: value for other, value in members.items()}
    return members


def _one_edit(text: str, name: str) -> bool:
    """Say whether one character was changed, dropped, added or swapped with its neighbour."""
    if text.lower() == name:
        return True
    if abs(len(text) - len(name)) > 1:
        return False
    start = next((at for at, (one, two) in enumerate(zip(text, name, strict=False)) if one != two), len(name))
    rest, due = text[start:], name[start:]
    return (
        rest[1:] == due[1:] or rest[1:] == due or rest == due[1:]
        or (rest[:2] == due[1::-1] and rest[2:] == due[2:])
    )  # fmt: skip


def _from_json(text: str, index: int, found: Lenient) -> list[str] | None:
    """Return the parts of one signature of a JWS JSON Serialization (RFC 7515 s.7.2), or None."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict) or "payloadType" in value:
        return None
    value = _renamed(value, ("payload", "signatures", "protected", "signature"), found)
    several = value.get("signatures")
    if isinstance(several, list) and several:
        found.signatures = len(several)
        chosen = several[index if index < len(several) else 0]
        if isinstance(chosen, dict):
            chosen = _renamed(chosen, ("protected", "signature"), found)
    else:
        chosen = value
    if not isinstance(chosen, dict) or not isinstance(chosen.get("signature"), str):
        return None
    found.is_json = True
    found.note("json_serialization", "token", "the text starts with '{'")
    unprotected = chosen.get("header")
    found.unprotected = unprotected if isinstance(unprotected, dict) else {}
    texts = [chosen.get("protected", ""), value.get("payload", ""), chosen["signature"]]
    return [one if isinstance(one, str) else "" for one in texts]
