"""Gallery, part two: wrong keys, wrong kids, wrong sets, and signatures that libraries write wrongly."""

# ruff: noqa: E501 - one row a case reads better than one argument a line
from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

from broken_world import (
    AUD,
    BANK,
    KINDS,
    NOW,
    SECRET,
    b64,
    bank_keys,
    claims,
    der,
    dumps,
    engine,
    header,
    hs_engine,
    hs_token,
    key,
    mac,
    one_issuer,
    private,
    resigned,
    sign,
    signature_of,
    token,
    with_signature,
)
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding
from gallery_shape import Row

from rapidjws.diagnose.subject import ExaminedEngine
from rapidjws.jose import pyca_keys
from rapidjws.jose.jwks import JWKSet
from rapidjws.jwt.engine import Engine
from rapidjws.jwt.issuer import Issuer
from rapidjws.testing import make_key


def _set(*members: dict[str, Any], **options: Any) -> Engine:
    """Return an engine on a published set as it stands."""
    options.setdefault("algorithms", KINDS)
    return ExaminedEngine(
        Issuer(BANK, keys=JWKSet.from_json({"keys": list(members)}), audience=AUD, **options)
    )


def _es256(**changes: Any) -> dict[str, Any]:
    made = {**key("ES256").public().as_dict(), **changes}
    return {name: value for name, value in made.items() if value is not None}


def kids() -> list[Row]:
    """Return tokens whose kid, or whose published key, is wrong."""
    kid = "bank-es256-2026"
    thumbprint = key("ES256").thumbprint()
    stranger = make_key("ES256", kid="bank-es256-2027")
    renamed = make_key("ES256", kid=kid)
    staging = JWKSet((make_key("ES256", kid=kid).public(),))
    staged = make_key("ES256", kid="bank-es256-2026")
    hexed = "00112233445566778899aabbccddeeff"

    def named(name: Any, **more: Any) -> str:
        return token(head=header("ES256", name, **more))

    short = _es256(x=b64(base64.urlsafe_b64decode(_es256()["x"] + "==")[1:]))
    return [
        ("kid-trailing-space", "kid_whitespace", named(f"{kid} "), {}),
        ("kid-upper-case", "kid_case", named(kid.upper()), {}),
        ("kid-cut", "kid_truncated", named(kid[:-5]), {}),
        ("kid-prefixed", "kid_truncated", named(f"prod/{kid}"), {}),
        ("kid-typo", "kid_typo", named("bank-es256-2062"), {}),
        ("kid-hex-of-base64", "kid_encoding", token(head=header("ES256", hexed)),
         {"using": _set(_es256(kid=base64.b64encode(bytes.fromhex(hexed)).decode()))}),
        ("kid-thumbprint", "kid_is_thumbprint", named(thumbprint), {}),
        ("kid-renamed", "kid_renamed", named("signing-key-7"), {}),
        ("kid-of-other-key", "kid_of_other_key", token("ES256", head=header("ES256", "second")),
         {"using": _set(_es256(), {**stranger.public().as_dict(), "kid": "second"})}),
        ("kid-unknown", "kid_unknown", token(head=header("ES256", "who"), jwk=stranger), {}),
        ("kid-required", "kid_missing", named(None), {"using": one_issuer(require_kid=True)}),
        ("kid-absent-two-keys", "ambiguous_key", named(None),
         {"using": _set(_es256(), {**stranger.public().as_dict()})}),
        ("rotated-not-refreshed", "stale_cache", token(head=header("ES256", stranger.kid), jwk=stranger),
         {"fresh": JWKSet((*bank_keys(), stranger.public())), "cache_age_s": 7200.0}),
        ("replaced-same-kid", "key_replaced", token(jwk=renamed), {"fresh": JWKSet((renamed.public(),))}),
        ("staging-key-same-kid", "other_environment", token(jwk=staged),
         {"also": {"staging": JWKSet((staged.public(),)), "test": staging}}),
        ("staging-kid", "other_environment", token(head=header("ES256", "stg-1"), jwk=key("ES256", "stg-1")),
         {"also": {"staging": JWKSet((key("ES256", "stg-1").public(),))}}),
        ("shop-signs-as-bank", "other_issuer_key",
         token(head=header("ES256", "bank-es256-2026"), jwk=key("ES256", "shop-1")), {}),
        ("key-in-header", "embedded_key",
         token(head=header("ES256", jwk=stranger.public().as_dict()), jwk=stranger), {}),
        ("use-enc", "key_left_out", token(), {"using": _set(_es256(use="enc"))}),
        ("x-without-zero", "key_left_out", token(), {"using": _set(short)}),
        ("private-published", "key_left_out", token(),
         {"using": _set(key("ES256").as_dict(private=True))}),
        ("two-keys-one-kid", "duplicate_kid", token(),
         {"using": _set(_es256(), {**stranger.public().as_dict(), "kid": "bank-es256-2026"})}),
        ("jwk-alg-other", "key_alg_mismatch", token("RS256"),
         {"using": _set({**key("RS256").public().as_dict(), "alg": "RS512"}, algorithms=("RS256", "RS512"))}),
        ("kid-of-other-type", "kid_of_other_key", token("RS256", head=header("RS256", "bank-es256-2026")), {}),
        ("algorithm-not-listed", "algorithm_changed", token("RS256"), {"using": one_issuer(algorithms=("ES256",))}),
        ("empty-set", "no_keys", token(), {"using": _set()}),
        ("only-rsa-published", "no_suitable_key", named(None), {"using": _set(key("RS256").public().as_dict())}),
        ("error-page-as-jwks", "jwks_not_json", token(), {"using": b"<html>502 Bad Gateway</html>"}),
        ("secret-among-public", "jwks_mixed", token(),
         {"using": {"keys": [_es256(), {"kty": "oct", "k": b64(SECRET)}]}}),
        ("issuer-not-configured", "unknown_issuer",
         token(payload=claims(iss="https://new.example"), head=header("ES256", None), jwk=stranger), {}),
    ]  # fmt: skip


