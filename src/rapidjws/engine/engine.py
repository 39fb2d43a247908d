"""The JWT level: tokens of several issuers, each with its own keys, algorithms and rules (RFC 7519 s.7.2)."""

from __future__ import annotations

import asyncio
import weakref
from time import time
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

from rapidjws import _native
from rapidjws.engine import parallel
from rapidjws.engine.cache import TokenCache
from rapidjws.engine.gather import Gatherer
from rapidjws.engine.holder import SnapshotHolder
from rapidjws.engine.hot import HOT_BUDGET_BYTES, HOT_THRESHOLD
from rapidjws.engine.issuer import Issuer, Keys, checked_keys
from rapidjws.engine.keytable import IssuerKeys
from rapidjws.engine.result import Accepted, VerifiedJWS
from rapidjws.engine.snapshot import Token
from rapidjws.engine.verifier import token_limit
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.jose.limits import CLOCK_FLOOR_S

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rapidjws.engine.result import Rejected
    from rapidjws.engine.snapshot import Snapshot

_token_verify: Any = _native.token_verify
_token_recheck: Any = _native.token_recheck

MAX_GATHER_US: Final = 100_000
"""Longest wait for more tokens that is not a mistake, in microseconds."""


def _checked_gather_us(gather_us: object) -> int:
    if not isinstance(gather_us, int) or isinstance(gather_us, bool) or not 0 <= gather_us <= MAX_GATHER_US:
        raise error_for("configuration_invalid", "gather_us", expected=f"0 to {MAX_GATHER_US}")
    return gather_us


def _wall_clock_s() -> int:
    """Return the wall clock in whole seconds.

    Raises:
        DependencyUnavailable: ``clock_implausible``: it lies before this release.
    """
    now_s = int(time())
    if now_s < CLOCK_FLOOR_S:
        raise error_for("clock_implausible", "clock", actual=now_s)
    return now_s


