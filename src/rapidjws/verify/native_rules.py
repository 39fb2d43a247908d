"""Rules for the values of claims in the shape the core reads."""

from __future__ import annotations

from typing import Final

from rapidjws import _native
from rapidjws.jose.claim_rules import (
    ABSENT,
    NON_EMPTY_OBJECT,
    OBJECT,
    PRESENT,
    Contains,
    ContainsAny,
    ContainsOnly,
    OneOf,
    PathRule,
    Pattern,
    Prefix,
    Value,
)

_KINDS: Final = {
    OneOf: _native.RULE_ONE_OF,
    Contains: _native.RULE_CONTAINS_ALL,
    ContainsAny: _native.RULE_CONTAINS_ANY,
    ContainsOnly: _native.RULE_CONTAINS_ONLY,
    Prefix: _native.RULE_PREFIX,
}
_PRESENCES: Final = {
    PRESENT: _native.RULE_PRESENT,
    ABSENT: _native.RULE_ABSENT,
    OBJECT: _native.RULE_OBJECT,
    NON_EMPTY_OBJECT: _native.RULE_NON_EMPTY_OBJECT,
}


def native_rule(one: PathRule) -> _native.NativeRule:
    """Return a rule in the core's shape; the caller's functions have none."""
    path = tuple(name.encode() for name in one.path)
    rule = one.rule
    if isinstance(rule, Pattern):
        table = rule.automaton
        tables = (table.classes, table.next.tobytes(), table.accepting)
        return _native.NativeRule(_native.RULE_PATTERN, path, or_next=one.or_next, tables=tables)
    if isinstance(rule, (OneOf, Contains, ContainsAny, ContainsOnly, Prefix)):
        values = rule.values
        texts = (value.encode() for value in values if isinstance(value, str))
        return _native.NativeRule(
            _KINDS[type(rule)],
            path,
            or_next=one.or_next,
            texts=tuple(sorted(texts, key=lambda text: (len(text), text))),
            integers=tuple(text for text in map(_integer, values) if text is not None),
            has_true=any(value is True for value in values),
            has_false=any(value is False for value in values),
            has_decimal=any(isinstance(value, float) and not value.is_integer() for value in values),
        )
    return _native.NativeRule(_PRESENCES[rule], path, or_next=one.or_next)  # type: ignore[index]


def _integer(value: Value) -> bytes | None:
    """Return a whole number as JSON writes it, or None for any other value."""
    if isinstance(value, (str, bool)) or (isinstance(value, float) and not value.is_integer()):
        return None
    return str(int(value)).encode()
