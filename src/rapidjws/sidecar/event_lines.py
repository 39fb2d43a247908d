"""Lines for the operator: what goes wrong around keys, stores and files, once, and that it is over.

Events come on whatever thread they happen, never on the verification path.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from rapidjws.verify.protocols import Event

    Say = Callable[[str], None]

KEPT_MAX: Final = 64
"""Most lines that wait for somebody to write them, and most faults that are known at a time."""

ISSUERS_KEPT: Final = 10_000

FAULTS: Final = {
    "fetch_failed": "keys of {issuer} are not fetched ({detail}): those of before hold until they are stale",
    "keys_stale": "keys of {issuer} are stale: its tokens get 503 until it answers",
    "file_refused": "keys are not read from {issuer} ({detail}): those of before hold",
    "last_good_not_written": "keys of {issuer} are not written to last_good_file: look at its folder",
    "revocations_unreadable": "revocations are not read ({detail}): those of before hold",
    "revocations_unreachable": "revocations: Redis does not answer, those of before hold",
    "revocation_stream_lost": "revocations: the stream in Redis is gone ({detail})",
    "replay_store_failed": "the replay store does not answer ({detail})",
    "replay_store_full": "the replay store is full: {value:.0f} entries",
    "replay_store_evicts": "the replay store may evict entries ({detail}): set noeviction",
    "clock_stepped": "the system's clock was set by {value:+.1f} s",
    "swap_failed": "new keys of {issuer} are not taken over",
    "kid_rebound": "keys of {issuer}: another key under a known kid",
    "config_refused": "the configuration is not reloaded, the one before holds: {detail}",
}
"""Event -> the line that is written when it happens first, or with another detail."""

NEWS: Final = {
    "fetch_ok": ("fetch_failed", "keys of {issuer} are fetched again"),
    "keys_changed": ("file_refused", "keys of {issuer}: {value:.0f} in use"),
    "config_loaded": ("config_refused", "the configuration is reloaded: {value:.0f} issuers"),
    "last_good_used": (None, "keys of {issuer} are those of last_good_file, {value:.0f} s old"),
}
"""Event -> the fault that it ends, and its line; ``fetch_ok``, and the first keys of an issuer, have one only
where there was a fault."""

_ENDS: Final = {"fetch_ok": ("fetch_failed", "keys_stale", "swap_failed")}


class EventLines:
    """Lines where a fault begins, changes or ends; give it events as they come."""

    __slots__ = ("_known", "_lock", "_print_line", "_waiting", "_with_keys")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[tuple[str, str | None], str] = {}
        self._with_keys: set[str | None] = set()
        self._print_line: Say | None = None
        self._waiting: list[str] = []

    def __call__(self, event: Event, /) -> None:
        """Take one event."""
        line = self._line_for(event)
        if line is not None:
            self._write(line)

    def attach(self, print_line: Say) -> None:
        """Name who writes the lines, and hand over those that came before."""
        with self._lock:
            self._print_line, waiting, self._waiting = print_line, self._waiting, []
        for line in waiting:
            print_line(line)

    def _write(self, line: str) -> None:
        with self._lock:
            print_line = self._print_line
            if print_line is None and len(self._waiting) < KEPT_MAX:
                self._waiting.append(line)
        if print_line is not None:
            print_line(line)

    def _line_for(self, event: Event) -> str | None:
        named = {
            "issuer": ascii(event.issuer),
            "detail": event.detail or "no detail",
            "value": event.value or 0.0,
        }
        with self._lock:
            if event.name in FAULTS:
                line = FAULTS[event.name].format(**named)
                key = (event.name, event.issuer)
                if self._known.get(key) == line:
                    return None
                if len(self._known) >= KEPT_MAX and key not in self._known:
                    self._known.pop(next(iter(self._known)))
                self._known[key] = line
                return line
            if event.name not in NEWS:
                return None
            ended, text = NEWS[event.name]
            over = [self._known.pop((name, event.issuer), None)
                    for name in _ENDS.get(event.name, (ended,)) if name is not None]  # fmt: skip
            first = event.name == "keys_changed" and event.issuer not in self._with_keys
            if first and len(self._with_keys) < ISSUERS_KEPT:
                self._with_keys.add(event.issuer)
            if (first or event.name == "fetch_ok") and not any(over):
                return None
            return text.format(**named)
