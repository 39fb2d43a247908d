"""The algorithm table against RFC 7518, RFC 8037, RFC 8812, RFC 9864 and RFC 9964."""

from __future__ import annotations

import pytest

from rapidjws.jose.jwa import ALGORITHM_TABLE, ALGORITHMS, algorithms_for_key

EXPECTED_NAMES = [
    "HS256",
    "HS384",
    "HS512",
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "ES256K",
    "EdDSA",
    "Ed25519",
    "Ed448",
    "ML-DSA-44",
    "ML-DSA-65",
    "ML-DSA-87",
]


def test_the_table_holds_the_registered_names_in_order() -> None:
    """The order is part of the interface: native code numbers algorithms by it."""
    assert list(ALGORITHMS) == EXPECTED_NAMES


def test_none_does_not_exist() -> None:
    """RFC 8725 s.3.2: what is not implemented cannot be switched on."""
    assert not [name for name in ALGORITHMS if name.lower() == "none"]


@pytest.mark.parametrize(
    ("name", "signature_bytes"),
    [
        ("HS256", 32),
        ("HS384", 48),
        ("HS512", 64),
        ("ES256", 64),
        ("ES384", 96),
        ("ES512", 132),
        ("ES256K", 64),
        ("Ed25519", 64),
        ("Ed448", 114),
        ("ML-DSA-44", 2420),
        ("ML-DSA-65", 3309),
        ("ML-DSA-87", 4627),
        ("RS256", None),
        ("PS512", None),
        ("EdDSA", None),
    ],
)
def test_signature_sizes(name: str, signature_bytes: int | None) -> None:
    """RFC 7518 s.3.4, RFC 8032, FIPS 204: the exact sizes; None where the key decides."""
    assert ALGORITHM_TABLE[name].signature_bytes == signature_bytes


@pytest.mark.parametrize(
    ("kty", "crv", "alg", "expected"),
    [
        ("oct", None, None, ("HS256", "HS384", "HS512")),
        ("oct", None, "HS384", ("HS384",)),
        ("RSA", None, None, ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")),
        ("RSA", None, "PS256", ("PS256",)),
        ("RSA", None, "HS256", ()),
        ("EC", "P-256", None, ("ES256",)),
        ("EC", "secp256k1", None, ("ES256K",)),
        ("EC", "P-256", "ES384", ()),
        ("EC", "P-192", None, ()),
        ("EC", None, None, ()),
        ("RSA", "P-256", None, ()),
        ("OKP", "Ed25519", None, ("EdDSA", "Ed25519")),
        ("OKP", "Ed448", "EdDSA", ("EdDSA",)),
        ("OKP", "Ed448", "Ed25519", ()),
        ("OKP", "X25519", None, ()),
        ("AKP", None, None, ()),
        ("AKP", None, "ML-DSA-65", ("ML-DSA-65",)),
        ("RSA", None, "none", ()),
        ("nope", None, None, ()),
    ],
)
def test_a_key_serves_what_fits_its_type_curve_and_alg(
    kty: str, crv: str | None, alg: str | None, expected: tuple[str, ...]
) -> None:
    """Key type, curve and the key's own alg must all agree; no algorithm crosses key types."""
    assert algorithms_for_key(kty, crv, alg) == expected


def test_only_schemes_over_a_digest_hash_first() -> None:
    """EdDSA and ML-DSA need the message itself, HMAC its key first."""
    first = {row.kind for row in ALGORITHM_TABLE.values() if row.hashes_first}
    assert first == {"rsa_pkcs1", "rsa_pss", "ecdsa"}
    assert all(row.digest for row in ALGORITHM_TABLE.values() if row.hashes_first)


def test_crv_is_given_only_where_it_is_single() -> None:
    """EdDSA serves two curves, so it has no one curve."""
    assert ALGORITHM_TABLE["ES256"].crv == "P-256"
    assert ALGORITHM_TABLE["EdDSA"].crv is None
    assert ALGORITHM_TABLE["RS256"].crv is None
    assert ALGORITHM_TABLE["HS384"].digest_bytes == 48
    assert ALGORITHM_TABLE["EdDSA"].digest_bytes is None


def test_every_row_names_its_source() -> None:
    """Each row can be checked against a document."""
    assert all(row.sources for row in ALGORITHM_TABLE.values())
