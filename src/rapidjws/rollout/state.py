"""Where the plan of a rollout is kept, so that a change holds in the next call of every worker.

``StateFolder`` keeps it in a folder that all workers of a machine share: the plan as JSON, replaced whole,
and a copy of it; and a history that only grows. A decision looks at a counter in shared memory alone, and a
few times a second at the plan's file itself: a change is made once the plan is replaced, wherever its writer
stops after that.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Protocol

from rapidjws import _files, _locks
from rapidjws._checks import checked
from rapidjws._scheduler import scheduler
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.rollout.history import DAMAGED, HISTORY_PARTS, History
from rapidjws.rollout.history import Change as Change
from rapidjws.rollout.plan import Plan, Stage
from rapidjws.rollout.revision import SharedCounter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

STATE_MAX_BYTES: Final = 16 << 20
"""Largest plan that is kept and read: some 70 000 stages."""

VERSION: Final = 1
"""The form of the plan's file."""

LOOK_S: Final = 0.2
"""Seconds between looks at the folder, for what came without the counter: a restore, a writer that died."""

PLAN_FILE: Final = "plan.json"
PLAN_COPY: Final = "plan.copy.json"
UNREADABLE: Final = (OSError, *DAMAGED)
"""What reading a damaged file may raise, beside our own."""


_STEP: Final = ("by", "action", "partner", "route", "why")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanEdit:
    """A change to a plan, and the entry it makes.

    Attributes:
        step: By whom, what, for whom and why: the entry without what depends on the plan.
        apply: Returns the new plan and its entry; or the same plan and None where nothing is to be changed.
        is_goal: Returns whether what an entry says holds after it is what is asked for.
    """

    step: Change
    apply: Callable[[Plan], tuple[Plan, Change | None]]
    is_goal: Callable[[str], bool] = lambda after: True

    def __call__(self, plan: Plan) -> tuple[Plan, Change | None]:
        """Return the new plan and its entry."""
        return self.apply(plan)

    def repeats(self, made: Change) -> bool:
        """Return whether an entry names this step, made by the same one for the same reason."""
        same = all(getattr(self.step, name) == getattr(made, name) for name in _STEP)
        return same and self.is_goal(made.after)


class PlanState(Protocol):
    """A plan and its history."""

    def plan(self) -> Plan:
        """Return the plan that holds now; quick where nothing changed."""

    def edit(self, change: Callable[[Plan], tuple[Plan, Change | None]]) -> Plan:
        """Change the plan, one writer at a time, and return the new one."""

    def history(self) -> Sequence[Change]:
        """Return all changes, the oldest first."""


class MemoryState:
    """The plan in this process only: for tests, and for one process.

    Args:
        initial: The plan to begin with.
    """

    __slots__ = ("_history", "_lock", "_plan")

    @checked
    def __init__(self, initial: Plan) -> None:
        self._plan = initial
        self._history: list[Change] = []
        self._lock = threading.Lock()

    def plan(self) -> Plan:
        """Return the plan that holds now."""
        return self._plan

    def edit(self, change: Callable[[Plan], tuple[Plan, Change | None]]) -> Plan:
        """Change the plan and return the new one."""
        with self._lock:
            plan, entry = change(self._plan)
            if entry is not None:
                self._history.append(entry)
            self._plan = plan
        return plan

    def history(self) -> tuple[Change, ...]:
        """Return all changes, the oldest first."""
        return tuple(self._history)


