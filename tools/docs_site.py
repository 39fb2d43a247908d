"""Build the documentation as a site, and fail on whatever the builder or griffe warns of.

Zensical ends well where griffe, which reads docstrings, names a parameter that is not there.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def warned(output: str) -> list[str]:
    """Return the lines of a build that warn of something."""
    return [line for line in output.splitlines() if line.startswith("griffe:") or "WARNING" in line]


def main() -> int:
    """Build; return 0 where nothing was warned of."""
    command = [str(Path(sys.executable).with_name("zensical")), "build", "--clean", "--strict"]
    built = subprocess.run(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    print(built.stdout, end="")
    lines = warned(built.stdout)
    if lines:
        print(f"{len(lines)} warnings, which are errors here")
    return built.returncode or int(bool(lines))


if __name__ == "__main__":
    sys.exit(main())
