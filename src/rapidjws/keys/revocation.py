"""Revocations beyond one process: a file beside the configuration, and Redis between machines.

Redis: a stream keeps every change for those who come late, a message on a channel wakes those who are there.
What is read is checked like any setting; an entry that is none is passed over and told.
"""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakMethod, ref

from rapidjws.engine.revocations import Revocation
from rapidjws.engine.seams import Event, no_events, tell
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.keys.clockwork import clockwork
from rapidjws.keys.lastgood import write_atomically

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rapidjws.engine.seams import Recorder

FILE_MAX_BYTES: Final = 64 * 1024 * 1024
POLL_S: Final = 0.5


def _unavailable(place: str) -> RapidJWSError:
    return error_for("revocation_store_unavailable", place)


def revocation_from(fields: Any) -> Revocation | None:
    """Return the revocation that stored fields name, or None where they name none."""
    try:
        return Revocation(**fields)
    except (RapidJWSError, TypeError):
        return None


class _Listeners:
    """Hold bound methods weakly and call them."""

    __slots__ = ("_methods",)

    def __init__(self) -> None:
        self._methods: list[WeakMethod[Any]] = []

    def add(self, changed: Callable[[], None]) -> None:
        self._methods = [*(one for one in self._methods if one() is not None), WeakMethod(changed)]

    def call(self) -> None:
        for reference in self._methods:
            changed = reference()
            if changed is not None:
                changed()


class RevocationFile:
    """Keep revocations in a JSON file; give it to ``Engine(revocations=...)``.

    Args:
        path: The file; it need not be there yet.
        poll_s: How often it is looked at for changes by others, in seconds.
        events: Listener.
    """

    def __init__(self, path: str | Path, *, poll_s: float = POLL_S, events: Recorder = no_events) -> None:
        self.path = Path(path)
        self._poll_s = poll_s
        self._events = events
        self._lock = threading.Lock()
        self._listeners = _Listeners()
        self._seen: tuple[int, ...] | None = None
        self._existed = False
        self._watching = False
        clockwork.members.add(self)

    def load(self) -> Sequence[Revocation]:
        """Return all revocations; none where there is no file yet.

        Raises:
            DependencyUnavailable: ``revocation_store_unavailable``: the file is there and cannot be read.
        """
        self._seen = self._signature()
        try:
            with self.path.open("rb") as file:
                rows = json.loads(file.read(FILE_MAX_BYTES))["revocations"]
            found = [revocation_from(row) for row in rows]
        except FileNotFoundError:
            if self._existed:  # a list that vanished lifts nothing
                raise _unavailable("revocations.file") from None
            return ()
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            raise _unavailable("revocations.file") from None
        self._existed = True
        if None in found:  # a revocation that cannot be read must not be lost silently
            raise _unavailable("revocations.file")
        return [one for one in found if one is not None]

    def add(self, revocation: Revocation) -> None:
        """Keep one.

        Raises:
            DependencyUnavailable: ``revocation_store_unavailable``.
        """
        self._change(lambda listed: [*(one for one in listed if one != revocation), revocation])

    def remove(self, revocation: Revocation) -> None:
        """Lift one.

        Raises:
            DependencyUnavailable: ``revocation_store_unavailable``.
        """
        self._change(lambda listed: [one for one in listed if one != revocation])

    def subscribe(self, changed: Callable[[], None]) -> None:
        """Call a bound method when the file changed; it is held weakly."""
        self._listeners.add(changed)
        if not self._watching:
            self._watching = True
            clockwork.call_at(time.monotonic() + self._poll_s, self._look)

    def _change(self, change: Callable[[Sequence[Revocation]], Sequence[Revocation]]) -> None:
        with self._lock, _FileLock(self.path):
            rows = [one.as_dict() for one in change(self.load())]
            try:
                write_atomically(self.path, json.dumps({"revocations": rows}, indent=1).encode())
            except OSError:
                raise _unavailable("revocations.file") from None
            self._seen = self._signature()
            self._existed = True

    def _signature(self) -> tuple[int, ...] | None:
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino

    def _look(self) -> None:
        try:
            if self._signature() != self._seen:
                self._listeners.call()
        except RapidJWSError as fault:
            tell(self._events, Event(name="revocations_unreadable", issuer=None, detail=fault.code))
        finally:
            clockwork.call_at(time.monotonic() + self._poll_s, self._look)

    def after_fork(self) -> None:
        """Make the lock anew in a forked child and go on looking."""
        self._lock = threading.Lock()
        if self._watching:
            clockwork.call_at(time.monotonic() + self._poll_s, self._look)


class _FileLock:
    """Keep two processes from changing the file at once, where the system has flock."""

    __slots__ = ("_handle", "_path")

    def __init__(self, path: Path) -> None:
        self._path = path.with_name(f".{path.name}.lock")
        self._handle: int | None = None

    def __enter__(self) -> None:
        try:
            import fcntl
        except ImportError:
            return
        try:
            self._handle = os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600)
            fcntl.flock(self._handle, fcntl.LOCK_EX)
        except OSError:
            raise _unavailable("revocations.file") from None

    def __exit__(self, *fault: object) -> None:
        if self._handle is not None:
            os.close(self._handle)


