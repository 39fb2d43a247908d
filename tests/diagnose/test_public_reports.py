"""Public bug reports of people who verify JWS: verdict, first cause, and who must not be blamed."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from public_reports import ABSENT, EXPECTED, cases, judge, report_on, text_of

from rapidjws.diagnose import diagnose
from rapidjws.diagnose.report import Report
from rapidjws.errors import CODES, ConfigurationError, RapidJWSError
from rapidjws.jose.jwks import JWKSet
from rapidjws.jose.lint import lint_jwks
from rapidjws.jws.verifier import Verifier
from rapidjws.jwt.engine import Engine
from rapidjws.jwt.issuer import Issuer
from rapidjws.keys import FetchFailed, RemoteJWKS
from rapidjws.signing import LocalSigner, sign_compact
from rapidjws.testing import make_key

CASES = cases()
pytestmark = pytest.mark.skipif(not CASES, reason=ABSENT)

# number -> (verdict, first cause, who must act); None: accepted, and no cause
DIAGNOSED: dict[str, tuple[str | None, str | None, str | None]] = {
    "01-diagnose-detached-unencoded-newline": ("signature_invalid", "payload_newline", "client"),
    "01-diagnose-detached-unencoded-reserialized": ("signature_invalid", "payload_reserialized", "client"),
    "02-diagnose-detached-without-body": ("signature_invalid", "detached_without_body", "client"),
    "04-diagnose-signed-unencoded-without-b64": ("signature_invalid", "signed_raw_payload", "partner"),
    "07-same-kid-other-alg-same-key": (None, None, None),
    "09-diagnose-graph-token-nonce": ("signature_invalid", "header_nonce_hashed", "client"),
    "14-diagnose-unusable-jwks-false-statements": ("jwks_malformed", "jwks_single_jwk", "operator"),
    "15-diagnose-issuer-name-of-own-key": ("issuer_mismatch", "issuer_of_own_key", "operator"),
    "16-diagnose-sub-is-a-number": ("malformed_claim", "claim_type", "partner"),
    "18-diagnose-sd-jwt": ("malformed_base64url", "sd_jwt", "client"),
    "19-diagnose-dpop-proof": ("signature_invalid", "dpop_proof", "client"),
    "21-diagnose-plaid-body-digest": (None, None, None),
}


@pytest.mark.parametrize("name", sorted(DIAGNOSED))
def test_diagnosed(name: str) -> None:
    """The verdict is right, the first cause is what was done wrong, and only who did it must act."""
    report = report_on(CASES[name])
    code, first, who = DIAGNOSED[name]
    assert (report.code, report.probable_cause and report.probable_cause.id) == (code, first), text_of(report)
    if report.probable_cause is not None:
        assert report.probable_cause.escalate == who
        assert report.probable_cause.certainty == "proven"
    assert not any(cause.escalate == "security" for cause in report.causes), text_of(report)
    _same_as_file(name, report)


def _same_as_file(name: str, report: Report) -> None:
    """Hold the file's own words, where they are identifiers."""
    due = CASES[name]["expected"]
    cause = report.probable_cause
    if " " not in str(due.get("verdict", " ")) and "*" not in due["verdict"]:
        assert due["verdict"] == (report.code or ("accepted" if due["verdict"] == "accepted" else "verified"))
    if cause is not None:
        assert cause.escalate != due.get("escalate_not")
        assert due.get("escalate") in (None, cause.escalate)
        assert due.get("title_not", "\0") not in cause.title


def test_05_header_limit() -> None:
    """A header with a certificate chain is verified, or the limit that is named can be set."""
    report = report_on(CASES["05-header-limit-x5c-chain"])
    if not report.accepted:
        assert report.probable_cause is not None
        assert report.probable_cause.id == "header_too_large"
        assert "max_header_bytes" in report.probable_cause.fix
        assert report_on(CASES["05-header-limit-x5c-chain"], max_header_bytes=16_384).accepted