class StateFolder:
    """The plan in a folder shared by all workers of a machine.

    A plan that cannot be read is taken from its copy; where that is damaged too, a running worker keeps the
    last good one, and a start is refused. What is damaged is put aside, never overwritten.

    Args:
        path: The folder; made, for its owner only, where it is not there.
        initial: The plan to begin with, where the folder holds none yet.

    Raises:
        ConfigurationError: ``configuration_invalid``: the folder cannot be used, what it holds is no plan, or
            its plan is gone though it has a history.
    """

    __slots__ = ("__weakref__", "_counter", "_history", "_is_deferred", "_lock", "_looked_s", "_path",
                 "_plan", "_seen", "_signature", "fault")  # fmt: skip

    @checked
    def __init__(self, path: str | os.PathLike[str], initial: Plan) -> None:
        self._path = Path(path)
        self._history = History(self._path)
        self._lock, self._looked_s = threading.Lock(), monotonic()
        self._is_deferred = False
        self.fault: str | None = None  # why the plan was not read when it was looked at last
        try:
            self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self._exclusively():
                if not any(os.path.lexists(self._path / name) for name in (PLAN_FILE, PLAN_COPY)):
                    if self._written():  # to begin anew would end enforcement without a word
                        raise error_for(
                            "configuration_invalid", "rollout.state", "plan.json", "a history only"
                        )
                    self._commit(initial, None)
                    self._copy(initial, None)
                self._counter = SharedCounter(self._path)
                self._seen = self._counter.value()
                self._signature = _files.signature(self._path / PLAN_FILE)
                self._plan = self._read()[0]
        except UNREADABLE as fault:
            raise _unusable("a folder with a plan", fault) from None
        scheduler.members.add(self)

    @property
    def path(self) -> Path:
        """Return the folder."""
        return self._path

    def plan(self) -> Plan:
        """Return the plan that holds now: one look at shared memory where nothing changed.

        After ``defer`` it is the plan of the last ``sync``.
        """
        return self._plan if self._is_deferred else self.sync()

    def defer(self) -> None:
        """Read no file in ``plan``: from now on somebody calls ``sync``, on another thread."""
        self._is_deferred = True

    @property
    def is_behind(self) -> bool:
        """Return whether another plan was announced since the last ``sync``: one look at shared memory."""
        return self._counter.value() != self._seen

    def sync(self) -> Plan:
        """Take over the plan that holds now, and return it; may read files and wait for a writer."""
        if monotonic() - self._looked_s > LOOK_S:
            self._look()
        if self._counter.value() != self._seen:
            self._reload()
        return self._plan

    def edit(self, change: Callable[[Plan], tuple[Plan, Change | None]]) -> Plan:
        """Change the plan and return the new one; all workers use it from their next call on.

        A step whose writer died before it was in the history is ended by whoever comes next; the same step
        asked for again is that one, not another.

        Raises:
            ConfigurationError: The change is refused.
            RolloutRefused: ``rollout_not_written``: it cannot be kept. It may hold all the same: ask for it
                again.
        """
        try:
            with self._exclusively():
                self._edit(change)
        except UNREADABLE as fault:
            found = _unusable("a folder to write to", fault).actual
            raise error_for("rollout_not_written", "rollout.state", "a folder to write to", found) from None
        return self.sync()

    def _edit(self, change: Callable[[Plan], tuple[Plan, Change | None]]) -> None:
        for name in (PLAN_FILE, PLAN_COPY):
            _files.remove_leftovers(self._path / name)
        before, last = self._read_to_change()
        unended = last if last is not None and last not in self._written() else None
        if unended is not None:
            self._counter.count()
            self._copy(before, unended)
            self._remember(unended)
            if isinstance(change, PlanEdit) and change.repeats(unended):
                return
        plan, entry = change(before)
        if entry is not None:
            self._commit(plan, entry)
        self._counter.count()  # where there is nothing to change workers look again all the same
        if entry is not None:
            self._copy(plan, entry)
            self._remember(entry)

    def history(self) -> tuple[Change, ...]:
        """Return all changes, the oldest first; a line cut off by a crash is made up for by the plan.

        Raises:
            ConfigurationError: ``configuration_invalid``: it cannot be read.
        """
        try:
            entries = self._written(HISTORY_PARTS)
        except OSError as fault:
            raise _unusable("a history to read", fault) from None
        with contextlib.suppress(*UNREADABLE, RapidJWSError):
            last = self._read()[1]
            if last is not None and last not in entries:
                entries.append(last)
        return tuple(entries)

    def after_fork(self) -> None:
        """Make the lock anew in a forked child."""
        self._lock = threading.Lock()

    def _written(self, parts: int = 1) -> list[Change]:
        """Return the entries of the history as ``History.entries`` does."""
        return self._history.entries(parts)

    def _look(self) -> None:
        """See what came without the counter: a plan restored, or replaced by a writer that died."""
        self._looked_s = monotonic()
        self._counter.attach()
        if _files.signature(self._path / PLAN_FILE) != self._signature:
            self._reload()

    def _reload(self) -> None:
        with self._lock:
            self._seen = self._counter.value()  # a plan that cannot be read is not read again at each call
            signature = _files.signature(self._path / PLAN_FILE)
            try:
                self._plan, self._signature, self.fault = self._read()[0], signature, None
            except (*UNREADABLE, RapidJWSError) as fault:
                self._signature = None  # but at the next look
                self.fault = str(_unusable("a folder with a plan", fault).actual)

    def _read(self) -> tuple[Plan, Change | None]:
        """Return the plan and the change that made it, from the copy where the plan is damaged."""
        try:
            return read_plan(self._path / PLAN_FILE)
        except (*UNREADABLE, RapidJWSError) as fault:
            if isinstance(fault, RapidJWSError) and fault.place == _NEWER:
                raise
            return read_plan(self._path / PLAN_COPY)

    def _read_to_change(self) -> tuple[Plan, Change | None]:
        """Return the plan to change: where no file can be read, the one that this worker goes by.

        What is damaged is put aside first. A plan of another version of this package is left alone.
        """
        for name in (PLAN_FILE, PLAN_COPY):
            try:
                found = read_plan(self._path / name)
            except FileNotFoundError:
                continue
            except (*UNREADABLE, RapidJWSError) as fault:
                if isinstance(fault, RapidJWSError) and fault.place == _NEWER:
                    raise
                _files.move(self._path / name, self._path / f"{name}.bad")
            else:
                return found
        return self._plan, None

    def _commit(self, plan: Plan, entry: Change | None) -> None:
        """Replace the plan: from here on the change is made."""
        octets = _octets_of(plan, entry)
        if len(octets) > STATE_MAX_BYTES:  # in force it would be the last that any worker reads
            raise error_for("configuration_invalid", "rollout.state", _PLAN_BOUND, f"{len(octets)} bytes")
        _files.replace(self._path / PLAN_FILE, octets)

    def _copy(self, plan: Plan, entry: Change | None) -> None:
        _files.replace(self._path / PLAN_COPY, _octets_of(plan, entry))

    def _remember(self, entry: Change) -> None:
        self._history.add(entry)

    @contextlib.contextmanager
    def _exclusively(self) -> Iterator[None]:
        """Hold the folder against other writers, of this process and of others."""
        with self._lock, _locks.locked(self._path / "lock"):
            yield


