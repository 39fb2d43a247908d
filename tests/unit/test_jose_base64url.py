"""Strict base64url: one spelling for each byte string."""

from __future__ import annotations

import base64
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rapidjws import _native
from rapidjws.jose._base64url import decode, encode

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@given(st.binary(max_size=100))
def test_what_is_encoded_decodes(data: bytes) -> None:
    """Equal to the standard library without its padding, and back again."""
    text = encode(data)
    assert text == base64.urlsafe_b64encode(data).rstrip(b"=").decode()
    assert decode(text) == data


@given(st.text(ALPHABET + "=+/ \n", max_size=12))
def test_only_the_canonical_spelling_decodes(text: str) -> None:
    """RFC 4648 s.3.5: whatever decodes encodes to the very same text."""
    data = decode(text)
    assert data is None or encode(data) == text


@given(st.text(ALPHABET + "=+", max_size=40))
def test_the_native_twin_agrees(text: str) -> None:
    """Same bytes, same refusals."""
    assert _native.b64url_decode(text.encode()) == decode(text)


def test_every_last_character_is_judged() -> None:
    """Of the 64 last characters 4 are canonical behind one, 16 behind two, 64 behind three."""
    for head, canonical in (("A", 4), ("AA", 16), ("AAA", 64)):
        assert sum(decode(head + last) is not None for last in ALPHABET) == canonical


def test_every_other_character_is_refused() -> None:
    """All 256 bytes, and characters beyond them, at every place of a group."""
    others = [chr(code) for code in range(256) if chr(code) not in ALPHABET] + ["\u0410", "\uff21", "\ud800"]
    for other, place in itertools.product(others, range(4)):
        assert decode("AAAA"[:place] + other + "AAAA"[place + 1 :]) is None


@pytest.mark.parametrize("text", ["A", "AAAAA", "AA==", "AAA=", "AAAA=", "=", "AA\n", " AA", "AB", "AAB"])
def test_lengths_padding_and_leftover_bits_are_refused(text: str) -> None:
    """RFC 7515 s.2: no padding, no white space; and nothing left over."""
    assert decode(text) is None


def test_the_empty_text_is_the_empty_bytes() -> None:
    """Both ways."""
    assert decode("") == b""
    assert encode(b"") == ""
