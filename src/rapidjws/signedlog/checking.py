"""The check of a signed log: every bundle and entry, and which is the first that was changed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from rapidjws import _files
from rapidjws._checks import checked, is_text, refused
from rapidjws._inputs import open_input
from rapidjws.audit.merkle import Tree, leaf_hash
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.jws.verifier import Verifier
from rapidjws.signedlog.bundles import (
    CONTENT_TYPE,
    HASH_BYTES,
    name_of,
    read_entries,
    read_manifest,
    sequences,
)

_CELL: Final = 4 + HASH_BYTES
_LEAVES_MAX_BYTES: Final = 1_000_000 * _CELL
_JWS_MAX_BYTES: Final = 16 << 10


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class LogReport:
    """What a signed log holds.

    Attributes:
        bundles: How many.
        entries: Entries in all of them.
        late: Of these, those that came late.
        lost: Entries that the signer counted as lost.
        head: SHA-256 of the last manifest: who keeps it elsewhere finds out whether bundles are cut off.
    """

    bundles: int = 0
    entries: int = 0
    late: int = 0
    lost: int = 0
    head: str = ""


@checked(but=("verifier",))
def verify_log(
    folder: str | os.PathLike[str],
    verifier: Verifier,
    *,
    head: str | None = None,
    source: str | os.PathLike[str] | None = None,
) -> LogReport:
    """Verify a signed log.

    Args:
        folder: Its bundles.
        verifier: The keys that may have signed the manifests.
        head: A head that was kept elsewhere; a bundle of the chain must have it.
        source: The log itself, which must begin with what was signed of it since it was rotated last.

    Returns:
        What it holds.

    Raises:
        TokenRefused: ``log_altered``: the first bundle and entry that is not as it was signed, and whether
            it was altered, is missing, or is in another place; or what else was found.
        ConfigurationError: ``configuration_invalid``: no signed log.
        OSError: A file cannot be read.
    """
    if source is not None and not is_text(os.fspath(source)):
        raise refused("source", "a path", source)
    if not isinstance(verifier, Verifier):
        raise error_for("configuration_invalid", "verifier", "a Verifier", type(verifier).__name__)
    where = Path(folder)
    numbers = sequences(where) if where.is_dir() else []
    if not numbers:
        raise error_for("configuration_invalid", str(folder), "a folder with signed bundles", "none")
    entries = late = lost = 0
    previous, seen = "", set()
    ends: list[tuple[int, int, int]] = []
    for expected, sequence in enumerate(numbers):
        if sequence != expected:
            raise _altered(f"bundle {expected}", "this bundle", "missing")
        octets, manifest = _verified_manifest(where, sequence, verifier)
        if manifest.get("sequence") != sequence or manifest.get("previous") != previous:
            raise _altered(f"bundle {sequence}", "the bundle after the one before", "another chain or order")
        entries += _check_entries(where, sequence, manifest)
        ends.append((sequence, manifest["position"] - manifest["bytes"], manifest["position"]))
        late += int(manifest["entries"]) if manifest["late"] else 0
        lost += int(manifest["lost"])
        previous = sha256(octets).hexdigest()
        seen.add(previous)
    if head is not None and head not in seen:
        raise _altered(f"bundle {len(numbers)}", "a bundle with the head that was kept", "missing")
    if source is not None:
        _check_source(where, Path(source), ends)
    return LogReport(bundles=len(numbers), entries=entries, late=late, lost=lost, head=previous)


def _check_source(folder: Path, source: Path, ends: Sequence[tuple[int, int, int]]) -> None:
    """Compare a log with the bundles that were made of it since it last began anew.

    Args:
        folder: The bundles, verified.
        source: The log.
        ends: Number, first and last octet in the log of each bundle.
    """
    begins = [at for at, (_, start, _) in enumerate(ends) if start == 0]
    if not begins:
        raise error_for(
            "configuration_invalid", str(source), "a log that was signed from its beginning", "none"
        )
    number = 1
    try:
        descriptor = open_input(source)
    except OSError as fault:
        words = ("a log that can be read", f"{source}: {fault.strerror}")
        raise error_for("configuration_invalid", "source", *words) from None
    with open(descriptor, "rb") as file:
        for sequence, _, _ in ends[begins[-1] :]:
            signed = read_entries(folder, sequence)
            found = file.read(len(signed))
            if found != signed:
                same = next(
                    (at for at, (one, other) in enumerate(zip(found, signed, strict=False)) if one != other),
                    len(found),
                )
                what = "missing" if same == len(found) else "another"
                line = number + signed.count(b"\n", 0, same)
                raise _altered(f"line {line} of the log", "the line that was signed", what)
            number += signed.count(b"\n")


def _altered(place: str, expected: str, actual: str) -> RapidJWSError:
    return error_for("log_altered", place, expected, actual)


def _verified_manifest(folder: Path, sequence: int, verifier: Verifier) -> tuple[bytes, dict[str, Any]]:
    """Return a manifest once its signature was verified."""
    place = f"bundle {sequence}"
    try:
        token = _files.read_trusted(folder / name_of(sequence, "jws"), _JWS_MAX_BYTES)
        octets, manifest = read_manifest(folder, sequence)
    except FileNotFoundError:
        raise _altered(place, "its manifest", "missing") from None
    try:
        verified = verifier.verify(token, payload=octets)
    except RapidJWSError as fault:
        raise error_for(fault.code, place, fault.expected, fault.actual) from None
    whole = ("bytes", "entries", "lost", "position", "sequence")
    if (
        verified.header.get("cty") != CONTENT_TYPE
        or manifest.get("format") != 1
        or not all(type(manifest.get(name)) is int and manifest[name] >= 0 for name in whole)
        or not isinstance(manifest.get("late"), bool)
    ):
        raise error_for("claim_mismatch", place, "the manifest of a signed log")
    return octets, manifest


def _check_entries(folder: Path, sequence: int, manifest: dict[str, Any]) -> int:
    """Compare a bundle's entries with what was signed; returns how many there are."""
    place = f"bundle {sequence}"
    count: int = manifest["entries"]
    try:
        log = read_entries(folder, sequence)
    except FileNotFoundError:
        raise _altered(f"{place}, entry 1", "its entries", "missing") from None
    cells = _signed_cells(folder, sequence, manifest)
    if cells is None:  # the list of hashes is not what was signed: the root alone decides
        raise _altered(place, "the hashes that were signed", "others")
    at = 0
    for number, (size, signed) in enumerate(cells):
        entry = log[at : at + size]
        if leaf_hash(entry) != signed:
            raise _altered(f"{place}, entry {number + 1}", "the entry that was signed",
                           _what_happened(log[at:], cells[number:]))  # fmt: skip
        at += size
    if at != len(log):
        raise _altered(f"{place}, entry {count + 1}", "no further entry", "one that was never signed")
    return count


