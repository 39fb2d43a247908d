"""The rules for further claims: each with what it allows, and why a claim fails it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rapidjws.jose.claim_check import allowed, found, refused_by, value_at
from rapidjws.jose.claim_rules import ABSENT, ClaimRule, PathRule, ValuesRule

if TYPE_CHECKING:
    from rapidjws.diagnose.case import Case
    from rapidjws.jose.claims import ClaimsPolicy

_KIND_CLAIMS: Final = frozenset({"nonce", "at_hash", "c_hash", "events", "token_use", "typ"})
"""Claims that tell one kind of token from another."""


def examine_rules(case: Case, claims: dict[str, Any], policy: ClaimsPolicy) -> None:
    """Note each rule of the issuer; functions of the caller's are not asked again."""
    text = case.payload or b"{}"
    has_passed = False
    for one in policy.plain_rules:
        refused = None if has_passed else refused_by((one,), claims, text, policy.shown_claims)
        has_passed = one.or_next and refused is None
        if one.or_next:
            continue
        if refused is None:
            case.notes.check("claims", one.name, "ok", "as its rule allows", expected=allowed(one.rule))
            continue
        text_of_rule = f"{one.name} must be {allowed(one.rule)}"
        if refused.code == "missing_claim":
            case.notes.check("claims", one.name, "fail", "missing or null", expected=allowed(one.rule))
            case.notes.cause("claims", "claim_missing", 80, f"{one.name} is missing, {text_of_rule}")
            continue
        value = value_at(claims, one.path)
        seen = found(one.name, value, policy.shown_claims)
        case.notes.check("claims", one.name, "fail", "not what its rule allows", expected=allowed(one.rule),
                         actual=seen)  # fmt: skip
        case.notes.cause("claims", _cause(one, value, policy), 84, f"{text_of_rule}; found is {seen}")
    for one in policy.checks:
        if case.code == "claim_check_failed" and case.verdict is not None and case.verdict.place == one.place:
            case.notes.check("claims", one.name, "fail", "the caller's function raised an error")
            case.notes.cause("claims", "claim_function_failed", 88, f"{one.name}: {case.verdict.actual}")
        elif case.code == "claim_mismatch" and case.verdict is not None and case.verdict.place == one.place:
            case.notes.check("claims", one.name, "fail", "the caller's function did not return True")
            case.notes.cause("claims", _cause(one, value_at(claims, one.path), policy), 84,
                             f"the function for {one.name} did not return True")  # fmt: skip


def _cause(one: PathRule, value: Any, policy: ClaimsPolicy) -> str:
    """Return which mistake a value that is not allowed looks like."""
    if policy.template is not None and one.path == (policy.template.claim,):
        return "tenant_not_allowed"
    if one.path[0] in _KIND_CLAIMS or one.rule is ABSENT:
        return "other_kind_of_token"
    if not isinstance(one.rule, ClaimRule) or not isinstance(one.rule, ValuesRule):
        return "claim_value_other"
    wanted = one.rule.values
    if isinstance(value, str) and any(
        isinstance(text, str) and text.strip().lower() == value.strip().lower() for text in wanted
    ):
        return "claim_spelling"
    if not isinstance(value, (str, list)) or all(not isinstance(text, str) for text in wanted):
        spelled = str(value).lower()
        if any(str(text).lower() == spelled and type(text) is not type(value) for text in wanted):
            return "claim_value_type"
    return "claim_value_other"


def examine_auth_time(case: Case, claims: dict[str, Any], policy: ClaimsPolicy) -> None:
    """Note auth_time against the age that is allowed (OpenID Connect Core s.3.1.3.7)."""
    if policy.max_auth_age_s is None:
        return
    value = claims.get("auth_time")
    if value is None:
        case.notes.check("claims", "auth_time", "fail", "a required claim is missing or null")
        case.notes.cause("claims", "claim_missing", 80, "auth_time is missing")
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        age_s = case.now - value
        passes = -policy.leeway_s <= age_s <= policy.max_auth_age_s + policy.leeway_s
        limits = f"{policy.max_auth_age_s} s and {policy.leeway_s} s leeway"
        text = f"signed in {age_s:.0f} s ago, allowed are {limits}"
        case.notes.check("claims", "auth_time", "ok" if passes else "fail", text)
        if not passes:
            case.notes.cause("claims", "sign_in_too_old" if age_s > 0 else "clock_ahead", 82, text)
    else:
        case.notes.check("claims", "auth_time", "fail", "no number", actual=type(value).__name__)
        case.notes.cause("claims", "date_type", 80, "auth_time is no number")
