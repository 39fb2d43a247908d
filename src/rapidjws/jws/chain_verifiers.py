"""Verification by keys that come in ``x5c``: a verifier a header whose chain ends at a pinned root.

A header enters after a good signature only. Its next token costs a look at the header's octets and at the
chain's dates, and what a token of any key costs. Source: RFC 7515 section 4.1.6.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from rapidjws import _native
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.jose import json_text, limits
from rapidjws.jose.jws import parse_members
from rapidjws.verify.chains import prepared_leaf
from rapidjws.verify.protocols import KeySource
from rapidjws.verify.result import Rejected

if TYPE_CHECKING:
    from typing import TypeGuard

    from rapidjws.jws.parsed_jws import ParsedJWS
    from rapidjws.verify.chains import ChainSource, CheckedLeaf
    from rapidjws.verify.result import VerifiedJWS
    from rapidjws.verify.snapshot import Token

HEADERS_MAX: Final = 64
"""Most headers that are remembered with a verifier each; those that came first are forgotten."""


VerifierT = TypeVar("VerifierT")


@dataclass(frozen=True, slots=True)
class LeafVerifier(Generic[VerifierT]):
    """What verifies tokens of one header.

    Attributes:
        verifier: Has the leaf's key alone.
        header: The members of the protected header.
        leaf: The leaf.
    """

    verifier: VerifierT
    header: Mapping[str, Any]
    leaf: CheckedLeaf


class ChainVerifiers(Generic[VerifierT]):
    """Verifiers by the chains of tokens.

    Args:
        source: Checks chains, and remembers their leaves.
        algorithms: The ``alg`` values accepted.
        make: Makes a verifier of a key and its ``algorithms``.
        max_header_bytes: Largest decoded protected header.
        clock: Gives the present time, seconds since the epoch.
    """

    __slots__ = ("_algorithms", "_clock", "_known", "_make", "_max_header_bytes", "source")

    def __init__(
        self,
        source: ChainSource,
        algorithms: tuple[str, ...],
        make: Callable[..., VerifierT],
        *,
        max_header_bytes: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.source = source
        self._algorithms = algorithms
        self._make = make
        self._max_header_bytes = max_header_bytes
        self._clock = clock
        self._known: dict[str | bytes, LeafVerifier[VerifierT]] = {}

    def known_to(self, token: str | bytes) -> VerifierT | None:
        """Return what verifies a compact token whose header is remembered, or None.

        Raises:
            HeaderRefused: ``chain_refused``: its chain does not hold at its time.
        """
        start, _, rest = token.partition("." if isinstance(token, str) else b".")  # type: ignore[arg-type]
        entry = self._known.get(start)
        if entry is None:
            return None
        claims: dict[str, Any] = {}
        if self.source.reads_claims:
            octets = rest.encode("ascii", "replace") if isinstance(rest, str) else rest
            claims = _claims(octets.partition(b".")[0], None)
        self._check_time(entry, claims)
        return entry.verifier

    @contextmanager
    def learning(self, jws: ParsedJWS, payload: bytes | None) -> Iterator[VerifierT]:
        """Give what verifies a token; without an exception its header is remembered.

        Args:
            jws: The token.
            payload: Its detached payload, where that is at hand: it may say when it was signed.

        Raises:
            RapidJWSError: ``chain_refused``, or another one by which the header is refused.
        """
        entry = self._of(jws, payload)
        yield entry.verifier
        self._learn(jws, entry)

    def _of(self, jws: ParsedJWS, payload: bytes | None) -> LeafVerifier[VerifierT]:
        """Return what verifies a token, its chain checked at the token's time."""
        if len(jws.parts) != 1:  # each signature would need a chain of its own
            raise error_for("too_large", "signatures", "one signature, by x5c", len(jws.parts))
        part = jws.parts[0]
        if part.protected is None:
            raise error_for("chain_refused", "header.x5c", "a chain in the protected header")
        inner = None if jws.payload is None else jws.payload.encode("ascii", "replace")
        claims = _claims(inner, payload) if self.source.reads_claims else {}
        known = self._known.get(part.protected)
        if known is None:
            return self._checked(part.protected, claims, self._clock())
        self._check_time(known, claims)
        return known

    def _check_time(self, known: LeafVerifier[VerifierT], claims: dict[str, Any]) -> None:
        refused = self.source.refusal(known.leaf.jwk.kid, known.header, claims, self._clock())
        if refused is not None:
            raise refused

    def _checked(self, protected: str, claims: dict[str, Any], now_s: float) -> LeafVerifier[VerifierT]:
        """Return what verifies tokens of a header that was not seen before."""
        octets = _native.b64url_decode(protected.encode("ascii", "replace"))
        if octets is None:
            raise error_for("malformed_base64url", "header")
        header = parse_members(octets, max_bytes=self._max_header_bytes)
        alg = header.get("alg")
        if not isinstance(alg, str) or alg not in self._algorithms:
            shown = alg if isinstance(alg, str) else type(alg).__name__
            raise error_for("algorithm_not_allowed", "header.alg", self._algorithms, shown)
        leaf = self.source.leaf_for(header, claims, now_s)
        prepared_leaf(leaf.jwk, alg)  # refuses a key that does not serve the algorithm
        members = {name: value for name, value in leaf.jwk.as_dict().items() if name != "kid"}
        return LeafVerifier(self._make(members, algorithms=[alg]), header, leaf)  # serves whatever kid

    def _learn(self, jws: ParsedJWS, entry: LeafVerifier[VerifierT]) -> None:
        """Remember a header whose signature was good, and its leaf."""
        protected = jws.parts[0].protected
        if protected is None or protected in self._known:
            return
        self.source.learn(entry.header.get("x5c"), entry.leaf)
        known = self._known  # of two threads one wins: what the other learned is learned again
        if len(known) >= 2 * HEADERS_MAX:  # each stands there as text and as octets
            known = dict(list(known.items())[HEADERS_MAX // 2 :])
        self._known = {**known, protected: entry, protected.encode("ascii"): entry}


def is_chain_source(keys: object) -> TypeGuard[ChainSource]:
    """Return whether keys come in the headers of tokens."""
    return isinstance(keys, KeySource) and callable(getattr(keys, "leaf_for", None))


def verify_each(
    verify: Callable[[Token], VerifiedJWS], tokens: Sequence[Token]
) -> list[VerifiedJWS | Rejected]:
    """Return one result a token, in order."""
    found: list[VerifiedJWS | Rejected] = []
    for token in tokens:
        try:
            found.append(verify(token))
        except RapidJWSError as refused:
            found.append(Rejected(refused.with_traceback(None)))
    return found


def _claims(inner: bytes | None, payload: bytes | None) -> dict[str, Any]:
    """Return what a payload says of its time before it is verified; nothing where it is no JSON object."""
    octets = payload
    if inner:
        octets = _native.b64url_decode(inner)
        octets = inner if octets is None else octets
    if not octets or len(octets) > limits.TOKEN_CEILING_BYTES:
        return {}
    try:
        found = json_text.loads(
            octets,
            max_bytes=len(octets),
            max_depth=limits.JSON_MAX_DEPTH,
            max_members=limits.CLAIMS_MAX_MEMBERS,
            place="payload",
        )
    except RapidJWSError:
        return {}
    return found if isinstance(found, dict) else {}
