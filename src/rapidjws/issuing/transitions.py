"""The changes of an issuer's keys, each a function from a state to the next one, or an error and no change.

next -> active -> retired -> removed;  next, active and retired -> tainted -> removed
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from rapidjws.errors import error_for
from rapidjws.issuing.state import KEYS_MAX, IssuingState, SigningKey
from rapidjws.issuing.timing import number

if TYPE_CHECKING:
    from rapidjws.issuing.timing import KeyTiming

REMOVED_KEPT: Final = 200
"""How many removed keys stay listed, so that neither their kids nor their keys come again."""


def moment(state: IssuingState, now_s: float, timing: KeyTiming) -> float:
    """Return the time of a change: never before that of the last one.

    Raises:
        DependencyUnavailable: ``issuing_clock``: the clock ran back by more than two clocks may differ.
    """
    behind_s = state.written_at_s - now_s
    allowed_s = 2 * timing.clock_skew_s
    if behind_s > allowed_s:
        expected = f"at most 2 x clock_skew_s = {number(allowed_s)} s behind the last change"
        raise error_for("issuing_clock", "clock", expected, f"{number(behind_s)} s")
    return max(now_s, state.written_at_s)


def publish(state: IssuingState, fresh: SigningKey) -> IssuingState:
    """Add a next key.

    Raises:
        IssuingRefused: ``kid_in_use``: a kid, or a key, that the state has; removed ones count.
    """
    fresh_print = fresh.public().thumbprint()
    for one in state.keys:
        if one.kid == fresh.kid:
            raise error_for("kid_in_use", "kid", "a kid of its own", fresh.kid)
        if one.public().thumbprint() == fresh_print:
            raise error_for("kid_in_use", "jwk", "a key of its own", f"that of {one.kid}")
    if len(state.keys) >= KEYS_MAX:
        raise error_for("configuration_invalid", "keys", f"at most {KEYS_MAX}")
    return replace(state, keys=(*state.keys, replace(fresh, stage="next")))


def ready_at_s(key: SigningKey, timing: KeyTiming) -> float:
    """Return from when on a next key may sign, in seconds since the epoch."""
    return key.published_at_s + timing.before_s


def promote(
    state: IssuingState, alg: str, now_s: float, timing: KeyTiming, *, unready: bool = False
) -> IssuingState:
    """Let the next key of an algorithm sign, and the active one stop.

    Args:
        state: Before.
        alg: The algorithm.
        now_s: Seconds since the epoch.
        timing: When a next key is ready.
        unready: True to promote a key that caches may not know yet; for an emergency only.

    Raises:
        IssuingRefused: ``no_next_key``; ``key_not_ready``, with the arithmetic.
        DependencyUnavailable: ``issuing_clock``.
    """
    at_s = moment(state, now_s, timing)
    waiting = state.in_stage("next", alg)
    if not waiting:
        raise error_for("no_next_key", "alg", actual=alg)
    chosen = min(waiting, key=lambda one: one.published_at_s)
    ready_s = ready_at_s(chosen, timing)
    if now_s < ready_s and not unready:
        words = f"published {number(chosen.published_at_s)} + {number(timing.before_s)} s = {number(ready_s)}"
        raise error_for("key_not_ready", f"kid {chosen.kid}", words, number(now_s))
    for one in state.in_stage("active", alg):
        state = state.with_key(replace(one, stage="retired", stopped_at_s=at_s))
    return state.with_key(replace(chosen, stage="active", activated_at_s=at_s))


def retire(state: IssuingState, alg: str, now_s: float, timing: KeyTiming) -> IssuingState:
    """Let an algorithm that is not used any more stop signing; its next keys are removed.

    Raises:
        DependencyUnavailable: ``issuing_clock``.
    """
    at_s = moment(state, now_s, timing)
    for one in state.in_stage("active", alg):
        state = state.with_key(replace(one, stage="retired", stopped_at_s=at_s))
    for one in state.in_stage("next", alg):
        state = state.with_key(replace(one, stage="removed", stopped_at_s=at_s, removed_at_s=at_s))
    return state


def taint(state: IssuingState, kid: str, why: str, now_s: float, timing: KeyTiming) -> IssuingState:
    """Take a key out of use and out of the JWK Set at once.

    Raises:
        IssuingRefused: ``key_not_found``: no such kid, or it is removed.
        DependencyUnavailable: ``issuing_clock``.
    """
    at_s = moment(state, now_s, timing)
    key = state.key(kid)
    if key.stage == "removed":
        raise error_for("key_not_found", "kid", "a key that is not removed", kid)
    if key.stage == "tainted":
        return state
    return state.with_key(replace(key, stage="tainted", stopped_at_s=at_s, why=why))


def remove_due(
    state: IssuingState, now_s: float, timing: KeyTiming
) -> tuple[IssuingState, tuple[SigningKey, ...]]:
    """Remove the keys that stopped long enough ago; return them as well.

    Raises:
        DependencyUnavailable: ``issuing_clock``.
    """
    at_s = moment(state, now_s, timing)
    removed = []
    for one in state.keys:
        if one.stage in ("retired", "tainted") and now_s >= (one.stopped_at_s or at_s) + timing.after_s:
            removed.append(replace(one, stage="removed", removed_at_s=at_s))
            state = state.with_key(removed[-1])
    listed = state.in_stage("removed")
    forgotten = {one.kid for one in listed[: max(0, len(listed) - REMOVED_KEPT)]}
    kept = tuple(one for one in state.keys if one.kid not in forgotten)
    return replace(state, keys=kept), tuple(removed)
