"""The Merkle tree of RFC 6962 s.2.1 (RFC 9162 s.2.1), in tiles of 256 hashes: hashes, roots, proofs.

No I/O. A tree is held by the hashes of its incomplete tiles, a list a level; complete ones are handed out.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Final

from rapidjws import _native
from rapidjws.errors import error_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    Subtree = Callable[[int, int], bytes]
    """Gives the hash of the complete subtree of a height and an index at that height."""

HASH_BYTES: Final = 32
TILE_HEIGHT: Final = 8
TILE_WIDTH: Final = 1 << TILE_HEIGHT
EMPTY_ROOT: Final = sha256(b"").digest()
SIZE_MAX: Final = 1 << 53


def leaf_hash(entry: bytes) -> bytes:
    """Return the hash of a leaf (RFC 6962 s.2.1: ``SHA-256(0x00 || entry)``)."""
    return sha256(b"\0" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of a node (RFC 6962 s.2.1: ``SHA-256(0x01 || left || right)``)."""
    return sha256(b"\1" + left + right).digest()


def complete_root(hashes: Sequence[bytes]) -> bytes:
    """Return the hash over a power of two of equal subtrees."""
    return hashes[0] if len(hashes) == 1 else _native.complete_root(b"".join(hashes))


def _peaks(hashes: Sequence[bytes]) -> list[bytes]:
    """Return the complete subtrees that some equal subtrees make, the largest first."""
    found, at, left = [], 0, len(hashes)
    while left:
        width = 1 << (left.bit_length() - 1)
        found.append(complete_root(hashes[at : at + width]))
        at, left = at + width, left - width
    return found


def _folded(peaks: Sequence[bytes]) -> bytes:
    root = peaks[-1]
    for peak in reversed(peaks[:-1]):
        root = node_hash(peak, root)
    return root


class Tree:
    """A tree that grows.

    Args:
        levels: The hashes of the incomplete tile of each level, the leaves' first.
        size: The number of leaves.
    """

    __slots__ = ("levels", "size")

    def __init__(self, levels: Iterable[Sequence[bytes]] = (), size: int = 0) -> None:
        self.levels: list[list[bytes]] = [list(one) for one in levels] or [[]]
        self.size = size

    def copy(self) -> Tree:
        """Return a tree of the same leaves that grows on its own."""
        return Tree(self.levels, self.size)

    def append(self, leaves: Sequence[bytes]) -> list[tuple[int, int, bytes]]:
        """Append the hashes of leaves; return the tiles that became complete: level, index, octets."""
        done: list[tuple[int, int, bytes]] = []
        base = self.levels[0]
        at, count = 0, len(leaves)
        while at < count:
            more = leaves[at : at + TILE_WIDTH - len(base)]
            base.extend(more)
            at += len(more)
            self.size += len(more)
            if len(base) == TILE_WIDTH:
                self._complete(done)
                base = self.levels[0]
        return done

    def _complete(self, done: list[tuple[int, int, bytes]]) -> None:
        level = 0
        while len(self.levels[level]) == TILE_WIDTH:
            full = self.levels[level]
            index = (self.size >> (TILE_HEIGHT * (level + 1))) - 1
            done.append((level, index, b"".join(full)))
            self.levels[level] = []
            if level + 1 == len(self.levels):
                self.levels.append([])
            self.levels[level + 1].append(complete_root(full))
            level += 1

    def incomplete(self) -> list[tuple[int, int, bytes]]:
        """Return the tiles that are not complete and not empty: level, index, octets."""
        return [
            (level, self.size >> (TILE_HEIGHT * (level + 1)), b"".join(hashes))
            for level, hashes in enumerate(self.levels)
            if hashes
        ]

    def root(self) -> bytes:
        """Return the root (RFC 6962 s.2.1, MTH)."""
        peaks = [peak for hashes in reversed(self.levels) for peak in _peaks(hashes)]
        return _folded(peaks) if peaks else EMPTY_ROOT


# --- proofs ----------------------------------------------------------------------------------------------


def range_hash(subtree: Subtree, start: int, end: int) -> bytes:
    """Return the hash of the leaves of a range of a tree, cut as RFC 6962 s.2.1 cuts it.

    Args:
        subtree: Gives hashes of complete subtrees.
        start: The first leaf.
        end: The leaf after the last.
    """
    peaks = []
    while start < end:
        height = (end - start).bit_length() - 1
        peaks.append(subtree(height, start >> height))
        start += 1 << height
    return _folded(peaks) if peaks else EMPTY_ROOT


def _split(count: int) -> int:
    """Return the largest power of two below a count."""
    return 1 << ((count - 1).bit_length() - 1)


def inclusion_proof(subtree: Subtree, index: int, size: int) -> list[bytes]:
    """Return the audit path of a leaf (RFC 9162 s.2.1.3).

    Raises:
        ConfigurationError: ``configuration_invalid``: the tree has no such leaf.
    """
    if not 0 <= index < size:
        raise error_for("configuration_invalid", "index", f"0 to {size - 1}", index)
    start, end, path = 0, size, []
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            path.append(range_hash(subtree, middle, end))
            end = middle
        else:
            path.append(range_hash(subtree, start, middle))
            start = middle
    return path[::-1]


def consistency_proof(subtree: Subtree, old: int, new: int) -> list[bytes]:
    """Return the proof that a tree is the beginning of a later one (RFC 9162 s.2.1.4).

    Raises:
        ConfigurationError: ``configuration_invalid``: the first is empty, or larger than the second.
    """
    if not 0 < old <= new:
        raise error_for("configuration_invalid", "old", f"1 to {new}", old)
    start, end, whole, path = 0, new, True, []
    while old != end:
        middle = start + _split(end - start)
        if old <= middle:
            path.append(range_hash(subtree, middle, end))
            end = middle
        else:
            path.append(range_hash(subtree, start, middle))
            start, whole = middle, False
    if not whole:
        path.append(range_hash(subtree, start, end))
    return path[::-1]


def root_of_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes | None:
    """Return the root that an audit path leads to (RFC 9162 s.2.1.3.2), or None where it does not fit."""
    if not 0 <= index < size:
        return None
    at, last, found = index, size - 1, leaf
    for step in path:
        if last == 0:
            return None
        if at & 1 or at == last:
            found = node_hash(step, found)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            found = node_hash(found, step)
        at, last = at >> 1, last >> 1
    return found if last == 0 else None


def is_consistent(old: int, new: int, old_root: bytes, new_root: bytes, path: Sequence[bytes]) -> bool:
    """Say whether a proof shows that one tree is the beginning of another (RFC 9162 s.2.1.4.2)."""
    if not 0 < old <= new:
        return False
    if old == new:
        return not path and old_root == new_root
    steps = list(path)
    if old & (old - 1) == 0:
        steps.insert(0, old_root)
    if not steps:
        return False
    at, last = old - 1, new - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    first = second = steps[0]
    for step in steps[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            first, second = node_hash(step, first), node_hash(step, second)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            second = node_hash(second, step)
        at, last = at >> 1, last >> 1
    return last == 0 and first == old_root and second == new_root
