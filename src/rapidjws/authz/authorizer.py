"""Rules after the verdict: which apply to a request, and what follows from those that are not met.

They run on a verified token and can only refuse what the verdict permits. Each rule that applies must hold;
where none applies the request is refused, unless the operator wrote otherwise.
"""

from __future__ import annotations

from time import time
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from rapidjws._checks import checked, is_number, refused
from rapidjws.authz.authorization import (
    ENFORCE,
    Authorization,
    Deny,
    Indeterminate,
    Permit,
    RulePhase,
    RuleResult,
    checked_rule_phase,
    conclusion,
)
from rapidjws.authz.facts import Facts
from rapidjws.authz.paths import path_of
from rapidjws.authz.request import HTTPRequest, host_of_target, method_of
from rapidjws.authz.rule import DEFAULT, Rule
from rapidjws.errors import CODES, error_for
from rapidjws.jwt.decision import Decision
from rapidjws.observe.rule_log import RuleLog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from rapidjws.authz.facts import Check
    from rapidjws.authz.request import RequestFacts
    from rapidjws.jwt.decision import Names
    from rapidjws.verify.result import VerifiedJWS

    RuleListener = Callable[[str, str, str, Decision], None]
    """Takes the name, phase and code of a rule that a request did not meet, and what was decided before."""

PLANS_MAX: Final = 4096
"""Most kinds of requests whose rules are remembered; strangers choose paths."""

PLAN_PATH_MAX_CHARS: Final = 512
"""Longest path of which they are remembered."""

RULES_MAX: Final = 10_000

_UNKNOWN: Final = HTTPRequest()
_CHANGED: Final = (RuleResult(DEFAULT, ENFORCE, "internal_error", "policy"),)
"""Where a condition refused and does not when it is asked again: no answer is no permit."""


class _Plan(NamedTuple):
    """The rules for one kind of request.

    Attributes:
        scopes: Scopes that are due, of all rules.
        checks: Conditions that look at no segment of the path, of all rules.
        located: Segments, and the conditions that may look at them.
        rules: The rules, with the segments by each of their routes.
        unmet: What refuses without a look at the token.
    """

    scopes: frozenset[str]
    checks: tuple[Check, ...]
    located: tuple[tuple[Mapping[str, str], tuple[Check, ...]], ...]
    rules: tuple[tuple[Rule, RulePhase, tuple[Mapping[str, str], ...]], ...]
    unmet: tuple[RuleResult, ...]


