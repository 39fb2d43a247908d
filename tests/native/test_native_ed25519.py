"""The ed25519 files against OpenSSL's BIGNUM and EVP, and Wycheproof, with each kind of arithmetic."""

from __future__ import annotations

import pytest
from native_drivers import compile_driver, differential_count, run_driver, wycheproof

SOURCES = (
    "ed25519_point",
    "ed25519_scalar",
    "ed25519_lanes",
    "ed25519_table",
    "ed25519_verify",
    "field_inverse",
    "digest",
    "digest_lanes",
)
OK, SIGNATURE_INVALID = 1, 8
BOTH = pytest.mark.parametrize("sanitized", [False, True], ids=["plain", "sanitized"])


@BOTH
def test_field_and_scalars_equal_bignum_at_edge_numbers(sanitized: bool) -> None:
    """Both kinds of field arithmetic, and reduction by the group order, equal BIGNUM's."""
    rounds = "300" if sanitized else "2000"
    run_driver(compile_driver("drive_ed25519", SOURCES, sanitized=sanitized), "field", rounds, "11")


def test_weak_malformed_and_swapped_tables_are_refused() -> None:
    """Small-order, non-canonical and off-curve keys get their own status, and misuse of tables is refused."""
    run_driver(compile_driver("drive_ed25519", SOURCES, sanitized=True), "keys")


@BOTH
def test_verdicts_equal_openssl_on_good_and_spoilt_signatures(sanitized: bool) -> None:
    """Single and batch verdicts, lanes and portable, equal EVP_DigestVerify's, odd keys included."""
    program = compile_driver("drive_ed25519", SOURCES, sanitized=sanitized)
    run_driver(program, "differential", differential_count(400 if sanitized else 2000), "13")


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_two_million_verdicts_equal_openssl() -> None:
    """The same as above over two million signatures."""
    program = compile_driver("drive_ed25519", SOURCES)
    run_driver(program, "differential", differential_count(2_000_000), "42")


def test_wycheproof_cases() -> None:
    """Every Ed25519 case of Wycheproof gets its label, through all four ways to verify."""
    vectors = wycheproof("ed25519_test.json")
    lines, expected = [], []
    for group in vectors["testGroups"]:
        for case in group["tests"]:
            lines.append(f"{group['publicKey']['pk']} {case['msg'] or '-'} {case['sig'] or '-'}")
            expected.append(OK if case["result"] == "valid" else SIGNATURE_INVALID)
    printed = run_driver(compile_driver("drive_ed25519", SOURCES), "lines", lines=lines).splitlines()
    assert [[int(word) for word in line.split()] for line in printed] == [[status] * 4 for status in expected]
    assert (expected.count(OK), len(expected)) == (88, 151)
