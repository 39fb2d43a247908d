"""Look-ups of issuers: on worker threads, one at a time for a name, and bounded where they find nothing."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from concurrent.futures import Future
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Final

from rapidjws.errors import RapidJWSError, error_for
from rapidjws.jwt.issuer import Issuer
from rapidjws.jwt.registry_entries import close_all, digest_of
from rapidjws.verify.protocols import Event, emit
from rapidjws.verify.worker_pool import Task, submit

if TYPE_CHECKING:
    from collections.abc import Callable

    from rapidjws.jwt.registry_entries import Entry, EntryTable
    from rapidjws.verify.protocols import EventListener

    Outcome = Entry | tuple[str, str]
    """An issuer, or the code and the cause of a refusal."""

CONCURRENT: Final = 16
"""Most look-ups at one time; half of them for names of which no token ever verified."""

QUEUED_MAX: Final = 4096
"""Most look-ups that wait for their turn, for names of which a token verified once and for others each."""

REMEMBERED_MAX: Final = 16_384
"""Most names whose look-up came to nothing that are remembered."""

FAILED_AGAIN_S: Final = 1.0
"""A look-up that failed is tried again after so long."""

NAME_MAX_CHARS: Final = 1024
"""Longest ``iss`` that is looked up."""

PLACE: Final = "registry"
UNKNOWN: Final = ("unknown_issuer", "no such issuer")


class LookupBudget:
    """Look-ups that may find nothing: so many at once, and as many again each minute."""

    __slots__ = ("_at_s", "_left", "per_minute")

    def __init__(self, per_minute: int) -> None:
        self.per_minute = per_minute
        self._left = float(per_minute)
        self._at_s = monotonic()

    @property
    def is_empty(self) -> bool:
        """Return whether nothing is left; the caller holds a lock."""
        return self._left + (monotonic() - self._at_s) * self.per_minute / 60 < 1

    def take(self) -> bool:
        """Take one; return whether there was one. The caller holds a lock."""
        now_s = monotonic()
        gained = (now_s - self._at_s) * self.per_minute / 60
        self._left, self._at_s = min(float(self.per_minute), self._left + gained), now_s
        if self._left < 1:
            return False
        self._left -= 1
        return True

    def give_back(self) -> None:
        """Give one back: its look-up found an issuer. The caller holds a lock."""
        self._left = min(float(self.per_minute), self._left + 1)


class QueuedLookup:
    """A look-up that somebody waits for.

    Attributes:
        iss: The name.
        is_known: Whether a token of it verified once.
        future: Gets the outcome.
    """

    __slots__ = ("future", "is_known", "iss")

    def __init__(self, iss: str, is_known: bool) -> None:
        self.iss = iss
        self.is_known = is_known
        self.future: Future[Outcome] = Future()


class Lookups:
    """The look-ups of a registry.

    Args:
        lookup: Returns the issuer of a name, or None; may wait, and raise.
        made: Returns the entry of a name and its issuer: a new one, or that of before with other settings.
        table: Where entries go, and from where one goes that has no issuer any more.
        unknown_per_minute: Look-ups that find nothing, a minute.
        unknown_ttl_s: How long it is remembered that there is no such issuer, in seconds.
        events: Listener.
        is_configured: Says whether a name is by now that of an issuer that is not looked up.
    """

    __slots__ = (
        "_budget",
        "_epoch",
        "_events",
        "_is_configured",
        "_known",
        "_lock",
        "_lookup",
        "_made",
        "_pending",
        "_remembered",
        "_running",
        "_running_strangers",
        "_strangers",
        "_table",
        "_unknown_ttl_s",
        "calls",
        "failed",
        "refused",
    )

    def __init__(
        self,
        lookup: Callable[[str], Issuer | None],
        made: Callable[[str, Issuer], Entry],
        table: EntryTable,
        *,
        unknown_per_minute: int,
        unknown_ttl_s: float,
        events: EventListener,
        is_configured: Callable[[str], bool],
    ) -> None:
        self._is_configured = is_configured
        self._lookup = lookup
        self._made = made
        self._table = table
        self._budget = LookupBudget(unknown_per_minute)
        self._unknown_ttl_s = unknown_ttl_s
        self._events = events
        self._lock = threading.Lock()  # for moments; no look-up runs under it
        self._pending: dict[str, Future[Outcome]] = {}
        self._known: deque[QueuedLookup] = deque()
        self._strangers: deque[QueuedLookup] = deque()
        self._running = self._running_strangers = 0
        self._remembered: OrderedDict[bytes, tuple[float, tuple[str, str]]] = OrderedDict()
        self._epoch = 0
        self.calls = self.failed = self.refused = 0

    def request(
        self, iss: str, *, is_known: bool, before: Entry | None = None
    ) -> Future[Outcome] | tuple[str, str]:
        """Begin to look an issuer up, or join who does; never waits.

        Args:
            iss: Its name, as a token states it.
            is_known: Whether a token of it verified once: then the budget of strangers is not queued.
            before: The entry that the caller found, or None: where there is another one by now, that is it.

        Returns:
            The future of the outcome, or a refusal: the code and the cause.
        """
        if not 0 < len(iss) <= NAME_MAX_CHARS:
            return UNKNOWN
        name = digest_of(iss)
        with self._lock:
            pending = self._pending.get(iss)
            if pending is not None:
                return pending
            there = self._table.get(iss)
            if there is not None and there is not before:  # a look-up ended meanwhile
                return _done(there)
            until_s, refusal = self._remembered.get(name, (0.0, UNKNOWN))
            if monotonic() < until_s:
                return refusal
            if not is_known and self._budget.is_empty and not self._strangers:
                self.refused += 1
                return ("keys_unavailable", "too many look-ups of unknown issuers")
            queue = self._known if is_known else self._strangers
            if len(queue) >= QUEUED_MAX:
                self.refused += 1
                return ("keys_unavailable", "too many look-ups wait")
            queued = QueuedLookup(iss, is_known)
            queue.append(queued)
            self._pending[iss] = queued.future
        self._start()
        return queued.future

    def _start(self) -> None:
        """Begin what waits, as far as there is room; names of which a token verified once come first."""
        while True:
            with self._lock:
                queued = self._next()
                if queued is None:
                    return
                has_budget = queued.is_known or self._budget.take()
                if has_budget:
                    self.calls += 1
                    self._running += 1
                    self._running_strangers += not queued.is_known
                else:
                    self.refused += 1
                    self._pending.pop(queued.iss, None)
            if not has_budget:
                queued.future.set_result(("keys_unavailable", "too many look-ups of unknown issuers"))
                continue
            task: Task[None] = Task(partial(self._run, queued, self._epoch))
            if not submit(task) and task.take_back() is not None:
                self._end(queued, ("keys_unavailable", "no worker thread"))

    def _next(self) -> QueuedLookup | None:
        """Return the next that may begin, or None; the caller holds the lock."""
        if self._running >= CONCURRENT:
            return None
        if self._known:
            return self._known.popleft()
        if self._strangers and self._running_strangers < CONCURRENT // 2:
            return self._strangers.popleft()
        return None

    def _run(self, queued: QueuedLookup, epoch: int) -> None:
        """Look an issuer up; on a worker thread."""
        outcome: Outcome = ("keys_unavailable", "the look-up failed")
        try:
            outcome = self._outcome(queued.iss, epoch, is_known=queued.is_known)
        finally:
            self._end(queued, outcome)
            self._start()

    def _end(self, queued: QueuedLookup, outcome: Outcome) -> None:
        """End a look-up, and answer who waits for it."""
        with self._lock:
            self._pending.pop(queued.iss, None)
            self._running -= 1
            self._running_strangers -= not queued.is_known
        queued.future.set_result(outcome)

    def _outcome(self, iss: str, epoch: int, *, is_known: bool) -> Outcome:
        try:
            issuer = self._lookup(iss)
        except Exception as fault:
            return self._failed(iss, f"raised {type(fault).__name__}", is_known=is_known)
        if issuer is None:
            self._remember(iss, UNKNOWN, self._unknown_ttl_s)
            self._table.remove(iss)
            return UNKNOWN
        if not isinstance(issuer, Issuer):
            return self._failed(iss, "returned no Issuer", is_known=is_known)
        if issuer.names not in ((iss,), ()) or issuer.name != iss:
            return self._failed(iss, "returned an issuer of another name", is_known=is_known)
        try:
            made = self._made(iss, issuer)
        except Exception as fault:
            where = fault.place if isinstance(fault, RapidJWSError) else type(fault).__name__
            return self._failed(iss, f"returned an issuer that cannot be used: {where}", is_known=is_known)
        with self._lock:
            if not is_known:
                self._budget.give_back()
            # another epoch: issuers were forgotten meanwhile
            gone = self._table.put(made) if epoch == self._epoch else [made]
        close_all(gone)
        is_configured = self._is_configured(iss)  # by now: that wins, whoever came first
        if is_configured:
            self._table.remove(iss)
        if is_configured or made in gone:  # forgotten meanwhile
            made.first = None
            return ("keys_unavailable", "to be looked up again")
        return made

    def _failed(self, iss: str, cause: str, *, is_known: bool) -> tuple[str, str]:
        """Remember for a moment that a look-up failed, and say so."""
        self.failed += 1
        refusal = ("keys_unavailable", cause)
        self._remember(iss, refusal, FAILED_AGAIN_S)
        emit(self._events, Event(name="issuer_lookup_failed", issuer=iss if is_known else None, detail=cause))
        return refusal

    def _remember(self, iss: str, refusal: tuple[str, str], life_s: float) -> None:
        name = digest_of(iss)
        with self._lock:
            self._remembered.pop(name, None)
            self._remembered[name] = (monotonic() + life_s, refusal)
            while len(self._remembered) > REMEMBERED_MAX:
                self._remembered.popitem(last=False)

    def forget(self, iss: str | None = None) -> None:
        """Look up again what was not found, and take nothing from look-ups that have begun.

        Args:
            iss: Whose; None for all.
        """
        with self._lock:
            self._epoch += 1
            if iss is None:
                self._remembered.clear()
            else:
                self._remembered.pop(digest_of(iss), None)

    def after_fork(self) -> None:
        """Begin anew in a forked child: the threads of look-ups are not there."""
        self._lock = threading.Lock()
        self._pending = {}
        self._known, self._strangers = deque(), deque()
        self._running = self._running_strangers = 0


def _done(outcome: Outcome) -> Future[Outcome]:
    """Return the future of a look-up that ended."""
    future: Future[Outcome] = Future()
    future.set_result(outcome)
    return future


def refusal_of(refusal: tuple[str, str], iss: str) -> RapidJWSError:
    """Return the error of a refusal."""
    code, cause = refusal
    if code == "unknown_issuer":
        return error_for(code, "claims.iss", actual=iss)
    return error_for(code, PLACE, expected="an answer of the look-up", actual=cause)
