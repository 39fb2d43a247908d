"""Gallery, part one: tokens damaged on the way, and headers and claims that issuers get wrong."""

# ruff: noqa: E501 - one row a case reads better than one argument a line
from __future__ import annotations

import base64
import json
from typing import Any

from broken_world import (
    AUD,
    BANK,
    NOW,
    SECRET,
    b64,
    claims,
    dumps,
    engine,
    header,
    hs_token,
    key,
    one_issuer,
    token,
)

# Each row: test id, the probable cause, the token, what is handed to diagnose beside it.
_JWE = b64(b'{"alg":"dir","enc":"A256GCM"}')
_NONE = b64(b'{"alg":"none"}')
_ODD_NONE = b64(b'{"alg":"nOnE"}')
Row = tuple[str, str, Any, dict[str, Any]]


def _padded(text: str) -> str:
    return ".".join(part + "=" * (-len(part) % 4) for part in text.split("."))


def _wrapped(text: str) -> str:
    return "\n".join(text[at : at + 64] for at in range(0, len(text), 64))


def _standard(text: str) -> str:
    for number in range(200):  # a token that has '-' or '_' in it
        text = token(payload=claims(jti=f"x{number}???>>>"))
        if "-" in text or "_" in text:
            break
    return text.replace("-", "+").replace("_", "/")


def _trailing_bits(text: str) -> str:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return text[:-1] + alphabet[alphabet.index(text[-1]) + 1]


def _json_form(text: str) -> str:
    first, second, third = text.split(".")
    return json.dumps({"payload": second, "protected": first, "signature": third})


def transport() -> list[Row]:
    """Return tokens that were good when they left the issuer."""
    good = token()
    return [
        ("bearer-left-in", "bearer_prefix", f"Bearer {good}", {}),
        ("authorization-line", "bearer_prefix", f"Authorization: bearer {good}", {}),
        ("jwt-scheme", "bearer_prefix", f"JWT {good}", {}),
        ("cookie-name", "name_prefix", f"access_token={good}", {}),
        ("json-quotes", "quoted", f'"{good}"', {}),
        ("typographic-quotes", "quoted", f"\u201c{good}\u201d", {}),
        ("final-newline", "outer_whitespace", f"{good}\n", {}),
        ("leading-space", "outer_whitespace", f" {good}", {}),
        ("header-list-comma", "trailing_separator", f"{good},", {}),
        ("file-with-bom", "byte_order_mark", f"\ufeff{good}", {}),
        ("powershell-utf16", "utf16", good.encode("utf-16"), {}),
        ("form-encoded", "percent_encoded", good.replace(".", "%2E"), {}),
        ("env-backslash-n", "escaped_newline", f"{good}\\n", {}),
        ("mail-wrapped", "line_breaks", _wrapped(good), {}),
        ("space-inside", "inner_whitespace", f"{good[:50]} {good[50:]}", {}),
        ("zero-width-space", "invisible_character", f"{good[:30]}\u200b{good[30:]}", {}),
        ("autocorrected-dash", "typographic_character", _dashed(), {}),
        ("log-ellipsis", "elided", f"{good[:40]}...{good[-12:]}", {}),
        ("log-mask", "masked", f"{good.rpartition('.')[0]}.****", {}),
        ("header-sent-twice", "doubled", f"{good}, {good}", {}),
        ("pasted-twice", "doubled", good + good, {}),
        ("flattened-json", "json_serialization", _json_form(good), {}),
        ("five-parts-jwe", "encrypted_token", f"{_JWE}..AAAA.AAAA.AAAA", {}),
        ("opaque", "opaque_token", "8f14e45fceea167a5a36dedd4bea2543", {}),
        ("two-parts", "signature_missing", good.rpartition(".")[0], {}),
        ("empty-signature", "signature_missing", good.rpartition(".")[0] + ".", {}),
        ("nothing", "empty", "", {}),
        ("none-object", "not_text", None, {}),
        ("padding-kept", "padding", _padded(good), {}),
        ("standard-base64", "standard_alphabet", _standard(good), {}),
        ("header-buffer-limit", "cut_off", good[:-9], {}),
        ("changed-last-character", "trailing_bits", _trailing_bits(good), {}),
        ("too-large", "too_large", token(payload=claims(groups=["g" * 40] * 400)), {}),
    ]  # fmt: skip


def _dashed() -> str:
    for number in range(200):
        text = token(payload=claims(jti=f"dash-{number}>>>"))
        if "-" in text:
            return text.replace("-", "\u2013")
    raise AssertionError("no dash in any token")


