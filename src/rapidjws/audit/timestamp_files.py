"""The files of time stamps beside a trail: where they lie, and the digest that names them."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Final

TIMESTAMPS: Final = "timestamps"
FILES: Final = ("checkpoint", "request.tsq", "response.tsr")
STAMP_MAX_BYTES: Final = 64 * 1024


def parts_digest(parts: tuple[bytes, ...]) -> str:
    """Return the digest over all files of a stamp, which is in its folder's name."""
    return sha256(b"".join(sha256(one).digest() for one in parts)).hexdigest()


def timestamp_names(folder: Path) -> list[str]:
    """Return the names of the stamps of a trail, the oldest first; raises OSError."""
    try:
        return sorted(one.name for one in (folder / TIMESTAMPS).iterdir())
    except FileNotFoundError:
        return []
