"""Where the plan of a rollout is kept, so that a change holds in the next call of every worker.

``StateFolder`` keeps it in a folder that all workers of a machine share: the plan as JSON, replaced whole,
and a copy of it; a history that only grows; and a revision counter in shared memory, which is all that a
decision looks at.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Protocol

from rapidjws.errors import RapidJWSError, error_for
from rapidjws.policy.stages import Plan, Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

STATE_MAX_BYTES: Final = 1 << 20
"""Largest plan that is read."""

COUNTER_BYTES: Final = 8
LOOK_S: Final = 1.0
"""Seconds between looks whether the folder is still the one it was."""

_PLAN: Final = "plan.json"
_COPY: Final = "plan.copy.json"
_HISTORY: Final = "history.jsonl"
_BROKEN: Final = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError)
"""What reading a damaged file may raise, beside our own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Say who changed what when, and why.

    Attributes:
        at_s: When, seconds since the epoch.
        by: Who.
        action: ``"promote"``, ``"rollback"``, ``"freeze"``, ``"thaw"`` or ``"automatic_rollback"``.
        partner: The partner, ``""`` for everyone.
        route: The route, ``""`` for everywhere.
        before: What held before, in words.
        after: What holds now, in words.
        why: The reason given.
        forced: Whether a guard rail was overridden.
        revision: The plan's revision after it.
    """

    at_s: int
    by: str
    action: str
    partner: str = ""
    route: str = ""
    before: str = ""
    after: str = ""
    why: str = ""
    forced: bool = False
    revision: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Return the members as they are kept."""
        return asdict(self)


class PlanState(Protocol):
    """Keep a plan and its history."""

    def plan(self) -> Plan:
        """Return the plan that holds now; quick where nothing changed."""

    def edit(self, change: Callable[[Plan], tuple[Plan, Change]]) -> Plan:
        """Change the plan, one writer at a time, and return the new one."""

    def history(self) -> Sequence[Change]:
        """Return all changes, the oldest first."""


class MemoryState:
    """Keep the plan in this process only: for tests, and for one process.

    Args:
        initial: The plan to begin with.
    """

    __slots__ = ("_history", "_lock", "_plan")

    def __init__(self, initial: Plan) -> None:
        self._plan = initial
        self._history: list[Change] = []
        self._lock = threading.Lock()

    def plan(self) -> Plan:
        """Return the plan that holds now."""
        return self._plan

    def edit(self, change: Callable[[Plan], tuple[Plan, Change]]) -> Plan:
        """Change the plan and return the new one."""
        with self._lock:
            plan, entry = change(self._plan)
            self._history.append(entry)
            self._plan = plan
        return plan

    def history(self) -> tuple[Change, ...]:
        """Return all changes, the oldest first."""
        return tuple(self._history)


