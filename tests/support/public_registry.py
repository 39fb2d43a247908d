"""Good arguments for the public callables of a registry of issuers; see ``public_recipes``."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

from public_callables import exported
from tokens import AUD, ISS, public

P = exported()
Recipe = dict[str, Any]


def look_up(iss: str) -> Any:
    """Return an issuer of this name."""
    return P["Issuer"](iss, keys=public("ES256"), algorithms=["ES256"], audience=AUD)


@functools.cache
def registry() -> Any:
    """Return a registry with one issuer that is there always."""
    return P["IssuerRegistry"](look_up, look_up(ISS), workers=1)


def recipes(known: Mapping[str, Callable[[], Recipe]]) -> dict[str, Callable[[], Recipe]]:
    """Return the recipes of a registry: those of an engine, and its own."""
    found = {
        name.replace("Engine.", "IssuerRegistry.", 1): make
        for name, make in known.items()
        if name.startswith("Engine.")
    }
    found["IssuerRegistry"] = lambda: {"lookup": look_up, "issuers": look_up(ISS)}
    found["issuer_file_name"] = lambda: {"iss": ISS}
    found["IssuerRegistry.forget"] = lambda: {"issuer": ISS}
    return found


OWNERS: dict[str, Callable[[], Any]] = {"IssuerRegistry": registry.__wrapped__}
