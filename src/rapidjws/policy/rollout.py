"""The rollout: what becomes of a verdict, for each partner and route, and how that is changed at run time.

Hand it to ``Engine(rollout=...)``. A request that is let through without a verified token carries no claims,
so nothing behind it can mistake it for a verified one.
"""

from __future__ import annotations

import contextlib
import math
import threading
from time import time
from typing import TYPE_CHECKING, Final

from rapidjws.engine.decision import Decision, Settled
from rapidjws.engine.result import VerifiedJWS
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.jose import limits
from rapidjws.policy.changing import Promotion, freeze_edit, promote_edit, rollback_edit, stage_of
from rapidjws.policy.clues import request_of
from rapidjws.policy.evidence import Evidence
from rapidjws.policy.guardrails import GuardRails
from rapidjws.policy.partner import Partner
from rapidjws.policy.phases import bad_decision, good_decision
from rapidjws.policy.rows import RowKey, Tally
from rapidjws.policy.stages import EVERYONE, EVERYWHERE, Phase, Plan, Stage, StageKey
from rapidjws.policy.state import Change, MemoryState, PlanState, StateFolder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from rapidjws.engine.seams import Event
    from rapidjws.engine.snapshot import Token
    from rapidjws.policy.shadow import Shadow

_SHIFTED: Final = {"expired": -1, "too_old": -1, "not_yet_valid": 1, "issued_in_future": 1}
"""Codes that another leeway may change, and to which side the clock is then moved."""


def _needed_shift_s(refused: RapidJWSError, now_s: int, leeway_s: int) -> int | None:
    """Return by how many seconds the clock must be off for a token to be in its time, or None: unknown.

    More would put a short-lived token outside its other end.
    """
    found = refused.actual
    if isinstance(found, bool) or not isinstance(found, (int, float)) or not math.isfinite(found):
        return None
    if refused.code == "expired":
        return max(1, now_s - math.ceil(found) - leeway_s + 1)
    return abs(math.ceil(found) - now_s) if refused.code == "too_old" else math.ceil(found) - now_s - leeway_s


def first_plan(phase: Phase = "detection", *, enforce_on_s: int | None = None) -> Plan:
    """Return a plan with one phase for everyone everywhere."""
    stage = Stage(phase=phase, before=phase, enforce_on_s=enforce_on_s)
    return Plan(stages={(EVERYONE, EVERYWHERE): stage})


