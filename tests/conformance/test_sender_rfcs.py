"""RFC 9449 and RFC 8705, sentence by sentence: what binds a resource server, and the test that holds it.

What binds authorization servers and clients alone (RFC 9449 s.5 and s.10, RFC 8705 s.2) is left out.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import dpop
import pytest
import tokens

from rapidjws.errors import CODES, error_for
from rapidjws.jwt.decision import Decision
from rapidjws.middleware.response import answer_for
from rapidjws.sender import ClientCertificate, DPoP, DPoPNonces, SenderConstraints, SenderRequest

TESTS: Final = Path(__file__).resolve().parents[1]
DPOP, STATE, CERTIFICATE = "unit/test_dpop.py", "unit/test_dpop_state.py", "unit/test_client_certificate.py"
SERVED: Final = "middleware/test_sender_constrained.py"
EACH: Final = f"{DPOP}::test_each_claim_of_a_proof_is_compared"
HEADER: Final = f"{DPOP}::test_each_member_of_a_proofs_header_is_checked"

HELD: Final = [
    ("9449 s.4.2", "typ MUST be dpop+jwt", HEADER),
    ("9449 s.4.2", "alg MUST NOT be none or symmetric", HEADER),
    ("9449 s.4.2", "jwk MUST NOT contain a private key", HEADER),
    ("9449 s.4.2", "ath MUST be there with an access token", EACH),
    ("9449 s.4.3 no. 1", "not more than one DPoP header field", f"{DPOP}::test_the_table_of_verdicts"),
    ("9449 s.4.3 no. 2", "one well-formed JWT", f"{DPOP}::test_what_is_no_jws_is_no_proof"),
    ("9449 s.4.3 no. 3", "all required claims", EACH),
    ("9449 s.4.3 no. 4", "typ is dpop+jwt", HEADER),
    ("9449 s.4.3 no. 5", "alg is asymmetric, registered, allowed by policy", HEADER),
    (
        "9449 s.4.3 no. 6",
        "the signature verifies with the jwk",
        f"{DPOP}::test_a_forged_proof_is_refused_and_uses_nothing_up",
    ),
    ("9449 s.4.3 no. 7", "jwk holds no private key", HEADER),
    ("9449 s.4.3 no. 8", "htm is the method", EACH),
    ("9449 s.4.3 no. 9", "htu is the URI without query and fragment", EACH),
    ("9449 s.4.3 no. 9", "compared after normalization", f"{DPOP}::test_a_uri_is_compared_normalized"),
    ("9449 s.4.3 no. 10", "nonce is the server's where it gave one", f"{STATE}::"),
    ("9449 s.4.3 no. 11", "the creation time is within a window", EACH),
    ("9449 s.4.3 no. 12a", "ath is the digest of the token", EACH),
    (
        "9449 s.4.3 no. 12b",
        "the key is the one that the token is bound to",
        f"{DPOP}::test_the_table_of_verdicts",
    ),
    (
        "9449 s.6.1",
        "cnf.jkt is the SHA-256 thumbprint",
        f"{DPOP}::test_the_example_of_the_rfc_holds_for_its_request_alone",
    ),
    ("9449 s.7.1", "no access unless all checks pass", f"{DPOP}::test_the_table_of_verdicts"),
    (
        "9449 s.7.1",
        "the scheme DPoP, without regard to case",
        f"{SERVED}::test_every_middleware_gives_the_verdicts_of_the_table",
    ),
    (
        "9449 s.7.2",
        "a bound token as Bearer is refused",
        f"{SERVED}::test_every_middleware_gives_the_verdicts_of_the_table",
    ),
    (
        "9449 s.9",
        "401 with use_dpop_nonce and DPoP-Nonce",
        f"{SERVED}::test_every_middleware_gives_the_verdicts_of_the_table",
    ),
    (
        "9449 s.11.1",
        "a proof is used once within its window",
        f"{DPOP}::test_a_forged_proof_is_refused_and_uses_nothing_up",
    ),
    (
        "9449 s.11.5",
        "a bound token without its proof is worth nothing",
        f"{DPOP}::test_a_thief_without_the_key_uses_no_single_use_token_up",
    ),
    (
        "8705 s.3",
        "the certificate of the connection is the token's",
        f"{CERTIFICATE}::test_the_certificate_of_each_gateway_is_read",
    ),
    ("8705 s.3", "a mismatch is refused", f"{CERTIFICATE}::test_the_certificate_of_each_gateway_is_read"),
    (
        "8705 s.3.1",
        "x5t#S256 is the SHA-256 of the DER, base64url without padding",
        f"{CERTIFICATE}::test_the_certificate_of_each_gateway_is_read",
    ),
    (
        "8705 s.6.3",
        "TLS termination: the header is taken from who is trusted alone",
        f"{CERTIFICATE}::test_whom_the_header_is_believed_from",
    ),
]


@pytest.mark.parametrize(
    ("clause", "must", "test"), HELD, ids=[f"{clause}: {must}" for clause, must, _ in HELD]
)
def test_each_sentence_has_its_test(clause: str, must: str, test: str) -> None:
    """The test that a sentence names is there."""
    file, _, name = test.partition("::")
    text = (TESTS / file).read_text("utf-8")
    assert re.search(rf"^def {name or 'test_'}", text, re.MULTILINE), (clause, must)


def test_a_nonce_is_made_of_the_characters_of_the_rfc() -> None:
    """RFC 9449 s.8.1: nonce = 1*NQCHAR, in the header as it is in the claim, and hard to guess."""
    nonces = DPoPNonces(secrets=[b"s" * 32])
    made = {nonces.issue(second * 300 * 10**9) for second in range(1000)}
    assert len(made) == 1000
    assert all(re.fullmatch(r"[\x21\x23-\x5b\x5d-\x7e]{24}", nonce) for nonce in made)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("dpop_proof_invalid", "invalid_dpop_proof"),
        ("dpop_proof_missing", "invalid_dpop_proof"),
        ("dpop_proof_replayed", "invalid_dpop_proof"),
        ("dpop_nonce_required", "use_dpop_nonce"),
        ("binding_mismatch", "invalid_token"),
        ("client_certificate_missing", "invalid_token"),
        ("expired", "invalid_token"),
    ],
)
def test_a_refusal_names_the_error_of_the_rfc(code: str, error: str) -> None:
    """401 with the error code of RFC 9449 s.7.1 and s.9, and of RFC 8705 s.3 for certificates."""
    assert code in CODES
    checks = SenderConstraints(dpop=DPoP(external_origins=dpop.ORIGIN))
    decision = Decision(outcome="deny", code=code, place=error_for(code, "token").place)
    answer = answer_for(decision, realm="api", scheme="Bearer", dpop=checks.challenge(dpop.NOW_S * 10**9))
    assert answer is not None
    assert answer.status == 401
    challenges = [value for name, value in answer.headers if name.lower() == "www-authenticate"]
    assert any(one.startswith("DPoP ") and f'error="{error}"' in one for one in challenges)


APPENDIX_A: Final = (
    "MIIBBjCBrAIBAjAKBggqhkjOPQQDAjAPMQ0wCwYDVQQDDARtdGxzMB4XDTE4MTAx"
    "ODEyMzcwOVoXDTIyMDUwMjEyMzcwOVowDzENMAsGA1UEAwwEbXRsczBZMBMGByqG"
    "SM49AgEGCCqGSM49AwEHA0IABNcnyxwqV6hY8QnhxxzFQ03C7HKW9OylMbnQZjjJ"
    "/Au08/coZwxS7LfA4vOLS9WuneIXhbGGWvsDSb0tH6IxLm8wCgYIKoZIzj0EAwID"
    "SQAwRgIhAP0RC1E+vwJD/D1AGHGzuri+hlV/PpQEKTWUVeORWz83AiEA5x2eXZOV"
    "bUlJSGQgjwD5vaUaKlLR50Q2DmFfQj1L+SY="
)
"""The certificate of RFC 8705 Appendix A, and its digest there."""
APPENDIX_A_X5T: Final = "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0"
SECTION_3_1_X5T: Final = "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"


@pytest.mark.parametrize("form", ["der", "pem", "xfcc"])
def test_rfc_8705_appendix_a(form: Any) -> None:
    """A token with the digest of the RFC holds with its certificate alone."""
    pem = f"-----BEGIN CERTIFICATE-----\n{APPENDIX_A}\n-----END CERTIFICATE-----\n"
    written = {"der": APPENDIX_A, "pem": quote(pem, safe=""), "xfcc": f'Cert="{quote(pem, safe="")}"'}[form]
    checks = SenderConstraints(mtls=ClientCertificate(trusted_peers="192.0.2.7", form=form))

    def code(x5t: str, *values: str) -> str:
        token = tokens.token(cnf={"x5t#S256": x5t})
        request = SenderRequest(
            token.encode(), certificates=[one.encode() for one in values], peer="192.0.2.7"
        )
        return dpop.engine().decide(token, now=dpop.NOW_S, sender=checks.check(request)).code

    assert code(APPENDIX_A_X5T, written) == "ok"
    assert code(SECTION_3_1_X5T, written) == "binding_mismatch"
    assert code(APPENDIX_A_X5T) == "client_certificate_missing"
