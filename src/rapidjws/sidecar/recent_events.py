"""The last events around keys, stores and the configuration of a worker, for its report."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from rapidjws import escaping
from rapidjws.observe.event_log import write_event
from rapidjws.verify.protocols import emit, no_events

if TYPE_CHECKING:
    from rapidjws.verify.protocols import Event, EventListener

EVENTS_KEPT: Final = 64
TEXT_MAX_CHARS: Final = 200

LEFT_OUT: Final = frozenset(
    {
        "fetch_ended",
        "fetch_ok",
        "key_skipped",
        "revocations_enforced",
        "revocation_enforced",
        "introspection_ended",
        "introspection_remembered",
        "status_list_fetched",
    }
)
"""Events that come all the time, or for each change that another one reports."""


class RecentEvents:
    """The last events; give it events as they come, on whatever thread.

    An event like the one before it is counted, not kept apart: an outage is one line.
    """

    __slots__ = ("_kept", "_listener", "_lock")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: deque[dict[str, Any]] = deque(maxlen=EVENTS_KEPT)
        self._listener: EventListener = no_events

    def __call__(self, event: Event, /) -> None:
        """Take one event."""
        if event.name not in LEFT_OUT:
            self.note(event.name, issuer=event.issuer, kid=event.kid, detail=event.detail)
        emit(self._listener, event)

    def hand_to(self, listener: EventListener) -> None:
        """Name who hears of each event after it is kept."""
        self._listener = listener

    def alert(self, name: str, detail: str) -> None:
        """Keep, and log, that an alert began or ended."""
        self.note(name, detail=detail)
        write_event(name, {"detail": detail})

    def note(self, name: str, **fields: str | None) -> None:
        """Keep that something happened now, with its fields as printable text."""
        shown = {key: None if value is None else escaping.printable(value, TEXT_MAX_CHARS)
                 for key, value in fields.items()}  # fmt: skip
        now_s = time.time()
        with self._lock:
            for one in self._kept:
                if one["event"] == name and all(one.get(key) == value for key, value in shown.items()):
                    one["count"] += 1
                    one["last_s"] = now_s
                    return
            self._kept.append({"event": name, "at_s": now_s, "last_s": now_s, "count": 1, **shown})

    def listed(self) -> list[dict[str, Any]]:
        """Return copies of what is kept, the oldest first."""
        with self._lock:
            return [dict(one) for one in self._kept]
