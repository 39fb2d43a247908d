"""The JWT level: tokens of several issuers, each with its own keys, algorithms and rules (RFC 7519 s.7.2)."""

from __future__ import annotations

import weakref
from functools import partial
from time import perf_counter_ns
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

from rapidjws._checks import check_range, checked, refused
from rapidjws.errors import KeysUnavailable, RapidJWSError, UnknownKey
from rapidjws.jose.limits import HEADER_MAX_BYTES, LEEWAY_MAX_S
from rapidjws.jwt.cache import TokenCache
from rapidjws.jwt.clock import present_ns, wall_clock_ns
from rapidjws.jwt.counted import counted
from rapidjws.jwt.decision import DecisionPolicy, RequestRules, TokenIntrospection
from rapidjws.jwt.engine_decisions import EngineDecisions
from rapidjws.jwt.id_tokens import EngineIDTokens
from rapidjws.jwt.issuer import Issuer
from rapidjws.jwt.key_manager import KeyManager
from rapidjws.jwt.micro_batch import MicroBatcher, admitted
from rapidjws.jwt.named_issuers import named_issuers, names_of_signer
from rapidjws.jwt.post_checks import TokenStatuses
from rapidjws.jwt.readiness import described
from rapidjws.jwt.waiting import WAITED_FOR, checked_wait_s, refresh_of, wait_for_refresh
from rapidjws.verify import parallel, worker_pool
from rapidjws.verify.padded import verify_padded
from rapidjws.verify.precomputed import PRECOMPUTE_BUDGET_BYTES, PRECOMPUTE_THRESHOLD
from rapidjws.verify.protocols import EventListener, RevocationStore, SenderCheck, no_events
from rapidjws.verify.result import Rejected, VerifiedCompact, VerifiedJWS
from rapidjws.verify.snapshot import Token
from rapidjws.verify.verdict_counters import VerdictCounters, counters_of

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence

    from rapidjws.verify.pipeline import Snapshot

MICRO_BATCH_MAX_US: Final = 100_000  # longest wait for more tokens that is not a mistake


