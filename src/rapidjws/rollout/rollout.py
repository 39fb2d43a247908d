"""The rollout: what becomes of a verdict, for each partner and route, and how that is changed at run time.

Hand it to ``Engine(rollout=...)``. A request that is let through without a verified token carries no claims,
so nothing behind it can mistake it for a verified one.
"""

from __future__ import annotations

import contextlib
import math
import threading
from functools import partial
from time import time
from typing import TYPE_CHECKING, Final

from rapidjws._checks import checked
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.jose import limits
from rapidjws.jose.numeric_date import SECOND_NS
from rapidjws.jwt.decision import Decision, ResultOrError, one_of
from rapidjws.rollout.attribution import (
    UNATTRIBUTED,
    Attribution,
    Unattributed,
    attribute,
    names_in,
    owners_of,
)
from rapidjws.rollout.counters import RowKey, WindowCounts
from rapidjws.rollout.evidence import Evidence
from rapidjws.rollout.guardrails import GuardRails
from rapidjws.rollout.partner import Partner
from rapidjws.rollout.permits import Permits, Shape, Shapes
from rapidjws.rollout.phases import Whose, bad_decision, good_decision
from rapidjws.rollout.plan import EVERYONE, EVERYWHERE, Phase, Plan, Stage, StageKey
from rapidjws.rollout.request_metrics import key_name, request_of
from rapidjws.rollout.rollout_changes import RolloutChanges
from rapidjws.rollout.shadow import Shadow
from rapidjws.rollout.stage_choice import Chosen, StageChoice
from rapidjws.rollout.state import MemoryState, PlanState, StateFolder
from rapidjws.verify.result import VerifiedJWS
from rapidjws.verify.worker_pool import Task, submit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from rapidjws.jwt.decision import NamedIssuers, Names
    from rapidjws.rollout.evidence import Counter
    from rapidjws.verify.protocols import Event
    from rapidjws.verify.snapshot import Token

_SHIFTED: Final = {"expired": -1, "too_old": -1, "not_yet_valid": 1, "issued_in_future": 1}
"""Codes that another leeway may change, and to which side of now the token is then tried."""


