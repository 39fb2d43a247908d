"""The base64url code, each lane of it, against the rules of RFC 7515 s.2 and Python's own base64."""

from __future__ import annotations

import base64
import random

import pytest
from native_drivers import compile_driver, differential_count, run_driver

OK, MALFORMED = 1, 2
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
BUILDS = pytest.mark.parametrize(
    "build", [{}, {"portable": True}, {"sanitized": True}], ids=["plain", "portable", "sanitized"]
)


def decode(texts: list[bytes], build: dict[str, bool]) -> list[tuple[int, bytes]]:
    """Decode texts with the driver, which also holds all lanes against each other."""
    program = compile_driver("drive_base64url", (), **build)
    printed = run_driver(program, "lines", lines=[text.hex() or "-" for text in texts])
    answers = [line.split() for line in printed.splitlines()]
    assert len(answers) == len(texts)
    return [(int(status), bytes.fromhex(out.strip("-"))) for status, out in answers]


def oracle(text: bytes) -> tuple[int, bytes]:
    """Decode with Python and accept only what it would write itself."""
    try:
        decoded = base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4))
    except ValueError:
        return MALFORMED, b""
    spelled = base64.urlsafe_b64encode(decoded).rstrip(b"=")
    return (OK, decoded) if spelled == text else (MALFORMED, b"")


@BUILDS
def test_every_byte_at_every_place_is_judged_by_the_alphabet(build: dict[str, bool]) -> None:
    """Of all bytes exactly the 64 of RFC 4648 s.5 pass, wherever in a lane they stand."""
    texts = [
        b"A" * place + bytes([byte]) + b"A" * (length - place - 1)
        for length in (4, 32, 64, 136)
        for place in range(0, length, 1 if length < 100 else 7)
        for byte in range(256)
    ]
    for text, (status, out) in zip(texts, decode(texts, build), strict=True):
        odd = [chr(byte) for byte in text if byte != ord("A")]
        assert status == (OK if all(char in ALPHABET for char in odd) else MALFORMED), text
        assert (status, out) == oracle(text)


REFUSED = [
    (b"A", "one character holds no byte"),
    (b"AAAAA", "one character over"),
    (b"A" * 65, "one character over, long"),
    (b"AA==", "padding"),
    (b"AAA=", "padding, one"),
    (b"AA=", "padding, wrong"),
    (b"====", "padding alone"),
    (b"AAAA\n", "line feed at the end"),
    (b"AA\nAA", "line feed inside"),
    (b" AAAA", "space first"),
    (b"AAAA\x00", "NUL at the end"),
    (b"AAA+", "plus of plain base64"),
    (b"AAA/", "slash of plain base64"),
    (b"AAA.", "dot"),
    (b"AB", "pad bits set, one byte"),
    (b"A_", "pad bits set, all four"),
    (b"AAB", "pad bits set, two bytes"),
    (b"A" * 64 + b"AB", "pad bits set, long"),
    (b"A" * 64 + b"AAD", "pad bits set, long, two bytes"),
    ("AAAé".encode(), "not ASCII"),
]


@BUILDS
def test_each_deviation_is_refused(build: dict[str, bool]) -> None:
    """Padding, white space, the plain alphabet, odd lengths and pad bits are refused, never repaired."""
    answers = decode([text for text, _ in REFUSED], build)
    assert {why: answer for answer, (_, why) in zip(answers, REFUSED, strict=True)} == {
        why: (MALFORMED, b"") for _, why in REFUSED
    }


@BUILDS
def test_known_answers(build: dict[str, bool]) -> None:
    """The examples of RFC 7515 appendix C and RFC 4648 s.10, and no bytes at all."""
    pairs = [
        (b"A-z_4ME", bytes([3, 236, 255, 224, 193])),
        (b"Zm9vYmFy", b"foobar"),
        (b"Zm9vYmE", b"fooba"),
        (b"Zm9vYg", b"foob"),
        (b"", b""),
        (b"_____w", b"\xff" * 4),
    ]
    assert decode([text for text, _ in pairs], build) == [(OK, out) for _, out in pairs]
    program = compile_driver("drive_base64url", (), **build)
    encoded = run_driver(program, "encode", lines=[out.hex() or "-" for _, out in pairs])
    assert encoded.splitlines() == [text.decode() for text, _ in pairs]


def test_random_texts_are_judged_as_the_oracle_judges_them() -> None:
    """Strings over the alphabet and a few strangers get Python's verdict and Python's bytes."""
    chance = random.Random(5)
    texts = [
        "".join(chance.choices(ALPHABET, k=chance.randrange(140))).encode()
        + bytes(chance.choices(b"A=+/ \x80", k=chance.random() < 0.2))
        for _ in range(5000)
    ]
    expected = [oracle(text) for text in texts]
    assert {status for status, _ in expected} == {OK, MALFORMED}
    assert decode(texts, {}) == expected


@BUILDS
def test_round_trips_and_one_changed_character(build: dict[str, bool]) -> None:
    """Whatever is encoded decodes to itself in buffers of the exact size; a changed character never hides."""
    run_driver(compile_driver("drive_base64url", (), **build), "differential", differential_count(6000), "3")


def test_the_portable_build_has_one_lane() -> None:
    """Without the lanes for one CPU the code still works: what other machines run is tested here."""
    program = compile_driver("drive_base64url", (), portable=True)
    assert run_driver(program, "lanes").split() == ["table"]
