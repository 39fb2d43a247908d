"""The guard behind the verification: revoked tokens, replays, and the measure of an issuer's clock.

It sees a token only after signature and claims passed, so a bad token neither burns a ``jti`` nor costs a
look-up. An engine without these features has no guard at all.
"""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

from rapidjws._checks import checked
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.jose.numeric_date import SECOND_NS, NumericDate, numeric_dates
from rapidjws.jose.spiffe_id import is_workload_of
from rapidjws.verify.protocols import Event, ReplayStore, emit, take_back
from rapidjws.verify.result import Rejected, VerifiedJWS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from rapidjws.jwt.skew import SkewMeter
    from rapidjws.verify.chains import ChainSource
    from rapidjws.verify.protocols import EventListener, SenderCheck
    from rapidjws.verify.revocations import Revocations

JTI_MAX_BYTES: Final = 4096
"""Longest ``jti`` that is hashed, in bytes of UTF-8; a longer one is refused."""


@checked(but=("identity", "on_failure"))
@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """The demand that each token of an issuer is used once.

    Args:
        store: Where uses are recorded.
        identity: ``"jti"`` refuses tokens without one; ``"jti_or_digest"`` takes the digest of the signing
            input for them.
        on_failure: ``"deny"`` refuses while the store cannot tell; ``"accept"`` lets pass and says so.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """

    store: ReplayStore
    identity: Literal["jti", "jti_or_digest"] = "jti"
    on_failure: Literal["deny", "accept"] = "deny"

    def __post_init__(self) -> None:
        """Check the choices."""
        if self.identity not in ("jti", "jti_or_digest"):
            raise error_for("configuration_invalid", "replay.identity", expected=("jti", "jti_or_digest"))
        if self.on_failure not in ("deny", "accept"):
            raise error_for("configuration_invalid", "replay.on_failure", expected=("deny", "accept"))


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayRule:
    """What an issuer's replay check needs beside the token.

    Attributes:
        replay: The issuer's choice.
        leeway_s: The issuer's leeway: an entry outlives ``exp`` by it, and by the widest of a partner.
        max_age_s: The oldest ``iat``: bounds entries of tokens without ``exp``.
        before: The narrowest rule that this engine had for the issuer, where this one is wider: what was
            recorded under it is forgotten when it ended. None where nothing was wider.
        since_ns: Since when this one is the wider, nanoseconds since the epoch.
    """

    replay: Replay
    leeway_s: int
    max_age_s: int | None
    before: ReplayRule | None = None
    since_ns: int = 0


def replay_key(iss: str, claims: Mapping[str, Any], verified: VerifiedJWS, *, digest: bool) -> bytes:
    """Return 32 bytes that stand for one token of one issuer and sender.

    Args:
        iss: The verified issuer.
        claims: The verified claims.
        verified: The token.
        digest: Whether a token without ``jti`` is known by its signing input.

    Raises:
        ClaimRefused: ``missing_claim``, ``malformed_claim``.
        MalformedToken: ``too_large``.
    """
    jti = claims.get("jti")
    if jti is None:
        if not digest:
            raise error_for("missing_claim", "claims.jti", expected="a jti, as tokens are used once")
        # the signature is left out: an ECDSA signature has a second spelling
        return hashlib.sha256(b"input\0" + verified._signing_input()).digest()
    if not isinstance(jti, str):
        raise error_for("malformed_claim", "claims.jti", expected="a string", actual=type(jti).__name__)
    octets = jti.encode("utf-8", "surrogatepass")
    if not 0 < len(octets) <= JTI_MAX_BYTES:
        raise error_for("too_large", "claims.jti", expected=f"1 to {JTI_MAX_BYTES} bytes", actual=len(octets))
    sender = claims.get("client_id", claims.get("azp"))
    cnf = claims.get("cnf")
    bound_to = cnf.get("jkt") if isinstance(cnf, dict) else None
    total = hashlib.sha256(b"jti\0")
    for part in (iss, sender, bound_to):
        piece = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else b""
        total.update(len(piece).to_bytes(4, "big") + piece)
    total.update(octets)
    return total.digest()


def widened(old: ReplayRule, new: ReplayRule, now_ns: int) -> ReplayRule:
    """Return a new rule of an issuer that remembers what the old one, and those before it, ended earlier.

    Args:
        old: The rule until now.
        new: The rule from now on.
        now_ns: Nanoseconds since the epoch.
    """
    known = old.before or old
    ages_s = [one.max_age_s for one in (old, known) if one.max_age_s is not None]
    least = ReplayRule(
        replay=old.replay,
        leeway_s=min(old.leeway_s, known.leeway_s),
        max_age_s=min(ages_s) if ages_s else None,
    )
    if not _is_wider(new, least):
        return new
    since_ns = now_ns if _is_wider(new, old) or old.before is None else old.since_ns
    return replace(new, before=least, since_ns=since_ns)