@checked(under="authz", but=("listener",))
class Authorizer:
    """The rules of an engine, a middleware or a sidecar.

    Args:
        rules: Each name once.
        default: What a verified token gets where no rule applies: ``"deny"`` or ``"permit"``.
        phase: The phase of rules without their own, and of the default.
        listener: Hears of each rule that a request does not meet; None for a log with its usual limits.

    Raises:
        ConfigurationError: ``configuration_invalid``: a name twice, no such phase.
    """

    __slots__ = (
        "_default",
        "_phase",
        "_plans",
        "_stated",
        "blocking",
        "header_fields",
        "listener",
        "reads_host",
        "reads_method",
        "rules",
    )  # fmt: skip

    def __init__(
        self,
        rules: Iterable[Rule],
        *,
        default: Literal["deny", "permit"] = "deny",
        phase: RulePhase = "enforce",
        listener: RuleListener | None = None,
    ) -> None:
        self.rules: tuple[Rule, ...] = tuple(rules)
        if not all(isinstance(one, Rule) for one in self.rules) or len(self.rules) > RULES_MAX:
            raise error_for("configuration_invalid", "authz.rules", f"at most {RULES_MAX} rules")
        names = [one.name for one in self.rules]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise error_for("configuration_invalid", "authz.rules", "each name once", twice)
        if listener is not None and not callable(listener):
            raise error_for("configuration_invalid", "authz.listener", "a function")
        self._default = default
        self._phase: RulePhase = checked_rule_phase(phase, "authz.phase")
        self.listener: RuleListener = RuleLog() if listener is None else listener
        self.header_fields = frozenset().union(*(one.header_fields for one in self.rules))
        self.blocking = any(one.blocking for one in self.rules)
        self.reads_host = any(one.reads_host for one in self.rules)
        self.reads_method = any(one.reads_method for one in self.rules)
        self._stated = frozenset[str]().union(*(one.issuers for one in self.rules))
        self._plans: dict[object, _Plan] = {}

    # --- the public question -----------------------------------------------------------------------------

    def authorize(
        self, decision: Decision, request: HTTPRequest, *, now: float | None = None
    ) -> Authorization:
        """Say whether a request whose token was verified is permitted; never raises for what it is about.

        Args:
            decision: Of ``Engine.decide``. Only one with a verified token can be permitted.
            request: The request.
            now: Seconds since the epoch; by default the wall clock.

        Returns:
            Permit, Deny with a code, or Indeterminate.
        """
        if not isinstance(decision, Decision):
            raise refused("decision", "a Decision", decision)
        if not isinstance(request, HTTPRequest):
            raise refused("request", "an HTTPRequest", request)
        if now is not None and not is_number(now):
            raise refused("now", "a finite number", now)
        verified = decision.verified
        if verified is None:
            result = RuleResult("token", ENFORCE, decision.code, decision.place, decision.scopes_due)
            denied = decision.verdict == "deny"
            return Deny(result) if denied else Indeterminate(result)
        unmet = self._unmet(verified, decision.partner, decision.partner, request.path, request, now)
        return conclusion(verified, unmet)

    def examine(
        self, decision: Decision, request: HTTPRequest, *, now: float | None = None
    ) -> dict[str, RuleResult | None]:
        """Return each rule that applies to a request with a verified token, and why it is not met, or None.

        Args:
            decision: As for ``authorize``.
            request: As for ``authorize``.
            now: As for ``authorize``.

        Returns:
            Rule -> what is not met, or None where it is; ``default`` where no rule applies. Nothing without a
            verified token.
        """
        answer = self.authorize(decision, request, now=now)
        if decision.verified is None:
            return {}
        found: dict[str, RuleResult | None] = {}
        for one in request.path if isinstance(request.path, tuple) and request.path else (request.path,):
            who = () if decision.partner is None else (decision.partner,)
            path = one if isinstance(one, str) else None
            host = self._host(request, path)
            issuers = self._issuers_of(decision.verified)
            plan = self._plan(path, who, issuers, request.method, host)
            found |= dict.fromkeys(rule.name for rule, _, _ in plan.rules)
        return found | {one.rule: one for one in answer.unmet}

    def apply(
        self,
        decision: Decision,
        request: RequestFacts | None,
        *,
        partner: Names = None,
        route: Names = None,
        now: float | None = None,
        content: bytes | None = None,
    ) -> Decision:
        """Return a decision with the say of the rules: the same one, or a refusal; never milder.

        Args:
            decision: What was decided about the token.
            request: What is known of the request, or None.
            partner: Whom the gateway named, several where it named several.
            route: The path as it was sent, several where the request names several.
            now: Seconds since the epoch; by default the wall clock.
            content: The octets that a signature covers, where the body is signed.
        """
        verified = decision.verified
        if verified is None:
            return self._unverified(decision, request or _UNKNOWN, route)
        unmet = self._unmet(verified, decision.partner, partner, route, request or _UNKNOWN, now, content)
        if not unmet:
            return decision
        for one in unmet:
            self._tell(one, decision)
        found = conclusion(verified, unmet)
        if not isinstance(found, Permit):
            return _refused(decision, found.outcome, found.result)
        warned = tuple(one for one in unmet if one.phase == "warn")
        return _warned(decision, warned) if warned else decision

    # --- the way of a request ----------------------------------------------------------------------------

    def _unmet(
        self,
        verified: VerifiedJWS,
        partner: str | None,
        named: Names,
        route: Names,
        request: RequestFacts,
        now: float | None,
        content: bytes | None = None,
    ) -> tuple[RuleResult, ...]:
        """Return the rules that a request does not meet; a fault of ours is one of them."""
        try:
            if content is None:
                content = getattr(request, "content", None)
            facts = Facts(verified, request, partner, time() if now is None else now, content)
            who = partner
            if named is not None and (partner is None or "," in partner):
                who = _several(named)  # type: ignore[assignment]
            if not isinstance(route, tuple):
                return self._unmet_on(facts, route, who)
            found: dict[RuleResult, None] = {}
            for one in route or (None,):
                found.update(dict.fromkeys(self._unmet_on(facts, one, who)))
            return tuple(found)
        except Exception as fault:  # no answer is no permit
            return (RuleResult(DEFAULT, ENFORCE, "internal_error", type(fault).__name__),)

    def _unmet_on(
        self, facts: Facts, route: str | None, who: str | tuple[str, ...] | None
    ) -> tuple[RuleResult, ...]:
        request, facts.path = facts.request, route
        host = host_of_target(request.headers(b"host"), route) if self.reads_host else None
        issuers = self._issuers_of(facts.verified)
        key = (route, who, request.method, issuers, host)
        plan = self._plans.get(key)
        if plan is None:
            names = () if who is None else (who,) if isinstance(who, str) else who
            plan = self._remembered(key, self._plan(route, names, issuers, request.method, host))
        if plan.unmet:
            return self._each(plan, facts)
        if plan.scopes and not plan.scopes <= facts.scopes:
            return self._each(plan, facts)
        for check in plan.checks:
            if check(facts) is not None:
                return self._each(plan, facts)
        for segments, checks in plan.located:
            facts.segments = segments
            for check in checks:
                if check(facts) is not None:
                    return self._each(plan, facts)
        return ()

    @staticmethod
    def _each(plan: _Plan, facts: Facts) -> tuple[RuleResult, ...]:
        """Return each rule that is not met, with the first of its conditions that refuses."""
        found: dict[RuleResult, None] = dict.fromkeys(plan.unmet)
        for rule, phase, variants in plan.rules:
            for segments in variants:
                facts.segments = segments
                unmet = [one for check in rule.checks if (one := check(facts)) is not None]
                if unmet:
                    first = next((one for one in unmet if CODES[one.code].outcome == "deny"), unmet[0])
                    found[RuleResult(rule.name, phase, first.code, first.place, first.scopes_due)] = None
        return tuple(found) or _CHANGED

    def _issuers_of(self, verified: VerifiedJWS) -> tuple[str | None, ...]:
        """Return whose token it is: its issuer's first name, and those of its names that rules have."""
        if self._stated <= {verified.issuer}:  # no other name makes a difference
            return (verified.issuer,)
        return (verified.issuer, *(one for one in verified._issuer_names if one in self._stated))

    def _host(self, request: RequestFacts, target: str | None) -> str | None:
        return host_of_target(request.headers(b"host"), target) if self.reads_host else None

    # --- which rules apply -------------------------------------------------------------------------------

    def _remembered(self, key: tuple[object, ...], plan: _Plan) -> _Plan:
        if len(str(key[0])) <= PLAN_PATH_MAX_CHARS and len(str(key[2])) <= PLAN_PATH_MAX_CHARS:
            if len(self._plans) >= PLANS_MAX:
                self._plans.clear()
            self._plans[key] = plan
        return plan

    def _plan(
        self,
        route: str | None,
        partners: tuple[str, ...] | None,
        issuers: tuple[str | None, ...],
        method: str,
        host: str | None,
    ) -> _Plan:
        """Return what applies to one kind of request."""
        path, read = path_of(route), method_of(method)
        rules: list[tuple[Rule, RulePhase, tuple[Mapping[str, str], ...]]] = []
        unmet: list[RuleResult] = []
        for rule in self.rules:
            phase = rule.phase or self._phase
            found = rule.applies(path, partners, issuers, read, host)
            if isinstance(found, str):
                unmet.append(RuleResult(rule.name, phase, "ambiguous_request", found))
            elif found is not None:
                rules.append((rule, phase, found))
        if not rules and not unmet and self._default == "deny":
            unmet.append(RuleResult(DEFAULT, self._phase, "no_rule"))
        scopes = frozenset[str]().union(*(rule.scopes for rule, _, _ in rules))
        plain = tuple(check for rule, _, _ in rules for check in rule.others)
        located = tuple(
            (segments, rule.located) for rule, _, found in rules if rule.located for segments in found
        )
        return _Plan(scopes, plain, located, tuple(rules), tuple(unmet))

    def _unverified(self, decision: Decision, request: RequestFacts, route: Names) -> Decision:
        """Return the decision on a request without a verified token that the rollout lets through.

        Rules in enforcement have nothing to hold for it, whoever sends it: else a caller who lacks a scope
        would do better without a token.
        """
        if decision.outcome != "permit":
            return decision
        try:
            for one in route if isinstance(route, tuple) and route else (route,):
                path = one if isinstance(one, str) else None
                plan = self._plan(path, None, (), request.method, self._host(request, path))
                for name, phase in (
                    *((result.rule, result.phase) for result in plan.unmet),
                    *((rule.name, phase) for rule, phase, _ in plan.rules),
                ):
                    if phase == ENFORCE:
                        return _refused(decision, CODES[decision.code].outcome,
                                        RuleResult(name, ENFORCE, decision.code, decision.place,
                                                   decision.scopes_due))  # fmt: skip
        except Exception as fault:
            result = RuleResult(DEFAULT, ENFORCE, "internal_error", type(fault).__name__)
            return _refused(decision, "indeterminate", result)
        return decision

    def _tell(self, result: RuleResult, decision: Decision) -> None:
        try:
            self.listener(result.rule, result.phase, result.code, decision)
        except Exception:  # the answer stands whatever becomes of its count
            return


