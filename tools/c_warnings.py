"""Compile every C file with the project's warnings as errors, optimised, so flow-based warnings speak too."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WARNINGS = (
    "-std=gnu11 -O2 -Wall -Wextra -Wshadow -Wstrict-prototypes -Wconversion -Wvla -Wundef -Wpointer-arith "
    "-Wmissing-prototypes -Wwrite-strings -Werror=implicit-function-declaration -Werror -fvisibility=hidden"
).split()
# what native/build.py and cffi give; the interpreter's own headers are not ours to judge
GIVEN = ('-DRJ_VERSION="0"', "-DRJ_OWN_LIBCRYPTO=0", "-isystem", sysconfig.get_path("include"))


def main() -> int:
    """Compile each source to nothing; return 1 if the compiler complains of one."""
    compiler = os.environ.get("CC") or shutil.which("gcc") or "cc"
    flags = subprocess.run(
        ["pkg-config", "--cflags", "libcrypto"], capture_output=True, text=True, check=True
    )
    sources = sorted((ROOT / "native").rglob("*.c"))
    command = [
        compiler,
        *WARNINGS,
        "-fPIC",
        f"-I{ROOT / 'native'}",
        f"-I{sysconfig.get_path('include')}",
        *flags.stdout.split(),
        *GIVEN,
        "-c",
        "-o",
        os.devnull,
    ]
    bad = [
        source.name for source in sources if subprocess.run([*command, str(source)], check=False).returncode
    ]
    print(f"C warnings: {len(sources) - len(bad)} of {len(sources)} sources clean", *bad)
    return 1 if bad or not sources else 0


if __name__ == "__main__":
    sys.exit(main())
