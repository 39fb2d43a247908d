"""The paths of requests that need no token: exact ones, and all below a prefix.

Below a prefix a path is exempt only where every router and file server reads it alike: no empty segment,
no ``.`` or ``..``, no parameter after ``;``, no backslash, nothing escaped. Security: whoever finds a
second reading of an exempt path would reach another one without a token.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from rapidjws.errors import error_for

if TYPE_CHECKING:
    from collections.abc import Collection

_EXPECTED: Final = "a list of paths, /like/this, or /like/this/* for all below"
_ALIKE: Final = re.compile(
    r"(?:(?!\.\.?/)[A-Za-z0-9._~!$&'()*+,=:@-]+/)*(?:(?!\.\.?\Z)[A-Za-z0-9._~!$&'()*+,=:@-]+)?\Z"
)
"""Segments of RFC 3986 section 3.3 without escapes, dot segments (section 5.2.4) and ``;``."""


class ExemptPaths:
    """A set of paths, some of which stand for all below them.

    Args:
        paths: Paths as they are; one that ends in ``/*`` stands for every path that begins as it does up to
            and with the slash.

    Raises:
        ConfigurationError: ``configuration_invalid``: no list of paths, a ``*`` elsewhere, or a prefix that
            would exempt everything.
    """

    __slots__ = ("_exact", "_prefixes")

    def __init__(self, paths: Collection[str]) -> None:
        is_list = isinstance(paths, (frozenset, set, list, tuple))
        if not is_list or not all(isinstance(path, str) and path.startswith("/") for path in paths):
            raise error_for("configuration_invalid", "authenticator.exempt", expected=_EXPECTED)
        prefixes = [path[:-1] for path in paths if path.endswith("/*")]
        for path in paths:
            if "*" in path.removesuffix("/*"):
                raise error_for("configuration_invalid", "authenticator.exempt", _EXPECTED, path)
        for prefix in prefixes:
            if prefix == "/" or not _ALIKE.match(prefix[1:]):
                expected = "a prefix of plain segments, /like/this/*"
                raise error_for("configuration_invalid", "authenticator.exempt", expected, f"{prefix}*")
        self._exact = frozenset(path for path in paths if not path.endswith("/*"))
        self._prefixes = tuple(prefixes)

    def __contains__(self, path: object) -> bool:
        """Say whether a decoded path is exempt."""
        if path in self._exact:
            return True
        return bool(self._prefixes) and isinstance(path, str) and self._is_below(path)

    def _is_below(self, path: str) -> bool:
        return path.startswith(self._prefixes) and _ALIKE.match(path, 1) is not None

    def __bool__(self) -> bool:
        """Say whether any path is exempt."""
        return bool(self._exact or self._prefixes)
