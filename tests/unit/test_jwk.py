"""One JWK: what is read, and every rule that refuses a key, with its code and place."""

from __future__ import annotations

import base64
import dataclasses
import json
import pickle
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from example_keys import EC, OCT, OKP, RSA, b64, refused

from rapidjws.errors import KeyRefused
from rapidjws.jose import pyca_keys
from rapidjws.jose.jwk import JWK


@pytest.fixture(scope="module")
def ec_pair() -> dict[str, Any]:
    """Give a private P-256 JWK."""
    return pyca_keys._private_members(ec.generate_private_key(ec.SECP256R1()))


@pytest.fixture(scope="module")
def rsa_pair() -> dict[str, Any]:
    """Give a private RSA JWK."""
    return pyca_keys._private_members(rsa.generate_private_key(65537, 2048))


@pytest.mark.parametrize("members", [EC, RSA, OKP, OCT], ids=lambda members: members["kty"])
def test_a_good_key_is_read_from_dict_text_and_bytes(members: dict[str, Any]) -> None:
    """The three forms give one and the same value."""
    text = json.dumps(members)
    key = JWK.from_json(members)
    assert key == JWK.from_json(text) == JWK.from_json(text.encode())
    assert key.as_dict(private=True) == members
    assert not key.is_private
    assert key.public() is key


def test_material_is_what_native_code_takes() -> None:
    """EC gives x || y, RSA n and e without leading zeros, OKP the raw key, oct the secret."""
    x, y = (base64.urlsafe_b64decode(EC[name] + "=") for name in "xy")
    assert JWK.from_json(EC).material == (x + y, b"")
    assert JWK.from_json(RSA).material[1] == b"\x01\x00\x01"
    assert len(JWK.from_json(RSA).material[0]) == 256
    assert JWK.from_json(OKP).material == (base64.urlsafe_b64decode(OKP["x"] + "="), b"")
    assert JWK.from_json(OCT).material == (bytes(range(64)), b"")


def test_leading_zeros_of_integers_are_dropped() -> None:
    """Issuers do write them; the modulus is the same number (RFC 7518 s.2)."""
    n = base64.urlsafe_b64decode(RSA["n"] + "==")
    assert JWK.from_json({**RSA, "n": b64(b"\0" + n), "e": "AAEAAQ"}) == JWK.from_json(RSA)


def test_thumbprints_of_the_rfcs() -> None:
    """RFC 7638 s.3.1 and RFC 8037 A.3 give these values."""
    assert JWK.from_json(RSA).thumbprint() == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
    assert JWK.from_json(OKP).thumbprint() == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


def test_optional_members_are_kept_and_unknown_ones_ignored() -> None:
    """kid, alg, use and key_ops are part of the key; x5u, x5c and strangers are not."""
    extra = {"kid": "a", "alg": "ES256", "use": "sig", "key_ops": ["verify"]}
    key = JWK.from_json({**EC, **extra, "x5u": "https://evil.example", "x5c": 5, "zzz": None})
    assert (key.kid, key.alg, key.use, key.key_ops) == ("a", "ES256", "sig", ("verify",))
    assert key.as_dict() == {**EC, **extra}
    assert key.algorithms == ("ES256",)


def test_a_secret_serves_digests_up_to_its_size() -> None:
    """RFC 7518 s.3.2: a key without alg of 32 bytes serves HS256 only."""
    assert JWK.from_json({"kty": "oct", "k": b64(bytes(range(32)))}).algorithms == ("HS256",)
    assert JWK.from_json({"kty": "oct", "k": b64(bytes(range(48)))}).algorithms == ("HS256", "HS384")
    assert JWK.from_json(OCT).algorithms == ("HS256", "HS384", "HS512")


def test_repr_and_public_dict_hold_no_key_bytes() -> None:
    """A key in a log gives nothing away."""
    key = JWK.from_json({**OCT, "kid": "a\n"})
    assert repr(key) == "JWK(kty='oct', crv=None, alg=None, kid='a\\n', use=None, key_ops=None)"
    assert key.as_dict() == {"kty": "oct", "kid": "a\n"}
    assert key.is_symmetric


def test_a_key_is_frozen_hashable_and_pickles() -> None:
    """A key is a value: equal, hashable, unchangeable, and it crosses processes."""
    key = JWK.from_json({**EC, "kid": "a"})
    assert pickle.loads(pickle.dumps(key)) == key
    assert hash(key) == hash(JWK.from_json({**EC, "kid": "a"}))
    with pytest.raises(AttributeError):
        key.kid = "b"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (b"", "jwk"),
        (b"[]", "jwk"),
        (b'"EC"', "jwk"),
        (b"null", "jwk"),
        (b'{"kty":"EC","kty":"RSA"}', "jwk"),
        (b'{"kty":"EC","k\\u0074y":"RSA"}', "jwk"),
        (b'\xef\xbb\xbf{"kty":"EC"}', "jwk"),
        (b'{"kty":"EC"} {}', "jwk"),
        (b'{"kty":"\xff"}', "jwk"),
        (b"{" + b",".join(b'"%d":0' % i for i in range(65)) + b"}", "jwk"),
        (b'{"a":' + b"[" * 40 + b"]" * 40 + b"}", "jwk"),
        (b'{"kty":"EC","pad":"' + b"a" * 65536 + b'"}', "jwk"),
        ("\ud800", "jwk"),
        ("[" * 100_000, "jwk"),
    ],
)
def test_text_that_is_no_strict_json_object_is_refused(text: bytes | str, place: str) -> None:
    """Equal names, bad UTF-8, depth and size: two readers must not see two keys."""
    assert refused(text) == ("key_malformed", place)


