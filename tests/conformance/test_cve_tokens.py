"""Faults of other libraries about tokens: encoding, format, crit, claims, size. Ids as registered."""

from __future__ import annotations

import json
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
import tokens
from cve_rows import row

import rapidjws
from rapidjws import Engine, Verifier
from rapidjws.jose.claims import ClaimsPolicy
from rapidjws.jwt.cache import TokenCache

NATIVE = Path(__file__).resolve().parents[2] / "native"
ORDERS = {
    "ES256": (
        0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
        0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF,
    ),
    "ES384": (
        int("F" * 48 + "C7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973", 16),
        2**384 - 2**128 - 2**96 + 2**32 - 1,
    ),
    "ES512": (
        int("1" + "F" * 64 + "FA51868783BF2F966B7FCC0148F709A5D03BB5C9B8899C47AEBB6FB71E91386409", 16),
        2**521 - 1,
    ),
    "ES256K": (
        0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141,
        2**256 - 2**32 - 977,
    ),
}


def refused(verifier: Verifier | Engine, token: Any) -> str:
    """Return the code of a refusal, the same by every way in."""
    code = tokens.code_of(verifier, token)
    assert code != "ok"
    return code


def everything(*algs: str) -> Verifier:
    """Return a verifier that allows every algorithm there is."""
    return Verifier([tokens.public(alg) for alg in algs], algorithms=rapidjws.ALGORITHMS)


@row("CVE-2015-2951", "CVE-2021-22160")
def test_none_in_any_spelling(row_id: str) -> None:
    """There is no algorithm none, in whatever case and with whatever signature."""
    signature = tokens.token().rpartition(".")[2]
    for alg in ("none", "None", "NONE", "nOnE", "none ", " none", "none\0", "", None, 0, ["none"]):
        head = tokens.b64url(json.dumps({"alg": alg}).encode())
        for last in ("", "AA", signature):
            found = refused(everything("ES256"), f"{head}.{tokens.b64url(b'{}')}.{last}")
            assert found in ("malformed_token", "unsupported_algorithm", "malformed_header")


@row("CVE-2015-2964", "CVE-2018-1000531")
def test_a_dropped_signature(row_id: str) -> None:
    """Without its signature, under its own or another alg, a token is malformed."""
    head, payload, _ = tokens.token().split(".")
    other = tokens.b64url(b'{"alg":"none"}')
    for text in (f"{head}.{payload}", f"{head}.{payload}.", f"{other}.{payload}.", f"{other}.{payload}"):
        assert refused(everything("ES256"), text) == "malformed_token"


@row("CVE-2022-23540")
@pytest.mark.parametrize("algorithms", [[], (), None, "ES256", ["none"], [None], ["es256"]])
def test_no_verifier_without_a_list(row_id: str, algorithms: Any) -> None:
    """Without a list of known algorithms there is no verifier and no issuer."""
    with pytest.raises((rapidjws.ConfigurationError, TypeError)):
        Verifier(tokens.public("ES256"), algorithms=algorithms)
    with pytest.raises((rapidjws.ConfigurationError, TypeError)):
        rapidjws.Issuer("i", keys=tokens.public("ES256"), algorithms=algorithms)
    with pytest.raises(TypeError):
        Verifier(tokens.public("ES256"))  # type: ignore[call-arg]


@row("CVE-2020-28042")
@pytest.mark.parametrize("alg", ["HS256", "HS384", "HS512"])
def test_a_mac_has_its_full_length(row_id: str, alg: str) -> None:
    """A MAC cut short, grown or empty is refused."""
    front, _, text = tokens.token(alg).rpartition(".")
    mac = tokens.b64url_decode(text)
    for size in (*range(len(mac)), len(mac) + 1, len(mac) + 32):
        changed = (mac + bytes(32))[:size]
        expected = "signature_invalid" if size else "malformed_token"
        assert refused(everything(alg), f"{front}.{tokens.b64url(changed)}") == expected


@row("CVE-2022-21449")
@pytest.mark.parametrize("alg", list(ORDERS))
@pytest.mark.parametrize("acceleration", ["auto", "portable", "openssl"])
def test_psychic_signatures(row_id: str, alg: str, acceleration: str) -> None:
    """R and S out of 0, 1, n-1, n, n+1, p and all ones never verify, by hot tables or by libcrypto."""
    order, prime = ORDERS[alg]
    size = (order.bit_length() + 7) // 8
    edges = [0, 1, order - 1, order, order + 1, prime, 2 ** (8 * size) - 1]
    front, _, text = tokens.token(alg).rpartition(".")
    right = tokens.b64url_decode(text)
    edges += [int.from_bytes(right[:size], "big"), int.from_bytes(right[size:], "big")]
    raw = [r.to_bytes(size, "big") + s.to_bytes(size, "big") for r in edges for s in edges]
    verifier = Verifier(tokens.public(alg), algorithms=[alg], acceleration=acceleration)
    verifier.precompute()
    results = verifier.verify_many([f"{front}.{tokens.b64url(octets)}" for octets in raw])
    good = [octets for octets, one in zip(raw, results, strict=True) if isinstance(one, rapidjws.VerifiedJWS)]
    assert good == [right]


