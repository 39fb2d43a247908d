"""Conditions on claims: scopes, roles in any claim, values, and claims against the request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rapidjws._checks import checked
from rapidjws.authz.facts import Unmet
from rapidjws.authz.request import header_text, is_field_name, method_of
from rapidjws.errors import error_for
from rapidjws.jose.claim_check import refused_by
from rapidjws.jose.claim_rules import checked_rules
from rapidjws.jose.claim_rules import path_of as claim_path
from rapidjws.jose.scopes import is_scope_token

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from rapidjws.authz.facts import Check, Facts
    from rapidjws.jose.claim_rules import Rule as ClaimRuleLike

    Source = Callable[[Facts], str | None]

MISSING: Final = object()
SOURCES: Final = "path.NAME, header.NAME, method, host, partner"


def names_of(given: Any, place: str, expected: str = "a list of texts") -> tuple[str, ...]:
    """Return a setting's texts, each once.

    Raises:
        ConfigurationError: ``configuration_invalid``: no texts, or none of them.
    """
    values = (given,) if isinstance(given, str) else given
    if not isinstance(values, (list, tuple, set, frozenset)) or not values:
        raise error_for("configuration_invalid", place, expected, type(given).__name__)
    if not all(isinstance(one, str) and one and one.isprintable() for one in values):
        raise error_for("configuration_invalid", place, expected)
    return tuple(dict.fromkeys(sorted(values) if isinstance(values, (set, frozenset)) else values))


def member(claims: Any, path: tuple[str, ...]) -> Any:
    """Return a claim by the names that lead to it, or ``MISSING``; an array has no names."""
    for name in path:
        if not isinstance(claims, dict) or name not in claims:
            return MISSING
        claims = claims[name]
    return claims


def checked_path(name: Any, place: str) -> tuple[str, ...]:
    """Return the names that lead to a claim: its own, or those of a JSON Pointer (RFC 6901).

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """
    if not isinstance(name, str) or not name:
        raise error_for("configuration_invalid", place, "a claim, or a JSON Pointer, /like/this")
    try:
        return claim_path(name)
    except Exception as fault:
        raise error_for("configuration_invalid", place, "a JSON Pointer, /like/this", name) from fault


def scopes_check(scopes: Any, place: str, *, every: bool) -> Check:
    """Return the check that a token holds all of some scopes, or any of them.

    Args:
        scopes: Scope-tokens (RFC 6749 section 3.3).
        place: The setting, for errors.
        every: Whether all are due.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """
    due = names_of(scopes, place, "scope-tokens of RFC 6749: no spaces")
    if not all(map(is_scope_token, due)):
        raise error_for("configuration_invalid", place, "scope-tokens of RFC 6749: no spaces")
    wanted, unmet = frozenset(due), Unmet("insufficient_scope", "claims.scope", due)

    def check_all(facts: Facts) -> Unmet | None:
        return None if wanted <= facts.scopes else unmet

    def check_any(facts: Facts) -> Unmet | None:
        return unmet if wanted.isdisjoint(facts.scopes) else None

    return check_all if every else check_any


@checked(under="roles")
class Roles:
    """Roles or groups that a claim must hold.

    Args:
        claim: The claim, or a JSON Pointer: ``"/realm_access/roles"``; a list of texts, or one text.
        all_of: Each of these.
        any_of: At least one of these.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """

    __slots__ = ("all_of", "any_of", "claim", "path")

    def __init__(self, *, claim: str, all_of: Collection[str] = (), any_of: Collection[str] = ()) -> None:
        self.path = checked_path(claim, "roles.claim")
        self.claim = claim
        if not all_of and not any_of:
            raise error_for("configuration_invalid", "roles", "all_of or any_of")
        self.all_of = frozenset(names_of(all_of, "roles.all_of")) if all_of else frozenset()
        self.any_of = frozenset(names_of(any_of, "roles.any_of")) if any_of else frozenset()

    def check(self) -> Check:
        """Return the check of a token."""
        path, every, some = self.path, self.all_of, self.any_of
        unmet = Unmet("role_missing", f"claims.{self.claim}")
        first = path[0] if len(path) == 1 else None

        def check(facts: Facts) -> Unmet | None:
            found = facts.claims.get(first) if first is not None else member(facts.claims, path)
            if isinstance(found, str):  # one role; never split: "a b" is a name of its own
                found = (found,)
            elif not isinstance(found, list):
                return unmet
            try:
                holds = every.issubset(found) and not (some and some.isdisjoint(found))
            except TypeError:  # a list or an object in it, which is no role
                held = [one for one in found if isinstance(one, str)]
                holds = every.issubset(held) and not (some and some.isdisjoint(held))
            return None if holds else unmet

        return check


def claims_check(claims: Mapping[str, ClaimRuleLike], place: str) -> Check:
    """Return the check of claims against values and rules, as ``Issuer(claims=...)`` has them.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """
    rules = checked_rules(claims, place)
    if not rules:
        raise error_for("configuration_invalid", place, "at least one claim")

    def check(facts: Facts) -> Unmet | None:
        if facts.verified.issuer is None:
            return Unmet("claim_not_accepted", "claims")
        refused = refused_by(rules, facts.claims, facts.verified.payload, frozenset())  # type: ignore[arg-type]
        return None if refused is None else Unmet("claim_not_accepted", refused.place or "claims")

    return check


def source_of(text: Any, place: str, names: frozenset[str]) -> Source:
    """Return what reads a part of the request as text, or None where it has no one reading.

    Args:
        text: ``path.NAME``, ``header.NAME``, ``method``, ``host`` or ``partner``.
        place: The setting, for errors.
        names: The named segments of the rule's routes.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """
    kind, _, name = text.partition(".") if isinstance(text, str) else ("", "", "")
    if kind == "path" and name in names:
        return lambda facts: facts.segments.get(name)
    if kind == "path":
        raise error_for("configuration_invalid", place, "a segment that every route names, {like_this}", name)
    if kind == "header" and is_field_name(name):
        field = name.lower().encode("ascii")
        return lambda facts: _one_word(facts.request.headers(field))
    if text == "method":
        return lambda facts: method_of(facts.request.method)
    if text == "host":
        return lambda facts: facts.host()
    if text == "partner":
        return lambda facts: facts.partner
    raise error_for("configuration_invalid", place, SOURCES, str(text))


