"""Tens of thousands of issuers behind one function: looked up by ``iss``, built when a token comes, bounded.

A token's ``iss`` is a name to look up and nothing else: it is no address, no path, and no key. The keys of an
issuer verify its own tokens only.
"""

from __future__ import annotations

from concurrent.futures import Future
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from rapidjws.errors import RapidJWSError, error_for
from rapidjws.jwt.clock import present_ns
from rapidjws.jwt.registry_entries import Entry
from rapidjws.jwt.registry_issuers import LookedUpIssuers
from rapidjws.verify import parallel
from rapidjws.verify.key_selection import unverified_iss
from rapidjws.verify.result import Rejected, VerifiedJWS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rapidjws.jwt.engine import Engine
    from rapidjws.verify.protocols import SenderCheck
    from rapidjws.verify.snapshot import Token

_SHARED: Final = "shared"  # several issuers use this very header: only iss tells them apart


class IssuerRegistry(LookedUpIssuers):
    """An engine whose issuers are looked up by name when the first of their tokens comes.

    It takes the place of an :class:`Engine` everywhere. Whatever a token states, the look-up alone says which
    keys and rules an issuer has.

    Args:
        lookup: Takes an ``iss`` as a token states it, unverified, and returns the :class:`Issuer` of exactly
            that name, or None where there is none. It runs on worker threads, may wait, and should return the
            same key source for an issuer that did not change. What it raises is an outage: its tokens get
            ``keys_unavailable``. It may have a method ``knows(iss)``, which must not wait, and returns False
            where a look-up would find nothing.
        issuers: Issuers that are there always, and are not looked up.
        max_issuers: Most issuers in memory whose tokens verify; beside them there is room for an eighth
            of so many whose tokens did not yet. One takes about 20 KiB, without precomputed tables.
        lookup_timeout_s: Longest wait of a token for its issuer and the issuer's first keys, in seconds.
        refresh_s: An issuer in use is looked up again after so many seconds; one that is gone is dropped.
        stale_limit_s: How long an issuer is used while its look-ups fail, in seconds.
        unknown_ttl_s: How long it is remembered that there is no such issuer, in seconds.
        unknown_per_minute: Look-ups a minute that may find nothing; a name beyond gets ``keys_unavailable``.
            Names of which a token verified once are not counted.
        precompute_budget_bytes: Memory for the precomputed tables of all issuers together.
        events: Listens to what happens around keys and look-ups.
        settings: Further arguments of :class:`Engine`, but no ``cache``. Tokens of issuers that were looked
            up count under an empty issuer.

    Raises:
        ConfigurationError: ``configuration_invalid``.
        DependencyUnavailable: ``revocation_store_unavailable``.
    """

    __slots__ = ()

    # --- verification ------------------------------------------------------------------------------------

    def _hinted(self, token: Token) -> tuple[Entry, Engine] | None:
        """Return the issuer whose key verified a token with this very header, in memory still, or None."""
        header = _header_of(token)
        entry = None if header is None else self._hints.get(header)
        if isinstance(entry, Entry):
            engine = entry.engine
            if engine is not None and monotonic() < entry.due_s:
                return entry, engine
        return None

    def _accepted(self, entry: Entry, token: Token, verified: VerifiedJWS) -> VerifiedJWS:
        """Return a token that an issuer's engine accepted, unless something is revoked.

        Raises:
            PolicyRefused: ``revoked``.
            DependencyUnavailable: ``revocation_store_unavailable``.
        """
        revocations = self._revocations
        if revocations.listed or self._is_lost:
            self._check_revoked(verified)
        if entry.is_proven:
            entry.is_used = True
        else:  # its first token: not yet in use
            self._table.prove(entry)
            if self._counters is not None:
                self._counters.add_looked_up(entry.name, entry.issuer.algorithms)
        header = _header_of(token)
        if header is not None and self._hints.get(header) is not entry:
            self._hint(header, entry, token, verified)
        return verified

    def _hint(self, header: str | bytes, entry: Entry, token: Token, verified: VerifiedJWS) -> None:
        """Remember that this issuer's key verified a token with this header; several may use one."""
        before = self._hints.get(header)
        if isinstance(before, Entry) and before.engine is not None and before.name != entry.name:
            self._hints[header] = before = _SHARED
        if before != _SHARED:
            if len(self._hints) >= self._table.most_headers:
                self._forget_headers()
            self._hints[header] = entry
        self._know(entry, token, verified, is_shared=before == _SHARED)

    def _forget_headers(self) -> None:
        """Forget whose headers are whose, here and in the core."""
        self._hints = {}
        self._renew_headers()

    def _know(self, entry: Entry, token: Token, verified: VerifiedJWS, *, is_shared: bool) -> None:
        """Let the core ask an issuer's engine for tokens with this header, and iss where several use it."""
        known, engine = self._headers, entry.engine
        if known is None or engine is None or not entry.compares_iss:
            return
        if type(token) is str or type(token) is bytes:  # others may change, or read differently
            has_place = known.put(token, engine, verified, is_shared)
            if not has_place:
                self._forget_headers()

    def _check_revoked(self, verified: VerifiedJWS) -> None:
        """Refuse a token whose key, issuer or self is revoked: whatever was built anew since."""
        iss, revocations = verified.issuer, self._revocations
        refused = None
        if self._is_lost:
            refused = error_for("revocation_store_unavailable", "revocations")
        elif revocations.on_keys and (
            revocations.hits_key(iss, verified._key) or revocations.names_kid(iss, verified.kid)
        ):
            refused = error_for("revoked", "header.kid", actual=verified.kid)
        elif revocations.on_tokens and revocations.hits_token(iss, verified.claims, lambda: verified.payload):
            refused = error_for("revoked", "claims")
        if refused is not None:
            refused.issuer = iss
            raise refused

    def _verify(self, token: Token, now: float | None = None, *, wait_s: float = 0.0) -> VerifiedJWS:
        header = _header_of(token)
        entry = self._hints.get(header) if header is not None else None
        fault: RapidJWSError | None = None
        if entry.__class__ is Entry and entry.compares_iss:  # as in _hinted: each call costs here
            engine = entry.engine
            if engine is not None and monotonic() < entry.due_s:
                try:
                    verified: VerifiedJWS = engine._verify_uncounted(token, now)
                except RapidJWSError as refused:
                    fault = refused  # the header may be another issuer's too
                else:
                    if self._revocations.listed or self._is_lost:
                        self._check_revoked(verified)
                    elif header is not None:
                        self._know(entry, token, verified, is_shared=False)
                    entry.is_used = True
                    return verified
        octets = self._snapshot.octets(token)
        there = self._awaited(octets, monotonic() + self._lookup_timeout_s)
        if there is None:
            return super()._verify(octets, now, wait_s=wait_s)
        if fault is not None and there[0] is entry and not wait_s:
            raise fault
        return self._accepted(there[0], token, there[1]._verify_uncounted(octets, now, wait_s=wait_s))

    async def _averify_uncounted(
        self, token: Token, now: float | None = None, *, wait_s: float = 0.0
    ) -> VerifiedJWS:
        hinted = self._hinted(token)
        fault: RapidJWSError | None = None
        if hinted is not None and hinted[0].compares_iss:
            try:
                verified = await hinted[1]._averify_uncounted(token, now)
            except RapidJWSError as refused:
                fault = refused
            else:
                return self._accepted(hinted[0], token, verified)
        octets = self._snapshot.octets(token)
        there = await self._aawaited(octets)
        if there is None:
            return await super()._averify_uncounted(octets, now, wait_s=wait_s)
        if fault is not None and hinted is not None and there[0] is hinted[0] and not wait_s:
            raise fault
        verified = await there[1]._averify_uncounted(octets, now, wait_s=wait_s)
        return self._accepted(there[0], token, verified)

    def _verify_as_of(
        self, token: Token, as_of_ns: int, now_ns: int, sender: SenderCheck | None = None
    ) -> VerifiedJWS:
        octets = self._snapshot.octets(token)
        there = self._awaited(octets, monotonic() + self._lookup_timeout_s)
        if there is None:
            return super()._verify_as_of(octets, as_of_ns, now_ns, sender)
        return self._accepted(there[0], token, there[1]._verify_as_of(octets, as_of_ns, now_ns, sender))

    async def _averify_as_of(
        self, token: Token, as_of_ns: int, now_ns: int, sender: SenderCheck | None = None
    ) -> VerifiedJWS:
        octets = self._snapshot.octets(token)
        there = await self._aawaited(octets)
        if there is None:
            return await super()._averify_as_of(octets, as_of_ns, now_ns, sender)
        verified = await there[1]._averify_as_of(octets, as_of_ns, now_ns, sender)
        return self._accepted(there[0], token, verified)

    def _verify_together(self, tokens: Sequence[Token], now: float | None) -> list[VerifiedJWS | Rejected]:
        present_ns(now)  # raises once for all
        tokens = parallel.listed(tokens)
        groups, results = self._grouped(tokens)
        for engine, entry, places in groups:
            mine = [tokens[at] for at in places]
            verify = super()._verify_together if entry is None else engine._verify_together
            found = verify(mine, now)
            for at, result in zip(places, found, strict=True):
                if entry is not None and isinstance(result, VerifiedJWS):
                    try:
                        self._accepted(entry, tokens[at], result)
                    except RapidJWSError as refused:
                        result = Rejected(refused.with_traceback(None))
                results[at] = result
        return results

    def _grouped(
        self, tokens: Sequence[Token]
    ) -> tuple[list[tuple[Engine, Entry | None, list[int]]], list[VerifiedJWS | Rejected]]:
        """Return which engine verifies which tokens, and the refusals of all that have none."""
        unanswered = Rejected(error_for("internal_error", "verify_many"))
        results: list[VerifiedJWS | Rejected] = [unanswered] * len(tokens)
        groups: dict[Any, tuple[Engine, Entry | None, list[int]]] = {}
        later: list[tuple[int, bytes]] = []
        end_s = monotonic() + self._lookup_timeout_s
        for at, token in enumerate(tokens):  # all look-ups begin before one is waited for
            try:
                octets = self._snapshot.octets(token)
                found = self._entry_or_pending(octets)
                if isinstance(found, Future) or (found is not None and found.wait_until_s):
                    later.append((at, octets))
                else:
                    self._add(groups, None if found is None else self._engine_of(found, ""), at)
            except RapidJWSError as refused:
                results[at] = Rejected(refused.with_traceback(None))
        for at, octets in later:
            try:
                there = self._awaited(octets, end_s)
            except RapidJWSError as refused:
                results[at] = Rejected(refused.with_traceback(None))
            else:
                self._add(groups, there, at)
        return list(groups.values()), results

    def _add(
        self,
        groups: dict[Any, tuple[Engine, Entry | None, list[int]]],
        there: tuple[Entry, Engine] | None,
        at: int,
    ) -> None:
        entry, engine = (None, self) if there is None else there
        groups.setdefault(entry, (engine, entry, []))[2].append(at)

    # --- decisions ---------------------------------------------------------------------------------------

    @property
    def _may_wait(self) -> bool:
        return True  # for a look-up

    def _is_quick(self, token: bytes | None) -> bool:
        if not token:
            return True
        if self._authorizer is not None and self._authorizer.blocking:
            return False
        introspection = self._introspection
        if introspection is not None and not introspection.is_known(
            token, partial(self._named_issuers, token)
        ):
            return False
        hinted = self._hinted(token)
        if hinted is None or not hinted[1]._is_quick(token):
            return False
        try:
            return unverified_iss(token, self._max_token_bytes) == hinted[0].name
        except (RapidJWSError, IndexError):
            return True  # refused at once


def _header_of(token: Token) -> str | bytes | None:
    """Return the encoded protected header of a token that nobody can change, or None."""
    if isinstance(token, str):
        return token.partition(".")[0]
    return token.partition(b".")[0] if isinstance(token, bytes) else None
