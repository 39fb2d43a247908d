"""Log records on their way to a file or to standard error: a bounded queue, and a thread that may wait.

Who logs never waits: what finds no room is counted and left out. A full disk or a pipe that nobody reads
holds up the thread, or costs the line.
"""

from __future__ import annotations

import contextlib
import os
import queue
import select
import threading
from collections import deque
from typing import TYPE_CHECKING, Final

from rapidjws import _files
from rapidjws._queues import LazyQueue
from rapidjws._scheduler import scheduler

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable

    Format = Callable[[logging.LogRecord], bytes]

STDERR: Final = "stderr"
NOWHERE: Final = "none"
WAITING_MAX: Final = 64
"""Most lines that a writer without a thread keeps for a pipe that is full."""

_TRIES: Final = 3
_TRY_S: Final = 1.0


class Destination:
    """A file that grows, or standard error.

    Args:
        where: ``"stderr"``, or a path.

    Raises:
        OSError: The file cannot be opened or must not be trusted.
    """

    def __init__(self, where: str) -> None:
        self._where = where
        self._is_torn = False  # a line was cut off: the next one begins on a new line
        self._descriptor = self._open()

    def _open(self) -> int:
        return 2 if self._where == STDERR else _files.open_log(self._where)

    def write(self, line: bytes) -> bool:
        """Write a line by one call where the system takes it whole; return whether it did.

        Waits for a pipe that is full. Raises nothing.
        """
        octets = b"\n" + line if self._is_torn else line
        for _ in range(_TRIES):
            try:
                taken = os.write(self._descriptor, octets)
            except BlockingIOError:  # somebody made standard error non-blocking
                with contextlib.suppress(OSError, ValueError):
                    select.select([], [self._descriptor], [], _TRY_S)
                continue
            except OSError:
                return False
            if taken < len(octets):
                self._is_torn = True
            else:
                self._is_torn = False
            return taken == len(octets)
        return False

    @property
    def takes_a_line(self) -> bool:
        """Return whether a pipe has room for a line now; a file always has."""
        try:
            return bool(select.select([], [self._descriptor], [], 0)[1])
        except (OSError, ValueError):
            return True  # the write says what is wrong

    def reopen(self) -> bool:
        """Open the file of this name anew, after it was moved away; where that fails, keep the one open."""
        if self._where == STDERR:
            return True
        try:
            descriptor = self._open()
        except OSError:
            return False
        before, self._descriptor, self._is_torn = self._descriptor, descriptor, False
        os.close(before)
        return True

    def close(self) -> None:
        """Close a file."""
        if self._where != STDERR:
            with contextlib.suppress(OSError):
                os.close(self._descriptor)


class DirectWriter:
    """Records written by whoever logs, as far as the destination takes them at once.

    For a process that forks: it has no thread.

    Args:
        destination: Where lines go.
        make_line: Makes a record's line, with its line end.
    """

    def __init__(self, destination: Destination, make_line: Format) -> None:
        self._destination = destination
        self._make_line = make_line
        self._waiting: deque[bytes] = deque()
        self.dropped = 0
        """Records that were left out."""

    def put(self, record: logging.LogRecord) -> None:
        """Write a record, or keep it until there is room."""
        if len(self._waiting) >= WAITING_MAX:
            self.dropped += 1
            return
        self._waiting.append(self._make_line(record))
        self.flush()

    def flush(self) -> None:
        """Write what waits, as far as there is room."""
        while self._waiting and self._destination.takes_a_line:
            if not self._destination.write(self._waiting.popleft()):
                self.dropped += 1

    def reopen(self) -> None:
        """Open the destination anew."""
        self._destination.reopen()

    def close(self, timeout_s: float = 0.0) -> None:
        """Write what waits as far as there is room, and close the destination."""
        self.flush()
        self._destination.close()


class QueuedWriter:
    """Records written by a thread of their own.

    Args:
        destination: Where lines go.
        make_line: Makes a record's line, with its line end; runs on the thread.
        max_records: Most records that wait.
        report: Makes the record that tells how many were left out.
    """

    def __init__(
        self,
        destination: Destination,
        make_line: Format,
        *,
        max_records: int,
        report: Callable[[int], logging.LogRecord],
    ) -> None:
        self._destination = destination
        self._make_line = make_line
        self._max = max_records
        self._report = report
        self._reported = 0
        self._is_reopening = False
        self.dropped = 0
        """Records that were left out: the queue was full, or the destination took them not."""
        self._begin()
        scheduler.members.add(self)

    def _begin(self) -> None:
        self._queue: LazyQueue[logging.LogRecord | None] = LazyQueue()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    def after_fork(self) -> None:
        """Begin anew in a forked child: the thread is not there, and the parent writes what waits."""
        self._begin()

    def put(self, record: logging.LogRecord) -> None:
        """Take a record; never waits for the destination."""
        if self._queue.get().qsize() >= self._max:
            self.dropped += 1
            return
        if self._thread is None:
            self._start()
        self._queue.get().put(record)

    def _start(self) -> None:
        if not self._starting.acquire(blocking=False):  # another starts it
            return
        try:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="rapidjws-log", daemon=True)
                thread.start()
                self._thread = thread
        except Exception:  # RuntimeError: no thread to be had; MemoryError: with the next record
            return
        finally:
            self._starting.release()

    def _run(self) -> None:
        waiting = self._queue.get()
        while (record := waiting.get()) is not None:
            self._take(record)

    def _take(self, record: logging.LogRecord) -> None:
        try:
            self._write(record)
        except Exception:  # a record that makes no line: the next one may
            self.dropped += 1

    def _write_here(self) -> None:
        """Write what waits as far as there is room, where no thread could be started."""
        waiting = self._queue.get()
        with contextlib.suppress(queue.Empty):
            while self._destination.takes_a_line:
                record = waiting.get_nowait()
                if record is not None:
                    self._take(record)
        self.dropped += waiting.qsize()

    def _write(self, record: logging.LogRecord) -> None:
        if self._is_reopening:
            self._is_reopening = False
            self._destination.reopen()
        if not self._destination.write(self._make_line(record)):
            self.dropped += 1
            return
        left_out = self.dropped - self._reported
        if left_out and self._destination.write(self._make_line(self._report(left_out))):
            self._reported += left_out

    def reopen(self) -> None:
        """Have the thread open the destination anew before its next line."""
        self._is_reopening = True

    def close(self, timeout_s: float = 1.0) -> None:
        """Let the thread write what waits, for so long, and close the destination.

        Where no thread could be started, who closes writes as far as there is room.

        Args:
            timeout_s: Longest wait, in seconds; what is not written by then is lost.
        """
        if self._thread is None and self._queue.get().qsize():
            self._start()
        thread = self._thread
        if thread is not None:
            self._queue.get().put(None)
            thread.join(timeout_s)
            if thread.is_alive():  # it waits for the destination: nothing to be closed under it
                return
        else:
            self._write_here()
        self._thread = None
        self._destination.close()