def _one_word(values: Sequence[bytes]) -> str | None:
    """Return a header's one value; a comma may stand where a server joined two."""
    text = header_text(values)
    return None if text is None or "," in text else text


def _as_text(value: Any) -> str | None:
    """Return a claim as a path or a header would have it: text, or a whole number in its one spelling."""
    if isinstance(value, str):
        return value
    return str(value) if type(value) is int else None


def request_check(claim: Any, source: Any, place: str, names: frozenset[str], *, is_list: bool) -> Check:
    """Return the check that a claim equals a part of the request, or is a list that holds it.

    Compared as they are, letter by letter: neither is trimmed, folded or decoded a second time.

    Args:
        claim: The claim, or a JSON Pointer.
        source: As for ``source_of``.
        place: The setting, for errors.
        names: The named segments of the rule's routes.
        is_list: Whether the claim is a list that must hold the value.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """
    path, read = checked_path(claim, place), source_of(source, f"{place}.{claim}", names)
    unmet = Unmet("request_mismatch", f"claims.{claim}")
    unclear = Unmet("ambiguous_request", f"request.{source}")

    def check(facts: Facts) -> Unmet | None:
        sent = read(facts)
        if not sent:
            return unclear
        found = member(facts.claims, path)
        if is_list:
            values = found if isinstance(found, list) else ()
            return None if any(_as_text(one) == sent for one in values) else unmet
        return None if _as_text(found) == sent else unmet

    return check
