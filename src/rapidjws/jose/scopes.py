"""Scopes of a Claims Set: ``scope`` as text (RFC 8693 s.4.2), or ``scp`` as a list or text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final

from rapidjws.errors import RapidJWSError, error_for

KEPT_MAX_CHARS: Final = 256
"""Longest text whose scopes are remembered."""
_SCOPE_TOKEN: Final = re.compile(r"[!#-\[\]-~]+\Z")  # RFC 6749 s.3.3: no space, quote, backslash or control


def is_scope_token(value: object) -> bool:
    """Return whether a value is one scope (RFC 6749 s.3.3); ``"admin read"`` would be two downstream."""
    return isinstance(value, str) and _SCOPE_TOKEN.match(value) is not None


def scopes_of(claims: Mapping[str, Any]) -> frozenset[str]:
    """Return the scopes that claims hold; items that are no scope-token are none (RFC 6749 s.3.3).

    ``scope`` counts where it is text or a list, though it be empty; only else ``scp``.
    """
    for name in ("scope", "scp"):
        value = claims.get(name)
        if isinstance(value, str):
            return _split_kept(value) if len(value) <= KEPT_MAX_CHARS else _split(value)
        if isinstance(value, list):
            return frozenset(filter(is_scope_token, value))
    return frozenset()


def _split(value: str) -> frozenset[str]:
    if value.isascii() and value.isprintable() and '"' not in value and "\\" not in value:
        return frozenset(value.split())  # spaces, and what tokens hold: the usual case, quickly
    return frozenset(filter(is_scope_token, value.split(" ")))


_split_kept = lru_cache(1024)(_split)
"""Few texts are most tokens' scopes."""


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
