"""Each statement of a report in the case that makes it false (T14); causes that need evidence (N6, B)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from broken_world import (
    AUD,
    BANK,
    KINDS,
    NOW,
    SHOP,
    b64,
    bank_keys,
    claims,
    dumps,
    engine,
    header,
    key,
    one_issuer,
    sign,
    token,
)

from rapidjws.diagnose import diagnose
from rapidjws.diagnose.availability import key_availability
from rapidjws.diagnose.report import Report
from rapidjws.diagnose.subject import ExaminedEngine
from rapidjws.jose.jwks import JWKSet
from rapidjws.jws.verifier import Verifier
from rapidjws.jwt.issuer import Issuer
from rapidjws.testing import make_key

KID = "bank-es256-2026"
FRESH_SAME = "a fresh fetch holds the same key"
FRESH_OTHER = "a fresh fetch holds another key under this kid"
FRESH_GONE = "a fresh fetch does not hold this kid any more"


def said(report: Report) -> set[str]:
    """Return the texts of all checks."""
    return {check.text for check in report.checks}


def fresh(*keys: Any) -> JWKSet:
    """Return a fresh set of the bank."""
    return JWKSet(tuple(one.public() for one in keys))


@pytest.mark.parametrize(
    ("sets", "statement"),
    [
        ({BANK: fresh(key("ES256"))}, FRESH_SAME),
        ({BANK: fresh(make_key("ES256", kid=KID))}, FRESH_OTHER),
        ({BANK: fresh(make_key("ES256", kid="next"))}, FRESH_GONE),
        ({SHOP: fresh(key("ES256"))}, FRESH_GONE),
        ({SHOP: fresh(key("ES256")), BANK: fresh(make_key("ES256", kid=KID))}, FRESH_OTHER),
        ({SHOP: fresh(make_key("ES256", kid=KID)), BANK: fresh(key("ES256"))}, FRESH_SAME),
    ],
)
def test_T14_fresh_keys_are_those_of_the_issuer(sets: dict[str, JWKSet], statement: str) -> None:
    """What is said of a fresh fetch is said of this issuer's, whatever another issuer publishes."""
    report = diagnose(token(), engine(), now=NOW, fresh=sets)
    assert {text for text in said(report) if text.startswith("a fresh fetch")} == {statement}


def test_T14_fresh_kid_of_another_issuer() -> None:
    """A kid that only another issuer has newly published is no stale cache of ours."""
    next_key = make_key("ES256", kid="next")
    made = token(head=header("ES256", "next"), jwk=next_key)
    stale = diagnose(made, engine(), now=NOW, fresh={BANK: fresh(next_key)})
    other = diagnose(made, engine(), now=NOW, fresh={SHOP: fresh(next_key)})
    assert stale.causes[0].id == "stale_cache"
    assert "stale_cache" not in {cause.id for cause in other.causes}
    assert not any("a fresh fetch holds this kid" in text for text in said(other))


def test_T14_key_of_another_issuer_is_not_ours() -> None:
    """A kid that only another issuer has is no key of ours; an attack only where its key signed."""
    made = token(head=header("ES256", "shop-1"), jwk=make_key("ES256", kid="shop-1"))
    report = diagnose(made, engine(), now=NOW)
    assert "the kid names a key in use" not in said(report)
    assert (report.causes[0].id, report.causes[0].certainty) == ("kid_of_other_issuer", "possible")
    assert not any(cause.escalate == "security" for cause in report.causes)
    forged = diagnose(token(head=header("ES256", "shop-1"), jwk=key("ES256", "shop-1")), engine(), now=NOW)
    assert (forged.causes[0].id, forged.causes[0].certainty) == ("other_issuer_key", "proven")