class Engine(EngineDecisions, EngineIDTokens, KeyManager):
    """A verifier of the given issuers' tokens: signature first, then the issuer's claims rules.

    Keys are bound to their issuer: a key of one never verifies a token that claims another.

    Args:
        issuers: At least one; each ``iss`` once.
        max_token_bytes: Largest token; by default 16 KiB, or 64 KiB where ML-DSA is allowed; 256 KiB at most.
        max_header_bytes: Largest decoded protected header, 2 KiB by default, 16 KiB at most: for those that
            carry certificates in ``x5c``.
        padded_base64url: Verify tokens whose parts end in ``=`` too, against RFC 7515 section 2, as AWS load
            balancers send them. They take the long way each time.
        workers: Threads that ``verify_many`` uses; by default one a core.
        acceleration: ``"auto"``; ``"portable"`` keeps to plain C; ``"openssl"`` leaves all to libcrypto.
        precompute_budget_bytes: Memory for the precomputed tables of much-used keys.
        precompute_threshold: Acceptances after which a key gets a table; 0 for never.
        cache: Remembers verified tokens for ``verify`` and ``averify``; None, the default, remembers nothing.
        micro_batch_us: Longest wait of ``averify`` for more tokens, in microseconds; 0: the loop's turn.
        revocations: Keeps revocations beyond this process, and brings those of others; None keeps them here.
        skew_every: Measures the clock of issuers on one verified token in this many; 0: not at all.
        events: Listens to what happens around the keys.
        rollout: What ``decide`` makes of a verdict, by partner and route; None refuses what is not good.
        authorizer: Rules for ``decide`` after the verdict, ``rapidjws.authz.Authorizer``; None for none.
        introspection: Whom ``decide`` asks about tokens: ``rapidjws.introspection.Introspection``, or None.
        status_lists: The lists that say which tokens are valid now: ``rapidjws.statuslist.StatusLists``, a
            draft, or None.
        counters: Where verdicts and durations are counted; True for memory of its own, False for nowhere.

    Raises:
        ConfigurationError: ``configuration_invalid``.
        DependencyUnavailable: ``revocation_store_unavailable``: what is revoked cannot be known.
    """

    __slots__ = ("_authorizer", "_batchers", "_cache", "_introspection", "_micro_batch_us",
                 "_reads_padding", "_rollout", "_status_lists")  # fmt: skip

    @checked
    def __init__(
        self,
        *issuers: Issuer,
        max_token_bytes: int | None = None,
        max_header_bytes: int = HEADER_MAX_BYTES,
        padded_base64url: bool = False,
        workers: int | None = None,
        acceleration: str = "auto",
        precompute_budget_bytes: int = PRECOMPUTE_BUDGET_BYTES,
        precompute_threshold: int = PRECOMPUTE_THRESHOLD,
        cache: TokenCache | None = None,
        micro_batch_us: int = 0,
        revocations: RevocationStore | None = None,
        skew_every: int = 0,
        events: EventListener = no_events,
        rollout: DecisionPolicy | None = None,
        authorizer: RequestRules | None = None,
        introspection: TokenIntrospection | None = None,
        status_lists: TokenStatuses | None = None,
        counters: VerdictCounters | bool = True,
    ) -> None:
        self._cache = cache
        self._reads_padding = padded_base64url
        self._direct = cache is None
        self._longest_retry_s = 0
        self.rollout, self.authorizer, self.introspection = rollout, authorizer, introspection
        if status_lists is not None and not callable(getattr(status_lists, "refusal", None)):
            raise refused("status_lists", "a StatusLists, or an object with its methods", status_lists)
        self._status_lists = status_lists
        check_range("micro_batch_us", micro_batch_us, 0, MICRO_BATCH_MAX_US)
        self._micro_batch_us = micro_batch_us
        self._batchers: WeakKeyDictionary[asyncio.AbstractEventLoop, MicroBatcher] = WeakKeyDictionary()
        super().__init__(
            issuers,
            max_token_bytes=max_token_bytes,
            max_header_bytes=max_header_bytes,
            workers=workers,
            acceleration=acceleration,
            precompute_budget_bytes=precompute_budget_bytes,
            precompute_threshold=precompute_threshold,
            revocations=revocations,
            skew_every=skew_every,
            events=events,
            counters=counters_of(counters, len(issuers)),
        )
        if status_lists is not None:
            status_lists.start()

    def _verify_other_serialization(
        self, snapshot: Snapshot, octets: bytes, now_ns: int
    ) -> VerifiedJWS | None:
        return verify_padded(snapshot, octets, now_ns) if self._reads_padding else None

    @property
    def counters(self) -> VerdictCounters | None:
        """Return where this engine counts, or None."""
        return self._counters

    @checked
    def count_in(self, counters: VerdictCounters) -> None:
        """Count elsewhere from now on, for instance in memory that workers share.

        Args:
            counters: Where.

        Raises:
            ConfigurationError: ``configuration_invalid``: no counters.
        """
        with self._change:
            self._counters = counters
            self._snapshot = self._make(self._snapshot.table, self._snapshot.rules)

    @property
    def rollout(self) -> DecisionPolicy | None:
        """Return what ``decide`` makes of a verdict, or None."""
        return self._rollout

    @rollout.setter
    def rollout(self, policy: DecisionPolicy | None) -> None:
        self._rollout = policy
        if policy is not None:
            self.expect_retries(policy)

    def expect_retries(self, policy: DecisionPolicy) -> None:
        """Let uses of tokens be remembered for as long as a policy may still accept them.

        The engine's own rollout is known; this is for others that decide on tokens this engine verified.
        """
        if not all(callable(getattr(policy, name, None)) for name in ("decide", "retry_at_ns")):
            raise refused("policy", "a Rollout, or an object with decide and retry_at_ns", policy)
        # what was recorded stays needed
        self._longest_retry_s = max(self._longest_retry_s, getattr(policy, "longest_retry_s", LEEWAY_MAX_S))

    def __repr__(self) -> str:
        return f"<Engine of {described(self.issuers, self._snapshot, self.not_ready)}>"

    def _renew_locks(self) -> None:
        super()._renew_locks()
        if self._cache is not None:
            self._cache.renew_lock()

    if TYPE_CHECKING:

        def verify(self, token: Token, now: float | None = None, *, wait_s: float = 0.0) -> VerifiedJWS:
            """Verify one token and its claims.

            Args:
                token: JWS Compact Serialization, as text or bytes; a buffer is copied first.
                now: Seconds since the epoch; by default the wall clock, in nanoseconds. An int is exact;
                    a float stands for the decimal that ``repr`` writes: at present 0.24 microseconds apart.
                wait_s: Longest wait for a refresh that may bring the token's key, in seconds; 0 for none.

            Returns:
                The verified JWS, with ``.claims``.

            Raises:
                TokenRefused: With the stable code of the first check that refused.
                KeysUnavailable: ``keys_unavailable``, ``keys_stale``: the issuer has no keys to be used now.
                DependencyUnavailable: ``clock_implausible``: the wall clock lies before this release;
                    ``replay_store_unavailable``.

            Source: RFC 7515 section 5.2, RFC 7519 section 7.2.
            """

    def _verify(self, token: Token, now: float | None = None, *, wait_s: float = 0.0) -> VerifiedJWS:
        """Verify one token where a cache, a guard or a wait has a say; the core's ``verify`` asks here."""
        snapshot, now_ns = self._snapshot, present_ns(now)
        if wait_s:
            checked_wait_s(wait_s)
        result = self._result_or_error(snapshot, token, now_ns)
        if isinstance(result, RapidJWSError):
            if wait_s and result.code in WAITED_FOR and self._wait(snapshot, snapshot.octets(token), wait_s):
                return self._verify_uncounted(token, now)
            raise result
        return result if snapshot.post_checks is None else snapshot.post_checks.run(result, now_ns)

    def _verify_as_of(
        self, token: Token, as_of_ns: int, now_ns: int, sender: SenderCheck | None = None
    ) -> VerifiedJWS:
        """Verify one token by the claims rules of another moment; its use is remembered from now on.

        Args:
            token: As for ``verify``.
            as_of_ns: The moment its dates are compared with, in nanoseconds since the epoch.
            now_ns: The present moment.
            sender: Compares what the token is bound to with who sent it, or None.
        """
        snapshot = self._snapshot
        result = self._result_or_error(snapshot, token, as_of_ns, sender)
        if isinstance(result, RapidJWSError):
            raise result
        if snapshot.post_checks is not None:
            return snapshot.post_checks.run(result, now_ns, sender)
        refused = None if sender is None else sender.refusal(result, now_ns)
        if refused is not None:
            refused.issuer = result.issuer
            raise refused
        return result

    async def _averify_as_of(
        self, token: Token, as_of_ns: int, now_ns: int, sender: SenderCheck | None = None
    ) -> VerifiedJWS:
        """Verify from asyncio as ``_verify_as_of`` does; on a worker thread where a store is asked."""
        verify = partial(self._verify_as_of, token, as_of_ns, now_ns, sender)
        return await worker_pool.call_on_thread(verify) if self._is_blocking(sender) else verify()

    def _is_blocking(self, sender: SenderCheck | None) -> bool:
        """Return whether what follows a signature may wait for another machine."""
        return self._may_wait or (sender is not None and sender.blocking)

    def _verify_sent(self, sender: SenderCheck, token: Token, now: float | None = None) -> VerifiedJWS:
        """Verify one token, and that it may be used by who sent it."""
        now_ns = present_ns(now)
        return self._verify_as_of(token, now_ns, now_ns, sender)

    async def _averify_sent(self, sender: SenderCheck, token: Token, now: float | None = None) -> VerifiedJWS:
        """Verify from asyncio as ``_verify_sent`` does."""
        now_ns = present_ns(now)
        return await self._averify_as_of(token, now_ns, now_ns, sender)

    def _result_or_error(
        self, snapshot: Snapshot, token: Token, now_ns: int, sender: SenderCheck | None = None
    ) -> VerifiedJWS | RapidJWSError:
        """Verify one token without the guard, with its proof where the check of its sender can."""
        if self._cache is not None:
            return self._cached_result_or_error(self._cache, snapshot, snapshot.octets(token), now_ns)
        together = None if sender is None else getattr(sender, "verify_one", None)
        result = snapshot.verify_one(token, now_ns) if together is None else together(snapshot, token, now_ns)
        if result.__class__ is VerifiedCompact:
            accepted: VerifiedJWS = result
            return accepted
        return snapshot.result_or_error(token, result, now_ns)

    def _cached_result_or_error(
        self, cache: TokenCache, snapshot: Snapshot, octets: bytes, now_ns: int
    ) -> VerifiedJWS | RapidJWSError:
        """Verify one token, its signature only if the cache does not know these bytes."""
        known = cache.slot(octets, snapshot.generation)
        if known is not None:
            result = snapshot.recheck(octets, now_ns, known)
            if result.__class__ is VerifiedCompact:
                accepted: VerifiedJWS = result
                return accepted
            cache.forget(octets)
            return snapshot.complete_verdict(octets, result, now_ns)
        result = snapshot.result_or_error(octets, snapshot.verify_one(octets, now_ns), now_ns)
        if isinstance(result, VerifiedJWS):
            cache.put(octets, snapshot.generation, snapshot.slot_of(result))
        return result

    def _wait(self, snapshot: Snapshot, octets: bytes, wait_s: float) -> bool:
        """Wait, within the bound, until the refresh that may bring a token's key ended; False for none."""
        refresh = refresh_of(self.source_of, snapshot, octets, wait_s)
        if refresh is None or self._snapshot is not snapshot:
            return self._snapshot is not snapshot
        from concurrent.futures import wait

        wait((refresh,), wait_s)
        return self._snapshot is not snapshot

    async def averify(self, token: Token, now: float | None = None, *, wait_s: float = 0.0) -> VerifiedJWS:
        """Verify one token from asyncio, together with what else arrives in the same turn of the loop.

        Long work goes to a worker thread; cancelling the call disturbs no other.

        Args:
            token: JWS Compact Serialization, as text or bytes; a buffer is copied first.
            now: Seconds since the epoch; by default the wall clock when the batch starts.
            wait_s: Longest wait for a refresh that may bring the token's key, in seconds; by default none.

        Returns:
            The verified JWS, with ``.claims``.

        Raises:
            TokenRefused: As ``verify``.
            KeysUnavailable: As ``verify``.
            DependencyUnavailable: ``clock_implausible``, ``replay_store_unavailable``.
        """
        return await counted(self._counters, self._averify_uncounted(token, now, wait_s=wait_s))

    async def _averify_uncounted(
        self, token: Token, now: float | None = None, *, wait_s: float = 0.0
    ) -> VerifiedJWS:
        """Verify one token as ``averify`` does; whoever asks counts what it comes to."""
        snapshot = self._snapshot
        octets = snapshot.octets(token)
        if not wait_s:
            return await self._averify(snapshot, octets, now)
        checked_wait_s(wait_s)
        try:
            return await self._averify(snapshot, octets, now)
        except (UnknownKey, KeysUnavailable) as fault:
            if fault.code not in WAITED_FOR:
                raise
            refresh = refresh_of(self.source_of, snapshot, octets, wait_s)
            if refresh is not None and self._snapshot is snapshot:
                await wait_for_refresh(refresh, wait_s)
            if self._snapshot is snapshot:
                raise
        return await self._averify(self._snapshot, octets, now)

    async def _averify(self, snapshot: Snapshot, octets: bytes, now: float | None) -> VerifiedJWS:
        """Verify one token without waiting for keys: at once where the cache knows it, else in a batch."""
        import asyncio  # who is here has loaded it; all others do without

        loop = asyncio.get_running_loop()
        if now is not None or (
            self._cache is not None and self._cache.slot(octets, snapshot.generation) is not None
        ):
            if snapshot.post_checks is not None and snapshot.post_checks.blocking:
                return await worker_pool.call_on_thread(partial(self._verify_uncounted, octets, now))
            return self._verify_uncounted(octets, now)
        batcher = self._batchers.get(loop)
        if batcher is None:
            here = weakref.proxy(self)
            batcher = MicroBatcher(lambda: here._snapshot, wall_clock_ns, self._micro_batch_us)
            self._batchers[loop] = batcher
        return await batcher.submit(loop, octets)

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
        begun_ns = perf_counter_ns()
        results = self._verify_together(tokens, now)
        if self._counters is not None:
            self._counters.count_results(results, perf_counter_ns() - begun_ns)
        return results

    def _verify_together(self, tokens: Sequence[Token], now: float | None) -> list[VerifiedJWS | Rejected]:
        """Verify many tokens as ``verify_many`` does; whoever asks counts what they come to."""
        now_ns, snapshot = present_ns(now), self._snapshot
        results = parallel.verify_many(snapshot, tokens, now_ns, self._workers)
        return results if snapshot.post_checks is None else admitted(snapshot, results, now_ns)

    def _named_issuers(self, token: Token, signer: str | None = None) -> tuple[str, ...]:
        """Return the issuers that an unverified token names, or those of its signer's names that hold for it:
        whose stages count, and nothing more."""
        if signer is not None:
            return names_of_signer(self._snapshot, token, signer)
        return named_issuers(self._snapshot, token)
