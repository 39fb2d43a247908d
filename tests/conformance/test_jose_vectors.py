"""Third-party JOSE vectors, each under its own id: keys and tokens as they would arrive."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from native_drivers import wycheproof

import rapidjws
import rapidjws.testing
from rapidjws import JWKSet, Verifier
from rapidjws.diagnose.subject import ExaminedVerifier

ACCELERATIONS = ("auto", "portable", "openssl")


@pytest.fixture(scope="module")
def exceptions(vectors: Path) -> dict[str, Any]:
    """Give the register of cases whose label is not to be followed."""
    loaded: dict[str, Any] = json.loads((vectors / "known_exceptions.json").read_text())
    return loaded


def verdict(keys: Any, token: Any, acceleration: str) -> str:
    """Return "valid" or "invalid"; a key set that is refused refuses its tokens."""
    try:
        document = keys if "keys" in keys else {"keys": [keys]}
        jwks = JWKSet.from_json(json.dumps(document))
    except rapidjws.KeySetRefused:
        return "invalid"
    if not isinstance(token, str):
        token = json.dumps(token)
    verifier = ExaminedVerifier(jwks, algorithms=rapidjws.ALGORITHMS, acceleration=acceleration)
    verifier.precompute()
    singles, batch = [], verifier.verify_many([token] * 3)
    for _ in range(2):  # the second time the header is known
        try:
            verifier.verify(token)
            singles.append("valid")
        except rapidjws.TokenRefused:
            singles.append("invalid")
    batched = ["valid" if isinstance(one, rapidjws.VerifiedJWS) else "invalid" for one in batch]
    assert len({*singles, *batched}) == 1
    return singles[0]


def without_alg(keys: dict[str, Any]) -> dict[str, Any]:
    """Return a JWK without its alg."""
    return {name: value for name, value in keys.items() if name != "alg"}


def disagreements(name: str, acceleration: str, known: dict[str, Any]) -> tuple[list[str], int, int]:
    """Return the cases with another verdict than due, how many verified, how many ran."""
    wrong, valid, cases = [], 0, 0
    for group in wycheproof(name)["testGroups"]:
        keys = group.get("public") or group["private"]
        for case in group["tests"]:
            token = case["jws"] if "jws" in case else case["jwe"]
            due = case["result"] if "jws" in case else "invalid"
            exception = known.get(str(case["tcId"]), {}).get("strict", due)
            due = exception if exception in ("valid", "invalid") else "invalid"
            if (
                case["comment"] == "rejectsValidJsonSerialization"
                and isinstance(token, dict)
                and "jws" in case
            ):
                due = "valid"  # the label is for readers of the compact serialization only
            found = verdict(keys, token, acceleration)
            cases += 1
            valid += found == "valid"
            if found != due:
                wrong.append(f"{case['tcId']}: {found}, {case['comment']}")
    return wrong, valid, cases


@pytest.mark.parametrize("acceleration", ACCELERATIONS)
@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("json_web_signature_test.json", (42, 401)),
        ("json_web_key_test.json", (5, 26)),
        ("json_web_crypto_test.json", (5, 83)),
    ],
    ids=["jws", "jwk", "jose"],
)
def test_json_web(name: str, counts: tuple[int, int], acceleration: str, exceptions: dict[str, Any]) -> None:
    """Every case gets its label, but for the registered exceptions; encrypted tokens are refused."""
    wrong, valid, cases = disagreements(name, acceleration, exceptions.get(f"wycheproof/{name}", {}))
    assert wrong == []
    assert (valid, cases) == counts


@pytest.mark.parametrize("case_id", ["346", "347", "350", "351"])
def test_key_bound_to_another_alg(case_id: str) -> None:
    """The cases whose JWK names another alg verify once the JWK names none: nothing else was at fault."""
    for group in wycheproof("json_web_signature_test.json")["testGroups"]:
        for case in group["tests"]:
            if str(case["tcId"]) == case_id:
                keys = group.get("public") or group["private"]
                assert verdict(keys, case["jws"], "auto") == "invalid"
                assert verdict(without_alg(keys), case["jws"], "auto") == "valid"
                return
    raise AssertionError(f"no case {case_id}")


def appendix(vectors: Path, case_id: str) -> dict[str, Any]:
    """Return one case of the RFC 7515 appendices."""
    cases = json.loads((vectors / "rfc7515" / "rfc7515_appendix.json").read_text())["cases"]
    assert len(cases) == 9
    found: dict[str, Any] = next(case for case in cases if case["id"] == case_id)
    return found


@pytest.mark.parametrize("case_id", ["A.1", "A.2", "A.3", "A.4"])
def test_rfc7515_appendix(case_id: str, vectors: Path) -> None:
    """The compact examples of RFC 7515 verify, and give back the payload's own octets."""
    case = appendix(vectors, case_id)
    for acceleration in ACCELERATIONS:
        verifier = ExaminedVerifier(
            rapidjws.JWK.from_json(case["key"]), algorithms=[case["alg"]], acceleration=acceleration
        )
        verifier.precompute()
        verified = verifier.verify(case["jws"])
        assert verified.alg == case["alg"]
        if case_id == "A.4":
            assert verified.payload == b"Payload"
        else:
            claims = json.loads(verified.payload)
            assert claims == {"iss": "joe", "exp": 1300819380, "http://example.com/is_root": True}


