"""What a phase makes of a request: the decision for a good token, and for anything else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rapidjws.errors import CODES
from rapidjws.jose.scopes import scopes_due
from rapidjws.jwt.decision import OK, Decision

if TYPE_CHECKING:
    from rapidjws.errors import RapidJWSError
    from rapidjws.rollout.partner import Partner
    from rapidjws.rollout.plan import Phase, Stage
    from rapidjws.verify.result import VerifiedJWS


@dataclass(frozen=True, slots=True)
class Whose:
    """Whose request it is: the partner, or None; what it was attributed by; and the route asked for."""

    name: str | None
    by: str
    route: str | None


def good_decision(verified: VerifiedJWS, rules: Partner, whose: Whose, phase: Phase) -> Decision:
    """Return the decision for a good token: permit, with a warning where its algorithm retires."""
    warning = rules.warning(verified.alg) if rules.retiring else None
    return Decision(
        outcome="permit",
        code=OK,
        phase=phase,
        partner=whose.name,
        attributed_by=whose.by,
        route=whose.route,
        verified=verified,
        warnings=() if warning is None else (warning[0],),
        sunset_at_s=None if warning is None else warning[1],
    )


def bad_decision(
    error: RapidJWSError,
    rules: Partner,
    whose: Whose,
    phase: Phase,
    stage: Stage,
    now_s: int,
) -> Decision:
    """Return what a phase makes of a request whose token is not good.

    Args:
        error: Why it is not.
        rules: The rules of the partner whose stage holds.
        whose: Whose request it is.
        phase: The phase that holds.
        stage: The stage that it is the phase of.
        now_s: Seconds since the epoch.
    """
    listed = phase == "allow_list" and rules.is_allow_listed(now_s)
    warned = phase == "warning" or listed
    passes = phase == "detection" or warned
    return Decision(
        outcome="permit" if passes else error.outcome,
        code=error.code,
        phase=phase,
        partner=whose.name,
        attributed_by=whose.by,
        route=whose.route,
        place=error.place,
        warnings=(f"{error.code}: {CODES[error.code].meaning}; to be refused",) if warned else (),
        deprecated_at_s=stage.since_s if warned else None,
        sunset_at_s=rules.allow_listed_until_s if listed else stage.enforce_on_s if warned else None,
        scopes_due=scopes_due(error),
    )
