"""The sequencer: one process a host that gives the records of all workers their order in one trail.

It listens on a Unix socket beside the trail. What all workers sent in one turn is one group: written, on the
disk, then answered. Tiles and checkpoints are written by a thread beside it.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
from collections.abc import Callable, Sequence
from functools import lru_cache
from time import monotonic, time_ns
from typing import Any, Final

import orjson

from rapidjws import _files
from rapidjws._checks import check_range, checked
from rapidjws.audit import worker_counts
from rapidjws.audit.content_keys import ContentKeys
from rapidjws.audit.erasure import Erasing, ErasureRequest, request_of
from rapidjws.audit.notes import NoteKey
from rapidjws.audit.objects import store_object
from rapidjws.audit.records import RecordTemplate, gap_record
from rapidjws.audit.retention import Retention
from rapidjws.audit.schedule import Schedule
from rapidjws.audit.sequencer_client import LENGTH, MESSAGE_MAX_BYTES, REFUSED, TAKEN
from rapidjws.audit.side_content import SALT_BYTES, packed, sealed_part
from rapidjws.audit.trail_writer import TrailWriter
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.verify.worker_pool import Task, submit

SOCKET: Final = "sequencer.sock"
SOCKET_MAX_BYTES: Final = 100
READ_BYTES: Final = 1 << 20
TURN_S: Final = 0.1
LOOK_S: Final = 2.0
"""How long workers that ended are looked for after a connection ended."""

LOOK_EVERY_S: Final = 60.0
KEYS_READ_S: Final = 60.0
"""How long a key of contents is used that was removed by hand."""


def check_socket_path(folder: str | os.PathLike[str]) -> None:
    """Refuse a folder whose path is too long for a socket in it; raises ConfigurationError."""
    if len(os.fsencode(os.path.join(folder, SOCKET))) > SOCKET_MAX_BYTES:
        raise error_for("configuration_invalid", "audit.folder", "a shorter path: a socket lies in it")


class _Feeder:
    """A worker's connection."""

    __slots__ = ("buffer", "connection")

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.buffer = bytearray()

    def message(self) -> bytes | None:
        """Return the next whole message, if it is there; raises ValueError for one that is too long."""
        if len(self.buffer) < LENGTH.size:
            return None
        size = LENGTH.unpack_from(self.buffer)[0]
        if size > MESSAGE_MAX_BYTES:
            raise ValueError("a message too long")
        end = LENGTH.size + size
        if len(self.buffer) < end:
            return None
        found = bytes(self.buffer[LENGTH.size : end])
        del self.buffer[:end]
        return found


