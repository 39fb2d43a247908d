"""Waiting for a refresh, for callers that ask for it: bounded, and never in the way of others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rapidjws.errors import error_for

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from rapidjws.verify.pipeline import Snapshot
    from rapidjws.verify.protocols import KeySource

WAITED_FOR: Final = frozenset({"unknown_kid", "keys_unavailable", "keys_stale"})
"""Codes that a refresh may turn into an acceptance."""

MAX_WAIT_S: Final = 60.0
"""Longest wait that is not a mistake, in seconds."""


def checked_wait_s(wait_s: float) -> float:
    """Return the bound of a wait.

    Raises:
        ConfigurationError: ``configuration_invalid``: not from 0 to 60.
    """
    if not isinstance(wait_s, (int, float)) or isinstance(wait_s, bool) or not 0 <= wait_s <= MAX_WAIT_S:
        raise error_for("configuration_invalid", "wait_s", expected=f"0 to {MAX_WAIT_S} seconds")
    return wait_s


def refresh_of(
    source_of: Callable[[str], KeySource | None], snapshot: Snapshot, octets: bytes, wait_s: float
) -> Future[None] | None:
    """Return the refresh that may bring a token's key within the bound, or None."""
    iss, kid = snapshot.unverified_issuer_and_kid(octets)
    source = None if iss is None else source_of(iss)
    if source is None:
        return None
    refresh = source.next_answer()
    if source.state().keys is not None:
        delay_s = None if kid is None else source.unknown_kid(kid)
        if delay_s is None or delay_s > wait_s:
            refresh.cancel()
            return None
    return refresh


async def wait_for_refresh(refresh: Future[None], wait_s: float) -> None:
    """Wait for a refresh from asyncio; giving up disturbs nobody, as the future is the caller's own."""
    import asyncio

    await asyncio.wait((asyncio.wrap_future(refresh),), timeout=wait_s)
    refresh.cancel()
