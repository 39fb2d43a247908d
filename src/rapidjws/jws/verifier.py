"""The JWS level: any serialization against given keys; the payload stays opaque bytes (RFC 7515 s.5.2)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

from rapidjws import _native
from rapidjws._checks import checked, refused
from rapidjws.errors import error_for
from rapidjws.jose import limits
from rapidjws.jose.jwks import JWKSet
from rapidjws.jws.chain_verifiers import HEADERS_MAX, ChainVerifiers, is_chain_source, verify_each
from rapidjws.jws.detached import FormRules, verify_form
from rapidjws.jws.known_headers import verify_known_headers
from rapidjws.jws.parsed_jws import ParsedJWS, looks_like_json, parse_compact, parse_json, parse_text
from rapidjws.jws.signature_checks import says_unencoded
from rapidjws.jws.signatures import SignaturePolicy, all_of
from rapidjws.jws.streaming import DetachedCheck, Source, verify_async_stream, verify_stream
from rapidjws.verify import parallel
from rapidjws.verify.arguments import checked_algorithms, checked_crit, header_limit, token_limit
from rapidjws.verify.given_keys import Keys, checked_keys
from rapidjws.verify.key_table import IssuerKeys
from rapidjws.verify.pipeline import Snapshot
from rapidjws.verify.precomputed import PRECOMPUTE_BUDGET_BYTES, PRECOMPUTE_THRESHOLD
from rapidjws.verify.result import VerifiedCompact
from rapidjws.verify.rules import Rules
from rapidjws.verify.snapshot import Token
from rapidjws.verify.snapshot_owner import SnapshotOwner

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rapidjws.verify.chains import ChainSource
    from rapidjws.verify.result import Rejected, VerifiedJWS

JSONToken = Mapping[str, Any]
"""A JSON serialization that the caller parsed."""

LARGE_PAYLOAD_BYTES: Final = 64 * 1024
"""From here on a detached payload in memory is hashed where it lies, and not copied into signing inputs."""

_ALL: Final = all_of()


def _named_keys(keys: Keys | Mapping[str, Keys]) -> list[tuple[str | None, Keys]]:
    """Return keys with the names they were given under.

    Raises:
        ConfigurationError: ``configuration_invalid``: no name, or not text.
    """
    if not isinstance(keys, Mapping) or _is_document(keys):
        return [(None, keys)]
    if not keys or not all(isinstance(name, str) and name for name in keys):
        raise error_for(
            "configuration_invalid", "keys", expected="at least one name, each a non-empty string"
        )
    return list(keys.items())


def _is_document(keys: Mapping[str, Any]) -> bool:
    """Say whether a mapping is a JWK or a JWK Set rather than keys under names."""
    entries = keys.get("keys")
    return isinstance(keys.get("kty"), str) or (
        isinstance(entries, list) and all(isinstance(one, Mapping) for one in entries)
    )


def _prepared(
    keys: Keys, algorithms: tuple[str, ...], name: str | None, needs_usable_key: bool
) -> IssuerKeys:
    """Return keys ready for use.

    Raises:
        ConfigurationError: ``configuration_invalid``: none of them can be used.
    """
    place = "keys" if name is None else f"keys[{name!r}]"
    made = IssuerKeys(checked_keys(keys, place), algorithms, name=name)
    return (made.check_usable(place) if needs_usable_key else made).try_each_algorithm()


class Verifier(SnapshotOwner):
    """A verifier of JWS in every serialization, against fixed keys; claims are not looked at.

    Args:
        keys: A JWKSet, a JWK, or several JWK; or such keys under names: ``{"https://issuer": keys, ...}``.
            With names, a protected ``iss`` that names one is answered by its keys only. Or
            :class:`rapidjws.keys.X5CKeys`: each token then brings its key in ``x5c``, with one signature.
        algorithms: The ``alg`` values accepted; required.
        require_kid: Whether a token without ``kid`` is refused.
        crit: The critical header extensions that the caller understands and heeds; ``"b64"`` accepts
            unencoded payloads.
        allow_unprotected_alg: Whether ``alg`` may stand in the unprotected header of a JSON serialization,
            where anyone can change it to another one that the key serves.
        max_token_bytes: Largest token; by default 16 KiB, or 64 KiB where ML-DSA is allowed; 256 KiB at most.
        max_header_bytes: Largest decoded protected header, 2 KiB by default, 16 KiB at most: for those that
            carry certificates in ``x5c``.
        max_signatures: Most signatures of one token.
        workers: Threads that ``verify_many`` uses; by default one a core.
        acceleration: ``"auto"``; ``"portable"`` keeps to plain C; ``"openssl"`` leaves all to libcrypto.
        precompute_budget_bytes: Memory for the precomputed tables of much-used keys.
        precompute_threshold: Acceptances after which a key gets a table; 0 for never.

    Attributes:
        unusable: Keys that serve nothing here, and why.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """

    __slots__ = ("_chains", "_forms", "_understands_b64", "unusable")

    @checked(but=("keys", "algorithms", "crit"))
    def __init__(
        self,
        keys: Keys | Mapping[str, Keys] | ChainSource,
        *,
        algorithms: Iterable[str],
        require_kid: bool = False,
        crit: Iterable[str] = (),
        allow_unprotected_alg: bool = False,
        max_token_bytes: int | None = None,
        max_header_bytes: int = limits.HEADER_MAX_BYTES,
        max_signatures: int = limits.SIGNATURES_MAX,
        workers: int | None = None,
        acceleration: str = "auto",
        precompute_budget_bytes: int = PRECOMPUTE_BUDGET_BYTES,
        precompute_threshold: int = PRECOMPUTE_THRESHOLD,
    ) -> None:
        names = checked_algorithms(algorithms)
        understood = checked_crit(crit)
        most = _native.STREAM_MAX_LANES
        if not 1 <= max_signatures <= most:
            raise error_for("configuration_invalid", "max_signatures", expected=f"1 to {most}")
        self._forms = FormRules(allow_unprotected_alg=allow_unprotected_alg, max_signatures=max_signatures)
        self._understands_b64 = "b64" in understood
        self._chains: ChainVerifiers[Verifier] | None = None
        needs_usable_key = self.needs_usable_key
        if is_chain_source(keys):
            make = partial(
                Verifier,
                crit=understood,
                max_token_bytes=max_token_bytes,
                max_header_bytes=max_header_bytes,
                acceleration=acceleration,
                precompute_budget_bytes=precompute_budget_bytes // HEADERS_MAX,
                precompute_threshold=precompute_threshold,
            )
            self._chains = ChainVerifiers(keys, names, make, max_header_bytes=max_header_bytes)
            keys, needs_usable_key = JWKSet(keys=()), False
        named = _named_keys(cast("Keys", keys))
        prepared = [_prepared(of_one, names, name, needs_usable_key) for name, of_one in named]
        self.unusable = tuple(key for of_one in prepared for key in of_one.unusable)
        super().__init__(
            prepared,
            [Rules(name=name, require_kid=require_kid, crit=understood) for name, _ in named],
            max_token_bytes=token_limit(names, max_token_bytes, header_limit(max_header_bytes)),
            max_header_bytes=max_header_bytes,
            workers=workers,
            acceleration=acceleration,
            precompute_budget_bytes=precompute_budget_bytes,
            precompute_threshold=precompute_threshold,
        )

    def __repr__(self) -> str:
        slots = self._snapshot.table.slots
        shown = [f"{key.jwk.kid!a} {key.alg}" for key in slots[:4]]
        more = [f"{len(slots) - len(shown)} more"] if len(slots) > len(shown) else []
        return f"<Verifier: {', '.join([*shown, *more])}>"

    @property
    def chain_source(self) -> ChainSource | None:
        """Return the source of keys that come in ``x5c``, or None where keys are fixed."""
        return None if self._chains is None else self._chains.source

    def verify(  # type: ignore[override]  # of the owner's parts a Verifier uses the snapshot only
        self,
        token: Token | JSONToken,
        *,
        signatures: SignaturePolicy = _ALL,
        payload: bytes | bytearray | memoryview | None = None,
    ) -> VerifiedJWS:
        """Verify one token.

        Args:
            token: JWS Compact, Flattened JSON or General JSON Serialization, as text or bytes; a buffer is
                copied first. Or the members of a JSON serialization: equal names cannot be seen any more in
                these.
            signatures: Which signatures must be good: ``any_of``, ``all_of``, ``at_least``, ``signers``.
            payload: The detached payload's octets; the token must then hold none.

        Returns:
            The verified JWS.

        Raises:
            TokenRefused: With the stable code of the first check that refused. ``SignaturesRefused``, with
                the result of each, where a token with several signatures does not fulfil the policy.

        Source: RFC 7515 section 5.2, appendix F; RFC 7797.
        """
        if self._chains is not None:
            if payload is None and (type(token) is str or type(token) is bytes):
                known = self._chains.known_to(token)
                if known is not None:
                    return known.verify(token, signatures=signatures)
            octets = bytes(payload) if isinstance(payload, (bytearray, memoryview)) else payload
            if not isinstance(token, (str, bytes, Mapping)):  # a buffer, which may change meanwhile
                token = self._snapshot.octets(token)
            with self._chains.learning(self._form(self._snapshot, token), octets) as verifier:
                return verifier.verify(token, signatures=signatures, payload=octets)
        snapshot = self._snapshot
        plain = type(token) is str or type(token) is bytes
        if payload is not None or (not plain and isinstance(token, Mapping)):
            return self._verify_form(snapshot, self._form(snapshot, token), signatures, payload)
        result = snapshot.verify_one(token, 0)
        if result.__class__ is VerifiedCompact:  # by the core, with nothing else to do
            accepted: VerifiedJWS = result
            if signatures is not _ALL:
                _check_single(accepted, signatures)
            return accepted
        octets = snapshot.octets(cast("Token", token))
        return self._verify_rarer(snapshot, octets, result, signatures)

    def _verify_rarer(
        self, snapshot: Snapshot, octets: bytes, result: int | None, signatures: SignaturePolicy
    ) -> VerifiedJWS:
        """Verify a token that the core did not accept at once, whatever it is."""
        _check_policy(signatures)
        other = self._verify_other_serialization(snapshot, octets, 0, signatures)
        if other is not None:
            return other
        verified = snapshot.complete_or_raise(octets, result, 0)
        _check_single(verified, signatures)
        return verified

    def _verify_other_serialization(
        self, snapshot: Snapshot, octets: bytes, now_ns: int, signatures: SignaturePolicy = _ALL
    ) -> VerifiedJWS | None:
        if looks_like_json(octets):
            known = verify_known_headers(snapshot, octets, signatures, self._forms.max_signatures)
            if known is not None:
                return known
            members = parse_text(octets, max_bytes=snapshot.max_token_bytes)
            return self._verify_form(snapshot, self._form(snapshot, members), signatures, None)
        if self._understands_b64 and len(octets) <= snapshot.max_token_bytes:
            jws = parse_compact(octets)
            if jws is not None and says_unencoded(octets, snapshot.max_header_bytes):
                return self._verify_form(snapshot, jws, signatures, None)
        return None

    def _verify_form(
        self,
        snapshot: Snapshot,
        jws: ParsedJWS,
        policy: SignaturePolicy,
        payload: bytes | bytearray | memoryview | None,
    ) -> VerifiedJWS:
        _check_policy(policy)
        if payload is None:
            return verify_form(snapshot, jws, self._forms, policy, None)
        if not isinstance(payload, (bytes, bytearray, memoryview)):
            raise TypeError(f"payload: expected bytes; found {type(payload).__name__}")
        octets = bytes(payload)
        if len(octets) < LARGE_PAYLOAD_BYTES:
            return verify_form(snapshot, jws, self._forms, policy, octets)
        check = DetachedCheck(snapshot, jws, self._forms, policy, max_whole_bytes=len(octets))
        check.update(octets)
        return check.finalize(octets)

    def _form(self, snapshot: Snapshot, token: Token | JSONToken) -> ParsedJWS:
        """Take a token of any serialization apart.

        Raises:
            MalformedToken: It cannot be.
        """
        if isinstance(token, Mapping):
            members = token
        else:
            octets = snapshot.octets(token)
            if len(octets) > snapshot.max_token_bytes:
                raise snapshot.too_large(len(octets))
            if looks_like_json(octets):
                members = parse_text(octets, max_bytes=snapshot.max_token_bytes)
            else:
                jws = parse_compact(octets)
                if jws is None:
                    raise error_for(
                        "malformed_token", "token", "three parts between two dots, or a JSON object"
                    )
                return jws
        return parse_json(
            members, max_bytes=snapshot.max_token_bytes, max_signatures=self._forms.max_signatures
        )

    def _check(
        self, token: Token | JSONToken, signatures: SignaturePolicy, max_whole_bytes: int
    ) -> DetachedCheck:
        _check_policy(signatures)
        if type(max_whole_bytes) is not int or max_whole_bytes < 0:
            raise refused("max_whole_bytes", "a whole number from 0 on", max_whole_bytes)
        snapshot = self._snapshot
        jws = self._form(snapshot, token)
        return DetachedCheck(snapshot, jws, self._forms, signatures, max_whole_bytes=max_whole_bytes)

    def verify_detached(
        self,
        token: Token | JSONToken,
        payload: Source,
        *,
        signatures: SignaturePolicy = _ALL,
        max_whole_bytes: int = limits.WHOLE_PAYLOAD_MAX_BYTES,
    ) -> VerifiedJWS:
        """Verify a token against a detached payload of any size, hashed as it is read.

        Keys are chosen, and hopeless tokens refused, before the first byte is read. A file may change after
        it was read: use what you verified, or keep others from writing to it.

        Args:
            token: As for ``verify``, without a payload in it.
            payload: A path; an open binary file, read to its end; bytes; or an iterable of bytes.
            signatures: Which signatures must be good.
            max_whole_bytes: Largest payload for EdDSA and ML-DSA, which need it whole, in memory.

        Returns:
            The verified JWS; its ``payload`` raises TypeError, for it was not kept.

        Raises:
            TokenRefused: As ``verify``; ``too_large`` for EdDSA and ML-DSA past ``max_whole_bytes``.
            OSError: Reading failed.
            TypeError: The payload is none of these.

        Source: RFC 7515 appendix F; RFC 7797 section 5.1.
        """
        if self._chains is None:
            return verify_stream(self._check(token, signatures, max_whole_bytes), payload)
        with self._chains.learning(self._form(self._snapshot, token), None) as verifier:
            return verify_stream(verifier._check(token, signatures, max_whole_bytes), payload)

    async def averify_detached(
        self,
        token: Token | JSONToken,
        payload: Source,
        *,
        signatures: SignaturePolicy = _ALL,
        max_whole_bytes: int = limits.WHOLE_PAYLOAD_MAX_BYTES,
    ) -> VerifiedJWS:
        """Verify as ``verify_detached`` does, without holding up the event loop.

        Args:
            token: As for ``verify_detached``.
            payload: As for ``verify_detached``, or an asynchronous iterable of bytes, or an object whose
                ``read`` is a coroutine.
            signatures: Which signatures must be good.
            max_whole_bytes: As for ``verify_detached``.

        Returns:
            The verified JWS; its ``payload`` raises TypeError, for it was not kept.

        Raises:
            TokenRefused: As ``verify_detached``.
            OSError: Reading failed.
            TypeError: The payload is none of these.
        """
        if self._chains is None:
            return await verify_async_stream(self._check(token, signatures, max_whole_bytes), payload)
        with self._chains.learning(self._form(self._snapshot, token), None) as verifier:
            return await verify_async_stream(verifier._check(token, signatures, max_whole_bytes), payload)

    def verify_many(self, tokens: Sequence[Token]) -> list[VerifiedJWS | Rejected]:
        """Verify many tokens on all workers, outside the GIL.

        Args:
            tokens: As for ``verify``; compact ones share their work. Of several signatures, all must be good.

        Returns:
            One result a token, in order; a bad token never raises.
        """
        if self._chains is not None:
            return verify_each(self.verify, tokens)
        return parallel.verify_many(self._snapshot, tokens, 0, self._workers)


def _check_policy(signatures: object) -> None:
    """Refuse what is no policy."""
    if not isinstance(signatures, SignaturePolicy):
        raise refused("signatures", "any_of(), all_of(), at_least() or signers()", signatures)


def _check_single(verified: VerifiedJWS, policy: SignaturePolicy) -> None:
    """Refuse a compact token whose one good signature is not what the policy asks for."""
    _check_policy(policy)
    if not policy.is_met([verified._key], 1):
        raise error_for("signatures_insufficient", "signatures", str(policy), "1 good")
