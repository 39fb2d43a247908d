"""Time stamps on a schedule: the sequencer has checkpoints stamped from time to time, and waits for none."""

from __future__ import annotations

from pathlib import Path
from time import time
from typing import TYPE_CHECKING

from rapidjws._checks import check_range
from rapidjws.audit.notes import NoteKey
from rapidjws.audit.schedule import Schedule
from rapidjws.audit.timestamp_files import TIMESTAMPS, timestamp_names
from rapidjws.audit.timestamps import TimestampAuthority
from rapidjws.audit.trail_reader import TrailReader
from rapidjws.errors import RapidJWSError
from rapidjws.verify.protocols import Event, emit

if TYPE_CHECKING:
    from rapidjws.verify.protocols import Clock, EventListener


class TimestampSchedule(Schedule):
    """The time stamps of a trail that is being written.

    Args:
        folder: The trail.
        key: The log's public key.
        authority: Stamps.
        every_s: Seconds between stamps; a trail that has not grown gets none.
        events: Listens to stamps, and to what failed.
        clock: Gives the time; None for the real one.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """

    def __init__(
        self,
        folder: Path,
        key: NoteKey,
        authority: TimestampAuthority,
        *,
        every_s: float,
        events: EventListener,
        clock: Clock | None = None,
    ) -> None:
        self.check(every_s)
        super().__init__(every_s=every_s, failed="audit_timestamp_failed", events=events, clock=clock)
        self._folder, self._key, self._authority = folder, key, authority
        self._size = -1  # of the newest stamp; below 0 until it was looked up

    @staticmethod
    def check(every_s: float) -> None:
        """Check how often stamps are made; raises ConfigurationError."""
        check_range("audit.timestamp_every_s", every_s, 60, 30 * 86_400)

    def _call(self) -> float:
        """Have the checkpoint stamped where the trail has grown; return how long the next one has time."""
        if self._size < 0:
            self._size, wait_s = self._newest()
            if wait_s > 0:
                return wait_s
        try:
            reader = TrailReader(self._folder, self._key)
        except RapidJWSError:
            if (self._folder / "checkpoint").exists():
                raise
            return 1.0  # nothing is published yet
        if reader.size > self._size:
            self._authority.stamp(reader)
            self._size = reader.size
            emit(self._events, Event(name="audit_timestamped", value=float(reader.size)))
        return self._every_s if reader.size else 1.0

    def _newest(self) -> tuple[int, float]:
        """Return the size of the newest stamp, and how long the next one has time, as before a start."""
        found = [one for one in timestamp_names(self._folder) if one[:16].isdigit()]
        if not found:
            return 0, 0.0
        now_s = time() if self._clock is None else self._clock.time()
        age_s = now_s - (self._folder / TIMESTAMPS / found[-1]).stat().st_mtime
        return int(found[-1][:16]), self._every_s - max(0.0, age_s)