class RedisRevocations:
    """Share revocations through Redis; give it to ``Engine(revocations=...)``. Needs the extra ``redis``.

    Args:
        url: ``redis://`` or ``rediss://``.
        stream: The stream's name; the channel is called the same.
        timeout_s: For one command.
        poll_s: How often the stream is looked at where no message woke us, in seconds.
        events: Listener: ``revocation_enforced`` carries the seconds from the call, wherever it was made, to
            the moment it holds in this process.

    Raises:
        ImportError: redis is not installed.
    """

    def __init__(
        self,
        url: str,
        *,
        stream: str = "rapidjws:revocations",
        timeout_s: float = 0.5,
        poll_s: float = POLL_S,
        events: Recorder = no_events,
    ) -> None:
        try:
            import redis
        except ImportError as missing:
            raise ImportError("revocations through Redis need: pip install 'rapidjws[redis]'") from missing
        self._redis: Any = redis
        limits: dict[str, Any] = {"socket_timeout": timeout_s, "socket_connect_timeout": timeout_s}
        self._client: Any = redis.Redis.from_url(url, **limits)
        self._stream = stream
        self._poll_s = poll_s
        self._events = events
        self._listed: dict[Revocation, None] = {}
        self._last = b"0-0"
        self._called_at_s: list[float] = []
        self._lock = threading.Lock()
        self._listeners = _Listeners()
        self._thread: threading.Thread | None = None
        clockwork.members.add(self)

    def load(self) -> Sequence[Revocation]:
        """Return all revocations as the stream tells them.

        Raises:
            DependencyUnavailable: ``revocation_store_unavailable``: it was never read with success.
        """
        self._catch_up()
        if self._thread is None:
            self._called_at_s = []  # from before our start: nothing that we were late for
        return tuple(self._listed)

    def add(self, revocation: Revocation) -> None:
        """Keep one and wake the others.

        Raises:
            DependencyUnavailable: ``revocation_store_unavailable``.
        """
        self._send("revoke", revocation)
        with self._lock:  # at once, not when the stream tells: Redis may be gone by then
            self._listed[revocation] = None

    def remove(self, revocation: Revocation) -> None:
        """Lift one and wake the others.

        Raises:
            DependencyUnavailable: ``revocation_store_unavailable``.
        """
        self._send("unrevoke", revocation)
        with self._lock:
            self._listed.pop(revocation, None)

    def subscribe(self, changed: Callable[[], None]) -> None:
        """Call a bound method when others changed the list; it is held weakly."""
        self._listeners.add(changed)
        self._listen()

    def _listen(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(
                    target=_follow, args=(ref(self),), name="rapidjws-revocations", daemon=True
                )
                self._thread.start()

    def _send(self, verb: str, revocation: Revocation) -> None:
        text = json.dumps({"verb": verb, "at_s": time.time(), **revocation.as_dict()})
        try:
            with self._client.pipeline(transaction=True) as pipe:
                pipe.xadd(self._stream, {"change": text})
                pipe.publish(self._stream, b"1")
                pipe.execute()
        except (self._redis.RedisError, OSError):
            raise _unavailable("revocations.redis") from None

    def _catch_up(self) -> bool:
        """Read what the stream has beyond what we know; return whether that changed anything."""
        changed = False
        with self._lock:
            try:
                while rows := self._client.xrange(self._stream, min=b"(" + self._last, count=1000):
                    for entry, fields in rows:
                        changed |= self._apply(fields.get(b"change", b""))
                        self._last = entry
            except (self._redis.RedisError, OSError):
                raise _unavailable("revocations.redis") from None
        return changed

    def _apply(self, text: bytes) -> bool:
        try:
            fields = json.loads(text)
            verb, at_s = fields.pop("verb"), float(fields.pop("at_s"))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            verb, at_s, fields = None, 0.0, None
        revocation = revocation_from(fields) if fields is not None else None
        if revocation is None or verb not in ("revoke", "unrevoke"):
            tell(self._events, Event(name="revocation_unreadable"))
            return False
        before = revocation in self._listed
        if verb == "revoke":
            self._listed[revocation] = None
        else:
            self._listed.pop(revocation, None)
        changed = bool(before != (verb == "revoke"))
        if changed:
            self._called_at_s.append(at_s)
        return changed

    def turn(self, pubsub: Any) -> None:
        """Wait for one message or the time to look anyway, and take what is new; the thread calls this."""
        pubsub.get_message(timeout=self._poll_s)
        if self._catch_up():
            called, self._called_at_s = self._called_at_s, []
            self._listeners.call()
            for at_s in called:
                tell(self._events, Event(name="revocation_enforced", value=time.time() - at_s))

    def open(self) -> Any:
        """Return a subscription to the channel; what came before is caught up."""
        pubsub = self._client.pubsub(ignore_subscribe_messages=True)
        pubsub.subscribe(self._stream)
        return pubsub

    def after_fork(self) -> None:
        """Open everything anew in a forked child: two processes must not share a socket."""
        self._lock = threading.Lock()
        self._client.connection_pool.reset()
        if self._thread is not None:
            self._thread = None
            self._listen()


def _follow(reference: ref[RedisRevocations]) -> None:
    """Follow the list until nobody holds it; come back after every fault."""
    pubsub: Any = None
    while True:
        store = reference()
        if store is None:
            break
        try:
            pubsub = pubsub or store.open()
            store.turn(pubsub)
        except Exception:
            pubsub = None
            tell(store._events, Event(name="revocations_unreachable"))
            del store
            time.sleep(POLL_S)
            continue
        del store
    if pubsub is not None:
        pubsub.close()