class Engine(SnapshotHolder):
    """Verify tokens of the given issuers: signature first, then the issuer's claims rules.

    Keys are bound to their issuer: a key of one never verifies a token that claims another.

    Args:
        issuers: At least one; each ``iss`` once.
        max_token_bytes: Largest token; by default 16 KiB, or 64 KiB where ML-DSA is allowed; 256 KiB at most.
        workers: Threads that ``verify_many`` uses; by default one a core.
        acceleration: ``"auto"``; ``"portable"`` keeps to plain C; ``"openssl"`` leaves all to libcrypto.
        hot_budget_bytes: Memory for the precomputed tables of hot keys.
        hot_threshold: Acceptances that earn a key its table; 0 for never.
        cache: Remembers verified tokens for ``verify`` and ``averify``; None, the default, remembers nothing.
        gather_us: How long ``averify`` waits for more tokens, in microseconds; 0: until the loop's turn ends.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """

    __slots__ = ("_cache", "_gather_us", "_gatherers", "_issuers", "_keys")

    def __init__(
        self,
        *issuers: Issuer,
        max_token_bytes: int | None = None,
        workers: int | None = None,
        acceleration: str = "auto",
        hot_budget_bytes: int = HOT_BUDGET_BYTES,
        hot_threshold: int = HOT_THRESHOLD,
        cache: TokenCache | None = None,
        gather_us: int = 0,
    ) -> None:
        if not issuers:
            raise error_for("configuration_invalid", "issuers", expected="at least one issuer", actual="none")
        self._issuers: dict[str, Issuer] = {}
        for issuer in issuers:
            if issuer.iss in self._issuers:
                raise error_for(
                    "configuration_invalid", "issuers", expected="each iss once", actual=issuer.iss
                )
            self._issuers[issuer.iss] = issuer
        self._cache = cache
        self._gather_us = _checked_gather_us(gather_us)
        self._gatherers: WeakKeyDictionary[asyncio.AbstractEventLoop, Gatherer] = WeakKeyDictionary()
        names = [name for issuer in issuers for name in issuer.algorithms]
        self._keys = {
            issuer.iss: IssuerKeys(checked_keys(issuer.keys), tuple(issuer.algorithms)).warm_up()
            for issuer in issuers
        }
        super().__init__(
            list(self._keys.values()),
            [issuer.rules() for issuer in issuers],
            max_token_bytes=token_limit(names, max_token_bytes),
            workers=workers,
            acceleration=acceleration,
            hot_budget_bytes=hot_budget_bytes,
            hot_threshold=hot_threshold,
        )

    def _renew_locks(self) -> None:
        super()._renew_locks()
        if self._cache is not None:
            self._cache.renew_lock()

    @property
    def issuers(self) -> tuple[Issuer, ...]:
        """Return the issuers as they were configured."""
        return tuple(self._issuers.values())

    def verify(self, token: Token, now: float | None = None) -> VerifiedJWS:
        """Verify one token and its claims.

        Args:
            token: JWS Compact Serialization, as text or bytes; a buffer is copied first.
            now: Seconds since the epoch; by default the wall clock.

        Returns:
            The verified JWS, with ``.claims``.

        Raises:
            TokenRefused: With the stable code of the first check that refused.
            DependencyUnavailable: ``clock_implausible``: the wall clock lies before this release.

        Source: RFC 7515 section 5.2, RFC 7519 section 7.2.
        """
        snapshot = self._snapshot
        now_s = int(time() if now is None else now)
        if now_s < CLOCK_FLOOR_S and now is None:
            raise error_for("clock_implausible", "clock", actual=now_s)
        octets = token if type(token) is bytes else snapshot.octets(token)
        if self._cache is not None:
            return self._verify_cached(self._cache, snapshot, octets, now_s)
        verdict = _token_verify(snapshot.handle, octets, len(octets), now_s)
        if verdict & 0x1FF == 1:  # RJ_OK, and nothing else to do
            verified = Accepted()
            verified._token = octets
            verified._header = verified._payload = verified._claims = None
            verified._key, verified.issuer = snapshot.slots[verdict >> 9]
            return verified
        settled = snapshot.settle(octets, verdict, now_s)
        if isinstance(settled, RapidJWSError):
            raise settled
        return settled

    def _verify_cached(self, cache: TokenCache, snapshot: Snapshot, octets: bytes, now_s: int) -> VerifiedJWS:
        """Verify one token, its signature only if the cache does not know these bytes."""
        known = cache.slot(octets, snapshot.generation)
        if known is not None:
            verdict = _token_recheck(snapshot.handle, octets, len(octets), known, now_s)
        else:
            verdict = _token_verify(snapshot.handle, octets, len(octets), now_s)
        settled = snapshot.settle(octets, verdict, now_s)
        if isinstance(settled, RapidJWSError):
            if known is not None:
                cache.forget(octets)
            raise settled
        if known is None and verdict & 0xFF == 1:  # RJ_OK by the core; rarer ways in are verified each time
            cache.put(octets, snapshot.generation, verdict >> 9)
        return settled

    async def averify(self, token: Token, now: float | None = None) -> VerifiedJWS:
        """Verify one token from asyncio, together with what else arrives in the same turn of the loop.

        Long work goes to a worker thread; cancelling the call disturbs no other.

        Args:
            token: JWS Compact Serialization, as text or bytes; a buffer is copied first.
            now: Seconds since the epoch; by default the wall clock when the batch starts.

        Returns:
            The verified JWS, with ``.claims``.

        Raises:
            TokenRefused: As ``verify``.
            DependencyUnavailable: ``clock_implausible``.
        """
        snapshot = self._snapshot
        octets = snapshot.octets(token)
        if now is not None or (
            self._cache is not None and self._cache.slot(octets, snapshot.generation) is not None
        ):
            return self.verify(octets, now)
        loop = asyncio.get_running_loop()
        gatherer = self._gatherers.get(loop)
        if gatherer is None:
            here = weakref.proxy(self)
            gatherer = Gatherer(loop, lambda: here._snapshot, _wall_clock_s, self._gather_us)
            self._gatherers[loop] = gatherer
        return await gatherer.submit(octets)

    def verify_many(self, tokens: Sequence[Token], now: float | None = None) -> list[VerifiedJWS | Rejected]:
        """Verify many tokens and their claims on all workers, outside the GIL.

        Args:
            tokens: JWS Compact Serializations.
            now: Seconds since the epoch, the same for all; by default the wall clock at the start.

        Returns:
            One result a token, in order; a bad token never raises.

        Raises:
            DependencyUnavailable: ``clock_implausible``: the wall clock lies before this release.
        """
        now_s = _wall_clock_s() if now is None else int(now)
        return parallel.verify_many(self._snapshot, tokens, now_s, self._workers)

    def replace_keys(self, issuer: str, keys: Keys) -> None:
        """Give an issuer a new set of keys; the next call uses it, calls under way finish on the old one.

        Args:
            issuer: The ``iss`` of one of the engine's issuers.
            keys: All keys of the issuer from now on.

        Raises:
            ConfigurationError: ``configuration_invalid``: no such issuer. The old keys stay.
        """
        known = self._issuers.get(issuer)
        if known is None:
            raise error_for("configuration_invalid", "issuer", expected=tuple(self._issuers), actual=issuer)
        with self._change:
            algorithms = tuple(known.algorithms)
            self._keys[issuer] = IssuerKeys(checked_keys(keys), algorithms, self._keys[issuer]).warm_up()
            self._swap(list(self._keys.values()), self._snapshot.rules)
