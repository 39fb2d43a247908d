"""A JWK Set: what is used, what is left out and why, and what spoils the whole set."""

from __future__ import annotations

import json
import pickle
import time
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from rapidjws.errors import CODES, HeaderRefused, KeySetRefused, UnknownKey
from rapidjws.jose import pyca_keys
from rapidjws.jose.jwk import JWK
from rapidjws.jose.jwks import JWKSet

KEYS = [pyca_keys._public_members(ec.generate_private_key(ec.SECP256R1()).public_key()) for _ in range(3)]
RSA = pyca_keys._public_members(rsa.generate_private_key(65537, 2048).public_key())
OCT = {"kty": "oct", "k": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"}


def text_of(*keys: Any) -> bytes:
    """Write a JWK Set."""
    return json.dumps({"keys": list(keys)}).encode()


def refused(data: Any, **options: Any) -> str:
    """Return the code that refuses a whole set."""
    with pytest.raises(KeySetRefused) as caught:
        JWKSet.from_json(data, **options)
    return caught.value.code


def left_out(keys: JWKSet) -> list[tuple[int, str, str | None]]:
    """Return index, code and place of every key left out."""
    return [(item.index, item.code, item.error.place) for item in keys.skipped]


def test_a_good_set_is_read_from_dict_text_and_bytes() -> None:
    """The keys stand in the order of the document and are found by kid."""
    members = {"keys": [{**KEYS[0], "kid": "a"}, {**KEYS[1], "kid": "b"}, RSA]}
    for data in (members, json.dumps(members), json.dumps(members).encode()):
        keys = JWKSet.from_json(data)
        assert [key.kid for key in keys] == ["a", "b", None]
        assert len(keys) == 3
        assert keys.get("b") == JWK.from_json(members["keys"][1])
        assert keys.get("c") is None
        assert "a" in keys
        assert "c" not in keys
        assert 5 not in keys
        assert keys.skipped == ()
        assert keys.as_dict() == members


def test_one_bad_key_never_spoils_a_set() -> None:
    """CVE-2026-102274: good keys stay usable; each bad one is listed with code, place and kid."""
    keys = JWKSet.from_json(
        text_of(
            {**KEYS[0], "kid": "good"},
            {**KEYS[1], "kid": "off", "y": KEYS[1]["x"]},
            5,
            None,
            [],
            {},
            {"kty": "LMS", "kid": "new"},
            {**KEYS[1], "use": "enc"},
            {**KEYS[1], "d": "AA"},
            {**RSA, "e": "AQ"},
            {**KEYS[1], "kid": 5},
        )
    )
    assert [key.kid for key in keys] == ["good"]
    assert left_out(keys) == [
        (1, "key_malformed", "keys[1].x"),
        (2, "key_malformed", "keys[2]"),
        (3, "key_malformed", "keys[3]"),
        (4, "key_malformed", "keys[4]"),
        (5, "key_malformed", "keys[5].kty"),
        (6, "key_unsupported", "keys[6].kty"),
        (7, "key_use_mismatch", "keys[7].use"),
        (8, "key_private", "keys[8].d"),
        (9, "key_weak", "keys[9].e"),
        (10, "key_malformed", "keys[10].kid"),
    ]
    assert [item.kid for item in keys.skipped][:2] == ["off", None]
    assert all(CODES[item.code] for item in keys.skipped)


def test_a_key_with_equal_names_is_left_out_alone() -> None:
    """RFC 7517 s.4: names within a JWK are unique; the other keys are not at fault."""
    good = json.dumps({**KEYS[0], "kid": "good"})
    many = json.dumps({**KEYS[1], **{f"m{i}": i for i in range(70)}})
    keys = JWKSet.from_json(f'{{"keys":[{{"kty":"EC","kty":"oct"}},{good},{many}]}}')
    assert [key.kid for key in keys] == ["good"]
    assert left_out(keys) == [(0, "key_malformed", "keys[0]"), (2, "key_malformed", "keys[2]")]
    assert [item.error.actual for item in keys.skipped] == ["duplicate_member", "too_many_members"]


def test_equal_names_around_the_keys_spoil_the_set() -> None:
    """Which of two arrays is meant? Nobody knows."""
    assert refused('{"keys":[],"keys":[]}') == "jwks_malformed"


@pytest.mark.parametrize(
    "data",
    [b"", b"null", b"[]", b"{}", b'{"keys":null}', b'{"keys":{}}', b'{"keys":"x"}', b"<html>", b'{"keys":[]'],
)
def test_what_is_no_set_is_refused(data: bytes) -> None:
    """An error page with status 200 is no reason to forget the keys one has."""
    assert refused(data) == "jwks_malformed"


@pytest.mark.parametrize(
    "data",
    ['{"keys":[]}\ud800', b'{"keys":[]}\xff', b'\xef\xbb\xbf{"keys":[]}', b'{"keys":' + b"[" * 100_000],
)
def test_what_is_no_utf8_json_is_refused(data: bytes | str) -> None:
    """Bad UTF-8, a byte order mark, and depth are refused, never a crash; the error says which."""
    with pytest.raises(KeySetRefused) as caught:
        JWKSet.from_json(data)
    assert caught.value.code == "jwks_malformed"
    assert caught.value.actual in {"malformed_json", "too_deep"}


def test_the_limits_of_a_set() -> None:
    """Keys and bytes are counted; fetched sets have smaller limits than static ones."""
    keys = [{**KEYS[0], "kid": str(i)} for i in range(101)]
    assert len(JWKSet.from_json(text_of(*keys))) == 101
    assert refused(text_of(*keys), fetched=True) == "jwks_too_large"
    assert len(JWKSet.from_json(text_of(*keys[:100]), fetched=True)) == 100
    assert refused(text_of(*keys[:3]), max_keys=2) == "jwks_too_large"
    assert refused({"keys": keys[:3]}, max_keys=2) == "jwks_too_large"
    size = len(text_of(*keys))
    assert refused(text_of(*keys), max_bytes=size - 1) == "jwks_too_large"
    assert len(JWKSet.from_json(text_of(*keys), max_bytes=size)) == 101
    assert refused(b" " * (256 * 1024) + b'{"keys":[]}', fetched=True) == "jwks_too_large"


def test_a_duplicate_kid_leaves_both_out() -> None:
    """Neither of two keys of one name is used, and a third key is not touched."""
    twice = {**KEYS[0], "kid": "a"}, {**KEYS[1], "kid": "a"}
    keys = JWKSet.from_json(text_of(*twice, {**KEYS[2], "kid": "b"}))
    assert [key.kid for key in keys] == ["b"]
    assert left_out(keys) == [(0, "duplicate_kid", "keys[0].kid"), (1, "duplicate_kid", "keys[1].kid")]
    assert keys.get("a") is None
    three = JWKSet.from_json(text_of(*twice, {**KEYS[2], "kid": "a"}))
    assert len(three) == 0
    assert len(three.skipped) == 3
    assert left_out(JWKSet(JWK.from_json(key) for key in twice)) == left_out(keys)


def test_a_bad_key_of_the_same_kid_counts() -> None:
    """Wycheproof json_web_key tc 4: one of the two does not even read, and still neither is used."""
    keys = JWKSet.from_json(text_of({**KEYS[0], "kid": "a"}, {**KEYS[1], "kid": "a", "x": "?"}))
    assert left_out(keys) == [(0, "duplicate_kid", "keys[0].kid"), (1, "key_malformed", "keys[1].x")]


def test_a_key_for_another_purpose_may_share_the_kid() -> None:
    """An encryption key or a key of an unknown kind is no rival."""
    rivals = {**KEYS[1], "kid": "a", "use": "enc"}, {"kty": "new", "kid": "a"}
    assert [key.kid for key in JWKSet.from_json(text_of({**KEYS[0], "kid": "a"}, *rivals))] == ["a"]


def test_a_set_that_mixes_secrets_and_public_keys_is_refused() -> None:
    """Wycheproof json_web_key tc 1; an unusable secret mixes as well."""
    assert refused(text_of(KEYS[0], OCT)) == "mixed_key_set"
    assert refused(text_of(KEYS[0], {"kty": "oct", "k": ""})) == "mixed_key_set"
    assert refused({"keys": [RSA, OCT]}, fetched=True) == "mixed_key_set"
    with pytest.raises(KeySetRefused):
        JWKSet([JWK.from_json(KEYS[0]), JWK.from_json(OCT)])
    assert len(JWKSet.from_json(text_of(OCT, {**OCT, "kid": "a"}))) == 2


@pytest.mark.parametrize("other", [None, "a", b"secret", RSA, 5])
def test_nothing_is_made_into_a_key(other: Any) -> None:
    """CVE-2022-23529: what is no checked key is a mistake of the caller."""
    with pytest.raises(TypeError):
        JWKSet([other])


def test_a_published_secret_is_left_out() -> None:
    """A symmetric key in a fetched set is known to everyone who can fetch it."""
    keys = JWKSet.from_json(text_of(OCT), fetched=True)
    assert len(keys) == 0
    assert left_out(keys) == [(0, "key_private", "keys[0].k")]


def test_secrets_stay_out_of_repr_and_public_form() -> None:
    """A set in a log or a published set gives no secret away."""
    keys = JWKSet.from_json(text_of(OCT))
    assert keys.as_dict() == {"keys": []}
    assert repr(keys) == "<JWKSet of 1: None oct>"


def test_a_set_cannot_be_changed_and_pickles() -> None:
    """A set is a snapshot."""
    keys = JWKSet.from_json(text_of({**KEYS[0], "kid": "a"}, {"kty": "x"}))
    with pytest.raises(AttributeError):
        keys.keys = ()  # type: ignore[misc]
    again = pickle.loads(pickle.dumps(keys))
    assert list(again) == list(keys)
    assert left_out(again) == left_out(keys)
    assert again.get("a") == keys.get("a")


def chosen(keys: JWKSet, **wanted: Any) -> str:
    """Return the code with which a selection is refused."""
    with pytest.raises((UnknownKey, HeaderRefused)) as caught:
        keys.select(**wanted)
    return caught.value.code


def test_select_by_kid() -> None:
    """The kid names one key, and the key must serve the algorithm."""
    keys = JWKSet.from_json(text_of({**KEYS[0], "kid": "a"}, {**RSA, "kid": "r", "alg": "PS256"}))
    assert keys.select(alg="ES256", kid="a") is keys.get("a")
    assert keys.select(alg="PS256", kid="r") is keys.get("r")
    assert chosen(keys, alg="ES256", kid="b") == "unknown_kid"
    assert chosen(keys, alg="ES256", kid="") == "unknown_kid"
    assert chosen(keys, alg="RS256", kid="a") == "key_alg_mismatch"
    assert chosen(keys, alg="RS256", kid="r") == "key_alg_mismatch"
    assert chosen(keys, alg="HS256", kid="r") == "key_alg_mismatch"


def test_select_without_kid() -> None:
    """Without a kid exactly one key must fit; nothing is tried in turn."""
    keys = JWKSet.from_json(text_of({**KEYS[0], "kid": "a"}, RSA))
    assert keys.select(alg="ES256", kid=None) is keys.get("a")
    assert keys.select(alg="RS256", kid=None).kty == "RSA"
    assert chosen(keys, alg="EdDSA", kid=None) == "no_suitable_key"
    assert chosen(keys, alg="ES256", kid=None, kid_required=True) == "missing_kid"
    several = JWKSet.from_json(text_of(KEYS[0], KEYS[1], RSA))
    assert chosen(several, alg="ES256", kid=None) == "ambiguous_key"
    assert several.select(alg="RS256", kid=None).kty == "RSA"


def test_select_of_a_duplicated_kid() -> None:
    """A kid that stood twice is distinguished from an unknown one."""
    keys = JWKSet.from_json(text_of({**KEYS[0], "kid": "a"}, {**KEYS[1], "kid": "a"}))
    assert chosen(keys, alg="ES256", kid="a") == "ambiguous_key"
    assert chosen(JWKSet(), alg="ES256", kid="a") == "unknown_kid"


@pytest.mark.parametrize("shape", ["keys", "key_ops", "kids"])
def test_a_hundred_thousand_of_anything_take_linear_time(shape: str) -> None:
    """CVE-2026-89314: keys, key_ops or equal kids in masses: a square of that would take hours."""
    count = 100_000
    if shape == "key_ops":
        data = text_of({**KEYS[0], "key_ops": [str(i) for i in range(count)]})
    else:
        kid = "same" if shape == "kids" else None
        data = text_of(*({**KEYS[0], "kid": kid or str(i)} for i in range(count)))
    start = time.perf_counter()
    keys = JWKSet.from_json(data)
    assert time.perf_counter() - start < 60
    assert len(keys) == {"keys": count, "key_ops": 0, "kids": 1}[shape]


def test_wycheproof_key_sets(vectors: Path) -> None:
    """Sets that Wycheproof calls bad lose their keys at load; the good ones keep them."""
    groups = json.loads((vectors / "wycheproof/json_web_key_test.json").read_text())["testGroups"]
    loaded, emptied, mixed = [], [], []
    for group in groups:
        name = [test["tcId"] for test in group["tests"]]
        data = group.get("public") or group["private"]
        try:
            (loaded if len(JWKSet.from_json(data)) else emptied).extend(name)
        except KeySetRefused:
            mixed.extend(name)
    assert len(loaded) + len(emptied) + len(mixed) == 26
    assert mixed == [1]
    assert loaded == [2, 3, 5, 13, 14, 15]
    assert set(emptied) == set(range(1, 27)) - set(loaded) - {1}


def test_the_ml_dsa_thumbprints(vectors: Path) -> None:
    """RFC 9964: kid is the thumbprint over alg, kty and pub."""
    files = sorted((vectors / "rfc9964-mldsa-jose").glob("*.json"))
    assert len(files) == 3
    for file in files:
        members = json.loads(file.read_text())["jwk"]
        public = {name: value for name, value in members.items() if name != "priv"}
        assert JWK.from_json(public).thumbprint() == members["kid"]
