"""Cross-compile the aarch64 wheel on x86_64, and run it and the C files' drivers under qemu-user.

The compiler is Debian's cross gcc, the linker zig's, the interpreter Debian's own for arm64, unpacked and not
installed. Where one of them is missing there is no aarch64 wheel, and one line says why.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from apt_elsewhere import unpack
from openssl_source import tarball_in
from wheel_trial import MLDSA_NATIVELY, tests_in
from workbench import (
    BIN,
    BUILD,
    ROOT,
    WHEELS,
    fresh,
    path_with,
    plat,
    run,
    tested_tree,
    vectors,
    zig_compiler,
)

GCC = "aarch64-linux-gnu-gcc"
STRIP = "aarch64-linux-gnu-strip"
QEMU = "qemu-aarch64-static"
# what asks the network or a clock is left out: emulation is slow, and starts no second interpreter
MODULES_THERE = ("raw_signatures", "jose_vectors", "json_serializations", "cve_tokens", "cve_keys")
CLOCKED = "not linear_time"
# hours of arithmetic under emulation: the fields, the misuse and the third-party signatures stay in
SHORT_THERE = "not edge_signatures and not differential and not random"
SUITE, PYTHON = "trixie", "python3.13"
SYSTEM = BUILD / "python-aarch64"
PREFIX = BUILD / "openssl-aarch64"


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossed:
    """What came of the other machine.

    Attributes:
        wheel: The repaired wheel.
        python: The version of the interpreter that ran it.
        conformance: Conformance tests that passed.
        drivers: Tests of the C files that passed.
        faults: What went wrong, in words.
    """

    wheel: Path
    python: str
    conformance: int
    drivers: int
    faults: tuple[str, ...]


def emulated(*words: str | Path) -> list[str]:
    """Give the command that runs a program of the unpacked system."""
    return [QEMU, "-L", str(SYSTEM), *map(str, words)]


def python(*words: str | Path) -> list[str]:
    """Give the command that runs the arm64 interpreter."""
    return emulated(SYSTEM / "usr" / "bin" / PYTHON, *words)


def missing() -> str | None:
    """Say what a cross build lacks here once the interpreter was asked for; None where all is there."""
    if platform.machine() != "x86_64" or not sys.platform.startswith("linux"):
        return "the machine is no Linux x86_64"
    absent = [name for name in (GCC, STRIP, QEMU) if shutil.which(name) is None]
    if absent:
        return f"{', '.join(absent)} are not installed"
    if not (SYSTEM / "usr" / "bin" / PYTHON).exists():
        try:
            unpack(SYSTEM, SUITE, PYTHON, f"lib{PYTHON}-dev", architecture="arm64")
        except (OSError, subprocess.CalledProcessError) as fault:
            return f"no arm64 interpreter from Debian {SUITE}: {fault}"
    return None


def build(sdist: Path) -> Path:
    """Build and repair the wheel; give it in the wheelhouse."""
    zig = zig_compiler("aarch64")
    ziglang = f"{sys.executable} -m ziglang"
    run("sh", ROOT / "tools" / "build_openssl.sh", PREFIX, CC=str(zig), AR=f"{ziglang} ar",
        RANLIB=f"{ziglang} ranlib", OPENSSL_TARGET="linux-aarch64",
        RAPIDJWS_OPENSSL_TARBALL=str(tarball_in(BUILD)))  # fmt: skip
    raw = fresh(BUILD / "raw-aarch64")
    headers = SYSTEM / "usr" / "include"
    pip_wheel = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    run(*pip_wheel, "--wheel-dir", raw, sdist, CC=GCC, LDSHARED=f"{zig} -shared",
        CFLAGS=f"-g0 -I{headers / PYTHON} -idirafter {headers}", _PYTHON_HOST_PLATFORM="linux-aarch64",
        RAPIDJWS_OPENSSL_PREFIX=str(PREFIX))  # fmt: skip
    (wheel,) = raw.glob("*.whl")
    tools = fresh(BUILD / "bin-aarch64")
    (tools / "strip").symlink_to(str(shutil.which(STRIP)))
    # auditwheel knows the policies of the machine it runs on; the tools that it starts are this machine's
    pure = next(path for path in map(Path, sys.path) if (path / "auditwheel").is_dir())
    run(*python("-m", "auditwheel", "repair", "--strip", "--only-plat", "--plat", plat("aarch64")),
        "--wheel-dir", WHEELS, wheel, PYTHONPATH=str(pure), PATH=path_with(tools, BIN))  # fmt: skip
    return next(WHEELS.glob("*aarch64.whl"))


def conformance(wheel: Path) -> tuple[str, int, list[str]]:
    """Run the conformance suite under emulation; give (version, how many passed, faults)."""
    site = fresh(BUILD / "site-aarch64")
    plats = [word for tag in (28, 34, 17) for word in ("--platform", f"manylinux_2_{tag}_aarch64")]
    run(sys.executable, "-m", "pip", "install", "--quiet", "--target", site, *plats, "--python-version",
        PYTHON.removeprefix("python"), "--only-binary=:all:", wheel, "pytest>=8.4", "pytest-timeout",
        "hypothesis")  # fmt: skip
    tree = tested_tree(BUILD / "tree-aarch64")
    report = BUILD / "aarch64.xml"
    report.unlink(missing_ok=True)
    settings = {"PYTHONPATH": str(site), "RAPIDJWS_VECTORS": vectors(), "RAPIDJWS_TEST_FROM": str(site)}
    words = python("-m", "pytest", "-q", "-p", "no:cacheprovider", "--timeout=3000", f"--junitxml={report}")
    words += ["-k", CLOCKED, *(f"tests/conformance/test_{name}.py" for name in MODULES_THERE)]
    answer = subprocess.run(
        words, cwd=tree, env={**os.environ, **settings}, capture_output=True, text=True, check=False
    )
    (BUILD / "aarch64-conformance.log").write_text(answer.stdout + answer.stderr, "utf-8")
    passed, _ = tests_in(report)
    faults = [f"aarch64: {answer.stdout.strip()[-200:]}"] if answer.returncode else []
    unproven = MLDSA_NATIVELY - {name for _, name in passed}
    faults += [f"aarch64: not run or not passed: {name}" for name in sorted(unproven)]
    version = run(*python("-c", "import platform; print(platform.python_version())")).strip()
    return version, len(passed), faults


def drivers() -> tuple[int, list[str]]:
    """Compile the C files' drivers and run them under emulation; give (how many passed, faults)."""
    compiler = BUILD / "cc-aarch64"
    compiler.write_text(
        f'#!/bin/sh\nexec {GCC} -static "-I{PREFIX}/include" "-L{PREFIX}/lib" "$@" -lpthread\n'
    )
    compiler.chmod(0o755)
    report = BUILD / "aarch64-drivers.xml"
    report.unlink(missing_ok=True)
    settings = {
        "CC": str(compiler),
        "RAPIDJWS_RUNNER": QEMU,
        "RAPIDJWS_VECTORS": vectors(),
        "RAPIDJWS_DIFFERENTIAL_COUNT": "500",
    }
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--timeout=1800"]
    words += [f"--junitxml={report}", "-k", SHORT_THERE, "tests/native"]
    answer = subprocess.run(
        words, cwd=ROOT, env={**os.environ, **settings},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    (BUILD / "aarch64-drivers.log").write_text(answer.stdout + answer.stderr, "utf-8")
    faults = [f"aarch64, C files: {answer.stdout.strip()[-200:]}"] if answer.returncode else []
    return len(tests_in(report)[0]), faults


def cross(sdist: Path) -> Path | None:
    """Build the wheel from the sdist; None, and a line, where that cannot be done here."""
    lacking = missing()
    if lacking is not None:
        print(f"no aarch64 wheel: {lacking}")
        return None
    return build(sdist)


def try_crossed(wheel: Path) -> Crossed:
    """Run the wheel and the C files' drivers under emulation."""
    version, passed, faults = conformance(wheel)
    driven, driver_faults = drivers()
    print(f"aarch64 emulated, CPython {version}: {passed} of conformance, {driven} of C files", flush=True)
    return Crossed(
        wheel=wheel, python=version, conformance=passed, drivers=driven, faults=(*faults, *driver_faults)
    )
