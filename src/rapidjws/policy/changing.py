"""The changes of a rollout's plan: promote, roll back, freeze. Pure: a plan in, a plan and an entry out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from rapidjws.errors import error_for
from rapidjws.policy.stages import (
    EVERYONE,
    EVERYWHERE,
    PHASES,
    Phase,
    Plan,
    Stage,
    StageKey,
    checked_phase,
    is_below,
    neighbour,
)
from rapidjws.policy.state import Change

if TYPE_CHECKING:
    from collections.abc import Callable

NAME_MAX_CHARS: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Promotion:
    """Hold what a promotion asks for; see ``Rollout.promote``."""

    key: StageKey
    to: Phase | None
    canary_percent: float
    enforce_on_s: int | None
    by: str
    why: str
    forced: bool
    now_s: int


def _checked_words(by: str, why: str) -> None:
    for place, words in (("by", by), ("why", why)):
        if not isinstance(words, str) or len(words) > NAME_MAX_CHARS or not words.isprintable():
            raise error_for("configuration_invalid", place, expected=f"up to {NAME_MAX_CHARS} characters")
    if not by:
        raise error_for("configuration_invalid", "by", expected="who does it")


def _stage_of(plan: Plan, key: StageKey) -> Stage:
    """Return the stage that holds for exactly this partner and route, its own or the wider one."""
    return plan.find(key[0] or None, key[1] or None)[1]


def words_for(stage: Stage) -> str:
    """Return a stage in words, for the history."""
    if stage.canary_percent >= 100:
        return stage.phase
    return f"{stage.phase} for {stage.canary_percent:g} %, {stage.before} for the rest"


def _with(plan: Plan, key: StageKey, stage: Stage) -> Plan:
    return replace(plan, stages={**plan.stages, key: stage}, revision=plan.revision + 1)


def promote_edit(step: Promotion, held: str | None) -> Callable[[Plan], tuple[Plan, Change]]:
    """Return the change that a promotion makes, refused while frozen or held by a guard rail."""
    _checked_words(step.by, step.why)

    def edit(plan: Plan) -> tuple[Plan, Change]:
        if plan.frozen:
            raise error_for("configuration_invalid", "promote", expected="a rollout that is not frozen")
        if held is not None:
            raise error_for("configuration_invalid", "promote", "the guard rails' consent, or force", held)
        now = _stage_of(plan, step.key)
        widens = now.canary_percent < 100 and step.to in (None, now.phase)
        phase = now.phase if widens else checked_phase(step.to or neighbour(now.phase, 1))
        forward = step.canary_percent > now.canary_percent if widens else _rank(phase) > _rank(now.phase)
        if not forward:
            raise error_for("configuration_invalid", "promote", "a step forward", words_for(now))
        stage = Stage(
            phase=phase,
            before=now.before if now.canary_percent < 100 else now.phase,
            canary_percent=step.canary_percent,
            enforce_on_s=now.enforce_on_s if step.enforce_on_s is None else step.enforce_on_s,
            since_s=step.now_s,
        )
        after = _with(plan, step.key, stage)
        return after, _entry(
            step.key, now, stage, after, step.by, step.why, "promote", step.now_s, step.forced
        )

    return edit


def _capped(plan: Plan, key: StageKey, cap: Stage) -> Plan:
    """Take narrower stages back as well: whoever rolls back for everyone means everyone."""
    partner, route = key
    stages = {
        (name, path): cap
        if partner in (EVERYONE, name)
        and (route == EVERYWHERE or is_below(path, route))
        and _rank(stage.phase) > _rank(cap.phase)
        else stage
        for (name, path), stage in plan.stages.items()
    }
    return replace(plan, stages=stages)


def _rank(phase: Phase) -> int:
    return PHASES.index(phase)


def rollback_edit(
    key: StageKey, to: Phase | None, *, by: str, why: str, action: str, now_s: int
) -> Callable[[Plan], tuple[Plan, Change]]:
    """Return the change that goes back to a milder phase."""
    _checked_words(by, why)

    def edit(plan: Plan) -> tuple[Plan, Change]:
        now = _stage_of(plan, key)
        canary = now.canary_percent < 100
        milder = now.before if canary else neighbour(now.phase, -1) if to is None else now.before
        phase = checked_phase(milder if to is None else to)
        if _rank(phase) >= _rank(now.phase):
            raise error_for("configuration_invalid", "rollback", "a step back", words_for(now))
        stage = Stage(phase=phase, before=phase, enforce_on_s=now.enforce_on_s, since_s=now_s)
        after = _capped(_with(plan, key, stage), key, stage)
        return after, _entry(key, now, stage, after, by, why, action, now_s, forced=False)

    return edit


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


def freeze_edit(*, by: str, why: str, now_s: int, frozen: bool) -> Callable[[Plan], tuple[Plan, Change]]:
    """Return the change that freezes or thaws."""
    _checked_words(by, why)

    def edit(plan: Plan) -> tuple[Plan, Change]:
        after = replace(plan, frozen=frozen, revision=plan.revision + 1)
        action = "freeze" if frozen else "thaw"
        return after, Change(at_s=now_s, by=by, action=action, why=why, revision=after.revision)

    return edit
