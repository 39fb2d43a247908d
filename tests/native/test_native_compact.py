"""The compact code: two dots, three parts, and nothing read that need not be."""

from __future__ import annotations

import os

import pytest
from native_drivers import compile_driver, run_driver

OK, MALFORMED, TOO_LARGE = 1, 2, 3
SANITIZED = pytest.mark.parametrize("sanitized", [False, True], ids=["plain", "sanitized"])


def split(tokens: list[bytes], max_len: int, *, sanitized: bool) -> list[tuple[int, list[str]]]:
    """Split tokens with the driver; give status and length@offset of each part."""
    program = compile_driver("drive_compact", ("compact",), sanitized=sanitized)
    printed = run_driver(program, "lines", str(max_len), lines=[token.hex() or "-" for token in tokens])
    answers = [line.split() for line in printed.splitlines()]
    assert len(answers) == len(tokens)
    return [(int(status), parts) for status, *parts in answers]


@SANITIZED
def test_parts_lie_between_the_dots(sanitized: bool) -> None:
    """A token of three parts is cut at its dots; the payload may be empty, and no part is looked into."""
    tokens = [b"a.b.c", b"header.payload.signature", b"header..signature", b"a.\xff\x00 .\n"]
    assert split(tokens, 100, sanitized=sanitized) == [
        (OK, ["1@0", "1@2", "1@4"]),
        (OK, ["6@0", "7@7", "9@15"]),
        (OK, ["6@0", "0@7", "9@8"]),
        (OK, ["1@0", "3@2", "1@6"]),
    ]


@SANITIZED
@pytest.mark.parametrize(
    "token",
    [
        b"",
        b"a",
        b".",
        b"..",
        b"...",
        b"a.b",
        b"a.b.",
        b".b.c",
        b"..c",
        b"a..",
        b"a.b.c.",
        b"a.b.c.d.e",
        b".a.b.c",
    ],
    ids=repr,
)
def test_any_other_number_of_parts_is_refused(token: bytes, sanitized: bool) -> None:
    """RFC 7515 s.7.1: three parts; an empty header or an empty signature (alg none) is no part."""
    ((status, _),) = split([token], 100, sanitized=sanitized)
    assert status == MALFORMED


@SANITIZED
def test_the_size_limit_holds_to_the_byte_and_comes_first(sanitized: bool) -> None:
    """A token of the limit's size passes, one byte more is too large, whatever the bytes are."""
    answers = split([b"aaaa.b.cc", b"aaaa.b.ccc", b"." * 10, b"." * 9], 9, sanitized=sanitized)
    assert [status for status, _ in answers] == [OK, TOO_LARGE, TOO_LARGE, MALFORMED]


def test_a_token_too_large_is_not_read() -> None:
    """The limit is judged before any byte: a pointer to nowhere does no harm."""
    run_driver(compile_driver("drive_compact", ("compact",)), "untouched")


def test_a_mebibyte_of_dots_costs_what_a_token_costs() -> None:
    """Reading stops at the third dot, so the size of the rest does not matter."""
    printed = run_driver(compile_driver("drive_compact", ("compact",)), "bench").splitlines()
    token_ns, dots_ns = (float(line.split()[-2]) for line in printed)
    assert dots_ns < 20 * token_ns + 200


@SANITIZED
def test_random_tokens_are_cut_as_a_count_of_dots_says(sanitized: bool) -> None:
    """Over random bytes the verdict and the spans are those of plain counting."""
    program = compile_driver("drive_compact", ("compact",), sanitized=sanitized)
    printed = run_driver(program, "mutate", os.environ.get("RAPIDJWS_FUZZ_SECONDS", "1"), "1")
    assert int(printed.split()[0]) > 1000
