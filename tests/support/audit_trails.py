"""Trails of an audit log in a folder, and what alters them."""

from __future__ import annotations

import functools
import json
import os
from pathlib import Path
from typing import Any

from rapidjws.audit import TrailReader, TrailWriter
from rapidjws.audit.records import parsed_record
from rapidjws.signing import LocalSigner
from rapidjws.testing import make_key

ORIGIN = "gateway.example/audit"


@functools.cache
def signer() -> LocalSigner:
    """Return the signer of the trails."""
    return LocalSigner(make_key("EdDSA"))


def entry(number: int) -> bytes:
    """Return a record in canonical form."""
    return json.dumps({"kind": "decision", "n": number, "time_us": 1}, separators=(",", ":")).encode()


def writer(folder: Path, **settings: Any) -> TrailWriter:
    """Return a writer."""
    return TrailWriter(folder, origin=ORIGIN, signer=signer(), **settings)


def filled(folder: Path, *groups: int, **settings: Any) -> TrailWriter:
    """Return a writer of a trail with groups of records."""
    made = writer(folder, **settings)
    for count in groups:
        made.append([entry(made.size + at) for at in range(count)])
    return made


def whole(folder: Path, *groups: int) -> TrailReader:
    """Return a reader of a trail that was closed."""
    made = filled(folder, *groups)
    made.close()
    return TrailReader(folder, made.key)


def numbers(reader: TrailReader) -> list[int]:
    """Return the number in each record of a trail; each bundle is read once."""
    bundles = (reader.entries(bundle) for bundle in range(-(-reader.size // 256)))
    return [parsed_record(octets, "record")["n"] for bundle in bundles for octets in bundle]


def killed(made: TrailWriter) -> None:
    """Leave a trail as a killed writer does: nothing published, nothing closed in order."""
    os.close(made._lock)
    made._lock = -1


def flip(path: Path, bit: int) -> None:
    """Flip one bit of a file."""
    octets = bytearray(path.read_bytes())
    octets[bit // 8] ^= 1 << (bit % 8)
    path.write_bytes(bytes(octets))