_PLAN_BOUND: Final = f"a plan of at most {STATE_MAX_BYTES} bytes"
_NEWER: Final = "rollout.state: plan.json: version"


def _unusable(expected: str, fault: BaseException) -> RapidJWSError:
    """Return the error for a folder that cannot be used, with what the system says of it."""
    found = type(fault).__name__
    if isinstance(fault, OSError) and fault.strerror:
        name = Path(str(fault.filename)).name if fault.filename else ""
        found = f"{name}: {fault.strerror}" if name else fault.strerror
    return error_for("configuration_invalid", "rollout.state", expected, found)


def _octets_of(plan: Plan, entry: Change | None) -> bytes:
    change = None if entry is None else entry.as_dict()
    return json.dumps({"version": VERSION, **plan_members(plan), "change": change}, indent=1).encode()


def plan_members(plan: Plan) -> dict[str, Any]:
    """Return a plan as it is kept."""
    stages = [
        {"partner": partner, "route": route, **stage.as_dict()}
        for (partner, route), stage in plan.stages.items()
    ]
    return {"revision": plan.revision, "frozen": plan.frozen, "stages": stages}


def plan_of(members: dict[str, Any]) -> Plan:
    """Return a plan out of its members; raises what is wrong with them."""
    stages = {
        (str(row.pop("partner")), str(row.pop("route"))): Stage(**row)
        for row in (dict(one) for one in members["stages"])
    }
    if not isinstance(members["frozen"], bool):
        raise TypeError("frozen")  # a damaged freeze must not read as a thaw
    return Plan(stages=stages, frozen=members["frozen"], revision=int(members["revision"]))


def read_plan(path: Path) -> tuple[Plan, Change | None]:
    """Return the plan in a file and the change that made it; raises what is wrong with it."""
    members = json.loads(_files.read_trusted(path, STATE_MAX_BYTES))
    version = members.get("version", VERSION)  # files of before had none
    if version != VERSION:
        raise error_for("configuration_invalid", _NEWER, VERSION, str(version))
    made_by = members.get("change")
    return plan_of(members), None if made_by is None else Change(**made_by)
