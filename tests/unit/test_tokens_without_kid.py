"""Tokens without kid: by certificate thumbprint, by trying keys, and a refetch when all signatures fail."""

from __future__ import annotations

import hashlib
import time
from base64 import urlsafe_b64encode
from typing import Any

import pytest
from certified import CertifiedKey, x5c_of
from issuers import wait_for
from web import Web

from rapidjws import JWK, ConfigurationError, Engine, Issuer, JWKSet, RapidJWSError, Rejected
from rapidjws.keys import RemoteJWKS, UnknownKids

ISS = "https://login.example"
URL = "https://login.example/keys"
NOW = int(time.time())
CLAIMS = {"iss": ISS, "aud": "api", "exp": NOW + 3600}
WAIT_S = 60.0


def _jwk(key: CertifiedKey, **members: Any) -> dict[str, Any]:
    return {**JWK.from_pem(key.public_pem).as_dict(), **members}


def _mark(key: CertifiedKey, name: str = "sha256") -> str:
    return urlsafe_b64encode(hashlib.new(name, key.der).digest()).decode().rstrip("=")


def _engine(keys: Any, **settings: Any) -> Engine:
    return Engine(Issuer(ISS, keys=keys, algorithms=["ES256"], audience="api", **settings))


def _code(engine: Engine, token: str) -> str:
    try:
        engine.verify(token)
    except RapidJWSError as refused:
        return refused.code
    return "ok"


@pytest.mark.parametrize("named", ["member", "x5c", "certificate"])
def test_a_thumbprint_chooses_the_key(named: str) -> None:
    """x5t#S256 or x5t in a header chooses the key of that certificate, however the set tells it."""
    one, two = CertifiedKey(), CertifiedKey()
    if named == "member":
        entries = [_jwk(one, **{"x5t#S256": _mark(one), "x5t": _mark(one, "sha1")}),
                   _jwk(two, **{"x5t#S256": _mark(two), "x5t": _mark(two, "sha1")})]  # fmt: skip
        keys = JWKSet.from_json({"keys": entries})
    elif named == "x5c":
        keys = JWKSet.from_json({"keys": [_jwk(one, x5c=x5c_of(one)), _jwk(two, x5c=x5c_of(two))]})
    else:
        keys = JWKSet([JWK.from_pem(one.pem, kid="1"), JWK.from_pem(two.pem, kid="2")])
    engine = _engine(keys)
    for key in (one, two):
        assert _code(engine, key.token(CLAIMS, **{"x5t#S256": _mark(key)})) == "ok"
        assert _code(engine, key.token(CLAIMS, x5t=_mark(key, "sha1"))) == "ok"
    assert _code(engine, one.token(CLAIMS, **{"x5t#S256": _mark(two)})) == "signature_invalid"
    assert _code(engine, one.token(CLAIMS, x5t="A" * 27)) == "unknown_kid"
    assert _code(engine, one.token(CLAIMS)) == "ambiguous_key"


def test_a_kid_is_asked_before_a_thumbprint() -> None:
    """A header with a kid is answered by its kid alone."""
    one, two = CertifiedKey(), CertifiedKey()
    engine = _engine(JWKSet([JWK.from_pem(one.pem, kid="1"), JWK.from_pem(two.pem, kid="2")]))
    assert _code(engine, one.token(CLAIMS, kid="1", **{"x5t#S256": _mark(two)})) == "ok"
    assert _code(engine, two.token(CLAIMS, kid="3", **{"x5t#S256": _mark(two)})) == "unknown_kid"


def test_a_thumbprint_that_is_unknown_asks_for_the_set() -> None:
    """A new certificate's thumbprint causes a refresh as an unknown kid does."""
    one, two, new = CertifiedKey(), CertifiedKey(), CertifiedKey()
    page = {"keys": [_jwk(one, kid="1", x5c=x5c_of(one)), _jwk(two, kid="2", x5c=x5c_of(two))]}
    web = Web({URL: page})
    engine = _engine(RemoteJWKS(URL, fetch=web, unknown_kids=UnknownKids(cooldown_s=0.01)))
    assert engine.wait_ready(WAIT_S)
    page["keys"].append(_jwk(new, kid="3", x5c=x5c_of(new)))
    token = new.token(CLAIMS, **{"x5t#S256": _mark(new)})
    assert _code(engine, token) == "unknown_kid"
    wait_for(lambda: _code(engine, token) == "ok")


