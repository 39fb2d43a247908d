"""Lengths that the core itself holds, whatever Python checked before: below, at, and above each."""

from __future__ import annotations

import hashlib
import hmac

import pytest
import tokens
from bounds import rsa_modulus

from rapidjws import _native
from rapidjws._native import lib
from rapidjws._native.keys import NativeKey, build_key

ALG = _native.ALG_NUMBERS
OK = lib.RJ_OK


def status(alg: str, first: bytes, second: bytes = b"") -> int:
    """Return the status of building a key."""
    made = build_key(ALG[alg], first, second)
    return OK if isinstance(made, NativeKey) else made


def rsa(bits: int, exponent: bytes = b"\x01\x00\x01") -> int:
    """Return the status of building an RSA key of so many bits."""
    return status("RS256", rsa_modulus(bits).to_bytes(-(-bits // 8), "big"), exponent)


def test_size_of_an_rsa_key() -> None:
    """2 048 to 16 384 bit, an odd exponent from 3 to 64 bit, an odd modulus."""
    malformed, weak = lib.RJ_KEY_MALFORMED, lib.RJ_KEY_WEAK
    assert [rsa(bits) for bits in (2047, 2048, 2049)] == [weak, OK, OK]
    assert [rsa(bits) for bits in (16_383, 16_384, 16_385)] == [OK, OK, malformed]
    assert [rsa(2048, bytes([e])) for e in (0, 1, 2, 3, 4, 5)] == [
        malformed,
        weak,
        malformed,
        OK,
        malformed,
        OK,
    ]
    assert [rsa(2048, b"\x01" * length) for length in (7, 8, 9)] == [OK, OK, malformed]
    assert rsa(2048, b"\0" * 3 + b"\x01" * 8) == OK
    assert status("RS256", (rsa_modulus(2048) + 1).to_bytes(256, "big"), b"\x03") == malformed


@pytest.mark.parametrize(
    ("alg", "digest", "block"), [("HS256", 32, 64), ("HS384", 48, 128), ("HS512", 64, 128)]
)
def test_size_of_a_secret(alg: str, digest: int, block: int) -> None:
    """At least the digest's size; around the block's size the tag is Python's."""
    weak = lib.RJ_KEY_WEAK
    assert [status(alg, b"k" * size) for size in (0, digest - 1, digest, digest + 1)] == [weak, weak, OK, OK]
    for size in (digest, block - 1, block, block + 1, 2 * block):
        secret = bytes(range(1, 256))[:size].ljust(size, b"z")
        made = build_key(ALG[alg], secret)
        assert isinstance(made, NativeKey)
        tag = hmac.new(secret, b"input", getattr(hashlib, f"sha{alg[2:]}")).digest()
        assert made.verify(ALG[alg], b"input", tag) == OK, size


@pytest.mark.parametrize(
    "alg", ["HS256", "HS384", "HS512", "ES256", "ES384", "ES512", "ES256K", "RS256", "PS256", "EdDSA"]
)
def test_length_of_a_tag(alg: str) -> None:
    """A signature that is one octet shorter or longer, or empty, verifies nothing, on either path."""
    number = ALG["ED25519" if alg == "EdDSA" else alg]
    made = build_key(number, *tokens.public(alg).material)
    assert isinstance(made, NativeKey)
    head, _, text = tokens.token(alg).rpartition(".")
    good = tokens.b64url_decode(text)
    for accelerated in (True, False):
        for signature, expected in [
            (good, True),
            (good[:-1], False),
            (good + b"\0", False),
            (good + good, False),
            (b"\0" + good, False),
            (good[: len(good) // 2], False),
            (b"", False),
        ]:
            found = made.verify(number, head.encode(), signature, accelerated=accelerated)
            assert (found == OK) is expected, (len(signature), accelerated)


@pytest.mark.parametrize("alg", ["ES256", "ES384", "ES512", "ES256K", "EdDSA"])
def test_length_of_public_octets(alg: str) -> None:
    """A public key has its curve's length (RFC 7518 s.6.2.1.2, RFC 8037 s.2)."""
    number = ALG["ED25519" if alg == "EdDSA" else alg]
    octets = tokens.public(alg).material[0]
    for changed in (octets[:-1], octets + b"\0", octets[: len(octets) // 2], b""):
        assert build_key(number, changed) == lib.RJ_KEY_MALFORMED
    assert isinstance(build_key(number, octets), NativeKey)
