"""A changed token never verifies, and every token has exactly one spelling."""

from __future__ import annotations

import json
import random

import mutations
import oracle
import pytest
import tokens

import rapidjws

SHARES = {
    "HS256": 26_000,
    "ES256": 22_000,
    "RS256": 14_000,
    "EdDSA": 12_000,
    "PS256": 8_000,
    "ES256K": 6_000,
    "HS512": 5_000,
    "ES384": 3_000,
    "ES512": 3_000,
    "RS512": 2_000,
}
"""How many changed tokens of each algorithm are tried in a run."""

CHUNK = 4096


def pool_of(alg: str, count: int = 24) -> list[bytes]:
    """Return different good tokens of one key."""
    return [tokens.token(alg, sub=f"user-{number}").encode() for number in range(count)]


def test_enough_mutations() -> None:
    """A run tries at least a hundred thousand changed tokens."""
    assert sum(SHARES.values()) >= 100_000


@pytest.mark.parametrize("alg", list(SHARES))
def test_no_changed_token_is_accepted(alg: str) -> None:
    """Of all changed tokens, taken by the batch against precomputed keys and known headers, none verifies."""
    seed = random.SystemRandom().getrandbits(48)
    pool = pool_of(alg)
    others = [] if alg.startswith("HS") else [tokens.public("ES384", "k3"), tokens.public("EdDSA", "k3")]
    keys = [tokens.public(alg), tokens.public(alg, "k2"), *others]
    verifier = rapidjws.Verifier(keys, algorithms=list(SHARES))
    verifier.precompute()
    assert all(isinstance(one, rapidjws.VerifiedJWS) for one in verifier.verify_many(pool))
    tried = refused = 0
    changed = list(mutations.mutate(seed, pool, SHARES[alg]))
    for start in range(0, len(changed), CHUNK):
        results = verifier.verify_many(changed[start : start + CHUNK])
        tried += len(results)
        refused += sum(type(one) is rapidjws.Rejected for one in results)
    assert (tried, refused) == (SHARES[alg], SHARES[alg]), f"seed {seed}"


@pytest.mark.parametrize("alg", ["HS256", "ES256", "RS256", "PS256", "EdDSA", "ES256K"])
def test_engine_and_oracle_agree_on_changed_tokens(alg: str) -> None:
    """Good and changed tokens get the oracle's verdict, one by one, by libcrypto and by tables."""
    seed = random.SystemRandom().getrandbits(48)
    pool = pool_of(alg, 6)
    keys = [tokens.public(alg), tokens.public(alg, "k2")]
    members = [key.as_dict(private=key.is_symmetric) for key in keys]
    hot, cold = (rapidjws.Verifier(keys, algorithms=[alg], acceleration=how) for how in ("auto", "openssl"))
    hot.precompute()
    for token in [*pool, *mutations.mutate(seed, pool, 300)]:
        try:
            due: bytes | None = oracle.verify(token, members, {alg})
        except oracle.Refused:
            due = None
        for verifier in (hot, cold):
            try:
                found: bytes | None = verifier.verify(token).payload
            except rapidjws.TokenRefused:
                found = None
            assert found == due, f"seed {seed}"


def spellings(token: str) -> list[str]:
    """Return every other spelling of a token: each part's last character, padding, white space, case."""
    parts = token.split(".")
    found = []
    for which, part in enumerate(parts):
        others = [part[:-1] + chr(last) for last in mutations.ALPHABET]
        others += [part + "=" * count for count in (1, 2, 3, 4)]
        others += [
            part[:at] + space + part[at:] for at in (0, 1, len(part) // 2, len(part)) for space in " \t\r\n\0"
        ]
        others += [part[:at] + part[at].swapcase() + part[at + 1 :] for at in range(len(part))]
        others += [part + "A", part + "AA", part + "AAAA", "A" + part, part.swapcase(), part + "\N{EN SPACE}"]
        others += [part.replace("-", "+").replace("_", "/"), part.replace("-", "_"), part + ".", "." + part]
        found += [".".join([*parts[:which], other, *parts[which + 1 :]]) for other in others]
    found += [f'"{token}"', f"Bearer {token}", token + "\n", f"\ufeff{token}", json.dumps({"jws": token})]
    return [spelling for spelling in found if spelling != token]


@pytest.mark.parametrize("alg", tokens.SIGNABLE)
def test_one_spelling(alg: str) -> None:
    """A token verifies as it was signed, and in no other spelling."""
    verifier = rapidjws.Verifier(tokens.public(alg), algorithms=[alg])
    token = tokens.token(alg)
    others = spellings(token)
    assert len(others) > 300
    results = verifier.verify_many([token, *others])
    accepted = [index for index, one in enumerate(results) if isinstance(one, rapidjws.VerifiedJWS)]
    assert accepted == [0]


@pytest.mark.parametrize("alg", ["ES256", "ES384", "ES512", "ES256K"])
def test_the_other_ecdsa_signature_is_another_token(alg: str) -> None:
    """ECDSA has two signatures for one message (s and n - s): so a token's bytes are no identity."""
    order = {
        "ES256": 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
        "ES384": int("F" * 48 + "C7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973", 16),
        "ES512": int(
            "1" + "F" * 64 + "FA51868783BF2F966B7FCC0148F709A5D03BB5C9B8899C47AEBB6FB71E91386409", 16
        ),
        "ES256K": 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141,
    }[alg]
    front, _, text = tokens.token(alg).rpartition(".")
    octets = tokens.b64url_decode(text)
    half = len(octets) // 2
    other = order - int.from_bytes(octets[half:], "big")
    twin = f"{front}.{tokens.b64url(octets[:half] + other.to_bytes(half, 'big'))}"
    for acceleration in ("auto", "openssl"):
        verifier = rapidjws.Verifier(tokens.public(alg), algorithms=[alg], acceleration=acceleration)
        verifier.precompute()
        assert tokens.code_of(verifier, twin) == "ok"
