"""Issuers without files: keys that are made once for the whole run, a clock, and consumers that cache."""

from __future__ import annotations

import functools
import itertools
from typing import Any

from rapidjws import JWK
from rapidjws.issuing import KeyLifeCycle, KeyTiming, MemoryStateStore, NewKey, SigningKey
from rapidjws.signing import LocalSigner
from rapidjws.testing import FakeClock, make_key

START_S = 1_800_000_000.0
TIMING = KeyTiming(jwks_max_age_s=300, token_lifetime_s=600, clock_skew_s=10, state_max_age_s=5)


@functools.cache
def pair(alg: str, number: int) -> JWK:
    """Return the private key of a number, the same one each time."""
    return make_key(alg, kid=f"{alg.lower()}-{number}")


class CountingMaker:
    """A maker whose keys come from a list that all makers of a test share."""

    def __init__(self, numbers: itertools.count[int] | None = None) -> None:
        self._numbers = numbers or itertools.count()
        self.removed: list[str] = []

    def make(self, alg: str) -> NewKey:
        """Return the next pair."""
        key = pair(alg, next(self._numbers))
        return NewKey(key.public(), f"memory:{key.kid}")

    def signer(self, key: SigningKey) -> LocalSigner:
        """Return a signer for a key that this maker made, or another one of the test."""
        return LocalSigner(pair(key.alg, int(key.kid.rpartition("-")[2])), key.alg)

    def remove(self, key: SigningKey) -> None:
        """Note that a key was removed."""
        self.removed.append(key.kid)


def life_cycle(clock: FakeClock | None = None, **settings: Any) -> KeyLifeCycle:
    """Return an issuer of its own, or one that shares the store and maker given."""
    given: dict[str, Any] = {"store": MemoryStateStore(), "timing": TIMING, "maker": CountingMaker()}
    given |= settings
    return KeyLifeCycle(given.pop("store"), given.pop("timing"), given.pop("maker"),
                        clock=clock or FakeClock(START_S), **given)  # fmt: skip
