"""Counting what asyncio's verifications come to; the core counts the others itself."""

from __future__ import annotations

from time import perf_counter_ns
from typing import TYPE_CHECKING, TypeVar

from rapidjws.errors import RapidJWSError
from rapidjws.verify.result import VerifiedJWS

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from rapidjws.verify.verdict_counters import VerdictCounters

Verified = TypeVar("Verified", bound=VerifiedJWS)


async def counted(counters: VerdictCounters | None, verification: Awaitable[Verified]) -> Verified:
    """Wait for a verification, and count its verdict and how long the wait was."""
    begun_ns = perf_counter_ns()
    try:
        verified = await verification
    except RapidJWSError as refused:
        if counters is not None:
            counters.count_results([refused], perf_counter_ns() - begun_ns)
        raise
    if counters is not None:
        counters.count_results([verified], perf_counter_ns() - begun_ns)
    return verified
