"""One rule: where it applies, and what a verified token must hold there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from rapidjws._checks import checked
from rapidjws.authz.amounts import Limit
from rapidjws.authz.authorization import RulePhase, checked_rule_phase
from rapidjws.authz.claim_conditions import Roles, claims_check, names_of, request_check, scopes_check
from rapidjws.authz.delegation import Delegation
from rapidjws.authz.paths import Route
from rapidjws.authz.request import host_of, method_of
from rapidjws.authz.signers import Signers
from rapidjws.authz.time_window import TimeWindow, dates_check
from rapidjws.errors import error_for

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from rapidjws.authz.facts import Check, Facts, Unmet
    from rapidjws.authz.paths import Path
    from rapidjws.jose.claim_rules import Rule as ClaimRuleLike

NAME_MAX_CHARS: Final = 64
DEFAULT: Final = "default"
"""The name under which a request is counted to which no rule applies."""

Segments = tuple["Mapping[str, str]", ...]


class Policy(Protocol):
    """A condition that is written in a language: an expression, or a policy of an engine."""

    @property
    def blocking(self) -> bool:
        """Return whether its check may wait for another process."""

    @property
    def header_fields(self) -> frozenset[bytes]:
        """Return the lower-case headers that it reads."""

    @property
    def reads_method(self) -> bool:
        """Return whether it reads the method."""

    @property
    def reads_host(self) -> bool:
        """Return whether it reads the host."""

    def check(self) -> Check:
        """Return its check."""


@checked(under="rule", but=("claims",))
class Rule:
    """A rule. It applies where all of routes, partners, issuers, methods and hosts that it names fit; there
    each of its conditions must hold.

    Args:
        name: What metrics and logs call it; not ``default``.
        phase: ``"detect"``, ``"warn"`` or ``"enforce"``; None for the authorizer's own.
        routes: Paths at or below which it applies, ``"/tenants/{tenant}"``; empty for all paths.
        partners: Partners; empty for all, and for requests of none.
        issuers: ``iss`` of the token's issuer: any of its names, or a tenant's, for the tokens that state it;
            empty for all.
        methods: Methods; empty for all. ``GET`` holds for ``HEAD`` too, which servers answer by it.
        hosts: Hosts without a port; empty for all.
        scopes: All of these.
        scopes_any: At least one of these.
        roles: Roles in claims, all of these.
        claims: Claim, or JSON Pointer -> what it must be, as for ``Issuer(claims=...)``.
        claim_equals: Claim -> the part of the request that it must equal: ``path.NAME`` of a route's
            segment, ``header.NAME``, ``method``, ``host``, ``partner``.
        claim_contains: Claim, a list -> the part of the request that it must hold.
        hours: Hours at which it permits, at any of these.
        not_before_s: From when on it permits, seconds since the epoch.
        not_after_s: Until when.
        limits: Limits of amounts in signed content.
        act: Who may act for whom.
        signers: Who must have signed.
        policies: Expressions and policies of engines.
        any_token: Whether a verified token is enough: needed where a rule has no condition.

    Raises:
        ConfigurationError: ``configuration_invalid``, with the setting.
    """

    __slots__ = ("_hosts", "_methods", "_partners", "_routes", "blocking", "checks",
                 "header_fields", "issuers", "located", "name", "others", "phase", "reads_host",
                 "reads_method", "scopes")  # fmt: skip

    def __init__(
        self,
        *,
        name: str,
        phase: RulePhase | None = None,
        routes: Collection[str] = (),
        partners: Collection[str] = (),
        issuers: Collection[str] = (),
        methods: Collection[str] = (),
        hosts: Collection[str] = (),
        scopes: Collection[str] = (),
        scopes_any: Collection[str] = (),
        roles: Iterable[Roles] = (),
        claims: Mapping[str, ClaimRuleLike] | None = None,
        claim_equals: Mapping[str, str] | None = None,
        claim_contains: Mapping[str, str] | None = None,
        hours: Iterable[TimeWindow] = (),
        not_before_s: float | None = None,
        not_after_s: float | None = None,
        limits: Iterable[Limit] = (),
        act: Delegation | None = None,
        signers: Signers | None = None,
        policies: Iterable[Policy] = (),
        any_token: bool = False,
    ) -> None:
        if not 0 < len(name) <= NAME_MAX_CHARS or not name.isprintable() or name == DEFAULT:
            raise error_for("configuration_invalid", "rule.name", "a name of 1 to 64 characters, not default")
        self.name = name
        self.phase: RulePhase | None = None if phase is None else checked_rule_phase(phase, "rule.phase")
        self._routes = tuple(Route(one, "rule.routes") for one in _texts(routes, "rule.routes"))
        self._partners = frozenset(_texts(partners, "rule.partners"))
        self.issuers = frozenset(_texts(issuers, "rule.issuers"))
        self._methods = _with_head(_read(methods, "rule.methods", method_of, "methods: GET"))
        self._hosts = frozenset(
            _read(hosts, "rule.hosts", lambda one: host_of((one.encode(),)), "hosts: api.example")
        )
        sources = _sources(claim_equals, claim_contains)
        self.reads_method = bool(self._methods) or "method" in sources
        self.reads_host = bool(self._hosts) or "host" in sources
        self.header_fields = _header_fields(sources)
        self.blocking = False
        self.scopes = frozenset(_texts(scopes, "rule.scopes"))
        checks = _scope_checks(scopes, scopes_any)
        checks += [one.check() for one in _all_of(roles, Roles, "rule.roles")]
        compared = self._request_checks(dict(claim_equals or {}), dict(claim_contains or {}))
        checks += compared
        if not_before_s is not None or not_after_s is not None:
            checks.append(dates_check(not_before_s, not_after_s))
        checks += _any_of([one.check() for one in _all_of(hours, TimeWindow, "rule.hours")])
        checks += [one.check() for one in (act, signers) if one is not None]
        if claims is not None:
            checks.append(claims_check(claims, "rule.claims"))
        checks += [one.check() for one in _all_of(limits, Limit, "rule.limits")]
        checks += self._policy_checks(policies)  # last: they cost most
        if bool(checks) == any_token:
            expected = "a condition, or any_token where a verified token is enough"
            raise error_for("configuration_invalid", f"rule {name}", expected)
        self.checks = tuple(checks)
        self.located = tuple(compared) if any(one.startswith("path.") for one in sources) else ()
        self.others = tuple(one for one in checks[bool(scopes) :] if one not in self.located)

    def _policy_checks(self, policies: Iterable[Policy]) -> list[Check]:
        found = []
        for one in policies:
            check = _policy_check(one)
            found.append(_asked_once(check) if one.blocking else check)
            self.header_fields |= one.header_fields
            self.blocking |= one.blocking
            self.reads_method |= one.reads_method
            self.reads_host |= one.reads_host
        return found

    def _request_checks(self, equal: dict[str, str], contained: dict[str, str]) -> list[Check]:
        names = frozenset.intersection(*(one.names for one in self._routes)) if self._routes else frozenset()
        given = [("rule.claim_equals", equal, False), ("rule.claim_contains", contained, True)]
        return [
            request_check(claim, source, place, names, is_list=is_list)
            for place, table, is_list in given
            for claim, source in table.items()
        ]

    def applies(
        self,
        path: Path | None,
        partners: tuple[str, ...] | None,
        issuers: tuple[str | None, ...],
        method: str | None,
        host: str | None,
    ) -> Segments | str | None:
        """Return whether this applies to a request.

        Args:
            path: The path, or None where it has no one reading.
            partners: Whose request it is; None for anybody's, where no token was verified.
            issuers: Whose token it is, by each name that counts; None of a Verifier's.
            method: The method, or None where it is unknown.
            host: The host, or None where it is unknown.

        Returns:
            The named segments, once for each route that fits; a part of the request that had to be known and
            is not; or None where it does not apply.
        """
        if partners is not None and self._partners and self._partners.isdisjoint(partners):
            return None
        if partners is not None and self.issuers and self.issuers.isdisjoint(issuers):
            return None
        if self._methods and method is not None and method not in self._methods:
            return None
        if self._hosts and host is not None and host not in self._hosts:
            return None
        found: Segments = ({},)
        if self._routes:
            if path is None:
                return "request.path"
            captured = [one.captured(path) for one in self._routes]
            found = tuple({repr(one): one for one in captured if one is not None}.values())
            if not found:
                return None
        if self._methods and method is None:
            return "request.method"
        return "request.host" if self._hosts and host is None else found

    def __repr__(self) -> str:
        return f"Rule(name={self.name!r}, phase={self.phase!r})"


def _texts(given: Any, place: str) -> tuple[str, ...]:
    return names_of(given, place) if given else ()


def _read(given: Any, place: str, read: Any, expected: str) -> list[str]:
    found = [read(one) for one in _texts(given, place)]
    if None in found:
        raise error_for("configuration_invalid", place, expected)
    return found


def _with_head(methods: Iterable[str]) -> frozenset[str]:
    """Return methods with HEAD beside GET: it is the same request without the content (RFC 9110 s.9.3.2)."""
    found = frozenset(methods)
    return found | {"HEAD"} if "GET" in found else found


def _scope_checks(scopes: Any, scopes_any: Any) -> list[Check]:
    """Return the checks of scopes, that of all of them first."""
    found = [scopes_check(scopes, "rule.scopes", every=True)] if scopes else []
    return [*found, scopes_check(scopes_any, "rule.scopes_any", every=False)] if scopes_any else found


def _all_of(given: Any, kind: type, place: str) -> Sequence[Any]:
    values = list(given)
    if not all(isinstance(one, kind) for one in values):
        raise error_for("configuration_invalid", place, f"a list of {kind.__name__}")
    return values


def _sources(*tables: Mapping[str, str] | None) -> list[str]:
    """Return the parts of the request that claims are compared with."""
    return [one for table in tables for one in (table or {}).values() if isinstance(one, str)]


def _header_fields(sources: list[str]) -> frozenset[bytes]:
    """Return the lower-case names of the headers that claims are compared with."""
    names = [one.partition(".")[2].lower() for one in sources if one.startswith("header.")]
    return frozenset(name.encode("ascii", "replace") for name in names)


def _policy_check(policy: Any) -> Check:
    if not callable(getattr(policy, "check", None)) or not hasattr(policy, "header_fields"):
        raise error_for("configuration_invalid", "rule.policies", "policies: Expression, OPAPolicy")
    found: Check = policy.check()
    return found


def _asked_once(check: Check) -> Check:
    """Return a check that asks once for a request: a second answer may differ, and costs its time again."""

    def once(facts: Facts) -> Unmet | None:
        answers = facts.answers
        if answers is None:
            answers = facts.answers = {}
        key = (check, facts.path)
        if key not in answers:
            answers[key] = check(facts)
        return answers[key]

    return once


def _any_of(checks: list[Check]) -> list[Check]:
    """Return the one check that one of several passes, or none where there are none."""
    if len(checks) < 2:
        return checks
    return [lambda facts: None if any(one(facts) is None for one in checks) else checks[0](facts)]
