"""Flattened and General JSON Serialization: each rule of RFC 7515 section 7.2 refuses what breaks it."""

from __future__ import annotations

import json
from typing import Any

import forms
import pytest
import tokens

import rapidjws
from rapidjws import Verifier

ONE = forms.signed()


@pytest.fixture(scope="module")
def verifier() -> Verifier:
    """Return a verifier of one ES256 key."""
    return forms.verifier()


def test_both_forms_verify(verifier: Verifier) -> None:
    """Each form gives the payload's own octets, header, alg and kid, as text, bytes, buffer or members."""
    for token in (forms.flattened(), forms.general(ONE), forms.general(ONE, ONE)):
        text = json.dumps(token, indent=1)
        for spelling in (token, text, text.encode(), bytearray(text.encode()), " \r\n\t" + text):
            verified = verifier.verify(spelling)
            assert verified.payload == forms.PAYLOAD
            assert verified.header == {"alg": "ES256", "kid": "k1-es256"}
            assert (verified.alg, verified.kid, verified.issuer) == ("ES256", "k1-es256", None)


def test_many_takes_every_form(verifier: Verifier) -> None:
    """verify_many gives each serialization the verdict that verify gives."""
    good = [tokens.token(), json.dumps(forms.flattened()), json.dumps(forms.general(ONE))]
    bad = [json.dumps(forms.general(forms.spoiled(ONE), ONE)), json.dumps({"signatures": []}), '{"é":1}']
    results = verifier.verify_many(good + bad)
    assert [isinstance(one, rapidjws.VerifiedJWS) for one in results] == [True] * 3 + [False] * 3
    codes = [one.code for one in results[3:] if isinstance(one, rapidjws.Rejected)]
    assert codes == ["signatures_insufficient", "malformed_token", "malformed_token"]


def changed(token: dict[str, Any], **members: Any) -> dict[str, Any]:
    """Return the token with other members; None takes one away."""
    return {name: value for name, value in {**token, **members}.items() if value is not None}


MALFORMED: dict[str, Any] = {
    "no payload": changed(forms.general(ONE), payload=None),
    "payload a number": changed(forms.flattened(), payload=1),
    "payload an object": changed(forms.flattened(), payload={}),
    "no signature": changed(forms.flattened(), signature=None),
    "signature empty": changed(forms.flattened(), signature=""),
    "signature a number": changed(forms.flattened(), signature=1),
    "protected empty": changed(forms.flattened(), protected=""),
    "protected an object": changed(forms.flattened(), protected={"alg": "ES256"}),
    "no header at all": changed(forms.flattened(), protected=None),
    "header a string": changed(forms.flattened(), header="e30"),
    "header empty": changed(forms.flattened(), header={}),
    "signatures empty": forms.general(),
    "signatures an object": changed(forms.general(), signatures={"0": ONE}),
    "signatures of strings": changed(forms.general(), signatures=["x"]),
    "signatures null": {"payload": "e30", "signatures": None},
    "both forms: signature": {**forms.flattened(), "signatures": [ONE]},
    "both forms: protected": {**forms.general(ONE), "protected": ONE["protected"]},
    "both forms: header": {**forms.general(ONE), "header": {"kid": "k1-es256"}},
    "a compact token for a name": {**forms.flattened(), tokens.token(): ""},
    "empty object": {},
}


@pytest.mark.parametrize("name", list(MALFORMED))
def test_malformed_members_are_refused(name: str, verifier: Verifier) -> None:
    """Members that are missing, of the wrong type, empty or of both forms at once refuse the token."""
    assert forms.outcome(verifier, MALFORMED[name]) == "malformed_token"


def test_null_members_are_refused(verifier: Verifier) -> None:
    """A member that is null is of the wrong type, not absent."""
    for name in ("payload", "protected", "header", "signature"):
        assert forms.outcome(verifier, {**forms.flattened(), name: None}) == "malformed_token"


def test_unknown_members_are_ignored(verifier: Verifier) -> None:
    """Members that nobody knows are ignored, as the RFC says; they change nothing."""
    token = {**forms.general({**ONE, "x": 1}), "extension": {"a": [1]}, "com.example.x": 2}
    assert forms.outcome(verifier, token) == "ok"


