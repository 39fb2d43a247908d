"""What rules read of a request beside its token: method, host, headers, path and signed content."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, Protocol

from rapidjws._checks import checked
from rapidjws.errors import error_for

if TYPE_CHECKING:
    from collections.abc import Callable

_FIELD: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}\Z")  # RFC 9110 s.5.1: token
_HOST: Final = re.compile(r"([a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?|\[[0-9a-f:.]+\])\.?(?::[0-9]{1,5})?\Z")
_METHOD: Final = re.compile(r"[A-Za-z][A-Za-z-]{0,31}\Z")


class RequestFacts(Protocol):
    """What a middleware knows of a request."""

    @property
    def method(self) -> str:
        """Return the method as it was sent, or "" where it is not known."""

    @property
    def headers(self) -> Callable[[bytes], Sequence[bytes]]:
        """Return what gives each value of a header by its lower-case name."""


class HTTPRequest:
    """A request as rules see it.

    Args:
        method: As it was sent; "" for unknown.
        path: The target's path as it was sent, escapes as they are; a tuple where a request names several.
        host: The ``Host`` header; by default that of ``headers``.
        headers: Name -> value, or several values.
        content: The octets that the signature covers where a body is signed; by default the token's payload.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """

    __slots__ = ("_values", "content", "method", "path")

    @checked(under="request")
    def __init__(
        self,
        *,
        method: str = "",
        path: str | tuple[str, ...] | None = None,
        host: str | None = None,
        headers: Mapping[str, str | Sequence[str]] | None = None,
        content: bytes | None = None,
    ) -> None:
        self.method = method
        self.path = path
        self.content = content
        found: dict[bytes, tuple[bytes, ...]] = {}
        for name, value in (headers or {}).items():
            if not is_field_name(name):
                raise error_for("configuration_invalid", "request.headers", "names of RFC 9110")
            values = (value,) if isinstance(value, str) else tuple(value)
            if not all(isinstance(one, str) for one in values):
                raise error_for("configuration_invalid", "request.headers", "strings")
            key = name.lower().encode("ascii")
            found[key] = found.get(key, ()) + tuple(one.encode("utf-8", "replace") for one in values)
        if host is not None:
            found[b"host"] = (host.encode("utf-8", "replace"),)
        self._values = found

    def headers(self, name: bytes) -> Sequence[bytes]:
        """Return each value of a header by its lower-case name."""
        return self._values.get(name, ())

    def __repr__(self) -> str:
        """Show method and path; a header may hold a token."""
        return f"{type(self).__name__}(method={self.method!r}, path={self.path!r})"


def is_field_name(name: object) -> bool:
    """Return whether a name can be a header's."""
    return isinstance(name, str) and _FIELD.match(name) is not None


def header_text(values: Sequence[bytes]) -> str | None:
    """Return a header's one value, or None where there is none, more than one, or no plain ASCII.

    Args:
        values: Each value, as it was sent; what a server joined by commas stays one, and fits nothing.
    """
    if len(values) != 1:
        return None
    value = values[0].strip(b" \t")
    if not value or not value.isascii():
        return None
    text = value.decode("ascii")
    return text if text.isprintable() else None


def host_of(values: Sequence[bytes]) -> str | None:
    """Return the host of a request in lower case, without its port and a last dot, or None: no one reading.

    Args:
        values: Each value of its Host header.

    Source: RFC 9110 section 7.2, RFC 3986 section 3.2.2.
    """
    text = header_text(values)
    if text is None:
        return None
    found = _HOST.match(text.lower())
    return None if found is None or ".." in found[1] else found[1]


def host_of_target(values: Sequence[bytes], target: str | tuple[str, ...] | None) -> str | None:
    """Return the host of a request as ``host_of`` does, or None where its target names one of its own.

    Args:
        values: Each value of its Host header.
        target: The target as it was sent; one that is no path (``http://other/``) says another host.

    Source: RFC 9112 section 3.2.2: the target's host counts, and not every server goes by that.
    """
    if isinstance(target, str) and target[:1] not in ("/", "*", ""):
        return None
    return host_of(values)


def method_of(method: str) -> str | None:
    """Return a method in upper case: some servers take ``get`` for ``GET``; None where it is unknown."""
    return method.upper() if _METHOD.match(method) else None
