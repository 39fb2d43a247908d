"""How a rollout is changed at run time: promotions, rollbacks, freezes, and what holds them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rapidjws._checks import checked
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.rollout.attribution import Unattributed, check_attribution
from rapidjws.rollout.guardrails import DAY_S, GuardRails, Objection, held_error
from rapidjws.rollout.plan import EVERYONE, EVERYWHERE, Phase, Plan, Stage, StageKey
from rapidjws.rollout.plan_edits import (
    LeftBehind,
    Promotion,
    freeze_edit,
    left_behind,
    promote_edit,
    rollback_edit,
)
from rapidjws.rollout.routes import route_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from rapidjws.rollout.counters import Row, RowKey
    from rapidjws.rollout.evidence import Evidence
    from rapidjws.rollout.partner import Partner
    from rapidjws.rollout.state import Change, PlanState


class RolloutChanges:
    """The part of a ``Rollout`` that changes its plan; see there for the attributes."""

    __slots__ = ()

    partners: dict[str, Partner]
    state: PlanState
    guard_rails: GuardRails
    evidence: Evidence
    unattributed: Unattributed | None
    partners_named: bool
    case_insensitive_routes: bool
    _clock: Callable[[], float]

    def _check_attribution(self, plan: Plan) -> None:
        """Refuse a plan with a stage that whoever leaves the token away would leave, by no choice of ours."""
        check_attribution(
            plan, self.partners, unattributed=self.unattributed, partners_named=self.partners_named
        )

    @checked
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
        including_partners: bool = False,
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
            including_partners: Whether partners with milder stages of their own go along; each is checked.

        Returns:
            The new plan; ``left_behind`` says who did not come along.

        Raises:
            RolloutRefused: ``guard_rails_not_met``, ``rollout_frozen``, ``rollout_no_step``,
                ``rollout_changed``: by somebody else meanwhile; so a rollback is never undone by a promotion
                that was decided before it.
            ConfigurationError: ``configuration_invalid``, ``attribution_missing``: the partner's stage would
                be stricter than everyone's, see ``unattributed``.
        """
        now_s = int(self._clock())
        self._known(partner)
        key = (partner or EVERYONE, self._route(route))
        plan = self.state.plan()
        including = self._going_along(plan, partner) if including_partners else frozenset[str]()
        held = None if force else self._held((partner, *sorted(including)), key[1], now_s)
        step = Promotion(
            key=key,
            seen=plan,
            if_revision=if_revision,
            to=to,
            canary_percent=canary_percent,
            enforce_on_s=enforce_on_s,
            by=by,
            why=why,
            forced=force,
            now_s=now_s,
            including=including,
            check=self._check_attribution,
        )
        return self.state.edit(promote_edit(step, held))

    def _going_along(self, plan: Plan, partner: str | None) -> frozenset[str]:
        """Return the partners with stages of their own, who go along where everyone is promoted."""
        if partner is not None:
            raise error_for("configuration_invalid", "including_partners", "no partner named", partner)
        return plan.names_with_stages() & frozenset(self.partners)

    def _route(self, route: str) -> str:
        """Return a route as stages are kept under."""
        found = route_of(route, fold_case=self.case_insensitive_routes) if route else route
        if found is None:
            raise error_for("configuration_invalid", "route", expected="a plain path, /like/this")
        return found

    def _held(self, names: Iterable[str | None], route: str, now_s: int) -> RapidJWSError | None:
        """Return why the guard rails hold a promotion, or None."""
        rows = self.evidence.rows()  # once: with thousands of partners they take seconds to read
        of_partner: dict[str, dict[RowKey, Row]] = {}
        for key, row in rows.items():
            of_partner.setdefault(key[0], {})[key] = row
        for name in names:
            objections = self._objections(
                name, route, now_s, rows if name is None else of_partner.get(name, {})
            )
            if objections:
                place = "everyone" if name is None else f"partner {name}"
                return held_error(objections, f"{place}, route {route}" if route else place)
        return None

    @checked
    def objections(
        self, partner: str | None = None, route: str = EVERYWHERE, now_s: int | None = None
    ) -> tuple[Objection, ...]:
        """Return what a promotion of a partner, or of everyone, still lacks; see ``GuardRails``.

        Args:
            partner: The partner, or None for everyone.
            route: The route, ``""`` for all.
            now_s: Seconds since the epoch; by default the clock's.
        """
        now_s = int(self._clock()) if now_s is None else now_s
        return self._objections(partner, route, now_s, self.evidence.rows())

    def _objections(
        self, partner: str | None, route: str, now_s: int, rows: Mapping[RowKey, Row]
    ) -> tuple[Objection, ...]:
        window, day = (
            self.evidence.window(
                partner, route, now_s - span_s, until_s=now_s, known=self.partners, rows=rows
            )
            for span_s in (self.guard_rails.window_s, DAY_S)
        )
        return self.guard_rails.objections(window, last_day=day.total, now_s=now_s)

    @checked
    def left_behind(self, route: str = EVERYWHERE) -> tuple[LeftBehind, ...]:
        """Return the stages of single partners and longer routes that are milder than everyone's."""
        return left_behind(self.state.plan(), self._route(route), self.partners)

    @checked
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
            RolloutRefused: ``rollout_no_step``: there is no milder phase, or not a step back.
            ConfigurationError: ``configuration_invalid``.
        """
        self._known(partner)
        return self._roll((partner or EVERYONE, self._route(route)), to, by=by, why=why, action="rollback")

    def _roll(
        self, key: StageKey, to: Phase | None, *, by: str, why: str, action: str, only: Stage | None = None
    ) -> Plan:
        now_s = int(self._clock())
        return self.state.edit(rollback_edit(key, to, by=by, why=why, action=action, now_s=now_s, only=only))

    @checked
    def freeze(self, *, by: str, why: str = "") -> Plan:
        """Refuse promotions and automatic rollbacks until ``thaw``."""
        return self.state.edit(freeze_edit(by=by, why=why, now_s=int(self._clock()), frozen=True))

    @checked
    def thaw(self, *, by: str, why: str = "") -> Plan:
        """Allow promotions and automatic rollbacks again."""
        return self.state.edit(freeze_edit(by=by, why=why, now_s=int(self._clock()), frozen=False))

    def history(self) -> tuple[Change, ...]:
        """Return who changed what when, the oldest first."""
        return tuple(self.state.history())

    def _known(self, partner: str | None) -> None:
        if partner is not None and partner not in self.partners:
            raise error_for("configuration_invalid", "partner", tuple(self.partners), partner)
