"""The guard behind the verification: revoked tokens, replays, and the measure of an issuer's clock.

It sees a token only after signature and claims passed, so a bad token neither burns a ``jti`` nor costs a
look-up. An engine without these features has no guard at all.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Protocol

from rapidjws.errors import RapidJWSError, error_for
from rapidjws.jose.numeric_date import SECOND_NS
from rapidjws.jose.spiffe_id import is_workload_of
from rapidjws.jwt.replay_rule import life_s, may_be_forgotten, replay_key
from rapidjws.verify.protocols import Event, ReplayStore, emit, take_back
from rapidjws.verify.result import Rejected, VerifiedJWS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from rapidjws.jwt.replay_rule import ReplayRule
    from rapidjws.jwt.skew import SkewMeter
    from rapidjws.verify.chains import ChainSource
    from rapidjws.verify.protocols import EventListener, SenderCheck
    from rapidjws.verify.revocations import Revocations


class TokenStatuses(Protocol):
    """Who knows the status of tokens; see ``rapidjws.statuslist.StatusLists``."""

    def start(self) -> None:
        """Begin to fetch what is known of them."""

    def refusal(self, iss: str, claims: Mapping[str, Any]) -> RapidJWSError | None:
        """Return why a verified token is refused by its status, or None; never waits."""


class Leeways(Protocol):
    """Who knows how long a token may be accepted beyond its issuer's leeway."""

    _longest_retry_s: int
    _snapshot: Any