@pytest.mark.parametrize("name", [*EC, "kid", "alg", "use", "key_ops", "d"])
@pytest.mark.parametrize("value", [None, 0, -1, 1.5, True, [], {}, "", [[]], {"a": 1}], ids=repr)
def test_no_value_of_a_member_crashes(name: str, value: Any) -> None:
    """CVE-2026-33996: every member as every JSON type is a refusal, never another exception."""
    assert refused({**EC, name: value})[0].startswith("key_")


def test_a_key_cannot_be_made_around_its_checks() -> None:
    """CVE-2026-102266: every constructor of a key checks it, so the plain one is closed."""
    options: dict[str, Any] = {"kty": "oct", "material": (b"", b"")}
    for more in ({}, {"seal": None}, {"seal": object()}):
        with pytest.raises(TypeError):
            JWK(**options, **more)
    with pytest.raises((TypeError, ValueError)):
        dataclasses.replace(JWK.from_json(OCT), material=(b"", b""))


def test_a_refused_text_says_why_and_shows_nothing() -> None:
    """The code of the JSON fault stands in the error of the key."""
    with pytest.raises(KeyRefused) as caught:
        JWK.from_json('{"kty":"oct","k":"hunter2","k":"hunter2"}')
    assert caught.value.actual == "duplicate_member"
    assert "hunter2" not in repr(caught.value)


def test_a_value_that_is_no_text_and_no_object_is_refused() -> None:
    """There is no coercion to a key."""
    assert refused(None) == ("key_malformed", "jwk")
    assert refused([]) == ("key_malformed", "jwk")
    assert refused(5) == ("key_malformed", "jwk")
    assert JWK.from_json(bytearray(json.dumps(OCT).encode())) == JWK.from_json(OCT)


def test_a_private_key_is_read_only_when_asked(ec_pair: dict[str, Any], rsa_pair: dict[str, Any]) -> None:
    """RFC 7517 s.9.2: a private key where a public one is due is a leak."""
    for members in (ec_pair, rsa_pair):
        assert refused(members) == ("key_private", "jwk.d")
        key = JWK.from_json(members, private=True)
        assert key.is_private
        assert key.as_dict(private=True) == members
        assert "d" not in key.as_dict()
        assert not key.public().is_private
        assert key.public() == JWK.from_json(key.as_dict())
        assert members["d"] not in repr(key)


def test_a_private_key_is_for_signing(ec_pair: dict[str, Any]) -> None:
    """key_ops of a private key name sign; its public half verifies."""
    key = JWK.from_json({**ec_pair, "key_ops": ["sign"]}, private=True)
    assert key.key_ops == ("sign",)
    assert key.public().key_ops == ("verify",)
    assert refused({**ec_pair, "key_ops": ["verify"]}, private=True) == ("key_use_mismatch", "jwk.key_ops")


def test_a_pair_whose_halves_differ_is_refused(ec_pair: dict[str, Any], rsa_pair: dict[str, Any]) -> None:
    """The public members belong to the private ones."""
    assert refused({**ec_pair, "x": EC["x"], "y": EC["y"]}, private=True) == ("key_malformed", "jwk")
    assert refused({**rsa_pair, "n": RSA["n"]}, private=True) == ("key_malformed", "jwk")
    assert refused({**ec_pair, "d": b64(bytes(32))}, private=True) == ("key_malformed", "jwk")
    okp = pyca_keys._private_members(ed25519.Ed25519PrivateKey.generate())
    assert refused({**okp, "x": OKP["x"]}, private=True) == ("key_malformed", "jwk")


@pytest.mark.parametrize("name", ["d", "p", "q", "dp", "dq", "qi"])
def test_an_incomplete_private_rsa_key_is_refused(rsa_pair: dict[str, Any], name: str) -> None:
    """A private key is whole or none."""
    rest = {key: value for key, value in rsa_pair.items() if key != name}
    assert refused(rest, private=True) == ("key_malformed", f"jwk.{name}")


def test_multi_prime_keys_are_not_supported(rsa_pair: dict[str, Any]) -> None:
    """RFC 7518 s.6.3.2.7."""
    assert refused({**rsa_pair, "oth": []}, private=True) == ("key_unsupported", "jwk.oth")


def test_a_public_key_is_no_private_key() -> None:
    """Who asks for a private key gets one or a refusal."""
    assert refused(EC, private=True) == ("key_malformed", "jwk.d")