def test_11_webhook_body_as_text() -> None:
    """A caller's slip raises TypeError with the fix, never a 503 for the sender."""
    from rapidjws.middleware.webhook import verify_webhook

    given = CASES["11-webhook-body-as-text"]["input"]
    verifier = Verifier(JWKSet.from_json(given["jwks"]), algorithms=given["alg"])
    with pytest.raises(TypeError, match=r"body.*bytes"):
        verify_webhook(verifier, body=given["body"], headers={"X-JWS-Signature": given["token"]})


@pytest.mark.parametrize("typ", [["JWT", "at+jwt"], 1, b"JWT"])
def test_12_typ_is_checked(typ: Any) -> None:
    """A typ of the wrong type is refused at construction; several are refused or accepted as such."""
    case = CASES["12-issuer-typ-not-checked"]
    refusal = _refusal(case, typ=typ)
    if refusal is not None:
        assert "typ" in refusal
    else:
        assert isinstance(typ, list)
        assert judge(case, typ=typ).verify(case["input"]["token"], case["now"])


def _refusal(case: dict[str, Any], **options: Any) -> str | None:
    """Return the words of a constructor that refuses its arguments, or None."""
    try:
        judge(case, **options)
    except (ConfigurationError, TypeError) as refused:
        return str(refused)
    return None


def test_13_required_claims_mapping() -> None:
    """Values of required claims are compared, or refused with the reason; never dropped."""
    case = CASES["13-required-claims-mapping"]
    required = {"repository": "org/repo"}
    refusal = _refusal(case, required_claims=required)
    if refusal is not None:
        assert "required_claims" in refusal
        return
    with pytest.raises(RapidJWSError):
        judge(case, required_claims=required).verify(case["input"]["token"], case["now"])


def test_14_says_only_what_it_tested() -> None:
    """No statement about allowed algorithms or mistakes is made where no engine could be built."""
    text = text_of(report_on(CASES["14-diagnose-unusable-jwks-false-statements"]))
    assert "not among those allowed" not in text
    assert "known mistake" not in text
    assert "single JWK" in text
    assert "verifies under the key in it" in text


def test_18_one_cause() -> None:
    """An SD-JWT is named with the next step, and nothing else is made of its parts."""
    report = report_on(CASES["18-diagnose-sd-jwt"])
    assert "before the first '~'" in report.causes[0].title
    assert [cause.id for cause in report.causes] == ["sd_jwt"]


def test_21_digest() -> None:
    """The body is what the signed digest stands for, and is said so."""
    report = report_on(CASES["21-diagnose-plaid-body-digest"])
    assert any("request_body_sha256 is the body's SHA-256" in check.text for check in report.checks)


def test_22_other_alg_of_a_key_in_the_set() -> None:
    """The code does not depend on what else is allowed."""
    case = CASES["22-unknown-kid-for-a-key-in-the-set"]
    report = report_on(case)
    both = {**case, "input": {**case["input"], "alg": ["EdDSA", "Ed25519"]}}
    assert report.code == report_on(both).code == "key_alg_mismatch"
    assert report.probable_cause is not None
    assert report.probable_cause.id in ("key_unused", "key_alg_mismatch")


def test_23_null_members() -> None:
    """A null member is named where it costs the key, and by the lint."""
    case = CASES["23-jwks-null-members"]
    report = report_on(case)
    if not report.accepted:
        assert report.probable_cause is not None
        assert "is null: leave it out" in report.probable_cause.evidence
    findings = lint_jwks(json.dumps(case["input"]["jwks"]).encode())
    assert any("alg" in finding.place and "null" in finding.text for finding in findings), findings


def test_24_spiffe_bundle() -> None:
    """A key of a SPIFFE bundle is used where that is asked for, or named as what it is."""
    report = report_on(CASES["24-spiffe-bundle-use"])
    if not report.accepted:
        assert report.probable_cause is not None
        assert report.probable_cause.id == "spiffe_bundle"
        assert "SPIFFE" in report.probable_cause.title


