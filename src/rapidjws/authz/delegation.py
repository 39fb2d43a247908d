"""Who may act for whom: the ``act`` claim and its chain (RFC 8693 section 4.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rapidjws._checks import checked
from rapidjws.authz.claim_conditions import names_of
from rapidjws.authz.facts import Unmet
from rapidjws.errors import error_for

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from rapidjws.authz.facts import Check, Facts

DEPTH_MAX: Final = 16
"""Most actors of a chain, whatever a rule says."""

_UNMET: Final = Unmet("actor_not_allowed", "claims.act")


def chain_of(claims: Mapping[str, Any], issuers: frozenset[str] = frozenset()) -> tuple[str, ...] | None:
    """Return the actors of a token, the present one first; none where nobody acts for the subject.

    Args:
        claims: Verified claims.
        issuers: Issuers beside the token's own whose actors are known by their ``sub`` alone.

    Returns:
        The ``sub`` of each; None where the chain is malformed: an actor that is no object, has no ``sub``,
        or is one of another issuer.

    Source: RFC 8693 section 4.1.
    """
    found: list[str] = []
    inner: Any = claims
    own = claims.get("iss")
    while "act" in inner:
        inner = inner["act"]
        actor = inner.get("sub") if isinstance(inner, dict) else None
        if not isinstance(actor, str) or not actor or len(found) >= DEPTH_MAX:
            return None
        iss = inner.get("iss", own)
        if iss != own and not (isinstance(iss, str) and iss in issuers):
            return None  # RFC 8693 s.4.1: iss and sub together say who it is
        found.append(actor)
    return tuple(found)


@checked(under="act")
class Delegation:
    """Who may act for a token's subject.

    Args:
        max_depth: Most actors of the chain; 0: nobody acts for another.
        required: Whether somebody must.
        actors: Who may be the present actor, by ``sub``; empty for whoever it is.
        prior_actors: Who may stand before, further in; empty for whoever it is. RFC 8693 gives them no say:
            this can only refuse.
        on_behalf_of: Actor -> the subjects for whom it may act; an actor that is not named acts for nobody.
        actor_issuers: ``iss`` that an actor may have beside the token's own; one of another issuer may bear
            the same ``sub``, and is refused.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """

    __slots__ = ("_actors", "_for", "_issuers", "_max_depth", "_prior", "_required")

    def __init__(
        self,
        *,
        max_depth: int = 1,
        required: bool = False,
        actors: Collection[str] = (),
        prior_actors: Collection[str] = (),
        on_behalf_of: Mapping[str, Collection[str]] | None = None,
        actor_issuers: Collection[str] = (),
    ) -> None:
        if not 0 <= max_depth <= DEPTH_MAX:
            raise error_for("configuration_invalid", "act.max_depth", f"0 to {DEPTH_MAX}", max_depth)
        if not max_depth and (required or actors or prior_actors or on_behalf_of):
            raise error_for("configuration_invalid", "act.max_depth", "from 1 on, where somebody may act")
        self._max_depth = max_depth
        self._required = required
        self._actors = frozenset(names_of(actors, "act.actors")) if actors else None
        self._prior = frozenset(names_of(prior_actors, "act.prior_actors")) if prior_actors else None
        self._issuers = frozenset(names_of(actor_issuers, "act.actor_issuers") if actor_issuers else ())
        self._for: dict[str, frozenset[str]] | None = None
        if on_behalf_of is not None:
            given = {one: names_of(of, f"act.on_behalf_of.{one}") for one, of in on_behalf_of.items()}
            names_of(tuple(given), "act.on_behalf_of", "actors and their subjects")
            self._for = {one: frozenset(of) for one, of in given.items()}

    def check(self) -> Check:
        """Return the check of a token."""

        def check(facts: Facts) -> Unmet | None:
            if "act" not in facts.claims and not self._required:
                return None
            return None if self._holds(facts.claims) else _UNMET

        return check

    def _holds(self, claims: Mapping[str, Any]) -> bool:
        chain = chain_of(claims, self._issuers)
        if not chain or len(chain) > self._max_depth:
            return False
        if self._actors is not None and chain[0] not in self._actors:
            return False
        if self._prior is not None and not self._prior.issuperset(chain[1:]):
            return False
        subject = claims.get("sub")
        if self._for is not None:
            return isinstance(subject, str) and subject in self._for.get(chain[0], ())
        return True
