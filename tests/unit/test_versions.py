"""The version stands once, the binary carries it, and a package with another's binary does not start."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import rapidjws
from rapidjws import _native

PACKAGE = Path(next(iter(rapidjws.__path__))).resolve()


def copied_package(folder: Path) -> Path:
    """Copy the whole package, binary included, to where it can be changed."""
    shutil.copytree(PACKAGE, folder / "rapidjws", ignore=shutil.ignore_patterns("__pycache__"))
    return folder / "rapidjws"


def imported(folder: Path) -> tuple[int, str]:
    """Import the package of a folder in a process of its own; give exit code and last line of stderr."""
    answer = subprocess.run(
        [sys.executable, "-c", "import rapidjws; print(rapidjws.__version__, next(iter(rapidjws.__path__)))"],
        env={**os.environ, "PYTHONPATH": str(folder)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert answer.returncode or str(folder) in answer.stdout, "another package was imported"
    return answer.returncode, (answer.stderr.strip().splitlines() or [""])[-1]


def test_the_binary_carries_the_version() -> None:
    """Package, binary and the installed metadata name one version."""
    assert _native.ffi.string(_native.lib.rj_built_version()).decode() == rapidjws.__version__
    try:
        installed = importlib.metadata.version("rapidjws")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("not installed: read from a source tree")
    assert installed == rapidjws.__version__


def test_a_binary_of_another_version_is_refused_at_import(tmp_path: Path) -> None:
    """A package beside another version's binary raises an ImportError that names both and says what to do."""
    copied = copied_package(tmp_path)
    assert imported(tmp_path) == (0, "")
    (copied / "_version.py").write_text('__version__ = "9.9.9"\n', "utf-8")
    code, line = imported(tmp_path)
    built = rapidjws.__version__
    assert code == 1
    assert line.startswith(
        f"ImportError: rapidjws 9.9.9 found a native module of {built} at {copied}/_rapidjws"
    )
    assert line.endswith(": reinstall the package, or in a source tree build it again (pip install -e .)")


def test_a_binary_older_than_its_version_function_is_refused_at_import(tmp_path: Path) -> None:
    """A native module that cannot say its version gives the same words, not an AttributeError."""
    copied = copied_package(tmp_path)
    for binary in [*copied.glob("_rapidjws*.so"), *copied.glob("_rapidjws*.pyd")]:
        binary.unlink()
    (copied / "_rapidjws.py").write_text("ffi = lib = object()\n", "utf-8")
    code, line = imported(tmp_path)
    assert code == 1
    assert line.startswith(
        f"ImportError: rapidjws {rapidjws.__version__} found a native module of an unknown version at"
    )
    assert "build it again" in line


def test_a_missing_binary_is_named(tmp_path: Path) -> None:
    """A package without its binary says that it is the compiled module that is missing."""
    copied = copied_package(tmp_path)
    for binary in [*copied.glob("_rapidjws*.so"), *copied.glob("_rapidjws*.pyd")]:
        binary.unlink()
    code, line = imported(tmp_path)
    assert code == 1
    assert line == "ModuleNotFoundError: No module named 'rapidjws._rapidjws'"
