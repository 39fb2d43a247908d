"""Good arguments for the public callables of status lists; see ``public_recipes``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from statuses import ISSUER, URL, Served, listed

from rapidjws.statuslist import StatusLists, StatusListSource

Recipe = dict[str, Any]


def arguments() -> Recipe:
    """Return what a source of a list is made of."""
    return {
        "url": URL,
        "issuer": ISSUER.iss,
        "keys": ISSUER.jwks,
        "algorithms": ["ES256"],
        "fetch": Served(listed()),
    }


def source() -> StatusListSource:
    """Return a source of a list, whose server answers."""
    return StatusListSource(**arguments())


OWNERS: dict[str, Callable[[], Any]] = {
    "StatusListSource": source,
    "StatusLists": lambda: StatusLists(source()),
}
RECIPES: dict[str, Callable[[], Recipe]] = {
    "StatusListSource": arguments,
    "StatusLists": lambda: {"sources": source()},
}
