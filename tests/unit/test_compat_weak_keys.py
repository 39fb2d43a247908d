"""Weak keys of ``rapidjws.compat.pyjwt``: PyJWT's warning and option, and no way from there to an engine."""

from __future__ import annotations

import warnings
from typing import Any

import jwt as pyjwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

import rapidjws
import rapidjws.compat.pyjwt as jwt
from rapidjws.compat.pyjwt import engine_keys
from rapidjws.compat.pyjwt.legacy_key import LegacyKey, legacy_key

SECRET = "0123456789abcdef0123456789abcdef"
SMALL_RSA = rsa.generate_private_key(65537, 1024)
SMALL_PEM = SMALL_RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

WEAK = [
    pytest.param("HS256", "secret", "secret", id="short-secret"),
    pytest.param("HS512", SECRET, SECRET, id="secret-shorter-than-the-digest"),
    pytest.param("RS256", SMALL_RSA, SMALL_PEM, id="small-rsa"),
    pytest.param("PS256", SMALL_RSA, SMALL_RSA.public_key(), id="small-rsa-pss"),
]


@pytest.mark.parametrize(("alg", "private", "key"), WEAK)
def test_a_weak_key_warns_or_is_refused_by_the_option(alg: str, private: Any, key: Any) -> None:
    """A weak key is taken with PyJWT's warning at the caller's line, each time, and refused by the option."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        token = pyjwt.encode({"a": 1}, private, algorithm=alg)
    for _ in range(2):
        with pytest.warns(jwt.InsecureKeyLengthWarning) as seen:
            assert jwt.decode_complete(token, key, algorithms=[alg])["payload"] == {"a": 1}
        assert seen[0].filename == __file__
        with pytest.warns(jwt.InsecureKeyLengthWarning) as seen:
            assert jwt.decode(token, key, algorithms=[alg]) == {"a": 1}
        assert seen[0].filename == __file__
        with pytest.raises(jwt.InvalidKeyError, match="below the minimum"):
            jwt.decode(token, key, algorithms=[alg], options={"enforce_minimum_key_length": True})
        with pytest.raises(jwt.InvalidKeyError):
            jwt.PyJWT({"enforce_minimum_key_length": True}).decode(token, key, algorithms=[alg])
    with pytest.warns(jwt.InsecureKeyLengthWarning), pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(token[:-4] + "AAAA", key, algorithms=[alg])
    with pytest.warns(jwt.InsecureKeyLengthWarning) as seen:
        jwt.encode({}, private, algorithm=alg)
    assert seen[0].filename == __file__


def test_a_weak_key_reaches_no_engine() -> None:
    """The key type of weak keys is refused by Engine, Issuer, Verifier and verify_raw."""
    algorithm = jwt.get_algorithm_by_name("HS256")
    weak = legacy_key(algorithm, b"secret", "short")
    assert repr(weak) == "<LegacyKey>"
    with pytest.raises(TypeError):
        LegacyKey(algorithm, b"secret", "short", seal=None)
    with pytest.raises(TypeError):
        weak.__reduce__()
    keys: Any
    for keys in (weak, [weak], {"https://bank.example": weak}, (rapidjws.JWK.from_secret(SECRET), weak)):
        with pytest.raises(rapidjws.RapidJWSError):
            rapidjws.Verifier(keys, algorithms=["HS256"])
        with pytest.raises(rapidjws.RapidJWSError):
            rapidjws.Issuer("https://bank.example", keys=keys, algorithms=["HS256"])
    with pytest.raises(rapidjws.RapidJWSError):
        rapidjws.Engine(weak)  # type: ignore[arg-type]
    with pytest.raises(rapidjws.RapidJWSError):
        rapidjws.verify_raw("HS256", weak, b"", b"")  # type: ignore[arg-type]
    with pytest.raises(rapidjws.RapidJWSError):
        rapidjws.JWK.from_secret("secret")


def test_no_engine_is_made_of_a_weak_key() -> None:
    """A weak key has no engine, alone and among algorithms that it is strong enough for."""
    built_in = jwt.PyJWS().built_in
    assert engine_keys.engine_for("secret", ["HS256"], built_in) is None
    assert engine_keys.engine_for(SMALL_RSA, ["RS256"], built_in) is None
    both = engine_keys.engine_for(SECRET, ["HS512", "HS256"], built_in)
    assert both is not None
    with pytest.warns(jwt.InsecureKeyLengthWarning):
        token = jwt.encode({}, SECRET, algorithm="HS512")
    with pytest.raises(rapidjws.RapidJWSError):
        both[0].verify(token)
    with pytest.warns(jwt.InsecureKeyLengthWarning):
        assert jwt.decode(token, SECRET, algorithms=["HS512", "HS256"]) == {}
