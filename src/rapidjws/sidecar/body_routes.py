"""Paths whose requests are decided by their body, whichever way a router reads a path.

Where two readings of one path differ in this, the request is refused: else its sender could choose between a
token and a signature of the body by how the path is spelt.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from rapidjws.errors import RapidJWSError, error_for
from rapidjws.middleware.exempt_paths import ExemptPaths

if TYPE_CHECKING:
    from collections.abc import Iterable

_DECODED_MAX: Final = 3
"""How often a path is decoded at most: a gateway and a router may each do it."""

_SLASHES: Final = re.compile(r"/{2,}")
_PARAMETERS: Final = re.compile(r";[^/]*")


class BodyRoutes:
    """A set of paths.

    Args:
        paths: ``/like/this``, or ``/like/this/*`` for all below; none for every path.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """

    __slots__ = ("_exact", "_folded", "_prefixes")

    def __init__(self, paths: tuple[str, ...]) -> None:
        try:
            ExemptPaths(paths)
        except RapidJWSError as fault:
            place = "server.body.routes"
            raise error_for("configuration_invalid", place, fault.expected, fault.actual) from None
        self._exact = frozenset(path for path in paths if not path.endswith("/*"))
        self._prefixes = tuple(path[:-1] for path in paths if path.endswith("/*"))
        self._folded = BodyRoutes(tuple(path.lower() for path in paths)) if _has_capitals(paths) else self

    def covers(self, targets: Iterable[bytes]) -> bool | None:
        """Return whether a request is decided by its body; None where readings of its path differ.

        Args:
            targets: What names its path, with a query or without; several where headers say several.
        """
        if not self._exact and not self._prefixes:
            return True
        found = {answer for target in targets for answer in self._answers(target)}
        return found.pop() if len(found) == 1 else None

    def _answers(self, target: bytes) -> set[bool]:
        readings = _readings(target.partition(b"?")[0].decode("latin-1"))
        folded = {self._folded._is_in(reading.lower()) for reading in readings}  # some routers read it so
        return folded | {self._is_in(reading) for reading in readings}

    def _is_in(self, path: str) -> bool:
        return path in self._exact or (bool(self._prefixes) and path.startswith(self._prefixes))


def _readings(path: str) -> set[str]:
    """Return how routers may read a path: as it is, decoded, and without what some leave away."""
    decoded = [path]
    for _ in range(_DECODED_MAX):
        if "%" not in decoded[-1]:
            break
        decoded.append(unquote(decoded[-1], "latin-1"))
    found = set(decoded)
    for one in decoded:
        plain = _without_dots(_SLASHES.sub("/", _PARAMETERS.sub("", one.replace("\\", "/"))))
        found |= {plain, plain.rstrip("/") or "/"}
    return found


def _has_capitals(paths: tuple[str, ...]) -> bool:
    return any(path != path.lower() for path in paths)


def _without_dots(path: str) -> str:
    """Return a path without dot segments (RFC 3986 s.5.2.4)."""
    if "/." not in path:
        return path
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            if len(kept) > 1:
                kept.pop()
        elif segment != ".":
            kept.append(segment)
    return "/".join(kept) or "/"
