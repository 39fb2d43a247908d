"""Engines with room for few precomputed tables, and keys that are used as often as a test wants."""

from __future__ import annotations

import time
from collections.abc import Iterable
from time import monotonic
from typing import Any

import tokens

from rapidjws import Engine, _native
from rapidjws.verify.key_table import IssuerKeys, PreparedKey

ALG = "EdDSA"
"""Its tables have one size, so that tests can tell who has one."""

NEED_BYTES = _native.precomputed_bytes(_native.ALG_NUMBERS["ED25519"])
NAMES = tuple(f"n{number}" for number in range(6))


def wait_until(condition: Any) -> None:
    """Wait for what the background thread does."""
    end_s = monotonic() + 60
    while not condition():
        assert monotonic() < end_s, "it never came"
        time.sleep(0.005)


def engine_of(names: Iterable[str] = NAMES, *, tables: int = 3, threshold: int = 4) -> Engine:
    """Return an engine whose budget is enough for so many tables."""
    keys = [tokens.public(ALG, name) for name in names]
    return Engine(
        tokens.issuer(ALG, keys=keys),
        precompute_budget_bytes=tables * NEED_BYTES,
        precompute_threshold=threshold,
        workers=1,
    )


def use(engine: Engine, name: str, times: int = 1) -> None:
    """Let a key accept so often."""
    token = tokens.token(ALG, name)
    for _ in range(times):
        engine.verify(token, tokens.NOW_S)


class Counted:
    """An owner of tables whose use counts the test sets."""

    def __init__(self, counts: dict[PreparedKey, int]) -> None:
        self.counts = counts
        self.published = 0
        self.aged = 0

    def _slot_numbers(self) -> dict[PreparedKey, int]:
        """Number the keys."""
        return {key: number for number, key in enumerate(self.counts)}

    def _use_counts(self, keys: Iterable[PreparedKey]) -> dict[PreparedKey, int]:
        """Return the counts."""
        return {key: self.counts[key] for key in keys if key in self.counts}

    def _halve_use_counts(self) -> None:
        """Halve them."""
        self.aged += 1
        self.counts = {key: count - count // 2 for key, count in self.counts.items()}

    def _publish_tables(self) -> None:
        """Count."""
        self.published += 1


def prepared_keys(*names: str, alg: str = "ES256") -> list[PreparedKey]:
    """Return prepared keys."""
    return list(IssuerKeys([tokens.public(alg, name) for name in names], [alg]).prepared)