def headers() -> list[Row]:
    """Return tokens whose header is wrong."""
    twice = b64(b64(dumps(header("ES256"))).encode())
    rest = token().partition(".")[2]
    return [
        ("header-base64-twice", "header_encoded_twice", f"{twice}.{rest}", {}),
        ("header-text", "header_not_json", token(head=b"ES256"), {}),
        ("header-kid-twice", "duplicate_header_member", token(head=b'{"alg":"ES256","kid":"a","kid":"b"}'), {}),
        ("alg-none", "alg_none", f"{_NONE}.{b64(dumps(claims()))}.", {}),
        ("alg-None", "alg_none", f"{_ODD_NONE}.{b64(dumps(claims()))}.AAAA", {}),
        ("alg-lower-case", "alg_spelling", token(head=header("ES256") | {"alg": "es256"}), {}),
        ("alg-java-name", "alg_spelling", token(head=header("ES256") | {"alg": "SHA256withECDSA"}), {}),
        ("alg-space", "alg_spelling", token(head=header("ES256") | {"alg": "ES256 "}), {}),
        ("alg-absent", "alg_missing", token(head={"kid": "bank-es256-2026"}), {}),
        ("alg-encryption", "alg_encryption", token(head=header("ES256") | {"alg": "RSA-OAEP-256"}), {}),
        ("alg-made-up", "alg_unknown", token(head=header("ES256") | {"alg": "ES1024"}), {}),
        ("alg-not-allowed", "algorithm_not_allowed", hs_token(SECRET), {}),
        ("id-token", "id_token", token(payload=claims(nonce="n", at_hash="x")), {"using": one_issuer(typ="at+jwt")}),
        ("typ-other", "typ_mismatch", token(), {"using": one_issuer(typ="at+jwt")}),
        ("crit-extension", "crit", token(head=header("ES256", crit=["exp-x"], **{"exp-x": 1})), {}),
        ("crit-empty", "crit_malformed", token(head=header("ES256", crit=[])), {}),
        ("b64-false", "unencoded_payload", token(head=header("ES256", b64=False, crit=["b64"])), {}),
    ]  # fmt: skip


def dates() -> list[Row]:
    """Return tokens whose dates or claims are wrong."""
    hour = 3600
    return [
        ("old", "expired", token(payload=claims(iat=NOW - 200_000, exp=NOW - 199_700)), {}),
        ("late-by-seconds", "expired_just_now", token(payload=claims(iat=NOW - 400, exp=NOW - 100)), {}),
        ("age-of-whole-hours", "expired",
         token(payload=claims(iat=NOW - 5 * hour - 3, exp=NOW - 5 * hour + 297)), {}),
        ("local-time-east", "clock_local_time",
         token(payload=claims(iat=NOW + 2 * hour - 2, exp=NOW + 2 * hour + 298)), {}),
        ("clock-ahead", "clock_ahead", token(payload=claims(iat=NOW + 95, exp=NOW + 395)), {}),
        ("for-later-use", "activated_later", token(payload=claims(nbf=NOW + 864_000, exp=NOW + 900_000)), {}),
        ("milliseconds", "date_milliseconds", token(payload=claims(exp=(NOW + 300) * 1000)), {}),
        ("iso-date", "date_text", token(payload=claims(exp="2027-01-15T08:00:00Z")), {}),
        ("number-as-text", "date_text", token(payload=claims(iat=str(NOW))), {}),
        ("duration", "date_duration", token(payload=claims(exp=300)), {}),
        ("exp-before-iat", "lifetime_negative", token(payload=claims(exp=NOW - 5000, iat=NOW - 4000)), {}),
        ("too-old", "too_old", token(payload=claims(iat=NOW - 10_000)), {"using": one_issuer(max_age_s=600)}),
        ("issuer-slash", "issuer_spelling", token(payload=claims(iss=f"{BANK}/")), {}),
        ("issuer-http", "issuer_spelling", token(payload=claims(iss="http://bank.example")), {"using": one_issuer()}),
        ("issuer-of-own-key", "issuer_of_own_key", token(payload=claims(iss="https://other.example")), {"using": one_issuer()}),
        ("audience-slash", "audience_spelling", token(payload=claims(aud=f"{AUD}/")), {}),
        ("audience-joined", "audience_joined", token(payload=claims(aud=f"x {AUD}")), {}),
        ("audience-stranger", "audience_other", token(payload=claims(aud="https://mail.example")), {}),
        ("audience-unset", "audience_unset", token(), {"using": one_issuer(audience=())}),
        ("audience-of-client", "id_token", token(payload=claims(aud="client-7", nonce="n")), {}),
        ("exp-misnamed", "claim_misnamed", token(payload=claims(exp=None, expires_at=NOW + 300)), {}),
        ("exp-missing", "claim_missing", token(payload=claims(exp=None)), {}),
        ("sub-null", "claim_null", token(payload=claims() | {"sub": None}),
         {"using": one_issuer(required_claims=("sub",))}),
        ("aud-number", "claim_type", token(payload=claims(aud=7)), {}),
        ("claims-twice", "duplicate_claim", token(payload=dumps(claims())[:-1] + b',"sub":"admin"}'), {}),
        ("payload-quoted-json", "payload_encoded_twice", token(payload=dumps(dumps(claims()).decode())),
         {"using": one_issuer()}),
        ("payload-base64-twice", "payload_encoded_twice",
         token(payload=base64.b64encode(dumps(claims()))), {"using": one_issuer()}),
        ("payload-array", "payload_not_claims", token(payload=b"[1]"), {"using": one_issuer()}),
        ("payload-xml", "payload_not_json", token(payload=b"<saml/>"), {"using": one_issuer()}),
        ("payload-bom", "byte_order_mark", token(payload=b"\xef\xbb\xbf" + dumps(claims())),
         {"using": one_issuer()}),
        ("clock-at-1970", "clock_here", token(), {"now": 12_345.0}),
    ]  # fmt: skip


def rows() -> list[Row]:
    """Return every row of this part, each with the engine it is sent to."""
    found = [*transport(), *headers(), *dates()]
    return [
        (name, cause, made, {"using": engine(), "now": float(NOW), **more})
        for name, cause, made, more in found
    ]


__all__ = ["key", "rows"]