def test_duplicate_members_are_refused(verifier: Verifier) -> None:
    """Equal names are refused in the outer object, in a signature, in either header, escaped or not."""
    flat = json.dumps(forms.flattened())
    inner = json.dumps(forms.general(ONE))
    twice = forms.flattened(protected=b'{"alg":"ES256","kid":"k1-es256","kid":"k1-es256"}')
    for text in (
        flat[:-1] + ', "payload": "e30"}',
        flat[:-1] + r', "p\u0061yload": "e30"}',
        inner.replace('"signature"', '"signature": "AAAA", "signature"', 1),
        flat[:-1] + ', "header": {"x": 1, "x": 2}}',
        json.dumps(twice),
    ):
        assert forms.outcome(verifier, text) == "duplicate_member"


def test_headers_must_be_disjoint(verifier: Verifier) -> None:
    """A parameter that stands in both headers is refused, even with the same value."""
    for value in ("k1-es256", "other"):
        token = forms.flattened(unprotected={"kid": value})
        assert forms.outcome(verifier, token) == "duplicate_member"
    inside = forms.general(ONE, forms.signed(unprotected={"kid": "k1-es256"}))
    with pytest.raises(rapidjws.MalformedToken) as refused:
        verifier.verify(inside, signatures=rapidjws.any_of())
    assert (refused.value.code, refused.value.place) == ("duplicate_member", "signatures[1].header.kid")


def test_an_unprotected_kid_chooses_a_key(verifier: Verifier) -> None:
    """kid may stand in the unprotected header; it is not shown as a verified one."""
    token = forms.flattened(protected={"alg": "ES256"}, unprotected={"kid": "k1-es256", "x": 1})
    assert verifier.verify(token).header == {"alg": "ES256"}
    other = forms.flattened(protected={"alg": "ES256"}, unprotected={"kid": "other"})
    assert forms.outcome(verifier, other) == "unknown_kid"


def test_a_known_header_does_not_hide_an_unprotected_one(verifier: Verifier) -> None:
    """A header that verified alone is not taken for known once an unprotected one stands beside it."""
    alone = forms.flattened(protected={"alg": "ES256"})
    assert forms.outcome(verifier, alone) == "ok"
    beside = {**alone, "header": {"kid": "other"}}
    assert forms.outcome(verifier, beside) == "unknown_kid"
    assert forms.outcome(verifier, {**alone, "header": {"alg": "ES256"}}) == "duplicate_member"


def test_an_unprotected_kid_is_not_remembered() -> None:
    """What an unprotected kid chose is not taken for the key of the protected header alone."""
    two = forms.verifier(names=("k1", "k2"))
    beside = forms.flattened(protected={"alg": "ES256"}, unprotected={"kid": "k1-es256"})
    assert forms.outcome(two, beside) == "ok"
    assert forms.outcome(two, forms.flattened(protected={"alg": "ES256"})) == "ambiguous_key"


def test_an_unprotected_alg_is_refused_unless_allowed(verifier: Verifier) -> None:
    """alg outside of the protected header needs the caller's word, with a protected header and without."""
    allowing = forms.verifier(allow_unprotected_alg=True)
    for token in (
        forms.flattened(protected={"kid": "k1-es256"}, unprotected={"alg": "ES256"}),
        forms.flattened(protected={}, unprotected={"alg": "ES256", "kid": "k1-es256"}),
    ):
        assert forms.outcome(verifier, token) == "unprotected_parameter"
        assert forms.outcome(allowing, token) == "ok"
    wrong = forms.flattened(protected={"kid": "k1-es256"}, unprotected={"alg": "RS256"})
    assert forms.outcome(allowing, wrong) == "algorithm_not_allowed"


@pytest.mark.parametrize("name", ["crit", "b64"])
def test_unprotected_crit_and_b64_are_refused(name: str) -> None:
    """crit and b64 count only where they are protected, whatever is allowed."""
    lenient = forms.verifier(allow_unprotected_alg=True, crit=["b64"])
    value: Any = {"crit": ["b64"], "b64": True}[name]
    assert forms.outcome(lenient, forms.flattened(unprotected={name: value})) == "unprotected_parameter"


HEADERS = {
    "malformed_base64url": {"protected": "e30="},
    "malformed_json": {"protected": tokens.b64url(b"{")},
    "malformed_header": {"protected": tokens.b64url(b"[]")},
    "too_large": {"protected": "e30A" * 1000},
}


@pytest.mark.parametrize("code", list(HEADERS))
def test_a_malformed_protected_header_refuses_the_token(code: str, verifier: Verifier) -> None:
    """One malformed header refuses the whole token, even where one good signature would do."""
    token = forms.general(ONE, {**ONE, **HEADERS[code]})
    assert forms.outcome(verifier, token, signatures=rapidjws.any_of()) == code


