"""Public keys of DPoP proofs, by the exact octets of the headers that carry them (RFC 9449 s.4.2).

A header is remembered after a good signature by the key of a verified token only, so strangers fill nothing.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Final

from rapidjws import _native
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.jose.jwk import JWK
from rapidjws.jose.jws import check_typ, parse_header
from rapidjws.verify.key_table import PreparedKey, prepare
from rapidjws.verify.worker_pool import Task, submit

if TYPE_CHECKING:
    from collections.abc import Collection

HEADER_MAX_BYTES: Final = 4096
"""Largest header of a proof, decoded: an RSA key of 16 384 bits takes 2800 octets."""

TABLE_DUE: Final = 64
"""Good proofs after which a key gets a precomputed table."""

TABLES_MAX: Final = 256
TABLE_SIZE: Final = 1
"""88 KiB for a key of 256 bits, built in 2.5 ms beside the requests."""

_PRIVATE: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"})
_OTHER_KEYS: Final = frozenset({"jku", "x5u", "x5c", "x5t", "x5t#S256"})
"""Members of a header or a JWK that name a second key (RFC 7515 s.4.1, RFC 7517 s.4), as others may read."""

_MATERIAL: Final = {
    "EC": frozenset({"crv", "x", "y"}),
    "OKP": frozenset({"crv", "x"}),
    "RSA": frozenset({"n", "e"}),
    "AKP": frozenset({"pub"}),
}
_ALL_MATERIAL: Final = frozenset().union(*_MATERIAL.values()) | {"keys"}


class ProofKey:
    """A proof's header, checked, and its key.

    Attributes:
        thumbprint: The key's RFC 7638 thumbprint.
        slot: What ``NativeSnapshot.verify_sent`` takes; None where the core lacks the algorithm.
        uses: What a ``jti`` follows where the use of a proof by this key is digested.
    """

    __slots__ = ("_key", "_native", "_number", "_table", "count", "is_building", "slot", "thumbprint", "uses")

    def __init__(self, key: PreparedKey) -> None:
        self._key = key
        self._native = key.native
        self._number = key.number
        self._table: _native.NativePrecomputed | None = None
        self.thumbprint = key.thumbprint
        self.uses = b"dpop\0%b\0" % key.thumbprint.encode("ascii")
        self.slot = self._packed(None)
        self.count = 0
        self.is_building = False

    def _packed(self, table: _native.NativePrecomputed | None) -> bytes | None:
        """Return the key with its table as the core takes them; both live as long as this object."""
        if self._native is None:
            return None
        address = 0 if table is None else table.address
        return struct.pack(_native.SLOT_FORMAT, self._native.address, address, self._number, 0)

    @property
    def identity(self) -> tuple[str, int]:
        """Return what two headers of one key and algorithm have in common."""
        return self.thumbprint, self._number

    @property
    def has_table(self) -> bool:
        """Return whether its precomputed table is used."""
        return self._table is not None

    def verify(self, signing_input: bytes, signature: bytes) -> bool:
        """Return whether a signature is by this key; raises nothing."""
        if self._native is None:
            return self._key.verify(signing_input, signature)
        found = self._native.verify(self._number, signing_input, signature, table=self._table)
        return found == _native.OK

    def build(self, signing_input: bytes, signature: bytes) -> None:
        """Build the precomputed table; it is used where it judges two signatures as libcrypto does.

        Args:
            signing_input: What was signed.
            signature: A good signature of it.
        """
        if self._native is None or not _native.precomputed_bytes(self._number, TABLE_SIZE):
            return
        public = self._key.jwk.material[0]
        table = _native.build_precomputed(self._number, public, portable=False, size=TABLE_SIZE)
        if table is None:
            return
        forged = signing_input + b"."
        good = self._native.verify(self._number, signing_input, signature, table=table) == _native.OK
        bad = self._native.verify(self._number, forged, signature, table=table) == _native.OK
        if good and not bad:
            self._table = table
            self.slot = self._packed(table)


class ProofKeys:
    """The keys of proofs seen lately, each by the last header that it came in.

    Args:
        algorithms: Those allowed.
        max_keys: Most keys remembered.
    """

    __slots__ = ("_algorithms", "_headers", "_keys", "_max_keys", "_tables")

    def __init__(self, algorithms: Collection[str], max_keys: int) -> None:
        self._algorithms = frozenset(algorithms)
        self._max_keys = max_keys
        self._keys: dict[bytes, ProofKey] = {}
        self._headers: dict[tuple[str, int], bytes] = {}
        self._tables = 0

    def known(self, header: bytes) -> ProofKey | None:
        """Return the key of a header that was noted, or None."""
        return self._keys.get(header)

    def key_of(self, header: bytes) -> ProofKey:
        """Return the key that a header carries.

        Args:
            header: In base64url, as it came.

        Raises:
            PolicyRefused: ``dpop_proof_invalid``.
        """
        return self._keys.get(header) or self._read(header)

    def note(self, header: bytes, key: ProofKey, proof: bytes) -> None:
        """Remember a header whose proof was good, for a token that its key is bound to.

        Args:
            header: The header.
            key: What ``key_of`` gave for it.
            proof: The whole proof.
        """
        if header not in self._keys:
            key = self._remember(header, key)
        key.count += 1
        if key.count == TABLE_DUE and self._tables < TABLES_MAX and not key.is_building:
            signing_input, _, text = proof.rpartition(b".")
            signature = _native.b64url_decode(text)
            if signature is None:  # unreachable: it was good
                return
            key.is_building = True
            self._tables += 1
            task = Task(lambda: key.build(signing_input, signature))
            if not submit(task) and task.take_back() is not None:  # no thread: after as many proofs again
                key.is_building, key.count = False, 0
                self._tables -= 1

    def _remember(self, header: bytes, key: ProofKey) -> ProofKey:
        """Remember a header in place of the key's last one: a client that writes many fills nothing."""
        last = self._headers.get(key.identity)
        known = None if last is None else self._keys.pop(last, None)
        key = known or key
        self._keys[header], self._headers[key.identity] = key, header
        while len(self._keys) > self._max_keys:
            self._forget(next(iter(self._keys)))
        return key

    def _forget(self, header: bytes) -> None:
        gone = self._keys.pop(header, None)
        if gone is not None:
            self._headers.pop(gone.identity, None)
            self._tables -= gone.is_building

    def __len__(self) -> int:
        return len(self._keys)

    def _read(self, header: bytes) -> ProofKey:
        octets = _native.b64url_decode(header)
        if octets is None:
            raise error_for("dpop_proof_invalid", "dpop.header", expected="base64url")
        try:
            found = parse_header(octets, max_bytes=HEADER_MAX_BYTES)
            check_typ(found, "dpop+jwt")
        except RapidJWSError as refused:
            raise error_for("dpop_proof_invalid", f"dpop.{refused.place}", refused.expected) from None
        if found.alg not in self._algorithms:
            expected = tuple(sorted(self._algorithms))
            raise error_for("dpop_proof_invalid", "dpop.header.alg", expected, found.alg)
        if not _OTHER_KEYS.isdisjoint(found.raw):
            raise error_for("dpop_proof_invalid", "dpop.header", expected="no other key than jwk")
        return ProofKey(_proof_key(found.raw.get("jwk"), found.alg))


def _proof_key(members: Any, alg: str) -> PreparedKey:
    """Return the public key of a header for its algorithm.

    Raises:
        PolicyRefused: ``dpop_proof_invalid``.
    """
    place = "dpop.header.jwk"
    if not isinstance(members, dict):
        raise error_for("dpop_proof_invalid", place, expected="a public key")
    if not _PRIVATE.isdisjoint(members) or members.get("kty") == "oct":  # s.4.3 no. 7
        raise error_for("dpop_proof_invalid", place, expected="a public key without private members")
    kind = members.get("kty")
    others = _ALL_MATERIAL - _MATERIAL.get(kind if isinstance(kind, str) else "", frozenset()) | _OTHER_KEYS
    if not others.isdisjoint(members):
        raise error_for("dpop_proof_invalid", place, expected="one key")
    try:
        return prepare(JWK.from_json(members), alg)
    except RapidJWSError as refused:
        raise error_for(
            "dpop_proof_invalid", place, expected=f"a key for {alg}", actual=refused.code
        ) from None
