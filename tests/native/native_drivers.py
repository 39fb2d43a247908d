"""Compile a C driver with the sources it tests, and find the third-party vectors.

Never imports the compiled module: a driver is a plain program over the same C files, so it can be tested
before the extension is built, and under any sanitizer.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
NATIVE = REPOSITORY / "native"
DRIVERS = Path(__file__).resolve().parent
WARNINGS = ["-std=c11", "-Wall", "-Wextra", "-Wshadow", "-Wstrict-prototypes", "-Wconversion", "-Werror"]
RUNNER = os.environ.get("RAPIDJWS_RUNNER", "").split()
"""What runs the drivers of a cross compiler, such as qemu-user; nothing by default."""

SANITIZERS = ["-O1", "-g1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
"""Lines of the source and no more: tracking variables takes the compiler a minute in the vector code."""


MADE = REPOSITORY / "build" / "drivers"
"""What was compiled, for every process and for the next run."""


def native_file(name: str) -> Path:
    """Return the file of this name below native/, whichever folder holds it; names are unique there."""
    (found,) = NATIVE.rglob(name)
    return found


@functools.cache
def _sources_digest(compiler: str) -> str:
    """Return a digest of the compiler's version and of every C file that a driver can include."""
    version = subprocess.run([*shlex.split(compiler), "--version"], capture_output=True, check=False).stdout
    digest = hashlib.sha256(version)
    for path in sorted(path for folder in (NATIVE, DRIVERS) for path in folder.rglob("*.[ch]")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def compiled(name: str, command: list[str]) -> Path:
    """Return the file that a compiler makes, compiled once for all processes while no source changes.

    Args:
        name: How the file's name begins.
        command: The compiler's call, without ``-o``.
    """
    import fcntl  # drivers are compiled on Unix only

    call = "\0".join(command).replace(str(REPOSITORY), "")
    key = hashlib.sha256(f"{call}\0{_sources_digest(command[0])}".encode()).hexdigest()[:24]
    made = MADE / f"{name}-{key}"
    if made.exists():
        return made
    MADE.mkdir(parents=True, exist_ok=True)
    with (MADE / f"{name}-{key}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            part = MADE / f"{name}-{key}.part"
            subprocess.run([*shlex.split(command[0]), *command[1:], "-o", str(part)], check=True)
            part.rename(made)
    return made


@functools.cache
def compile_driver(
    driver: str, sources: tuple[str, ...], *, sanitized: bool = False, portable: bool = False
) -> Path:
    """Compile tests/native/<driver>.c with each named C file of native/; skip where no compiler is.

    portable leaves out every lane written for one kind of CPU. Sanitizers cannot follow to another machine.
    """
    if sanitized and RUNNER:
        pytest.skip("drivers run under RAPIDJWS_RUNNER, where sanitizers do not")
    compiler = os.environ.get("CC") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    sources = [DRIVERS / f"{driver}.c", *(native_file(f"{source}.c") for source in sources)]
    flags = [*(SANITIZERS if sanitized else ["-O3"]), *(["-DRJ_PORTABLE_ONLY"] if portable else [])]
    return compiled(driver, [compiler, *WARNINGS, *flags, f"-I{NATIVE}", *map(str, sources), "-lcrypto"])


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
