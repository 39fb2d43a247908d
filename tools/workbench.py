"""What the wheel tools share: where things lie, how a step is run, and compilers for an older glibc."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build" / "wheels"
WHEELS = ROOT / "wheelhouse"
BIN = Path(sysconfig.get_path("scripts"))
GLIBC = "2.28"


def plat(machine: str) -> str:
    """Give the platform tag of a Linux machine: ``"x86_64"`` or ``"aarch64"``."""
    return f"manylinux_{GLIBC.replace('.', '_')}_{machine}"


def run(*command: str | Path, **environment: str) -> str:
    """Run a step, show it, and give what it printed; a failure ends everything."""
    words = [str(word) for word in command]
    print("+", *words, flush=True)
    answer = subprocess.run(words, cwd=ROOT, env={**os.environ, **environment}, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True, check=False)  # fmt: skip
    if answer.returncode:
        print(answer.stdout)
        raise SystemExit(f"{Path(words[0]).name} failed with exit code {answer.returncode}")
    return answer.stdout


def path_with(*folders: Path) -> str:
    """Give a PATH that begins with these folders."""
    return os.pathsep.join([*map(str, folders), os.environ["PATH"]])


def zig_compiler(machine: str) -> Path:
    """Write a compiler command that targets a machine with the older glibc."""
    BUILD.mkdir(parents=True, exist_ok=True)
    script = BUILD / f"zig-cc-{machine}"
    target = f"{machine}-linux-gnu.{GLIBC}"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m ziglang cc -target {target} "$@"\n')
    script.chmod(0o755)
    return script


def fresh(folder: Path) -> Path:
    """Make an empty folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def tested_tree(folder: Path) -> Path:
    """Copy what the tests read, and no source of the package, into a folder."""
    fresh(folder)
    for name in ("tests", "native", "examples", "benchmarks"):
        if (ROOT / name).is_dir():
            unwanted = shutil.ignore_patterns("__pycache__", ".cache", "node_modules")
            shutil.copytree(ROOT / name, folder / name, ignore=unwanted)
    for name in ("pyproject.toml", "README.md"):
        shutil.copy2(ROOT / name, folder / name)
    return folder


def vectors() -> str:
    """Give the absolute path of the third-party vectors, wherever the tests then run."""
    beside = (ROOT.parent / "shared" / "vectors").resolve()
    named = os.environ.get("RAPIDJWS_VECTORS")
    return named or str(beside if beside.is_dir() else ROOT / "build" / "vectors")
