"""Engines with room for few precomputed tables, and keys that are used as often as a test wants."""

from __future__ import annotations

import time
from collections.abc import Iterable
from time import monotonic
from typing import Any

import tokens

from rapidjws import Engine, _native

NEED_BYTES = _native.precomputed_bytes(_native.ALG_NUMBERS["ES256"])
NAMES = tuple(f"n{number}" for number in range(6))


def wait_until(condition: Any) -> None:
    """Wait for what the background thread does."""
    end_s = monotonic() + 60
    while not condition():
        assert monotonic() < end_s, "it never came"
        time.sleep(0.005)


def engine_of(names: Iterable[str] = NAMES, *, tables: int = 3, threshold: int = 4) -> Engine:
    """Return an engine whose budget is enough for so many tables."""
    keys = [tokens.public("ES256", name) for name in names]
    return Engine(
        tokens.issuer("ES256", keys=keys),
        precompute_budget_bytes=tables * NEED_BYTES,
        precompute_threshold=threshold,
        workers=1,
    )


def use(engine: Engine, name: str, times: int = 1) -> None:
    """Let a key accept so often."""
    token = tokens.token("ES256", name)
    for _ in range(times):
        engine.verify(token, tokens.NOW_S)
