"""Whose request it is: named by the gateway, proven by a signature, or only claimed by the token.

Nobody profits from being unattributed. A claim alone never makes a stage milder, and never counts as a
partner's own evidence: a stranger can write any ``iss`` into a token.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from rapidjws.errors import error_for
from rapidjws.jwt.decision import check_names
from rapidjws.rollout.plan import EVERYONE, EVERYWHERE, PHASES, Plan, canary_position
from rapidjws.rollout.routes import is_below
from rapidjws.verify.result import VerifiedJWS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rapidjws.jwt.decision import NamedIssuers, Names, ResultOrError
    from rapidjws.rollout.partner import Partner
    from rapidjws.verify.snapshot import Token

Unattributed = Literal["default", "strictest"]
UNATTRIBUTED: Final[tuple[Unattributed, ...]] = ("default", "strictest")
"""What a request gets that nobody can be attributed to: everyone's stage, or the strictest partner's."""

By = Literal["gateway", "issuer", "claim", "several", "nobody"]

CLAIMED_MAX: Final = 8
"""A token that names an issuer of more partners is counted as claiming none: it says nothing about one of
them, and a stranger's token must not cost work or memory for each."""

WAYS_OUT: Final = 'server.partner_header, or rollout.unattributed = "default" or "strictest"'


@dataclass(frozen=True, slots=True)
class Attribution:
    """Whose request it is, and whose stages count.

    Attributes:
        partner: The partner that it is attributed to, or None.
        by: What by: the gateway named it, its issuer's key verified the signature, the token only claims it,
            several partners fit, or nothing is known.
        choices: The partners whose stages count; the strictest one holds.
        falls_back: Whether the stage of unattributed requests counts as well.
        named: The configured partners that the gateway named.
        claimed: The partners whose issuer or key an unverified token names, where the gateway named nobody
            and at most ``CLAIMED_MAX`` fit.
    """

    partner: str | None
    by: By
    choices: tuple[str, ...]
    falls_back: bool
    named: tuple[str, ...] = ()
    claimed: tuple[str, ...] = ()


NOBODY: Final = Attribution(None, "nobody", (), falls_back=True)


def names_in(partner: Names) -> tuple[str, ...]:
    """Return the names that a gateway gave, each once; several may stand in one value, joined by commas."""
    if partner is None:
        return ()
    if isinstance(partner, str):
        values: tuple[str, ...] = (partner,)
    else:
        check_names(partner, "partner")
        values = partner
    if len(values) == 1 and "," not in values[0]:
        return values if values[0] else ()
    names = (name.strip() for value in values for name in value.split(","))
    return tuple(dict.fromkeys(name for name in names if name))


def owners_of(partners: Iterable[Partner]) -> dict[str, tuple[str, ...]]:
    """Return iss -> the partners that may use it."""
    owners: dict[str, tuple[str, ...]] = {}
    for partner in partners:
        for iss in dict.fromkeys(partner.issuers):
            owners[iss] = (*owners.get(iss, ()), partner.name)
    return owners


def attribute(
    result: ResultOrError,
    *,
    names: tuple[str, ...],
    token: Token | None,
    partners: Mapping[str, Partner],
    owners: Mapping[str, tuple[str, ...]],
    named_issuers: NamedIssuers | None,
) -> Attribution:
    """Return whose request it is.

    Args:
        result: What verification found.
        names: What the gateway says, see ``names_in``.
        token: The token, or None.
        partners: The configured partners by name.
        owners: iss -> partners, see ``owners_of``.
        named_issuers: Gives the issuers that an unverified token names; beside an issuer's first name, whose
            signature it has, the names that hold for it. Or None.
    """
    issuer = result.issuer
    proven = _owners_of_proven(result, token, owners, named_issuers) if owners and issuer is not None else ()
    claims: tuple[tuple[str, ...], ...] = ()
    if issuer is None and owners and token and named_issuers and not isinstance(result, VerifiedJWS):
        claims = tuple(owners[iss] for iss in named_issuers(token) if iss in owners)
    claimed = _each_once(claims)
    known = tuple(name for name in names if name in partners)
    if len(names) == 1 and known:
        foreign = (fitting for fitting in (proven, *claims) if known[0] not in fitting)
        others = dict.fromkeys(name for fitting in foreign for name in fitting)
        return Attribution(known[0], "gateway", (*known, *others), falls_back=False, named=known)
    if not names and len(proven) == 1:
        return Attribution(proven[0], "issuer", proven, falls_back=False)
    choices = _each_once((known, proven, claimed))
    if not choices:
        return NOBODY
    certain = len(known) == len(names) and bool(known or proven)
    by: By = "several" if known or proven else "claim"
    counted = () if known or len(claimed) > CLAIMED_MAX else claimed
    return Attribution(None, by, choices, falls_back=not certain, named=known, claimed=counted)


