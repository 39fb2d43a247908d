"""Scopes of a Claims Set: ``scope`` as text (RFC 8693 s.4.2), or ``scp`` as a list or text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rapidjws.errors import RapidJWSError, error_for


def scopes_of(claims: Mapping[str, Any]) -> frozenset[str]:
    """Return the scopes that claims hold."""
    for name in ("scope", "scp"):
        value = claims.get(name)
        if isinstance(value, str):
            return frozenset(value.split(" "))
        if isinstance(value, list):
            return frozenset(item for item in value if isinstance(item, str))
    return frozenset()


def scopes_objection(claims: Mapping[str, Any], due: Iterable[str]) -> RapidJWSError | None:
    """Return why claims do not hold all scopes that are due, with those as what was expected; or None."""
    wanted = tuple(due)
    held = scopes_of(claims) if wanted else frozenset()
    if all(scope in held for scope in wanted):
        return None
    return error_for("insufficient_scope", "claims.scope", expected=wanted)


def scopes_due(refused: RapidJWSError) -> tuple[str, ...]:
    """Return the scopes that would have sufficed, or none where something else was wrong."""
    due = refused.expected if refused.code == "insufficient_scope" else ()
    return due if isinstance(due, tuple) else ()
