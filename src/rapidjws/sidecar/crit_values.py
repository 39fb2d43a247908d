"""What critical header parameters must be, by a table of values or ages of dates (RFC 7515 s.4.1.11)."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from rapidjws.config.claim_tables import claim_faults, claim_rules_of
from rapidjws.errors import error_for
from rapidjws.jose.claim_check import refused_by
from rapidjws.jose.claim_rules import PathRule, checked_rules
from rapidjws.verify.arguments import checked_crit

AGE: Final = "max_age_s"
AGE_MAX_S: Final = 10**9
AHEAD_S: Final = 60
"""How far ahead of now a date may be, in seconds."""

_PLACE: Final = "server.body.crit_checks"
_VALUE: Final = "value"


def crit_checks_of(table: Mapping[str, Any]) -> dict[str, Callable[[Any], bool]]:
    """Return a check of each critical header parameter, as ``SignedBody(crit_checks=...)`` takes them.

    Args:
        table: Parameter -> a value, a list of values, or a table with one word, as for claims; or
            ``{ max_age_s = N }``: a date in seconds that is not ahead of now, nor older.

    Raises:
        ConfigurationError: ``configuration_invalid``: a parameter of RFC 7515, or a value that no rule takes.
    """
    checked_crit(tuple(table))
    return {name: _check_of(name, given) for name, given in table.items()}


def _check_of(name: str, given: Any) -> Callable[[Any], bool]:
    if isinstance(given, dict) and set(given) == {AGE}:
        most_s = given[AGE]
        if not isinstance(most_s, int) or isinstance(most_s, bool) or not 0 < most_s <= AGE_MAX_S:
            raise error_for("configuration_invalid", _PLACE, f"max_age_s from 1 to {AGE_MAX_S}", name)
        return lambda value: _is_recent(value, most_s)
    fault = next(claim_faults((), {_VALUE: given}), None)
    if fault is not None or given == {"present": False} or given == {"checked": False}:
        expected = "what a value must be" if fault is None else fault[1]
        raise error_for("configuration_invalid", _PLACE, expected, name)
    rules = checked_rules(claim_rules_of({_VALUE: given}))
    return lambda value: _passes(rules, value)


def _passes(rules: tuple[PathRule, ...], value: Any) -> bool:
    claims = {_VALUE: value}
    return refused_by(rules, claims, json.dumps(claims).encode(), frozenset()) is None


def _is_recent(value: Any, most_s: int) -> bool:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return False
    return -AHEAD_S <= time.time() - value <= most_s
