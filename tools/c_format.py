"""Lay out the C files by .clang-format, or check that they are laid out so.

Usage: python tools/c_format.py [--check]
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("native", "tests/native", "tests/faults", "benchmarks/peers/c")
CLANG_FORMAT = Path(sys.executable).with_name("clang-format")


def main() -> int:
    """Run clang-format over every C file; return its exit code."""
    files = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.[ch]"))]
    how = ["--dry-run", "--Werror"] if sys.argv[1:] == ["--check"] else ["-i"]
    names = [str(path.relative_to(ROOT)) for path in files]
    code = subprocess.run([CLANG_FORMAT, *how, *names], cwd=ROOT, check=False).returncode
    print(
        f"C layout: {len(names)} files", "laid out" if "-i" in how else "checked" if code == 0 else "at fault"
    )
    return code


if __name__ == "__main__":
    sys.exit(main())
