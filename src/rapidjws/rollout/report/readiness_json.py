"""A readiness report out of its JSON values: what a running service answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rapidjws.rollout.escalation import Escalation
from rapidjws.rollout.report.readiness import Compared, PartnerReadiness, Readiness, Seen

if TYPE_CHECKING:
    from collections.abc import Mapping

_SEEN = ("failures", "algorithms", "unknown_kids", "other_algorithms", "claims")


def readiness_of(members: Mapping[str, Any]) -> Readiness:
    """Return the report that ``Readiness.as_dict`` gave.

    Raises:
        KeyError: It is none; likewise TypeError, ValueError, AttributeError.
    """
    shadow = tuple(
        Compared(partner=one["partner"], route=one["route"], seen=Seen(**one["seen"]))
        for one in members["shadow"]
    )
    found = tuple(
        Escalation(**{**one, "evidence": tuple((str(name), str(value)) for name, value in one["evidence"])})
        for one in members["escalations"]
    )
    partners = tuple(_partner(one) for one in members["partners"])
    return Readiness(**{**members, "partners": partners, "shadow": shadow, "escalations": found})


def _partner(members: Mapping[str, Any]) -> PartnerReadiness:
    tables = {name: tuple(Seen(**one) for one in members[name]) for name in _SEEN}
    days = tuple((int(day), int(total), int(failed)) for day, total, failed in members["days"])
    return PartnerReadiness(**{**members, **tables, "days": days, "latency": tuple(members["latency"])})