def writings() -> list[Row]:
    """Return tokens whose signature is written wrongly."""
    good = token()
    raw = signature_of(good)
    half = raw[:32], raw[32:]
    zero = _with_zero()
    signed_high = half[0][0] >= 0x80
    sign_bytes = (b"\0" if signed_high else b"") + half[0] + b"\0" + half[1]
    mangled = raw.decode("latin-1").encode("utf-8")
    return [
        ("der", "signature_der", with_signature(good, der(raw)), {}),
        ("der-p384", "signature_der", _der("ES384"), {}),
        ("java-encoded-twice", "signature_encoded_twice", with_signature(good, b64(raw).encode()), {}),
        ("java-der-twice", "signature_encoded_twice", with_signature(good, base64.b64encode(der(raw))), {}),
        ("hex-text", "signature_hex", with_signature(good, raw.hex().encode()), {}),
        ("rsa-base64-twice", "signature_encoded_twice", _twice("RS256"), {}),
        ("halves-swapped", "signature_swapped", with_signature(good, half[1] + half[0]), {}),
        ("cryptoapi-little-endian", "signature_little_endian",
         with_signature(good, half[0][::-1] + half[1][::-1]), {}),
        ("leading-zero-lost", "signature_unpadded", zero, {}),
        ("java-sign-byte", "signature_sign_byte", with_signature(good, sign_bytes), {}),
        ("utf8-mangled", "signature_text_mangled", with_signature(good, mangled), {}),
        ("cut-at-a-byte", "signature_cut_off", with_signature(good, raw[:40]), {}),
        ("other-curve", "signature_other_curve",
         with_signature(good, sign("ES384", good.rpartition(".")[0].encode())), {}),
        ("rsa-in-es256", "signature_length",
         with_signature(good, sign("RS256", good.rpartition(".")[0].encode())), {}),
        ("tampered", "signature_unexplained", _tampered(), {}),
    ]  # fmt: skip


