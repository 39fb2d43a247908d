"""The way of a token whose key comes in its header: the chain first, then the signature, then it is known.

Only the slow path comes here: once a signature was good, the leaf is a key of its issuer like any other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from rapidjws import _native
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.jose import limits
from rapidjws.jose.json_text import loads
from rapidjws.jose.jws import check_typ
from rapidjws.jose.numeric_date import SECOND_NS
from rapidjws.verify.key_selection import check_crit
from rapidjws.verify.key_table import PreparedKey, prepare
from rapidjws.verify.refusals import not_by_key

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from rapidjws.jose.jwk import JWK
    from rapidjws.jose.jws import Header
    from rapidjws.verify.result import VerifiedJWS
    from rapidjws.verify.revocations import Revocations
    from rapidjws.verify.rules import Rules
    from rapidjws.verify.slot_table import KeyTable


class CheckedLeaf(Protocol):
    """A leaf whose chain was checked."""

    @property
    def jwk(self) -> JWK:
        """Return its public key, with a kid of its own."""


class SurroundingsOfKeys(Protocol):
    """What stands around a snapshot's keys."""

    @property
    def revocations(self) -> Revocations:
        """Return those that hold."""

    @property
    def newest(self) -> Callable[[], ChainSnapshot] | None:
        """Return what gives the engine's snapshot as it is by now."""


class ChainSnapshot(Protocol):
    """Keys and rules of one moment, and the verification by one of them."""

    @property
    def table(self) -> KeyTable:
        """Return the keys."""

    @property
    def rules(self) -> Sequence[Rules]:
        """Return the rules of each issuer."""

    @property
    def max_token_bytes(self) -> int:
        """Return the size of the largest token."""

    @property
    def key_availability(self) -> SurroundingsOfKeys | None:
        """Return what stands around the keys."""

    def verify_by_slot(self, octets: bytes, slot: int, now_ns: int) -> VerifiedJWS | RapidJWSError:
        """Verify by a slot that a chain led to, and remember the header."""


class ChainSource(Protocol):
    """A source whose keys come in the headers of tokens."""

    @property
    def reads_claims(self) -> bool:
        """Return whether the payload may say when a chain must hold."""

    def leaf_for(self, header: Mapping[str, Any], claims: Mapping[str, Any], now_s: float) -> CheckedLeaf:
        """Return the leaf of a token's chain.

        Raises:
            HeaderRefused: ``chain_refused``.
        """

    def learn(self, chain: Any, leaf: Any) -> None:
        """Remember a leaf whose signature was good."""

    def refusal(
        self, kid: str | None, header: Mapping[str, Any], claims: Mapping[str, Any], now_s: float
    ) -> RapidJWSError | None:
        """Return why a token of a remembered leaf is refused at its time, or None."""


def verify_by_chain(
    snapshot: ChainSnapshot, source: ChainSource, number: int, header: Header, octets: bytes, now_ns: int
) -> VerifiedJWS | RapidJWSError:
    """Verify a token by the leaf of its chain; a good signature makes the leaf a key of the issuer.

    Args:
        snapshot: The keys and rules of now.
        source: The issuer's source.
        number: The issuer's number.
        header: The token's header.
        octets: The token.
        now_ns: Nanoseconds since the epoch.
    """
    algorithms = snapshot.table.issuers[number].algorithms
    if header.alg not in algorithms:
        raise error_for("algorithm_not_allowed", "header.alg", expected=algorithms, actual=header.alg)
    own = snapshot.rules[number]
    check_crit(own, header)
    if own.typ:
        check_typ(header, own.typ, required=own.typ_required)
    leaf = source.leaf_for(header.raw, _unverified_claims(snapshot, octets), now_ns / SECOND_NS)
    slot = slot_of(snapshot, number, leaf.jwk, header.alg)
    if slot is not None:
        return snapshot.verify_by_slot(octets, slot, now_ns)
    key = prepared_leaf(leaf.jwk, header.alg)
    around = snapshot.key_availability
    if around is not None and around.revocations.hits_key(snapshot.rules[number].iss or "", key):
        raise error_for("revoked", "header.x5c")
    signing_input, _, text = octets.rpartition(b".")
    signature = _native.b64url_decode(text)
    if signature is None:
        raise error_for("malformed_base64url", "signature")
    if not key.verify(signing_input, signature):
        return not_by_key(key, snapshot.rules[number].iss)
    source.learn(header.raw.get("x5c"), leaf)
    newest = snapshot if around is None or around.newest is None else around.newest()
    if newest is not snapshot and newest.rules[number : number + 1] == snapshot.rules[number : number + 1]:
        slot = slot_of(newest, number, leaf.jwk, header.alg)
        if slot is not None:
            return newest.verify_by_slot(octets, slot, now_ns)
    raise error_for("keys_unavailable", "issuer.keys")  # not taken over: the next token tries again


def slot_of(snapshot: ChainSnapshot, number: int, leaf: JWK, alg: str) -> int | None:
    """Return the slot of a leaf that is a key of the issuer already, or None."""
    keys = snapshot.table.issuers[number]
    for position in keys.by_kid.get(leaf.kid, ()):
        key = keys.prepared[position]
        if key.alg == alg and key.jwk == leaf:
            return snapshot.table.offsets[number] + position
    return None


def prepared_leaf(leaf: JWK, alg: str) -> PreparedKey:
    """Return the key of a leaf for an algorithm.

    Raises:
        HeaderRefused: ``chain_refused``: it is none for signatures.
        KeyRefused: ``key_alg_mismatch``.
    """
    try:
        return prepare(leaf, alg)
    except RapidJWSError as refused:
        if refused.code == "key_alg_mismatch":
            raise
        raise error_for("chain_refused", "header.x5c", "a leaf with a key for signatures") from None


def _unverified_claims(snapshot: ChainSnapshot, octets: bytes) -> dict[str, Any]:
    """Return the claims of a token that is not verified yet: they only say when its chain must hold."""
    payload = _native.b64url_decode(octets.split(b".")[1])
    if payload is None:
        raise error_for("malformed_base64url", "payload")
    found = loads(
        payload,
        max_bytes=snapshot.max_token_bytes,
        max_depth=limits.JSON_MAX_DEPTH,
        max_members=limits.CLAIMS_MAX_MEMBERS,
        place="payload",
    )
    return found if isinstance(found, dict) else {}
