"""Verified claims as headers for the service behind a middleware or gateway: which, and how each is written.

A header named here is ours: what a client sends under it, in any spelling that a server may fold into it, is
removed. It is empty where nothing was verified, and where a value cannot stand in it unchanged.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import quote

from rapidjws._checks import is_text, refused
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.jose.claim_rules import path_of
from rapidjws.jose.json_pointer import ABSENT, member_at
from rapidjws.middleware.response import VALUE_MAX_CHARS, plain

if TYPE_CHECKING:
    from rapidjws.jwt.decision import Decision

ENCODINGS: Final = ("plain", "percent", "base64url")
HEADERS_MAX: Final = 32
"""Most headers of claims: gateways have one buffer for all headers of an answer."""

WHOLE_MAX_BITS: Final = 3400
"""Larger whole numbers are longer than a header's value may be, and their digits cost much to find."""

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
_NO_LETTER: Final = re.compile(r"[^a-z0-9]")

_RESERVED: Final = frozenset(
    "accept-encoding age allow authorization cache-control connection cookie cookie2 date deprecation expect "
    "forwarded host http2-settings keep-alive location origin pragma proxy range retry-after server "
    "set-cookie set-cookie2 status sunset te trailer traceparent tracestate transfer-encoding upgrade "
    "vary via warning www-authenticate x-request-id x-forwarded-for x-forwarded-host x-forwarded-method "
    "x-forwarded-port x-forwarded-prefix x-forwarded-proto x-forwarded-scheme x-forwarded-server "
    "x-forwarded-uri x-http-method-override x-original-method x-original-uri x-original-url "
    "x-rewrite-url".split()
)
"""Names that servers, gateways or this package read: framing, routing, credentials, tracing."""

_RESERVED_STARTS: Final = (
    "x-jws-", "content-", "proxy-", "sec-", "if-", "grpc-", "x-envoy-", "access-control-",
)  # fmt: skip


class _Entry(NamedTuple):
    """One header: its lower-case name, the claim as it was named, the way to it, the encoding."""

    header: str
    claim: str
    path: tuple[str, ...]
    encoding: str


class ClaimHeaders:
    """Which claims stand in which headers.

    Args:
        settings: Claim, or JSON Pointer to a member of one, -> the header's name, or a mapping with
            ``header`` and ``encoding``. ``plain`` writes text that arrives unchanged as it is, numbers and
            booleans as JSON writes them, and leaves all else empty. ``percent`` writes the octets of the
            UTF-8 of the same, all but letters, digits and ``-._~`` as ``%XX`` (RFC 3986 s.2.1).
            ``base64url`` writes the JSON of any value (RFC 4648 s.5, no padding). What is
            longer than ``VALUE_MAX_CHARS`` is empty.
        place: What an error's place is.

    Attributes:
        names: The headers, in lower case.

    Raises:
        ConfigurationError: ``configuration_invalid``: a header that has a meaning of its own, two of one
            name, an encoding or a pointer that is none.
    """

    __slots__ = ("_entries", "_folded", "names")

    def __init__(
        self, settings: Mapping[str, str | Mapping[str, str]], *, place: str = "claim_headers"
    ) -> None:
        if not isinstance(settings, Mapping):
            raise refused(place, "a mapping of claims to headers", settings)
        if len(settings) > HEADERS_MAX:
            raise error_for("configuration_invalid", place, f"at most {HEADERS_MAX} headers", len(settings))
        self._entries = tuple([_entry(claim, given, place) for claim, given in settings.items()])
        self.names = tuple([one.header for one in self._entries])
        self._folded = frozenset(map(folded, self.names))
        if len(self._folded) < len(self.names):
            raise error_for("configuration_invalid", place, "each header once, also as servers fold names")

    def __bool__(self) -> bool:
        return bool(self._entries)

    @property
    def first_letters(self) -> frozenset[bytes]:
        """Return how names begin that are looked at more closely: most requests have many others."""
        letters = {name[0] for name in self.names}
        return frozenset(one.encode() for letter in letters for one in (letter, letter.upper()))

    def owns(self, name: str) -> bool:
        """Return whether a header's name is one of these, in any spelling that a server may fold into it."""
        return bool(self._folded) and folded(name) in self._folded

    def headers(self, decision: Decision) -> list[tuple[str, str]]:
        """Return each header with its value; empty where nothing was verified."""
        if not self._entries:  # reads no claims where nobody asks for them
            return []
        claims = _claims(decision)
        return [(one.header, _written(member_at(claims, one.path), one.encoding)) for one in self._entries]

    def values(self, decision: Decision) -> dict[str, Any]:
        """Return claim -> value of the claims that a verified token has, for a gateway that takes JSON."""
        if not self._entries:
            return {}
        claims = _claims(decision)
        found = {one.claim: member_at(claims, one.path) for one in self._entries}
        return {claim: value for claim, value in found.items() if value is not ABSENT and value is not None}


