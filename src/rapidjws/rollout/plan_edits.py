"""The changes of a rollout's plan: promote, roll back, freeze. Pure: a plan in, a plan and an entry out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from rapidjws.errors import error_for
from rapidjws.rollout.plan import (
    EVERYONE,
    EVERYWHERE,
    PHASES,
    Phase,
    Plan,
    Stage,
    StageKey,
    checked_phase,
    neighbour,
)
from rapidjws.rollout.routes import is_below
from rapidjws.rollout.state import Change, PlanEdit

if TYPE_CHECKING:
    from collections.abc import Container

    from rapidjws.errors import RapidJWSError

NAME_MAX_CHARS: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Promotion:
    """What a promotion asks for, and the plan it was decided on; see ``Rollout.promote``.

    Attributes:
        seen: The plan that evidence and guard rails were looked at for.
        including: Partners with milder stages of their own that go along.
        check: Called with the plan that would hold; raises where it must not.
    """

    key: StageKey
    seen: Plan
    if_revision: int | None
    to: Phase | None
    canary_percent: float
    enforce_on_s: int | None
    by: str
    why: str
    forced: bool
    now_s: int
    including: frozenset[str] = frozenset()
    check: Callable[[Plan], None] = lambda plan: None


def _checked_words(by: str, why: str) -> None:
    for place, words in (("by", by), ("why", why)):
        if not isinstance(words, str) or len(words) > NAME_MAX_CHARS or not words.isprintable():
            raise error_for("configuration_invalid", place, expected=f"up to {NAME_MAX_CHARS} characters")
    if not by:
        raise error_for("configuration_invalid", "by", expected="who does it")


def stage_of(plan: Plan, key: StageKey) -> Stage:
    """Return the stage that holds for exactly this partner and route, its own or the wider one.

    For one partner a canary is past: it is in it or not.
    """
    partner = key[0] or None
    stage = plan.find(partner, key[1])[1]
    if partner is None or stage.canary_percent >= 100:
        return stage
    phase = stage.phase_for(partner)
    return replace(stage, phase=phase, before=phase, canary_percent=100.0)


def words_for(stage: Stage) -> str:
    """Return a stage in words, for the history."""
    if stage.canary_percent >= 100:
        return stage.phase
    return f"{stage.phase} for {stage.canary_percent:g} %, {stage.before} for the rest"


def _with(plan: Plan, key: StageKey, stage: Stage) -> Plan:
    return replace(plan, stages={**plan.stages, key: stage}, revision=plan.revision + 1)


def _taken_back(step: Promotion, plan: Plan) -> str | None:
    """Return a stage, in words, that a rollback took back after the decision and the promotion would undo.

    Stages of everyone on routes about the promotion's own count, as a partner's stage comes before them.
    """
    route, names = step.key[1], {EVERYONE, step.key[0], *step.including}
    for key in step.seen.stages.keys() | plan.stages.keys():
        if key[0] not in names or not _is_about(key[1], route):
            continue
        now = stage_of(plan, key)
        if _rank(now.phase) < _rank(stage_of(step.seen, key).phase):
            return f"{key[0] or 'everyone'}, {key[1] or 'all routes'}: {words_for(now)}"
    return None


def _is_about(path: str, route: str) -> bool:
    """Return whether two routes are one, or one of them holds the other."""
    return EVERYWHERE in (path, route) or is_below(path, route) or is_below(route, path)


def promote_edit(step: Promotion, held: RapidJWSError | None) -> PlanEdit:
    """Return the change that a promotion makes, refused while frozen or held by a guard rail."""
    _checked_words(step.by, step.why)

    def edit(plan: Plan) -> tuple[Plan, Change]:
        if plan.frozen:
            raise error_for("rollout_frozen", "promote", expected="a rollout that is not frozen")
        if step.if_revision is not None and plan.revision != step.if_revision:
            raise error_for("rollout_changed", "promote", f"revision {step.if_revision}", plan.revision)
        now, seen = stage_of(plan, step.key), stage_of(step.seen, step.key)
        if now != seen:  # the evidence was looked at for another step
            raise error_for("rollout_changed", "promote", words_for(seen), words_for(now))
        taken_back = _taken_back(step, plan)
        if taken_back is not None:
            raise error_for("rollout_changed", "promote", "no rollback meanwhile", taken_back)
        if held is not None:
            raise held
        if step.key[0] and step.canary_percent < 100:
            raise error_for("configuration_invalid", "canary_percent", "100 for one partner")
        widens = now.canary_percent < 100 and step.to in (None, now.phase)
        phase = now.phase if widens else checked_phase(step.to or neighbour(now.phase, 1))
        forward = step.canary_percent > now.canary_percent if widens else _rank(phase) > _rank(now.phase)
        if not forward:
            raise error_for("rollout_no_step", "promote", "a step forward", words_for(now))
        if not widens and now.canary_percent < 100 and step.canary_percent < 100:  # would take some back
            raise error_for("rollout_no_step", "canary_percent", "the present canary at 100 first")
        stage = Stage(
            phase=phase,
            before=now.before if now.canary_percent < 100 else now.phase,
            canary_percent=step.canary_percent,
            enforce_on_s=now.enforce_on_s if step.enforce_on_s is None else step.enforce_on_s,
            since_s=step.now_s,
        )
        after = _including(_with(plan, step.key, stage), step.key, stage, step.including)
        step.check(after)
        return after, _entry(
            step.key, now, stage, after, step.by, step.why, "promote", step.now_s, step.forced
        )

    made = Change(
        at_s=step.now_s, by=step.by, action="promote", partner=step.key[0], route=step.key[1], why=step.why
    )

    def is_goal(after: str) -> bool:
        phase, _, share = after.partition(",")[0].partition(" for ")
        wanted = f"{step.canary_percent:g} %" if step.canary_percent < 100 else ""
        return share == wanted and step.to in (None, phase)

    return PlanEdit(step=made, apply=edit, is_goal=is_goal)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftBehind:
    """A stage of its own that a promotion for everyone leaves milder.

    Attributes:
        partner: Whose it is, ``""`` for everyone on a longer route.
        route: Its route, ``""`` for all.
        phase: Its phase.
        since_s: Since when, seconds since the epoch.
    """

    partner: str
    route: str
    phase: Phase
    since_s: int


def left_behind(plan: Plan, route: str, known: Container[str]) -> tuple[LeftBehind, ...]:
    """Return the stages that stay milder than everyone's on a route, or on a longer one within it.

    Args:
        plan: The plan.
        route: The route, ``""`` for all.
        known: The configured partners: others have left.
    """
    rank = _rank(plan.find(None, route)[1].phase)
    found: dict[StageKey, LeftBehind] = {}
    for (name, path), stage in plan.stages.items():
        within = route in (EVERYWHERE, path) or (path and is_below(path, route))
        holds = path == EVERYWHERE or is_below(route, path)  # a wider stage of its own comes first
        if (name and name not in known) or not (within or (name and holds)) or (name, path) == ("", route):
            continue
        if not within and plan.find(name, route)[1] is not stage:
            continue
        phase = stage.phase_for(name) if name else stage.phase
        if _rank(phase) < rank:
            found[name, path] = LeftBehind(partner=name, route=path, phase=phase, since_s=stage.since_s)
    return tuple(found[key] for key in sorted(found))


def _including(plan: Plan, key: StageKey, stage: Stage, names: frozenset[str]) -> Plan:
    """Take partners with milder stages of their own along: what is within the route follows everyone's."""
    if not names:
        return plan
    route = key[1]
    behind = {(one.partner, one.route) for one in left_behind(plan, route, names) if one.partner in names}
    within = {pair for pair in behind if route == EVERYWHERE or (pair[1] and is_below(pair[1], route))}
    stages = {pair: one for pair, one in plan.stages.items() if pair not in within}
    for name in sorted({name for name, _ in behind}):
        wider = plan.matching(route)[1:] if route else ()
        if any((name, path) in stages for path in wider):  # it comes before everyone's stage on this route
            stages[name, route] = stage
    return replace(plan, stages=stages)