def _several(named: Names) -> str | tuple[str, ...] | None:
    """Return the partners that a request names, where it is attributed to none of them alone."""
    if isinstance(named, str):
        named = (named,)
    names = [one.strip() for value in named or () for one in value.split(",")]
    return tuple(dict.fromkeys(one for one in names if one)) or None


def _refused(decision: Decision, outcome: str, result: RuleResult) -> Decision:
    return Decision(
        outcome=outcome,  # type: ignore[arg-type]
        code=result.code,
        phase=decision.phase,
        partner=decision.partner,
        route=decision.route,
        place=result.place,
        scopes_due=result.scopes_due,
        attributed_by=decision.attributed_by,
        rule=result.rule,
    )


def _warned(decision: Decision, results: tuple[RuleResult, ...]) -> Decision:
    lines = dict.fromkeys(f"{one.code}: {CODES[one.code].meaning}; to be refused" for one in results)
    return Decision(
        outcome=decision.outcome,
        code=decision.code,
        phase=decision.phase,
        partner=decision.partner,
        route=decision.route,
        warnings=(*decision.warnings, *lines),
        verified=decision.verified,
        deprecated_at_s=decision.deprecated_at_s,
        sunset_at_s=decision.sunset_at_s,
        attributed_by=decision.attributed_by,
        rule=results[0].rule,
    )
