"""Waiting until an engine is ready, within the caller's own bound; verification never waits."""

from __future__ import annotations

import contextlib
from time import monotonic
from typing import TYPE_CHECKING, Final

from rapidjws.errors import error_for

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

MAX_TIMEOUT_S: Final = 3600.0
"""Longest wait that is not a mistake, in seconds."""


def checked_timeout_s(timeout_s: object, place: str = "timeout_s") -> float:
    """Return the bound of a wait.

    Args:
        timeout_s: It, in seconds.
        place: The argument that a refusal names.

    Raises:
        ConfigurationError: ``configuration_invalid``: not from 0 to 3600.
    """
    if (
        not isinstance(timeout_s, (int, float))
        or isinstance(timeout_s, bool)
        or not 0 <= timeout_s <= MAX_TIMEOUT_S
    ):
        raise error_for(
            "configuration_invalid",
            place,
            expected=f"0 to {MAX_TIMEOUT_S:g} seconds",
            actual=repr(timeout_s),
        )
    return float(timeout_s)


class ReadyWaiters:
    """Those who wait until an engine is ready; each holds a future of its own."""

    __slots__ = ("_futures",)

    def __init__(self) -> None:
        self._futures: list[Future[None]] = []

    def wait(self, is_ready: Callable[[], bool], timeout_s: float) -> bool:
        """Wait on this thread; return whether it is ready now.

        Raises:
            ConfigurationError: ``configuration_invalid``: no such bound.
        """
        from concurrent.futures import wait

        end_s = monotonic() + checked_timeout_s(timeout_s)
        while not is_ready() and monotonic() < end_s:
            future = self._add()
            if not is_ready():  # again: who came in between was not released
                wait((future,), max(0.0, end_s - monotonic()))
            self._remove(future)
        return is_ready()

    async def wait_async(self, is_ready: Callable[[], bool], timeout_s: float) -> bool:
        """Wait from asyncio; return whether it is ready now.

        Raises:
            ConfigurationError: ``configuration_invalid``: no such bound.
        """
        import asyncio  # who is here has loaded it; all others do without

        end_s = monotonic() + checked_timeout_s(timeout_s)
        while not is_ready() and monotonic() < end_s:
            future = self._add()
            try:
                if not is_ready():
                    waiting = asyncio.wrap_future(future)
                    await asyncio.wait((waiting,), timeout=max(0.0, end_s - monotonic()))
            finally:
                future.cancel()
                self._remove(future)
        return is_ready()

    def release(self) -> None:
        """Let everyone go."""
        futures, self._futures = self._futures, []
        for future in futures:
            if future.set_running_or_notify_cancel():
                future.set_result(None)

    def _add(self) -> Future[None]:
        from concurrent.futures import Future

        future: Future[None] = Future()
        self._futures.append(future)
        return future

    def _remove(self, future: Future[None]) -> None:
        with contextlib.suppress(ValueError):  # released meanwhile
            self._futures.remove(future)
