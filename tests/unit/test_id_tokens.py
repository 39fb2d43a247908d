"""ID tokens against the request that they answer: nonce, at_hash and c_hash."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tokens import AUD, ISS, NOW_S

from rapidjws import Engine, Issuer, RapidJWSError
from rapidjws.jwt.id_tokens import left_half
from rapidjws.signing import LocalSigner, sign_compact
from rapidjws.testing import make_key


def verdict(alg: str, claims: dict[str, Any], **request: Any) -> str:
    """Return "ok" or the refusal of an ID token with these claims."""
    key = make_key(alg, kid="k")
    keys = key if alg.startswith("HS") else key.public()
    engine = Engine(Issuer.profile("id_token", ISS, keys=keys, algorithms=[alg], audience=AUD), workers=1)
    body = {"iss": ISS, "aud": AUD, "sub": "s", "iat": NOW_S, "exp": NOW_S + 60, **claims}
    token = sign_compact(json.dumps(body).encode(), LocalSigner(key))
    try:
        engine.verify_id_token(token, now=NOW_S, **request)
    except RapidJWSError as error:
        refused = error
    else:
        return "ok"
    assert refused.issuer == ISS
    assert all(str(value) not in str(refused) for value in request.values() if value)
    return f"{refused.code} {refused.place}"


def test_the_nonce_is_that_of_the_request() -> None:
    """Another nonce, none, or one of another type is refused; None says that none was sent."""
    assert verdict("HS256", {"nonce": "n-0S6_WzA2Mj"}, nonce="n-0S6_WzA2Mj") == "ok"
    assert verdict("HS256", {"nonce": "other"}, nonce="n-0S6_WzA2Mj") == "claim_mismatch claims.nonce"
    assert verdict("HS256", {"nonce": 7}, nonce="n-0S6_WzA2Mj") == "claim_mismatch claims.nonce"
    assert verdict("HS256", {}, nonce="n-0S6_WzA2Mj") == "missing_claim claims.nonce"
    assert verdict("HS256", {}, nonce=None) == "ok"


def test_the_hash_is_that_of_the_example() -> None:
    """The example of OpenID Connect Core appendix A.3 and A.4 has these hashes."""
    assert left_half("RS256", "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y") == "77QmUPtjPfzWtF2AnpK9RQ"
    assert (
        left_half("RS256", "Qcb0Orv1zh30vL1MPRsbm-diHiMwcLyZvn1arpZv-Jxf_11jnpEX3Tgfvk")
        == "LDktKdoQak3Pk0cnXxCltA"
    )


@pytest.mark.parametrize("alg", ["HS256", "ES256", "HS384", "HS512", "EdDSA"])
def test_hashes_follow_the_algorithm(alg: str) -> None:
    """at_hash and c_hash are compared by the token's own hash; absent or another is refused."""
    for name, argument in (("at_hash", "access_token"), ("c_hash", "code")):
        good = left_half(alg, "issued-beside")
        request = {"nonce": None, argument: "issued-beside"}
        assert verdict(alg, {name: good}, **request) == "ok"
        assert verdict(alg, {name: good[:-1]}, **request) == f"claim_mismatch claims.{name}"
        assert verdict(alg, {}, **request) == f"missing_claim claims.{name}"
    other = "HS512" if alg != "HS512" else "HS256"
    if alg != "EdDSA":
        assert left_half(alg, "x") != left_half(other, "x")


def test_no_hash_is_made_up() -> None:
    """An algorithm without a hash of its own is refused, not guessed."""
    for alg in ("ML-DSA-44", "Ed448", "none"):
        with pytest.raises(RapidJWSError, match="unsupported_algorithm"):
            left_half(alg, "x")