def test_an_empty_protected_header_is_refused(verifier: Verifier) -> None:
    """A protected header without members has to be absent; an alg that is no string is malformed."""
    for octets in (b"{}", b'{"kid":"k1-es256"}', b'{"alg":1}', b'{"alg":"ES256","b64":1,"crit":["b64"]}'):
        assert forms.outcome(verifier, forms.flattened(protected=octets)) in (
            "malformed_header",
            "crit_unsupported",
        )
    assert forms.outcome(verifier, forms.flattened(protected=b"{}")) == "malformed_header"
    allowing = forms.verifier(allow_unprotected_alg=True)
    unprotected = {"alg": "ES256", "kid": "k1-es256"}
    beside = forms.flattened(protected=b"{}", unprotected=unprotected)
    assert forms.outcome(allowing, beside) == "malformed_header"


@pytest.mark.parametrize("member", ["payload", "signature", "protected"])
@pytest.mark.parametrize("addition", ["=", " ", "\n", "+", "é", "A"])
def test_base64url_is_strict(member: str, addition: str, verifier: Verifier) -> None:
    """Padding, spaces, foreign characters and loose bits are refused in every member, with any policy."""
    token = forms.flattened()
    token[member] += addition if addition != "A" else "A" * ((5 - len(token[member])) % 4 or 4)
    assert len(token[member]) % 4 == 1 or addition != "A"
    assert forms.outcome(verifier, token) == "malformed_base64url"
    if member != "payload":
        one = {name: value for name, value in token.items() if name != "payload"}
        mixed = forms.general(ONE, one)
        assert forms.outcome(verifier, mixed, signatures=rapidjws.any_of()) == "malformed_base64url"


def test_a_refused_signature_is_strict_base64url_too(verifier: Verifier) -> None:
    """A signature whose key is unknown still has to be base64url."""
    stranger = {**forms.signed(name="k2"), "signature": "A=="}
    assert (
        forms.outcome(verifier, forms.general(ONE, stranger), signatures=rapidjws.any_of())
        == "malformed_base64url"
    )


def test_sizes_are_limited() -> None:
    """Text, members, depth and number of signatures have limits of their own, each with its code."""
    small = forms.verifier(max_token_bytes=2000, max_signatures=2)
    assert forms.outcome(small, forms.general(ONE, ONE)) == "ok"
    assert forms.outcome(small, forms.general(ONE, ONE, ONE)) == "too_large"
    large = forms.flattened(payload=b"x" * 2000)
    assert forms.outcome(small, large) == "too_large"
    assert forms.outcome(forms.verifier(), large) == "ok"
    wide = json.dumps({**forms.flattened(), **{f"x{i}": i for i in range(70)}})
    assert forms.outcome(small, wide) == "too_many_members"
    deep = json.dumps(forms.flattened())[:-1] + ',"x":' + "[" * 40 + "]" * 40 + "}"
    assert forms.outcome(small, deep) == "too_deep"
    for count in (0, 65, -1):
        with pytest.raises(rapidjws.ConfigurationError):
            forms.verifier(max_signatures=count)


@pytest.mark.parametrize(
    "text", ["{", '{"payload":', "{}{}", '{"payload":NaN}', "\ufeff{}", "{\ud800}", b"{\xff}"]
)
def test_what_is_no_json_is_refused(text: Any, verifier: Verifier) -> None:
    """A text that opens as JSON and is none is refused as that."""
    assert forms.outcome(verifier, text) in ("malformed_json", "malformed_token")


def test_engine_takes_compact_tokens_only() -> None:
    """A JWT is compact (RFC 7519 s.1): Engine takes no JSON serialization."""
    token = forms.flattened(payload=json.dumps(tokens.claims()).encode())
    assert tokens.code_of(tokens.engine(), json.dumps(token)) == "malformed_token"


def test_a_refusal_holds_no_payload(verifier: Verifier) -> None:
    """Neither the error nor its results show payload, signature or header of a refused token."""
    token = forms.general(ONE, forms.spoiled(ONE))
    with pytest.raises(rapidjws.SignaturesRefused) as refused:
        verifier.verify(token)
    shown = repr(refused.value) + str(refused.value) + repr(refused.value.signatures)
    assert all(secret not in shown for secret in (token["payload"], ONE["signature"], "amount"))
    assert all(result.header is None for result in refused.value.signatures)