class PostChecks:
    """The checks of verified tokens against revocations and replays.

    Args:
        revocations: Those that hold.
        replays: iss -> rule, for issuers whose tokens are used once.
        meters: iss -> meter, for issuers whose clock is measured.
        every: Measures one token in this many.
        events: Listener.
        leeways: Says by how much a partner's leeway may go beyond an issuer's; None for not at all.
        count_use: Called with an issuer and what a use came to, or None.
        chains: iss -> source, for issuers whose keys come in the headers of tokens.
        trust_domains: Names of issuers that are SPIFFE trust domains.
        bindings: iss -> ``"checked"`` or ``"required"``, for issuers whose tokens are bound to senders.
        statuses: Knows the status of tokens by the lists of their issuers, or None.
        other_names: What revocations call an issuer otherwise than by its first name: another one of its
            names, or a tenant's under its template. They hold for the tokens that state it.
    """

    __slots__ = (
        "_bindings",
        "_chains",
        "_count_use",
        "_counter",
        "_events",
        "_every",
        "_leeways",
        "_meters",
        "_other_names",
        "_replays",
        "_revocations",
        "_revokes_tokens",
        "_statuses",
        "_trust_domains",
        "blocking",
    )

    def __init__(
        self,
        revocations: Revocations,
        replays: Mapping[str, ReplayRule],
        meters: Mapping[str, SkewMeter],
        every: int,
        events: EventListener,
        leeways: Leeways | None = None,
        count_use: Callable[[str, str], None] | None = None,
        chains: Mapping[str, ChainSource] | None = None,
        trust_domains: Collection[str] = (),
        bindings: Mapping[str, str] | None = None,
        statuses: TokenStatuses | None = None,
        other_names: Collection[str] = (),
    ) -> None:
        self._other_names = other_names
        self._revokes_tokens = revocations.on_tokens or bool(other_names)
        self._bindings = bindings or {}
        self._statuses = statuses
        self._trust_domains = trust_domains
        self._chains = chains or {}
        self._count_use = count_use
        self._revocations = revocations
        self._replays = replays
        self._meters = meters
        self._every = every
        self._events = events
        self._leeways = leeways
        self._counter = itertools.count()
        self.blocking = any(rule.replay.store.blocking for rule in replays.values())

    @property
    def is_needed(self) -> bool:
        """Return whether there is anything to check."""
        others = self._replays or self._every or self._chains or self._trust_domains or self._bindings
        return self._revokes_tokens or self._statuses is not None or bool(others)

    def run(self, verified: VerifiedJWS, now_ns: int, sender: SenderCheck | None = None) -> VerifiedJWS:
        """Return the token, or raise why it is refused after all.

        Args:
            verified: The token.
            now_ns: The present moment, in nanoseconds since the epoch.
            sender: Compares what it is bound to with who sent it, or None.

        Raises:
            PolicyRefused: ``revoked``, ``replayed``, ``binding_unchecked``, ``token_not_bound``, and what
                ``sender`` and ``statuses`` refuse.
            DependencyUnavailable: ``replay_store_unavailable``.
            RapidJWSError: ``missing_claim``, ``malformed_claim``, ``too_large``, for ``jti``.
        """
        (result,) = self.run_all([verified], now_ns, sender)
        if isinstance(result, Rejected):
            raise result.error()
        return result

    def _chain_refusal(self, iss: str, verified: VerifiedJWS, now_ns: int) -> RapidJWSError | None:
        """Return why the chain of a token's key does not hold at its time, or None."""
        members, kid = verified.header, verified._key.jwk.kid
        return self._chains[iss].refusal(kid, members, verified.claims, now_ns / SECOND_NS)

    def _other_issuer(self, trust_domain: str, claims: Mapping[str, Any]) -> str | None:
        """Return the claim that names somebody else than a trust domain, or None.

        A JWT-SVID has no ``iss``, or whatever its server puts there: not the name of another issuer, whose
        tokens have rules of their own.
        """
        if not is_workload_of(claims.get("sub"), trust_domain):
            return "claims.sub"
        iss = claims.get("iss")
        if isinstance(iss, str) and self._leeways is not None:
            snapshot = self._leeways._snapshot
            number = snapshot.issuers.get(iss)
            if number is not None and snapshot.rules[number].iss != trust_domain:
                return "claims.iss"
        return None

    def _is_revoked(self, iss: str, verified: VerifiedJWS) -> bool:
        claims, revocations = verified.claims, self._revocations
        if revocations.hits_token(iss, claims, lambda: verified.payload):
            return True
        stated = claims.get("iss") if self._other_names else None
        if stated.__class__ is not str or stated == iss or stated not in self._other_names:
            return False
        return revocations.hits_stated(stated, verified._key, claims, lambda: verified.payload)

    def refusal_without_store(self, verified: VerifiedJWS) -> RapidJWSError | None:
        """Return what would refuse a token before any store is asked: a revocation, or a bad ``jti``.

        For diagnosis: nothing is recorded, so the token can still be used.
        """
        iss = verified.issuer
        if iss is None:
            return None
        if self._revokes_tokens and self._is_revoked(iss, verified):
            return error_for("revoked", "claims")
        if self._statuses is not None:
            unlisted = self._statuses.refusal(iss, verified.claims)
            if unlisted is not None:
                return unlisted
        rule = self._replays.get(iss)
        if rule is not None:
            try:
                replay_key(iss, verified.claims, verified, digest=rule.replay.identity == "jti_or_digest")
            except RapidJWSError as refused:
                return refused.with_traceback(None)
        return None

    def _binding_refusal(
        self, iss: str, verified: VerifiedJWS, now_ns: int, sender: SenderCheck | None
    ) -> RapidJWSError | None:
        """Return why a token is not for who sent it, or None: a ``cnf`` is never ignored (RFC 7800 s.3)."""
        binding, is_bound = self._bindings.get(iss), "cnf" in verified.claims
        if binding == "required" and not is_bound:
            return error_for("token_not_bound", "claims.cnf")
        unsent = None if sender is None else sender.refusal(verified, now_ns)
        if unsent is not None:
            return unsent
        if binding is not None and is_bound and not getattr(sender, "binds", sender is not None):
            return error_for("binding_unchecked", "claims.cnf", expected="a check of who sends it")
        return None

    def run_all(
        self,
        results: list[VerifiedJWS | Rejected],
        now_ns: int,
        sender: SenderCheck | None = None,
    ) -> list[VerifiedJWS | Rejected]:
        """Check a batch in place; each store is asked once.

        Args:
            results: What verification found.
            now_ns: The present moment, in nanoseconds since the epoch.
            sender: As for ``run``, where all tokens came with one request.
        """
        binds, statuses = bool(self._bindings) or sender is not None, self._statuses
        by_store: dict[int, list[tuple[int, tuple[bytes, int]]]] = {}
        retry_s = 0 if self._leeways is None else self._leeways._longest_retry_s
        for position, verified in enumerate(results):
            if isinstance(verified, Rejected) or verified.issuer is None:
                continue
            iss = verified.issuer
            rule = self._replays.get(iss)
            if iss in self._trust_domains and (other := self._other_issuer(iss, verified.claims)) is not None:
                results[position] = _rejected(error_for("issuer_mismatch", other, iss), iss)
                continue
            if iss in self._chains and (refused := self._chain_refusal(iss, verified, now_ns)) is not None:
                results[position] = _rejected(refused, iss)
                continue
            if self._every and next(self._counter) % self._every == 0:
                self._meters[iss].add(verified.claims.get("iat"), now_ns)
            if self._revokes_tokens and self._is_revoked(iss, verified):
                results[position] = _rejected(error_for("revoked", "claims"), iss)
            elif statuses is not None and (unlisted := statuses.refusal(iss, verified.claims)) is not None:
                results[position] = _rejected(unlisted, iss)
            elif rule is not None and may_be_forgotten(verified, rule, retry_s, now_ns):
                results[position] = _rejected(error_for("expired", "claims.exp"), iss)
            elif binds and (unbound := self._binding_refusal(iss, verified, now_ns, sender)) is not None:
                results[position] = _rejected(unbound, iss)
            elif rule is not None:
                try:
                    digest = rule.replay.identity == "jti_or_digest"
                    key = replay_key(iss, verified.claims, verified, digest=digest)
                except RapidJWSError as refused:
                    results[position] = _rejected(refused.with_traceback(None), iss)
                    continue
                entry = (key, life_s(verified, rule, retry_s, now_ns))
                by_store.setdefault(id(rule.replay.store), []).append((position, entry))
        for waiting in by_store.values():
            self._record(results, waiting)
        return results

    def _record(
        self, results: list[VerifiedJWS | Rejected], waiting: list[tuple[int, tuple[bytes, int]]]
    ) -> None:
        """Record uses in one store; whoever was there before is refused."""
        first = results[waiting[0][0]]
        assert isinstance(first, VerifiedJWS)
        store = self._replays[str(first.issuer)].replay.store
        answers = _ask(store, [entry for _, entry in waiting])
        refused: list[bytes] = []
        for (position, (key, _)), fresh in zip(waiting, answers, strict=True):
            verified = results[position]
            if isinstance(verified, Rejected):
                continue
            iss = str(verified.issuer)
            if self._count_use is not None:
                self._count_use(iss, "unavailable" if fresh is None else "first" if fresh else "replayed")
            if fresh is True:
                continue
            if fresh is False:
                results[position] = _rejected(error_for("replayed", "claims.jti"), iss)
            elif self._replays[iss].replay.on_failure == "accept":
                emit(self._events, Event(name="replay_unchecked", issuer=iss))
            else:
                results[position] = _rejected(error_for("replay_store_unavailable", "replay"), iss)
                refused.append(key)
        if refused:
            take_back(store, refused)


def _rejected(error: RapidJWSError, iss: str) -> Rejected:
    """Return the refusal of a token whose signature an issuer's key verified."""
    error.issuer = iss
    return Rejected(error)


def _ask(store: ReplayStore, entries: list[tuple[bytes, int]]) -> list[bool | None]:
    """Ask a store; whatever goes wrong there, or comes out short, is "cannot tell"."""
    try:
        answers = list(store.record(entries))
    except Exception:
        return [None] * len(entries)
    return answers if len(answers) == len(entries) else [None] * len(entries)
