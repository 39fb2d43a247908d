"""One game day: a fault under load, its alerts, its runbook, and how long each took."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from rapidjws.gameday.adapt import shorten
from rapidjws.gameday.commands import environment, run_section
from rapidjws.gameday.load import Load
from rapidjws.gameday.prometheus import Prometheus, prometheus_is_here
from rapidjws.gameday.scenarios import SCENARIOS, write_edited
from rapidjws.gameday.series import moved, read_series
from rapidjws.gameday.testbed import Testbed, wait_until
from rapidjws.gameday.watchers import ThresholdWatcher
from rapidjws.observe.runbooks import runbook

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from rapidjws.gameday.commands import Ran
    from rapidjws.gameday.scenarios import Scenario

ROTATION_MAX_S: Final = 300.0
"""M6, and the objective for naming a cause: from the fault to an alert that names it."""

RECOVERY_MAX_S: Final = 1800.0
"""M10: from the fault to its end."""

BASELINE_S: Final = 60.0
DETECTION_S: Final = 900.0
"""How long is waited for an alert, in seconds of production."""

MARGIN_S: Final = 30.0
"""Real seconds that no scale shortens: scrapes, fetches, processes."""

QUIET_S: Final = 300.0
"""How long nothing may fire where nothing is wrong."""

POLL_S: Final = 0.25
ENDED_IN_A_ROW: Final = 8
"""Answers as they should be, one after the other, that show that each worker gives them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a game day showed; times in seconds of production, from the fault.

    Attributes:
        name: The game day.
        title: The fault.
        scale: What durations of rules were divided by.
        rules: Who evaluated the rules: ``"prometheus"`` or ``"thresholds"``.
        detect_s: To the first alert that somebody sees; None where none came.
        named_s: To the first alert that names the cause; None where none came.
        recover_s: To the end of the fault; None where it did not end.
        alerts: Alert -> seconds to it.
        summaries: Alert -> its summary.
        moved: Series that the fault moved, with by how much.
        runbook: The runbook that was applied.
        faults: What was not as it should be.
    """

    name: str
    title: str
    scale: float
    rules: str
    detect_s: float | None
    named_s: float | None
    recover_s: float | None
    alerts: Mapping[str, float]
    summaries: Mapping[str, str]
    moved: Mapping[str, float]
    runbook: str
    faults: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Return whether nothing was as it should not be."""
        return not self.faults

    def as_dict(self) -> dict[str, Any]:
        """Return all of it as JSON takes it."""
        names = ("name", "title", "scale", "rules", "detect_s", "named_s", "recover_s", "runbook")
        found: dict[str, Any] = {name: getattr(self, name) for name in names}
        found |= {"alerts": dict(self.alerts), "summaries": dict(self.summaries), "moved": dict(self.moved)}
        return {**found, "faults": list(self.faults), "passed": self.passed}


@dataclass(slots=True)
class _Notes:
    """What is noted while a game day runs."""

    injected_s: float = 0.0
    alerts: dict[str, float] = field(default_factory=dict)
    summaries: dict[str, str] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)