def _capped_stage(stage: Stage, phase: Phase) -> Stage:
    """Return a stage that is nowhere stricter than a phase, nor than it was: who is in no canary stays."""
    if _rank(stage.phase) <= _rank(phase):
        return stage
    if stage.canary_percent < 100 and _rank(stage.before) < _rank(phase):
        return replace(stage, phase=phase)
    return replace(stage, phase=phase, before=phase, canary_percent=100.0)


def _capped(plan: Plan, key: StageKey, cap: Stage) -> Plan:
    """Take narrower stages back as well: whoever rolls back for everyone means everyone."""
    partner, route = key

    def taken_back(stage: Stage) -> Stage:
        capped = _capped_stage(stage, cap.phase)
        return replace(capped, enforce_on_s=cap.enforce_on_s, since_s=cap.since_s)

    named = {name for name, _ in plan.stages if name} if partner == EVERYONE and route else set()
    found = {name: stage_of(plan, (name, route)) for name in named}
    own = {
        (name, route): taken_back(stage)
        for name, stage in found.items()
        if _rank(stage.phase) > _rank(cap.phase)
    }
    stages = {
        (name, path): taken_back(stage)
        if partner in (EVERYONE, name)
        and (route == EVERYWHERE or is_below(path, route))
        and _rank(stage.phase) > _rank(cap.phase)
        else stage
        for (name, path), stage in plan.stages.items()
    }
    return replace(plan, stages={**stages, **own})