class Sequencer:
    """The sequencer of a trail.

    Args:
        writer: Writes the trail.
        checkpoint_s: Longest time between a record and the checkpoint that covers it.
        checkpoint_records: Most records between two checkpoints.
        keys: Encrypt what is stored beside records; None leaves it in clear.
        retention_days: How many days that is kept; 0 for ever.
        schedules: What else is done from time to time, beside all of this: time stamps, cosignatures.

    Raises:
        ConfigurationError: ``configuration_invalid``: the path of the folder is too long for a socket.
        DependencyUnavailable: ``audit_unavailable``: the socket cannot be made.
    """

    @checked(under="audit")
    def __init__(
        self,
        writer: TrailWriter,
        *,
        checkpoint_s: float = 1.0,
        checkpoint_records: int = 65_536,
        keys: ContentKeys | None = None,
        retention_days: float = 0.0,
        schedules: Sequence[Schedule] = (),
    ) -> None:
        self.check(checkpoint_s, checkpoint_records)
        self._keys, self._keys_read_s = keys, monotonic()
        self._retention = Retention(writer, retention_days)
        self._writer, self._schedules = writer, tuple(schedules)
        self._every_s, self._every = checkpoint_s, checkpoint_records
        self.path = str(writer.folder / SOCKET)
        check_socket_path(writer.folder)
        self._selector = selectors.DefaultSelector()
        self._templates = lru_cache(4096)(lambda text: RecordTemplate(orjson.loads(text)))
        self._lost: dict[str, int] = {}
        self._published = writer.size
        self._published_s = monotonic()
        self._publishing: Task[None] | None = None
        self._stored: set[str] = set()
        self._look_until_s = monotonic() + LOOK_S  # for workers that ended
        self._looked_s = float("-inf")
        self._listener = self._listening()

    @staticmethod
    def check(checkpoint_s: float, checkpoint_records: int) -> None:
        """Check how often checkpoints are made; raises ConfigurationError."""
        check_range("audit.checkpoint_s", checkpoint_s, 0.05, 3600)
        check_range("audit.checkpoint_records", checkpoint_records, 1, 10**7)

    @property
    def size(self) -> int:
        """Return the number of records in the trail."""
        return self._writer.size

    @property
    def key(self) -> NoteKey:
        """Return the log's public key."""
        return self._writer.key

    def _listening(self) -> socket.socket:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with contextlib.suppress(FileNotFoundError):
                _files.remove(self.path)  # the lock of the trail is ours: nobody listens there
            listener.bind(self.path)
            os.chmod(self.path, 0o600)
            listener.listen(128)
            listener.setblocking(False)
        except OSError as fault:
            listener.close()
            raise error_for("audit_unavailable", self.path, actual=fault.strerror) from None
        self._selector.register(listener, selectors.EVENT_READ, None)
        return listener

    @checked
    def run(self, is_due_to_stop: Callable[[], bool]) -> None:
        """Serve until it is time to stop; then what came is written and published.

        Args:
            is_due_to_stop: Asked a few times a second.
        """
        while not is_due_to_stop():
            self.turn(TURN_S)
        self.turn(0)
        self._looked_s = float("-inf")  # workers end before their sequencer
        self._count_ended()
        self.close()

    @checked
    def turn(self, wait_s: float) -> None:
        """Take what the workers sent meanwhile as one group, and publish where it is due."""
        check_range("wait_s", wait_s, 0, 3600)
        waiting: list[tuple[_Feeder, dict[str, Any]]] = []
        for key, _ in self._selector.select(wait_s):
            if key.data is None:
                self._accept()
            else:
                self._read(key.data, waiting)
        if waiting:
            self._group(waiting)
        self._count_ended()
        self._publish_if_due()
        for one in self._schedules:
            one.step()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            connection, _ = self._listener.accept()
            connection.settimeout(10.0)
            self._selector.register(connection, selectors.EVENT_READ, _Feeder(connection))

    def _read(self, feeder: _Feeder, waiting: list[tuple[_Feeder, dict[str, Any]]]) -> None:
        try:
            part = feeder.connection.recv(READ_BYTES)
            feeder.buffer += part
            message = feeder.message()
            if message is not None:
                found = orjson.loads(message)
                waiting.append((feeder, found if isinstance(found, dict) else {}))
        except (OSError, ValueError):
            part = b""
        if not part:
            self._forget(feeder)

    def _forget(self, feeder: _Feeder) -> None:
        self._look_until_s = monotonic() + LOOK_S  # its lock may go a little later
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(feeder.connection)
        feeder.connection.close()

    def _count_ended(self) -> None:
        """Write a gap record of what workers that ended left without a record."""
        now_s = monotonic()
        if now_s - self._looked_s < (TURN_S if now_s <= self._look_until_s else LOOK_EVERY_S):
            return
        self._looked_s = now_s
        for path, lost in worker_counts.ended(self._writer.folder):
            try:
                if lost:
                    self._writer._append([gap_record(time_ns() // 1000, lost, "worker_ended")])
                _files.remove(path)
            except (RapidJWSError, OSError):  # again at the next turn
                self._look_until_s = now_s + LOOK_S

    def _group(self, waiting: list[tuple[_Feeder, dict[str, Any]]]) -> None:
        for request in [one for one in waiting if "erase" in one[1]]:
            waiting.remove(request)
            self._erase(*request)
        entries: list[bytes] = []
        contents: list[bytes] = []
        answer = TAKEN
        count = 0
        try:
            for feeder, message in tuple(waiting):
                if self._add_whole(message, entries, contents):
                    count += len(message["rows"])
                else:
                    waiting.remove((feeder, message))
                    self._answer(feeder, REFUSED)
            for why, lost in self._lost.items():
                entries.append(gap_record(time_ns() // 1000, lost, why))
                contents.append(b"")
            if entries:
                self._writer._append(entries, contents)
            self._lost.clear()
        except (RapidJWSError, OSError):
            answer = REFUSED
            self._count("storage", count)
        for feeder, _ in waiting:
            self._answer(feeder, answer)

    def _add_whole(self, message: dict[str, Any], entries: list[bytes], contents: list[bytes]) -> bool:
        """Make the records of a message, or none: one that is not of this version ends no sequencer."""
        size = len(entries)
        try:
            self._add(message, entries, contents)
            return True
        except (RapidJWSError, OSError):
            raise
        except Exception:
            del entries[size:], contents[size:]
            rows = message.get("rows")
            self._count("malformed", len(rows) if isinstance(rows, list) else 0)
            return False

    def _count(self, why: str, lost: int) -> None:
        """Count records that a gap record follows for; a client that waits counts them by itself."""
        if lost and not self._writer.durable:
            self._lost[why] = self._lost.get(why, 0) + lost

    def _answer(self, feeder: _Feeder, answer: bytes) -> None:
        try:
            feeder.connection.sendall(answer)
        except OSError:
            self._forget(feeder)

    def _erase(self, feeder: _Feeder, message: dict[str, Any]) -> None:
        """Erase contents, and answer with what hinders it, if anything does."""
        found: dict[str, Any] = {}
        try:
            self.erase(request_of(message["erase"]))
        except RapidJWSError as fault:
            found = fault.as_dict()
        except (OSError, KeyError, TypeError, ValueError) as fault:
            found = {"code": "audit_unavailable", "actual": type(fault).__name__}
        words = orjson.dumps(found, default=str)
        self._answer(feeder, LENGTH.pack(len(words)) + words)

    @checked
    def erase(self, request: ErasureRequest) -> None:
        """Erase contents of records; the log keeps the records, and says what was erased.

        Raises:
            ConfigurationError: ``configuration_invalid``: a record or a key that there is not.
            DependencyUnavailable: ``audit_unavailable``: the disk.
        """
        self._wait_for_publication()
        try:
            Erasing(self._writer, self._keys).run(request)
        except OSError as fault:
            raise error_for("audit_unavailable", "erasure", actual=fault.strerror) from None
        self._published = self._writer.size

    def _add(self, message: dict[str, Any], entries: list[bytes], contents: list[bytes]) -> None:
        """Make the records of a message."""
        for name, text in message["objects"].items():
            if name not in self._stored:
                store_object(self._writer.folder, name, text.encode())
                self._stored.add(name)
        made = {number: self._templates(orjson.dumps(fields)) for number, fields in message["contexts"]}
        add, put = entries.append, contents.append
        for number, time_us, text, route, request, trace, claims, keeps in message["rows"]:
            token = None if text is None else text.encode("latin-1")
            stored = None if claims is None else os.urandom(SALT_BYTES) + claims.encode()
            add(made[number].made(time_us, token, route, request, trace, stored))
            content = packed(token if keeps else None, stored)
            if self._keys is not None and content:
                code = str(made[number].fixed["code"])
                content = sealed_part(self._keys.seal(content, time_us, code, token))
            put(content)
        for why, lost in message["lost"].items():
            entries.append(gap_record(time_ns() // 1000, lost, why))
            contents.append(b"")

    def _publish_if_due(self) -> None:
        task = self._publishing
        if task is not None:
            if not task.future.done():
                return
            self._publishing = None
            if task.future.exception() is not None:  # what failed is written, or signed, with the next one
                self._published = min(self._published, self._writer.signed_size)
        self._retention.step()
        if self._keys is not None and monotonic() - self._keys_read_s >= KEYS_READ_S:
            self._keys._read_again()
            self._keys_read_s = monotonic()
        fresh = self._writer.size - self._published
        late = monotonic() - self._published_s >= self._every_s
        if not fresh or not (late or fresh >= self._every):
            return
        try:
            due = self._writer.prepare()
        except RapidJWSError:
            self._published_s = monotonic()
            return
        self._published, self._published_s = due.size, monotonic()
        task = Task(lambda: self._writer.write(due))
        if submit(task) or task.take_back() is None:
            self._publishing = task
        else:  # no thread to be had
            with contextlib.suppress(RapidJWSError):
                self._writer.write(due)

    def __del__(self) -> None:
        listener = getattr(self, "_listener", None)
        if listener is not None:
            listener.close()

    def _wait_for_publication(self) -> None:
        task, self._publishing = self._publishing, None
        if task is not None:
            with contextlib.suppress(Exception):
                task.future.result(30.0)

    def close(self) -> None:
        """Publish all, and let the trail and the socket go."""
        self._wait_for_publication()
        for key in list(self._selector.get_map().values()):
            if key.data is not None:
                self._forget(key.data)
        self._selector.close()
        self._listener.close()
        with contextlib.suppress(OSError):
            _files.remove(self.path)
        self._writer.close()
