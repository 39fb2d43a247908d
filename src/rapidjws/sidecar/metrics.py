"""The text of ``/metrics``: made beside the loop, one at a time, kept for a second."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from rapidjws.sidecar.metrics_text import exposition
from rapidjws.verify.worker_pool import call_on_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rapidjws.sidecar.request_counters import RequestCounters
    from rapidjws.sidecar.worker_state import WorkerState

KEPT_S: Final = 1.0
"""How long a text is given to others, in seconds."""


class Metrics:
    """The counters of a sidecar as text.

    Args:
        state: The worker that is asked.
        counters: The counts of all workers.
        restarts: Returns how often each worker was started again.
    """

    def __init__(
        self, state: WorkerState, counters: RequestCounters, restarts: Callable[[], Sequence[int]] = tuple
    ) -> None:
        self._state = state
        self._counters = counters
        self._restarts = restarts
        self._text = b""
        self._made_s = float("-inf")
        self._making: asyncio.Task[bytes] | None = None

    async def text(self) -> bytes:
        """Return the text, at most a second old.

        Raises:
            InternalError: ``internal_error``: no thread can be had to make it.
        """
        loop = asyncio.get_running_loop()
        if loop.time() - self._made_s < KEPT_S:
            return self._text
        if self._making is None:
            self._making = loop.create_task(self._make())
        return await asyncio.shield(self._making)  # who hangs up ends it for nobody else

    async def _make(self) -> bytes:
        try:
            made_s = asyncio.get_running_loop().time()
            self._text = await call_on_thread(self._written)
            self._made_s = made_s
            return self._text
        finally:
            self._making = None

    def _written(self) -> bytes:
        totals, unnamed = self._counters.totals()
        state = self._state
        return exposition(
            totals,
            ready=state.engine.ready,
            unnamed=unnamed,
            workers=state.change_bus.workers(),
            restarts=self._restarts(),
        ).encode("utf-8", "backslashreplace")
