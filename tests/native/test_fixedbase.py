"""ECDSA with per-key tables against OpenSSL and Wycheproof, on the plain and the vector arithmetic."""

from __future__ import annotations

import hashlib

import pytest
from fixedbase_drivers import driver
from native_drivers import differential_count, run_driver, wycheproof

CURVES = {"P-256": 0, "P-384": 1, "P-521": 2, "secp256k1": 3}
WIDTHS = {"P-256": 32, "P-384": 48, "P-521": 66, "secp256k1": 32}
PORTABLE, BEST = "1", "0"
MEDIUM, SMALL = 16, 32
"""Sizes of the keys' tables, added to the flags."""
UNDECIDED, OK, SIGNATURE_INVALID = 0, 1, 8

curves = pytest.mark.parametrize("curve", CURVES)
engines = pytest.mark.parametrize("flags", [PORTABLE, BEST], ids=["portable", "best"])
smaller_tables = pytest.mark.parametrize(
    "flags",
    [str(int(flags) + size) for flags in (PORTABLE, BEST) for size in (MEDIUM, SMALL)],
    ids=["portable-medium", "portable-small", "best-medium", "best-small"],
)


@curves
@engines
def test_random_signatures_equal_openssl(curve: str, flags: str) -> None:
    """Good, spoiled and mirrored signatures get OpenSSL's verdict, in batches of every size and singly."""
    count = differential_count(2000 if curve == "P-521" else 5000)
    program = driver("drive_fixedbase", "fast")
    printed = run_driver(program, "differential", str(CURVES[curve]), flags, count, "1")
    assert printed.startswith(f"{count} signatures")


@curves
@engines
def test_edge_signatures_equal_openssl(curve: str, flags: str) -> None:
    """Edge r, s, digests, keys and scalars get OpenSSL's verdict or none, and leave others be."""
    run_driver(driver("drive_fixedbase", "fast"), "edges", str(CURVES[curve]), flags, "2")


@curves
@smaller_tables
def test_N5_smaller_tables_equal_openssl(curve: str, flags: str) -> None:
    """Tables of every size give OpenSSL's verdicts, on random signatures, on edges and under sanitizers."""
    program, count = driver("drive_fixedbase", "fast"), differential_count(1000)
    printed = run_driver(program, "differential", str(CURVES[curve]), flags, count, "5")
    assert printed.startswith(f"{count} signatures")
    run_driver(program, "edges", str(CURVES[curve]), flags, "6")
    run_driver(driver("drive_fixedbase", "sanitized"), "differential", str(CURVES[curve]), flags, "200", "7")


@curves
def test_edges_without_anything_for_one_cpu(curve: str) -> None:
    """The sources built for any CPU, without intrinsics, give the same verdicts."""
    printed = run_driver(driver("drive_fixedbase", "portable"), "edges", str(CURVES[curve]), BEST, "4")
    assert "engine portable" in printed


@curves
@engines
def test_edge_signatures_under_sanitizers(curve: str, flags: str) -> None:
    """No edge or random signature makes the sources read or write amiss, or rely on undefined behaviour."""
    program = driver("drive_fixedbase", "sanitized")
    run_driver(program, "edges", str(CURVES[curve]), flags, "3")
    run_driver(program, "differential", str(CURVES[curve]), flags, "300", "3")


names = pytest.mark.parametrize("name", ["p256", "p384", "p521", "k256"])
kinds = pytest.mark.parametrize(
    ("kind", "source"), [("field", "fixedbase_{}"), ("lanes", "fixedbase_lanes_{}")]
)


@names
@kinds
def test_field_operations_equal_bignum(kind: str, source: str, name: str) -> None:
    """Products, differences, inverses and zero tests equal BIGNUM's, near p and where limbs carry."""
    program = driver(f"drive_{kind}_{name}", "fast", source.format(name), own_build="quick")
    run_driver(program, differential_count(20000), "1")


@pytest.mark.long
@names
@kinds
def test_optimised_field_operations_equal_bignum(kind: str, source: str, name: str) -> None:
    """The same, over a million numbers and compiled as the extension is."""
    program = driver(f"drive_{kind}_{name}", "fast", source.format(name))
    run_driver(program, differential_count(1_000_000), "2")


def test_misuse_is_refused() -> None:
    """Points off the curve, wrong lengths, flags, roles, curves and short buffers are refused."""
    run_driver(driver("drive_fixedbase", "fast"), "refusals")


@engines
@pytest.mark.parametrize(
    ("name", "curve", "count"),
    [
        ("ecdsa_secp256r1_sha256_p1363_test.json", "P-256", 241),
        ("ecdsa_secp256r1_sha512_p1363_test.json", "P-256", 311),
        ("ecdsa_secp384r1_sha384_p1363_test.json", "P-384", 261),
        ("ecdsa_secp384r1_sha512_p1363_test.json", "P-384", 299),
        ("ecdsa_secp521r1_sha512_p1363_test.json", "P-521", 304),
        ("ecdsa_secp256k1_sha256_p1363_test.json", "secp256k1", 234),
    ],
)
def test_wycheproof_signatures(name: str, curve: str, count: int, flags: str) -> None:
    """Every Wycheproof R||S of the right length gets its verdict, or none where the sum is degenerate."""
    vectors = wycheproof(name)
    lines, labels = [], []
    for group in vectors["testGroups"]:
        key = group["publicKey"]["uncompressed"][2:]
        hash_name = group["sha"].replace("-", "").lower()
        for case in group["tests"]:
            if len(case["sig"]) != 4 * WIDTHS[curve]:
                assert case["result"] != "valid", case["tcId"]
                continue
            digest = hashlib.new(hash_name, bytes.fromhex(case["msg"])).hexdigest()
            lines.append(f"{CURVES[curve]} {key} {digest} {case['sig']}")
            labels.append((case["tcId"], OK if case["result"] == "valid" else SIGNATURE_INVALID))
    printed = run_driver(driver("drive_fixedbase", "fast"), "lines", flags, lines=lines)
    verdicts = [int(line) for line in printed.split()]
    assert len(verdicts) == len(labels) == count
    pairs = zip(labels, verdicts, strict=True)
    assert [case for (case, label), verdict in pairs if verdict not in {label, UNDECIDED}] == []
    assert verdicts.count(UNDECIDED) <= len(verdicts) // 10
