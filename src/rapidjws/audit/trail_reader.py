"""The reader of a trail: records, proofs, and whether it is whole."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rapidjws import _files
from rapidjws._checks import checked
from rapidjws.audit import merkle
from rapidjws.audit.bundle_check import BundleCheck, Finding, TreePart
from rapidjws.audit.erasure import Erased, erased_in
from rapidjws.audit.notes import NOTE_MAX_BYTES, Checkpoint, NoteKey
from rapidjws.audit.records import record_at
from rapidjws.audit.tile_files import CHECKPOINT, TileReader
from rapidjws.audit.tree_check import TreeCheck
from rapidjws.errors import RapidJWSError, error_for


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class InclusionProof:
    """The proof that a record is in the tree of a checkpoint (RFC 9162 s.2.1.3).

    Attributes:
        index: The record's index.
        size: The size of the tree.
        path: The audit path.
        entry: The record.
        checkpoint: The signed checkpoint.
    """

    index: int
    size: int
    path: tuple[bytes, ...]
    entry: bytes = field(repr=False)
    checkpoint: bytes

    @checked
    def verify(self, key: NoteKey) -> None:
        """Verify the checkpoint, and that the record is in its tree.

        Raises:
            ConfigurationError: ``audit_trail_invalid``.
        """
        signed = Checkpoint.opened(self.checkpoint, [key])
        root = merkle.root_of_inclusion(merkle.leaf_hash(self.entry), self.index, self.size, self.path)
        if signed.size != self.size or root != signed.root:
            raise error_for("audit_trail_invalid", "proof", "the root of the checkpoint", "another root")

    @property
    def text(self) -> str:
        """Return the proof as C2SP tlog-proof has it, with the checkpoint."""
        lines = ["c2sp.org/tlog-proof@v1", f"index {self.index}"]
        lines += [base64.b64encode(one).decode() for one in self.path]
        return "\n".join(lines) + "\n\n" + self.checkpoint.decode("utf-8")


class TrailReader:
    """A trail at its checkpoint.

    Args:
        folder: The trail.
        key: The log's public key.

    Attributes:
        folder: Where it lies.
        key: The log's public key.
        checkpoint: What the log signed.
        note: The signed checkpoint.

    Raises:
        ConfigurationError: ``audit_trail_invalid``: no trail, or of another key or origin.
    """

    @checked(under="audit")
    def __init__(self, folder: str | os.PathLike[str], key: NoteKey) -> None:
        self.folder, self.key = Path(folder), key
        try:
            self.note = _files.read_trusted(self.folder / CHECKPOINT, NOTE_MAX_BYTES)
        except (OSError, UnicodeError) as fault:
            place = f"{self.folder / CHECKPOINT}:0"
            raise error_for("audit_trail_invalid", place, "a trail", type(fault).__name__) from None
        try:
            self.checkpoint = Checkpoint.opened(self.note, [key])
        except RapidJWSError as fault:
            place = f"{self.folder / CHECKPOINT}:0"
            raise error_for("audit_trail_invalid", place, fault.expected, fault.actual) from None
        self._reader = TileReader(self.folder, self.checkpoint.size)

    @property
    def size(self) -> int:
        """Return the number of records at the checkpoint."""
        return self.checkpoint.size

    @checked
    def record(self, index: int) -> dict[str, Any]:
        """Return the fields of a record.

        Raises:
            ConfigurationError: ``configuration_invalid``: no such record; ``audit_trail_invalid``.
        """
        return record_at(self._reader, index)

    @checked
    def prove(self, index: int) -> InclusionProof:
        """Return the proof that a record is in the tree of the checkpoint.

        Raises:
            ConfigurationError: ``configuration_invalid``: no such record; ``audit_trail_invalid``: the tiles
                do not lead to the root that is signed.
        """
        path = merkle.inclusion_proof(self._reader.subtree, index, self.size)
        tile, at = divmod(index, merkle.TILE_WIDTH)
        entry = self._reader.entries(tile)[at]
        root = merkle.root_of_inclusion(merkle.leaf_hash(entry), index, self.size, path)
        if root != self.checkpoint.root:
            raise error_for("audit_trail_invalid", f"record {index}", "the root that is signed", "another")
        return InclusionProof(
            index=index, size=self.size, path=tuple(path), entry=entry, checkpoint=self.note
        )

    @checked
    def prove_consistency(self, earlier: Checkpoint) -> tuple[bytes, ...]:
        """Return the proof that an earlier checkpoint's tree is the beginning of this one (RFC 9162 s.2.1.4).

        Raises:
            ConfigurationError: ``audit_trail_invalid``: it is not: records of before were removed or altered.
        """
        if not 0 < earlier.size <= self.size or earlier.origin != self.checkpoint.origin:
            expected = f"a checkpoint of {self.checkpoint.origin} up to {self.size}"
            raise error_for("audit_trail_invalid", f"{CHECKPOINT}:0", expected, earlier.size)
        path = merkle.consistency_proof(self._reader.subtree, earlier.size, self.size)
        if not merkle.is_consistent(earlier.size, self.size, earlier.root, self.checkpoint.root, path):
            raise error_for("audit_trail_invalid", f"{CHECKPOINT}:0", "the tree of before", "another tree")
        return tuple(path)

    @checked
    def check_tree(self, each: Callable[[int, list[bytes]], None] | None = None) -> list[Finding]:
        """Check every record and tile against the signed root; return what is not as it was signed.

        Args:
            each: Is given the records of each bundle, with the index of the first.
        """
        check = BundleCheck(self._reader)
        for index in range((self.size + merkle.TILE_WIDTH - 1) // merkle.TILE_WIDTH):
            if check.read(index, contents=False) and each is not None:
                each(check.first, check.entries())
        return self.conclude([check.part])

    def bundle_check(self) -> BundleCheck:
        """Return a check of one bundle after another, for one thread."""
        return BundleCheck(self._reader)

    @checked
    def conclude(self, parts: Iterable[TreePart], beside: Sequence[Finding] | None = None) -> list[Finding]:
        """Check the tree that all bundles make, as :meth:`check_tree` does.

        Args:
            parts: What the bundles say, all of them in their order.
            beside: What :meth:`check_beside` found; None to check that here.
        """
        return TreeCheck(self.folder, self._reader, self.checkpoint.root).conclude(parts, beside)

    def check_beside(self) -> list[Finding]:
        """Check the files that the tree does not need: tiles of earlier sizes, and the journal."""
        return TreeCheck(self.folder, self._reader, self.checkpoint.root).check_beside()

    @checked
    def contents(self, bundle: int) -> list[bytes]:
        """Return what is stored beside the 256 records of a bundle; see :meth:`check_tree`.

        Raises:
            ConfigurationError: ``audit_trail_invalid``.
        """
        return self._reader.contents(bundle)

    @checked
    def hashes(self, bundle: int) -> list[bytes]:
        """Return the hashes of the records of a bundle, as its tile has them.

        Raises:
            ConfigurationError: ``audit_trail_invalid``.
        """
        return self._reader.hashes(0, bundle)

    def erased(self) -> Erased:
        """Return what the log says was erased of what is stored beside records.

        Raises:
            ConfigurationError: ``audit_trail_invalid``.
        """
        return erased_in(self.folder, self._reader)

    @checked
    def entries(self, bundle: int) -> list[bytes]:
        """Return the 256 records of a bundle, or fewer of the last one, as they were written.

        Raises:
            ConfigurationError: ``audit_trail_invalid``.
        """
        return self._reader.entries(bundle)