def test_T14_left_out_of_another_issuer() -> None:
    """A key that another issuer's set left out explains nothing of ours."""
    broken = {"keys": [{"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "kid": "gone"}]}
    shop = Issuer(SHOP, keys=JWKSet.from_json(broken), algorithms=["ES256"], audience=AUD)
    bank = Issuer(BANK, keys=JWKSet(bank_keys()), algorithms=KINDS, audience=AUD)
    made = token(head=header("ES256", "gone"), jwk=make_key("ES256", kid="gone"))
    report = diagnose(made, ExaminedEngine(bank, shop), now=NOW)
    assert report.causes[0].id == "kid_unknown"
    shops = token(head=header("ES256", "gone"), payload=claims(iss=SHOP), jwk=make_key("ES256", kid="gone"))
    assert diagnose(shops, ExaminedEngine(bank, shop), now=NOW).causes[0].id == "key_left_out"


def test_T14_verified_is_said_where_it_is() -> None:
    """That a signature verifies, and under which key, is said in the good case only."""
    good, bad = (
        diagnose(token(), engine(), now=NOW),
        diagnose(token(jwk=make_key("ES256")), engine(), now=NOW),
    )
    assert "verifies under the key that the header names" in said(good)
    assert "verifies under the key that the header names" not in said(bad)
    assert any("(signature verified)" in text for text in said(good))
    assert any("not verified" in text for text in said(bad))


def test_T14_availability_compares_whole_keys() -> None:
    """'The same key' means type, curve and material; another one under the kid is 'replaced'."""
    here = JWKSet((key("ES256").public(),))
    assert key_availability(KID, here, here).state == "available"
    other = make_key("ES384", kid=KID).public()
    assert key_availability(KID, here, JWKSet((other,))).state == "replaced"


@pytest.mark.parametrize("hours", range(1, 14))
def test_N6_age_proves_nothing(hours: int) -> None:
    """A token whose age is near whole hours is an expired token; the clock is at most noted."""
    report = diagnose(
        token(payload=claims(iat=NOW - 3600 * hours, exp=NOW - 3600 * hours + 300)), engine(), now=NOW
    )
    assert report.causes[0].id in ("expired", "expired_just_now")
    assert not any(cause.id.startswith("clock") for cause in report.causes)
    aged = diagnose(token(payload=claims(iat=NOW - 3600 * hours)), one_issuer(max_age_s=600), now=NOW)
    assert aged.causes[0].id == "too_old"


def test_N6_clock_needs_evidence() -> None:
    """A clock is named where iat lies in the future: whole hours are local time; nbf alone is no evidence."""

    def first(**changes: Any) -> str:
        return diagnose(token(payload=claims(exp=NOW + 90_000, **changes)), engine(), now=NOW).causes[0].id

    assert first(iat=NOW + 7200) == "clock_local_time"
    assert first(iat=NOW + 500) == "clock_ahead"
    assert first(nbf=NOW + 7200) == "activated_later"
    assert first(nbf=NOW + 7200, iat=None) == "activated_later"
    assert first(nbf=NOW + 7200, iat=NOW + 7200) == "clock_local_time"


RAW = dumps(header("ES256", b64=False, crit=["b64"]))
BODY = b'{"id":1,"name":"x","lines":"a\\nb"}\n'


@pytest.mark.parametrize(
    ("cause", "received"),
    [
        ("payload_newline", BODY.rstrip()),
        ("payload_line_endings", BODY.rstrip() + b"\r\n"),
        ("payload_reserialized", json.dumps(json.loads(BODY)).encode()),
        ("payload_bom", b"\xef\xbb\xbf" + BODY),
        ("payload_reserialized", json.dumps(json.loads(BODY), indent=2).encode()),
        ("signature_unexplained", BODY.replace(b"1", b"2")),
    ],
)
@pytest.mark.parametrize("raw", [True, False])
@pytest.mark.parametrize("form", ["compact", "json"])
def test_B1_detached_bodies(cause: str, received: bytes, raw: bool, form: str) -> None:
    """A rewritten body of a detached token is explained alike for both b64 and both serializations."""
    signed = BODY if cause != "payload_reserialized" else BODY.rstrip()
    head = RAW if raw else dumps(header("ES256"))
    octets = b64(head).encode() + b"." + (signed if raw else b64(signed).encode())
    signature = b64(sign("ES256", octets))
    text = f"{b64(head)}..{signature}"
    if form == "json":
        text = json.dumps({"protected": b64(head), "signature": signature})
    verifier = Verifier(JWKSet(bank_keys()), algorithms=KINDS, crit=["b64"])
    assert diagnose(text, verifier, now=NOW, body=signed).accepted
    report = diagnose(text, verifier, now=NOW, body=received)
    assert (report.code, report.causes[0].id) == ("signature_invalid", cause)
    assert report.causes[0].escalate == "client"
    missing = diagnose(text, verifier, now=NOW)
    assert missing.causes[0].id == "detached_without_body"
    assert not any(one.escalate == "security" for one in missing.causes)


def test_B1_raw_and_encoded_are_reported_apart() -> None:
    """A body signed raw without b64, and one signed encoded under b64 false, are both named."""
    verifier = Verifier(JWKSet(bank_keys()), algorithms=KINDS, crit=["b64"])
    plain = b64(dumps(header("ES256")))
    made = f"{plain}..{b64(sign('ES256', plain.encode() + b'.' + BODY))}"
    assert diagnose(made, verifier, now=NOW, body=BODY).causes[0].id == "signed_raw_payload"
    raw = b64(RAW)
    made = f"{raw}..{b64(sign('ES256', f'{raw}.{b64(BODY)}'.encode()))}"
    assert diagnose(made, verifier, now=NOW, body=BODY).causes[0].id == "signed_encoded_payload"


def test_B3_unknown_crit_is_the_cause() -> None:
    """An extension that is not understood is named, with or without a body, with b64 or without."""
    verifier = Verifier(JWKSet(bank_keys()), algorithms=KINDS, crit=["b64"])
    both = dumps(header("ES256", b64=False, crit=["b64", "exp-x"], **{"exp-x": 1}))
    made = f"{b64(both)}..{b64(sign('ES256', b64(both).encode() + b'.' + BODY))}"
    for body in (BODY, None):
        report = diagnose(made, verifier, now=NOW, body=body)
        assert (report.code, report.causes[0].id) == ("crit_unsupported", "crit")
        assert "exp-x" in report.causes[0].evidence
    understanding = Verifier(JWKSet(bank_keys()), algorithms=KINDS, crit=["b64", "exp-x"])
    assert diagnose(made, understanding, now=NOW, body=BODY).accepted
    only = f"{b64(RAW)}..{b64(sign('ES256', b64(RAW).encode() + b'.' + BODY))}"
    report = diagnose(only, Verifier(JWKSet(bank_keys()), algorithms=KINDS), now=NOW, body=BODY)
    assert (report.code, report.causes[0].id) == ("crit_unsupported", "unencoded_payload")
    report = diagnose(made, Verifier(JWKSet(bank_keys()), algorithms=KINDS), now=NOW, body=BODY)
    assert report.code == "crit_unsupported"
    assert report.causes[0].id in ("crit", "unencoded_payload")


@pytest.mark.parametrize("name", ["request_body_sha256", "body_digest", "http"])
def test_B7_body_digests(name: str) -> None:
    """A digest of the body in a claim is recognised in any usual writing; a wrong one is explained."""
    import base64
    import hashlib

    value: Any = {
        "request_body_sha256": hashlib.sha256(BODY).hexdigest(),
        "body_digest": f"sha-512=:{base64.b64encode(hashlib.sha512(BODY).digest()).decode()}:",
        "http": {"content_digest": b64(hashlib.sha384(BODY).digest())},
    }[name]
    verifier = Verifier(JWKSet(bank_keys()), algorithms=KINDS)
    made = token(payload={"iat": NOW, name: value})
    report = diagnose(made, verifier, now=NOW, body=BODY)
    assert (report.accepted, report.causes) == (True, ())
    assert any("the body is what was signed for" in text for text in said(report))
    report = diagnose(made, verifier, now=NOW, body=BODY.rstrip())
    assert (report.causes[0].id, report.causes[0].certainty) == ("body_digest_differs", "proven")
    assert "line feed" in report.causes[0].evidence
    report = diagnose(made, verifier, now=NOW, body=BODY.replace(b"1", b"7"))
    assert report.causes[0].id == "body_digest_differs"
    forged = diagnose(
        token(payload={"iat": NOW, name: value}, jwk=make_key("ES256")), verifier, now=NOW, body=BODY
    )
    assert not any(text.endswith("the body is what was signed for") for text in said(forged))


def test_B7_issuer_of_own_key_needs_the_trial() -> None:
    """Another iss is the operator's matter only where the configured issuer's own key signed."""
    good = diagnose(token(payload=claims(iss="http://keycloak:8080/x")), one_issuer(), now=NOW)
    assert (good.causes[0].id, good.causes[0].escalate) == ("issuer_of_own_key", "operator")
    made = token(payload=claims(iss="http://keycloak:8080/x"), jwk=make_key("ES256"))
    assert "issuer_of_own_key" not in {cause.id for cause in diagnose(made, one_issuer(), now=NOW).causes}
    slash = diagnose(token(payload=claims(iss=f"{BANK}/")), one_issuer(), now=NOW)
    assert slash.causes[0].id == "issuer_spelling"


@pytest.mark.parametrize(("name", "value"), [("sub", 42), ("jti", 7), ("sub", ["a"]), ("jti", True)])
def test_B10_claim_types(name: str, value: Any) -> None:
    """A sub or jti that is no string is said to be so; no word of dates."""
    report = diagnose(token(payload=claims(**{name: value})), one_issuer(), now=NOW)
    assert (report.code, report.causes[0].id) == ("malformed_claim", "claim_type")
    assert report.causes[0].evidence.startswith(f"{name} is ")
    assert "date" not in report.causes[0].title


@pytest.mark.parametrize("name", ["exp", "nbf", "iat"])
def test_B10_null_dates(name: str) -> None:
    """A date that is null is named as null."""
    report = diagnose(token(payload={**claims(), name: None}), one_issuer(), now=NOW)
    if not report.accepted:
        assert report.causes[0].id in ("claim_null", "date_null"), report.causes
        assert name in report.causes[0].evidence
