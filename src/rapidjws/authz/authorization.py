"""What rules say about a request: permit, deny with a code, or indeterminate. Trust is in the type.

Only :class:`Permit` lets a request through, and it cannot be made without a verified token.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple, NoReturn

from rapidjws.errors import CODES, error_for
from rapidjws.jwt.decision import OK
from rapidjws.verify.result import VerifiedJWS

if TYPE_CHECKING:
    from rapidjws.jwt.decision import DecisionOutcome

RulePhase = Literal["detect", "warn", "enforce"]
RULE_PHASES: Final[tuple[RulePhase, ...]] = ("detect", "warn", "enforce")
"""detect counts and logs, warn tells the client as well, enforce refuses."""

ENFORCE: Final[RulePhase] = "enforce"


class RuleResult(NamedTuple):
    """A rule that a request does not meet.

    Attributes:
        rule: Its name; ``"default"`` where none applies.
        phase: Its phase.
        code: Why, a key of ``CODES``.
        place: What was looked at, or None; never a value.
        scopes_due: With ``insufficient_scope``, the scopes that suffice.
    """

    rule: str
    phase: RulePhase
    code: str
    place: str | None = None
    scopes_due: tuple[str, ...] = ()


def checked_rule_phase(phase: object, place: str) -> RulePhase:
    """Return a phase of rules.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """
    for known in RULE_PHASES:
        if phase == known:
            return known
    raise error_for("configuration_invalid", place, expected=RULE_PHASES, actual=str(phase))


class _Authorization:
    """What rules say about a request.

    Attributes:
        unmet: Rules that the request does not meet, those in detect and warn among them.
    """

    __slots__ = ("unmet",)
    unmet: tuple[RuleResult, ...]

    def __bool__(self) -> NoReturn:
        raise TypeError("an authorization is neither true nor false: look at its class, or at its outcome")


class Permit(_Authorization):
    """A permission, which only a verified token can get.

    Args:
        verified: The verified token.
        unmet: Rules in detect or warn that are not met.

    Raises:
        InternalError: ``internal_error``: no verified token.
    """

    __slots__ = ("verified",)
    outcome: Final[DecisionOutcome] = "permit"
    code: Final = OK

    def __init__(self, verified: VerifiedJWS, unmet: tuple[RuleResult, ...] = ()) -> None:
        if not isinstance(verified, VerifiedJWS) or any(one.phase == ENFORCE for one in unmet):
            raise error_for("internal_error", "permit")
        self.verified = verified
        self.unmet = unmet

    def __repr__(self) -> str:
        return f"Permit(unmet={self.unmet!r})"


class Deny(_Authorization):
    """A refusal.

    Args:
        result: The rule that refuses, with its code.
        unmet: All rules that are not met.
    """

    __slots__ = ("result",)
    outcome: Final[DecisionOutcome] = "deny"

    def __init__(self, result: RuleResult, unmet: tuple[RuleResult, ...] = ()) -> None:
        self.result = result
        self.unmet = unmet or (result,)

    @property
    def code(self) -> str:
        """Return why, a key of ``CODES``."""
        return self.result.code

    @property
    def rule(self) -> str:
        """Return the name of the rule that refuses."""
        return self.result.rule

    def __repr__(self) -> str:
        return f"{type(self).__name__}(code={self.code!r}, rule={self.rule!r})"


class Indeterminate(Deny):
    """An answer that cannot be given now: a policy cannot be evaluated, or the token cannot be verified."""

    __slots__ = ()
    outcome: Final[DecisionOutcome] = "indeterminate"  # type: ignore[misc]


Authorization = Permit | Deny | Indeterminate


def conclusion(verified: VerifiedJWS, unmet: tuple[RuleResult, ...]) -> Authorization:
    """Return what follows from the rules that are not met: a deny counts before what is not known."""
    refusing = [one for one in unmet if one.phase == ENFORCE]
    if not refusing:
        return Permit(verified, unmet)
    for one in refusing:
        if CODES[one.code].outcome == "deny":
            return Deny(one, unmet)
    return Indeterminate(refusing[0], unmet)
