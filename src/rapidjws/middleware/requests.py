"""What all middlewares read alike of a request: its length, its path, whether it asks for a websocket."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import quote, unquote_to_bytes

from rapidjws.observe.request_info import no_headers

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    from rapidjws.jwt.decision import Names
    from rapidjws.observe.request_info import Headers
    from rapidjws.observe.tracing import RequestTrace

_LENGTH: Final = re.compile(rb"[0-9]{1,19}\Z")  # RFC 9110 s.8.6: 1*DIGIT; no body has 10^19 octets
_PCHARS: Final = "/-._~!$&'()*+,=:@"  # as ``policy.routes`` spells routes; an escaped ? or % has no spelling
_PATH_SAFE: Final = "/:@!$&'()*+,;=~-._"  # RFC 3986 s.3.3: what a path holds unescaped


class RequestContext(NamedTuple):
    """What a request says about itself.

    Attributes:
        values: Each value of the header named by ``Authenticator.field``, in the order of the request.
        query: The query of its target, as it was sent.
        partner: Who is asking, or None; several where headers name several.
        route: The path that is asked for, or None; several where servers and routers may read it apart.
        scopes: The scopes that are due.
        headers: Gives each value of a header by its lower-case name, for logs and traces.
        trace: The span of a request whose caller records, or None.
        method: As it was sent; "" where it is not known.
        target: Path and query as they were sent; None where there is more than one reading of the path.
        peer: The address of whoever sent it, ``"unix"`` for a Unix socket, or None.
    """

    values: list[bytes]
    query: bytes
    partner: Names
    route: Names
    scopes: tuple[str, ...] = ()
    headers: Headers = no_headers
    trace: RequestTrace | None = None
    method: str = ""
    target: str | None = None
    peer: str | None = None

    def __repr__(self) -> str:
        """Show who asks for what; the header and the query may hold a token."""
        named = f"partner={self.partner!r}, route={self.route!r}, scopes={self.scopes!r}"
        return f"{type(self).__name__}({named}, values={len(self.values)})"


def content_length(values: Sequence[bytes]) -> int | None:
    """Return the number in a request's one Content-Length, or None where it is not one plain number.

    Args:
        values: Each value of the header, as it was sent.

    Source: RFC 9110 section 8.6; a sign, a space, a ``_`` or a list are read differently by frameworks.
    """
    if len(values) != 1 or _LENGTH.match(values[0]) is None:
        return None
    return int(values[0])


def signed_target(target: str | None, path: str, query: bytes, *, codec: str) -> str | None:
    """Return path and query as a sender signs them, or None where the router may take another path.

    Args:
        target: The target as it was sent, where the server tells it.
        path: The decoded path.
        query: The query as it was sent.
        codec: How octets became the characters of ``path``.
    """
    octets = path.encode(codec, "replace")
    sent = quote(octets, safe=_PATH_SAFE) if target is None else target.partition("?")[0]
    if unquote_to_bytes(sent) != octets:  # rewritten on the way, or in absolute form
        return None
    return f"{sent}?{query.decode('latin-1')}" if query else sent


def is_exempt(exempt: Container[str], path: str, target: str | None) -> bool:
    """Return whether a request needs no token, whatever its router matches: escaped or decoded octets.

    Args:
        exempt: The paths that need none.
        path: The decoded path.
        target: The target as it was sent, where the server tells it: its path must be the exempt one without
            an escape that need not be there (``/status%2Flive`` is no ``/status/live``).
    """
    if path not in exempt:
        return False
    sent = "" if target is None else target.partition("?")[0]
    if "%" not in sent and "/." not in sent:  # one reading
        return True
    quoted = quote(path, safe=_PATH_SAFE)
    before = sent.removesuffix(quoted)  # a mount, or a scheme and a host
    return before != sent and "%" not in before and "/." not in before


def routes_of(target: str | None, path: str, root_path: str, *, codec: str) -> str | tuple[str, ...]:
    """Return what a router may take for a request's route: one text, or several where servers disagree.

    Args:
        target: The target as it was sent, where the server tells it.
        path: The decoded path, with its ``root_path`` where the server says one.
        root_path: Where the server says that the application is mounted, if not where it is known to be:
            some take it from a header of the request. The router then matches what follows it.
        codec: How octets became the characters of ``path``.
    """
    if target == path and not root_path and "%" not in path and "?" not in path:
        return path
    found = [] if target is None else [target]
    octets = path.encode(codec, "replace")
    if target is None or unquote_to_bytes(target.partition("?")[0]) != octets:  # rewritten on the way
        found.append(quote(octets, safe=_PCHARS))
    if root_path:
        inner = path.removeprefix(root_path) or "/"
        if inner != path:
            found.append(quote(inner.encode(codec, "replace"), safe=_PCHARS))
    return found[0] if len(found) == 1 else tuple(found)


def is_websocket(upgrade: str) -> bool:
    """Return whether a request's Upgrade header asks for a websocket (RFC 6455 s.4.1)."""
    return "websocket" in upgrade.lower()
