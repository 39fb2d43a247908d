"""Which stage holds for a request: of all that its partners and its route may mean, the strictest one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from rapidjws.jwt.decision import check_names
from rapidjws.rollout.plan import EVERYWHERE, PHASES, Phase, Plan, Stage, StageKey, folded
from rapidjws.rollout.routes import route_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rapidjws.jwt.decision import Names
    from rapidjws.rollout.attribution import Attribution, Unattributed
    from rapidjws.rollout.partner import Partner

_RANKS: Final = {phase: 2 * number for number, phase in enumerate(PHASES)}

Reading = tuple[Plan, "tuple[str, ...] | None"]
"""A plan, and the configured routes that hold a path in it; None where the path has no safe spelling."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """The stage that holds.

    Attributes:
        key: Partner and route of the stage.
        stage: The stage.
        phase: Its phase for whom it was chosen.
        name: Whose it is: the partner it was looked up for, or None for the default.
        route: The route that it is counted under; ``""`` where the path has no safe spelling.
    """

    key: StageKey
    stage: Stage
    phase: Phase
    name: str | None
    route: str


class StageChoice:
    """The choice of the stage of requests.

    Args:
        partners: The configured partners by name.
        unattributed: What a request gets that nobody can be attributed to.
        fold_case: Whether upper and lower case are the same in routes.
    """

    __slots__ = ("_fold_case", "_folded", "_memo", "_partners", "_unattributed")

    def __init__(
        self, partners: Mapping[str, Partner], *, unattributed: Unattributed, fold_case: bool
    ) -> None:
        self._partners = partners
        self._unattributed = unattributed
        self._fold_case = fold_case
        self._folded: tuple[Plan, Plan] | None = None
        self._memo: dict[int, tuple[Plan, dict[object, Chosen]]] = {}

    def choose(self, plan: Plan, who: Attribution, route: Names, now_s: int) -> Chosen:
        """Return the stage that holds for a request.

        Args:
            plan: The plan of this moment.
            who: Whose request it is.
            route: The route as it was sent; several where the gateway said several.
            now_s: Seconds since the epoch.
        """
        readings = self._readings(plan, route)
        if len(readings) == 1 and len(who.choices) == 1 and not who.falls_back:
            return _found(readings[0], who.choices[0])
        found = [_found(reading, name) for reading in readings for name in who.choices]
        if who.falls_back:
            found += [self._for_nobody(reading) for reading in readings]
        return max(found, key=lambda one: self._rank(one, now_s))

    def _rank(self, one: Chosen, now_s: int) -> int:
        """Return how strict a stage is for whom it was chosen: who is on the allow-list is not refused."""
        rank = _RANKS[one.phase]
        if one.phase == "allow_list" and one.name is not None:
            return rank - self._partners[one.name].is_allow_listed(now_s)
        return rank

    def _readings(self, plan: Plan, route: Names) -> list[Reading]:
        """Return what a route may mean; where case counts, a path in another case than a stage's is two."""
        if not plan.routes:
            return [(plan, (EVERYWHERE,))]
        readings: list[Reading] = []
        if route is not None and not isinstance(route, str):
            check_names(route, "route")
        for target in (route,) if route is None or isinstance(route, str) else route or (None,):
            if self._fold_case:
                readings.append(_reading(self._folded_plan(plan), route_of(target, fold_case=True)))
                continue
            spelled = route_of(target)
            readings.append(_reading(plan, spelled))
            other = self._folded_plan(plan)
            if spelled is not None and (other is not plan or spelled != spelled.lower()):
                readings.append(_reading(other, route_of(target, fold_case=True)))
        return readings

    def _folded_plan(self, plan: Plan) -> Plan:
        kept = self._folded
        if kept is None or kept[0] is not plan:
            self._folded = kept = (plan, folded(plan))
        return kept[1]

    def _for_nobody(self, reading: Reading) -> Chosen:
        """Return the stage of a request that nobody can be attributed to, by the operator's choice."""
        default = _found(reading, None)
        if self._unattributed == "default":
            return default
        plan, routes = reading
        kept = self._memo.get(id(plan))
        if kept is None or kept[0] is not plan:
            kept = (plan, {})
            self._memo = {id(one): (one, memo) for one, memo in [*self._memo.values()][-1:]} | {
                id(plan): kept
            }
        found = kept[1].get(routes)
        if found is None:
            every = [default, *(_found(reading, name) for name in self._partners)]
            found = kept[1][routes] = max(every, key=lambda one: _RANKS[one.phase])
        return Chosen(found.key, found.stage, found.phase, None, found.route)


def _reading(plan: Plan, spelled: str | None) -> Reading:
    return plan, None if spelled is None else plan.matching(spelled)


def _found(reading: Reading, name: str | None) -> Chosen:
    plan, routes = reading
    key, stage = plan.strictest(name) if routes is None else plan.among(name, routes)
    return Chosen(key, stage, stage.phase_for(name), name, "" if routes is None else key[1])
