"""The log of rules in detect and warn that a request did not meet, and the count of all."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from rapidjws._checks import check_range, checked
from rapidjws._scheduler import scheduler
from rapidjws.observe.event_log import write_event
from rapidjws.observe.line_limits import LineLimits
from rapidjws.observe.logs import LINES_PER_MINUTE, LINES_PER_MINUTE_MAX
from rapidjws.observe.metric_list import RULES_NOT_MET
from rapidjws.observe.recorder import MetricRecorder

if TYPE_CHECKING:
    from collections.abc import Callable

    from rapidjws.jwt.decision import Decision


class RuleLog:
    """Log rules in detect and warn that a request does not meet, and count all that it does not.

    Args:
        recorder: Counts them; None for nowhere.
        lines_per_minute: Most lines a minute for each rule, code and partner.
        clock: Monotonic seconds.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """

    @checked
    def __init__(
        self,
        recorder: MetricRecorder | None = None,
        *,
        lines_per_minute: int = LINES_PER_MINUTE,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        check_range("lines_per_minute", lines_per_minute, 1, LINES_PER_MINUTE_MAX)
        self._recorder = recorder
        self._limits = LineLimits(lines_per_minute, clock)
        scheduler.members.add(self)

    def after_fork(self) -> None:
        """Make the lock anew in a forked child."""
        self._limits.after_fork()

    def __call__(self, rule: str, phase: str, code: str, decision: Decision) -> None:
        """Take one rule that a request did not meet.

        Args:
            rule: Its name.
            phase: ``"detect"``, ``"warn"`` or ``"enforce"``.
            code: Why it is not met.
            decision: What was decided before.
        """
        if self._recorder is not None:
            self._recorder.add(RULES_NOT_MET, rule, code, phase)
        self._write_left_out()
        if phase == "enforce":  # the log of refusals has it
            return
        if not self._limits.allow((rule, code, decision.partner)):
            return
        route = decision.route
        write_event(
            "rule_not_met",
            {
                "rule": rule,
                "code": code,
                "phase": phase,
                "partner": decision.partner,
                "route": None if route is None else route.partition("?")[0],
            },
        )

    def _write_left_out(self) -> None:
        for kind, count in self._limits.ended():
            rule, code, partner = kind if isinstance(kind, tuple) else ("several", None, None)
            fields = {"rule": rule, "code": code, "partner": partner, "left_out": count}
            write_event("rule_not_met", fields)
