"""Signing: what is written, what a caller may not write, and that no key ever shows."""

from __future__ import annotations

import base64
import json
import pickle
from typing import Any

import pytest

import rapidjws
from rapidjws import JWK, RapidJWSError, Verifier
from rapidjws.signing import JWTBuilder, LocalSigner, Signature, sign_compact, sign_flattened, sign_general
from rapidjws.testing import make_key

KEYS: dict[str, JWK] = {}


def signer(alg: str) -> LocalSigner:
    """Return one signer an algorithm, its key made once."""
    if alg not in KEYS:
        KEYS[alg] = make_key(alg, kid=f"key-{alg}")
    return LocalSigner(KEYS[alg], alg)


def decoded(text: str) -> bytes:
    """Decode base64url by the standard library."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def refused(code: str, call: Any, *args: Any, **kwargs: Any) -> RapidJWSError:
    """Return the error of a call that must be refused with this code."""
    with pytest.raises(RapidJWSError) as caught:
        call(*args, **kwargs)
    assert caught.value.code == code
    return caught.value


@pytest.mark.parametrize("alg", rapidjws.ALGORITHMS)
def test_every_algorithm_signs_what_the_verifier_accepts(alg: str) -> None:
    """A token of ours verifies, and one changed bit of it does not."""
    token = sign_compact(b"\x00 any payload \xff", signer(alg), header={"typ": "JOSE"})
    verifier = Verifier(signer(alg).public, algorithms=[alg])
    verified = verifier.verify(token)
    assert verified.payload == b"\x00 any payload \xff"
    assert verified.header == {"alg": alg, "kid": f"key-{alg}", "typ": "JOSE"}
    header, payload, signature = token.split(".")
    changed = bytearray(decoded(signature))
    changed[5] ^= 1
    forged = base64.urlsafe_b64encode(changed).decode().rstrip("=")
    refused("signature_invalid", verifier.verify, f"{header}.{payload}.{forged}")


def test_ecdsa_signatures_are_raw() -> None:
    """ECDSA signatures are R || S of the curve's width, never DER (RFC 7518 s.3.4)."""
    for alg, size in (("ES256", 64), ("ES384", 96), ("ES512", 132), ("ES256K", 64)):
        assert len(signer(alg).sign(b"octets")) == size


def test_detached_compact_leaves_the_payload_out() -> None:
    """The middle part is empty and the signature is over the payload all the same (RFC 7515 appendix F)."""
    whole = sign_compact(b"payload", signer("EdDSA"))
    header, middle, signature = sign_compact(b"payload", signer("EdDSA"), detached=True).split(".")
    assert middle == ""
    assert f"{header}.{whole.split('.')[1]}.{signature}" == whole


def test_unencoded_payload_is_critical_and_as_it_is() -> None:
    """b64 false is named in crit, and the signing input is the payload itself (RFC 7797 s.3, s.6)."""
    header, payload, signature = sign_compact(b"$02 plain", signer("HS256"), b64=False).split(".")
    assert payload == "$02 plain"
    assert json.loads(decoded(header)) == {"alg": "HS256", "kid": "key-HS256", "b64": False, "crit": ["b64"]}
    assert signer("HS256").sign(header.encode() + b".$02 plain") == decoded(signature)


@pytest.mark.parametrize("payload", [b"with.dot", b"line\nbreak", b"caf\xc3\xa9"])
def test_unencoded_payload_that_cannot_stand_in_a_token_is_refused(payload: bytes) -> None:
    """A dot or a character outside of printable ASCII needs detached content (RFC 7797 s.5.2)."""
    refused("b64_unsupported", sign_compact, payload, signer("HS256"), b64=False)
    assert sign_compact(payload, signer("HS256"), b64=False, detached=True).count(".") == 2


def test_unencoded_payload_of_json_forms_is_utf8() -> None:
    """A JSON string cannot carry octets that are not UTF-8 (RFC 7797 s.5.1)."""
    assert sign_flattened("é.x".encode(), signer("HS256"), b64=False)["payload"] == "é.x"
    refused("b64_unsupported", sign_flattened, b"\xff", signer("HS256"), b64=False)


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "HS512"},
        {"alg": "none"},
        {"crit": ["exp"]},
        {"b64": True},
        {"enc": "A128GCM"},
        {"zip": "DEF"},
        {"typ": 1},
        {"kid": None},
        {"cty": b"JWT"},
        {"x": float("nan")},
        {"x": object()},
    ],
)
def test_header_parameters_a_caller_may_not_set(header: dict[str, Any]) -> None:
    """The key decides alg; b64 and crit are ours; registered texts are strings; values are JSON."""
    refused("configuration_invalid", sign_compact, b"x", signer("HS256"), header=header)


