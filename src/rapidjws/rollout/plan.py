"""The phases of a rollout, and which one holds for a partner and a route.

detection lets all through and counts; warning lets all through and says so; allow_list refuses but for
partners on the list until their end date; enforcement refuses. A stage holds one phase for a partner, a
route, both or neither; the most specific one holds. What this never does: keep anything, or look at a token.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final, Literal

from rapidjws._checks import checked
from rapidjws.errors import error_for
from rapidjws.jwt.decision import ENFORCEMENT
from rapidjws.rollout.partner import checked_when_s
from rapidjws.rollout.routes import is_below, route_of

Phase = Literal["detection", "warning", "allow_list", "enforcement"]
PHASES: Final[tuple[Phase, ...]] = ("detection", "warning", "allow_list", ENFORCEMENT)
"""All phases, the mildest first."""

EVERYONE: Final = ""
"""The partner of a stage for all partners."""

EVERYWHERE: Final = ""
"""The route of a stage for all routes."""

StageKey = tuple[str, str]


def checked_phase(phase: object) -> Phase:
    """Return a phase.

    Raises:
        ConfigurationError: ``configuration_invalid``: no such phase.
    """
    for known in PHASES:
        if phase == known:
            return known
    raise error_for("configuration_invalid", "phase", expected=PHASES, actual=str(phase))


def neighbour(phase: Phase, step: Literal[-1, 1]) -> Phase:
    """Return the next stricter phase, or the next milder one.

    Raises:
        RolloutRefused: ``rollout_no_step``: there is none.
    """
    at = PHASES.index(phase) + step
    if not 0 <= at < len(PHASES):
        raise error_for("rollout_no_step", "phase", expected="a phase beyond", actual=phase)
    return PHASES[at]


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A phase, and how many partners are in it already.

    Args:
        phase: The phase of the canaries, and of all where ``canary_percent`` is 100.
        before: The phase of the others.
        canary_percent: The share of partners that are canaries, above 0 to 100; stable for a partner.
        enforce_on_s: The announced date of enforcement, seconds since the epoch, or None.
        since_s: Since when, seconds since the epoch.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """

    phase: Phase
    before: Phase
    canary_percent: float = 100.0
    enforce_on_s: int | None = None
    since_s: int = 0

    def __post_init__(self) -> None:
        """Check every argument once."""
        checked_phase(self.phase)
        checked_phase(self.before)
        if PHASES.index(self.before) > PHASES.index(self.phase):
            raise error_for("configuration_invalid", "stage.before", expected="no stricter than phase")
        share = self.canary_percent
        if isinstance(share, bool) or not isinstance(share, (int, float)) or not math.isfinite(share):
            raise error_for("configuration_invalid", "canary_percent", expected="above 0 to 100")
        if not 0 < share <= 100:
            raise error_for("configuration_invalid", "canary_percent", "above 0 to 100", share)
        if self.enforce_on_s is not None:
            checked_when_s("enforce_on_s", self.enforce_on_s)
        checked_when_s("since_s", self.since_s)

    def phase_for(self, partner: str | None) -> Phase:
        """Return the phase of a partner; unknown ones are canaries last, with 100 percent."""
        if self.canary_percent >= 100:
            return self.phase
        if partner is None:
            return self.before
        return self.phase if canary_position(partner) < self.canary_percent else self.before

    def as_dict(self) -> dict[str, Any]:
        """Return the members as they are kept."""
        return asdict(self)