def _needed_shift_s(refused: RapidJWSError, now_ns: int, leeway_s: int) -> int | None:
    """Return by how many seconds now must be shifted for a token to be in its time, or None: unknown.

    More would put a short-lived token outside its other end.
    """
    found = refused.actual
    if isinstance(found, bool) or not isinstance(found, (int, float)) or not math.isfinite(found):
        return None
    late_ns = now_ns - int(found * SECOND_NS)  # a double is exact to less than a microsecond
    if refused.code == "too_old":
        return abs(late_ns) // SECOND_NS + 1
    past_ns = (late_ns if refused.code == "expired" else -late_ns) - leeway_s * SECOND_NS
    return max(1, (past_ns + _DOUBLE_NS) // SECOND_NS + 1)


_DOUBLE_NS: Final = 1_000
"""More than what a double of a date near the present is off, in nanoseconds."""


def first_plan(phase: Phase = "detection", *, enforce_on_s: int | None = None) -> Plan:
    """Return a plan with one phase for everyone everywhere."""
    stage = Stage(phase=phase, before=phase, enforce_on_s=enforce_on_s)
    return Plan(stages={(EVERYONE, EVERYWHERE): stage})


class Rollout(RolloutChanges):
    """The decision by partner, route and phase, with the evidence and the changes of phases at run time.

    Args:
        partners: The configured partners, each name once.
        default: Rules for callers that are none of them; its name is not used. A caller whom nobody named is
            the partner whom a verified token's issuer belongs to, if it is one's alone.
        state: Where the plan is kept; by default in this process, in detection.
        guard_rails: What a promotion needs.
        issuer_leeway_s: The issuers' own leeway in seconds, which a partner's wider one adds to.
        shadow: An incumbent verifier to compare with, or None.
        key_sources: The name of a key source, its URL, -> the ``iss`` it serves, for escalations.
        unattributed: What a request gets that nobody can be attributed to (no token, or one that names no
            partner): ``"default"``, the stage for everyone, or ``"strictest"``, the strictest of all
            partners'. None: not chosen; then no partner's stage may be stricter than everyone's, unless
            ``partners_named``.
        partners_named: Whether ``decide`` is given the partner of each request, as authenticated by other
            means than the token: a header that the gateway sets, a client certificate, an API key.
        case_insensitive_routes: Whether ``/Pay`` and ``/pay`` are one route. Where they are not, a path that
            differs from a route with a stage of its own in case only gets the stricter of both stages.
        clock: Gives seconds since the epoch, for changes.

    Raises:
        ConfigurationError: ``configuration_invalid``: a partner twice, no such choice;
            ``attribution_missing``: a partner's stage is stricter than everyone's, and nothing says what
            becomes of requests that nobody can be attributed to.
    """

    __slots__ = (
        "_choice",
        "_clock",
        "_is_deferred",
        "_leeway_s",
        "_lock",
        "_longest_retry_s",
        "_owners",
        "_shadow",
        "_shapes",
        "_watched",
        "case_insensitive_routes",
        "default",
        "evidence",
        "guard_rails",
        "key_sources",
        "partners",
        "partners_named",
        "state",
        "unattributed",
    )

    @checked(under="rollout")
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
        unattributed: Unattributed | None = None,
        partners_named: bool = False,
        case_insensitive_routes: bool = False,
        clock: Callable[[], float] = time,
    ) -> None:
        self.partners: dict[str, Partner] = {}
        for partner in partners:
            if partner.name in self.partners:
                raise error_for("configuration_invalid", "partners", "each name once", partner.name)
            self.partners[partner.name] = partner
        if unattributed is not None and unattributed not in UNATTRIBUTED:
            raise error_for("configuration_invalid", "rollout.unattributed", UNATTRIBUTED, str(unattributed))
        for place, switch in (
            ("partners_named", partners_named),
            ("case_insensitive_routes", case_insensitive_routes),
        ):
            if not isinstance(switch, bool):
                raise error_for("configuration_invalid", f"rollout.{place}", "True or False", repr(switch))
        self.unattributed = unattributed
        self.partners_named = partners_named
        self.case_insensitive_routes = case_insensitive_routes
        self._owners = owners_of(self.partners.values())
        self._choice = StageChoice(
            self.partners, unattributed=unattributed or "default", fold_case=case_insensitive_routes
        )
        self.default = default or Partner(name="default")
        self.state: PlanState = MemoryState(first_plan()) if state is None else state
        self.guard_rails = guard_rails or GuardRails()
        self.evidence = Evidence(
            self.state.path if isinstance(self.state, StateFolder) else None, clock=clock
        )
        self._leeway_s = issuer_leeway_s
        leeways_s = [one.leeway_s or 0 for one in (*self.partners.values(), self.default)]
        self._longest_retry_s = max(0, max(leeways_s) - issuer_leeway_s)
        self._clock = clock
        self._shadow = shadow
        self._shapes: Shapes | None = None
        self._is_deferred = False
        self.key_sources = dict(key_sources or {})
        self._lock = threading.Lock()
        self._watched: dict[StageKey, tuple[Stage, WindowCounts]] = {}
        self._check_attribution(self.state.plan())

    # --- the decision ------------------------------------------------------------------------------------

    def _partner(self, name: str | None) -> Partner:
        return self.default if name is None else self.partners.get(name, self.default)

    @property
    def longest_retry_s(self) -> int:
        """Return the most by which a partner's leeway goes beyond ``issuer_leeway_s``, in seconds."""
        return self._longest_retry_s

    def retry_at_ns(self, refused: RapidJWSError, partner: Names, now_ns: int) -> int | None:
        """Return the moment at which a token may be good for a partner with a wider leeway, or None.

        The token must then pass all of its issuer's rules at that moment: never more is forgiven.
        """
        side = _SHIFTED.get(refused.code)
        if side is None:
            return None
        who = self._attributed(refused, None, partner, None)
        leeway_s = self._partner(who.partner).leeway_s
        if leeway_s is None or leeway_s <= self._leeway_s or len(who.named) > 1:
            return None
        most_s = leeway_s - self._leeway_s
        needed_s = _needed_shift_s(refused, now_ns, self._leeway_s)
        shift_s = most_s if needed_s is None else min(most_s, needed_s)
        return max(0, now_ns + side * shift_s * SECOND_NS)

    def _attributed(
        self, result: ResultOrError, token: Token | None, partner: Names, named_issuers: NamedIssuers | None
    ) -> Attribution:
        return attribute(
            result,
            names=names_in(partner),
            token=token,
            partners=self.partners,
            owners=self._owners,
            named_issuers=named_issuers,
        )

    def decide(
        self,
        result: ResultOrError,
        *,
        token: Token | None = None,
        partner: Names,
        route: Names,
        now_ns: int,
        elapsed_ns: int,
        named_issuers: NamedIssuers | None = None,
    ) -> Decision:
        """Return the decision for a verdict, and count it; hand the token to the shadow comparison."""
        now_s = now_ns // SECOND_NS  # whole seconds will do for dates in configurations, which are whole
        who = self._attributed(result, token, partner, named_issuers)
        rules = self._partner(who.partner)
        error = result if isinstance(result, RapidJWSError) else self._objection(who, result, now_ns)
        chosen = self._choice.choose(self.state.plan(), who, route, now_s)
        whose = Whose(name=who.partner, by=who.by, route=one_of(route))
        if error is None and isinstance(result, VerifiedJWS):
            decision = good_decision(result, rules, whose, chosen.phase)
        else:
            error = error or error_for("internal_error")
            decision = bad_decision(
                error, self._partner(chosen.name), whose, chosen.phase, chosen.stage, now_s
            )
        key = (who.partner or "", chosen.route)
        seen = request_of(decision, result, error, token, now_s, elapsed_ns)
        self.evidence.count(key, seen, claimed=who.claimed)
        if self._shadow is not None and token:
            self._compare(self._shadow, token, decision, key, now_s)
        if self.guard_rails.automatic_rollback and who.by == "gateway" and chosen.name == who.partner:
            self._watch((str(who.partner), chosen.key[1]), chosen, failed=decision.outcome == "deny")
        return decision

    @property
    def refuses(self) -> bool:
        """Return whether any stage of the plan is past detection: warns, or refuses."""
        return any(stage.phase != "detection" for stage in self.state.plan().stages.values())

    def permits(self, now_ns: int) -> Permits | None:
        """Return what decides on the good tokens of one batch; None where each is compared with an incumbent.

        Args:
            now_ns: The present, in nanoseconds since the epoch.
        """
        if self._shadow is not None:
            return None
        plan, now_s = self.state.plan(), now_ns // SECOND_NS
        shapes = self._shapes
        if shapes is None or shapes.plan is not plan or shapes.now_s != now_s:
            self._shapes = shapes = Shapes(plan, now_s, {})
        return Permits(shapes, self._shape, self.evidence, now_ns, self._owners)

    def _shape(
        self, verified: VerifiedJWS, plan: Plan, partner: str | None, route: str | None, now_ns: int
    ) -> Shape | None:
        """Return what permits of one key, partner and route share; None for what is refused, or watched."""
        who = self._attributed(verified, None, partner, None)
        rules = self._partner(who.partner)
        if (
            verified.issuer is None
            or len(who.named) > 1
            or rules.objection_to_alg(verified, now_ns) is not None
        ):
            return None
        chosen = self._choice.choose(plan, who, route, now_ns // SECOND_NS)
        if self.guard_rails.automatic_rollback and who.partner is not None:
            return None
        warning = rules.warning(verified.alg) if rules.retiring else None
        return Shape(
            phase=chosen.phase,
            partner=who.partner,
            attributed_by=who.by,
            row=(who.partner or "", chosen.route),
            rules=rules if rules.reads_claims else None,
            warnings=() if warning is None else (warning[0],),
            sunset_at_s=None if warning is None else warning[1],
            issuer=verified.issuer,
            alg=verified.alg,
            key=key_name(verified),
        )

    def _compare(self, shadow: Shadow, token: Token, decision: Decision, key: RowKey, now_s: int) -> None:
        """Have the incumbent see the same token, where ours has a verdict on one."""
        if decision.verdict == "indeterminate" or decision.code == "malformed_request":
            return
        evidence = self.evidence
        shadow.offer(token, decision.code, lambda outcome: evidence.count_shadow(key, outcome, now_s))

    def _objection(self, who: Attribution, verified: VerifiedJWS, now_ns: int) -> RapidJWSError | None:
        """Return why a verified token is not good for its partner, or for any of several that were named."""
        try:
            for name in who.named if len(who.named) > 1 else (who.partner,):
                refused = self._partner(name).objection(verified, now_ns)
                if refused is not None:
                    return refused
            return None
        except RapidJWSError as refused:
            return refused
        except Exception as fault:
            return error_for("internal_error", type(fault).__name__)

    def _watch(self, key: StageKey, chosen: Chosen, *, failed: bool) -> None:
        """Take an enforced partner back one phase where too many of its requests are refused."""
        if chosen.phase not in ("allow_list", "enforcement"):
            return
        stage = chosen.stage
        with self._lock:
            counted, window = self._watched.get(key, (None, WindowCounts()))
            if counted != stage:  # counted anew in each stage
                window = WindowCounts()
                self._watched[key] = (stage, window)
            window.total += 1
            window.failed += failed
            if window.total > 4 * max(1, self.guard_rails.min_evidence):
                window.total //= 2
                window.failed //= 2
            if not self.guard_rails.asks_for_rollback(window):
                return
            del self._watched[key]
        if not self.state.plan().frozen:
            why = f"{window.failed} of {window.total} requests refused"
            roll = partial(self._roll_back, key, stage, why)
            if not self._is_deferred:
                roll()
            elif not submit(Task(roll)):  # no thread: it is asked for again, once there is evidence anew
                return

    def _roll_back(self, key: StageKey, stage: Stage, why: str) -> None:
        with contextlib.suppress(RapidJWSError):  # somebody else was quicker, or the folder is full
            self._roll(key, None, by="guard rail", why=why, action="automatic_rollback", only=stage)

    def defer(self, counter: Counter | None = None) -> None:
        """Read and write no file in ``decide``: from now on others call ``sync`` and ``evidence.flush``.

        Args:
            counter: Is given partner, route, code and whether it was refused of each request, one at a time.
        """
        self._is_deferred = True
        self.evidence.defer(counter)
        if isinstance(self.state, StateFolder):
            self.state.defer()

    @property
    def is_behind(self) -> bool:
        """Return whether another plan was announced since the last ``sync``."""
        return isinstance(self.state, StateFolder) and self.state.is_behind

    def sync(self) -> None:
        """Take over the plan that holds now; may read files and wait for a writer."""
        if isinstance(self.state, StateFolder):
            self.state.sync()

    def flush(self) -> None:
        """Put by what this process counted, where it is about to end; may wait for a disk."""
        self.evidence.flush()

    @property
    def faults(self) -> frozenset[str]:
        """Return what the rollout's folder could not be used for when it was used last, each in a line."""
        found = set()
        if isinstance(self.state, StateFolder) and self.state.fault is not None:
            found.add(f"the rollout's plan is not read, the one of before holds: {self.state.fault}")
        if self.evidence.fault is not None:
            found.add(f"the rollout's evidence is not written: {self.evidence.fault}")
        return frozenset(found)

    def note(self, event: Event) -> None:
        """Take note of how a key source's fetches go: hand this to it as ``events``."""
        self.evidence.count_fetch(event, int(self._clock()))
