"""What a token is diagnosed against: one engine or verifier, its keys and rules, and other sets worth a try.

The verdict is the engine's own: nothing here decides. What it never does: fetch, or change an engine.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rapidjws.errors import RapidJWSError, error_for
from rapidjws.jose.jwa import ALGORITHM_TABLE
from rapidjws.jose.jwk import JWK
from rapidjws.jose.jwks import JWKSet
from rapidjws.jws.verifier import Verifier
from rapidjws.jwt.clock import present_ns
from rapidjws.jwt.engine import Engine
from rapidjws.keys.fetched import FetchedKeys
from rapidjws.keys.source_status import SourceStatus
from rapidjws.verify.given_keys import checked_keys

if TYPE_CHECKING:
    from rapidjws.jose.jwks import Skipped
    from rapidjws.verify.given_keys import Keys
    from rapidjws.verify.rules import Rules
    from rapidjws.verify.snapshot import Token

KNOWN_KEYS_TRIED = 64
"""Keys of each origin that are kept for experiments; a larger set is found by kid only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownKey:
    """One key that may have signed.

    Attributes:
        jwk: The key.
        issuer: Whose it is, or None from a Verifier.
        origin: ``"in use"``, ``"fresh"``, or the name of another environment.
    """

    jwk: JWK
    issuer: str | None
    origin: str

    @property
    def name(self) -> str:
        """Return words for the key."""
        owner = "" if self.issuer is None else f" of {self.issuer}"
        return f"kid {self.jwk.kid!r}{owner} ({self.origin})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What a diagnosis needs to know of its surroundings.

    Attributes:
        engine: What gives the verdict; None where it could not be built, and ``fault`` says why.
        fault: Why there is no engine.
        rules: The rules of each issuer.
        algorithms: The algorithms of each issuer, in the same order.
        known: Keys in use, then fresh ones, then those of other environments.
        left_out: Keys that a set names and nobody can use, with their issuer.
        has_fresh: Whether a fresh set was given.
        cache_age_s: Age of the keys in use, or None where it is not known.
        sources: What is known of changing key sources: issuer -> how its fetches went.
        requested: The algorithms that the caller named.
        document: What the caller gave for a key set, where it is a document.
    """

    engine: Engine | Verifier | None
    fault: RapidJWSError | None
    rules: tuple[Rules, ...] = ()
    algorithms: tuple[tuple[str, ...], ...] = ()
    known: tuple[KnownKey, ...] = ()
    left_out: tuple[tuple[str | None, Skipped], ...] = ()
    has_fresh: bool = False
    cache_age_s: float | None = None
    sources: Mapping[str, SourceStatus] = field(default_factory=dict)
    requested: tuple[str, ...] = ()
    document: Any = None

    @property
    def allowed(self) -> tuple[str, ...]:
        """Return the allowed algorithms of all issuers; those asked for where no engine could be built."""
        names = (name for of_one in self.algorithms for name in of_one)
        return tuple(dict.fromkeys(names)) if self.engine is not None else self.requested

    def of(self, origin: str) -> tuple[KnownKey, ...]:
        """Return the keys of one origin."""
        return tuple(known for known in self.known if known.origin == origin)

    def verdict(self, token: Token, now: float | None, payload: bytes | None = None) -> RapidJWSError | None:
        """Return the engine's refusal, or None where it accepts.

        A replay store is not asked, because asking uses a token up; nothing else differs from ``verify``.

        Args:
            token: The token.
            now: Seconds since the epoch, or None for the wall clock.
            payload: The payload of a detached token, for a Verifier.
        """
        if self.engine is None:
            return self.fault or error_for("configuration_invalid", "using")
        try:
            if isinstance(self.engine, Engine):
                return _engine_verdict(self.engine, token, now)
            self.engine.verify(token, payload=payload)
        except RapidJWSError as refused:
            return refused.with_traceback(None)
        except TypeError:
            return error_for("malformed_token", "token", "text or bytes", type(token).__name__)
        return None


def _engine_verdict(engine: Engine, token: Token, now: float | None) -> RapidJWSError | None:
    """Verify as the engine does, up to its replay store."""
    snapshot = engine._snapshot
    now_ns = present_ns(now)
    verified = snapshot.complete_or_raise(token, snapshot.verify_one(token, now_ns), now_ns)
    return None if snapshot.post_checks is None else snapshot.post_checks.refusal_without_store(verified)


class ExaminedVerifier(Verifier):
    """A Verifier that is built even where none of its keys can be used, to say why."""

    __slots__ = ()
    needs_usable_key = False


class ExaminedEngine(Engine):
    """An Engine that is built even where none of its keys can be used, to say why."""

    __slots__ = ()
    needs_usable_key = False


def read_keys(keys: Any) -> JWKSet:
    """Return keys in any form as a set: a set, a JWK, several, or JSON of a set or a key.

    Raises:
        KeySetRefused: As ``JWKSet.from_json``.
        TypeError: Something else.
    """
    if isinstance(keys, (bytes, str, Mapping)):
        return JWKSet.from_json(dict(keys) if isinstance(keys, Mapping) else keys)
    return checked_keys(keys)


def make_subject(
    using: Engine | Verifier | Keys | bytes | str | Mapping[str, Any],
    *,
    algorithms: Iterable[str] | None,
    fresh: Any,
    also: Mapping[str, Any] | None,
    cache_age_s: float | None,
    kid: str | None = None,
) -> Subject:
    """Build the surroundings of a diagnosis; a fault in them becomes ``fault``.

    Of a large set the first keys and those of ``kid`` are looked at.
    """
    if algorithms is not None and not isinstance(algorithms, str):
        algorithms = tuple(algorithms)
    left_out: list[tuple[str | None, Skipped]] = []
    known: list[KnownKey] = []
    engine: Engine | Verifier | None = None
    fault: RapidJWSError | None = None
    try:
        engine = using if isinstance(using, (Engine, Verifier)) else _verifier_of(using, algorithms)
    except RapidJWSError as refused:
        fault = refused.with_traceback(None)
    rules: tuple[Rules, ...] = ()
    allowed: tuple[tuple[str, ...], ...] = ()
    if engine is not None:
        snapshot = engine._snapshot
        rules = snapshot.rules
        allowed = tuple(keys.algorithms for keys in snapshot.table.issuers)
        for rule, keys in zip(rules, snapshot.table.issuers, strict=True):
            known += _chosen(keys.jwks, rule.iss, "in use", kid)
            left_out += [(rule.iss, gone) for gone in keys.left_out]
    only = rules[0].iss if len(rules) == 1 else None
    sources = _sources(engine)
    if cache_age_s is None and only in sources:
        cache_age_s = sources[only].age_s
    for name, extra in (("fresh", fresh), *sorted((also or {}).items())):
        for issuer, more in _by_issuer(extra, only):
            try:
                known += _chosen(read_keys(more), issuer, name, kid)
            except (RapidJWSError, TypeError):
                continue  # a set that cannot be read explains nothing
    return Subject(
        engine=engine,
        fault=fault,
        rules=rules,
        algorithms=allowed,
        known=tuple(known),
        left_out=tuple(left_out),
        has_fresh=fresh is not None,
        cache_age_s=cache_age_s,
        sources=sources,
        requested=_requested(algorithms),
        document=None if isinstance(using, (Engine, Verifier)) else using,
    )


def _requested(algorithms: Iterable[str] | None) -> tuple[str, ...]:
    """Return the algorithms that a caller named, as far as they are names."""
    if algorithms is None:
        return ()
    names = (algorithms,) if isinstance(algorithms, str) else tuple(algorithms)
    return tuple(name for name in names if isinstance(name, str))


def _sources(engine: Engine | Verifier | None) -> dict[str, SourceStatus]:
    """Return how the fetches of each issuer with a key address went."""
    issuers = engine.issuers if isinstance(engine, Engine) else ()
    return {item.name: item.keys.status() for item in issuers if isinstance(item.keys, FetchedKeys)}


def _chosen(keys: Iterable[JWK], issuer: str | None, origin: str, kid: str | None) -> list[KnownKey]:
    """Return the keys of a set that are looked at."""
    return [
        KnownKey(jwk=jwk, issuer=issuer, origin=origin)
        for index, jwk in enumerate(keys)
        if index < KNOWN_KEYS_TRIED or (kid is not None and jwk.kid == kid)
    ]


def _by_issuer(keys: Any, only: str | None) -> list[tuple[str | None, Any]]:
    """Return a set for the only issuer, or a mapping issuer -> set, as pairs."""
    if keys is None:
        return []
    if isinstance(keys, Mapping) and "keys" not in keys and "kty" not in keys:
        return list(keys.items())
    return [(only, keys)]


def _verifier_of(keys: Any, algorithms: Iterable[str] | None) -> Verifier:
    """Return a verifier of bare keys; without a list every algorithm that the keys serve is allowed."""
    try:
        found = read_keys(keys)
    except TypeError as fault:
        raise error_for("configuration_invalid", "using", "an engine, a verifier or keys") from fault
    names = algorithms if algorithms is not None else [name for key in found for name in key.algorithms]
    if not isinstance(names, str) and not tuple(names) and found.skipped:
        names = [
            name for name, row in ALGORITHM_TABLE.items() if row.kind != "hmac"
        ]  # to say why none serves
    if not isinstance(names, str) and not tuple(names):
        raise error_for("keys_unavailable", "using", "at least one usable key", len(found))
    return ExaminedVerifier(found, algorithms=names)
