"""Every serialization of the RFCs' examples: the cookbook's 28, RFC 7515 A.6, A.7 and F, RFC 7797."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import rapidjws
from rapidjws import JWK, Verifier

FILES = (
    "jws/4_1.rsa_v15_signature",
    "jws/4_2.rsa-pss_signature",
    "jws/4_3.ecdsa_signature",
    "jws/4_4.hmac-sha2_integrity_protection",
    "jws/4_5.signature_with_detached_content",
    "jws/4_6.protecting_specific_header_fields",
    "jws/4_7.protecting_content_only",
    "jws/4_8.multiple_signatures",
    "curve25519/jws",
    "rfc7797/4.2.hmac-sha2_b64_false",
    "rfc7797/hmac-sha2_b64_false",
)
UNPROTECTED_ALG = ("jws/4_7.protecting_content_only", "jws/4_8.multiple_signatures")
"""alg stands in an unprotected header only: refused unless the caller allows it."""

DRAFT = "rfc7797/4.2.hmac-sha2_b64_false"
"""Made before RFC 7797 s.6 asked for crit: to be refused."""


def cookbook(vectors: Path, name: str) -> dict[str, Any]:
    """Return one example."""
    case: dict[str, Any] = json.loads((vectors / "ietf-jose-cookbook" / f"{name}.json").read_text())
    return case


def outputs(case: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield every serialization of an example: the form's name, and the token."""
    yield from case["output"].items()


def keys_of(case: dict[str, Any]) -> dict[str, JWK]:
    """Return the keys under names of their own: some share a kid, and kinds may not share a set."""
    found = case["input"]["key"]
    listed = found if isinstance(found, list) else [found]
    return {f"signer {i}": JWK.from_json(key, private="d" in key).public() for i, key in enumerate(listed)}


def verifier_for(case: dict[str, Any], **options: Any) -> Verifier:
    """Return a verifier of the example's keys and algorithms."""
    wanted = case["input"]["alg"]
    algs = wanted if isinstance(wanted, list) else [wanted]
    return Verifier(keys_of(case), algorithms=algs, crit=["b64"], **options)


def code_of(verifier: Verifier, token: Any, **options: Any) -> str:
    """Return "ok" or the code, from text and from members."""
    spellings = [token] if isinstance(token, str) else [token, json.dumps(token)]
    codes = set()
    for spelling in spellings:
        try:
            verifier.verify(spelling, **options)
            codes.add("ok")
        except rapidjws.TokenRefused as refused:
            codes.add(refused.code)
    (code,) = codes
    return code


@pytest.mark.parametrize("name", FILES)
def test_cookbook(name: str, vectors: Path) -> None:
    """Each serialization of an example verifies, or is refused for the reason that is registered."""
    case = cookbook(vectors, name)
    payload = case["input"]["payload"].encode()
    strict = verifier_for(case)
    lenient = verifier_for(case, allow_unprotected_alg=True)
    for _, token in outputs(case):
        is_detached = name.startswith("jws/4_5")
        beside = {"payload": payload} if is_detached else {}
        if name == DRAFT:
            assert code_of(lenient, token) == "b64_unsupported"
            continue
        if name in UNPROTECTED_ALG:
            assert code_of(strict, token) in ("unprotected_parameter", "signatures_insufficient")
        else:
            assert code_of(strict, token, **beside) == "ok"
        assert code_of(lenient, token, **beside) == "ok"
        assert lenient.verify(token, **beside).payload == payload
        if is_detached:
            assert code_of(strict, token, payload=payload + b" ") == "signature_invalid"
            assert strict.verify_detached(token, io.BytesIO(payload)).alg == "HS256"


def test_the_whole_cookbook_was_read(vectors: Path) -> None:
    """There are 28 serializations in all."""
    assert sum(len(list(outputs(cookbook(vectors, name)))) for name in FILES) == 28


def test_cookbook_policies(vectors: Path) -> None:
    """The example with three signers meets policies over all of them, and over the protected ones alone."""
    case = cookbook(vectors, "jws/4_8.multiple_signatures")
    token = case["output"]["json"]
    strict, lenient = verifier_for(case), verifier_for(case, allow_unprotected_alg=True)
    assert code_of(lenient, token, signatures=rapidjws.at_least(3)) == "ok"
    assert code_of(strict, token, signatures=rapidjws.at_least(3)) == "signatures_insufficient"
    both = rapidjws.signers({"signer 0", "signer 2"})
    verified = strict.verify(token, signatures=both)
    assert [one.code for one in verified.signatures] == [None, "unprotected_parameter", None]
    assert [one.issuer for one in verified.signatures] == ["signer 0", None, "signer 2"]


def appendix(vectors: Path, case_id: str) -> dict[str, Any]:
    """Return one case of RFC 7515's appendices."""
    cases = json.loads((vectors / "rfc7515" / "rfc7515_appendix.json").read_text())["cases"]
    assert len(cases) == 9
    found: dict[str, Any] = next(case for case in cases if case["id"] == case_id)
    return found


@pytest.mark.parametrize("case_id", ["A.6", "A.7"])
def test_rfc7515_json_examples(case_id: str, vectors: Path) -> None:
    """The General and the Flattened example verify, though their kid is unprotected."""
    case = appendix(vectors, case_id)
    keys = appendix(vectors, "A.6")["key"]  # the same two; A.7's own is given without its kid
    algs = case["alg"] if isinstance(case["alg"], list) else [case["alg"]]
    verifier = Verifier([JWK.from_json(key) for key in keys], algorithms=algs)
    verified = verifier.verify(json.dumps(case["jws"]))
    assert json.loads(verified.payload)["iss"] == "joe"
    assert [one.alg for one in verified.signatures] == algs
    assert code_of(verifier, case["jws"], signatures=rapidjws.at_least(len(algs))) == "ok"


def test_rfc7515_detached_example(vectors: Path) -> None:
    """The detached example verifies with its payload, in memory and streamed, and with no other."""
    case = appendix(vectors, "F")
    verifier = Verifier(JWK.from_json(case["key"]), algorithms=[case["alg"]])
    whole = appendix(vectors, "A.3")["jws"]
    payload = verifier.verify(whole).payload
    assert verifier.verify(case["jws"], payload=payload).payload == payload
    assert verifier.verify_detached(case["jws"], [payload[:9], payload[9:]]).alg == "ES256"
    for other in (payload[:-1], b"", payload + b"\n"):
        assert code_of(verifier, case["jws"], payload=other) == "signature_invalid"


_RFC7797_HEADER = "eyJhbGciOiJIUzI1NiIsImI2NCI6ZmFsc2UsImNyaXQiOlsiYjY0Il19"


def test_rfc7797_example_section_4_2() -> None:
    """The detached unencoded example of RFC 7797 s.4.2, its values as the RFC prints them."""
    secret = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"
    token = _RFC7797_HEADER + "..A5dxf2s96_n5FLueVuW1Z_vh161FwXZC4YLPff6dmDY"
    key = JWK.from_json({"kty": "oct", "k": secret})
    verifier = Verifier(key, algorithms=["HS256"], crit=["b64"])
    assert verifier.verify(token, payload=b"$.02").payload == b"$.02"
    assert verifier.verify_detached(token, [b"$", b".02"]).header["b64"] is False
    assert code_of(Verifier(key, algorithms=["HS256"]), token, payload=b"$.02") == "crit_unsupported"
