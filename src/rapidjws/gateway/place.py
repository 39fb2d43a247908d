"""Where a request's token stands: Authorization (RFC 6750 s.2.1), a named header, or a cookie (RFC 6265).

Two of them are two readings, and refused. What this never does: look into the token.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from rapidjws.errors import error_for

_FIELD_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}\Z")  # RFC 9110 s.5.1: token

AMBIGUOUS: Final = b".."
"""Stands for a token that was sent twice, or under another scheme: malformed in every engine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenPlace:
    """Say where the token stands.

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
            if not isinstance(name, str) or not _FIELD_NAME.match(name):
                raise error_for("configuration_invalid", f"token.{place}", expected="a name of RFC 9110")

    @property
    def field(self) -> bytes:
        """Return the lower-case name of the header that is read."""
        return b"cookie" if self.cookie is not None else self.header.lower().encode("ascii")

    def token(self, values: list[bytes]) -> bytes | None:
        """Return the token in the values of the header, in the order of the request.

        Args:
            values: Each value of the header named by ``field``.

        Returns:
            The token; None for none; ``AMBIGUOUS`` where there is more than one, or not what is expected.
        """
        if self.cookie is not None:
            values = _cookies(values, self.cookie.encode("ascii"))
        if not values:
            return None
        if len(values) > 1:  # two tokens: the service could read the other one
            return AMBIGUOUS
        value = values[0].strip(b" \t")
        if self.cookie is not None or not self.scheme:
            return value or None
        size = len(self.scheme)
        if value[:size].lower() != self.scheme.lower().encode("ascii") or value[size : size + 1] != b" ":
            return AMBIGUOUS if value else None
        return value[size + 1 :].strip(b" ") or AMBIGUOUS


def _cookies(values: list[bytes], name: bytes) -> list[bytes]:
    found = []
    for value in values:
        for pair in value.split(b";"):
            key, equals, content = pair.strip(b" \t").partition(b"=")
            if equals and key == name:
                found.append(content)
    return found
