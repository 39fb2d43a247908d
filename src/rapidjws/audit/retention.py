"""Retention by age: contents older than so many days are erased by the sequencer, records and proofs stay."""

from __future__ import annotations

from time import monotonic, time
from typing import TYPE_CHECKING, Final

from rapidjws._checks import check_range
from rapidjws.audit.erasure import Erasing, ErasureRequest, bundles_before, erased_in
from rapidjws.audit.tile_files import TileReader
from rapidjws.errors import RapidJWSError
from rapidjws.verify.worker_pool import Task, submit

if TYPE_CHECKING:
    from rapidjws.audit.trail_writer import TrailWriter
    from rapidjws.verify.protocols import Clock

DAY_S: Final = 86_400
LOOK_S: Final = 3600.0
DAYS_MAX: Final = 36_500


class Retention:
    """The erasing of old contents beside what a sequencer does.

    Args:
        writer: Writes the trail.
        days: How many days contents are kept; 0 for ever.
        clock: Gives the time; None for the real one.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """

    def __init__(self, writer: TrailWriter, days: float, *, clock: Clock | None = None) -> None:
        self.check(days)
        self._writer, self._days, self._clock = writer, days, clock
        self._erasing = Erasing(writer, None)
        self._looked_s = float("-inf")
        self._recorded_us = -1
        self._dropping: Task[None] | None = None

    @staticmethod
    def check(days: float) -> None:
        """Check how many days contents are kept; raises ConfigurationError."""
        check_range("audit.retention_days", days, 0, DAYS_MAX)

    def step(self) -> None:
        """Do what is due, while nobody publishes."""
        if not self._days:
            return
        monotonic_s = monotonic() if self._clock is None else self._clock.monotonic()
        try:
            if self._dropping is not None:
                self._conclude()
            elif monotonic_s - self._looked_s >= LOOK_S:
                self._looked_s = monotonic_s
                self._begin()
        except (RapidJWSError, OSError):
            self._dropping = None  # a fault of the disk: the next look begins anew

    def _begin(self) -> None:
        now_s = time() if self._clock is None else self._clock.time()
        before_us = int(now_s - self._days * DAY_S) // DAY_S * DAY_S * 1_000_000
        writer, is_first = self._writer, self._recorded_us < 0
        if is_first:
            self._recorded_us = erased_in(writer.folder, TileReader(writer.folder, writer.size)).before_us
        if before_us > self._recorded_us:
            if not self._erasing.has_before(before_us):
                return
            request = ErasureRequest(before_us=before_us, reason=f"retention of {self._days:g} days")
            self._erasing.record([], [], request)
            self._recorded_us = before_us
        elif not is_first:  # else what was interrupted is done again
            return
        self._start(self._recorded_us)

    def _start(self, before_us: int) -> None:
        """Drop contents of complete bundles on a thread of the pool: reading them takes a while."""
        folder, size = self._writer.folder, self._writer.size

        def drop() -> None:
            gone = bundles_before(folder, size, before_us)
            self._erasing.drop_complete(lambda _, time_us: time_us < before_us, gone)

        task = Task(drop)
        if not submit(task) and task.take_back() is not None:
            drop()
            self._rest()
        else:
            self._dropping = task

    def _conclude(self) -> None:
        task = self._dropping
        if task is not None and task.future.done():
            self._dropping = None
            task.future.result(0)
            self._rest()

    def _rest(self) -> None:
        before_us = self._recorded_us
        self._erasing.drop_rest(lambda _, time_us: time_us < before_us)