def _der(alg: str) -> str:
    text = token(alg)
    return with_signature(text, der(signature_of(text)))


def _twice(alg: str) -> str:
    text = token(alg)
    return with_signature(text, base64.b64encode(signature_of(text)))


def _with_zero() -> str:
    for number in range(4000):
        text = token(payload=claims(jti=str(number)))
        raw = signature_of(text)
        if raw[0] == 0:
            return with_signature(text, raw[1:])
    raise AssertionError("no R with a leading zero")


def _tampered() -> str:
    first, _, last = token().split(".")
    return f"{first}.{b64(dumps(claims(sub='admin')))}.{last}"


def algorithms() -> list[Row]:
    """Return tokens signed with another algorithm, digest, padding or secret."""
    octets = token().rpartition(".")[0].encode()
    rs_octets = token("RS256").rpartition(".")[0].encode()
    ps_octets = token("PS256").rpartition(".")[0].encode()
    longest = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.MAX_LENGTH)
    java = padding.PSS(padding.MGF1(hashes.SHA1()), 32)
    pem = pyca_keys.public_key(key("RS256")).public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    confused = f"{b64(dumps(header('HS256', 'bank-rs256-2026')))}.{b64(dumps(claims()))}"
    crlf = pem.replace(b"\n", b"\r\n")
    unbound = {**key("RS256").public().as_dict()}
    unbound.pop("alg")
    es384 = private("ES256").sign(octets, ec.ECDSA(hashes.SHA384()))
    return [
        ("pss-under-rs256", "other_algorithm", f"{rs_octets.decode()}.{b64(sign_as('PS256', rs_octets))}", {}),
        ("rs512-under-rs256", "other_algorithm", f"{rs_octets.decode()}.{b64(sign_as('RS512', rs_octets))}",
         {"using": _set(unbound, algorithms=("RS256", "RS512"))}),
        ("sha1-under-rs256", "other_digest",
         f"{rs_octets.decode()}.{b64(private('RS256').sign(rs_octets, padding.PKCS1v15(), hashes.SHA1()))}", {}),
        ("sha384-on-p256", "other_digest", f"{octets.decode()}.{b64(_raw(es384, 32))}", {}),
        ("pss-longest-salt", "pss_parameters",
         f"{ps_octets.decode()}.{b64(private('PS256').sign(ps_octets, longest, hashes.SHA256()))}", {}),
        ("java-mgf1-sha1", "pss_parameters",
         f"{ps_octets.decode()}.{b64(private('PS256').sign(ps_octets, java, hashes.SHA256()))}", {}),
        ("rs-to-hs-confusion", "algorithm_confusion", f"{confused}.{b64(mac(pem, confused.encode()))}", {}),
        ("rs-to-hs-crlf-pem", "algorithm_confusion",
         f"{confused}.{b64(mac(crlf, confused.encode()))}", {}),
        ("secret-as-base64-text", "secret_encoding", hs_token(base64.b64encode(SECRET)), {"using": hs_engine()}),
        ("secret-as-base64url-text", "secret_encoding", hs_token(b64(SECRET).encode()), {"using": hs_engine()}),
        ("secret-as-hex-text", "secret_encoding", hs_token(SECRET.hex().encode()), {"using": hs_engine()}),
        ("secret-with-newline", "secret_newline", hs_token(SECRET + b"\n"), {"using": hs_engine()}),
        ("wrong-secret", "signature_unexplained", hs_token(b"another secret of thirty-two byte"), {"using": hs_engine()}),
    ]  # fmt: skip


def sign_as(alg: str, octets: bytes) -> bytes:
    """Sign with the bank's RS256 key by another algorithm."""
    members = key("RS256").as_dict(private=True)
    from rapidjws.jose.jwk import JWK

    return sign(alg, octets, JWK.from_json({**members, "alg": alg}, private=True))


