"""What to do with a request: permit, deny, or not known yet; and how an engine comes to say it.

A request can be let through although nothing was verified, while verification is introduced. Trust stays
in the type: only a decision with the code ``"ok"`` holds a :class:`VerifiedJWS`. What this never does: decide
on phases and partners, which is the part of the policy that is handed in (see ``rapidjws.rollout``).
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final, Literal, NoReturn, Protocol

from rapidjws._checks import refused
from rapidjws._native import copy_maker
from rapidjws.errors import CODES, RapidJWSError, error_for
from rapidjws.jose.scopes import scopes_due
from rapidjws.verify.result import VerifiedJWS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from rapidjws.errors import Reason, SafeValue
    from rapidjws.verify.protocols import SenderCheck
    from rapidjws.verify.snapshot import Token

    Names = str | tuple[str, ...] | None
    """What names a partner or a route; several where a request says several."""

    DecisionRequest = tuple[Token | None, Names, Names]
    """Token, partner and route of a request, as ``Engine.decide`` takes them."""

    NamedIssuers = Callable[..., tuple[str, ...]]
    """Gives the issuers that an unverified token names; called with the first name of the issuer that signed
    it as well, the names of that issuer that hold for it."""

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
    """What to do with a request, and why; safe to log but for ``verified``.

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
        rule: The rule that the request does not meet, where there are rules after the verdict: it refuses,
            or, with warnings, it will.
        nonce: With a permit of a signed body, where senders sign nonces: that of their next request.

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
    rule: str | None = None
    nonce: str | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse a decision whose parts contradict each other: a permit never grows out of a mistake."""
        good = isinstance(self.verified, VerifiedJWS)
        if self.outcome not in ("permit", "deny", "indeterminate") or good != (self.code == OK):
            raise error_for("internal_error", "decision")
        if (good and self.outcome != "permit") or not (good or self.code in CODES):
            raise error_for("internal_error", "decision")

    @property
    def verdict(self) -> DecisionOutcome:
        """Return the verdict on the token itself, or the say of a rule, whatever the phase makes of it."""
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
            "rule": self.rule,
            "issuer": None if good is None else good.issuer,
            "alg": None if good is None else good.alg,
            "kid": None if good is None else good.kid,
        }

    def __bool__(self) -> NoReturn:
        raise TypeError("a Decision is neither true nor false: look at its outcome")


class DecisionPolicy(Protocol):
    """The policy that turns a result of verification into a decision; see ``rapidjws.rollout.Rollout``."""

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


class BatchPermits(Protocol):
    """What a policy decides on the good tokens of one batch with: its ``permits``, where it has any."""

    def decide(self, verified: VerifiedJWS, partner: Names, route: Names) -> Decision | None:
        """Return a permit, to be counted by ``count``; None where the policy's own ``decide`` has to say."""

    def count(self, elapsed_ns: int) -> Iterable[tuple[str, str, str, int]]:
        """Count what was permitted; return issuer, partner, algorithm and number of those that are alike."""


class RequestRules(Protocol):
    """Rules after the verdict, which refuse what it permits; see ``rapidjws.authz.Authorizer``."""

    @property
    def blocking(self) -> bool:
        """Return whether ``apply`` may wait for another process."""

    @property
    def header_fields(self) -> frozenset[bytes]:
        """Return the lower-case headers that it reads, beside the host."""

    def apply(
        self,
        decision: Decision,
        request: Any,
        *,
        partner: Names = None,
        route: Names = None,
        now: float | None = None,
        content: bytes | None = None,
    ) -> Decision:
        """Return the decision, or a refusal; never milder than what was decided."""


class TokenIntrospection(Protocol):
    """What a server says of tokens (RFC 7662); see ``rapidjws.introspection.Introspection``."""

    def is_opaque(self, token: Token) -> bool:
        """Return whether a token has no form of ours and is for the server alone."""

    def is_known(self, token: Token, named: Callable[[], tuple[str, ...]] | None = None) -> bool:
        """Return whether nobody waits for the server on a token: it is remembered, or none is due.

        Args:
            token: The token.
            named: Gives the issuers that it names, unverified; None where that is not known.
        """

    def check(
        self, token: Token, route: Names, sender: SenderCheck | None, named: Callable[[], tuple[str, ...]]
    ) -> SenderCheck | None:
        """Return the second opinion on a token, before the check of who sent it; or that alone.

        Args:
            token: The token.
            route: What is asked for.
            sender: The check of who sent it, or None.
            named: Gives the issuers that it names, unverified: for telling whether somebody may wait.
        """

    def introspected(self, token: Token, now_ns: int) -> VerifiedJWS:
        """Return an opaque token that the server calls active.

        Raises:
            PolicyRefused: ``token_inactive``.
            ClaimRefused: What its answer says is not accepted here.
            DependencyUnavailable: ``introspection_unavailable``.
        """


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


def permit_maker(**parts: Any) -> Callable[[VerifiedJWS, str | None], Decision]:
    """Return what makes the permit of a token and a route, checked by nobody: the caller saw the token.

    Args:
        parts: What else all of these permits have, as ``Decision`` takes it.
    """
    template = object.__new__(Decision)
    given: dict[str, Any] = (
        {one.name: one.default for one in fields(Decision)} | {"outcome": "permit", "code": OK} | parts
    )
    for name, value in given.items():
        object.__setattr__(template, name, value)

    def made(verified: VerifiedJWS, route: str | None) -> Decision:
        return Decision(**{**given, "verified": verified, "route": route})

    return copy_maker(template, "verified", "route") or made


_plain_permit: Final = permit_maker()


def plain_decision(result: ResultOrError, *, partner: Names, route: Names) -> Decision:
    """Return the decision of an engine without a rollout: what is not good is refused."""
    partner, route = one_of(partner), one_of(route, "route")
    if isinstance(result, VerifiedJWS):
        if partner is None:
            return _plain_permit(result, route)
        return Decision(outcome="permit", code=OK, partner=partner, route=route, verified=result)
    return Decision(
        outcome=result.outcome,
        code=result.code,
        place=result.place,
        partner=partner,
        route=route,
        scopes_due=scopes_due(result),
    )
