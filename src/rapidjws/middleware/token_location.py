"""Where a request's token stands: Authorization (RFC 6750 s.2.1), a named header, or a cookie (RFC 6265).

Two of them are two readings, and refused. What this never does: look into the token.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_to_bytes

from rapidjws._checks import checked
from rapidjws.errors import error_for
from rapidjws.jwt.decision import AMBIGUOUS

_FIELD_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}\Z")  # RFC 9110 s.5.1: token

QUERY_NAME: Final = b"access_token"
"""RFC 6750 s.2.3: the other place in which a bearer token may come; never read, but never overlooked."""


def is_field_name(name: object) -> bool:
    """Return whether a name can be a header's, or a cookie's."""
    return isinstance(name, str) and _FIELD_NAME.match(name) is not None


@checked(under="token")
@dataclass(frozen=True, slots=True, kw_only=True)
class TokenLocation:
    """Where the token stands.

    Args:
        header: The header's name.
        scheme: What stands before the token in it, ``"Bearer"``; ``""`` for nothing.
        cookie: Instead of the header, the cookie of this name.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """

    header: str = "Authorization"
    scheme: str = "Bearer"
    cookie: str | None = None

    def __post_init__(self) -> None:
        """Check the names."""
        for place in ("header", "scheme", "cookie"):
            name = getattr(self, place)
            if name is None or (place == "scheme" and name == ""):
                continue
            if not is_field_name(name):
                raise error_for("configuration_invalid", f"token.{place}", expected="a name of RFC 9110")

    @property
    def field(self) -> bytes:
        """Return the lower-case name of the header that is read."""
        return b"cookie" if self.cookie is not None else self.header.lower().encode("ascii")

    @property
    def is_bearer(self) -> bool:
        """Return whether tokens stand in Authorization as RFC 6750 or RFC 9449 have it."""
        return self.field == b"authorization" and self.scheme.lower() in ("bearer", "dpop")

    def token(self, values: list[bytes], query: bytes = b"") -> bytes | None:
        """Return the token in the values of the header, in the order of the request.

        Args:
            values: Each value of the header named by ``field``.
            query: The query of the request's target, as it was sent.

        Returns:
            The token; None for none, or for credentials under another scheme (RFC 6750 s.3.1); ``AMBIGUOUS``
            where there is more than one, or a scheme without one.
        """
        if self.cookie is not None:
            values = _cookies(values, self.cookie.encode("ascii"))
        if not values:
            return None
        if len(values) > 1:  # two tokens: the service could read the other one
            return AMBIGUOUS
        value = values[0].strip(b" \t")
        if self.cookie is not None:
            return value or None
        if self.scheme:
            scheme, _, value = value.partition(b" ")
            if scheme.lower() != self.scheme.lower().encode("ascii"):
                return None
            value = value.strip(b" ") or AMBIGUOUS
        if b"," in value or b" " in value:  # WSGI servers join what was sent twice
            return AMBIGUOUS
        if query and self.is_bearer and _names_token(query):  # RFC 6750 s.2: one method a request
            return AMBIGUOUS
        return value or None


def _names_token(query: bytes) -> bool:
    """Return whether a query has a parameter for a bearer token, however its name is written."""
    names = [pair.partition(b"=")[0] for pair in query.split(b"&")]
    return QUERY_NAME in names or (b"%" in query and QUERY_NAME in map(unquote_to_bytes, names))


def _cookies(values: list[bytes], name: bytes) -> list[bytes]:
    found = []
    for value in values:
        for pair in value.split(b";"):
            key, equals, content = pair.strip(b" \t").partition(b"=")
            if equals and key.rstrip(b" \t") == name:  # as frameworks read it: a second one must be seen
                found.append(content)
    return found
