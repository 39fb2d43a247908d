"""How a verification becomes a decision: tried once or again, turned by the policy, and counted once."""

from __future__ import annotations

from time import perf_counter_ns, time_ns
from typing import TYPE_CHECKING, Any, Final

from rapidjws._checks import refused
from rapidjws.errors import ConfigurationError, RapidJWSError, error_for
from rapidjws.jose.numeric_date import moment_ns
from rapidjws.jose.scopes import scopes_objection
from rapidjws.jwt.decision import AMBIGUOUS, OK, Decision, plain_decision
from rapidjws.verify.result import Rejected, VerifiedJWS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from rapidjws.jwt.decision import (
        BatchPermits,
        DecisionPolicy,
        DecisionRequest,
        NamedIssuers,
        Names,
        RequestRules,
        ResultOrError,
        Scopes,
    )
    from rapidjws.verify.snapshot import Token
    from rapidjws.verify.verdict_counters import VerdictCounters

NO_TOKEN: Final = frozenset({"missing_token", "malformed_request"})
"""Codes of requests that carry no token: no verdict on one."""


def _fault(fault: Exception) -> RapidJWSError:
    """Return an error as it is, and anything else as a fault of ours: indeterminate, never a crash."""
    if isinstance(fault, ConfigurationError):  # the caller's mistake, not the token's
        return error_for("internal_error", fault.place)
    return fault if isinstance(fault, RapidJWSError) else error_for("internal_error", type(fault).__name__)


def _present_ns(now: float | None) -> int:
    """Return the moment of a decision: by the clock where ``now`` is no time, which was refused before."""
    try:
        return time_ns() if now is None else moment_ns(now)
    except RapidJWSError:
        return time_ns()


def _retried_at(
    policy: DecisionPolicy | None, result: ResultOrError, partner: Names, now_ns: int
) -> tuple[ResultOrError, int | None]:
    """Return what was found, and another moment at which a refused token is to be tried, or None.

    Where the policy fails, it is not known whether the token is refused.
    """
    if policy is None or not isinstance(result, RapidJWSError):
        return result, None
    try:
        return result, policy.retry_at_ns(result, partner, now_ns)
    except Exception as fault:
        return error_for("internal_error", type(fault).__name__), None


def _concluded(
    policy: DecisionPolicy | None,
    result: ResultOrError,
    request: DecisionRequest,
    times_ns: tuple[int, int],
    named_issuers: NamedIssuers | None,
    counters: VerdictCounters | None,
) -> Decision:
    """Return the decision on what was found, by the policy if there is one, and count it.

    Args:
        policy: What to make of it, or None.
        result: What was found.
        request: Token, partner and route.
        times_ns: The present, and when work on the request began by the performance counter.
        named_issuers: Gives the issuers that an unverified token names.
        counters: Where it is counted, or None.
    """
    started_ns = times_ns[1]
    decision = _by_policy(policy, result, request, times_ns, named_issuers)
    if counters is not None:
        configured = "" if policy is None else decision.partner or ""  # else any name that a caller chose
        _count(counters, decision, configured, result, perf_counter_ns() - started_ns)
    return decision


def _concluded_together(
    policy: DecisionPolicy | None,
    results: list[ResultOrError],
    requests: Sequence[DecisionRequest],
    times_ns: tuple[int, int],
    named_issuers: NamedIssuers | None,
    counters: VerdictCounters | None,
) -> list[Decision]:
    """Return decisions on what was found, as ``_concluded`` does; good tokens that are alike count once."""
    permits = _permits(policy, times_ns[0])
    decisions: list[Decision] = []
    plain: list[int] = []
    for result, request in zip(results, requests, strict=True):
        decision = None
        if permits is not None and isinstance(result, VerifiedJWS):
            try:
                decision = permits.decide(result, request[1], request[2])
            except Exception:  # then the policy itself says what it comes to
                decision = None
        if decision is None:
            decision = _concluded(policy, result, request, times_ns, named_issuers, counters)
        else:
            plain.append(len(decisions))
        decisions.append(decision)
    if permits is None or not plain or _count_permits(permits, counters, perf_counter_ns() - times_ns[1]):
        return decisions
    for at in plain:
        _, partner, route = requests[at]
        decisions[at] = _undecided("policy", partner, route)
        if counters is not None:
            _count(counters, decisions[at], "", results[at], perf_counter_ns() - times_ns[1])
    return decisions


def _permits(policy: DecisionPolicy | None, now_ns: int) -> BatchPermits | None:
    """Return what a policy decides on good tokens with, where it has it."""
    begin: Any = getattr(policy, "permits", None)
    try:
        found: BatchPermits | None = None if begin is None else begin(now_ns)
    except Exception:  # each request finds what is wrong
        return None
    return found