def test_keys_are_tried_where_that_is_asked_for() -> None:
    """try_keys finds the one of a few keys that signed a token without kid, alone and in batches."""
    one, two, three = CertifiedKey(), CertifiedKey(), CertifiedKey()
    keys = JWKSet.from_json({"keys": [_jwk(one), _jwk(two, kid="2")]})
    assert _code(_engine(keys), one.token(CLAIMS)) == "ambiguous_key"
    engine = _engine(keys, try_keys=2)
    for _ in range(2):  # none is remembered by a header that another key has as well
        assert [_code(engine, key.token(CLAIMS)) for key in (one, two)] == ["ok", "ok"]
    assert _code(engine, three.token(CLAIMS)) == "signature_invalid"
    assert _code(engine, one.token(CLAIMS, kid="x")) == "unknown_kid"
    assert _code(engine, one.token({**CLAIMS, "aud": "other"})) == "audience_mismatch"
    assert _code(engine, one.token(CLAIMS, crit=["x"], x=1)) == "crit_unsupported"
    found = engine.verify_many([key.token(CLAIMS) for key in (one, three, two)])
    assert [isinstance(result, Rejected) for result in found] == [False, True, False]


def test_more_keys_than_are_tried_are_ambiguous() -> None:
    """No token costs the arithmetic of more keys than the issuer's number."""
    keys = JWKSet.from_json({"keys": [_jwk(CertifiedKey(), kid=str(number)) for number in range(5)]})
    engine = _engine(keys, try_keys=4)
    assert _code(engine, CertifiedKey().token(CLAIMS)) == "ambiguous_key"


@pytest.mark.parametrize(
    "settings", [{"try_keys": 5}, {"try_keys": -1}, {"try_keys": 2, "require_kid": True}]
)
def test_the_number_of_tries_is_checked(settings: dict[str, Any]) -> None:
    """Four at most, and none where a kid is required."""
    with pytest.raises(ConfigurationError):
        _engine(JWKSet([JWK.from_pem(CertifiedKey().pem)]), **settings)


@pytest.mark.parametrize("kid", ["same", None])
def test_a_rotation_under_the_same_kid_is_found(kid: str | None) -> None:
    """Three bad signatures under a known kid, or without one, and no good one between them, fetch the set."""
    old, new = CertifiedKey(), CertifiedKey()
    members = {} if kid is None else {"kid": kid}
    web = Web({URL: {"keys": [_jwk(old, **members)]}})
    engine = _engine(RemoteJWKS(URL, fetch=web, unknown_kids=UnknownKids(cooldown_s=0.01)))
    assert engine.wait_ready(WAIT_S)
    web.pages[URL] = {"keys": [_jwk(new, **members)]}
    token = new.token(CLAIMS, kid=kid)
    assert [_code(engine, token) for _ in range(3)] == ["signature_invalid"] * 3
    wait_for(lambda: _code(engine, token) == "ok")
    assert _code(engine, old.token(CLAIMS, kid=kid)) == "signature_invalid"


def test_forgers_cause_no_fetches_beside_good_tokens() -> None:
    """Bad signatures between good ones ask for nothing."""
    key, forger = CertifiedKey(), CertifiedKey()
    web = Web({URL: {"keys": [_jwk(key, kid="1")]}})
    source = RemoteJWKS(URL, fetch=web)
    engine = _engine(source)
    assert engine.wait_ready(WAIT_S)
    for _ in range(20):
        assert _code(engine, key.token(CLAIMS, kid="1")) == "ok"
        assert [_code(engine, forger.token(CLAIMS, kid="1")) for _ in range(2)] == ["signature_invalid"] * 2
    assert source._limiter.due is None
    assert web.asked == [URL]


def test_forgers_alone_cause_one_fetch_a_cool_down() -> None:
    """Nothing but bad signatures ask for one fetch, and for a time after it for no other."""
    key, forger = CertifiedKey(), CertifiedKey()
    web = Web({URL: {"keys": [_jwk(key, kid="1")]}})
    source = RemoteJWKS(URL, fetch=web, unknown_kids=UnknownKids(cooldown_s=0.01))
    engine = _engine(source)
    assert engine.wait_ready(WAIT_S)
    token = forger.token(CLAIMS, kid="1")
    for _ in range(3):
        _code(engine, token)
    wait_for(lambda: len(web.asked) == 2 and not source._fetch_in_progress)
    for _ in range(300):
        assert _code(engine, token) == "signature_invalid"
    assert source._limiter.due is None
    assert len(web.asked) == 2
