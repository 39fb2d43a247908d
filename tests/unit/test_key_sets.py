"""Which key of a set answers: equal entries, shared kids, secrets among public keys, and what is skipped."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from rapidjws import JWK, JWKSet, Verifier
from rapidjws.errors import RapidJWSError, TokenRefused
from rapidjws.jose.jws import parse_header
from rapidjws.signing import LocalSigner, sign_compact
from rapidjws.testing import make_key


def refused(call: Any, *arguments: Any, **options: Any) -> RapidJWSError:
    """Return the error that a call refuses its arguments with."""
    with pytest.raises(RapidJWSError) as caught:
        call(*arguments, **options)
    return caught.value


def chosen(keys: JWKSet, alg: str, kid: str | None) -> JWK | str:
    """Return the key that a set chooses, or the code of the refusal."""
    try:
        return keys.select(alg=alg, kid=kid)
    except TokenRefused as error:
        return error.code


def test_C6_equal_entries_are_one_key() -> None:
    """A set that lists a key twice word for word uses it once."""
    members = make_key("ES256", kid="a").public().as_dict()
    keys = JWKSet.from_json({"keys": [members, members, dict(members)]})
    assert (len(keys), keys.skipped) == (1, ())
    assert chosen(keys, "ES256", "a") == JWK.from_json(members)


def test_C6_entries_of_one_kid_are_reported_apart_by_type_and_alg() -> None:
    """One RSA key listed once for each alg, and an EC key, under one kid: the token's alg chooses."""
    private = make_key("RS256", kid="a", bound=False)
    rsa_members = private.public().as_dict()
    rows = [{**rsa_members, "alg": alg} for alg in ("RS256", "RS384", "PS256")]
    ec_key = make_key("ES256", kid="a")
    keys = JWKSet.from_json({"keys": [*rows, ec_key.public().as_dict()]})
    assert (len(keys), keys.skipped) == (4, ())
    for alg in ("RS256", "RS384", "PS256", "ES256"):
        found = chosen(keys, alg, "a")
        assert isinstance(found, JWK)
        assert found.alg == alg
        signer = LocalSigner(ec_key if alg == "ES256" else private, alg)
        for verifier in (
            Verifier(keys, algorithms=[alg]),
            Verifier(keys, algorithms=["RS256", "RS384", "PS256", "ES256"]),
        ):
            assert verifier.verify(sign_compact(b"x", signer)).payload == b"x"
    assert chosen(keys, "PS512", "a") == "key_alg_mismatch"


def test_C6_the_same_key_bound_and_unbound_is_not_ambiguous() -> None:
    """Two entries with the same numbers that serve one alg are the same key, with kid and without."""
    private = make_key("RS256", kid="a", bound=False)
    members = private.public().as_dict()
    keys = JWKSet.from_json({"keys": [members, {**members, "alg": "RS256"}, {**members, "use": "sig"}]})
    verifier = Verifier(keys, algorithms=["RS256", "PS256"])
    for alg in ("RS256", "PS256"):
        for kid in ("a", None):
            assert isinstance(chosen(keys, alg, kid), JWK)
            signer = LocalSigner(private, alg)
            signer.kid = kid
            assert verifier.verify(sign_compact(b"x", signer)).payload == b"x"


def test_C6_real_ambiguity_is_refused_with_its_own_code() -> None:
    """Two different keys for one kid and alg: neither is used, and the code is not unknown_kid."""
    first, second, third = (make_key("ES256", kid=kid) for kid in ("a", "a", "b"))
    other = make_key("RS256", kid="a")
    keys = JWKSet.from_json({"keys": [key.public().as_dict() for key in (first, second, third, other)]})
    assert [(gone.index, gone.code) for gone in keys.skipped] == [(0, "duplicate_kid"), (1, "duplicate_kid")]
    verifier = Verifier(keys, algorithms=["ES256", "RS256"])
    for key in (first, second):
        assert refused(verifier.verify, sign_compact(b"x", LocalSigner(key))).code == "ambiguous_key"
    for key in (third, other):
        assert verifier.verify(sign_compact(b"x", LocalSigner(key))).payload == b"x"
    alone = JWKSet.from_json({"keys": [key.public().as_dict() for key in (first, second, third)]})
    token = sign_compact(b"x", LocalSigner(first))
    assert refused(Verifier(alone, algorithms=["ES256"]).verify, token).code == "ambiguous_key"


