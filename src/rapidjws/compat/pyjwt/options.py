"""Options of a call that must be True or False."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

CLAIM_SWITCHES: Final = (
    "verify_exp",
    "verify_nbf",
    "verify_iat",
    "verify_aud",
    "verify_iss",
    "verify_sub",
    "verify_jti",
)
SWITCHES: Final = frozenset({"verify_signature", *CLAIM_SWITCHES, "strict_aud", "enforce_minimum_key_length"})


def checked_switches(options: Mapping[str, Any]) -> None:
    """Refuse an option that would switch a check off, or not, by being neither True nor False.

    Raises:
        TypeError: One of them is neither; the message names it.
    """
    for name in options:
        if name in SWITCHES and options[name].__class__ is not bool:
            found = type(options[name]).__name__
            raise TypeError(f"options[{name!r}]: expected True or False; found {found}")
