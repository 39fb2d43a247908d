"""What changed, announced between the workers of a sidecar through shared memory: one look at it a request.

Each worker notes how long after a change it took it over. What this never does: hold what the change is; that
lies in the rollout's folder, the revocations' store and the configuration file.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import signal
import struct
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from rapidjws import _locks
from rapidjws.sidecar.pending_revocations import PendingRevocations
from rapidjws.sidecar.worker_reports import WorkerReports

if TYPE_CHECKING:
    from rapidjws.verify.table_status import TableStatus

Kind = Literal["rollout", "revocations", "pending_revocations", "config", "keys"]
KINDS: Final[tuple[Kind, ...]] = ("rollout", "revocations", "pending_revocations", "config", "keys")

_HEAD: Final = struct.Struct(f"={len(KINDS)}QQ")  # a counter a kind, and the moment of the last change, ns
_SLOT: Final = struct.Struct(
    "=QQQQQ"
)  # process id, changes taken over, lag of the last, longest lag, ns; config refused
_TABLES: Final = struct.Struct("=QQQQQ")  # precomputed tables, bytes used, budget, wanted; built so far
_WORKER_BYTES: Final = _SLOT.size + _TABLES.size
COUNTERS_BYTES: Final = 8 * len(KINDS)
WAIT_FIRST_S: Final = 0.0005
WAIT_LONGEST_S: Final = 0.02
"""Seconds between looks at the other workers: few looks where one of them is behind for long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerChanges:
    """The changes that a worker has applied.

    Attributes:
        pid: Its process id.
        index: Its number, from 0 on.
        changes: How many changes it has taken over, or knew from its start.
        lag_s: From the call of the last change to where it held in this worker, in seconds.
        longest_lag_s: The longest such time.
        config_refused: Whether it could not take over the last configuration, and goes by the one before.
        tables: Keys of it that have a precomputed table.
        tables_used_bytes: Memory that these take.
        tables_budget_bytes: Memory that they may take.
        tables_wanted_bytes: The budget that would do for all keys whose use calls for a table.
        tables_built: Tables that it built.
    """

    pid: int
    changes: int
    lag_s: float
    longest_lag_s: float
    config_refused: bool = False
    tables: int = 0
    tables_used_bytes: int = 0
    tables_budget_bytes: int = 0
    tables_wanted_bytes: int = 0
    tables_built: int = 0
    index: int = 0


class ChangeBus:
    """Share counters between forked workers.

    Args:
        workers: How many.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._lock = _locks.ForkedLock()
        # of no file: what could be shortened, or has no room on a full disk, would kill who touches it
        self._memory = mmap.mmap(-1, _HEAD.size + workers * _WORKER_BYTES)
        self.pending = PendingRevocations()
        self.reports = WorkerReports(workers)

    def counters(self) -> bytes:
        """Return the counters as octets: as they were where nothing changed."""
        return self._memory[:COUNTERS_BYTES]

    def announce(self, kind: Kind, since_ns: int) -> int:
        """Count a change and wake the workers.

        Args:
            kind: What changed.
            since_ns: When it was asked for, on the monotonic clock, in nanoseconds.

        Returns:
            How many changes there were by now.
        """
        with self._lock:
            *counts, _ = _HEAD.unpack_from(self._memory)
            counts[KINDS.index(kind)] += 1
            _HEAD.pack_into(self._memory, 0, *counts, since_ns)
        for worker in self.workers():
            with contextlib.suppress(OSError):
                os.kill(worker.pid, signal.SIGUSR1)
        return sum(counts)

    def changed(self, seen: bytes, now: bytes) -> set[Kind]:
        """Return which kinds differ between two looks at the counters."""
        return {
            kind for at, kind in enumerate(KINDS) if seen[8 * at : 8 * at + 8] != now[8 * at : 8 * at + 8]
        }

    def begin(self, index: int, counters: bytes) -> None:
        """Note that a worker begins, with all changes up to these counters."""
        _TABLES.pack_into(self._memory, self._at(index) + _SLOT.size, 0, 0, 0, 0, 0)
        _SLOT.pack_into(self._memory, self._at(index), os.getpid(), _sum(counters), 0, 0, 0)

    def note_tables(self, index: int, status: TableStatus) -> None:
        """Note the precomputed tables of a worker."""
        sizes = (status.used_bytes, status.budget_bytes, status.wanted_bytes)
        _TABLES.pack_into(self._memory, self._at(index) + _SLOT.size, status.tables, *sizes, status.built)

    def note_applied(self, index: int, counters: bytes, *, config_refused: bool = False) -> None:
        """Note that a worker took over the changes up to these counters, or refused a configuration."""
        changed_ns = _HEAD.unpack_from(self._memory)[-1]
        lag_ns = max(0, time.monotonic_ns() - changed_ns)
        longest_ns = max(lag_ns, _SLOT.unpack_from(self._memory, self._at(index))[3])
        state = (os.getpid(), _sum(counters), lag_ns, longest_ns, config_refused)
        _SLOT.pack_into(self._memory, self._at(index), *state)

    def forget(self, index: int) -> None:
        """Forget a worker that ended: nobody waits for it, or wakes who has its process id next."""
        _SLOT.pack_into(self._memory, self._at(index), 0, 0, 0, 0, 0)

    def workers(self) -> list[WorkerChanges]:
        """Return the state of each worker that began."""
        found = (self._worker(index) for index in range(self._workers))
        return [one for one in found if one.pid]

    def _worker(self, index: int) -> WorkerChanges:
        at = self._at(index)
        pid, changes, lag_ns, longest_ns, refused = _SLOT.unpack_from(self._memory, at)
        tables, used, budget, wanted, built = _TABLES.unpack_from(self._memory, at + _SLOT.size)
        return WorkerChanges(
            pid=pid,
            changes=changes,
            lag_s=lag_ns / 1e9,
            longest_lag_s=longest_ns / 1e9,
            config_refused=bool(refused),
            tables=tables,
            tables_used_bytes=used,
            tables_budget_bytes=budget,
            tables_wanted_bytes=wanted,
            tables_built=built,
            index=index,
        )

    def behind_s(self, worker: WorkerChanges) -> float:
        """Return for how many seconds a worker has not taken the last change over; 0 where it has."""
        *counts, changed_ns = _HEAD.unpack_from(self._memory)
        return max(0.0, (time.monotonic_ns() - changed_ns) / 1e9) if worker.changes < sum(counts) else 0.0

    def wait(self, changes: int, bound_s: float) -> bool:
        """Wait until every worker has taken over so many changes; return whether they did."""
        end_s = time.monotonic() + bound_s
        pause_s = WAIT_FIRST_S
        while any(worker.changes < changes for worker in self.workers()):
            if time.monotonic() > end_s:
                return False
            time.sleep(pause_s)
            pause_s = min(WAIT_LONGEST_S, pause_s * 1.2)
        return True

    def close(self) -> None:
        """Let the memory go."""
        self._memory.close()
        self._lock.close()
        self.pending.close()
        self.reports.close()

    def _at(self, index: int) -> int:
        return _HEAD.size + index * _WORKER_BYTES


def _sum(counters: bytes) -> int:
    return sum(struct.unpack(f"={len(KINDS)}Q", counters))
