"""The ecdsa_der code against libcrypto's encoder, and strict DER rule by rule."""

from __future__ import annotations

import pytest
from native_drivers import compile_driver, differential_count, run_driver

OK, SIGNATURE_INVALID, BAD_ARGUMENT = 1, 8, 24
SANITIZED = pytest.mark.parametrize("sanitized", [False, True], ids=["plain", "sanitized"])


def drive(mode: str, lines: list[str], *, sanitized: bool) -> list[tuple[int, bytes]]:
    """Run one mode of the driver over lines; give status and bytes."""
    program = compile_driver("drive_ecdsa_der", ("ecdsa_der",), sanitized=sanitized)
    answers = [line.split() for line in run_driver(program, mode, lines=lines).splitlines()]
    assert len(answers) == len(lines)
    return [(int(status), bytes.fromhex(out.strip("-"))) for status, out in answers]


@SANITIZED
def test_both_ways_equal_libcrypto(sanitized: bool) -> None:
    """Numbers of up to 66 bytes are written and read as libcrypto does; a changed byte never hides."""
    program = compile_driver("drive_ecdsa_der", ("ecdsa_der",), sanitized=sanitized)
    run_driver(program, "differential", differential_count(20000), "1")


@SANITIZED
def test_the_encoding_is_minimal(sanitized: bool) -> None:
    """Leading zeros go, a set top bit gets one, and a long body gets the one-byte long form."""
    cases = {
        "0101": "3006020101020101",
        "8001": "300702020080020101",
        "00010080": "300702010102020080",
        "007f00ff": "300702017f020200ff",
        "01" * 132: "308188" + ("0242" + "01" * 66) * 2,
        "ff" * 132: "30818a" + ("024300" + "ff" * 66) * 2,
        "01" * 122: "307e" + ("023d" + "01" * 61) * 2,
        "01" * 124: "308180" + ("023e" + "01" * 62) * 2,
    }
    answers = drive("encode", list(cases), sanitized=sanitized)
    assert answers == [(OK, bytes.fromhex(der)) for der in cases.values()]


@SANITIZED
def test_zero_and_odd_sizes_are_not_encoded(sanitized: bool) -> None:
    """FIPS 186-5 s.6.4.2: r and s are at least 1; R || S has an even, possible size."""
    zeros = ["00" * 64, "00" * 32 + "01" * 32, "01" * 32 + "00" * 32]
    assert drive("encode", zeros, sanitized=sanitized) == [(SIGNATURE_INVALID, b"")] * 3
    sizes = ["-", "01", "01" * 63, "01" * 133, "01" * 134]
    assert drive("encode", sizes, sanitized=sanitized) == [(BAD_ARGUMENT, b"")] * 5


REFUSED = {
    "nothing": "-",
    "only a tag": "30",
    "an empty sequence": "3000",
    "not a sequence": "3106020101020101",
    "one byte too many": "300602010102010100",
    "a byte inside the sequence too many": "300702010102010100",
    "cut off": "30060201010201",
    "length too long": "3007020101020101",
    "length too short": "3005020101020101",
    "long form for a short length": "308106020101020101",
    "long form with two bytes": "30820006020101020101",
    "indefinite length": "30800201010201010000",
    "one integer": "3003020101",
    "three integers": "3009020101020101020101",
    "first is no integer": "3006030101020101",
    "second is no integer": "3006020101030101",
    "empty integer": "30050200020101",
    "empty second integer": "30050201010200",
    "negative r": "3006020180020101",
    "negative s": "30060201010201ff",
    "zero r": "3006020100020101",
    "zero s": "3006020101020100",
    "needless zero byte in r": "300702020001020101",
    "needless zero byte in s": "30070201010202007f",
    "long form inside": "300702810101020101",
    "integer longer than the rest": "3006020501020101",
    "wider than the field": "300702021234020101",
    "wider than the field by its sign byte": "30080203008000020101",
}


@SANITIZED
def test_each_deviation_from_der_is_refused(sanitized: bool) -> None:
    """Read into a field of one byte, everything but the one form of two small positive numbers is refused."""
    answers = drive("lines", [f"2 {text}" for text in REFUSED.values()], sanitized=sanitized)
    assert dict(zip(REFUSED, answers, strict=True)) == dict.fromkeys(REFUSED, (SIGNATURE_INVALID, b""))


@SANITIZED
def test_der_is_padded_to_the_field(sanitized: bool) -> None:
    """Numbers shorter than the field get their zeros back; the size asked for must be a possible one."""
    lines = ["2 3006020101020101", "2 3008020200ff02020080", "8 300702010102020080", "4 3008020212340202007f"]
    assert drive("lines", lines, sanitized=sanitized) == [
        (OK, bytes.fromhex("0101")),
        (OK, bytes.fromhex("ff80")),
        (OK, bytes.fromhex("0000000100000080")),
        (SIGNATURE_INVALID, b""),
    ]
    sizes = [f"{size} 3006020101020101" for size in (0, 1, 3, 133, 134)]
    assert drive("lines", sizes, sanitized=sanitized) == [(BAD_ARGUMENT, b"")] * 5
