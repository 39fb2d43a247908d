"""What an answer's headers say about its life. Source: RFC 9111 section 5.2, RFC 9110 section 10.2.3."""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_MAX_AGE: Final = re.compile(
    r'(?:^|[,\s])(s-maxage|max-age)\s*=\s*"?(-?[0-9]{1,400})"?\s*(?=,|$)', re.IGNORECASE
)
_UNCACHED: Final = re.compile(r"(?:^|[,\s])(no-store|no-cache)(?=\s*(?:,|=|$))", re.IGNORECASE)
_DIGITS: Final = re.compile(r"[0-9]{1,400}")
FOREVER_S: Final = 1e9
ETAG_MAX_CHARS: Final = 512


def stated_life_s(headers: Mapping[str, str]) -> float | None:
    """Return the seconds an answer says it is fresh, or None where it says nothing; bounded, never NaN.

    Args:
        headers: Names in lower case -> values.
    """
    control = headers.get("cache-control", "")
    if _UNCACHED.search(control):
        return 0.0
    found = [int(text) for name, text in _MAX_AGE.findall(control) if name.lower() == "max-age"]
    if not found:
        return None
    age = headers.get("age", "").strip()
    spent = int(age) if _DIGITS.fullmatch(age) else 0
    return float(min(max(min(found) - spent, 0), int(FOREVER_S)))  # RFC 9111 s.4.2.3


def etag_of(headers: Mapping[str, str]) -> str | None:
    """Return the ETag, or None where there is none that can be sent back."""
    etag = headers.get("etag", "").strip()
    return etag if 0 < len(etag) <= ETAG_MAX_CHARS and etag.isascii() and etag.isprintable() else None


def retry_after_s(value: str | None, now_s: float) -> float | None:
    """Return the seconds a Retry-After asks for, or None where it cannot be read.

    Args:
        value: Seconds or a date, or None.
        now_s: Seconds since the epoch.
    """
    if value is None:
        return None
    text = value.strip()
    if _DIGITS.fullmatch(text):
        return float(min(int(text), int(FOREVER_S)))
    try:
        return min(max(0.0, parsedate_to_datetime(text).timestamp() - now_s), FOREVER_S)
    except (ValueError, TypeError, OverflowError):
        return None