def _signed_cells(folder: Path, sequence: int, manifest: dict[str, Any]) -> list[tuple[int, bytes]] | None:
    """Return size and hash of each entry, where they are those under the manifest's root."""
    try:
        octets = _files.read_trusted(folder / name_of(sequence, "leaves"), _LEAVES_MAX_BYTES)
    except FileNotFoundError:
        return None
    if len(octets) != manifest["entries"] * _CELL:
        return None
    starts = range(0, len(octets), _CELL)
    cells = [(int.from_bytes(octets[one : one + 4], "big"), octets[one + 4 : one + _CELL]) for one in starts]
    tree = Tree()
    tree.append([one for _, one in cells])
    sizes = sha256(b"".join(size.to_bytes(4, "big") for size, _ in cells)).hexdigest()
    return cells if tree.root().hex() == manifest.get("root") and sizes == manifest.get("sizes") else None


def _what_happened(rest: bytes, cells: Sequence[tuple[int, bytes]]) -> str:
    """Say what became of the first of the signed entries, given what lies in its place and after."""
    size, signed = cells[0]
    follows = len(cells) > 1 and leaf_hash(rest[: cells[1][0]]) == cells[1][1]
    moved = any(leaf_hash(rest[one : one + size]) == signed for one in _starts(rest, cells))
    if moved:
        return "it is in another place"
    return "missing" if follows or not rest else "altered"


def _starts(rest: bytes, cells: Sequence[tuple[int, bytes]]) -> list[int]:
    """Return where entries may begin: behind each end of a line."""
    found, at = [], 0
    for line in rest.splitlines(keepends=True)[: len(cells) + 8]:
        at += len(line)
        found.append(at)
    return found