def _owners_of_proven(
    result: ResultOrError,
    token: Token | None,
    owners: Mapping[str, tuple[str, ...]],
    named_issuers: NamedIssuers | None,
) -> tuple[str, ...]:
    """Return the partners of the issuer whose key verified a token, by any name that holds for it."""
    names: tuple[str, ...] = (str(result.issuer),)
    if isinstance(result, VerifiedJWS):
        names = result._issuer_names
    elif token and named_issuers is not None:
        names = named_issuers(token, str(result.issuer))
    return _each_once(tuple(owners.get(name, ()) for name in names))


def _each_once(groups: tuple[tuple[str, ...], ...]) -> tuple[str, ...]:
    """Return the names of groups that have none twice; a group that is alone as it is, however long."""
    filled = [group for group in groups if group]
    if len(filled) == 1:
        return filled[0]
    return tuple(dict.fromkeys(name for group in filled for name in group))


def check_attribution(
    plan: Plan,
    partners: Mapping[str, Partner],
    *,
    unattributed: Unattributed | None,
    partners_named: bool,
) -> None:
    """Refuse a plan with a stage stricter than the default that nothing attributes requests to.

    Args:
        plan: The plan.
        partners: The configured partners by name.
        unattributed: The operator's written choice, or None.
        partners_named: Whether the gateway names the partner of each request.

    Raises:
        ConfigurationError: ``attribution_missing``, with the ways out.
    """
    if partners_named or unattributed == "strictest":
        return
    found = _StricterThanDefault(plan)
    for name, partner in partners.items():
        has_issuers = bool(tuple(partner.issuers))
        if unattributed is not None and has_issuers:
            continue  # whatever its stage, its issuers attribute its requests
        words = found.words(name)
        if words is None:
            continue
        if unattributed is None:
            raise error_for("attribution_missing", f"partner {name}", WAYS_OUT, words)
        expected = 'issuers of its own, server.partner_header, or unattributed = "strictest"'
        raise error_for("attribution_missing", f"partner {name}", expected, words)


class _StricterThanDefault:
    """The partners with a stage stricter than everyone's: work grows with partners and routes, added up."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._own = plan.names_with_stages()
        self._canary_percent = max(
            (
                stage.canary_percent
                for (name, _), stage in plan.stages.items()
                if name == EVERYONE and stage.canary_percent < 100 and stage.phase != stage.before
            ),
            default=0.0,
        )
        self._routes: dict[str, list[str]] = {}
        for name, route in plan.stages:
            self._routes.setdefault(name, []).append(route)
        routes = (EVERYWHERE, *plan.routes)
        self._default = {route: plan.find(None, route)[1].phase_for(None) for route in routes}
        self._mildest = min(map(PHASES.index, self._default.values()))

    def words(self, name: str) -> str | None:
        """Return in words where a partner's stage is stricter than everybody's, or None."""
        canary = canary_position(name) < self._canary_percent
        if not canary and (name not in self._own or not self._may_be(name)):
            return None
        own = self._routes.get(name, ())
        for route, default in self._default.items():
            if not canary and not any(not one or is_below(route, one) for one in own):
                continue
            mine = self._plan.find(name, route)[1].phase_for(name)
            if PHASES.index(mine) > PHASES.index(default):
                return f"{mine}, by default {default}"
        return None

    def _may_be(self, name: str) -> bool:
        """Return whether a stage of its own is stricter than the mildest of everyone's."""
        stages = self._plan.stages
        return any(
            PHASES.index(stages[name, route].phase_for(name)) > self._mildest for route in self._routes[name]
        )
