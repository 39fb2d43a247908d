"""Load for a testbed: good tokens of every issuer, and those of a fault once it is injected."""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from rapidjws.gameday.testbed import Testbed

RATE_HZ: Final = 20.0
"""Requests a second."""


class Load:
    """A load of requests until closed; a context manager.

    Args:
        bed: Where to.
        rate_hz: Requests a second.
    """

    def __init__(self, bed: Testbed, rate_hz: float = RATE_HZ) -> None:
        self._bed = bed
        self._pause_s = 1 / rate_hz
        self._ending = threading.Event()
        self.traffic: Callable[[Testbed], str] | None = None
        self.statuses: Counter[int] = Counter()
        self._thread = threading.Thread(target=self._run, name="rapidjws-load", daemon=True)

    def _run(self) -> None:
        count, next_s = 0, time.monotonic()
        while not self._ending.is_set():
            issuers = list(self._bed.issuers.values())
            issuer = issuers[count % len(issuers)]
            faulty = self.traffic if issuer is self._bed.issuer else None
            token = self._bed.token(issuer) if faulty is None else faulty(self._bed)
            self.statuses[self._bed.ask(token)] += 1
            count += 1
            next_s = max(next_s + self._pause_s, time.monotonic() - 1.0)
            self._ending.wait(max(next_s - time.monotonic(), 0.0))

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        self._thread.join(30)