class StateFolder:
    """Keep the plan in a folder shared by all workers of a machine.

    A plan that cannot be read is taken from its copy; where that is damaged too, a running worker keeps the
    last good one, and a start is refused.

    Args:
        path: The folder; made, for its owner only, where it is not there.
        initial: The plan to begin with, where the folder holds none yet.

    Raises:
        ConfigurationError: ``configuration_invalid``: the folder cannot be used, or what it holds is no plan.
    """

    __slots__ = ("_counter", "_inode", "_lock", "_looked_s", "_path", "_plan", "_seen")

    def __init__(self, path: str | os.PathLike[str], initial: Plan) -> None:
        self._path = Path(path)
        self._lock = threading.Lock()
        try:
            self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._counter, self._inode = _shared_counter(self._path / "revision")
            self._looked_s = monotonic()
            with self._exclusively():
                if not any((self._path / name).exists() for name in (_PLAN, _COPY)):
                    self._write(initial, None)
                self._seen = bytes(self._counter[:COUNTER_BYTES])
                self._plan = self._read()[0]
        except _BROKEN as fault:
            raise error_for(
                "configuration_invalid", "rollout.state", "a folder with a plan", type(fault).__name__
            ) from None

    @property
    def path(self) -> Path:
        """Return the folder."""
        return self._path

    def plan(self) -> Plan:
        """Return the plan that holds now: one look at shared memory where nothing changed."""
        if monotonic() - self._looked_s > LOOK_S:
            self._look()
        if self._counter[:COUNTER_BYTES] != self._seen:
            self._reload()
        return self._plan

    def edit(self, change: Callable[[Plan], tuple[Plan, Change]]) -> Plan:
        """Change the plan and return the new one; all workers use it from their next call on.

        Raises:
            ConfigurationError: ``configuration_invalid``: the change is refused, or cannot be kept.
        """
        try:
            with self._exclusively():
                before, last = self._read_or_kept()
                if last is not None and last not in self._written():
                    _append(self._path / _HISTORY, last)  # a crash came between
                plan, entry = change(before)
                self._write(plan, entry)
                _append(self._path / _HISTORY, entry)
                count = int.from_bytes(self._counter[:COUNTER_BYTES], "little") + 1
                self._counter[:COUNTER_BYTES] = (count % 2**64).to_bytes(COUNTER_BYTES, "little")
        except _BROKEN as fault:
            raise error_for(
                "configuration_invalid", "rollout.state", "a folder to write to", type(fault).__name__
            ) from None
        return self.plan()

    def history(self) -> tuple[Change, ...]:
        """Return all changes, the oldest first; a line cut off by a crash is made up for by the plan."""
        entries = self._written()
        with contextlib.suppress(*_BROKEN, RapidJWSError):
            last = self._read()[1]
            if last is not None and last not in entries:
                entries.append(last)
        return tuple(entries)

    def _written(self) -> list[Change]:
        entries: list[Change] = []
        with contextlib.suppress(OSError):
            for line in (self._path / _HISTORY).read_text("utf-8", "replace").splitlines():
                with contextlib.suppress(*_BROKEN):
                    entries.append(Change(**json.loads(line)))
        return entries

    def _look(self) -> None:
        """Go on with the folder of that name where it was removed and made again."""
        self._looked_s = monotonic()
        with contextlib.suppress(*_BROKEN, RapidJWSError):
            path = self._path / "revision"
            if path.stat().st_ino != self._inode:
                self._read()
                with self._lock:
                    self._counter, self._inode = _shared_counter(path)
                    self._seen = b""

    def _reload(self) -> None:
        with self._lock:
            seen = bytes(self._counter[:COUNTER_BYTES])
            with contextlib.suppress(*_BROKEN, RapidJWSError):
                self._plan = self._read()[0]
            self._seen = seen  # a plan that cannot be read is not read again at each call

    def _read(self) -> tuple[Plan, Change | None]:
        """Return the plan and the change that made it, from the copy where the plan is damaged."""
        try:
            return read_plan(self._path / _PLAN)
        except (*_BROKEN, RapidJWSError):
            return read_plan(self._path / _COPY)

    def _read_or_kept(self) -> tuple[Plan, Change | None]:
        """Return the plan to change: where no file can be read, the one that this worker goes by."""
        try:
            return self._read()
        except (*_BROKEN, RapidJWSError):
            return self._plan, None

    def _write(self, plan: Plan, entry: Change | None) -> None:
        members = {**plan_members(plan), "change": None if entry is None else entry.as_dict()}
        octets = json.dumps(members, indent=1).encode()
        _replace(self._path / _PLAN, octets)
        _replace(self._path / _COPY, octets)

    @contextlib.contextmanager
    def _exclusively(self) -> Iterator[None]:
        """Hold the folder against other writers, of this process and of others."""
        import fcntl

        with self._lock, open(self._path / "lock", "ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


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
    with open(path, "rb") as file:
        octets = file.read(STATE_MAX_BYTES + 1)
    if len(octets) > STATE_MAX_BYTES:
        raise ValueError("too large")
    members = json.loads(octets)
    made_by = members.get("change")
    return plan_of(members), None if made_by is None else Change(**made_by)


def _shared_counter(path: Path) -> tuple[mmap.mmap, int]:
    """Return the counter in shared memory, and the number of its file."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        size = os.fstat(descriptor).st_size
        if size < COUNTER_BYTES:  # written, not only made longer: a full disk is told here
            os.pwrite(descriptor, bytes(COUNTER_BYTES - size), size)
        return mmap.mmap(descriptor, COUNTER_BYTES), os.fstat(descriptor).st_ino
    finally:
        os.close(descriptor)


def _replace(path: Path, octets: bytes) -> None:
    """Replace a file whole: readers see the old one or the new one."""
    fresh = path.with_suffix(".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(octets)
        file.flush()
        os.fsync(file.fileno())
    os.replace(fresh, path)


def _append(path: Path, entry: Change) -> None:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(descriptor, "r+b", buffering=0) as file:
        size = os.fstat(descriptor).st_size
        torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"  # a crash cut the last line off
        file.write(b"\n" * torn + json.dumps(entry.as_dict()).encode() + b"\n")