def test_25_x5t_alone() -> None:
    """A header with x5t alone is verified, or the key it names is named."""
    report = report_on(CASES["25-x5t-only-header"])
    if not report.accepted:
        assert report.probable_cause is not None
        assert report.probable_cause.id == "key_named_by_x5t"
        assert "header.x5t names key 'A1'" in report.probable_cause.evidence


@pytest.mark.parametrize("status", [401, 302, 404])
def test_26_fetch_status(status: int) -> None:
    """The status of a failed fetch is reported, and nothing is said of a kid without a single key."""
    assert "jwks_url" in CASES["26-fetch-status-lost"]["input"]

    def fetch(url: str, etag: str | None) -> Any:
        raise FetchFailed("status", status)

    source = RemoteJWKS("https://keys.example/jwks.json", fetch=fetch)
    engine = Engine(Issuer("https://i.example", keys=source, algorithms=["ES256"], audience="api"))
    source.refresh(5.0)
    key = make_key("ES256", kid="k")
    report = diagnose(sign_compact(b'{"iss":"https://i.example"}', LocalSigner(key)), engine, now=time.time())
    assert f"status {status}" in str(source.status().last_failure)
    assert [cause.id for cause in report.causes] == ["keys_not_fetched"]
    assert f"status {status}" in report.causes[0].evidence


def test_27_subject_not_ascii() -> None:
    """A subject that is no ASCII arrives encoded, or its absence is reported."""
    from rapidjws.middleware.response import trusted_headers

    key = make_key("ES256", kid="k1")
    claims = {**CASES["27-sidecar-subject-not-ascii"]["input"]["token_claims"], "exp": 4_000_000_000}
    engine = Engine(Issuer("https://i.example", keys=key.public(), algorithms=["ES256"], audience="api"))
    decision = engine.decide(_signed(key, {"alg": "ES256", "kid": "k1"}, json.dumps(claims).encode()))
    assert decision.verified is not None
    assert any("subject" in name and value for name, value in trusted_headers(decision))


def test_28_b64_true_without_crit() -> None:
    """A b64 of true outside crit is verified; RFC 7797 section 6 speaks of the value false only."""
    key = make_key("ES256", kid="k1")
    header = CASES["28-b64-true-without-crit"]["input"]["protected_header"]
    token = _signed(key, header, b"{}")
    report = diagnose(token, Verifier(JWKSet((key.public(),)), algorithms=["ES256"]))
    assert report.accepted or report.causes[0].id == "b64_without_crit"


def test_29_logout_token() -> None:
    """A logout token is refused, or accepted with a note that says how to refuse it."""
    given = CASES["29-logout-token-as-access-token"]["input"]
    key = make_key("RS256", kid="r1")
    claims = {**given["claims"], "exp": 1_800_000_600}
    engine = Engine(Issuer("https://i.example", keys=key.public(), algorithms=["RS256"], audience="api"))
    report = diagnose(_signed(key, given["header"], json.dumps(claims).encode()), engine, now=1_800_000_000)
    assert report.code in (None, "typ_mismatch")
    if report.accepted:
        assert any(check.name == "hardening" and "typ='at+jwt'" in check.text for check in report.checks)


def _signed(key: Any, header: dict[str, Any], payload: bytes) -> str:
    from rapidjws.signing.compact import assemble

    return assemble(json.dumps(header).encode(), payload, LocalSigner(key))


def test_every_report_is_held() -> None:
    """All the reports were read, and each has a test of this file."""
    held = set(DIAGNOSED) | {
        name for name in CASES for test in globals() if test.startswith(f"test_{name[:2]}_")
    }
    assert len(CASES) == EXPECTED
    assert held == set(CASES)
    assert {code for code, *_ in DIAGNOSED.values() if code} <= set(CODES)