def _count_permits(permits: BatchPermits, counters: VerdictCounters | None, elapsed_ns: int) -> bool:
    """Count permits; return whether that could be done: what is not counted is not permitted."""
    try:
        for issuer, partner, alg, times in permits.count(elapsed_ns):
            if counters is not None:
                counters.count(issuer, partner, OK, alg, elapsed_ns, None, times)
    except Exception:
        return False
    return True


def _by_policy(
    policy: DecisionPolicy | None,
    result: ResultOrError,
    request: DecisionRequest,
    times_ns: tuple[int, int],
    named_issuers: NamedIssuers | None,
) -> Decision:
    """Return the decision on what was found, by the policy if there is one; nothing where it fails."""
    token, partner, route = request
    now_ns, started_ns = times_ns
    try:
        if policy is None:
            return plain_decision(result, partner=partner, route=route)
        decision = policy.decide(
            result,
            token=token,
            partner=partner,
            route=route,
            now_ns=now_ns,
            elapsed_ns=perf_counter_ns() - started_ns,
            named_issuers=named_issuers,
        )
    except Exception as fault:
        place = fault.place if isinstance(fault, ConfigurationError) else None
        return _undecided(place or type(fault).__name__, partner, route)
    return decision if isinstance(decision, Decision) else _undecided("policy", partner, route)


def _count(
    counters: VerdictCounters, decision: Decision, partner: str, result: ResultOrError, elapsed_ns: int
) -> None:
    """Count the verdict of a decision under a configured partner; a request without a token has none."""
    if decision.code in NO_TOKEN:
        return
    if isinstance(result, VerifiedJWS):
        issuer, alg = result.issuer, result.alg
    else:
        issuer, alg = result.issuer or result.claimed_issuer, ""
    counters.count(issuer, partner, decision.code, alg, elapsed_ns, decision.place)


def _undecided(place: str, partner: Names, route: Names) -> Decision:
    """Return the decision where a fault of ours, or of the policy, left none."""
    partner, route = (names if isinstance(names, str) else None for names in (partner, route))
    return plain_decision(error_for("internal_error", place), partner=partner, route=route)


def _no_token(token: Token | None) -> RapidJWSError | None:
    """Return what is wrong with a request that does not carry one token, or None."""
    if token is AMBIGUOUS:  # RFC 6750 s.3.1, invalid_request: the service could read the other one
        return error_for("malformed_request", "token")
    return None if token else error_for("missing_token", "token")


def _checked(verified: VerifiedJWS, scopes: Scopes) -> ResultOrError:
    """Return a verified token, or that it lacks a scope."""
    if not scopes:
        return verified
    claims = {} if verified.issuer is None else verified.claims  # a Verifier's payload holds no scopes
    lacking = scopes_objection(claims, scopes)
    if lacking is None:
        return verified
    lacking.issuer = verified.issuer
    return lacking


def _tried(
    verify: Callable[..., VerifiedJWS], token: Token | None, scopes: Scopes, *moments: float | None
) -> ResultOrError:
    try:
        return _no_token(token) or _checked(verify(token, *moments), scopes)
    except Exception as fault:
        return _fault(fault)


async def _atried(
    averify: Callable[..., Awaitable[VerifiedJWS]],
    token: Token | None,
    scopes: Scopes,
    *moments: float | None,
) -> ResultOrError:
    try:
        return _no_token(token) or _checked(await averify(token, *moments), scopes)
    except Exception as fault:
        return _fault(fault)


def ruled(
    rules: RequestRules,
    decision: Decision,
    request: Any,
    partner: Names,
    route: Names,
    now: float | None,
    content: bytes | None = None,
) -> Decision:
    """Return a decision with the say of rules after the verdict; never milder, and no answer is no permit.

    Args:
        rules: The rules.
        decision: What was decided about the token.
        request: What is known of the request, or None.
        partner: Whom the gateway named.
        route: What is asked for.
        now: Seconds since the epoch, or None for the wall clock.
        content: The octets that the signature of a body covers.
    """
    try:
        found = rules.apply(decision, request, partner=partner, route=route, now=now, content=content)
    except Exception as fault:
        return _undecided(type(fault).__name__, partner, route)
    if not isinstance(found, Decision) or (found.outcome == "permit" and decision.outcome != "permit"):
        return _undecided("rules", partner, route)
    if found.verified is not None and found.verified is not decision.verified:
        return _undecided("rules", partner, route)
    return found


