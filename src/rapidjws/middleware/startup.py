"""Waiting for keys before a service takes requests: its first answer is a verdict, not a 503.

The wait is bounded: a service whose issuer cannot be reached starts all the same, for the tokens of others.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from rapidjws.verify.ready_waiters import checked_timeout_s

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rapidjws.jwt.engine import Engine

READY_TIMEOUT_S: Final = 10.0
"""How long a start waits for the keys of required issuers, in seconds, where nothing else is configured."""

NAMED_MOST: Final = 4
"""How many issuers a line names."""


async def wait_for_keys(engine: Engine, timeout_s: float, warn: Callable[[str], None]) -> bool:
    """Wait, within a bound, until each required issuer has keys; then go on, ready or not.

    Args:
        engine: Whose issuers are waited for.
        timeout_s: Longest wait, in seconds, from 0 to 3600.
        warn: Takes one line that names who has no keys, where the bound was reached.

    Returns:
        Whether the engine is ready.

    Raises:
        ConfigurationError: ``configuration_invalid``: no such bound.
    """
    if await engine.await_ready(timeout_s):
        return True
    missing = engine.not_ready
    if missing:  # not ready a moment ago
        warn(missing_keys_line(missing, timeout_s))
    return not missing


def missing_keys_line(missing: Mapping[str, str], waited_s: float) -> str:
    """Return a line that names the issuers without keys, and what that means.

    Args:
        missing: Name of an issuer -> why it has none.
        waited_s: How long they were waited for, in seconds.
    """
    named = [f"{name!a} ({why})" for name, why in list(missing.items())[:NAMED_MOST]]
    if len(missing) > NAMED_MOST:
        named.append(f"{len(missing) - NAMED_MOST} more")
    return (
        f"not ready after {waited_s:g} s: no keys of {', '.join(named)}; "
        "serving all the same, their tokens get 503 with Retry-After until the keys come"
    )


def checked_ready_timeout_s(place: str, timeout_s: object) -> float:
    """Return a bound as it was given.

    Raises:
        ConfigurationError: ``configuration_invalid``: not from 0 to 3600 seconds.
    """
    return checked_timeout_s(timeout_s, place)


class StartupWait:
    """The wait for keys that the first requests share where a protocol has no startup event (WSGI, gRPC).

    Attributes:
        is_over: Whether requests go on at once: every required issuer has keys, or the bound is over.

    Args:
        engine: Whose issuers are waited for; None where there is nothing to wait for.
        timeout_s: Longest wait, in seconds from now on, from 0 to 3600.
        warn: Takes one line that names who has no keys, where the bound was reached.

    Raises:
        ConfigurationError: ``configuration_invalid``: no such bound.
    """

    def __init__(self, engine: Engine | None, timeout_s: float, warn: Callable[[str], None]) -> None:
        self._timeout_s = checked_ready_timeout_s("ready_timeout_s", timeout_s)
        self._engine = engine
        self._until_s = time.monotonic() + self._timeout_s
        self._warn = warn
        self.is_over = engine is None or self._timeout_s == 0

    def wait(self) -> None:
        """Wait for the rest of the bound at most."""
        if self._engine is not None and not self.is_over:
            self._engine.wait_ready(self._rest_s())
            self._end(self._engine)

    async def wait_async(self) -> None:
        """Wait as ``wait`` does, from asyncio."""
        if self._engine is not None and not self.is_over:
            await self._engine.await_ready(self._rest_s())
            self._end(self._engine)

    def _rest_s(self) -> float:
        return max(0.0, self._until_s - time.monotonic())

    def _end(self, engine: Engine) -> None:
        missing = engine.not_ready
        if not self.is_over and missing:
            self._warn(missing_keys_line(missing, self._timeout_s))
        self.is_over = True
