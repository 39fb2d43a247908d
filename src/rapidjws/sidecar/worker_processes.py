"""The sidecar's worker processes as their supervisor sees them: started, heard, missed, started again."""

from __future__ import annotations

import math
import mmap
import os
import signal
import struct
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rapidjws.sidecar.listeners import Sockets

EXIT_CONFIGURATION: Final = 78
FIRST_DELAY_S: Final = 0.1
LONGEST_DELAY_S: Final = 30.0
LINES_KEPT: Final = 64
LINE_MAX_BYTES: Final = 4096
STEADY_S: Final = 10.0
"""A worker that lived so long starts at once when it ends, and its back-off begins anew."""

_BEAT: Final = struct.Struct("=QQ")  # the last heartbeat, ns on the monotonic clock; restarts of this worker


class Heartbeats:
    """Shared memory in which each worker notes that it is alive, and the supervisor counts restarts.

    Args:
        workers: How many.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._memory = mmap.mmap(-1, workers * _BEAT.size)

    def beat(self, index: int) -> None:
        """Note that a worker's loop turns."""
        struct.pack_into("=Q", self._memory, index * _BEAT.size, time.monotonic_ns())

    def silence_s(self, index: int) -> float:
        """Return how long ago a worker's last heartbeat was, in seconds."""
        beat_ns: int = _BEAT.unpack_from(self._memory, index * _BEAT.size)[0]
        return (time.monotonic_ns() - beat_ns) / 1e9

    def count_restart(self, index: int) -> None:
        """Count that a worker was started again."""
        beat_ns, restarts = _BEAT.unpack_from(self._memory, index * _BEAT.size)
        _BEAT.pack_into(self._memory, index * _BEAT.size, beat_ns, restarts + 1)

    def restarts(self) -> list[int]:
        """Return how often each worker was started again."""
        return [_BEAT.unpack_from(self._memory, at * _BEAT.size)[1] for at in range(self._workers)]

    def close(self) -> None:
        """Let the memory go."""
        self._memory.close()


@dataclass(slots=True, kw_only=True)
class WorkerProcess:
    """One worker: its sockets, its process, and when it may start again.

    Attributes:
        sockets: Its sockets and number.
        pid: Its process id, 0 while there is none.
        status: The read end of the pipe by which it says that it serves, or why not; -1 when it is closed.
        ready: Whether it serves.
        due_s: From when on it is started again, on the monotonic clock.
        failures: How often in a row it did not live for STEADY_S.
    """

    sockets: Sockets
    pid: int = 0
    status: int = -1
    ready: bool = False
    begun_s: float = 0.0
    due_s: float = 0.0
    failures: int = 0
    words: deque[str] = field(default_factory=lambda: deque(maxlen=LINES_KEPT))
    rest: bytes = field(default=b"", repr=False)

    def back_off(self, now_s: float) -> float:
        """Set when the worker is started again, and return in how many seconds that is."""
        lived = self.ready and now_s - self.begun_s >= STEADY_S
        self.failures = 0 if lived else self.failures + 1
        delay_s = min(LONGEST_DELAY_S, math.ldexp(FIRST_DELAY_S, min(self.failures, 20)))
        self.due_s = now_s + delay_s
        return delay_s

    def read_status(self) -> bool:
        """Read what the worker reports; return whether it reported just now that it serves."""
        if self.status < 0:
            return False
        try:
            octets = os.read(self.status, 4096)
        except BlockingIOError:
            return False
        if not octets:
            os.close(self.status)
            self.status = -1
            return False
        became_ready = False
        *lines, self.rest = (self.rest + octets).split(b"\n")
        self.rest = self.rest[:LINE_MAX_BYTES]
        for line in (one.decode("utf-8", "replace") for one in lines):
            if line == "ready":
                became_ready = not self.ready
                self.ready = True
            else:
                self.words.append(line)
        return became_ready

    def forget(self) -> None:
        """Forget a process that ended."""
        if self.status >= 0:
            os.close(self.status)
        self.pid, self.status, self.ready = 0, -1, False


def ending_of(code: int) -> str:
    """Say how a process ended, from its exit code (negative: by a signal)."""
    if code >= 0:
        return f"ended with status {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"