def decide(
    verify: Callable[..., VerifiedJWS],
    verify_as_of: Callable[..., VerifiedJWS],
    policy: DecisionPolicy | None,
    token: Token | None,
    partner: Names,
    route: Names,
    now: float | None,
    scopes: Scopes = (),
    named_issuers: NamedIssuers | None = None,
    counters: VerdictCounters | None = None,
) -> Decision:
    """Verify one token, if there is one, and decide.

    Args:
        verify: Takes the token and ``now``.
        verify_as_of: Takes the token, the moment its dates are compared with, and the present one; both in
            nanoseconds since the epoch.
        policy: What to make of the verdict, or None.
        token: The token, or None.
        partner: Who is asking, or None.
        route: What is asked for, or None.
        now: Seconds since the epoch, or None for the wall clock.
        scopes: What the token must hold.
        named_issuers: Gives the issuers that an unverified token names.
        counters: Where the decision is counted, or None.
    """
    started_ns = perf_counter_ns()
    result = _tried(verify, token, scopes, now)
    if policy is None:
        return _concluded(None, result, (token, partner, route), (0, started_ns), named_issuers, counters)
    now_ns = _present_ns(now)
    result, retry_at_ns = _retried_at(policy, result, partner, now_ns)
    if retry_at_ns is not None:
        result = _tried(verify_as_of, token, scopes, retry_at_ns, now_ns)
    requests, times_ns = ((token, partner, route),), (now_ns, started_ns)
    return _concluded_together(policy, [result], requests, times_ns, named_issuers, counters)[0]


async def adecide(
    averify: Callable[..., Awaitable[VerifiedJWS]],
    averify_as_of: Callable[..., Awaitable[VerifiedJWS]],
    policy: DecisionPolicy | None,
    token: Token | None,
    partner: Names,
    route: Names,
    now: float | None,
    scopes: Scopes = (),
    named_issuers: NamedIssuers | None = None,
    counters: VerdictCounters | None = None,
) -> Decision:
    """Verify and decide as ``decide`` does, from asyncio, in a batch with what else arrives."""
    started_ns = perf_counter_ns()
    result = await _atried(averify, token, scopes, now)
    if policy is None:
        return _concluded(None, result, (token, partner, route), (0, started_ns), named_issuers, counters)
    now_ns = _present_ns(now)
    result, retry_at_ns = _retried_at(policy, result, partner, now_ns)
    if retry_at_ns is not None:
        result = await _atried(averify_as_of, token, scopes, retry_at_ns, now_ns)
    requests, times_ns = ((token, partner, route),), (now_ns, started_ns)
    return _concluded_together(policy, [result], requests, times_ns, named_issuers, counters)[0]


def check_requests(requests: object) -> None:
    """Refuse what is no list of requests."""
    requests = requests if isinstance(requests, (list, tuple)) else (None,)
    for one in requests:
        if not isinstance(one, tuple) or len(one) != 3:
            raise refused("requests", "a list of (token, partner, route)", requests)


def _tried_together(
    verify_many: Callable[..., Sequence[VerifiedJWS | Rejected]],
    verify: Callable[..., VerifiedJWS],
    tokens: list[Token],
    now: float | None,
) -> list[ResultOrError]:
    """Verify a batch; where that fails as a whole, each token by itself, so that none answers for another."""
    try:
        found = verify_many(tokens, now)
    except Exception:
        return [_tried(verify, token, (), now) for token in tokens]
    if len(found) != len(tokens):  # nobody knows whose they are
        return [error_for("internal_error", "decide_many") for _ in tokens]
    return [one.error() if isinstance(one, Rejected) else one for one in found]


def decide_many(
    verify_many: Callable[..., Sequence[VerifiedJWS | Rejected]],
    verify: Callable[..., VerifiedJWS],
    verify_as_of: Callable[..., VerifiedJWS],
    policy: DecisionPolicy | None,
    requests: Sequence[DecisionRequest],
    now: float | None,
    named_issuers: NamedIssuers | None = None,
    counters: VerdictCounters | None = None,
) -> list[Decision]:
    """Verify the tokens of several requests together, and decide on each."""
    started_ns = perf_counter_ns()
    unanswered = error_for("internal_error", "decide_many")
    check_requests(requests)
    results: list[ResultOrError] = [_no_token(token) or unanswered for token, _, _ in requests]
    open_at = [at for at, result in enumerate(results) if result is unanswered]
    tokens = [token for at in open_at if (token := requests[at][0]) is not None]
    for at, result in zip(open_at, _tried_together(verify_many, verify, tokens, now), strict=True):
        results[at] = result
    now_ns = 0 if policy is None else _present_ns(now)
    times_ns = now_ns, started_ns
    for at, (request, result) in enumerate(zip(requests, results, strict=True)):
        if isinstance(result, VerifiedJWS):
            continue
        result, retry_at_ns = _retried_at(policy, result, request[1], now_ns)
        if retry_at_ns is not None:
            result = _tried(verify_as_of, request[0], (), retry_at_ns, now_ns)
        results[at] = result
    return _concluded_together(policy, results, requests, times_ns, named_issuers, counters)
