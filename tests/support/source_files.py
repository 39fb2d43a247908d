"""The files of the source tree, under version control or out of an archive."""

from __future__ import annotations

import fnmatch
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def tracked() -> list[Path]:
    """List the files under version control; all files but what .gitignore names where there is no git."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return unignored(ROOT, ROOT.joinpath(".gitignore").read_text("utf-8").split())
    return [path for name in answer.split("\0") if name and (path := ROOT / name).is_file()]


def unignored(folder: Path, patterns: list[str]) -> list[Path]:
    """List the files below a folder whose names fit no pattern of .gitignore."""
    found = []
    for path in sorted(folder.iterdir()):
        if path.name == ".git" or any(fnmatch.fnmatch(path.name, one.strip("/")) for one in patterns):
            continue
        found += unignored(path, patterns) if path.is_dir() else [path]
    return found
