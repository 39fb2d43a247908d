"""Waiting for keys before a service takes requests: its first answer is a verdict, not a 503.

The wait is bounded: a service whose issuer cannot be reached starts all the same, for the tokens of others.
"""

from __future__ import annotations

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
