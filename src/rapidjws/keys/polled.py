"""A key source that is looked at from time to time: a file, or a folder of files."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rapidjws._scheduler import scheduler
from rapidjws.keys.settings import positive_s
from rapidjws.keys.source import Source

if TYPE_CHECKING:
    from rapidjws.verify.protocols import Clock, EventListener


class PolledSource(Source, ABC):
    """An issuer's keys at a path, looked at once somebody subscribes.

    Args:
        path: The file or folder.
        poll_s: How often it is looked at, in seconds.
        events: Listener.
        clock: Both times.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """

    def __init__(self, path: str | Path, poll_s: float, events: EventListener, clock: Clock | None) -> None:
        positive_s("poll_s", poll_s)
        super().__init__(str(path), events, clock)
        self.path = Path(path)
        self._poll_s = poll_s
        self._watching = False

    @abstractmethod
    def reload(self) -> bool:
        """Read what changed; return whether the keys in use are those at the path."""

    def subscribe(self, changed: Any) -> None:
        """Call a bound method after each change, and start looking at the path."""
        super().subscribe(changed)
        with self._lock:
            if self._watching:
                return
            self._watching = True
        self._look()

    def _look(self) -> None:
        try:
            self.reload()
        finally:  # whatever ends a look, another follows
            scheduler.call_at(time.monotonic() + self._poll_s, self._look)

    def after_fork(self) -> None:
        """Go on looking in a forked child."""
        super().after_fork()
        if self._watching:
            scheduler.call_at(time.monotonic() + self._poll_s, self._look)
