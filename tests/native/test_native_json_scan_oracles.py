"""The json_scan code against JSONTestSuite, Python's own parser and orjson."""

from __future__ import annotations

import json
import math
import os
import random
from pathlib import Path

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st
from json_scanner import (
    ARRAY,
    BUILDS,
    DECIMAL,
    DUPLICATE,
    FALSE,
    INTEGER,
    MALFORMED,
    NULL,
    OBJECT,
    OK,
    STRING,
    TOO_DEEP,
    TRUE,
    scan,
)


class Twice(Exception):
    """The oracle met a name twice."""


def _pairs(pairs: list[tuple[str, object]]) -> dict[str, object]:
    if len({name for name, _ in pairs}) != len(pairs):
        raise Twice
    return dict(pairs)


def oracle(text: bytes) -> int:
    """Say what the scan must say of a text far below every limit: orjson for shape, json for names."""
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return MALFORMED
    try:
        json.loads(text, object_pairs_hook=_pairs)
    except Twice:
        return DUPLICATE
    return OK


def value_type(value: object) -> int:
    """Name the type of a parsed value as the scan does."""
    if isinstance(value, bool):
        return TRUE if value else FALSE
    return {dict: OBJECT, list: ARRAY, str: STRING, int: INTEGER, float: DECIMAL, type(None): NULL}[
        type(value)
    ]


@BUILDS
def test_infinity_is_decided_as_ieee_754_rounds(build: dict[str, bool]) -> None:
    """Around 2^1024 - 2^970, in every way to write it, a number passes exactly if a double holds it."""
    edge = 2**1024 - 2**970
    texts = []
    for near in (edge - 1, edge, edge + 1, 2**1024 - 2**971, 2**1024, 10**308, 10**309 - 1, 10**309):
        digits = str(near)
        texts += [
            digits,
            digits + ".0",
            digits + "e0",
            digits + "E-0",
            digits + "0e-1",
            "0." + digits + "e309",
        ]
        texts += ["0.000" + digits + "e312", digits[0] + "." + digits[1:] + "e308", digits + "000000e-6"]
        texts += [digits[:20] + "." + digits[20:] + "e289", digits + ".00000000000000000001", "-" + digits]
        texts += [digits[:17] + "e292", digits[:16] + "e+293", digits + "0" * 700 + "e-700"]
    expected = [OK if math.isfinite(float(text)) else MALFORMED for text in texts]
    assert {OK, MALFORMED} == set(expected)
    reports = scan([text.encode() for text in texts], build=build)
    assert [r.status for r in reports] == expected
    assert [oracle(text.encode()) for text in texts] == expected


LIVELY = '"\\{}[]:,0123456789-+.eEutfnrl \t\n\r/ab\x7f\x00é€😀'.encode()
SEEDS = [
    b'{"iss":"https://i.example","aud":["a","b"],"exp":1767225600,"o":{"x":[true,false,null]}}',
    b'{"a":-0.5e-3,"\\u0062":[1E5,0,18446744073709551616],"\\ud83d\\ude00":"\xf0\x9f\x98\x80"}',
    b'[[],{},"",0.0,-1,"\\"\\\\\\/\\b\\f\\n\\r\\t"]',
    b'{"a":1,"b":{"a":1},"c":[{"a":1}],"d":"a"}',
]


def mutants(count: int, seed: int) -> list[bytes]:
    """Make texts a few bytes away from good ones."""
    chance = random.Random(seed)
    texts = []
    for _ in range(count):
        text = bytearray(chance.choice(SEEDS))
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(text) + 1)
            byte = chance.choice(LIVELY) if chance.random() < 0.8 else chance.randrange(256)
            how = chance.randrange(4)
            if how == 0:
                text[at:at] = bytes([byte])
            elif how == 1:
                text[at : at + 1] = bytes([byte])
            elif how == 2:
                del text[at : at + chance.randint(1, 4)]
            else:
                text[at:at] = text[at : at + chance.randint(1, 20)]
        texts.append(bytes(text))
    return texts


@BUILDS
def test_mutants_are_judged_as_orjson_judges_them(build: dict[str, bool]) -> None:
    """Over many broken texts the scan accepts what orjson does, less only duplicate names."""
    texts = mutants(int(os.environ.get("RAPIDJWS_DIFFERENTIAL_COUNT", "20000")), 11)
    expected = [oracle(text) for text in texts]
    assert set(expected) == {OK, MALFORMED, DUPLICATE}
    reports = scan(texts, build=build)
    for text, report, verdict in zip(texts, reports, expected, strict=True):
        both = report.status == DUPLICATE and verdict == MALFORMED  # the duplicate came first in the text
        assert report.status == verdict or both, text


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), inner, max_size=8)
    ),
    max_leaves=20,
)


@settings(max_examples=30)
@given(
    documents=st.lists(
        st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), VALUES), max_size=20
    ),
    ascii_only=st.booleans(),
    indent=st.sampled_from([None, 1]),
)
def test_whatever_python_writes_is_read_back(
    documents: list[dict[str, object]], ascii_only: bool, indent: int | None
) -> None:
    """Any document that Python writes is accepted, and each listed member parses to what was written."""
    texts = [json.dumps(d, ensure_ascii=ascii_only, indent=indent).encode() for d in documents]
    for document, report in zip(documents, scan(texts) if texts else [], strict=True):
        assert report.status == OK
        read = {json.loads(b'"' + m.name + b'"'): json.loads(m.value) for m in report.members}
        assert read == dict(list(document.items())[:64])
        assert [m.value_type for m in report.members] == [value_type(v) for v in document.values()][:64]
        assert [m.name_has_escape for m in report.members] == [b"\\" in m.name for m in report.members]
        assert all(m.value_has_escape == (b"\\" in m.value) for m in report.members if m.value_type == STRING)


SUITE_DUPLICATES = {"y_object_duplicated_key.json", "y_object_duplicated_key_and_value.json"}


@BUILDS
def test_json_test_suite(vectors: Path, build: dict[str, bool]) -> None:
    """JSONTestSuite: y_ accepted but for two duplicate names, n_ refused, i_ as orjson has it."""
    files = sorted((vectors / "nst-JSONTestSuite" / "test_parsing").iterdir())
    texts = [path.read_bytes() for path in files]
    reports = scan(texts, build=build, max_depth=512)
    counts = {"y": 0, "n": 0, "i": 0}
    for path, text, report in zip(files, texts, reports, strict=True):
        counts[path.name[0]] += 1
        if path.name in SUITE_DUPLICATES:
            assert report.status == DUPLICATE, path.name
        elif path.name[0] == "y":
            assert report.status == OK, path.name
        elif path.name[0] == "n":
            assert report.status in (MALFORMED, TOO_DEEP), path.name
        else:
            assert report.status == oracle(text), path.name
        if report.status == OK:
            orjson.loads(text)
            json.loads(text)
    assert counts == {"y": 95, "n": 188, "i": 35}
