"""The protected header: what is read, and every rule that refuses one."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rapidjws.errors import HeaderRefused, TokenRefused
from rapidjws.jose.jwa import ALGORITHMS
from rapidjws.jose.jws import REGISTERED_NAMES, Header, check_typ, join_headers, parse_header

UNDERSTOOD = frozenset({"b64", "exp", "x"})


def refused(data: Any, **options: Any) -> tuple[str, str | None]:
    """Return code and place of the refusal of a header."""
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    with pytest.raises(TokenRefused) as caught:
        parse_header(raw, **options)
    return caught.value.code, caught.value.place


def test_a_good_header_is_read() -> None:
    """All members that mean something are there, the others in raw."""
    data = {"alg": "ES256", "kid": "a", "typ": "at+jwt", "cty": "JWT", "zzz": [1]}
    header = parse_header(json.dumps(data).encode())
    assert header == Header(alg="ES256", kid="a", typ="at+jwt", cty="JWT", raw=data)
    assert (header.crit, header.b64, header.raw) == ((), True, data)
    assert parse_header(b'{"alg":"ES256"}') == Header(alg="ES256", raw={})


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_every_algorithm_of_the_table_is_read(alg: str) -> None:
    """Whether the caller allows it is decided elsewhere."""
    assert parse_header(json.dumps({"alg": alg}).encode()).alg == alg


@pytest.mark.parametrize(
    "alg",
    ["none", "None", "NONE", "nOnE", "none ", "", "es256", "ES256 ", "RSA-OAEP", "dir", "HS1", "ES256\x00"],
)
def test_an_algorithm_outside_the_table_is_refused(alg: str) -> None:
    """CVE-2015-2951 and its children: none in any spelling, and names that look alike."""
    assert refused({"alg": alg}) == ("unsupported_algorithm", "header.alg")


@pytest.mark.parametrize("alg", [None, 1, True, ["ES256"], {"ES256": 1}])
def test_an_algorithm_that_is_no_string_is_refused(alg: Any) -> None:
    """RFC 7515 s.4.1.1: alg is there, and a string."""
    assert refused({"alg": alg}) == ("malformed_header", "header.alg")
    assert refused({}) == ("malformed_header", "header.alg")


@pytest.mark.parametrize("name", ["kid", "typ", "cty"])
@pytest.mark.parametrize("value", [None, 1, True, [], {}], ids=repr)
def test_text_members_are_strings(name: str, value: Any) -> None:
    """RFC 7515 s.4.1.4, s.4.1.9, s.4.1.10."""
    assert refused({"alg": "ES256", name: value}) == ("malformed_header", f"header.{name}")


def test_a_kid_is_bounded() -> None:
    """A kid is a table key, not a document."""
    assert parse_header(json.dumps({"alg": "ES256", "kid": "k" * 512}).encode()).kid == "k" * 512
    assert refused({"alg": "ES256", "kid": "k" * 513}) == ("malformed_header", "header.kid")


def test_references_and_embedded_keys_are_not_looked_at() -> None:
    """CVE-2018-0114: jku, x5u, jwk, x5c change nothing, whatever they hold."""
    plain = parse_header(b'{"alg":"ES256","kid":"a"}')
    hints = {"jku": "https://evil.example", "x5u": 1, "jwk": {"kty": "oct", "k": ""}, "x5c": [None], "x5t": 5}
    assert parse_header(json.dumps({"alg": "ES256", "kid": "a", **hints}).encode()) == plain


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "malformed_json"),
        (b"{", "malformed_json"),
        (b'{"alg":"ES256"}x', "malformed_json"),
        (b'{"alg":"ES256",}', "malformed_json"),
        (b'\xef\xbb\xbf{"alg":"ES256"}', "malformed_json"),
        (b'{"alg":"ES256","a":"\xff"}', "malformed_json"),
        (b'{"alg":"ES256","a":"\\ud800"}', "malformed_json"),
        (b'{"alg":"ES256","a":NaN}', "malformed_json"),
        (b"[]", "malformed_header"),
        (b'"ES256"', "malformed_header"),
        (b"null", "malformed_header"),
        (b'{"alg":"none","alg":"ES256"}', "duplicate_member"),
        (b'{"alg":"none","\\u0061lg":"ES256"}', "duplicate_member"),
        (b'{"alg":"ES256","a":{"b":1,"b":2}}', "duplicate_member"),
        (b'{"alg":"ES256","a":' + b"[" * 32 + b"]" * 32 + b"}", "too_deep"),
        (b'{"alg":"ES256","a":' + b"[" * 900, "too_deep"),
        (b'{"alg":"ES256","a":"' + b"a" * 2048 + b'"}', "too_large"),
        (json.dumps({"alg": "ES256", **{str(i): i for i in range(64)}}).encode(), "too_many_members"),
    ],
)
def test_a_header_that_is_no_strict_json_object_is_refused(data: bytes, code: str) -> None:
    """Two readers must not read two headers, and none may work without bound."""
    assert refused(data) == (code, "header")


def test_the_limits_of_a_header_are_the_callers() -> None:
    """The last value inside each limit passes."""
    data = b'{"alg":"ES256","a":' + b"[" * 31 + b"]" * 31 + b"}"
    assert parse_header(data).alg == "ES256"
    assert refused(data, max_depth=31) == ("too_deep", "header")
    assert refused(data, max_bytes=len(data) - 1) == ("too_large", "header")
    assert parse_header(data, max_bytes=len(data)).alg == "ES256"
    assert refused(data, max_members=1) == ("too_many_members", "header")
    assert parse_header(data, max_members=2).alg == "ES256"


def test_understood_critical_extensions_pass() -> None:
    """RFC 7515 s.4.1.11: each name understood, and there."""
    data = {"alg": "ES256", "crit": ["exp", "x"], "exp": 1, "x": None}
    assert parse_header(json.dumps(data).encode(), understood_crit=UNDERSTOOD).crit == ("exp", "x")


@pytest.mark.parametrize(
    ("crit", "code", "place"),
    [
        ([], "crit_malformed", "header.crit"),
        (None, "crit_malformed", "header.crit"),
        ("exp", "crit_malformed", "header.crit"),
        ({"exp": 1}, "crit_malformed", "header.crit"),
        (True, "crit_malformed", "header.crit"),
        ([1], "crit_malformed", "header.crit[0]"),
        ([None], "crit_malformed", "header.crit[0]"),
        ([["exp"]], "crit_malformed", "header.crit[0]"),
        (["exp", "exp"], "crit_malformed", "header.crit[1]"),
        (["x"], "crit_malformed", "header.crit[0]"),
        (["exp", "bork"], "crit_unsupported", "header.crit[1]"),
        ([""], "crit_malformed", "header.crit[0]"),
    ],
    ids=repr,
)
def test_crit_that_breaks_a_rule_is_refused(crit: Any, code: str, place: str) -> None:
    """CVE-2025-59420, CVE-2026-32597: each row breaks one rule of RFC 7515 s.4.1.11."""
    data = {"alg": "ES256", "crit": crit, "exp": 1, "bork": 1}
    assert refused(data, understood_crit=UNDERSTOOD) == (code, place)


@pytest.mark.parametrize("name", sorted(REGISTERED_NAMES))
def test_crit_must_not_hold_a_registered_name(name: str) -> None:
    """Even where a caller claims to understand it."""
    data = {
        "alg": "ES256",
        "kid": "a",
        "typ": "a",
        "cty": "a",
        **dict.fromkeys(REGISTERED_NAMES - {"alg"}, 1),
    }
    data.update(kid="a", typ="a", cty="a", crit=[name])
    assert refused(data, understood_crit=frozenset({name})) == ("crit_malformed", "header.crit[0]")


def test_nothing_is_understood_unless_said() -> None:
    """The default understands no extension, b64 neither."""
    assert refused({"alg": "ES256", "crit": ["exp"], "exp": 1}) == ("crit_unsupported", "header.crit[0]")
    data = {"alg": "ES256", "crit": ["b64"], "b64": False}
    assert refused(data) == ("crit_unsupported", "header.crit[0]")


@pytest.mark.parametrize("value", [True, False])
def test_b64_counts_only_when_critical(value: bool) -> None:
    """RFC 7797 s.6: false is listed in crit and understood, or refused; true changes nothing."""
    data: dict[str, Any] = {"alg": "ES256", "crit": ["b64"], "b64": value}
    assert parse_header(json.dumps(data).encode(), understood_crit=UNDERSTOOD).b64 is value
    del data["crit"]
    for more in ({}, {"crit": ["exp"], "exp": 1}):
        data.update(more)
        if value:
            assert parse_header(json.dumps(data).encode(), understood_crit=UNDERSTOOD).b64 is True
        else:
            assert refused(data, understood_crit=UNDERSTOOD) == ("b64_unsupported", "header.b64")


@pytest.mark.parametrize("value", [None, 0, 1, "false", [], {}], ids=repr)
def test_b64_is_a_boolean(value: Any) -> None:
    """RFC 7797 s.3: nothing that is merely false-like."""
    data = {"alg": "ES256", "crit": ["b64"], "b64": value}
    assert refused(data, understood_crit=UNDERSTOOD) == ("malformed_header", "header.b64")


@pytest.mark.parametrize("typ", ["at+jwt", "AT+JWT", "application/at+jwt", "Application/AT+jwt"])
def test_typ_compares_as_a_media_type(typ: str) -> None:
    """RFC 7515 s.4.1.9: without case, application/ left out or not."""
    check_typ(Header(alg="ES256", typ=typ, raw={}), "at+jwt")
    check_typ(Header(alg="ES256", typ="at+jwt", raw={}), typ)


@pytest.mark.parametrize("typ", [None, "", "JWT", "at+jwt ", "text/at+jwt", "application/application/at+jwt"])
def test_another_typ_is_refused(typ: str | None) -> None:
    """RFC 8725 s.3.11: explicit typing; no typ is no match."""
    with pytest.raises(HeaderRefused) as caught:
        check_typ(Header(alg="ES256", typ=typ, raw={}), "at+jwt")
    assert caught.value.code == "typ_mismatch"


def test_a_header_shows_no_strangers_words() -> None:
    """raw holds whatever the token says: it stays out of the repr."""
    assert "secret" not in repr(parse_header(b'{"alg":"ES256","zzz":"secret"}'))


def test_typ_and_cty_count_only_where_they_are_protected() -> None:
    """A stranger may put an unprotected typ beside a good signature: it says nothing."""
    header = join_headers({"alg": "ES256"}, {"typ": "at+jwt", "cty": "jwt", "kid": "k"})
    assert (header.alg, header.kid, header.typ, header.cty) == ("ES256", "k", None, None)
    assert header.raw == {"alg": "ES256"}
    header = join_headers({"alg": "ES256", "typ": "at+jwt"}, {"cty": "jwt"})
    assert (header.typ, header.cty) == ("at+jwt", None)