def folded(name: str) -> str:
    """Return a header's name as the least exact server knows it: ``_`` for all but letters and digits."""
    return _NO_LETTER.sub("-", name.lower())


def _claims(decision: Decision) -> Mapping[str, Any]:
    verified = decision.verified
    if verified is None or verified.issuer is None:  # a Verifier checks no claims
        return {}
    return verified.claims


def _entry(claim: Any, given: Any, place: str) -> _Entry:
    """Return one checked entry."""
    shown = claim if is_text(claim) else type(claim).__name__
    if not is_text(claim) or not claim:
        raise error_for("configuration_invalid", place, "the name of a claim, or a JSON Pointer", shown)
    try:
        path = path_of(claim)
    except RapidJWSError as fault:
        raise error_for("configuration_invalid", place, fault.expected, shown) from None
    encoding: Any = "plain"
    header = given
    if isinstance(given, Mapping):
        if not set(given) <= {"header", "encoding"} or "header" not in given:
            raise error_for("configuration_invalid", place, "header, and perhaps encoding", shown)
        header, encoding = given["header"], given.get("encoding", "plain")
    if encoding not in ENCODINGS:
        expected = f"an encoding: {', '.join(ENCODINGS)}"
        raise error_for("configuration_invalid", place, expected, f"another one for {shown}")
    if not isinstance(header, str) or _NAME.match(header) is None:
        expected = "a header's name: letters, digits, hyphens, at most 64 characters (RFC 9110 s.5.1)"
        raise error_for("configuration_invalid", place, expected, f"another one for {shown}")
    name = folded(header)
    if name in _RESERVED or name.startswith(_RESERVED_STARTS):
        expected = "a header without a meaning of its own in HTTP, to gateways, or to rapidjws"
        raise error_for("configuration_invalid", place, expected, header)
    if name.endswith("-bin"):
        raise error_for("configuration_invalid", place, "no -bin, whose values gRPC decodes", header)
    return _Entry(header.lower(), claim, path, encoding)


def _written(value: Any, encoding: str) -> str:
    """Return a value as a header holds it; empty for none, and for one that cannot stand there unchanged."""
    if value is ABSENT or value is None:
        return ""
    try:
        if encoding == "base64url":
            return _bounded(base64.urlsafe_b64encode(json_text(value).encode()).rstrip(b"=").decode())
        text = (
            value if isinstance(value, str) else "" if isinstance(value, (list, dict)) else json_text(value)
        )
        if encoding == "plain":
            return plain(text)
        octets = text.encode("utf-8")
    except (ValueError, RecursionError):  # a lone surrogate, an infinite number, too many digits or levels
        return ""
    return _bounded(quote(octets, safe="")) if len(octets) <= VALUE_MAX_CHARS else ""


def json_text(value: Any) -> str:
    """Return the JSON of a value, in ASCII.

    Raises:
        ValueError: A number that JSON cannot hold, or with more digits than a header takes.
    """
    if isinstance(value, int) and value.bit_length() > WHOLE_MAX_BITS:
        raise ValueError("digits")
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def _bounded(text: str) -> str:
    return text if len(text) <= VALUE_MAX_CHARS else ""


NO_CLAIM_HEADERS: Final = ClaimHeaders({})
