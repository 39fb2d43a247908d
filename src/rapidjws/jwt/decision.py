"""What to do with a request: permit, deny, or not known yet; and how an engine comes to say it.

A request can be let through although nothing was verified, while verification is introduced. Trust stays
in the type: only a decision with the code ``"ok"`` holds a :class:`VerifiedJWS`. What this never does: decide
on phases and partners, which is the part of the policy that is handed in (see ``rapidjws.rollout``).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from time import perf_counter_ns, time_ns
from typing import TYPE_CHECKING, Final, Literal, NoReturn, Protocol

from rapidjws._checks import refused
from rapidjws.errors import CODES, ConfigurationError, RapidJWSError, error_for
from rapidjws.jose.numeric_date import moment_ns
from rapidjws.jose.scopes import scopes_due, scopes_objection
from rapidjws.verify.result import Rejected, VerifiedJWS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from rapidjws.errors import Reason, SafeValue
    from rapidjws.verify.snapshot import Token

    Names = str | tuple[str, ...] | None
    """What names a partner or a route; several where a request says several."""

    DecisionRequest = tuple[Token | None, Names, Names]
    """Token, partner and route of a request, as ``Engine.decide`` takes them."""

    NamedIssuers = Callable[[Token], tuple[str, ...]]
    """Gives the issuers that an unverified token names."""

DecisionOutcome = Literal["permit", "deny", "indeterminate"]
ResultOrError = VerifiedJWS | RapidJWSError
Scopes = tuple[str, ...]
OK: Final = "ok"
"""The code of a verified token; every other code is a key of ``CODES``."""

ENFORCEMENT: Final = "enforcement"
"""The phase of an engine that nobody gave a rollout."""

AMBIGUOUS: Final = b".."
"""Stands, by identity, for a request with several tokens or half a one; malformed to whoever compares it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Say what to do with a request, and why; safe to log but for ``verified``.

    Args:
        outcome: ``"permit"``, ``"deny"``, or ``"indeterminate"``: nothing is known about the token now.
        code: ``"ok"``, or the stable code of what was found, also where the request is let through.
        phase: The rollout phase that was applied.
        partner: The configured partner that the request is attributed to, or None.
        route: The route as it was asked for, or None; None as well where there are several.
        warnings: Sentences for whoever sent the request; no secret in them.
        place: Where it was found, or None.
        verified: The verified token; only with ``"ok"``.
        deprecated_at_s: Since when requests like this one are frowned upon, seconds since the epoch, or None.
        sunset_at_s: From when on they will be refused, seconds since the epoch, or None.
        scopes_due: With ``insufficient_scope``, the scopes that suffice.
        attributed_by: What the request was attributed by: ``"gateway"``, ``"issuer"`` (whose key verified the
            signature), ``"claim"`` (an unverified token names a partner's issuer: its stage counts, but it is
            not the partner), ``"several"`` (more than one partner fits) or ``"nobody"``.

    Raises:
        InternalError: ``internal_error``: the parts contradict each other.
    """

    outcome: DecisionOutcome
    code: str
    phase: str = ENFORCEMENT
    partner: str | None = None
    route: str | None = None
    warnings: tuple[str, ...] = ()
    place: str | None = None
    verified: VerifiedJWS | None = field(default=None, repr=False)
    deprecated_at_s: int | None = None
    sunset_at_s: int | None = None
    scopes_due: tuple[str, ...] = ()
    attributed_by: str = "nobody"

    def __post_init__(self) -> None:
        """Refuse a decision whose parts contradict each other: a permit never grows out of a mistake."""
        good = isinstance(self.verified, VerifiedJWS)
        if self.outcome not in ("permit", "deny", "indeterminate") or good != (self.code == OK):
            raise error_for("internal_error", "decision")
        if (good and self.outcome != "permit") or not (good or self.code in CODES):
            raise error_for("internal_error", "decision")

    @property
    def verdict(self) -> DecisionOutcome:
        """Return what the token itself earned, whatever the phase makes of it."""
        return "permit" if self.verified is not None else CODES[self.code].outcome

    @property
    def reason(self) -> Reason | None:
        """Return the reason that the code belongs to, or None for a good token."""
        return None if self.code == OK else CODES[self.code].reason

    @property
    def let_through(self) -> bool:
        """Return whether the request is permitted although its token was not verified."""
        return self.outcome == "permit" and self.verified is None

    @property
    def evidence(self) -> dict[str, SafeValue]:
        """Return flat values that are fit for a structured log."""
        good = self.verified
        return {
            "outcome": self.outcome,
            "verdict": self.verdict,
            "code": self.code,
            "reason": self.reason,
            "place": self.place,
            "phase": self.phase,
            "partner": self.partner,
            "attributed_by": self.attributed_by,
            "route": self.route,
            "warnings": self.warnings,
            "issuer": None if good is None else good.issuer,
            "alg": None if good is None else good.alg,
            "kid": None if good is None else good.kid,
        }

    def __bool__(self) -> NoReturn:
        raise TypeError("a Decision is neither true nor false: look at its outcome")


class DecisionPolicy(Protocol):
    """Turn what a verification found into a decision; see ``rapidjws.rollout.Rollout``."""

    @property
    def longest_retry_s(self) -> int:
        """Return by how many seconds, at most, ``retry_at_ns`` lies before or after the present moment.

        Uses of tokens are remembered for so much longer; a policy that does not say it counts as a day.
        """

    def retry_at_ns(self, refused: RapidJWSError, partner: Names, now_ns: int) -> int | None:
        """Return another moment at which a token is to be tried, for a partner with its own leeway."""

    def decide(
        self,
        result: ResultOrError,
        *,
        token: Token | None,
        partner: Names,
        route: Names,
        now_ns: int,
        elapsed_ns: int,
        named_issuers: NamedIssuers | None = None,
    ) -> Decision:
        """Return the decision, and count it; the token is for comparing, and is not kept."""


def one_of(names: Names, place: str = "partner") -> str | None:
    """Return the one name there is, or None; octets would name nobody, and get a milder stage: refused."""
    if names is None or isinstance(names, str):
        return names
    check_names(names, place)
    return names[0] if len(names) == 1 else None


def check_names(names: object, place: str) -> None:
    """Refuse what is no tuple of texts; see ``one_of``."""
    if not isinstance(names, tuple) or not all(isinstance(name, str) for name in names):
        raise refused(place, "a string, a tuple of strings, or None", names)


def plain_decision(result: ResultOrError, *, partner: Names, route: Names) -> Decision:
    """Return the decision of an engine without a rollout: what is not good is refused."""
    partner, route = one_of(partner), one_of(route, "route")
    if isinstance(result, VerifiedJWS):
        return Decision(outcome="permit", code=OK, partner=partner, route=route, verified=result)
    return Decision(
        outcome=result.outcome,
        code=result.code,
        place=result.place,
        partner=partner,
        route=route,
        scopes_due=scopes_due(result),
    )


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
    token: Token | None,
    partner: Names,
    route: Names,
    now_ns: int,
    started_ns: int,
    named_issuers: NamedIssuers | None,
) -> Decision:
    """Return the decision on what was found, by the policy if there is one; nothing where it fails."""
    try:
        if policy is None:
            return plain_decision(result, partner=partner, route=route)
        elapsed_ns = perf_counter_ns() - started_ns
        decision = policy.decide(
            result,
            token=token,
            partner=partner,
            route=route,
            now_ns=now_ns,
            elapsed_ns=elapsed_ns,
            named_issuers=named_issuers,
        )
    except Exception as fault:
        place = fault.place if isinstance(fault, ConfigurationError) else None
        return _undecided(place or type(fault).__name__, partner, route)
    return decision if isinstance(decision, Decision) else _undecided("policy", partner, route)


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
    """
    started_ns = 0 if policy is None else perf_counter_ns()
    result = _tried(verify, token, scopes, now)
    now_ns = 0 if policy is None else _present_ns(now)
    result, retry_at_ns = _retried_at(policy, result, partner, now_ns)
    if retry_at_ns is not None:
        result = _tried(verify_as_of, token, scopes, retry_at_ns, now_ns)
    return _concluded(policy, result, token, partner, route, now_ns, started_ns, named_issuers)


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
) -> Decision:
    """Verify and decide as ``decide`` does, from asyncio, in a batch with what else arrives."""
    started_ns = 0 if policy is None else perf_counter_ns()
    result = await _atried(averify, token, scopes, now)
    now_ns = 0 if policy is None else _present_ns(now)
    result, retry_at_ns = _retried_at(policy, result, partner, now_ns)
    if retry_at_ns is not None:
        result = await _atried(averify_as_of, token, scopes, retry_at_ns, now_ns)
    return _concluded(policy, result, token, partner, route, now_ns, started_ns, named_issuers)


def _check_requests(requests: object) -> None:
    requests = requests if isinstance(requests, (list, tuple)) else (None,)
    if not all(isinstance(one, tuple) and len(one) == 3 for one in requests):
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
) -> list[Decision]:
    """Verify the tokens of several requests together, and decide on each."""
    started_ns = 0 if policy is None else perf_counter_ns()
    unanswered = error_for("internal_error", "decide_many")
    _check_requests(requests)
    results: list[ResultOrError] = [_no_token(token) or unanswered for token, _, _ in requests]
    open_at = [at for at, result in enumerate(results) if result is unanswered]
    tokens = [token for at in open_at if (token := requests[at][0]) is not None]
    for at, result in zip(open_at, _tried_together(verify_many, verify, tokens, now), strict=True):
        results[at] = result
    now_ns = 0 if policy is None else _present_ns(now)
    decisions = []
    for (token, partner, route), result in zip(requests, results, strict=True):
        result, retry_at_ns = _retried_at(policy, result, partner, now_ns)
        if retry_at_ns is not None:
            result = _tried(verify_as_of, token, (), retry_at_ns, now_ns)
        decisions.append(_concluded(policy, result, token, partner, route, now_ns, started_ns, named_issuers))
    return decisions