class Exercise:
    """One game day.

    Args:
        name: One of :data:`rapidjws.gameday.scenarios.GAME_DAYS`.
        folder: For its files.
        tables: The configuration to exercise with, or None.
        scale: What durations of rules are divided by: 1 takes as long as production does.
        say: Takes a line about each step.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        tables: Mapping[str, Any] | None = None,
        *,
        scale: float = 1.0,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._scenario: Scenario = SCENARIOS[name]
        self._folder = folder
        self._tables = tables
        self._scale = scale
        self._say = say
        self._notes = _Notes()

    def run(self) -> Outcome:
        """Run it, and return what it showed."""
        scenario = self._scenario
        with contextlib.ExitStack() as stack:
            bed = Testbed(self._folder, self._tables, edit=self._start, redis=scenario.redis)
            stack.enter_context(bed)
            wait_until(bed.is_ready, "the service is ready")
            watcher: Prometheus | ThresholdWatcher
            if prometheus_is_here():
                watcher = Prometheus(self._folder / "prometheus", f"127.0.0.1:{bed.port}", self._scale)
            else:
                watcher = ThresholdWatcher(bed)
            stack.enter_context(watcher)
            if isinstance(watcher, Prometheus):
                wait_until(lambda: watcher.query("rapidjws_build_info"), "a first scrape")
            load = stack.enter_context(Load(bed))
            return self._run(bed, watcher, load)

    def _start(self, tables: dict[str, Any]) -> None:
        shorten(tables, self._scale)
        self._scenario.start(tables)

    # --- the steps ---------------------------------------------------------------------------------------

    def _run(self, bed: Testbed, watcher: Prometheus | ThresholdWatcher, load: Load) -> Outcome:
        scenario, notes = self._scenario, self._notes
        before = read_series(bed.get("/metrics")[1])
        self._say(f"baseline for {self._real(BASELINE_S):.0f} s")
        time.sleep(self._real(BASELINE_S))
        for name, summary in watcher.firing().items():
            notes.faults.append(f"{name} fires before the fault: {summary}")
        baseline = read_series(bed.get("/metrics")[1])
        usual = moved(before, baseline)
        notes.injected_s = time.monotonic()
        self._say(f"fault: {scenario.title}")
        load.traffic = scenario.traffic
        variables = scenario.inject(bed)
        write_edited(bed, scenario.edit)
        self._watch(watcher)
        after = read_series(bed.get("/metrics")[1])
        changed = {name: value for name, value in moved(baseline, after).items() if name not in usual}
        recover_s = self._recover(bed, variables)
        if not scenario.planned and not scenario.reported:
            self._judge(recover_s)
        elif recover_s is None or recover_s > RECOVERY_MAX_S + self._own_s:
            notes.faults.append("the fault did not end within 30 min (M10)")
        if scenario.reported:
            self._watch(watcher)
        return self._outcome(watcher, changed, recover_s)

    def _watch(self, watcher: Prometheus | ThresholdWatcher) -> None:
        """Wait for an alert that names the cause; where nothing is wrong, see that none comes."""
        scenario, notes = self._scenario, self._notes
        quiet = scenario.planned or (scenario.reported and not notes.alerts)
        wait_s = self._real(QUIET_S) if quiet else self._real(DETECTION_S) + MARGIN_S
        end_s = time.monotonic() + wait_s
        while time.monotonic() < end_s:
            for name, summary in watcher.firing().items():
                if name not in notes.alerts:
                    notes.alerts[name] = self._elapsed()
                    notes.summaries[name] = summary
                    self._say(f"{notes.alerts[name]:.0f} s: {name}: {summary}")
            if not scenario.planned and any(name in notes.alerts for name in scenario.alerts):
                return
            time.sleep(POLL_S)
        if scenario.planned and notes.alerts:
            notes.faults += [f"{name} fires although nothing is wrong" for name in notes.alerts]

    def _recover(self, bed: Testbed, variables: Mapping[str, str]) -> float | None:
        """Apply the runbook; return the seconds from the fault to its end, or None where it did not end."""
        scenario, notes = self._scenario, self._notes
        named_s = self._elapsed()
        started_s = time.monotonic()
        env = environment(bed, variables)
        scenario.yields(bed)
        self._say(f"runbook {scenario.runbook}")
        ran: list[Ran] = []
        for section in ("Act", "Verify") if not scenario.planned else ():
            ran += run_section(runbook(scenario.runbook), section, env, bed.folder)
        notes.faults += [f"runbook: {one.command}: {one.fault}" for one in ran if one.fault is not None]
        if not self._is_over(bed):
            notes.faults.append("the fault is not over after the runbook")
            return None
        self._say("the fault is over")
        return named_s + time.monotonic() - started_s

    def _is_over(self, bed: Testbed) -> bool:
        """Return whether workers answer as they should; each may leave a store alone for a moment."""
        scenario, end_s = self._scenario, time.monotonic() + MARGIN_S
        kept = (bed.folder / "token.txt").read_text()
        in_a_row = 0
        while in_a_row < ENDED_IN_A_ROW:
            if time.monotonic() > end_s:
                return False
            token = bed.token() if scenario.redis else kept  # of a replay store each is good for one use
            in_a_row = in_a_row + 1 if bed.ask(token, scenario.partner) == scenario.ended else 0
            if not in_a_row:
                time.sleep(POLL_S)
        return True

    def _judge(self, recover_s: float | None) -> None:
        notes, names = self._notes, self._scenario.alerts
        named_s = min((notes.alerts[name] for name in names if name in notes.alerts), default=None)
        if named_s is None:
            notes.faults.append(f"no alert named the cause: expected one of {', '.join(names)}")
        elif named_s > ROTATION_MAX_S + self._own_s:
            notes.faults.append(f"named after {named_s:.0f} s, the objective is 5 min (M6)")
        if recover_s is not None and recover_s > RECOVERY_MAX_S + self._own_s:
            notes.faults.append(f"over after {recover_s:.0f} s, the objective is 30 min (M10)")

    # --- times -------------------------------------------------------------------------------------------

    def _real(self, seconds: float) -> float:
        return seconds / self._scale

    @property
    def _own_s(self) -> float:
        """Return what scrapes and processes take beside where a scale shortens all else."""
        return MARGIN_S * self._scale if self._scale > 1 else 0.0

    def _elapsed(self) -> float:
        """Return the seconds of production since the fault."""
        return (time.monotonic() - self._notes.injected_s) * self._scale

    def _outcome(
        self, watcher: Prometheus | ThresholdWatcher, changed: Mapping[str, float], recover_s: float | None
    ) -> Outcome:
        scenario, notes = self._scenario, self._notes
        named = [notes.alerts[name] for name in scenario.alerts if name in notes.alerts]
        first = 0.0 if scenario.reported else min(notes.alerts.values(), default=None)
        return Outcome(
            name=scenario.name,
            title=scenario.title,
            scale=self._scale,
            rules="prometheus" if isinstance(watcher, Prometheus) else "thresholds",
            detect_s=first,
            named_s=0.0 if scenario.reported else min(named, default=None),
            recover_s=recover_s,
            alerts=dict(notes.alerts),
            summaries=dict(notes.summaries),
            moved=dict(changed),
            runbook=scenario.runbook,
            faults=tuple(notes.faults),
        )
