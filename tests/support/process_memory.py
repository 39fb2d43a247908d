"""The memory of this process, and whether an instrument keeps what it frees."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

INSTRUMENTED: Final = "LD_PRELOAD" in os.environ
"""Whether a sanitizer, or another library, is loaded before all others: it keeps freed memory."""


def rss_bytes() -> int:
    """Return the resident memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")