@pytest.mark.parametrize(
    "alg", "ES256 ES384 ES512 ES256K RS256 PS256 EdDSA ML-DSA-44 ML-DSA-65 ML-DSA-87".split()
)
def test_T7_no_asymmetric_key_stands_beside_a_secret(alg: str) -> None:
    """RFC 8725 s.2.1: a secret mixed with public keys of any type spoils the set, in either order."""
    crv = {"EdDSA": "Ed448"}.get(alg)
    size = {"ML-DSA-44": 1312, "ML-DSA-65": 1952, "ML-DSA-87": 2592}.get(alg)
    if size is None:
        public = make_key(alg, crv=crv).public()
    else:
        text = base64.urlsafe_b64encode(bytes(size)).rstrip(b"=").decode()
        public = JWK.from_json({"kty": "AKP", "alg": alg, "pub": text})
    secret = make_key("HS256")
    for keys in ([public, secret], [secret, public]):
        assert refused(JWKSet, keys).code == "mixed_key_set"
        assert refused(JWKSet.given, keys).code == "mixed_key_set"
        document = {"keys": [key.as_dict(private=True) for key in keys]}
        assert refused(JWKSet.from_json, document).code == "mixed_key_set"


@pytest.mark.parametrize("name", ["alg", "use", "kid", "crv", "key_ops", "d"])
def test_B10_23_a_null_member_is_named(name: str) -> None:
    """A serialiser's null drops the key, and the reason names the member and what to do."""
    members = {**make_key("ES256", kid="ok").public().as_dict(), name: None}
    keys = JWKSet.from_json({"keys": [members]})
    (gone,) = keys.skipped
    assert (gone.code, gone.error.place) == ("key_malformed", f"keys[0].{name}")
    assert gone.error.actual == "null: leave it out"


def test_B10_24_a_spiffe_use_is_named() -> None:
    """A key of a SPIFFE bundle is skipped for its use, and the reason says whose use that is."""
    keys = JWKSet.from_json({"keys": [{**make_key("ES256").public().as_dict(), "use": "jwt-svid"}]})
    (gone,) = keys.skipped
    assert (gone.code, gone.error.actual) == ("key_use_mismatch", "jwt-svid (of a SPIFFE bundle)")


def test_B10_28_b64_true_needs_no_crit() -> None:
    """RFC 7797 s.6 demands crit where b64 is false; true says what every reader assumes."""
    assert parse_header(b'{"alg":"ES256","b64":true}').b64 is True
    assert refused(parse_header, b'{"alg":"ES256","b64":false}').code == "b64_unsupported"
    assert refused(parse_header, b'{"alg":"ES256","b64":true,"crit":["b64"]}').code == "crit_unsupported"
    understood = frozenset({"b64"})
    assert parse_header(b'{"alg":"ES256","b64":true,"crit":["b64"]}', understood_crit=understood).b64 is True
    for value in (b"null", b"1", b'"true"', b"[]"):
        assert refused(parse_header, b'{"alg":"ES256","b64":%s}' % value).code == "malformed_header"
    key = make_key("ES256")
    token = raw_token(key, {"alg": "ES256", "b64": True}, b"payload")
    assert Verifier(key.public(), algorithms=["ES256"]).verify(token).payload == b"payload"


def raw_token(key: JWK, header: dict[str, Any], payload: bytes) -> str:
    """Sign with a header that the signing module does not write."""
    parts = [base64.urlsafe_b64encode(part).rstrip(b"=") for part in (json.dumps(header).encode(), payload)]
    signature = base64.urlsafe_b64encode(LocalSigner(key).sign(b".".join(parts))).rstrip(b"=")
    return b".".join([*parts, signature]).decode()
