"""A page that a tool makes from the code: written, or checked to be current."""

from __future__ import annotations

import sys
from pathlib import Path


def write_or_check(path: Path, text: str) -> int:
    """Write a page, or look at it with ``--check``; return the exit status, 1 where it is not current."""
    if "--check" in sys.argv[1:]:
        return int(not path.is_file() or path.read_text("utf-8") != text)
    path.write_text(text, "utf-8")
    return 0
