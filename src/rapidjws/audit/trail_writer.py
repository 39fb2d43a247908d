"""The one writer of a trail: journal, tree, tiles and checkpoints of one folder.

Records are appended in groups: written to the journal, and in durable mode on the disk, before the tree has
them. Tiles and checkpoint follow from time to time; what a crash left of them is made again from the journal.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Final

from rapidjws import _files, _locks
from rapidjws._checks import checked
from rapidjws.audit import disk
from rapidjws.audit.journal import FOLDER, SPARE_BYTES, Segment, SpareFile, spare_file
from rapidjws.audit.merkle import TILE_WIDTH, Tree, leaf_hash, range_hash
from rapidjws.audit.notes import NOTE_MAX_BYTES, Checkpoint, key_of
from rapidjws.audit.publication import UNSIGNED, Publication, Publisher, TileFile
from rapidjws.audit.recovery import LOCK, Recovered, recovered
from rapidjws.audit.tile_files import CHECKPOINT, CONTENT, TileReader, bundle, tile_path
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.signing.signer import Signer
from rapidjws.verify.protocols import Event, EventListener, emit, no_events

ROTATE_BYTES: Final = 64 << 20
"""Size of a segment after which another one is begun."""

Group = tuple[Sequence[bytes], Sequence[bytes], Sequence[bytes]]
"""Records, what is stored beside them, and their hashes."""


class TrailWriter:
    """The writer of an audit trail; one process and one thread at a time.

    Args:
        folder: The trail, made where it is not there.
        origin: The log's name, as in its checkpoints: ``gateway1.example.com/audit``.
        signer: Signs checkpoints: Ed25519 for all readers of signed notes; or a KMS, HSM or Vault.
        durable: Whether records are on the disk before ``append`` returns.
        events: Listens to faults of the disk and to what a start found.

    Attributes:
        size: How many records the trail has.

    Raises:
        ConfigurationError: ``configuration_invalid``; ``audit_trail_in_use``; ``audit_trail_invalid``: the
            folder holds something else, or not all of a trail.
        DependencyUnavailable: ``audit_unavailable``: the disk.
    """

    @checked(under="audit")
    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        origin: str,
        signer: Signer,
        durable: bool = True,
        events: EventListener = no_events,
    ) -> None:
        self.folder = Path(folder)
        self.key = key_of(origin, signer)
        self.durable = durable
        self._events = events
        self._lock = -1
        self._segment: Segment | None = None
        self._older: list[Path] = []  # segments that are needed until tiles are on the disk
        self._spare: SpareFile | None = None
        self._seen_bytes = 0  # of the segment, at the last publication
        self._number = 0
        self._tree = Tree()
        self._open: tuple[list[bytes], list[bytes]] = ([], [])  # of the incomplete bundle
        self._kept: tuple[list[bytes], list[bytes]] = ([], [])  # since the last publication, and its tile
        self._kept_tree = Tree()
        self._is_synced = True
        self._files: list[TileFile] = []
        self._publisher = Publisher(self.folder, self.key, signer, events)
        try:
            self._begin()
        except (OSError, UnicodeError) as fault:
            self.close()
            raise error_for("audit_unavailable", str(self.folder), actual=type(fault).__name__) from None
        except BaseException:
            self.close()
            raise

    @property
    def size(self) -> int:
        """Return the number of records."""
        return self._tree.size

    # --- beginning ---------------------------------------------------------------------------------------

    def _begin(self) -> None:
        (self.folder / FOLDER).mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock, _ = _files.open_to_write(self.folder / LOCK)
        try:
            _locks.lock(self._lock, wait=False)
        except BlockingIOError:
            raise error_for("audit_trail_in_use", str(self.folder)) from None
        _files.remove_leftovers(self.folder / CHECKPOINT)
        known = self._known_checkpoint()
        before = recovered(self.folder, known)
        self._number = before.number
        self._tree, self._kept_tree = before.tree, before.tree.copy()
        self._grow_to(before, known)
        if before.torn_bytes:
            self._emit("audit_tail_cut", before.torn_bytes)
        self._reopen()
        due = self.prepare()
        disk.remove_drafts([self.folder / FOLDER / LOCK, *(self.folder / path for path, _ in due.files)])
        try:
            self.write(due)
        except RapidJWSError as fault:
            if fault.code not in UNSIGNED:  # the signer is away: records are taken all the same
                raise
        self._publisher.sync()  # then the journal of before is not needed any more
        for path in before.segments:
            with contextlib.suppress(OSError):
                _files.remove(path)

    def _known_checkpoint(self) -> Checkpoint | None:
        try:
            octets = _files.read_trusted(self.folder / CHECKPOINT, NOTE_MAX_BYTES, own=True)
        except FileNotFoundError:
            return None
        return Checkpoint.opened(octets, [self.key])

    def _grow_to(self, before: Recovered, known: Checkpoint | None) -> None:
        """Append what was recovered, and compare with the checkpoint on the way."""
        size = self._tree.size
        if known is not None and known.size < size:  # what came after it was never signed
            reader = TileReader(self.folder, size)
            if range_hash(reader.subtree, 0, known.size) != known.root:
                raise error_for("audit_trail_invalid", f"{CHECKPOINT}:0", "the root of these records")
        middle = 0 if known is None else max(0, known.size - size)
        for part in (slice(0, middle), slice(middle, None)):
            entries = before.entries[part]
            self._grow(entries, before.contents[part], [leaf_hash(one) for one in entries])
            if known is not None and self._tree.size == known.size and self._tree.root() != known.root:
                raise error_for("audit_trail_invalid", f"{CHECKPOINT}:0", "the root of these records")

    # --- records -----------------------------------------------------------------------------------------

    @checked
    def append(self, entries: Sequence[bytes], contents: Sequence[bytes] = ()) -> int:
        """Append records as a group; return the index of the first.

        Args:
            entries: Canonical records, 65 535 bytes each at most.
            contents: What is stored beside each; none for nothing.

        Raises:
            DependencyUnavailable: ``audit_unavailable``: none of them is in the trail.
        """
        return self._append(entries, contents)

    def _append(self, entries: Sequence[bytes], contents: Sequence[bytes] = ()) -> int:
        """Append records of the sequencer's own making, as :meth:`append` does."""
        contents = contents or [b""] * len(entries)
        leaves = [sha256(b"\0" + entry).digest() for entry in entries]
        first = self._tree.size
        if self._segment is None:
            self._try_again(entries, contents, leaves)
        else:
            try:
                self._segment.append(entries, contents, leaves)
                self._is_synced = False
                if self.durable:
                    self._segment.sync()
                    self._is_synced = True
            except OSError as fault:
                self._after_fault(fault, entries, contents, leaves)
        self._grow(entries, contents, leaves)
        return first

    def _after_fault(
        self, fault: OSError, entries: Sequence[bytes], contents: Sequence[bytes], leaves: Sequence[bytes]
    ) -> None:
        """Write again what may not be on the disk, to another file; raise where that fails too."""
        cut = fault.errno in (errno.ENOSPC, errno.EDQUOT) and self._segment is not None
        if cut and self._segment is not None and self._segment.is_in_place():
            raise self._unavailable(fault)
        self._set_aside(fault)
        self._try_again(entries, contents, leaves)

    def _try_again(
        self, entries: Sequence[bytes] = (), contents: Sequence[bytes] = (), leaves: Sequence[bytes] = ()
    ) -> None:
        """Begin a segment with all since the last publication, whose tiles must be on the disk then."""
        try:
            self._reopen(entries, contents, leaves)
            self._publisher.sync()
        except OSError as fault:
            raise self._unavailable(fault) from None

    def _unavailable(self, fault: OSError) -> RapidJWSError:
        self._emit("audit_storage_failed", 0, errno.errorcode.get(fault.errno or 0, "unknown"))
        return error_for("audit_unavailable", str(self.folder), actual=fault.strerror)

    def _set_aside(self, fault: OSError | None = None) -> None:
        """Never write to a segment again, nor sync it: what it holds may not be what the disk has."""
        segment, self._segment = self._segment, None
        if segment is not None:
            segment.set_aside()
            word = "replaced" if fault is None else errno.errorcode.get(fault.errno or 0, "unknown")
            self._emit("audit_segment_suspect", segment.number, word)

    def _reopen(
        self,
        entries: Sequence[bytes] = (),
        contents: Sequence[bytes] = (),
        leaves: Sequence[bytes] = (),
    ) -> None:
        """Begin a segment with all since the last publication, and more, on the disk; raises OSError."""
        self._forget_published()
        kept = (*self._kept, [leaf_hash(one) for one in self._kept[0]])
        self._segment = self._begun(self._kept_tree, kept, (entries, contents, leaves))
        self._is_synced = True

    def _begun(self, tree: Tree, *groups: Group, spare: SpareFile | None = None) -> Segment:
        """Return a segment that begins at a tree and has groups of records on the disk; raises OSError."""
        segment = Segment(self.folder, tree, self._number, spare)
        self._number += 1
        try:
            for group in groups:
                segment.append(*group)
            segment.sync()
        except BaseException:
            segment.drop()
            raise
        return segment

    def _grow(self, entries: Sequence[bytes], contents: Sequence[bytes], leaves: Sequence[bytes]) -> None:
        """Have the tree grow by what the journal has, and keep the bundles and tiles that became complete."""
        self._kept[0].extend(entries)
        self._kept[1].extend(contents)
        at = 0
        while at < len(entries):
            space = TILE_WIDTH - len(self._open[0])
            self._open[0].extend(entries[at : at + space])
            self._open[1].extend(contents[at : at + space])
            at += space
            if len(self._open[0]) == TILE_WIDTH:
                self._bundle(self._tree.size // TILE_WIDTH)
                self._open = ([], [])
            tiles = self._tree.append(leaves[at - space : at])
            self._files += [(tile_path(level, index), octets) for level, index, octets in tiles]

    def _bundle(self, index: int, width: int = TILE_WIDTH) -> None:
        entries, contents = self._open
        self._files.append((tile_path("entries", index, width), bundle(entries)))
        if any(contents):
            self._files.append((tile_path(CONTENT, index, width), bundle(contents, CONTENT)))

    def _complete_tree(self) -> Tree:
        """Return the tree at the last multiple of 256 records."""
        size = self._tree.size
        return Tree([[], *self._tree.levels[1:]], size - size % TILE_WIDTH)

    def _forget_published(self) -> None:
        """Keep no record any more whose tile, complete, was published."""
        done = self._publisher.take_done()
        if done is not None:
            gone = done.size - self._kept_tree.size
            del self._kept[0][:gone], self._kept[1][:gone]
            self._kept_tree = done

    # --- publishing --------------------------------------------------------------------------------------

    def prepare(self) -> Publication:
        """Return what is to be written now, with all records on the disk; see :meth:`write`.

        Raises:
            DependencyUnavailable: ``audit_unavailable``.
        """
        segment = self._segment
        self._forget_published()
        if segment is None:
            self._try_again()
        elif not segment.is_in_place():  # moved, cut or removed from outside
            self._set_aside()
            self._try_again()
        elif not self._is_synced:
            try:
                segment.sync()
                self._is_synced = True
            except OSError as fault:
                self._set_aside(fault)
                self._try_again()
        wants_spare = self._rotate()
        files, self._files = self._publisher.take_failed() + self._files, []
        size = self._tree.size
        if size % TILE_WIDTH:
            self._bundle(size // TILE_WIDTH, size % TILE_WIDTH)
            files += self._files
            self._files = []
        for level, index, octets in self._tree.incomplete():
            files.append((tile_path(level, index, len(octets) // 32), octets))
        return Publication(
            size=size,
            root=self._tree.root(),
            files=files,
            tree=self._complete_tree(),
            old_segments=list(self._older),
            wants_spare=wants_spare,
        )

    def _rotate(self) -> bool:
        """Begin another segment, at the last complete tile, where it is due; say whether to make a spare."""
        segment, spare = self._segment, self._spare
        if segment is None:
            return False
        recent, self._seen_bytes = segment.size_bytes - self._seen_bytes, segment.size_bytes
        is_due = spare is not None and segment.left_bytes < 2 * recent
        if is_due or segment.size_bytes >= ROTATE_BYTES:
            self._spare = None
            with contextlib.suppress(OSError):  # else with the next publication
                self._segment = self._begun(
                    self._complete_tree(), (*self._open, self._tree.levels[0]), spare=spare
                )
                self._older.append(segment.path)
                segment.close()
                self._seen_bytes = self._segment.size_bytes
        return self.durable and SPARE_BYTES // 4 > recent > SPARE_BYTES // 256 and self._spare is None

    @checked
    def write(self, due: Publication) -> None:
        """Write tiles and a checkpoint; on any thread, one at a time.

        Raises:
            DependencyUnavailable: ``audit_unavailable``: with what was to be written first the next time; or
                the signer's: then the tiles are there, and the next checkpoint signs them.
        """
        try:
            self._publisher.write_tiles(due)
            if due.old_segments:
                self._publisher.sync()
                for old in due.old_segments:
                    _files.remove(old)
                    self._older.remove(old)
            if due.wants_spare:
                self._spare = spare_file(self.folder)
            self._publisher.sign(due)
        except OSError as fault:
            raise self._unavailable(fault) from None

    @property
    def signed_size(self) -> int:
        """Return how many records the last checkpoint signs."""
        return max(0, self._publisher.signed_size)

    def publish(self) -> None:
        """Write tiles and a checkpoint of all records; raises as ``prepare`` and ``write`` do."""
        self.write(self.prepare())

    def close(self) -> None:
        """Let the folder go, with all records in the tiles as far as the disk lets us."""
        if self._segment is not None and self._lock >= 0:
            with contextlib.suppress(RapidJWSError):
                self.publish()
        if self._segment is not None:
            self._segment.close()
            self._segment = None
        if self._spare is not None:
            self._spare.drop()
            self._spare = None
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _emit(self, name: str, value: float, detail: str | None = None) -> None:
        emit(self._events, Event(name=name, value=value, detail=detail))