class Rollout:
    """Decide by partner, route and phase, count the evidence, and change phases at run time.

    Args:
        partners: The configured partners, each name once.
        default: Rules for callers that are none of them; its name is not used. A caller whom nobody named is
            the partner whom a verified token's issuer belongs to, if it is one's alone.
        state: Where the plan is kept; by default in this process, in detection.
        guard_rails: What a promotion needs.
        issuer_leeway_s: The issuers' own leeway in seconds, which a partner's wider one adds to.
        shadow: An incumbent verifier to compare with, or None.
        key_sources: The name of a key source, its URL, -> the ``iss`` it serves, for escalations.
        clock: Gives seconds since the epoch, for changes.

    Raises:
        ConfigurationError: ``configuration_invalid``: a partner twice.
    """

    __slots__ = (
        "_by_issuer",
        "_clock",
        "_leeway_s",
        "_lock",
        "_shadow",
        "_watched",
        "default",
        "evidence",
        "guard_rails",
        "key_sources",
        "partners",
        "state",
    )

    def __init__(
        self,
        partners: Iterable[Partner] = (),
        *,
        default: Partner | None = None,
        state: PlanState | None = None,
        guard_rails: GuardRails | None = None,
        issuer_leeway_s: int = limits.LEEWAY_DEFAULT_S,
        shadow: Shadow | None = None,
        key_sources: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time,
    ) -> None:
        self.partners: dict[str, Partner] = {}
        for partner in partners:
            if partner.name in self.partners:
                raise error_for("configuration_invalid", "partners", "each name once", partner.name)
            self.partners[partner.name] = partner
        owners = [(iss, one.name) for one in self.partners.values() for iss in one.issuers]
        shared = {iss for iss, name in owners if any(iss == i and name != n for i, n in owners)}
        self._by_issuer = {iss: name for iss, name in owners if iss not in shared}
        self.default = default or Partner(name="default")
        self.state: PlanState = MemoryState(first_plan()) if state is None else state
        self.guard_rails = guard_rails or GuardRails()
        self.evidence = Evidence(self.state.path if isinstance(self.state, StateFolder) else None)
        self._leeway_s = issuer_leeway_s
        self._clock = clock
        self._shadow = shadow
        self.key_sources = dict(key_sources or {})
        self._lock = threading.Lock()
        self._watched: dict[StageKey, tuple[int, Tally]] = {}

    # --- the decision ------------------------------------------------------------------------------------

    def _partner(self, name: str | None) -> Partner:
        return self.default if name is None else self.partners.get(name, self.default)

    def second_look_s(self, refused: RapidJWSError, partner: str | None, now_s: int) -> int | None:
        """Return the moment at which a token may be good for a partner with a wider leeway, or None.

        The token must then pass all of its issuer's rules at that moment: never more is forgiven.
        """
        side = _SHIFTED.get(refused.code)
        leeway_s = self._partner(partner).leeway_s
        if side is None or leeway_s is None or leeway_s <= self._leeway_s:
            return None
        most_s = leeway_s - self._leeway_s
        needed_s = _needed_shift_s(refused, now_s, self._leeway_s)
        return now_s + side * (most_s if needed_s is None else min(most_s, needed_s))

    def decide(
        self,
        settled: Settled,
        *,
        token: Token | None = None,
        partner: str | None,
        route: str | None,
        now_s: int,
        elapsed_ns: int,
    ) -> Decision:
        """Return the decision for a verdict, and count it; hand the token to the shadow comparison."""
        if partner is None and isinstance(settled, VerifiedJWS):
            partner = self._by_issuer.get(settled.issuer or "")
        rules = self._partner(partner)
        name = rules.name if rules is not self.default else None
        error = settled if isinstance(settled, RapidJWSError) else self._objection(rules, settled, now_s)
        found, stage = self.state.plan().find(name, route)
        phase = stage.phase_for(name)
        if error is None and isinstance(settled, VerifiedJWS):
            decision = good_decision(settled, rules, name, route, phase)
        else:
            error = error or error_for("internal_error")
            decision = bad_decision(error, rules, name, route, phase, stage, now_s)
        key = (name or "", found[1])
        self.evidence.count(key, request_of(decision, settled, error, token, now_s, elapsed_ns))
        if self._shadow is not None and token:
            self._compare(self._shadow, token, decision, key, now_s)
        if (
            name is not None
            and self.guard_rails.automatic_rollback
            and phase in ("allow_list", "enforcement")
        ):
            self._watch((name, found[1]), stage, failed=decision.outcome == "deny")
        return decision

    def _compare(self, shadow: Shadow, token: Token, decision: Decision, key: RowKey, now_s: int) -> None:
        """Have the incumbent see the same token, where ours has a verdict on one."""
        if decision.verdict == "indeterminate" or decision.code == "malformed_request":
            return
        evidence = self.evidence
        shadow.offer(token, decision.code, lambda outcome: evidence.count_shadow(key, outcome, now_s))

    @staticmethod
    def _objection(rules: Partner, verified: VerifiedJWS, now_s: int) -> RapidJWSError | None:
        try:
            return rules.objection(verified, now_s)
        except RapidJWSError as refused:
            return refused
        except Exception as fault:
            return error_for("internal_error", type(fault).__name__)

    def _watch(self, key: StageKey, stage: Stage, *, failed: bool) -> None:
        """Take an enforced partner back one phase where too many of its requests are refused."""
        with self._lock:
            since_s, tally = self._watched.get(key, (-1, Tally()))
            if since_s != stage.since_s:  # counted anew in each stage
                tally = Tally()
                self._watched[key] = (stage.since_s, tally)
            tally.total += 1
            tally.failed += failed
            if tally.total > 4 * max(1, self.guard_rails.min_evidence):
                tally.total //= 2
                tally.failed //= 2
            if not self.guard_rails.asks_for_rollback(tally):
                return
            del self._watched[key]
        if not self.state.plan().frozen:
            why = f"{tally.failed} of {tally.total} requests refused"
            with contextlib.suppress(RapidJWSError):  # somebody else was quicker, or the folder is full
                self._roll(key, None, by="guard rail", why=why, action="automatic_rollback", only=stage)

    # --- changes at run time -----------------------------------------------------------------------------

    def promote(
        self,
        *,
        by: str,
        partner: str | None = None,
        route: str = EVERYWHERE,
        to: Phase | None = None,
        canary_percent: float = 100.0,
        enforce_on_s: int | None = None,
        if_revision: int | None = None,
        why: str = "",
        force: bool = False,
    ) -> Plan:
        """Go on to a stricter phase, or widen the canary of the present one; the next call heeds it.

        Args:
            by: Who does it; kept in the history.
            partner: The partner, or None for everyone without a stage of his own.
            route: The route, ``""`` for all.
            to: The phase; by default the next one, or the present one while its canary is not full.
            canary_percent: The share of partners that go on; 100 for one partner.
            enforce_on_s: The announced date of enforcement, or None to leave it.
            if_revision: The plan's revision that this was decided on, or None: of two promotions that rest on
                the same one, only the first is made.
            why: The reason, for the history.
            force: Whether the guard rails are overridden; the history says so.

        Returns:
            The new plan.

        Raises:
            ConfigurationError: ``configuration_invalid``: frozen, held by a guard rail, no step forward, or
                changed by somebody else meanwhile.
        """
        now_s = int(self._clock())
        self._known(partner)
        key = (partner or EVERYONE, route)
        seen = stage_of(self.state.plan(), key)
        held = None if force else self._held(partner, route, now_s)
        step = Promotion(
            key=key,
            seen=seen,
            if_revision=if_revision,
            to=to,
            canary_percent=canary_percent,
            enforce_on_s=enforce_on_s,
            by=by,
            why=why,
            forced=force,
            now_s=now_s,
        )
        return self.state.edit(promote_edit(step, held))

    def _held(self, partner: str | None, route: str, now_s: int) -> str | None:
        since_s = now_s - self.guard_rails.window_s
        known = self.partners
        tally = self.evidence.tally(partner, route, since_s, until_s=now_s, known=known)
        return self.guard_rails.objection(tally)

    def rollback(
        self,
        *,
        by: str,
        partner: str | None = None,
        route: str = EVERYWHERE,
        to: Phase | None = None,
        why: str = "",
    ) -> Plan:
        """Go back to a milder phase at once, frozen or not; the next call heeds it.

        Stages within the one named, of single partners or longer routes, go back with it.

        Args:
            by: Who does it; kept in the history.
            partner: The partner, or None for everyone without a stage of his own.
            route: The route, ``""`` for all.
            to: The phase; by default the one before.
            why: The reason, for the history.

        Returns:
            The new plan.

        Raises:
            ConfigurationError: ``configuration_invalid``: there is no milder phase, or not a step back.
        """
        self._known(partner)
        return self._roll((partner or EVERYONE, route), to, by=by, why=why, action="rollback")

    def _roll(
        self, key: StageKey, to: Phase | None, *, by: str, why: str, action: str, only: Stage | None = None
    ) -> Plan:
        now_s = int(self._clock())
        return self.state.edit(rollback_edit(key, to, by=by, why=why, action=action, now_s=now_s, only=only))

    def freeze(self, *, by: str, why: str = "") -> Plan:
        """Refuse promotions and automatic rollbacks until ``thaw``."""
        return self.state.edit(freeze_edit(by=by, why=why, now_s=int(self._clock()), frozen=True))

    def thaw(self, *, by: str, why: str = "") -> Plan:
        """Allow promotions and automatic rollbacks again."""
        return self.state.edit(freeze_edit(by=by, why=why, now_s=int(self._clock()), frozen=False))

    def history(self) -> tuple[Change, ...]:
        """Return who changed what when, the oldest first."""
        return tuple(self.state.history())

    def note(self, event: Event) -> None:
        """Take note of how a key source's fetches go: hand this to it as ``events``."""
        self.evidence.count_fetch(event, int(self._clock()))

    def _known(self, partner: str | None) -> None:
        if partner is not None and partner not in self.partners:
            raise error_for("configuration_invalid", "partner", tuple(self.partners), partner)
