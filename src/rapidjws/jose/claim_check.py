"""Claims checked against rules in full: what ``native/text/claim_rules.c`` does, with words.

A value is never shown unless its claim is one of those to be shown: a refusal says what was allowed, and of
what type the value is.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from rapidjws.errors import RapidJWSError, error_for
from rapidjws.jose.claim_rules import (
    ABSENT,
    NON_EMPTY_OBJECT,
    OBJECT,
    PRESENT,
    Check,
    ClaimRule,
    Contains,
    ContainsAny,
    ContainsOnly,
    OneOf,
    PathRule,
    Pattern,
    Prefix,
    Value,
    ValuesRule,
)

if TYPE_CHECKING:
    from decimal import Decimal

_SHOWN_VALUES: Final = 8
_INDEX: Final = re.compile(r"0|[1-9][0-9]{0,5}")
_MISSING: Final = object()


def value_at(claims: Any, path: tuple[str, ...]) -> Any:
    """Return the value that a path leads to, or None and False in a pair with whether it is there."""
    for token in path:
        if isinstance(claims, dict) and token in claims:
            claims = claims[token]
        elif isinstance(claims, list) and _INDEX.fullmatch(token) and int(token) < len(claims):
            claims = claims[int(token)]
        else:
            return _MISSING
    return claims


def refused_by(rules: tuple[PathRule, ...], claims: dict[str, Any], claims_json: bytes,
               shown: frozenset[str]) -> RapidJWSError | None:  # fmt: skip
    """Return the error of the first rule that refuses, or None where all pass.

    Args:
        rules: The rules.
        claims: The claims.
        claims_json: The text they were read from; read again where a number is not whole.
        shown: Claims whose values may stand in an error.
    """
    has_passed = False
    for number, one in enumerate(rules):
        has_next = one.or_next and number + 1 < len(rules)
        if not has_passed:
            refused = _refused(one, claims, claims_json, shown)
            if refused is not None and not has_next:
                return refused
            has_passed = refused is None
        has_passed = has_passed and has_next
    return None


def _refused(
    one: PathRule, claims: dict[str, Any], claims_json: bytes, shown: frozenset[str]
) -> RapidJWSError | None:
    value = value_at(claims, one.path)
    if one.rule is ABSENT:
        return None if value is _MISSING else error_for("claim_mismatch", one.place, "no such claim")
    if value is _MISSING or value is None:
        return error_for("missing_claim", one.place, allowed(one.rule))
    if not isinstance(one.rule, ClaimRule):
        return _refused_by_check(one, one.rule, value, shown)
    if _has_fraction(value):
        value = value_at(json.loads(claims_json, parse_float=_exact), one.path)
    if _passes(one.rule, value):
        return None
    return error_for("claim_mismatch", one.place, allowed(one.rule), found(one.name, value, shown))


def _refused_by_check(one: PathRule, check: Check, value: Any, shown: frozenset[str]) -> RapidJWSError | None:
    """Ask the caller's function; whatever is not True refuses."""
    try:
        answer = check(value)
    except Exception as fault:
        return error_for("claim_check_failed", one.place, allowed(check), type(fault).__name__)
    if answer is True:
        return None
    return error_for("claim_mismatch", one.place, allowed(check), found(one.name, value, shown))


def found(name: str, value: Any, shown: frozenset[str]) -> str | int | float | bool | None:
    """Return what an error may show of a value: its type, unless its claim is one to be shown."""
    if isinstance(value, bool) or (name in shown and isinstance(value, (str, int))):
        return value  # a boolean is no secret: one of two
    if name in shown:
        from decimal import Decimal

        return str(value) if isinstance(value, Decimal) else json.dumps(value, default=str)
    if isinstance(value, str):
        return "another string"
    return {dict: "an object", list: "another list"}.get(type(value), "another number")  # type: ignore[call-overload, no-any-return]


def allowed(rule: ClaimRule | Check) -> str:
    """Say what passes a rule, for an error."""
    if isinstance(rule, Pattern):
        return f"a string that matches {rule.pattern!r}"
    if isinstance(rule, ValuesRule):
        words = " or ".join(json.dumps(value, ensure_ascii=False) for value in rule.values[:_SHOWN_VALUES])
        more = len(rule.values) - _SHOWN_VALUES
        words += f" or one of {more} more" if more > 0 else ""
        if isinstance(rule, Prefix):
            return f"a string that begins with {words}"
        if isinstance(rule, Contains):
            return f"a list that contains {words.replace(' or ', ' and ')}"
        if isinstance(rule, ContainsOnly):
            return f"nothing but {words}"
        return f"a list that contains {words}" if isinstance(rule, ContainsAny) else words
    if rule is ABSENT:
        return "no such claim"
    if rule is OBJECT or rule is NON_EMPTY_OBJECT:
        return "an object" if rule is OBJECT else "an object with a member"
    return "a value" if rule is PRESENT else "what the caller's check accepts"


def _passes(rule: ClaimRule, value: Any) -> bool:
    """Say whether a value, which is there and not null, passes a rule that needs no caller's code."""
    if isinstance(rule, OneOf):
        return _is_one_of(value, rule.values)
    if isinstance(rule, Contains):
        return isinstance(value, list) and all(
            any(_is_same(one, wanted) for one in value) for wanted in rule.values
        )
    if isinstance(rule, ContainsAny):
        return isinstance(value, list) and any(_is_one_of(one, rule.values) for one in value)
    if isinstance(rule, ContainsOnly):
        every = value if isinstance(value, list) else [value]
        return bool(every) and all(_is_one_of(one, rule.values) for one in every)
    if isinstance(rule, Prefix):
        return isinstance(value, str) and value.startswith(tuple(map(str, rule.values)))
    if isinstance(rule, Pattern):
        return isinstance(value, str) and rule.automaton.accepts(value)
    if rule is OBJECT or rule is NON_EMPTY_OBJECT:
        return isinstance(value, dict) and (rule is OBJECT or bool(value))
    return rule is PRESENT


def _is_one_of(value: Any, wanted: tuple[Value, ...]) -> bool:
    return any(_is_same(value, one) for one in wanted)


def _is_same(value: Any, wanted: Value) -> bool:
    """Say whether two JSON values are one; a boolean is no number, and numbers count as written."""
    if isinstance(wanted, (bool, str)) or isinstance(value, (bool, str)):
        return type(value) is type(wanted) and bool(value == wanted)
    from decimal import Decimal

    if not isinstance(value, (int, float, Decimal)):
        return False
    return bool(_decimal(value) == _decimal(wanted))


def _decimal(number: float | Decimal) -> int | Decimal:
    """Return a number as ``repr`` writes it."""
    from decimal import Decimal

    return Decimal(repr(number)) if isinstance(number, float) else number


def _exact(text: str) -> Decimal:
    """Read a number with a fraction or an exponent; one too small for a Decimal equals nothing."""
    from decimal import Decimal, InvalidOperation

    try:
        return Decimal(text)
    except InvalidOperation:
        return Decimal("NaN")


def _has_fraction(value: Any) -> bool:
    """Say whether a value is, or a list holds, a number that was not written as a whole one."""
    return isinstance(value, float) or (
        isinstance(value, list) and any(isinstance(one, float) for one in value)
    )
