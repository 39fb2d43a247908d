"""The phases of a rollout, and which one holds for a partner and a route.

detection lets all through and counts; warning lets all through and says so; allow_list refuses but for
partners on the list until their end date; enforcement refuses. A stage holds one phase for a partner, a
route, both or neither; the most specific one holds. What this never does: keep anything, or look at a token.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any, Final, Literal

from rapidjws.engine.decision import ENFORCEMENT
from rapidjws.errors import error_for
from rapidjws.policy.partner import checked_when_s

Phase = Literal["detection", "warning", "allow_list", "enforcement"]
PHASES: Final[tuple[Phase, ...]] = ("detection", "warning", "allow_list", ENFORCEMENT)
"""All phases, the mildest first."""

EVERYONE: Final = ""
"""The partner of a stage for all partners."""

EVERYWHERE: Final = ""
"""The route of a stage for all routes."""

StageKey = tuple[str, str]

_TWO_READINGS: Final = re.compile(r"//|/\.{1,2}(?:/|$)|[\\;]|%(?:2[5DEFdef]|[3-7][0-9A-Fa-f]|0|$)")


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
        ConfigurationError: ``configuration_invalid``: there is none.
    """
    at = PHASES.index(phase) + step
    if not 0 <= at < len(PHASES):
        raise error_for("configuration_invalid", "phase", expected="a phase beyond", actual=phase)
    return PHASES[at]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Hold a phase, and how many partners are in it already.

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
    """Hold all stages at one moment; a change makes a new one.

    Args:
        stages: (partner, route) -> stage, with a stage for everyone everywhere.
        frozen: Whether promotions and automatic rollbacks are refused.
        revision: Counts changes.

    Raises:
        ConfigurationError: ``configuration_invalid``: no stage for everyone; a route without ``/``.
    """

    stages: Mapping[StageKey, Stage]
    frozen: bool = False
    revision: int = 0

    def __post_init__(self) -> None:
        """Check that there is an answer for everyone."""
        if (EVERYONE, EVERYWHERE) not in self.stages:
            raise error_for("configuration_invalid", "stages", expected="a stage for everyone")
        for _, route in self.stages:
            if route and (has_two_readings(route) or _path(route) != route):
                raise error_for("configuration_invalid", "route", expected="a plain path, /like/this")
        object.__setattr__(self, "stages", MappingProxyType(dict(self.stages)))

    @property
    def routes(self) -> tuple[str, ...]:
        """Return the routes with stages of their own, the longest first."""
        return tuple(sorted({route for _, route in self.stages if route}, key=len, reverse=True))

    def find(self, partner: str | None, route: str | None) -> tuple[StageKey, Stage]:
        """Return the stage that holds: the partner's own before everyone's, a longer route first."""
        stages = self.stages
        routes: tuple[str, ...]
        if len(stages) == 1:
            key = (EVERYONE, EVERYWHERE)
            return key, stages[key]
        if route is None:
            routes = (EVERYWHERE,)
        elif has_two_readings(route):
            return self._strictest(partner)
        else:
            path = _path(route)
            routes = (*(known for known in self.routes if is_below(path, known)), EVERYWHERE)
        for name in (EVERYONE,) if partner is None else (partner, EVERYONE):
            for known in routes:
                stage = stages.get((name, known))
                if stage is not None:
                    return (name, known), stage
        raise error_for("internal_error", "plan")  # unreachable: there is one for everyone

    def _strictest(self, partner: str | None) -> tuple[StageKey, Stage]:
        """Return the strictest stage that a path may fall under, where servers may read it apart."""
        fitting = [
            (key, stage) for key, stage in self.stages.items() if key[0] in (EVERYONE, partner or EVERYONE)
        ]
        return max(fitting, key=lambda item: PHASES.index(item[1].phase_for(partner)))


def is_below(path: str, route: str) -> bool:
    """Return whether a path is a route or lies below it: ``/pay`` holds ``/pay/1`` and not ``/payment``."""
    return path == route or path.startswith(route if route.endswith("/") else route + "/")


def _path(target: str) -> str:
    """Return the path of a request target: without its query."""
    return target.partition("?")[0].partition("#")[0]


def has_two_readings(target: str) -> bool:
    """Return whether servers may disagree about a path: dots, doubled or escaped slashes, escaped letters."""
    return _TWO_READINGS.search(_path(target)) is not None or not target.startswith("/")