def _is_wider(one: ReplayRule, other: ReplayRule) -> bool:
    """Return whether a rule accepts tokens for longer than another one."""
    is_older = other.max_age_s is not None and (one.max_age_s is None or one.max_age_s > other.max_age_s)
    return one.leeway_s > other.leeway_s or is_older


def _ends_ns(verified: VerifiedJWS, rule: ReplayRule) -> tuple[int | None, NumericDate | None]:
    """Return when a token ends without leeway, and when it was issued."""
    dates = numeric_dates(verified.claims, lambda: verified.payload)
    exp, iat = dates.get("exp"), dates.get("iat")
    ends_ns = [] if exp is None else [exp.ceil_ns]
    if rule.max_age_s is not None and iat is not None:
        ends_ns.append(iat.ceil_ns + rule.max_age_s * SECOND_NS)
    return min(ends_ns, default=None), iat


def _may_be_forgotten(verified: VerifiedJWS, rule: ReplayRule, retry_s: int, now_ns: int) -> bool:
    """Return whether a use may have been recorded before a rule was widened, and forgotten since."""
    before = rule.before
    if before is None:
        return False
    end_ns, iat = _ends_ns(verified, before)
    if end_ns is None or now_ns < end_ns + (before.leeway_s + retry_s) * SECOND_NS:
        return False
    return iat is None or iat.floor_ns < rule.since_ns + rule.leeway_s * SECOND_NS


def _life_s(verified: VerifiedJWS, rule: ReplayRule, retry_s: int, now_ns: int) -> int:
    """Return for how many seconds from now an entry must live: longer than anybody accepts its token.

    Args:
        verified: The token.
        rule: Its issuer's rule.
        retry_s: The most by which a partner's leeway goes beyond the issuer's.
        now_ns: The present moment, whatever moment the token's dates were compared with.
    """
    end_ns, _ = _ends_ns(verified, rule)
    left_ns = 86_400 * SECOND_NS if end_ns is None else end_ns - now_ns
    return max(1, -(-left_ns // SECOND_NS) + rule.leeway_s + retry_s + 1)


class Leeways(Protocol):
    """Who knows how long a token may be accepted beyond its issuer's leeway."""

    _longest_retry_s: int


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
        "_replays",
        "_revocations",
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
    ) -> None:
        self._bindings = bindings or {}
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
        return self._revocations.on_tokens or bool(others)

    def run(self, verified: VerifiedJWS, now_ns: int, sender: SenderCheck | None = None) -> VerifiedJWS:
        """Return the token, or raise why it is refused after all.

        Args:
            verified: The token.
            now_ns: The present moment, in nanoseconds since the epoch.
            sender: Compares what it is bound to with who sent it, or None.

        Raises:
            PolicyRefused: ``revoked``, ``replayed``, ``binding_unchecked``, ``token_not_bound``, and what
                ``sender`` refuses.
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

    def _is_revoked(self, iss: str, verified: VerifiedJWS) -> bool:
        return self._revocations.hits_token(iss, verified.claims, lambda: verified.payload)

    def refusal_without_store(self, verified: VerifiedJWS) -> RapidJWSError | None:
        """Return what would refuse a token before any store is asked: a revocation, or a bad ``jti``.

        For diagnosis: nothing is recorded, so the token can still be used.
        """
        iss = verified.issuer
        if iss is None:
            return None
        if self._revocations.on_tokens and self._is_revoked(iss, verified):
            return error_for("revoked", "claims")
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
        binds = bool(self._bindings) or sender is not None
        by_store: dict[int, list[tuple[int, tuple[bytes, int]]]] = {}
        retry_s = 0 if self._leeways is None else self._leeways._longest_retry_s
        for position, verified in enumerate(results):
            if isinstance(verified, Rejected) or verified.issuer is None:
                continue
            iss = verified.issuer
            rule = self._replays.get(iss)
            if iss in self._trust_domains and not is_workload_of(verified.claims.get("sub"), iss):
                results[position] = _rejected(error_for("issuer_mismatch", "claims.sub", iss), iss)
                continue
            if iss in self._chains and (refused := self._chain_refusal(iss, verified, now_ns)) is not None:
                results[position] = _rejected(refused, iss)
                continue
            if self._every and next(self._counter) % self._every == 0:
                self._meters[iss].add(verified.claims.get("iat"), now_ns)
            if self._revocations.on_tokens and self._is_revoked(iss, verified):
                results[position] = _rejected(error_for("revoked", "claims"), iss)
            elif rule is not None and _may_be_forgotten(verified, rule, retry_s, now_ns):
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
                entry = (key, _life_s(verified, rule, retry_s, now_ns))
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
