"""Claim rules of a configuration file: a value, a list of values, or a table with one word."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rapidjws.errors import RapidJWSError
from rapidjws.jose.claim_rules import (
    ABSENT,
    NOT_CHECKED,
    PRESENT,
    Contains,
    ContainsAny,
    ContainsOnly,
    OneOf,
    Pattern,
    Prefix,
    Rule,
    checked_rules,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

_OF_VALUES: Final = {
    "one_of": OneOf,
    "contains": Contains,
    "contains_any": ContainsAny,
    "contains_only": ContainsOnly,
    "prefix": Prefix,
}
_WORDS: Final = (*_OF_VALUES, "pattern", "present", "checked")


def claim_rules_of(claims: dict[str, Any]) -> dict[str, Rule]:
    """Return a table of claims as ``Issuer(claims=...)`` takes it.

    Raises:
        ConfigurationError: ``configuration_invalid``: a value that its rule does not take.
    """
    return {name: _rule_of(value) for name, value in claims.items()}


def claim_faults(path: tuple[str | int, ...], claims: object) -> Iterator[tuple[Any, str, str | None]]:
    """Yield what is wrong with a table of claims, claim by claim."""
    for name, value in claims.items() if isinstance(claims, dict) else ():
        at = (*path, "claims", name)
        if isinstance(value, dict) and (len(value) != 1 or next(iter(value)) not in _WORDS):
            yield at, f"one of {', '.join(_WORDS)}", ", ".join(map(str, value)) or "nothing"
            continue
        if isinstance(value, dict) and "present" in value and not isinstance(value["present"], bool):
            yield (*at, "present"), "true or false", type(value["present"]).__name__
            continue
        if isinstance(value, dict) and value.get("checked", False) is not False:
            yield (*at, "checked"), "false, which takes a profile's rule away", str(value["checked"]).lower()
            continue
        try:
            checked_rules({name: _rule_of(value)})
        except RapidJWSError as fault:
            yield at, str(fault.expected), None if fault.actual is None else str(fault.actual)


def _rule_of(value: Any) -> Rule:
    if not isinstance(value, dict):
        return value  # type: ignore[no-any-return]
    ((word, given),) = value.items()
    if word == "present":
        return PRESENT if given else ABSENT
    if word == "checked":
        return NOT_CHECKED
    if word == "pattern":
        return Pattern(given)
    return _OF_VALUES[word](*(given if isinstance(given, list) else [given]))
