"""The strict JSON reader, and its slow twin, against RFC 8259 and JSONTestSuite."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rapidjws.errors import MalformedToken, RapidJWSError
from rapidjws.jose import _json_strict, json_text

LIMITS: dict[str, int] = {"max_bytes": 100_000, "max_depth": 32, "max_members": 64}
# Texts that RFC 8259 leaves open; a strict reader refuses them.
OPEN_AND_REFUSED = (
    "surrogate utf-8 utf_8 UTF8 UTF-16 utf16 utf-16 BOM unicode overlong iso_latin continuation".split()
)


def read(data: bytes, **limits: int) -> Any:
    """Read with the limits of this file, by the C scan and by its slow twin, which must agree."""
    whole: dict[str, int] = {**LIMITS, **limits}
    try:
        oracle, code = _json_strict.parse(data, **whole), None
    except _json_strict.Fault as fault:
        oracle, code = None, fault.code
    try:
        value = json_text.loads(data, **whole, place="header")
    except MalformedToken as refusal:
        if code is None:
            raise AssertionError(f"the scan refuses what its twin reads: {refusal.code}") from refusal
        raise
    assert code is None, f"the scan reads what its twin refuses: {code}"
    assert value == oracle
    return value


def refused(data: bytes, **limits: int) -> str:
    """Return the code that refuses a text, the same by both readers."""
    with pytest.raises(MalformedToken) as caught:
        read(data, **limits)
    assert caught.value.place == "header"
    with pytest.raises(_json_strict.Fault) as slow:
        _json_strict.parse(data, **{**LIMITS, **limits})
    assert slow.value.code == caught.value.code
    return caught.value.code


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "[]",
        "0",
        "-0",
        "1.5e3",
        '""',
        "true",
        "null",
        ' {"a" : [1, {"b": "\\u00e9\\ud83d\\ude00"}]} \n',
        '"\u20ac"',
    ],
)
def test_good_texts_are_read_as_the_standard_library_reads_them(text: str) -> None:
    """Strictness refuses; it changes no value."""
    assert read(text.encode()) == json.loads(text)


@pytest.mark.parametrize("number", [2**53 + 1, 2**63, 2**64, -(2**63) - 1, 10**300])
def test_integers_are_exact(number: int) -> None:
    """Fast parsers round what exceeds 64 bits; this one must not."""
    value = read(json.dumps({"a": number}).encode())["a"]
    assert value == number
    assert isinstance(value, int)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b" ",
        b"{",
        b"{}{}",
        b"{},",
        b"[1,]",
        b"{'a':1}",
        b"01",
        b"1.",
        b".5",
        b"+1",
        b"NaN",
        b"-Infinity",
        b"1e400",
        b"-1e400",
        b"1" + b"0" * 400,
        b"9" * 5000,
        b'"\t"',
        b'"\\x"',
        b'"\\ud800"',
        b'"\\udc00\\ud800"',
        b'{"\\ud800":1}',
        b'"\xed\xa0\x80"',
        b'"\xc0\xaf"',
        b'"\xf5\x80\x80\x80"',
        b"\xef\xbb\xbf{}",
        b'"a',
        b"tru",
        "{}".encode("utf-16"),
        b"\x00",
    ],
)
def test_what_is_no_json_is_refused(data: bytes) -> None:
    """RFC 8259 s.6 to s.8, RFC 3629 s.3, RFC 7493 s.2."""
    assert refused(data) == "malformed_json"


@pytest.mark.parametrize(
    "data",
    [b'{"a":1,"a":1}', b'{"a":1,"\\u0061":2}', b'[{"b":{"":1,"":2}}]', '{"\u00e9":1,"\\u00e9":2}'.encode()],
)
def test_equal_names_are_refused(data: bytes) -> None:
    """RFC 7515 s.4, RFC 7519 s.4: names are unique, compared as decoded, at every depth."""
    assert refused(data) == "duplicate_member"


def test_the_limits_count_right() -> None:
    """The last value inside each limit passes, the next is refused."""
    assert read(b"[" * 32 + b"]" * 32)
    assert refused(b"[" * 33 + b"]" * 33) == "too_deep"
    assert read(b'["[[[["]' * 1, max_depth=1)
    assert read(b'["\\"[[[["]', max_depth=1)
    assert len(read(json.dumps({str(i): i for i in range(64)}).encode())) == 64
    assert refused(json.dumps({str(i): i for i in range(65)}).encode()) == "too_many_members"
    assert read(b"[1,2]", max_bytes=5)
    assert refused(b"[1,2]", max_bytes=4) == "too_large"


@pytest.mark.parametrize("mark", [b'"', b'\\"', b"\\", b'"\\', b"[", b"{", b'{"a":', b"]", b'"a",'])
def test_no_text_takes_more_than_linear_time(mark: bytes) -> None:
    """Quotes and brackets in masses, closed or not, are read once."""
    start = time.perf_counter()
    for data in (mark * 20_000, b"[" + mark * 20_000, b'"' + mark * 20_000):
        with pytest.raises(MalformedToken):
            read(data, max_bytes=1_000_000)
    assert time.perf_counter() - start < 5


def test_spoiled_objects_are_marked_where_the_rest_is_wanted() -> None:
    """A JWK Set goes on without the key that breaks a rule of its own."""
    value = _json_strict.parse(b'[{"a":1,"a":2},{"b":1}]', **LIMITS, keep_spoiled=True)
    assert isinstance(value[0], _json_strict.SpoiledObject)
    assert value[0].code == "duplicate_member"
    assert value[1] == {"b": 1}


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(VALUES, st.booleans())
def test_whatever_is_written_is_read_back(value: Any, ascii_only: bool) -> None:
    """Every value comes back equal, with and without escapes."""
    assert read(json.dumps(value, ensure_ascii=ascii_only).encode(), max_depth=100) == value


PIECES = st.sampled_from(
    [
        *'{}[],:"',
        '"a"',
        '"b":',
        '"a":1',
        "-",
        "0",
        "1e5",
        "1.5",
        "true",
        "null",
        " ",
        "\\",
        "\\u0061",
        "\\ud800",
    ]
)


@given(st.binary(max_size=60) | st.lists(PIECES, max_size=24).map(lambda pieces: "".join(pieces).encode()))
def test_no_bytes_crash_the_reader(data: bytes) -> None:
    """A value or a refusal by both readers alike, never another exception."""
    try:
        read(data)
    except MalformedToken:
        return
    json.loads(data)


def test_json_test_suite(vectors: Path) -> None:
    """Every y_ text is read, every n_ text refused; open ones are refused where two readers differ."""
    files = sorted((vectors / "nst-JSONTestSuite/test_parsing").glob("*.json"))
    assert len(files) == 318
    wrong = []
    for file in files:
        try:
            read(file.read_bytes(), max_depth=500, max_members=100)
            accepted, code = True, None
        except MalformedToken as refusal:
            accepted, code = False, refusal.code
        kind = file.name[:2]
        if kind == "y_" and not accepted and code != "duplicate_member":
            wrong.append(file.name)
        if kind == "n_" and accepted:
            wrong.append(file.name)
        if kind == "i_" and accepted and any(mark in file.name for mark in OPEN_AND_REFUSED):
            wrong.append(file.name)
    assert wrong == []


@pytest.mark.parametrize("sign", [b"", b"-"])
@pytest.mark.parametrize("digits", [309, 4300, 4301, 20_000])
def test_an_integer_too_long_for_python_is_refused_by_the_scan(sign: bytes, digits: int) -> None:
    """An integer past 4300 digits, which Python's own parser answers with a ValueError, never reaches it."""
    with pytest.raises(MalformedToken) as refused:
        json_text.loads(b'{"n":' + sign + b"9" * digits + b"}", **LIMITS, place="claims")
    assert (refused.value.code, refused.value.place) == ("malformed_json", "claims")


