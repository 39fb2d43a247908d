"""The worker's side of the sequencer: a bounded queue, and a thread that sends groups and hears of them.

A group is sent again until the sequencer has taken it, so that one that starts anew costs no record.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import threading
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, cast

import orjson

from rapidjws._checks import check_range, checked, refused
from rapidjws._scheduler import scheduler
from rapidjws.audit.erasure import ErasureRequest
from rapidjws.audit.records import RecordContext
from rapidjws.audit.worker_counts import WorkerCount
from rapidjws.errors import CODES, error_for

if TYPE_CHECKING:
    from rapidjws.audit.records import Row

LENGTH: Final = struct.Struct(">I")
TAKEN: Final = b"\1"
REFUSED: Final = b"\0"
GROUP_MAX: Final = 2048
MESSAGE_MAX_BYTES: Final = 256 << 20
COPIED_MAX_BYTES: Final = 1 << 16
ROW_FIELDS: Final = 8
RETRY_S: Final = 0.2
ERASING_MAX_S: Final = 3600.0


def receive(connection: socket.socket, count: int) -> bytes:
    """Return so many octets of a connection; raises OSError at its end."""
    parts = []
    while count:
        part = connection.recv(min(count, 1 << 20))
        if not part:
            raise ConnectionResetError("the sequencer is gone")
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


class SequencerClient:
    """A sink that feeds a sequencer over its Unix socket.

    Args:
        path: The socket.
        durable: Whether a decision waits until its record is on the disk.
        queue_records: Most records that wait: what is lost at most where this process is killed.
        flush_ms: Longest time a record waits for others, in milliseconds; 0 with ``durable``.

    Attributes:
        failures: How often a group was not taken.
    """

    @checked(under="audit")
    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        durable: bool = True,
        queue_records: int = 8192,
        flush_ms: int = 20,
    ) -> None:
        check_range("audit.queue_records", queue_records, 1, 10**6)
        check_range("audit.flush_ms", flush_ms, 0, 10_000)
        self.durable = durable
        self._path = os.fspath(path)
        self._max = queue_records
        self._flush_s = 0.0 if durable else flush_ms / 1000
        self._rows: list[Row | Future[bool]] = []  # a future stands behind the row that it is of
        self._waiting = 0  # futures among them
        self._has_waited = False
        self._objects: dict[str, str] = {}
        self._lost: dict[str, int] = {}
        self._due = threading.Condition()
        self._closing = False
        self._thread: threading.Thread | None = None
        self._connection: socket.socket | None = None
        self._count = WorkerCount()
        self.failures = 0
        scheduler.members.add(self)

    def keep_count(self) -> None:
        """Have what is owed to the trail counted in a file from the first decision on; before serving."""
        self._count.keep_in(Path(self._path).parent)

    def after_fork(self) -> None:
        """Begin anew in a forked child: what waits is the parent's to send."""
        self._due = threading.Condition()
        self._rows, self._waiting, self._lost = [], 0, {}
        self._thread = self._connection = None
        self._count.forget()

    # --- what decides calls ------------------------------------------------------------------------------

    @checked
    def store(self, objects: Mapping[str, bytes]) -> None:
        """Take what digests in records name."""
        with self._due:
            self._objects.update((name, octets.decode()) for name, octets in objects.items())

    def take(self, row: Row) -> bool:
        """Take a record without waiting; return whether the queue had space."""
        if type(row) is not tuple or len(row) != ROW_FIELDS or type(row[0]) is not RecordContext:
            raise refused("row", "a row of a record", row)
        if len(self._rows) - self._waiting >= self._max:
            return False
        self._rows.append(row)
        self._count.add()
        if self._thread is None or len(self._rows) == GROUP_MAX:
            self._wake()
        return True

    def take_durably(self, row: Row) -> Future[bool] | None:
        """Take a record; the future says whether it is on the disk. None where the queue is full."""
        if type(row) is not tuple or len(row) != ROW_FIELDS or type(row[0]) is not RecordContext:
            raise refused("row", "a row of a record", row)
        waited: Future[bool] = Future()
        with self._due:
            if len(self._rows) - self._waiting >= self._max:
                return None
            self._has_waited = True
            self._waiting += 1
            self._rows.extend((row, waited))  # in one step: ``take`` has no lock
            self._due.notify()
        if self._thread is None:
            self._wake()
        return waited

    @checked
    def count_lost(self, why: str) -> None:
        """Count a record that is not taken; a gap record follows."""
        self._count.add()
        self._count_again(why)

    def _count_again(self, why: str, lost: int = 1) -> None:
        with self._due:
            self._lost[why] = self._lost.get(why, 0) + lost

    @checked
    def erase(self, request: ErasureRequest) -> None:
        """Have the sequencer erase contents of records, and wait until it is done.

        Raises:
            ConfigurationError: ``configuration_invalid``: a record or a key that there is not.
            DependencyUnavailable: ``audit_unavailable``: nobody answers, or the disk.
        """
        message = orjson.dumps({"erase": request.as_dict()})
        try:
            with contextlib.closing(self._connected()) as connection:
                connection.settimeout(ERASING_MAX_S)
                connection.sendall(LENGTH.pack(len(message)) + message)
                size = LENGTH.unpack(receive(connection, LENGTH.size))[0]
                found = orjson.loads(receive(connection, min(size, 65_536)))
        except OSError as fault:
            actual = fault.strerror or type(fault).__name__
            raise error_for("audit_unavailable", self._path, actual=actual) from fault
        if found:
            code = found["code"] if found["code"] in CODES else "audit_unavailable"
            raise error_for(code, found.get("place"), found.get("expected"), found.get("actual"))

    def _wake(self) -> None:
        with self._due:
            if self._thread is None and not self._closing:
                thread = threading.Thread(target=self._run, name="rapidjws-audit", daemon=True)
                with contextlib.suppress(RuntimeError, MemoryError):  # no thread: the queue fills and says so
                    thread.start()
                    self._thread = thread
            self._due.notify()

    @checked
    def close(self, timeout_s: float = 5.0) -> None:
        """Send what waits, within a bound, and end the thread."""
        with self._due:
            self._closing = True
            self._due.notify()
            thread = self._thread
        if thread is None and self._rows:
            self._run()
        elif thread is not None:
            thread.join(timeout_s)

    # --- the thread --------------------------------------------------------------------------------------

    def _run(self) -> None:
        tried_until = None
        while True:
            self.keep_count()
            rows, futures, lost = self._next_group()
            if not rows and not lost:
                if self._closing:
                    self._hang_up()
                    self._count.close()
                    return
                continue
            objects = dict(self._objects)
            message = self._message(rows, lost, objects)
            while True:
                taken = False if message is None else self._send(message, objects)
                if taken is not None:
                    break
                self.failures += 1
                if self._closing and tried_until is None:
                    tried_until = monotonic() + 2.0
                if tried_until is not None and monotonic() > tried_until:
                    self._count.close()
                    return
                if self.durable:
                    taken = False
                    break
                with self._due:
                    self._due.wait(RETRY_S)
            self._conclude(rows, futures, lost, taken, is_sent=message is not None)

    def _conclude(
        self, rows: list[Row], futures: list[Future[bool]], lost: Any, taken: bool, *, is_sent: bool
    ) -> None:
        for one in futures:
            with contextlib.suppress(Exception):  # its request gave up
                one.set_result(taken)
        if taken:
            self._count.add_taken(sum(lost.values()) + len(rows) - len(futures))
            return
        for why, count in lost.items():
            self._count_again(why, count)
        if not self.durable:
            if is_sent:  # the sequencer counts what it could not store
                self._count.add_taken(len(rows))
            return
        with self._due:
            self._due.wait(0.01)

    def _next_group(self) -> tuple[list[Row], list[Future[bool]], dict[str, int]]:
        with self._due:
            if not self._rows and not self._lost and not self._closing:
                self._due.wait(1.0 if self.durable else max(self._flush_s, 0.001))
            elif self._flush_s and len(self._rows) < GROUP_MAX and not self._closing:
                self._due.wait(self._flush_s)
            rows, futures = self._taken()
            lost, self._lost = self._lost, {}
            return rows, futures, lost

    def _taken(self) -> tuple[list[Row], list[Future[bool]]]:
        """Return the next rows, with the futures of these alone; under the lock.

        The list stays the same one: ``take`` appends to it without the lock.
        """
        futures: list[Future[bool]] = []
        if not self._has_waited:
            plain = cast("list[Row]", self._rows[:GROUP_MAX])
            del self._rows[: len(plain)]
            return plain, futures
        rows: list[Row] = []
        for one in self._rows:
            if isinstance(one, Future):
                futures.append(one)
            elif len(rows) == GROUP_MAX:
                break
            else:
                rows.append(one)
        del self._rows[: len(rows) + len(futures)]
        self._waiting -= len(futures)
        return rows, futures

    def _message(self, rows: list[Row], lost: dict[str, int], objects: dict[str, str]) -> bytes | None:
        """Return a group as a message; None where it is none, and counted as lost."""
        contexts = [(one, one.fields) for one in {row[0] for row in rows}]
        try:
            return orjson.dumps({"contexts": contexts, "objects": objects, "lost": lost, "rows": rows})
        except (TypeError, ValueError):  # text that UTF-8 cannot hold
            for _ in rows if self.durable else ():
                self._count.add()
            self._count_again("internal", len(rows))
            return None

    def _send(self, message: bytes, objects: Iterable[str] = ()) -> bool | None:
        """Send a group with objects; return whether it was taken, or None where nobody answers."""
        try:
            if self._connection is None:
                self._connection = self._connected()
            head = LENGTH.pack(len(message))
            if len(message) <= COPIED_MAX_BYTES:
                self._connection.sendall(head + message)  # at once: it waits for no other group
            else:  # a copy would cost a third of all that its records cost
                self._connection.sendall(head)
                self._connection.sendall(message)
            answer = receive(self._connection, 1)
            for name in objects:
                self._objects.pop(name, None)
            return answer == TAKEN
        except OSError:
            self._hang_up()
            return None

    def _connected(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(30.0)
            connection.connect(self._path)
        except BaseException:
            connection.close()
            raise
        return connection

    def _hang_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