def canary_position(partner: str) -> float:
    """Return where from 0 to below 100 a partner stands: it joins when the share passes it."""
    digest = hashlib.sha256(b"rapidjws canary\0" + partner.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:6], "big") / 2**48 * 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All stages at one moment; a change makes a new one.

    Args:
        stages: (partner, route) -> stage, with a stage for everyone everywhere. Routes are spelled as
            ``routes.route_of`` spells them.
        frozen: Whether promotions and automatic rollbacks are refused.
        revision: Counts changes.

    Raises:
        ConfigurationError: ``configuration_invalid``: no stage for everyone; a route that is no plain path.
    """

    stages: Mapping[StageKey, Stage]
    frozen: bool = False
    revision: int = 0
    _index: _Index = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Check that there is an answer for everyone."""
        if (EVERYONE, EVERYWHERE) not in self.stages:
            raise error_for("configuration_invalid", "stages", expected="a stage for everyone")
        for _, route in self.stages:
            if route and route_of(route) != route:
                raise error_for(
                    "configuration_invalid", "route", route_of(route) or "a plain path, /like/this", route
                )
        object.__setattr__(self, "stages", MappingProxyType(dict(self.stages)))
        object.__setattr__(self, "_index", _Index(self.stages))

    @property
    def routes(self) -> tuple[str, ...]:
        """Return the routes with stages of their own, the longest first."""
        return self._index.routes

    def names_with_stages(self) -> frozenset[str]:
        """Return the partners with stages of their own."""
        return self._index.names

    def matching(self, route: str) -> tuple[str, ...]:
        """Return the configured routes that hold a path, the longest first, all of them (``""``) last.

        Args:
            route: As ``routes.route_of`` spells it.
        """
        return self._index.matching(route)

    def among(self, partner: str | None, routes: Sequence[str]) -> tuple[StageKey, Stage]:
        """Return the stage that holds: the partner's own before everyone's, a longer route first.

        Args:
            partner: The partner, or None for whoever is none.
            routes: Configured routes, in the order in which they count; see ``matching``.
        """
        stages = self.stages
        if partner is not None and partner in self._index.names:
            for route in routes:
                stage = stages.get((partner, route))
                if stage is not None:
                    return (partner, route), stage
        for route in routes:
            stage = stages.get((EVERYONE, route))
            if stage is not None:
                return (EVERYONE, route), stage
        return (EVERYONE, EVERYWHERE), stages[EVERYONE, EVERYWHERE]

    def find(self, partner: str | None, route: str | None) -> tuple[StageKey, Stage]:
        """Return the stage that holds for a path as it was sent; None or ``""`` for what is below no route.

        A path that servers may read apart gets the strictest stage.
        """
        if not route:
            return self.among(partner, (EVERYWHERE,))
        spelled = route_of(route)
        return self.strictest(partner) if spelled is None else self.among(partner, self.matching(spelled))

    def strictest(self, partner: str | None) -> tuple[StageKey, Stage]:
        """Return the strictest stage that a partner's requests can get on any route."""
        return max(self._index.possible(partner), key=lambda item: PHASES.index(item[1].phase_for(partner)))


class _Index:
    """What a plan's look-ups go by, made once a plan: neither grows with partners or routes."""

    __slots__ = ("_kinds", "_known", "_lengths", "_possible", "_stages", "names", "routes")

    def __init__(self, stages: Mapping[StageKey, Stage]) -> None:
        self._known = frozenset(route for _, route in stages if route)
        self.routes = tuple(sorted(self._known, key=lambda one: (-len(one), one)))
        self.names = frozenset(name for name, _ in stages if name)
        self._lengths = tuple(sorted({len(route) for route in self.routes}, reverse=True))
        self._stages: dict[str, list[tuple[StageKey, Stage]]] = {}
        for (name, route), stage in stages.items():
            self._stages.setdefault(name, []).append(((name, route), stage))
        kinds: dict[tuple[Phase, Phase, float], list[tuple[StageKey, Stage]]] = {}
        for key, stage in self._stages[EVERYONE]:
            kinds.setdefault((stage.phase, stage.before, stage.canary_percent), []).append((key, stage))
        self._kinds = tuple(kinds.values())
        self._possible: dict[str, tuple[tuple[StageKey, Stage], ...]] = {}

    def matching(self, route: str) -> tuple[str, ...]:
        """Return the configured routes that hold a path, the longest first, all of them last."""
        known = self._known
        found = [
            piece for size in self._lengths if (piece := route[:size]) in known and is_below(route, piece)
        ]
        return (*found, EVERYWHERE)

    def possible(self, partner: str | None) -> tuple[tuple[StageKey, Stage], ...]:
        """Return a stage of each kind that a partner's requests can get, on whatever route."""
        name = partner if partner in self.names and partner else EVERYONE
        found = self._possible.get(name)
        if found is None:
            found = self._possible[name] = self._find_possible(name)
        return found

    def _find_possible(self, name: str) -> tuple[tuple[StageKey, Stage], ...]:
        if name == EVERYONE:
            return tuple(kind[0] for kind in self._kinds)
        own = self._stages[name]
        routes = [key[1] for key, _ in own]

        def is_hidden(route: str) -> bool:
            """Return whether a stage of its own comes before everyone's on all of a route."""
            return any(not mine or is_below(route, mine) for mine in routes)

        first = (next((one for one in kind if not is_hidden(one[0][1])), None) for kind in self._kinds)
        return (*own, *(one for one in first if one is not None))


def folded(plan: Plan) -> Plan:
    """Return a plan whose routes are in lower case; of two that become one, the stricter stage stays."""
    if all(route_of(route, fold_case=True) == route for route in plan.routes):
        return plan
    stages: dict[StageKey, Stage] = {}
    for (name, route), stage in plan.stages.items():
        key = (name, (route_of(route, fold_case=True) or route) if route else route)
        stages[key] = max(stages.get(key, stage), stage, key=_strictness)
    return replace(plan, stages=stages)


def _strictness(stage: Stage) -> tuple[int, int, float]:
    return PHASES.index(stage.phase), PHASES.index(stage.before), stage.canary_percent
