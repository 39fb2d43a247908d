"""Which stage holds for a request: of all that its partners and its route may mean, the strictest one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from rapidjws.jwt.decision import check_names
from rapidjws.rollout.plan import EVERYWHERE, PHASES, Phase, Plan, Stage, StageKey, canary_position, folded
from rapidjws.rollout.routes import route_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from rapidjws.jwt.decision import Names
    from rapidjws.rollout.attribution import Attribution, Unattributed
    from rapidjws.rollout.partner import Partner

_RANKS: Final = {phase: 2 * number for number, phase in enumerate(PHASES)}

FEW_PARTNERS: Final = 8
"""Partners whose stages are looked up one by one at each request."""

ANSWERS_MAX: Final = 2048
"""Most answers that are remembered of a plan: one for each set of many partners and routes."""

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


class _Answer(NamedTuple):
    """What was chosen among many partners, and when that holds: an exception of one of them has an end."""

    chosen: Chosen
    from_s: int
    until_s: float


class StageChoice:
    """The choice of the stage of requests.

    Args:
        partners: The configured partners by name.
        unattributed: What a request gets that nobody can be attributed to.
        fold_case: Whether upper and lower case are the same in routes.
    """

    __slots__ = ("_ends", "_fold_case", "_folded", "_memo", "_partners", "_positions", "_unattributed")

    def __init__(
        self, partners: Mapping[str, Partner], *, unattributed: Unattributed, fold_case: bool
    ) -> None:
        self._partners = partners
        self._unattributed = unattributed
        self._fold_case = fold_case
        self._folded: tuple[Plan, Plan] | None = None
        self._memo: dict[int, tuple[Plan, dict[object, _Answer]]] = {}
        self._positions = {name: canary_position(name) for name in partners}
        ends = {partner.allow_listed_until_s for partner in partners.values()}
        self._ends = sorted(end for end in ends if end is not None)

    def choose(self, plan: Plan, who: Attribution, route: Names, now_s: int) -> Chosen:
        """Return the stage that holds for a request.

        Args:
            plan: The plan of this moment.
            who: Whose request it is.
            route: The route as it was sent; several where the gateway sent several.
            now_s: Seconds since the epoch.
        """
        readings = self._readings(plan, route)
        if len(readings) == 1 and len(who.choices) == 1 and not who.falls_back:
            return _found(readings[0], who.choices[0])
        found = [self._strictest(reading, who.choices, now_s) for reading in readings if who.choices]
        if who.falls_back:
            found += [self._for_nobody(reading) for reading in readings]
        return max(found, key=lambda one: self._rank(one, now_s))

    def _strictest(self, reading: Reading, names: tuple[str, ...], now_s: int) -> Chosen:
        """Return the strictest stage among partners; of many, which a stranger can name, it is kept."""
        if len(names) <= FEW_PARTNERS:
            return self._find_strictest(reading, names, now_s)
        plan, routes = reading
        memo, key = self._memo_of(plan), (routes, names)
        kept = memo.get(key)
        if kept is None or not kept.from_s <= now_s < kept.until_s:
            listed = {name for name in names if self._partners[name].is_allow_listed(now_s)}
            others = self._apart(plan, [name for name in names if name not in listed])
            apart = (*others, *self._apart(plan, listed))
            until_s = min((end for end in self._ends if end > now_s), default=math.inf)
            kept = _Answer(self._find_strictest(reading, apart, now_s), now_s, until_s)
            _remember(memo, key, kept)
        return kept.chosen

    def _find_strictest(self, reading: Reading, names: tuple[str, ...], now_s: int) -> Chosen:
        return max((_found(reading, name) for name in names), key=lambda one: self._rank(one, now_s))

    def _apart(self, plan: Plan, names: Collection[str]) -> list[str]:
        """Return names of which one has the strictest stage.

        These are all with stages of their own, and the first canary of the rest: a stage is never stricter
        for the others.
        """
        own = plan.names_with_stages()
        rest = [name for name in names if name not in own]
        first = [min(rest, key=self._positions.__getitem__)] if rest else []
        return [*(name for name in names if name in own), *first]

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
        memo = self._memo_of(plan)
        kept = memo.get(routes)
        if kept is None:
            every = [default, *(_found(reading, name) for name in self._apart(plan, self._partners))]
            kept = _Answer(max(every, key=lambda one: _RANKS[one.phase]), 0, math.inf)
            _remember(memo, routes, kept)
        found = kept.chosen
        return Chosen(found.key, found.stage, found.phase, None, found.route)

    def _memo_of(self, plan: Plan) -> dict[object, _Answer]:
        """Return what is kept of a plan, and of those before it: a request may still go by one."""
        kept = self._memo.get(id(plan))
        if kept is None or kept[0] is not plan:
            kept = (plan, {})
            before = {id(one): (one, memo) for one, memo in [*self._memo.values()][-3:]}
            self._memo = before | {id(plan): kept}
        return kept[1]


def _remember(memo: dict[object, _Answer], key: object, answer: _Answer) -> None:
    if len(memo) >= ANSWERS_MAX:
        memo.clear()
    memo[key] = answer


def _reading(plan: Plan, spelled: str | None) -> Reading:
    return plan, None if spelled is None else plan.matching(spelled)


def _found(reading: Reading, name: str | None) -> Chosen:
    plan, routes = reading
    key, stage = plan.strictest(name) if routes is None else plan.among(name, routes)
    return Chosen(key, stage, stage.phase_for(name), name, "" if routes is None else key[1])