def _raw(signature: bytes, size: int) -> bytes:
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

    r, s = decode_dss_signature(signature)
    return r.to_bytes(size, "big") + s.to_bytes(size, "big")


def inputs() -> list[Row]:
    """Return tokens whose signature is over other octets."""
    head, body = dumps(header("ES256")), dumps(claims())
    spaced = json.dumps(claims()).encode()
    by_name = dumps(dict(sorted(claims().items())))
    accented = claims(name="Zoë")
    slashed = dumps(claims()).replace(b"/", b"\\/")
    whole = f"{b64(head)}.{b64(body)}".encode()
    standard = base64.b64encode(head) + b"." + base64.b64encode(body)
    order = b'{"amount":10,"to":"NL01"}'

    def over(payload: bytes, shown: bytes = body) -> str:
        return resigned("ES256", f"{b64(head)}.{b64(payload)}".encode(), payload=shown)

    verifier = {"using": JWKSet(bank_keys()), "algorithms": KINDS}
    return [
        ("proxy-minifies-json", "payload_reserialized", over(spaced), {}),
        ("proxy-sorts-names", "payload_reserialized", over(by_name), {}),
        ("php-escaped-slashes", "payload_reserialized", over(slashed), {}),
        ("proxy-unescapes", "payload_reserialized",
         over(json.dumps(accented, separators=(",", ":")).encode(), dumps(accented)), {}),
        ("pretty-printed", "payload_reserialized", over(json.dumps(claims(), indent=2).encode()), {}),
        ("newline-stripped", "payload_newline", over(body + b"\n"), {}),
        ("newline-added", "payload_newline", over(body, body + b"\n"), {}),
        ("git-crlf", "payload_line_endings", over(b"one\ntwo\n", b"one\r\ntwo\r\n"), verifier),
        ("bom-stripped", "payload_bom", over(b"\xef\xbb\xbf" + body), {}),
        ("latin-1", "payload_encoding",
         over("Zoë".encode("latin-1"), "Zoë".encode()), verifier),
        ("decomposed", "payload_encoding", over("Zoe\u0308".encode(), "Zoë".encode()), verifier),
        ("header-rewritten", "header_reserialized",
         resigned("ES256", f"{b64(json.dumps(header('ES256')).encode())}.{b64(body)}".encode()), {}),
        ("payload-alone", "signed_without_header", resigned("ES256", b64(body).encode()), {}),
        ("decoded-parts", "signed_decoded", resigned("ES256", head + b"." + body), {}),
        ("raw-payload", "signed_raw_payload", resigned("ES256", b64(head).encode() + b"." + body), {}),
        ("padded-input", "signed_padded", resigned("ES256", standard), {}),
        ("hashed-twice", "hashed_twice", resigned("ES256", hashlib.sha256(whole).digest()), {}),
        ("eddsa-hashed", "hashed_twice", _eddsa_hashed(), {}),
        ("body-signed", "body_signed", over(order), {"body": order}),
        ("detached-minified", "payload_reserialized", _detached(b'{"amount": 10, "to": "NL01"}'),
         {"body": order, **verifier}),
        ("body-rewritten", "body_changed", token(payload=order), {"body": b'{"to":"NL01","amount":10}', **verifier}),
    ]  # fmt: skip


def _eddsa_hashed() -> str:
    octets = token("EdDSA").rpartition(".")[0]
    return f"{octets}.{b64(sign('EdDSA', hashlib.sha256(octets.encode()).digest()))}"


def _detached(payload: bytes) -> str:
    first, _, last = token(payload=payload).split(".")
    return f"{first}..{last}"


def rows() -> list[Row]:
    """Return every row of this part, each with the engine it is sent to."""
    found = [*kids(), *writings(), *algorithms(), *inputs()]
    return [
        (name, cause, made, {"using": engine(), "now": float(NOW), **more})
        for name, cause, made, more in found
    ]
