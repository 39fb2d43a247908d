"""The digest and hmac files against OpenSSL's EVP and Wycheproof."""

from __future__ import annotations

import sys

import pytest
from native_drivers import compile_driver, differential_count, run_driver, wycheproof

SOURCES = ("digest", "digest_lanes", "hmac")
OK, SIGNATURE_INVALID, KEY_WEAK = 1, 8, 21


@pytest.mark.parametrize("sanitized", [False, True], ids=["plain", "sanitized"])
def test_digests_and_tags_equal_openssl(sanitized: bool) -> None:
    """Every digest, tag and refusal equals what EVP and RFC 7518 s.3.2 say, at every length edge."""
    program = compile_driver("drive_hmac", SOURCES, sanitized=sanitized)
    run_driver(program, "differential", differential_count(300 if sanitized else 2000), "1")


@pytest.mark.parametrize("sanitized", [False, True], ids=["plain", "sanitized"])
def test_digests_in_lanes_equal_openssl(sanitized: bool) -> None:
    """Eight digests at a time equal EVP's, at every length edge and however a message is cut in two."""
    program = compile_driver("drive_hmac", SOURCES, sanitized=sanitized)
    run_driver(program, "lanes", differential_count(100 if sanitized else 500), "1")


@pytest.mark.skipif(sys.platform != "linux", reason="runs calls on a stack of its own (makecontext)")
def test_T15_nothing_secret_is_left_on_the_stack() -> None:
    """Neither the key, padded or hashed, nor the right tag is left in a frame that is over."""
    run_driver(compile_driver("drive_hmac_wiped", SOURCES), "wiped")


@pytest.mark.parametrize(("digest_id", "bits"), [(1, 256), (2, 384), (3, 512)])
def test_wycheproof_tags_follow_the_jose_rules(digest_id: int, bits: int) -> None:
    """A Wycheproof tag is accepted only if labelled valid, whole, and under a key of the digest's size."""
    vectors = wycheproof(f"hmac_sha{bits}_test.json")
    lines, expected = [], []
    for group in vectors["testGroups"]:
        for case in group["tests"]:
            lines.append(f"{digest_id} {case['key'] or '-'} {case['msg'] or '-'} {case['tag'] or '-'}")
            if group["keySize"] < bits:
                expected.append(KEY_WEAK)
            elif group["tagSize"] == bits and case["result"] == "valid":
                expected.append(OK)
            else:
                expected.append(SIGNATURE_INVALID)
    printed = run_driver(compile_driver("drive_hmac", SOURCES), "lines", lines=lines)
    assert len(lines) == 174
    assert expected.count(OK) == 30
    assert [int(line) for line in printed.split()] == expected
