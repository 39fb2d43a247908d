"""The one table of signature algorithms, and which of them a key can serve.

What it does: names, key types, digests and signature sizes of RFC 7518 s.3, RFC 8037, RFC 8812, RFC 9864 and
RFC 9964. What it never does: compute anything. ``none`` is not in the table, so nothing can ask for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal

from rapidjws._checks import checked

if TYPE_CHECKING:
    from collections.abc import Mapping

Kind = Literal["hmac", "rsa_pkcs1", "rsa_pss", "ecdsa", "eddsa", "mldsa"]
Digest = Literal["sha256", "sha384", "sha512"]

DIGEST_BYTES: Final[Mapping[Digest, int]] = MappingProxyType({"sha256": 32, "sha384": 48, "sha512": 64})


@dataclass(frozen=True, slots=True)
class Algorithm:
    """One row of the algorithm table.

    Attributes:
        name: The registered ``alg`` value.
        kty: The only key type that serves it.
        crvs: The curves that serve it; empty where the key type has none.
        digest: The hash of RFC 7518, or None where the scheme hashes by itself.
        signature_bytes: The exact signature length; None where the key decides (RSA, EdDSA).
        kind: The scheme.
        hashes_first: True when the signature is over a digest of the signing input, so that the digest can be
            computed apart from the key.
        sources: The RFC sections it comes from.
    """

    name: str
    kty: str
    crvs: tuple[str, ...]
    digest: Digest | None
    signature_bytes: int | None
    kind: Kind
    hashes_first: bool
    sources: tuple[str, ...]

    @property
    def crv(self) -> str | None:
        """Return the curve, or None where there is none or more than one."""
        return self.crvs[0] if len(self.crvs) == 1 else None

    @property
    def digest_bytes(self) -> int | None:
        """Return the digest's size in bytes: for HMAC also the smallest key (RFC 7518 s.3.2)."""
        return None if self.digest is None else DIGEST_BYTES[self.digest]

    @checked
    def fits(self, kty: str, crv: str | None) -> bool:
        """Return whether a key of this type and curve can serve the algorithm."""
        return kty == self.kty and (crv in self.crvs if self.crvs else crv is None)


def _rows() -> tuple[Algorithm, ...]:
    """Return the table in its fixed order: the order of ``ALGORITHMS`` is part of the interface."""
    sizes: tuple[tuple[str, Digest], ...] = (("256", "sha256"), ("384", "sha384"), ("512", "sha512"))
    hs, rs, ps = ("RFC 7518 s.3.2",), ("RFC 7518 s.3.3",), ("RFC 7518 s.3.5",)
    hmac = [Algorithm("HS" + s, "oct", (), d, DIGEST_BYTES[d], "hmac", False, hs) for s, d in sizes]
    rsa = [Algorithm("RS" + s, "RSA", (), d, None, "rsa_pkcs1", True, rs) for s, d in sizes]
    pss = [Algorithm("PS" + s, "RSA", (), d, None, "rsa_pss", True, ps) for s, d in sizes]
    ec, k1 = ("RFC 7518 s.3.4",), ("RFC 8812 s.3.2",)
    ecdsa = [
        Algorithm("ES256", "EC", ("P-256",), "sha256", 64, "ecdsa", True, ec),
        Algorithm("ES384", "EC", ("P-384",), "sha384", 96, "ecdsa", True, ec),
        Algorithm("ES512", "EC", ("P-521",), "sha512", 132, "ecdsa", True, ec),
        Algorithm("ES256K", "EC", ("secp256k1",), "sha256", 64, "ecdsa", True, k1),
    ]
    ed, full = ("RFC 8037 s.3.1",), ("RFC 9864 s.2.2",)
    eddsa = [
        Algorithm("EdDSA", "OKP", ("Ed25519", "Ed448"), None, None, "eddsa", False, ed),
        Algorithm("Ed25519", "OKP", ("Ed25519",), None, 64, "eddsa", False, full),
        Algorithm("Ed448", "OKP", ("Ed448",), None, 114, "eddsa", False, full),
    ]
    ml = ("RFC 9964", "FIPS 204")
    mldsa = [
        Algorithm("ML-DSA-44", "AKP", (), None, 2420, "mldsa", False, ml),
        Algorithm("ML-DSA-65", "AKP", (), None, 3309, "mldsa", False, ml),
        Algorithm("ML-DSA-87", "AKP", (), None, 4627, "mldsa", False, ml),
    ]
    return (*hmac, *rsa, *pss, *ecdsa, *eddsa, *mldsa)


ALGORITHM_TABLE: Final[Mapping[str, Algorithm]] = MappingProxyType({row.name: row for row in _rows()})
"""Every algorithm by its registered name."""

ALGORITHMS: Final[tuple[str, ...]] = tuple(ALGORITHM_TABLE)
"""Every registered name, in table order."""

_BY_TYPE: Final[Mapping[tuple[str, str | None], tuple[str, ...]]] = MappingProxyType(
    {
        (kty, crv): tuple(name for name, row in ALGORITHM_TABLE.items() if row.fits(kty, crv))
        for kty, crv in sorted(
            {(row.kty, crv) for row in ALGORITHM_TABLE.values() for crv in row.crvs or (None,)},
            key=str,
        )
    }
)


@checked
def algorithms_for_key(kty: str, crv: str | None, alg: str | None) -> tuple[str, ...]:
    """Return the algorithms that a key can serve.

    Args:
        kty: The key's type.
        crv: The key's curve, or None.
        alg: The key's own ``alg``, or None. A key with one serves that one only (RFC 8725 s.3.1); ``EdDSA``
            and the curve's own name are two names, and a key bound to one does not serve the other.

    Returns:
        Names in table order; empty when nothing fits. An AKP key without ``alg`` serves nothing (RFC 9964).
    """
    fitting = _BY_TYPE.get((kty, crv), ())
    if alg is not None:
        return (alg,) if alg in fitting else ()
    return () if kty == "AKP" else fitting
