"""Revocations shared through Redis: a stream keeps every change, a message wakes those who listen.

The stream's order is the truth: what holds in a process is what it read back, its own changes too. A stream
that vanished, was made anew, or lost its end in a fail-over is noticed by its first entry and by the last one
read; whoever still has the list writes back what the stream lost. An entry that cannot be read is passed over
and reported.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from typing import TYPE_CHECKING, Any, Final, Literal

from rapidjws._checks import checked
from rapidjws._listeners import WeakListeners
from rapidjws._scheduler import scheduler
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.stores.redis_channel import start_thread, subscribe
from rapidjws.stores.redis_client import RedisClient
from rapidjws.stores.revocation_entries import Word, change_of, entry_number
from rapidjws.stores.revocation_file import POLL_S, unavailable
from rapidjws.verify.protocols import Event, EventListener, emit, no_events
from rapidjws.verify.revocations import Revocation

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


READ_AT_ONCE: Final = 1000
WRITE_BACK_S: Final = 5
"""Seconds for which one process alone writes back what a stream lost."""

PAUSE_MIN_S: Final = 0.05
"""Shortest pause before a Redis that failed is tried again."""

_START: Final = b"0-0"
_PLACE: Final = "revocations.redis"


class RedisRevocations:
    """Share revocations through Redis; give it to ``Engine(revocations=...)``. Needs the extra ``redis``.

    Args:
        url: ``redis://`` or ``rediss://``.
        stream: The stream's name; the channel is called the same.
        timeout_s: For one command.
        poll_s: How often the stream is looked at where no message woke us, in seconds.
        on_loss: What a lost stream means. ``"keep"``: what was known holds, and is written back.
            ``"refuse"``: beside that no token is accepted until it is written back, and a start needs a
            stream that was begun with :meth:`begin`: a new process cannot tell a lost stream from none.
        events: Listener: ``revocation_enforced`` carries the seconds from the call, wherever it was made, to
            the moment it holds in this process; ``revocation_stream_lost`` says ``"vanished"``, ``"renewed"``
            or ``"shortened"``; ``revocation_unreadable`` an entry that was passed over.

    Attributes:
        is_lost: Whether tokens are to be refused since the stream was lost.

    Raises:
        ConfigurationError: ``configuration_invalid``.
        ImportError: redis is not installed.
    """

    @checked(under="revocations")
    def __init__(
        self,
        url: str,
        *,
        stream: str = "rapidjws:revocations",
        timeout_s: float = 0.5,
        poll_s: float = POLL_S,
        on_loss: Literal["keep", "refuse"] = "keep",
        events: EventListener = no_events,
    ) -> None:
        if on_loss not in ("keep", "refuse"):
            raise error_for("configuration_invalid", "revocations.on_loss", ("keep", "refuse"), str(on_loss))
        if not isinstance(stream, str) or not stream:
            raise error_for("configuration_invalid", "revocations.stream", "a name that is not empty")
        limits = {"socket_timeout": timeout_s, "socket_connect_timeout": timeout_s}
        self._redis = RedisClient(url, "revocations through Redis", **limits)
        self._stream = stream
        self._poll_s = poll_s
        self._on_loss = on_loss
        self._events = events
        self.is_lost = False
        self._words: dict[Revocation, Word] = {}
        self._former: dict[Revocation, Word] = {}  # the entries of a lost stream
        self._unsaved: dict[Revocation, None] = {}  # what it held and the present one lacks
        self._sent: dict[Revocation, bytes] = {}  # ours, not read back yet
        self._first: bytes | None = None
        self._was_there = False
        self._last = _START
        self._listed: tuple[Revocation, ...] = ()
        self._reported: tuple[Revocation, ...] | None = None
        self._reported_lost = False
        self._called_at_s: list[float] = []
        self._lock = threading.RLock()  # a listener may ask us
        self._listeners = WeakListeners()
        self._thread: threading.Thread | None = None
        self._listens = False
        scheduler.members.add(self)

    def begin(self) -> None:
        """Begin the stream where there is none, once, when a service is set up with ``on_loss="refuse"``.

        Raises:
            DependencyUnavailable: ``revocation_store_unavailable``.
        """
        try:
            if not self._redis.now.exists(self._stream):
                self._redis.now.xadd(self._stream, {"change": json.dumps({"verb": "begin"})})
        except self._redis.errors:
            raise unavailable(_PLACE) from None

    def load(self) -> Sequence[Revocation]:
        """Return all revocations as the stream tells them.

        Raises:
            DependencyUnavailable: ``revocation_store_unavailable``: it cannot be read; or it was never begun,
                with ``on_loss="refuse"``.
        """
        self._catch_up()
        if not self._was_there and self._on_loss == "refuse":
            raise unavailable(f"{_PLACE}: no stream; begin() makes one")
        with self._lock:
            if self._thread is None:
                self._reported, self._called_at_s = (
                    self._listed,
                    [],
                )  # from before our start: we were not late
            return self._listed

    @checked
    def add(self, revocation: Revocation) -> None:
        """Keep one and wake the others; it holds at once, whether it can be read back or not.

        Raises:
            DependencyUnavailable: ``revocation_store_unavailable``.
        """
        entry = self._send("revoke", revocation)
        with self._lock:
            self._sent[revocation] = entry
        self._read_back()

    @checked
    def remove(self, revocation: Revocation) -> None:
        """Lift one and wake the others; it is lifted once it is read back.

        Raises:
            DependencyUnavailable: ``revocation_store_unavailable``.
        """
        self._send("unrevoke", revocation)
        with self._lock:
            self._sent.pop(revocation, None)
            self._unsaved.pop(revocation, None)
        self._read_back()

    @checked
    def subscribe(self, changed: Callable[[], None]) -> None:
        """Call a bound method when the list changed; it is held weakly."""
        self._listeners.add(changed)
        self._listens = True
        self._listen()

    def _listen(self) -> None:
        """Start the thread that follows the stream; where none can be had, the timer tries again."""
        with self._lock:
            self._thread = self._thread or start_thread(self, "rapidjws-revocations")
            if self._thread is not None:
                return
            scheduler.call_at(time.monotonic() + max(PAUSE_MIN_S, self._poll_s), self._listen)
        emit(self._events, Event(name="revocations_unreachable", detail="no thread"))

    # --- to the stream -----------------------------------------------------------------------------------

    def _send(self, verb: str, *revocations: Revocation) -> bytes:
        """Add entries, and return the last one's ID."""
        try:
            with self._redis.now.pipeline(transaction=True) as pipe:
                for one in revocations:
                    text = json.dumps({"verb": verb, "at_s": time.time(), **one.as_dict()})
                    pipe.xadd(self._stream, {"change": text})
                pipe.publish(self._stream, b"1")
                *_, entry, _ = pipe.execute()
                return bytes(entry)
        except self._redis.errors:
            raise unavailable(_PLACE) from None

    def _read_back(self) -> None:
        """Take what the stream says after a change of ours; where it cannot be read, the thread tries on."""
        with contextlib.suppress(RapidJWSError):
            self._catch_up()
        with self._lock:
            self._list()
        self._report()

    def _write_back(self) -> None:
        """Write back what a lost stream held, unless another process does."""
        with self._lock:
            unsaved = tuple(self._unsaved)
            is_due = bool(unsaved) or self.is_lost
        if not is_due:
            return
        try:
            if not self._redis.now.set(f"{self._stream}:write-back", b"1", nx=True, ex=WRITE_BACK_S):
                return
        except self._redis.errors:
            raise unavailable(_PLACE) from None
        self._catch_up()  # another may have written it since
        with self._lock:
            unsaved = tuple(self._unsaved)
        if self._first is None:
            self.begin()
        for start in range(0, len(unsaved), READ_AT_ONCE):
            self._send("revoke", *unsaved[start : start + READ_AT_ONCE])
        self._catch_up()

    # --- from the stream ---------------------------------------------------------------------------------

    def _catch_up(self) -> None:
        """Read what the stream has beyond what we know; all of it where it is not the one we knew."""
        with self._lock:
            try:
                while True:
                    first, at, rows = self._read()
                    if self._is_another(first, at):
                        continue
                    for entry, fields in rows:
                        self._apply(bytes(entry), fields)
                        self._last = bytes(entry)
                    if len(rows) < READ_AT_ONCE:
                        break
                self._keep_what_was_lost()
            except self._redis.errors:
                raise unavailable(_PLACE) from None
            finally:
                self._list()

    def _read(self) -> tuple[Any, Any, Any]:
        with self._redis.now.pipeline(transaction=True) as pipe:
            pipe.xrange(self._stream, count=1)
            pipe.xrange(self._stream, min=self._last, max=self._last)
            pipe.xrange(self._stream, min=b"(" + self._last, count=READ_AT_ONCE)
            first, at, rows = pipe.execute()
        return first, at, rows

    def _is_another(self, first: Any, at: Any) -> bool:
        """Return whether the stream is not the one we knew; then it is read from its beginning."""
        beginning = bytes(first[0][0]) if first else None
        if self._first is None:
            self._first = beginning
            self._was_there = self._was_there or beginning is not None
            return False
        if beginning == self._first and (at or self._last == _START):
            return False
        detail = "vanished" if beginning is None else "renewed" if beginning != self._first else "shortened"
        emit(self._events, Event(name="revocation_stream_lost", value=len(self._listed), detail=detail))
        for one, entry in self._sent.items():
            self._words[one] = Word(entry_number(entry), holds=True)
        self._former = {**self._former, **self._words}
        self._unsaved = {
            **self._unsaved,
            **dict.fromkeys(one for one, word in self._words.items() if word.holds),
        }
        self._words, self._sent = {}, {}
        self._first, self._last = None, _START
        self.is_lost = self._on_loss == "refuse"
        return True

    def _keep_what_was_lost(self) -> None:
        """See which of ours a stream lacks that was read to its end: a fail-over lost them before that."""
        sent, self._sent = {one: entry_number(entry) for one, entry in self._sent.items()}, {}
        lost = {one: Word(at, holds=True) for one, at in sent.items() if not self._is_read(one, at)}
        if lost:
            emit(self._events, Event(name="revocation_stream_lost", value=len(lost), detail="shortened"))
            self._former = {**self._former, **lost}
            self._unsaved = {**self._unsaved, **dict.fromkeys(lost)}
            self.is_lost = self._on_loss == "refuse"

    def _is_read(self, sent: Revocation, at: tuple[int, int]) -> bool:
        """Return whether the stream's word on a revocation is of an entry or of a later one."""
        word = self._words.get(sent)
        return word is not None and word.at >= at

    def _apply(self, entry: bytes, fields: Any) -> None:
        try:
            change = change_of(fields)
            number = entry_number(entry)
        except Exception:  # whatever a stranger wrote: the list goes on behind it
            emit(self._events, Event(name="revocation_unreadable"))
            return
        if change is None:
            return
        before = self._words.pop(change.revocation, None)
        self._words[change.revocation] = Word(number, holds=change.holds)
        if (before is not None and before.holds) != change.holds:
            self._called_at_s.append(change.at_s)

    def _list(self) -> None:
        """Make the list out of what the stream says, what it does not have yet, and what it lost."""
        self._sent = {one: at for one, at in self._sent.items() if not self._is_read(one, entry_number(at))}
        self._unsaved = {one: None for one in self._unsaved if not self._is_stored(one)}
        if not self._unsaved:
            self._former = {}
            self.is_lost = self.is_lost and self._first is None
        held = [one for one, word in self._words.items() if word.holds]
        listed = tuple(dict.fromkeys([*held, *self._sent, *self._unsaved]))
        if listed != self._listed:
            self._listed = listed

    def _is_stored(self, lost: Revocation) -> bool:
        """Return whether the present stream has it, or lifted it after it was lost."""
        word, former = self._words.get(lost), self._former.get(lost)
        return word is not None and (word.holds or former is None or word.at > former.at)

    def _report(self) -> None:
        """Have all listeners load the list where it is another; again at the next turn where one failed."""
        with self._lock:
            listed, is_lost = self._listed, self.is_lost
            if listed is self._reported and is_lost == self._reported_lost:
                return
            called, self._called_at_s = self._called_at_s, []
        fault = self._listeners.call()
        if fault is not None:
            with self._lock:
                self._called_at_s = [*called, *self._called_at_s]
            return
        self._reported, self._reported_lost = listed, is_lost
        for at_s in called:
            emit(self._events, Event(name="revocation_enforced", value=time.time() - at_s))

    # --- the thread --------------------------------------------------------------------------------------

    def turn(self, pubsub: Any) -> None:
        """Wait for one message or the time to look anyway, and take what is new; the thread calls this."""
        pubsub.get_message(timeout=self._poll_s)
        self._catch_up()
        self._report()
        self._write_back()
        self._report()

    def open(self) -> Any:
        """Return a subscription to the channel; what came before is caught up."""
        return subscribe(self._redis.now, self._stream)

    def fail(self) -> float:
        """Report that Redis cannot be reached; wait at least as long as between two looks."""
        emit(self._events, Event(name="revocations_unreachable"))
        return max(PAUSE_MIN_S, self._poll_s)

    def after_fork(self) -> None:
        """Follow anew in a forked child, where no thread is."""
        self._lock = threading.RLock()  # a listener may ask us
        if self._listens:
            self._thread = None
            self._redis.renew()
            self._listen()
