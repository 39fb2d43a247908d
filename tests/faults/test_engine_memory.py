"""Row P8: allocations of the core and of libcrypto fail, one after the other; nothing false is accepted."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from processes import run_python

HERE = Path(__file__).resolve().parent
CODE = """
import ctypes
from rapidjws import _native
from rapidjws._native import core
shim = ctypes.CDLL(None)
shim.fault_disarm.restype = ctypes.c_long

ALGS = {algs!r}
REFUSALS = ("internal_error", "signature_invalid")
keys = [public(alg) for alg in ALGS]
good = [token(alg).encode() for alg in ALGS]
forged = [text[:-8] + b"AAAAAAAA" for text in good]
wanted = ["ok"] * len(ALGS) + ["signature_invalid"] * len(ALGS)
fresh = dict(precompute_threshold=0, workers=1)

def codes(results):
    return ["ok" if isinstance(one, rapidjws.VerifiedJWS) else one.code for one in results]

def attempt(task):
    # the first allocations fail one after the other, later ones in growing steps
    failures, number, quiet = 0, 0, 0
    while quiet < 2:
        check = task()
        shim.fault_arm(ctypes.c_long(number))
        try:
            found = check()
        except (MemoryError, RuntimeError, rapidjws.RapidJWSError) as fault:
            found = fault
        hit = shim.fault_disarm()
        failures += hit
        quiet = 0 if hit else quiet + 1
        judge(found, hit)
        number += 1 + number // 12 if hit else 1
    return failures

def judge(found, hit):
    if isinstance(found, list):
        assert len(found) == len(wanted)
        for one, due in zip(found, wanted):
            assert one == due or (hit and one in REFUSALS), (one, due, hit)
    else:
        assert hit, found

def on_fresh_runtime(preloaded):
    def task():
        made = rapidjws.Engine(issuer(*ALGS), **fresh)
        if preloaded:
            made.precompute()
        made._snapshot.handle.runtime = core._new_runtime()
        return lambda: codes(made.verify_many([*good, *forged], NOW_S))
    return task

def loading():
    def check():
        made = rapidjws.Engine(issuer(*ALGS), **fresh)
        lost = [gone for keys in made._keys.values() for gone in keys.unusable]
        assert not lost, lost
        return codes(made.verify_many([*good, *forged], NOW_S))
    return check

def preloading():
    made = rapidjws.Engine(issuer(*ALGS), **fresh)
    def check():
        made.precompute()
        return codes(made.verify_many([*good, *forged], NOW_S))
    return check

tasks = [on_fresh_runtime(False), on_fresh_runtime(True), loading, preloading]
counts = [attempt(task) for task in tasks]
print(*counts)
assert codes(rapidjws.Engine(issuer(*ALGS)).verify_many([*good, *forged], NOW_S)) == wanted
"""


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the library that makes allocations fail."""
    compiler = os.environ.get("CC") or shutil.which("cc")
    if compiler is None or not sys.platform.startswith("linux"):
        pytest.skip("needs a C compiler on Linux")
    if "LD_PRELOAD" in os.environ:
        pytest.skip("another library is preloaded")
    path = tmp_path_factory.mktemp("shim") / "malloc_fault.so"
    command = [compiler, "-shared", "-fPIC", "-O1", "-o", str(path), str(HERE / "malloc_fault.c"), "-ldl"]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("no glibc here")
    return path


@pytest.mark.parametrize("algs", [("ES256", "RS256"), ("EdDSA", "Ed448"), ("HS256",)], ids=",".join)
def test_P8_allocations_fail(algs: tuple[str, ...], shim: Path) -> None:
    """Whichever allocation fails, a good token is accepted or refused, a forged one refused, no key lost."""
    printed = run_python(
        CODE.format(algs=algs), LD_PRELOAD=str(shim), RAPIDJWS_FAULT_IN="_rapidjws:libcrypto", timeout_s=250
    )
    assert int(printed.split()[0]) >= 1
