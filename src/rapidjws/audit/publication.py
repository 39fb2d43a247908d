"""What the writer of a trail publishes: tiles, and a checkpoint that signs them."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rapidjws import _files
from rapidjws.audit import disk
from rapidjws.audit.merkle import Tree
from rapidjws.audit.notes import Checkpoint, NoteKey, sign_note
from rapidjws.audit.tile_files import CHECKPOINT, write_tile
from rapidjws.errors import RapidJWSError
from rapidjws.verify.protocols import Event, EventListener, emit

if TYPE_CHECKING:
    from rapidjws.signing.signer import Signer

TileFile = tuple[str, bytes]
UNSIGNED: Final = frozenset({"signer_unavailable", "signer_throttled", "signature_faulty"})
"""Why a checkpoint may be late: the signer is away, or what it answered is no signature."""


@dataclass(slots=True, kw_only=True)
class Publication:
    """What is to be written of a tree of one size.

    Attributes:
        size: Its size.
        root: Its root.
        files: The tiles and bundles: path and octets.
        tree: The tree at the last multiple of 256 records: what a journal needs to go on after these tiles.
        old_segments: Segments that are not needed once the tiles are on the disk.
        wants_spare: Whether the next segment is to overwrite a file of zeros.
    """

    size: int
    root: bytes
    files: list[TileFile]
    tree: Tree
    old_segments: list[Path] = field(default_factory=list)
    wants_spare: bool = False


class Publisher:
    """The tiles and the checkpoint of a trail, written one publication after the other, on any thread.

    Args:
        folder: The trail.
        key: The log's public key.
        signer: Signs checkpoints.
        events: Listens to checkpoints that are not signed.

    Attributes:
        signed_size: The size that the last checkpoint signs; below 0 before the first.
    """

    def __init__(self, folder: Path, key: NoteKey, signer: Signer, events: EventListener) -> None:
        self._folder, self._key, self._signer, self._events = folder, key, signer, events
        self._done: Tree | None = None  # of the last publication whose tiles were written
        self._failed: list[TileFile] = []  # what the last publication could not write
        self._written: list[str] = []  # since the last sync
        self._syncing = threading.Lock()
        self._partial: list[str] = []  # incomplete tiles that the last checkpoint signs
        self._unsigned: list[str] = []  # those of a publication after it
        self.signed_size = -1

    def take_failed(self) -> list[TileFile]:
        """Return what is to be written again."""
        failed, self._failed = self._failed, []
        return failed

    def take_done(self) -> Tree | None:
        """Return the tree whose tiles were written since this was last asked, if any."""
        done, self._done = self._done, None
        return done

    def write_tiles(self, due: Publication) -> None:
        """Write the tiles of a publication; raises OSError, and then they come first the next time."""
        try:
            for path, octets in due.files:
                write_tile(self._folder, path, octets)
                self._written.append(path)
        except BaseException:
            self._failed = due.files
            raise
        self._done = due.tree

    def sign(self, due: Publication) -> None:
        """Have the tiles of a publication signed by a checkpoint.

        Raises:
            OSError: It cannot be written.
            DependencyUnavailable: The signer's.
        """
        partial = [path for path, _ in due.files if ".p/" in path]
        if due.size != self.signed_size:
            checkpoint = Checkpoint(self._key.name, due.size, due.root)
            try:
                note = sign_note(checkpoint.text, self._key, self._signer)
            except RapidJWSError as fault:
                detail = fault.code if fault.actual is None else f"{fault.code}: {fault.actual}"
                emit(self._events, Event(name="audit_checkpoint_unsigned", detail=detail))
                self._remove(set(self._unsigned) - {*partial, *self._partial})
                self._unsigned = partial
                raise
            _files.replace(self._folder / CHECKPOINT, note, mode=0o644)
            self.signed_size = due.size
        self._remove({*self._unsigned, *self._partial} - set(partial))
        self._partial, self._unsigned = partial, []

    def _remove(self, gone: set[str]) -> None:
        """Remove incomplete tiles that no reader of a checkpoint wants any more."""
        for path in gone:
            with contextlib.suppress(OSError):
                _files.remove(self._folder / path)

    def sync(self) -> None:
        """Have the tiles on the disk, so that the journal before them is not needed; raises OSError."""
        with self._syncing:
            written = self._written[:]
            disk.sync_files(self._folder, written)
            del self._written[: len(written)]
