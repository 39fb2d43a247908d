"""The one spelling of a route (RFC 3986 s.6), by which its stage is looked up; None where none is safe.

Servers differ in what they make of a path. What two of them could read apart has no spelling here, and the
request gets the strictest stage of all routes. The rule, in this order:

1. The query, from the first ``?`` on, is left out. What is left begins with ``/``.
2. Refused: control characters, spaces and non-ASCII characters as they are, ``#``, ``\\``, ``;``, and a ``%``
   that two hexadecimal digits do not follow (``%u0061``).
3. Escapes are decoded once, as UTF-8. Refused: octets that are not UTF-8 (overlong forms among them), escaped
   ``%``, ``/``, ``\\``, ``;``, ``?``, ``#``, control and format characters, and text that a normal form of
   Unicode changes (NFKC: full-width letters, a letter and its accent as two characters where there is one
   for both): a server that normalises paths takes it for another route.
4. Refused: empty segments (``//``), dot segments, segments that end in a dot or a space, and ``,/`` (two
   headers that somebody joined).
5. What a path may hold as it is (RFC 3986 s.3.3, pchar without ``;``) stands as it is; everything else is
   escaped, in upper case. Where routes are not case-sensitive, letters are lower-case, and the i with and
   without its dot are one.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Final
from urllib.parse import quote, unquote_to_bytes

_PLAIN: Final = re.compile(
    r"(?:/[A-Za-z0-9_~!$&'()*+=:@-]+(?:\.+[A-Za-z0-9_~!$&'()*+=:@-]+)*)+/?|/", re.ASCII
)
"""Paths that are their own spelling and have no other; most are of this kind."""

_REFUSED: Final = re.compile(r"[^!-~]|[#\\;]|%(?![0-9A-Fa-f]{2})")
_REFUSED_WHEN_DECODED: Final = re.compile(r"[\x00-\x1f\x7f%\\;?#]")
_TWO_READINGS: Final = re.compile(r"//|[. ](?:/|\Z)|,/")
_ESCAPED_SLASH: Final = re.compile(r"%2[Ff]")
_PCHARS: Final = "/-._~!$&'()*+,=:@"
_I_OF_TURKISH: Final = {0x130: "i", 0x131: "i"}
"""Letters beside ``i`` and ``I`` that one case of is ASCII: to readers that ignore case they are the same."""
_FORMAT_CATEGORIES: Final = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})


def route_of(target: str | None, *, fold_case: bool = False) -> str | None:
    """Return the one spelling of a request target's path, or None where it has none that is safe.

    Args:
        target: The path as it was sent, escapes and query as they are; None for none.
        fold_case: Whether upper and lower case are the same.

    Source: RFC 3986 s.3.3, s.6.2.2.
    """
    if target is None:
        return None
    path = target.partition("?")[0]
    route = path if _PLAIN.fullmatch(path) else _spelled(path)
    return _folded(route) if fold_case and route is not None else route


def _spelled(path: str) -> str | None:
    if not path.startswith("/") or _REFUSED.search(path) or _ESCAPED_SLASH.search(path):
        return None
    try:
        text = unquote_to_bytes(path).decode("utf-8")  # strict: no overlong forms, no surrogates
    except UnicodeDecodeError:
        return None
    if _REFUSED_WHEN_DECODED.search(text) or _TWO_READINGS.search(text):
        return None
    if not text.isascii() and not (_is_normal(text) and all(map(_has_one_reading, set(text)))):
        return None
    return quote(text, safe=_PCHARS)


def _is_normal(text: str) -> bool:
    """Return whether no normal form of Unicode changes a text but NFD and NFKD, which only split it."""
    return unicodedata.is_normalized("NFKC", text)  # then it is NFC as well


@lru_cache(1024)
def _has_one_reading(character: str) -> bool:
    """Return whether no server can take a character for an ASCII one, or leave it out."""
    if character.isascii():
        return True
    if unicodedata.category(character) in _FORMAT_CATEGORIES:
        return False
    return not any(one.isascii() for one in unicodedata.normalize("NFKC", character))


def _folded(route: str) -> str:
    """Return a spelling in lower case, that of escaped letters included."""
    if "%" not in route:
        return route.lower()
    text = unquote_to_bytes(route).decode("utf-8").translate(_I_OF_TURKISH)
    lower = text.lower()  # may be no normal form any more
    return quote(unicodedata.normalize("NFKC", lower), safe=_PCHARS)


def is_below(path: str, route: str) -> bool:
    """Return whether a path is a route or lies below it: ``/pay`` holds ``/pay/1`` and not ``/payment``."""
    return path == route or path.startswith(route if route.endswith("/") else route + "/")
