"""Compile the fixedbase rooms once into objects, and link each of their drivers with them."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from native_rooms import DRIVERS, NATIVE, RUNNER, SANITIZERS, WARNINGS

ROOMS = tuple(sorted(path.stem for path in [*NATIVE.glob("fixedbase*.c"), NATIVE / "field_inverse.c"]))
BUILDS = {
    "fast": ["-O3"],
    "quick": ["-O1"],
    "portable": ["-O2", "-DRJ_PORTABLE_ONLY"],
    "sanitized": SANITIZERS,
}


@functools.cache
def build_folder(build: str) -> Path:
    """Make the folder of one build's objects and drivers."""
    return Path(tempfile.mkdtemp(prefix=f"fixedbase-{build}-"))


def compile_object(
    source: Path, made: Path, build: str, *, includes: Path = NATIVE, warnings: bool = True
) -> bool:
    """Compile one C file with the flags of a build; say whether the compiler took it."""
    if build == "sanitized" and RUNNER:
        pytest.skip("drivers run under RAPIDJWS_RUNNER, where sanitizers do not")
    compiler = os.environ.get("CC") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    flags = [*WARNINGS, "-fvisibility=hidden", *BUILDS[build], f"-I{includes}", f"-I{DRIVERS}"]
    if not warnings:
        flags.append("-w")
    command = [compiler, *flags, "-c", str(source), "-o", str(made)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def link(program: Path, objects: list[Path], build: str) -> Path:
    """Link objects into a program."""
    compiler = os.environ.get("CC") or "cc"
    names = [str(made) for made in objects]
    subprocess.run([compiler, *BUILDS[build], *names, "-lcrypto", "-o", str(program)], check=True)
    return program


@functools.cache
def room_object(room: str, build: str) -> Path:
    """Compile one room of this build, once."""
    made = build_folder(build) / f"{room}.o"
    assert compile_object(NATIVE / f"{room}.c", made, build), f"{room}.c does not compile"
    return made


@functools.cache
def driver(name: str, build: str, included: str = "") -> Path:
    """Link tests/native/<name>.c with every room but the one that it includes whole."""
    made = build_folder(build) / f"{name}.o"
    assert compile_object(DRIVERS / f"{name}.c", made, build), f"{name}.c does not compile"
    rooms = [room_object(room, build) for room in ROOMS if room != included]
    return link(build_folder(build) / name, [made, *rooms], build)
