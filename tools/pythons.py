"""Find the interpreters that a wheel is tried on: this machine's, and newer ones of Debian's packages."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from apt_elsewhere import unpack
from workbench import BIN, BUILD

MINORS = range(10, 16)
SUITE = "sid"
FROM_DEBIAN = ("python3.14", "python3.15")

ORDINARY = """
import sys, sysconfig
fits = sys.version_info >= (3, 10) and not sysconfig.get_config_var("Py_GIL_DISABLED")
print(".".join(map(str, sys.version_info[:3])) if fits else "")
"""


def version_of(python: Path) -> str | None:
    """Give the version of an ordinary CPython, or None where it does not start or no wheel here is for it."""
    try:
        answer = subprocess.run(
            [str(python), "-c", ORDINARY], capture_output=True, text=True, timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() or None


def _settle(program: Path, root: Path) -> None:
    """Let a program of an unpacked system run where it lies, with that system's loader and libraries."""
    triplet = next(path.name for path in (root / "usr" / "lib").iterdir() if path.name.endswith("-linux-gnu"))
    loader = next((root / "usr" / "lib64").glob("ld-linux*"))
    patchelf = str(BIN / "patchelf")
    subprocess.run([patchelf, "--set-interpreter", str(loader), str(program)], check=True)
    libraries = str(root / "usr" / "lib" / triplet)
    # the old kind of search path, which holds for extension modules that are loaded later too
    subprocess.run([patchelf, "--force-rpath", "--set-rpath", libraries, str(program)], check=True)


def from_debian() -> list[Path]:
    """Unpack the interpreters that are newer than this machine's Debian; none where they cannot be had."""
    root = BUILD / f"python-{SUITE}"
    programs = [root / "usr" / "bin" / name for name in FROM_DEBIAN]
    if all(version_of(program) for program in programs):
        return programs
    shutil.rmtree(root, ignore_errors=True)
    try:
        # python3.X-venv brings ensurepip, which a full standard library has
        unpack(root, SUITE, *FROM_DEBIAN, *(f"{name}-venv" for name in FROM_DEBIAN))
        for program in programs:
            _settle(program, root)
    except (OSError, subprocess.CalledProcessError, StopIteration) as fault:
        print(f"no interpreters from Debian {SUITE}: {fault}")
        return []
    return programs


def interpreters() -> dict[str, Path]:
    """Find one interpreter for each minor version: RAPIDJWS_PYTHONS, pyenv's, the path, then Debian's newest.

    RAPIDJWS_MINORS ("3.10 3.14") narrows them.
    """
    named = [Path(word) for word in os.environ.get("RAPIDJWS_PYTHONS", "").split()]
    on_path = [Path(program) for minor in MINORS if (program := shutil.which(f"python3.{minor}"))]
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    wanted = os.environ.get("RAPIDJWS_MINORS", "").split()
    found: dict[str, Path] = {}
    here = [*named, *sorted(pyenv.glob("3.*/bin/python3")), *on_path, Path(sys.executable)]
    for python in [*here, *from_debian()]:
        version = version_of(python)
        minor = (version or "").rpartition(".")[0]
        if version and (not wanted or minor in wanted):
            found.setdefault(minor, python)
    return dict(sorted(found.items(), key=lambda item: int(item[0].split(".")[1])))