def test_unprotected_header_is_apart() -> None:
    """Unprotected parameters stand in ``header`` and in no other place; alg, crit and b64 never do."""
    token = sign_flattened(b"x", signer("ES256"), unprotected={"kid": "key-ES256"})
    assert token["header"] == {"kid": "key-ES256"}
    assert json.loads(decoded(token["protected"])) == {"alg": "ES256"}
    for name in ("alg", "crit", "b64"):
        refused("configuration_invalid", sign_flattened, b"x", signer("ES256"), unprotected={name: "ES256"})
    both = {"header": {"typ": "a"}, "unprotected": {"typ": "a"}}
    refused("configuration_invalid", sign_flattened, b"x", signer("ES256"), **both)


def test_general_has_a_signature_for_each_signer() -> None:
    """Every signer signs the same payload under its own protected header (RFC 7515 s.7.2.1)."""
    algs = ("ES256", "EdDSA", "HS256")
    token = sign_general(b"payload", [Signature(signer=signer(alg)) for alg in algs])
    assert decoded(token["payload"]) == b"payload"
    for alg, signed in zip(algs, token["signatures"], strict=True):
        compact = ".".join((signed["protected"], token["payload"], signed["signature"]))
        assert Verifier(signer(alg).public, algorithms=[alg]).verify(compact).payload == b"payload"
    assert "payload" not in sign_general(b"x", [Signature(signer=signer("ES256"))], detached=True)
    refused("configuration_invalid", sign_general, b"x", [])


def test_public_key_does_not_sign() -> None:
    """A signer without a private half is refused when it is made, not when it signs."""
    refused("key_malformed", LocalSigner, make_key("ES256").public())


def test_key_signs_its_algorithms_only() -> None:
    """A key bound to one algorithm, or of another type, makes no signer for a second one (RFC 8725 s.3.1)."""
    refused("key_alg_mismatch", LocalSigner, make_key("RS256"), "PS256")
    refused("key_alg_mismatch", LocalSigner, make_key("ES256", bound=False), "ES384")
    refused("key_alg_mismatch", LocalSigner, make_key("RS256", bound=False))
    assert LocalSigner(make_key("RS256", bound=False), "PS512").alg == "PS512"


@pytest.mark.parametrize("alg", ["HS256", "ES256", "RS256", "EdDSA", "ML-DSA-44"])
def test_signer_shows_and_ships_no_key(alg: str) -> None:
    """Neither repr nor pickle of a signer holds key bytes."""
    made = signer(alg)
    secrets = [value for value in KEYS[alg].as_dict(private=True).values() if isinstance(value, str)]
    hidden = [value for value in secrets if len(value) > 20]
    assert hidden
    assert not any(value in repr(made) for value in hidden)
    with pytest.raises(TypeError):
        pickle.dumps(made)


def test_builder_writes_times_and_a_fresh_jti() -> None:
    """iat and exp follow the given clock, jti the given randomness; the caller's claims win, None removes."""
    builder = JWTBuilder(
        signer("ES256"),
        iss="https://a.example",
        audience="https://b.example",
        lifetime_s=60,
        clock=lambda: 1_800_000_000.9,
        random_bytes=lambda count: bytes(count),
    )
    assert builder.claims({"sub": "u", "aud": None}) == {
        "iss": "https://a.example",
        "iat": 1_800_000_000,
        "exp": 1_800_000_060,
        "jti": "A" * 22,
        "sub": "u",
    }
    engine = rapidjws.Engine(
        rapidjws.Issuer(
            "https://a.example",
            keys=signer("ES256").public,
            algorithms=["ES256"],
            audience="https://b.example",
        )
    )
    verified = engine.verify(builder.sign({"sub": "é"}), now=1_800_000_030)
    assert verified.claims["sub"] == "é"
    assert verified.header["typ"] == "JWT"
    other = JWTBuilder(signer("ES256"), iss="https://a.example")
    assert other.claims()["jti"] != other.claims()["jti"]


def test_builder_refuses_what_it_cannot_write() -> None:
    """A builder's settings and claims are checked before anything is signed."""
    refused("configuration_invalid", JWTBuilder, signer("ES256"), iss="")
    refused("configuration_invalid", JWTBuilder, signer("ES256"), iss="a", lifetime_s=0)
    refused("configuration_invalid", JWTBuilder(signer("ES256"), iss="a").sign, {"x": float("inf")})
    refused("configuration_invalid", JWTBuilder(signer("ES256"), iss="a").sign, {"x": object()})
