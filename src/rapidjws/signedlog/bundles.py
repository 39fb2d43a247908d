"""Bundles of log entries: a manifest with their Merkle root and the bundle before, under a detached JWS.

A bundle has four files: ``N.log`` (the entries), ``N.leaves`` (their hashes), ``N.json`` (the manifest) and
``N.jws``, which comes last: without it there is no bundle.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import orjson

from rapidjws import _files, _locks
from rapidjws._checks import check_range, checked, is_text, refused
from rapidjws.audit.merkle import Tree, leaf_hash
from rapidjws.errors import error_for
from rapidjws.jose.json_text import loads
from rapidjws.signedlog.entries import ENTRY_MAX_BYTES, stated_time_us
from rapidjws.signing.compact import sign_compact
from rapidjws.signing.signer import Signer

CONTENT_TYPE: Final = "vnd.rapidjws.log-manifest+json"
HASH_BYTES: Final = 32
MANIFEST_MAX_BYTES: Final = 16 << 10
BUNDLE_BYTES: Final = 16 << 20
"""A bundle is closed once its entries have so many octets."""

_LOCK: Final = ".lock"


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The last bundle of a chain.

    Attributes:
        sequence: Its number; -1 where there is none yet.
        digest: SHA-256 of its manifest, in hexadecimal; empty where there is none.
        newest_us: The latest time that an entry so far states, in microseconds; 0 for none.
        position: Octets of the source that were signed.
    """

    sequence: int = -1
    digest: str = ""
    newest_us: int = 0
    position: int = 0


def name_of(sequence: int, kind: str) -> str:
    """Return the name of a bundle's file."""
    return f"{sequence:010}.{kind}"


def sequences(folder: Path) -> list[int]:
    """Return the numbers of the bundles of a folder, in order."""
    return sorted(int(one.stem) for one in folder.glob("*.jws") if one.stem.isdigit())


def read_manifest(folder: Path, sequence: int) -> tuple[bytes, dict[str, Any]]:
    """Return a manifest's octets and members; nothing of it is verified."""
    octets = _files.read_trusted(folder / name_of(sequence, "json"), MANIFEST_MAX_BYTES)
    place = name_of(sequence, "json")
    found = loads(octets, max_bytes=MANIFEST_MAX_BYTES, max_depth=4, max_members=64, place=place)
    if not isinstance(found, dict):
        raise error_for("malformed_json", place, "an object")
    return octets, found


def read_entries(folder: Path, sequence: int) -> bytes:
    """Return the entries of a bundle as they came; nothing of it is verified."""
    return _files.read_trusted(folder / name_of(sequence, "log"), BUNDLE_BYTES + ENTRY_MAX_BYTES)


def head_of(folder: Path) -> Head:
    """Return where a chain ends."""
    numbers = sequences(folder)
    if not numbers:
        return Head()
    octets, found = read_manifest(folder, numbers[-1])
    return Head(
        sequence=numbers[-1],
        digest=sha256(octets).hexdigest(),
        newest_us=int(found.get("newest_us", 0)),
        position=int(found.get("position", 0)),
    )


class LogSigner:
    """The end of a chain of bundles, to which further ones are added; one process at a time has it.

    Args:
        folder: Where the bundles are, made where it is not there.
        signer: Who signs the manifests.
        bundle_lines: Most entries of a bundle.

    Attributes:
        folder: Where the bundles are.
        head: The last one.
        signed: How many entries were signed so far, those of a call that failed among them.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """

    __slots__ = ("_bundle_lines", "_signer", "folder", "head", "signed")

    @checked
    def __init__(self, folder: str | os.PathLike[str], signer: Signer, *, bundle_lines: int = 10_000) -> None:
        if not is_text(os.fspath(folder)):
            raise refused("folder", "a path", folder)
        check_range("bundle_lines", bundle_lines, 1, 1_000_000)
        self.folder = Path(folder)
        self._signer = signer
        self._bundle_lines = bundle_lines
        self.head = Head()
        self.signed = 0

    @checked
    def sign(self, entries: Iterable[bytes], *, position: int | None = None, lost: int = 0) -> int:
        """Sign entries into bundles.

        An entry whose stated time lies before the newest one of the bundles that are closed is late: such
        entries get a bundle of their own.

        Args:
            entries: In the order in which they came, each with what ends it.
            position: Octets of the source before the first of them; None to go on behind the last bundle.
            lost: Entries that were lost before these, counted in the next manifest.

        Returns:
            How many entries were signed.

        Raises:
            ConfigurationError: ``configuration_invalid``: another process signs into this folder.
            OSError: The folder cannot be written.
        """
        for name, number in (("position", position or 0), ("lost", lost)):
            check_range(name, number, 0, 2**53)
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            with _locks.locked(self.folder / _LOCK, wait=False):
                self.head = head_of(self.folder)
                at = self.head.position if position is None else position
                count = 0
                for is_late, batch in self._batches(entries):
                    at += sum(map(len, batch))
                    self._write(batch, is_late=is_late, position=at, lost=lost)
                    count, lost = count + len(batch), 0
                    self.signed += len(batch)
                return count
        except BlockingIOError:
            words = ("a folder that no other process signs into", "one that does")
            raise error_for("configuration_invalid", str(self.folder), *words) from None

    def _batches(self, entries: Iterable[bytes]) -> Iterator[tuple[bool, list[bytes]]]:
        """Yield the entries of each bundle, and whether they are late."""
        batch: list[bytes] = []
        size, was_late = 0, False
        for entry in entries:
            stated = stated_time_us(entry)
            is_late = stated is not None and stated < self.head.newest_us
            is_full = len(batch) >= self._bundle_lines or size >= BUNDLE_BYTES
            if batch and (is_late is not was_late or is_full):
                yield was_late, batch
                batch, size = [], 0
                is_late = stated is not None and stated < self.head.newest_us
            batch.append(entry)
            size, was_late = size + len(entry), is_late
        if batch:
            yield was_late, batch

    def _write(self, entries: list[bytes], *, is_late: bool, position: int, lost: int) -> None:
        """Write one bundle; its signature comes last."""
        hashes = [leaf_hash(one) for one in entries]
        tree = Tree()
        tree.append(hashes)
        times = [one for one in map(stated_time_us, entries) if one is not None]
        newest_us = max([self.head.newest_us, *times])
        sequence = self.head.sequence + 1
        manifest = orjson.dumps(
            {
                "bytes": sum(map(len, entries)),
                "entries": len(entries),
                "format": 1,
                "late": is_late,
                "lost": lost,
                "newest_us": newest_us,
                "position": position,
                "previous": self.head.digest,
                "root": tree.root().hex(),
                "sequence": sequence,
                "sizes": sha256(b"".join(len(one).to_bytes(4, "big") for one in entries)).hexdigest(),
            },
            option=orjson.OPT_SORT_KEYS,
        )
        token = sign_compact(manifest, self._signer, header={"cty": CONTENT_TYPE}, detached=True)
        parts = {
            "log": b"".join(entries),
            "leaves": b"".join(
                len(one).to_bytes(4, "big") + h for one, h in zip(entries, hashes, strict=True)
            ),
            "json": manifest,
            "jws": token.encode(),
        }
        for kind, octets in parts.items():
            _files.replace(self.folder / name_of(sequence, kind), octets, sync=kind != "leaves")
        self.head = Head(
            sequence=sequence, digest=sha256(manifest).hexdigest(), newest_us=newest_us, position=position
        )