def test_the_longest_integer_that_the_scan_lets_pass_is_exact() -> None:
    """An integer of 308 digits is read digit for digit."""
    text = b"9" * 308
    assert json_text.loads(b'{"n":' + text + b"}", **LIMITS, place="claims") == {"n": int(text)}


@pytest.mark.parametrize(
    ("text", "is_number"),
    [
        (b'{"n": ' + b"9" * 309 + b"}", True),
        (b'{"n": -' + b"9" * 5000 + b"}", True),
        (b'{"a": ["x", {"n": 1e400}]}', True),
        (b'{"n": 1.5E+309, "m": }', True),
        (b'{"n": }' + b"9" * 400, False),
        (b'{"n": "' + b"9" * 400 + b'", "m": }', False),
        (b'{"n": 1e5, "m": }', False),
        (b"\xff" + b"9" * 400, False),
        (b"\xef\xbb\xbf" + b"9" * 400, False),
        (b'{"n": 01}', False),
        (b"[" * 20, False),
    ],
)
def test_a_number_that_is_too_long_is_named(text: bytes, is_number: bool) -> None:
    """A refusal says that a number is too long to be read, and says it of nothing else."""
    with pytest.raises(RapidJWSError) as refused:
        json_text.loads(text, **LIMITS, place="claims")
    assert refused.value.code in ("malformed_json", "too_deep")
    assert ("a number with too many digits" in str(refused.value)) == is_number
