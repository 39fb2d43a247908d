"""Routes of rules: plain paths, at or below which they apply, with names for whole segments: ``/t/{tenant}``.

A path counts only in its one spelling (``rollout.routes``): escaped slashes, dot segments, empty segments and
whatever else two servers read apart has none. Upper and lower case count as one where rules are chosen: a
server that ignores case must not lead around a rule. A captured segment is compared as it was sent.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote_to_bytes

from rapidjws.errors import error_for
from rapidjws.rollout.routes import route_of

if TYPE_CHECKING:
    from collections.abc import Mapping

_NAMED: Final = re.compile(r"\{([a-z][a-z0-9_]{0,31})\}\Z")
SEGMENTS_MAX: Final = 64
"""Most segments of a path; one with more has no reading."""


class Route:
    """A path of a rule.

    Args:
        text: ``/pay``, ``/tenants/{tenant}/orders``; ``/`` for every path.
        place: The setting, for errors.

    Attributes:
        text: As it was given.
        names: The names of its segments.

    Raises:
        ConfigurationError: ``configuration_invalid``: no plain path, or a name twice.
    """

    __slots__ = ("_segments", "names", "text")

    def __init__(self, text: object, place: str) -> None:
        expected = "a plain path, /like/this or /like/{this}"
        if not isinstance(text, str):
            raise error_for("configuration_invalid", place, expected, type(text).__name__)
        segments: list[str | None] = []
        names: list[tuple[int, str]] = []
        plain = []
        for at, one in enumerate(text.split("/")[1:]):
            found = _NAMED.match(one)
            if found is not None:
                names.append((at, found[1]))
            segments.append(None if found is not None else one)
            plain.append("x" if found is not None else one)
        spelled = "/" + "/".join(plain)
        if not text.startswith("/") or route_of(spelled) != spelled or len(segments) > SEGMENTS_MAX:
            raise error_for("configuration_invalid", place, expected, text)
        if len({name for _, name in names}) < len(names):
            raise error_for("configuration_invalid", place, "each name once", text)
        if segments[-1] == "":  # "/pay/" holds what "/pay" holds
            segments.pop()
        folded = (route_of("/" + one, fold_case=True) if one else one for one in segments)
        self.text = text
        self.names = frozenset(name for _, name in names)
        self._segments: tuple[tuple[str | None, str | None], ...] = tuple(
            (None if one is None else one[1:], dict(names).get(at)) for at, one in enumerate(folded)
        )

    def captured(self, path: Path) -> Mapping[str, str] | None:
        """Return the named segments of a path at or below this route, or None for another path."""
        segments = self._segments
        if len(path.folded) < len(segments):
            return None
        found = {}
        for (wanted, name), folded, segment in zip(segments, path.folded, path.segments, strict=False):
            if wanted is not None:
                if folded != wanted:
                    return None
            elif not segment:
                return None
            elif name is not None:
                found[name] = segment
        return found


class Path:
    """A request's path in its one spelling.

    Attributes:
        segments: What stands between the slashes, decoded, in the case in which it was sent.
        folded: The same as routes are compared.
    """

    __slots__ = ("folded", "segments")

    def __init__(self, segments: tuple[str, ...], folded: tuple[str, ...]) -> None:
        self.segments = segments
        self.folded = folded


def path_of(target: Any) -> Path | None:
    """Return the path of a request's target, or None where servers may read it in more than one way.

    Args:
        target: The path as it was sent; a query is left out.
    """
    spelled = route_of(target) if isinstance(target, str) else None
    folded = None if spelled is None else route_of(spelled, fold_case=True)
    if spelled is None or folded is None or spelled.count("/") > SEGMENTS_MAX:
        return None
    if "%" in spelled:
        segments = tuple(unquote_to_bytes(one).decode("utf-8") for one in spelled[1:].split("/"))
    else:
        segments = tuple(spelled[1:].split("/"))
    pieces = tuple(folded[1:].split("/"))
    return Path(segments, pieces) if len(pieces) == len(segments) else None
