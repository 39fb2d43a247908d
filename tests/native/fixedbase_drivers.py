"""Compile the fixedbase files once into objects, and link each of their drivers with them."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from native_drivers import DRIVERS, NATIVE, RUNNER, SANITIZERS, WARNINGS, compiled, native_file

SOURCES = tuple(
    sorted(path.stem for path in [*NATIVE.glob("ec/fixedbase*.c"), native_file("field_inverse.c")])
)
BUILDS = {
    "fast": ["-O3"],
    "quick": ["-O1"],
    "portable": ["-O1", "-DRJ_PORTABLE_ONLY"],
    "sanitized": SANITIZERS,
}


def compiler_call(build: str, includes: Path = NATIVE) -> list[str]:
    """Return the compiler with the flags of a build; skip where no compiler is."""
    if build == "sanitized" and RUNNER:
        pytest.skip("drivers run under RAPIDJWS_RUNNER, where sanitizers do not")
    compiler = os.environ.get("CC") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    return [compiler, *WARNINGS, "-fvisibility=hidden", *BUILDS[build], f"-I{includes}", f"-I{DRIVERS}"]


def compile_object(
    source: Path, made: Path, build: str, *, includes: Path = NATIVE, warnings: bool = True
) -> bool:
    """Compile one C file with the flags of a build; say whether the compiler took it."""
    flags = compiler_call(build, includes)
    if not warnings:
        flags.append("-w")
    command = [*flags, "-c", str(source), "-o", str(made)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def link(program: Path, objects: list[Path], build: str) -> Path:
    """Link objects into a program."""
    compiler = os.environ.get("CC") or "cc"
    names = [str(made) for made in objects]
    subprocess.run([compiler, *BUILDS[build], *names, "-lcrypto", "-o", str(program)], check=True)
    return program


def made_object(source: Path, build: str) -> Path:
    """Compile one C file with the flags of a build, once."""
    return compiled(f"{source.stem}-{build}.o", [*compiler_call(build), "-c", str(source)])


def source_object(source: str, build: str) -> Path:
    """Compile one source of this build, once."""
    return made_object(native_file(f"{source}.c"), build)


def driver(name: str, build: str, included: str = "", own_build: str = "") -> Path:
    """Link tests/native/<name>.c with every source but the one that it includes whole.

    The driver itself is compiled with ``own_build`` where it is given.
    """
    objects = [source_object(source, build) for source in SOURCES if source != included]
    parts = [str(part) for part in (made_object(DRIVERS / f"{name}.c", own_build or build), *objects)]
    return compiled(
        f"{name}-{own_build or build}", [os.environ.get("CC") or "cc", *BUILDS[build], *parts, "-lcrypto"]
    )
