"""What kind of difference two payloads have, each kind made by what makes it in practice."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rapidjws.diagnose.payload_diff import payload_diff

ACUTE, COMBINED = "é", "e\u0301"
CASES = [
    ("key-order", b'{"a":1,"b":2}', b'{"b":2,"a":1}', ("key_order",)),
    ("space", b'{"a":1}', b'{"a": 1}', ("whitespace",)),
    ("text-space", b"x y", b"x  y", ("whitespace",)),
    ("float", b'{"a":1}', b'{"a":1.0}', ("number_format",)),
    ("exponent", b'{"a":100}', b'{"a":1e2}', ("number_format",)),
    ("javascript-integer", b'{"a":12345678901234567890}', b'{"a":12345678901234567000}', ("number_format",)),
    ("escape", f'{{"a":"{ACUTE}"}}'.encode(), b'{"a":"\\u00e9"}', ("unicode_escapes",)),
    ("slash", b'{"u":"a/b"}', b'{"u":"a\\/b"}', ("unicode_escapes",)),
    (
        "normal-form",
        f'{{"a":"{ACUTE}"}}'.encode(),
        f'{{"a":"{COMBINED}"}}'.encode(),
        ("unicode_normalisation",),
    ),
    ("final-newline", b'{"a":1}\n', b'{"a":1}', ("final_newline",)),
    ("crlf", b'{"a":\n1}', b'{"a":\r\n1}', ("line_endings",)),
    ("text-crlf", b"one\ntwo\n", b"one\r\ntwo\r\n", ("line_endings",)),
    ("bom", b"\xef\xbb\xbf{}", b"{}", ("bom",)),
    ("latin-1", f'{{"a":"{ACUTE}"}}'.encode(), f'{{"a":"{ACUTE}"}}'.encode("latin-1"), ("encoding",)),
    ("utf-16", f'{{"a":"{ACUTE}"}}'.encode(), f'{{"a":"{ACUTE}"}}'.encode("utf-16"), ("encoding",)),
    ("value", b'{"a":1}', b'{"a":2}', ("content",)),
    ("member", b'{"a":1}', b'{"a":1,"b":2}', ("content",)),
    ("binary", b"\x00\x01", b"\x00\x02", ("content",)),
    (
        "several",
        b'{"a":1,"b":[2]}',
        b'{\n  "b": [2],\n  "a": 1.0\n}',
        ("whitespace", "key_order", "number_format"),
    ),
]


@pytest.mark.parametrize(
    ("signed", "body", "kinds"), [row[1:] for row in CASES], ids=[row[0] for row in CASES]
)
def test_kind_is_named(signed: bytes, body: bytes, kinds: tuple[str, ...]) -> None:
    """The comparison names the kind, either way round, and the first byte that differs."""
    for one, two in ((signed, body), (body, signed)):
        found = payload_diff(one, two)
        assert found.kinds == kinds
        assert not found.equal
        assert found.offset is not None
        assert one[: found.offset] == two[: found.offset]
        assert one[found.offset : found.offset + 1] != two[found.offset : found.offset + 1]


def test_places_are_named() -> None:
    """A difference of content names the place in the JSON."""
    found = payload_diff(b'{"to":{"iban":"A"},"n":[1,2]}', b'{"to":{"iban":"B"},"n":[1,3]}')
    assert found.places == ("$.to.iban", "$.n[1]")


def test_windows_show_what_is_invisible() -> None:
    """The readable window shows line breaks and spaces as marks, and the hex window the bytes."""
    signed, body, signed_hex, body_hex = payload_diff(b"a\nb", b"a\r\nb").windows()
    assert (signed, body) == ("a␊b", "a␍␊b")
    assert (signed_hex, body_hex) == ("61 0a 62", "61 0d 0a 62")


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_never_raises(one: bytes, two: bytes) -> None:
    """Any two byte strings can be compared; equal means the same bytes, and a kind is always named."""
    found = payload_diff(one, two)
    assert found.equal == (one == two)
    assert bool(found.kinds) == (one != two)
    found.windows()


@given(
    st.recursive(st.none() | st.booleans() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3))
)
def test_white_space_alone_is_white_space(value: object) -> None:
    """JSON written with and without white space differs in white space alone, or not at all."""
    import json

    one, two = json.dumps(value).encode(), json.dumps(value, indent=1).encode()
    assert payload_diff(one, two).kinds in ((), ("whitespace",))
