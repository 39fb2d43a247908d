"""Side storage by digest: keys, key tables and policies, a file each."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final

from rapidjws import _files
from rapidjws.audit.records import digest
from rapidjws.errors import error_for

OBJECTS: Final = "objects"
OBJECT_MAX_BYTES: Final = 64 << 20
_HEX: Final = frozenset("0123456789abcdef")


def object_path(name: str) -> str:
    """Return where an object lies in a trail."""
    return f"{OBJECTS}/{name[:2]}/{name}"


def store_object(folder: Path, name: str, octets: bytes) -> None:
    """Store an object under its digest, on the disk, unless it is there; raises OSError."""
    if digest(octets) != name:
        raise OSError("another digest")
    file = folder / object_path(name)
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not file.exists():
        _files.replace(file, octets, mode=0o600)


def read_object(folder: str | os.PathLike[str], name: str) -> bytes | None:
    """Return an object, or None where it is not there.

    Raises:
        ConfigurationError: ``audit_trail_invalid``: it is there with another digest.
    """
    if len(name) != 64 or not set(name) <= _HEX:
        raise error_for("audit_trail_invalid", OBJECTS, "a digest", name)
    with contextlib.suppress(OSError):
        octets = _files.read_trusted(Path(folder) / object_path(name), OBJECT_MAX_BYTES)
        if digest(octets) != name:
            raise error_for("audit_trail_invalid", f"{object_path(name)}:0", "the digest of its name")
        return octets
    return None