def _rank(phase: Phase) -> int:
    return PHASES.index(phase)


def rollback_edit(
    key: StageKey, to: Phase | None, *, by: str, why: str, action: str, now_s: int, only: Stage | None = None
) -> PlanEdit:
    """Return the change that goes back to a milder phase.

    Args:
        key: Partner and route.
        to: The phase, or None for the one before.
        by: Who.
        why: The reason.
        action: The word for the history.
        now_s: Seconds since the epoch.
        only: For a guard rail: the stage it watched; another worker may have taken that back, or somebody
            frozen the plan.
    """
    _checked_words(by, why)

    def edit(plan: Plan) -> tuple[Plan, Change | None]:
        now = stage_of(plan, key)
        if only is not None and (plan.frozen or plan.find(key[0] or None, key[1])[1] != only):
            raise error_for("rollout_changed", "rollback", words_for(only), words_for(now))
        canary = now.canary_percent < 100
        milder = now.before if canary else neighbour(now.phase, -1) if to is None else now.before
        phase = checked_phase(milder if to is None else to)
        is_there = to is not None and phase == now.phase
        if is_there and _capped(plan, key, now) == plan:
            return plan, None  # asked for again after a fault
        if _rank(phase) >= _rank(now.phase) and not is_there:
            raise error_for("rollout_no_step", "rollback", "a step back", words_for(now))
        stage = replace(_capped_stage(now, phase), since_s=now_s)
        after = _capped(_with(plan, key, stage), key, stage)
        return after, _entry(key, now, stage, after, by, why, action, now_s, forced=False)

    made = Change(at_s=now_s, by=by, action=action, partner=key[0], route=key[1], why=why)
    return PlanEdit(step=made, apply=edit, is_goal=lambda after: to in (None, after))


def _entry(
    key: StageKey,
    now: Stage,
    stage: Stage,
    plan: Plan,
    by: str,
    why: str,
    action: str,
    now_s: int,
    forced: bool,
) -> Change:
    return Change(
        at_s=now_s,
        by=by,
        action=action,
        partner=key[0],
        route=key[1],
        before=words_for(now),
        after=words_for(stage),
        why=why,
        forced=forced,
        revision=plan.revision,
    )


def freeze_edit(*, by: str, why: str, now_s: int, frozen: bool) -> PlanEdit:
    """Return the change that freezes or thaws."""
    _checked_words(by, why)
    made = Change(at_s=now_s, by=by, action="freeze" if frozen else "thaw", why=why)

    def edit(plan: Plan) -> tuple[Plan, Change]:
        after = replace(plan, frozen=frozen, revision=plan.revision + 1)
        return after, replace(made, revision=after.revision)

    return PlanEdit(step=made, apply=edit)