@pytest.mark.parametrize("case_id", ["A.5", "E"])
def test_rfc7515_appendix_refused(case_id: str, vectors: Path) -> None:
    """The unsecured examples are refused, without a signature and with one."""
    token = appendix(vectors, case_id)["jws"]
    verifier = Verifier(rapidjws.testing.make_key("ES256").public(), algorithms=rapidjws.ALGORITHMS)
    for suffix, code in (("", "malformed_token"), ("AA", "unsupported_algorithm")):
        with pytest.raises(rapidjws.TokenRefused) as refused:
            verifier.verify(token + suffix)
        assert refused.value.code == code


@pytest.mark.parametrize("level", ["44", "65", "87"])
def test_rfc9964_example(level: str, vectors: Path) -> None:
    """The ML-DSA examples verify, and their kid is the thumbprint of RFC 7638."""
    case = json.loads((vectors / "rfc9964-mldsa-jose" / f"ML_DSA_{level}.jose.json").read_text())
    alg = f"ML-DSA-{level}"
    if rapidjws.backends().algorithms[alg] == "none":
        pytest.skip(f"no backend has {alg}")
    key = rapidjws.JWK.from_json({name: value for name, value in case["jwk"].items() if name != "priv"})
    assert key.thumbprint() == case["jwk"]["kid"]
    verified = Verifier(key, algorithms=[alg]).verify(case["jws"])
    assert (verified.alg, verified.key_thumbprint) == (alg, case["jwk"]["kid"])


COOKBOOK = {
    "jws/4_1.rsa_v15_signature.json": "RS256",
    "jws/4_2.rsa-pss_signature.json": "PS384",
    "jws/4_3.ecdsa_signature.json": "ES512",
    "jws/4_4.hmac-sha2_integrity_protection.json": "HS256",
    "curve25519/jws.json": "EdDSA",
}


@pytest.mark.parametrize("name", list(COOKBOOK))
def test_cookbook_compact(name: str, vectors: Path) -> None:
    """The compact outputs of RFC 7520 section 4 and RFC 8037 appendix A verify under their own keys."""
    case = json.loads((vectors / "ietf-jose-cookbook" / name).read_text())
    members = case["input"]["key"]
    key = rapidjws.JWK.from_json(members, private="d" in members)
    verified = Verifier(key.public(), algorithms=[COOKBOOK[name]]).verify(case["output"]["compact"])
    assert verified.payload.decode() == case["input"]["payload"]
