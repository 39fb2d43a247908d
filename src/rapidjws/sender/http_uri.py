"""HTTP URIs compared as DPoP wants it (RFC 9449 s.4.3 no. 9): normalized, without query and fragment.

A URI that two readers could take for two different ones is none.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple

URI_MAX_CHARS: Final = 8192
_KEPT: Final = 1024

# RFC 3986 s.3, without user information: nobody signs a password
_URI: Final = re.compile(
    r"(https?)://(\[[0-9a-f:.]+\]|[a-z0-9._~-]+)(?::([0-9]{1,5}))?(/[^?#]*)?(?:\?([^#]*))?(?:#.*)?",
    re.IGNORECASE | re.ASCII | re.DOTALL,
)
_PATH: Final = re.compile(r"(?:/(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})*)+", re.ASCII)
_ESCAPE: Final = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_DEFAULT_PORTS: Final = {"http": "80", "https": "443"}


class HttpUri(NamedTuple):
    """A normalized URI (RFC 3986 s.6.2.2 and s.6.2.3).

    Attributes:
        origin: Scheme, host and port, in lower case; the default port left out.
        path: The path, at least ``/``.
        query: The query as it was written, or None.
    """

    origin: str
    path: str
    query: str | None = None

    def __repr__(self) -> str:
        return f"HttpUri({self.origin!r}, {self.path!r})"


@lru_cache(maxsize=_KEPT)
def http_uri(text: str) -> HttpUri | None:
    """Return a URI normalized, or None where it is none that a proof or an origin may name.

    Args:
        text: The URI; dot segments are removed, its fragment is ignored.
    """
    if len(text) > URI_MAX_CHARS or not text.isascii() or not text.isprintable():
        return None
    found = _URI.fullmatch(text)
    if found is None:
        return None
    scheme, host, port, path, query = found.groups()
    scheme, host = scheme.lower(), host.lower()
    normalized = _path(path or "/")
    if normalized is None or (port is not None and not 0 < int(port) <= 65535):
        return None
    plain = None if port is None else str(int(port))
    origin = f"{scheme}://{host}" + ("" if plain in (None, _DEFAULT_PORTS[scheme]) else f":{plain}")
    return HttpUri(origin, _without_dots(normalized), query)


@lru_cache(maxsize=_KEPT)
def request_path(path: str) -> str | None:
    """Return the path of a request normalized, or None where it has two readings.

    A dot segment, escaped or not, is one: a router may follow it or not. So is a backslash.

    Args:
        path: As it was sent, without its query.
    """
    if len(path) > URI_MAX_CHARS:
        return None
    normalized = _path(path)
    if normalized is None or normalized != _without_dots(normalized):
        return None
    return normalized


def _path(path: str) -> str | None:
    """Return a path whose escapes are in one spelling; None where it is no path."""
    if _PATH.fullmatch(path) is None:
        return None
    return _ESCAPE.sub(_escape, path) if "%" in path else path


def _escape(found: re.Match[str]) -> str:
    """Return an escape in capitals, or the unreserved character that it stands for (s.6.2.2.2)."""
    character = chr(int(found[1], 16))
    return character if character in _UNRESERVED else found[0].upper()


def _without_dots(path: str) -> str:
    """Return a path without dot segments (RFC 3986 s.5.2.4)."""
    if "/." not in path:
        return path
    kept: list[str] = []
    segments = path.split("/")[1:]
    for segment in segments:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in (".", ".."):
        kept.append("")
    return "/" + "/".join(kept)
