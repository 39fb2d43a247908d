"""Revocations beyond one process: a file beside the configuration. For Redis see ``revocation_redis``."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rapidjws import _files, _locks
from rapidjws._checks import checked
from rapidjws._listeners import WeakListeners
from rapidjws._scheduler import scheduler
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.verify.protocols import Event, EventListener, emit, no_events
from rapidjws.verify.revocations import Revocation

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


FILE_MAX_BYTES: Final = 64 * 1024 * 1024
POLL_S: Final = 0.5


def unavailable(place: str, expected: str | None = None, actual: str | None = None) -> RapidJWSError:
    """Return the error for a store that does not answer, with what was expected of it and what was found."""
    return error_for("revocation_store_unavailable", place, expected, actual)


def _unreadable(actual: str) -> RapidJWSError:
    return unavailable("revocations.file", "a whole list of revocations; restore it", actual)


def _reason(fault: BaseException) -> str:
    """Return why a file cannot be used: the system's word, or the kind of fault; nothing of what it holds."""
    return (fault.strerror if isinstance(fault, OSError) else None) or type(fault).__name__


def revocation_from(fields: Any) -> Revocation | None:
    """Return the revocation that stored fields name, or None where they name none."""
    try:
        return Revocation(**fields)
    except (RapidJWSError, TypeError):
        return None


class RevocationFile:
    """Revocations in a JSON file; give it to ``Engine(revocations=...)``.

    Args:
        path: The file; it need not be there yet.
        poll_s: How often it is looked at for changes by others, in seconds.
        events: Listener.
    """

    @checked
    def __init__(
        self, path: str | Path, *, poll_s: float = POLL_S, events: EventListener = no_events
    ) -> None:
        self.path = Path(path)
        self._poll_s = poll_s
        self._events = events
        self._lock = threading.Lock()
        self._listeners = WeakListeners()
        self._reported: _files.Signature | None = None
        self._is_behind = False
        self._existed = False
        self._watching = False
        scheduler.members.add(self)

    def load(self) -> Sequence[Revocation]:
        """Return all revocations; none where there is no file yet.

        Raises:
            DependencyUnavailable: ``revocation_store_unavailable``: the file is there and cannot be read.
        """
        if not self._watching:
            self._reported = _files.signature(self.path)
        try:
            rows = json.loads(_files.read_trusted(self.path, FILE_MAX_BYTES))["revocations"]
            found = [revocation_from(row) for row in rows]
        except FileNotFoundError:
            if self._existed:  # a list that vanished lifts nothing
                raise _unreadable("no file any more") from None
            return ()
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as fault:
            raise _unreadable(_reason(fault)) from None
        self._existed = True
        if None in found:  # a revocation that cannot be read must not be lost silently
            raise _unreadable("a revocation that this version cannot read")
        return [one for one in found if one is not None]

    @checked
    def add(self, revocation: Revocation) -> None:
        """Keep one.

        Raises:
            DependencyUnavailable: ``revocation_store_unavailable``.
        """
        self._change(lambda listed: [*(one for one in listed if one != revocation), revocation])

    @checked
    def remove(self, revocation: Revocation) -> None:
        """Lift one.

        Raises:
            DependencyUnavailable: ``revocation_store_unavailable``.
        """
        self._change(lambda listed: [one for one in listed if one != revocation])

    @checked
    def subscribe(self, changed: Callable[[], None]) -> None:
        """Call a bound method when the file changed; it is held weakly."""
        self._listeners.add(changed)
        if not self._watching:
            self._watching = True
            scheduler.call_at(time.monotonic() + self._poll_s, self._look)

    def _change(self, change: Callable[[Sequence[Revocation]], Sequence[Revocation]]) -> None:
        try:
            with self._lock, _locks.locked(self.path.with_name(f".{self.path.name}.lock")):
                _files.remove_leftovers(self.path)
                before = self.load()
                after = change(before)
                rows = [one.as_dict() for one in after]
                octets = json.dumps({"revocations": rows}, indent=1).encode()
                if len(octets) > FILE_MAX_BYTES:  # nobody could read it: all would go by the old list
                    raise unavailable("revocations.file: too large")
                _files.replace(self.path, octets)
                self._existed = True
        except OSError as fault:
            raise unavailable("revocations.file", "a file to write", _reason(fault)) from None
        self._report()  # others may have changed it before us, and nobody looked since

    def _report(self) -> None:
        """Have all listeners load the list; where one could not, it is called again at the next look."""
        reported = _files.signature(self.path)
        fault = self._listeners.call()
        self._reported, self._is_behind = reported, fault is not None
        if fault is not None:
            detail = type(fault).__name__
            if isinstance(fault, RapidJWSError):
                detail = str(fault.actual or fault.code)
            emit(self._events, Event(name="revocations_unreadable", detail=detail))

    def _look(self) -> None:
        try:
            if self._is_behind or _files.signature(self.path) != self._reported:
                self._report()
        finally:
            scheduler.call_at(time.monotonic() + self._poll_s, self._look)

    def after_fork(self) -> None:
        """Make the lock anew in a forked child and go on looking."""
        self._lock = threading.Lock()
        if self._watching:
            scheduler.call_at(time.monotonic() + self._poll_s, self._look)