@row("CVE-2022-25898", "CVE-2026-102269")
@pytest.mark.parametrize("part", [0, 1, 2])
def test_bytes_outside_of_the_alphabet(row_id: str, part: int) -> None:
    """No byte but base64url's own stands in any part, nor do bits of nothing in its last character."""
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    parts = tokens.token().encode().split(b".")
    for byte in set(range(256)) - set(alphabet) - {ord(".")}:
        for at in (0, len(parts[part]) // 2, len(parts[part])):
            changed = parts[part][:at] + bytes([byte]) + parts[part][at:]
            text = b".".join([*parts[:part], changed, *parts[part + 1 :]])
            as_json = text.startswith(b"{")  # can only be meant as a JSON serialization, and is none
            due = "malformed_json" if as_json else "malformed_base64url"
            assert refused(everything("ES256"), text) == due


@row("CVE-2022-39227")
def test_polyglot_tokens(row_id: str) -> None:
    """A text that reads as compact and as JSON is refused; the payload given back is the one verified."""
    head, payload, signature = tokens.token().split(".")
    members = {"protected": head, "payload": payload, "signature": signature}
    for text in (
        json.dumps({f"{head}.{payload}.": "", **members}),
        json.dumps({f"{head}.{payload}.{signature}": ""}),
        f"{head}.{payload}.{signature}" + json.dumps(members),
        f'{{"{head}.{payload}.{signature}":""}}',
    ):
        assert refused(everything("ES256"), text) in ("malformed_token", "malformed_base64url")
    verified = everything("ES256").verify(tokens.token())
    assert json.loads(verified.payload) == tokens.claims()


@row("CVE-2023-51774", "CVE-2026-29000")
def test_an_encrypted_token_is_refused(row_id: str) -> None:
    """Five parts are no JWS, and nothing nested is ever taken for verified."""
    head = tokens.b64url(b'{"alg":"dir","enc":"A128GCM"}')
    for text in (f"{head}..AAAA.AAAA.AAAA", f"{head}.AAAA.AAAA.AAAA.AAAA", f"{tokens.token()}.AAAA.AAAA"):
        with pytest.raises(rapidjws.MalformedToken) as found:
            everything("ES256").verify(text)
        assert (found.value.code, found.value.actual) == ("malformed_token", "more than three parts")
    nested = tokens.sign(tokens.key("ES256"), {"alg": "ES256", "cty": "JWT"}, b"e30.e30.")
    assert everything("ES256").verify(nested).payload == b"e30.e30."
    assert refused(tokens.engine(), nested) == "malformed_json"


@row("CVE-2024-25189 / -25190 / -25191", "CVE-2016-7037 / CVE-2015-10004")
@pytest.mark.source_tree
def test_a_mac_is_compared_in_constant_time(row_id: str) -> None:
    """The MAC's source compares with libcrypto's constant-time function and no other."""
    code = (NATIVE / "hash" / "hmac.c").read_text()
    assert "CRYPTO_memcmp" in code
    assert code.count("memcmp") == code.count("CRYPTO_memcmp")


@row("CVE-2019-7644", "CVE-2025-65015")
def test_a_refusal_shows_nothing_of_the_token(row_id: str) -> None:
    """Messages are short, and hold no part of the token and no MAC, however large it is."""
    good = tokens.token("HS256", secret_claim="x" * 30)
    head, payload, signature = good.split(".")
    for text in (
        f"{head}.{payload}.{'A' * 43}",
        f"{head}.{payload}A.{signature}",
        "A" * 5_000_000,
        good + "!",
    ):
        with pytest.raises(rapidjws.TokenRefused) as found:
            everything("HS256").verify(text)
        for shown in (str(found.value), repr(found.value), json.dumps(found.value.as_dict())):
            assert len(shown) <= 600
            assert not any(part in shown for part in (head, payload, signature, "A" * 20, "x" * 10))
        assert len(str(found.value)) <= 256


@row("GHSA-jc38-x7x8-2xc8", "CVE-2026-96760", "CVE-2026-102946", "panva/jose 6.2.5-6.2.10 (no CVE)")
def test_json_serializations_that_lack_what_protects(row_id: str) -> None:
    """JSON forms with unprotected alg, no signature, none at all or mixed b64 are refused, by Engine all."""
    head, payload, signature = tokens.token().split(".")
    one = {"protected": head, "signature": signature}
    mixed = tokens.b64url(b'{"alg":"ES256","b64":false,"crit":["b64"]}')
    for code, document in (
        ("unprotected_parameter", {"payload": payload, "header": {"alg": "ES256"}, "signature": signature}),
        ("malformed_token", {"payload": payload, "protected": head}),
        ("malformed_token", {"payload": payload}),
        ("malformed_token", {"payload": payload, "signatures": []}),
        ("b64_unsupported", {"payload": payload, "signatures": [one, {**one, "protected": mixed}]}),
    ):
        assert refused(everything("ES256"), json.dumps(document)) == code
        assert refused(tokens.engine(), json.dumps(document)) == "malformed_token"
    assert refused(tokens.engine(), json.dumps({"payload": payload, **one})) == "malformed_token"


CRIT = (
    ["bork"],
    [],
    "exp",
    {},
    1,
    None,
    [1],
    ["bork", "bork"],
    ["absent"],
    ["alg"],
    ["kid"],
    ["typ"],
    ["b64"],
)


@row("CVE-2025-59420", "CVE-2026-32597", "CVE-2026-89317", "python-jose #413 (no CVE)")
def test_what_is_critical_and_not_understood(row_id: str) -> None:
    """Every crit is refused, signed as it may be: unknown, empty, no list, doubled, absent or registered."""
    for crit in CRIT:
        header = {"alg": "ES256", "kid": tokens.key("ES256").kid, "bork": 1, "crit": crit}
        code = refused(everything("ES256"), tokens.sign(tokens.key("ES256"), header, b"{}"))
        assert code in ("crit_unsupported", "crit_malformed")
    header = {"alg": "ES256", "crit": ["bork"], "bork": True}
    assert refused(everything("ES256"), tokens.sign(tokens.key("ES256"), header, b"{}")) == "crit_unsupported"


@row("CVE-2026-48525")
def test_unencoded_payloads(row_id: str) -> None:
    """b64 is refused in compact tokens, but for a true that is not critical and changes nothing."""
    for b64 in (False, True, "false", 0):
        for crit in ({}, {"crit": ["b64"]}):
            if b64 is True and not crit:  # RFC 7797 s.6 demands crit for false
                continue
            token = tokens.sign(tokens.key("ES256"), {"alg": "ES256", "b64": b64, **crit}, b"{}")
            assert refused(everything("ES256"), token) in (
                "b64_unsupported",
                "crit_unsupported",
                "malformed_header",
            )


@row("CVE-2026-35039", "CVE-2026-107719")
def test_the_cache_checks_again(row_id: str) -> None:
    """A remembered token is judged anew at every hit: its time, its bytes, its generation of keys."""
    engine = Engine(tokens.issuer("ES256"), cache=TokenCache())
    token = tokens.token("ES256", iat=None)
    assert engine.verify(token, tokens.NOW_S).claims["sub"] == "user-1"
    assert engine.verify(token, tokens.NOW_S + 359).claims["sub"] == "user-1"
    for at in (360, 361, 10**6):
        with pytest.raises(rapidjws.ClaimRefused):
            engine.verify(token, tokens.NOW_S + at)
    assert engine.verify(token, tokens.NOW_S).claims["sub"] == "user-1"
    with pytest.raises(rapidjws.TokenRefused):
        engine.verify(token[:-2] + "AA", tokens.NOW_S)
    engine.replace_keys(tokens.ISS, tokens.renamed(tokens.public("ES256", "k2"), tokens.key("ES256").kid))
    with pytest.raises(rapidjws.SignatureInvalid):
        engine.verify(token, tokens.NOW_S)


@row("CVE-2026-107721")
@pytest.mark.parametrize("value", [float("inf"), float("nan"), -1, 86_401, 1.5, True, "60", None])
def test_settings_are_finite(row_id: str, value: Any) -> None:
    """A leeway or an age that is no bounded whole number is refused when configured."""
    with pytest.raises(rapidjws.ConfigurationError):
        tokens.issuer("ES256", leeway_s=value)
    with pytest.raises(rapidjws.ConfigurationError):
        ClaimsPolicy(leeway_s=value)
    if value not in (None, 86_401):
        with pytest.raises(rapidjws.ConfigurationError):
            tokens.issuer("ES256", max_age_s=value)


@row("CVE-2026-107723")
@pytest.mark.parametrize("payload", [b"[]", b'["a"]', b'"text"', b"1", b"null", b"true", b"", b"{", b"{}x"])
def test_claims_are_an_object(row_id: str, payload: bytes) -> None:
    """A payload that is no JSON object is refused where claims are checked."""
    token = tokens.sign(tokens.key("ES256"), {"alg": "ES256", "kid": tokens.key("ES256").kid}, payload)
    assert refused(tokens.engine(), token) in ("malformed_claims", "malformed_json")


@row("CVE-2024-53861", "CVE-2025-30144", "CVE-2026-75509")
def test_texts_are_compared_whole(row_id: str) -> None:
    """iss, sub and jti are single texts; iss equals the issuer's in every character."""
    engine = tokens.engine()
    for iss in (tokens.ISS[:-1], tokens.ISS + "/", tokens.ISS.upper(), "", tokens.ISS + "\0"):
        assert refused(engine, tokens.token(iss=iss)) == "issuer_mismatch"
    for iss in ([tokens.ISS], {"a": 1}, 1, True):
        assert refused(engine, tokens.token(iss=iss)) == "malformed_claim"
    for name in ("sub", "jti"):
        for value in (["user-1"], 1, {"user-1": 1}):
            assert refused(engine, tokens.token(**{name: value})) == "malformed_claim"


@row("CVE-2025-61920")
def test_a_token_over_the_limit_costs_nothing(row_id: str) -> None:
    """A token past the limit is refused by its length, without a copy of it."""
    large = tokens.token() + "A" * 64_000_000
    octets = large.encode()
    verifier = everything("ES256")
    tracemalloc.start()
    try:
        for token in (large, octets, memoryview(octets)):
            for _ in range(2):
                assert refused(verifier, token) == "too_large"
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


@row("CVE-2025-53864", "CVE-2026-116586")
@pytest.mark.parametrize("depth", [33, 65, 1000, 100_000])
@pytest.mark.parametrize("brackets", ["[]", "{}"])
def test_deep_nesting(row_id: str, depth: int, brackets: str) -> None:
    """Nesting past the limit, in header, payload or key set, ends in a refusal and never in a crash."""
    opening = "[" if brackets == "[]" else '{"a":'
    closing = brackets[1]
    text = f'{{"alg":"ES256","a":{opening * depth}1{closing * depth}}}'.encode()
    limit = 256 * 1024
    verifier = Verifier(tokens.public("ES256"), algorithms=["ES256"], max_token_bytes=limit)
    assert refused(verifier, f"{tokens.b64url(text)}.e30.AAAA") in ("too_deep", "too_large")
    engine = Engine(tokens.issuer("ES256"), max_token_bytes=limit)
    token = tokens.sign(tokens.key("ES256"), {"alg": "ES256", "kid": tokens.key("ES256").kid}, text)
    assert refused(engine, token) == ("too_large" if len(token) > limit else "too_deep")
    with pytest.raises(rapidjws.KeySetRefused):
        rapidjws.JWKSet.from_json(b'{"keys":' + text + b"}")


@row("HAProxy 468c000 (no CVE)")
def test_a_fault_of_decoding_is_never_a_length(row_id: str) -> None:
    """Parts that do not decode are refused in whatever place, and quickly."""
    head, payload, signature = tokens.token().split(".")
    start = time.perf_counter()
    for bad in ("A", "AAAAA", "=", "é", "A" * 1001, "\0"):
        for text in (f"{bad}.{payload}.{signature}", f"{head}.{bad}.{signature}", f"{head}.{payload}.{bad}"):
            assert refused(everything("ES256"), text) in ("malformed_base64url", "malformed_token")
    assert time.perf_counter() - start < 10


@row("CVE-2026-24850")
@pytest.mark.parametrize("level", ["44", "65", "87"])
def test_mldsa_hints(row_id: str, level: str) -> None:
    """An ML-DSA signature with repeated or unsorted hint indices is refused."""
    import raw_vectors
    from native_drivers import wycheproof

    alg = f"ML-DSA-{level}"
    if rapidjws.backends().algorithms[alg] == "none":
        pytest.skip(f"no backend has {alg}")
    name = f"mldsa_{level}_verify_test.json"
    rows = [case for group in wycheproof(name)["testGroups"] for case in group["tests"]]
    hints = {str(case["tcId"]) for case in rows if "hint" in case["comment"].lower()}
    found = 0
    for group in raw_vectors.mldsa(name, alg):
        for case in group.cases:
            if case.name in hints and not case.valid:
                found += 1
                with pytest.raises(rapidjws.SignatureInvalid):
                    rapidjws.verify_raw(alg, rapidjws.JWK.from_json(group.jwk), case.message, case.signature)
    assert found >= 3
