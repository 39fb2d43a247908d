"""Compile a C driver with the rooms it tests, and find the third-party vectors.

Never imports the compiled module: a driver is a plain program over the same C files, so a room can be tested
before the extension is built, and under any sanitizer.
"""

from __future__ import annotations

import functools
import json
import os
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
NATIVE = REPOSITORY / "native"
DRIVERS = Path(__file__).resolve().parent
WARNINGS = ["-std=c11", "-Wall", "-Wextra", "-Wshadow", "-Wstrict-prototypes", "-Wconversion", "-Werror"]
RUNNER = os.environ.get("RAPIDJWS_RUNNER", "").split()
"""What runs the drivers of a cross compiler, such as qemu-user; nothing by default."""

SANITIZERS = ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]


@functools.cache
def _output_folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="native-rooms-"))


@functools.cache
def compile_driver(
    driver: str, rooms: tuple[str, ...], *, sanitized: bool = False, portable: bool = False
) -> Path:
    """Compile tests/native/<driver>.c with native/<room>.c for each room; skip where no compiler is.

    portable leaves out every lane written for one kind of CPU. Sanitizers cannot follow to another machine.
    """
    if sanitized and RUNNER:
        pytest.skip("drivers run under RAPIDJWS_RUNNER, where sanitizers do not")
    compiler = os.environ.get("CC") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    program = _output_folder() / (driver + "-sanitized" * sanitized + "-portable" * portable)
    sources = [DRIVERS / f"{driver}.c", *(NATIVE / f"{room}.c" for room in rooms)]
    flags = [*(SANITIZERS if sanitized else ["-O3"]), *(["-DRJ_PORTABLE_ONLY"] if portable else [])]
    subprocess.run(
        [
            *shlex.split(compiler),
            *WARNINGS,
            *flags,
            f"-I{NATIVE}",
            *map(str, sources),
            "-o",
            str(program),
            "-lcrypto",
        ],
        check=True,
    )
    return program


def run_driver(program: Path, *arguments: str, lines: list[str] | None = None) -> str:
    """Run a driver, feed it hex lines if given, and return what it printed; a failure fails the test."""
    result = subprocess.run(
        [*RUNNER, str(program), *arguments],
        input=None if lines is None else "".join(line + "\n" for line in lines),
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, (
        f"{program.name} {arguments}: {result.stdout[-2000:]}{result.stderr[-2000:]}"
    )
    return result.stdout


def differential_count(default: int) -> str:
    """Give the number of random cases for a differential run: RAPIDJWS_DIFFERENTIAL_COUNT or the default."""
    return os.environ.get("RAPIDJWS_DIFFERENTIAL_COUNT", str(default))


def wycheproof(name: str) -> dict[str, Any]:
    """Read one Wycheproof file, or skip the test where the vectors are absent."""
    root = os.environ.get("RAPIDJWS_VECTORS")
    beside = REPOSITORY.parent / "shared" / "vectors"
    folder = Path(root) if root else beside if beside.is_dir() else REPOSITORY / "build" / "vectors"
    path = folder / "wycheproof" / name
    if not path.exists():
        pytest.skip("third-party vectors absent: make vectors, or name their folder in RAPIDJWS_VECTORS")
    loaded: dict[str, Any] = json.loads(path.read_text())
    return loaded
