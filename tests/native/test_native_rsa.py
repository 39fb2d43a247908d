"""The rsa files against OpenSSL's BIGNUM and EVP, and Wycheproof, with each kind of arithmetic."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from native_drivers import compile_driver, differential_count, run_driver, wycheproof

SOURCES = ("rsa", "rsa_key", "rsa52", "rsa52_lanes", "rsa_padding", "digest")
OK, SIGNATURE_INVALID = 1, 8
PKCS1, PSS = 1, 2
DIGEST_IDS = {"SHA-256": 1, "SHA-384": 2, "SHA-512": 3}
DIGEST_BYTES = {"SHA-256": 32, "SHA-384": 48, "SHA-512": 64}


@pytest.mark.parametrize("sanitized", [False, True], ids=["plain", "sanitized"])
def test_powers_equal_bignum_at_edge_numbers(sanitized: bool) -> None:
    """Each lane's power equals BN_mod_exp under random moduli and moduli of long runs of ones and zeros."""
    rounds = "40" if sanitized else "300"
    run_driver(compile_driver("drive_rsa", SOURCES, sanitized=sanitized), "arithmetic", rounds, "7")


@pytest.mark.parametrize("sanitized", [False, True], ids=["plain", "sanitized"])
def test_verdicts_equal_openssl_on_good_and_spoilt_signatures(sanitized: bool) -> None:
    """Single, batch and portable verdicts equal EVP_PKEY_verify's, for every key size, digest and padding."""
    program = compile_driver("drive_rsa", SOURCES, sanitized=sanitized)
    run_driver(program, "differential", differential_count(150 if sanitized else 400), "3")


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_fifty_thousand_verdicts_equal_openssl() -> None:
    """The same as above over fifty thousand signatures, and powers of five thousand rounds of moduli."""
    program = compile_driver("drive_rsa", SOURCES)
    run_driver(program, "arithmetic", "5000", "77")
    run_driver(program, "differential", differential_count(50_000), "99")


def test_weak_and_malformed_keys_are_refused() -> None:
    """A key below 2048 bits, past 16384, even, or with a bad exponent is refused with its own status."""
    run_driver(compile_driver("drive_rsa", SOURCES, sanitized=True), "limits")


def _modulus_and_exponent(group: dict[str, Any]) -> str:
    """Give "n e" in even-length hex from a group's key, either spelling of the field."""
    key = group["publicKey"]
    words = [key["modulus"], key["publicExponent"]]
    return " ".join(word if len(word) % 2 == 0 else "0" + word for word in words)


def _verdicts(group_rows: list[tuple[dict[str, Any], int]]) -> tuple[int, int]:
    """Run every case of the groups through all forms, compare, and return (accepted, cases).

    A group comes with the digest id to use; a case is right if labelled valid and the group fits JOSE.
    """
    lines, expected = [], []
    names = {1: "sha256", 2: "sha384", 3: "sha512"}
    for group, digest_id in group_rows:
        pss = "mgfSha" in group
        fits = not pss or (
            group["sha"] == group["mgfSha"]
            and DIGEST_IDS.get(group["sha"]) == digest_id
            and group["sLen"] == DIGEST_BYTES[group["sha"]]
        )
        for case in group["tests"]:
            digest = hashlib.new(names[digest_id], bytes.fromhex(case["msg"])).hexdigest()
            padding = PSS if pss else PKCS1
            signature = case["sig"] or "-"
            lines.append(f"{padding} {digest_id} {_modulus_and_exponent(group)} {digest} {signature}")
            changed_to_fit = case["comment"] == "s_len changed to 32" and not fits and group["sLen"] == 0
            valid = (fits and case["result"] == "valid") or (changed_to_fit and group["sha"] == "SHA-256")
            expected.append(OK if valid else SIGNATURE_INVALID)
    printed = run_driver(compile_driver("drive_rsa", SOURCES), "lines", lines=lines).splitlines()
    assert [[int(word) for word in line.split()] for line in printed] == [[status] * 4 for status in expected]
    return expected.count(OK), len(expected)


def test_wycheproof_pkcs1_cases() -> None:
    """Every RSASSA-PKCS1-v1_5 case gets its label; "acceptable" (DigestInfo without NULL) is refused."""
    accepted = cases = 0
    for bits in (2048, 3072, 4096, 8192):
        for sha in (256, 384, 512):
            vectors = wycheproof(f"rsa_signature_{bits}_sha{sha}_test.json")
            counts = _verdicts([(group, DIGEST_IDS[group["sha"]]) for group in vectors["testGroups"]])
            accepted, cases = accepted + counts[0], cases + counts[1]
    assert (accepted, cases) == (89, 3106)


PSS_JOSE = (
    "2048_sha256_mgf1_32",
    "3072_sha256_mgf1_32",
    "4096_sha256_mgf1_32",
    "2048_sha384_mgf1_48",
    "4096_sha384_mgf1_48",
    "4096_sha512_mgf1_64",
)
PSS_OTHER = ("2048_sha256_mgf1_0", "2048_sha256_mgf1sha1_20", "4096_sha512_mgf1_32", "misc")


@pytest.mark.parametrize(
    ("names", "right"), [(PSS_JOSE, (511, 785)), (PSS_OTHER, (4, 538))], ids=["jose", "other"]
)
def test_wycheproof_pss_cases(names: tuple[str, ...], right: tuple[int, int]) -> None:
    """A PSS case is accepted only under JOSE's parameters: one digest for all, salt of its size."""
    accepted = cases = 0
    for name in names:
        vectors = wycheproof(f"rsa_pss_{name}_test.json")
        rows = [(group, DIGEST_IDS.get(group["sha"], 1)) for group in vectors["testGroups"]]
        counts = _verdicts(rows)
        accepted, cases = accepted + counts[0], cases + counts[1]
    assert (accepted, cases) == right
