"""RSA paddings with one octet wrong, made with the private key; and batches whose groups are mixed."""

from __future__ import annotations

import hashlib

import pytest
import tokens
from tokens import NOW_S

import rapidjws
from rapidjws import _native
from rapidjws._native import lib
from rapidjws._native.keys import NativeKey, build_key

ALG = _native.ALG_NUMBERS
PREFIX = bytes.fromhex("3031300d060960864801650304020105000420")


@pytest.mark.parametrize("accelerated", [True, False])
def test_each_octet_of_a_pkcs1_padding_counts(accelerated: bool) -> None:
    """RFC 8017 s.9.2: 00 01 FF .. FF 00 T, to the octet; whoever has the key cannot sign another form."""
    members = tokens.key("RS256").as_dict(private=True)
    n, d = (int.from_bytes(tokens.b64url_decode(members[name]), "big") for name in ("n", "d"))
    size = (n.bit_length() + 7) // 8
    made = build_key(ALG["RS256"], *tokens.public("RS256").material)
    assert isinstance(made, NativeKey)
    tail = PREFIX + hashlib.sha256(b"input").digest()
    good = b"\0\1" + b"\xff" * (size - 3 - len(tail)) + b"\0" + tail
    separator = size - len(tail) - 1

    def status(em: bytes) -> int:
        signature = pow(int.from_bytes(em, "big"), d, n).to_bytes(size, "big")
        return made.verify(ALG["RS256"], b"input", signature, accelerated=accelerated)

    assert status(good) == lib.RJ_OK
    places = (1, 2, 3, separator - 1, separator, separator + 1, separator + 19, separator + 20, size - 1)
    for place in places:
        for bit in (0, 7):
            em = bytearray(good)
            em[place] ^= 1 << bit
            assert status(bytes(em)) == lib.RJ_SIGNATURE_INVALID, (place, bit)
    shorter = b"\0\1" + b"\xff" * 8 + b"\0" + tail  # CVE-2006-4339: octets behind the digest
    assert status(shorter.ljust(size, b"\1")) == lib.RJ_SIGNATURE_INVALID


def test_mixed_groups_keep_their_own_verdicts() -> None:
    """In a batch of several algorithms with tables, good and forged in turn, each gets its own verdict."""
    algs = ("RS256", "ES256", "ES384", "EdDSA", "ES256K")
    engine = rapidjws.Engine(tokens.issuer(*algs), workers=1)
    good = {alg: tokens.token(alg) for alg in algs}
    bad = {
        alg: tokens.token(alg, sub="x").rpartition(".")[0] + "." + good[alg].rpartition(".")[2]
        for alg in algs
    }
    engine.precompute(wait=True)
    for step in range(1, 12):
        texts = []
        for number in range(60):
            alg = algs[number * step % len(algs)]
            texts.append((bad if number * step // 3 % 2 else good)[alg])
        found = [isinstance(one, rapidjws.VerifiedJWS) for one in engine.verify_many(texts, NOW_S)]
        assert found == [text in good.values() for text in texts], step
