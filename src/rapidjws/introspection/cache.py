"""Answers of a server about tokens, by the digest of a token: bounded, active ones apart from the others."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from rapidjws.introspection.answer import IntrospectionAnswer


class _Entry(NamedTuple):
    answer: IntrospectionAnswer
    until_s: float  # monotonic


class AnswerCache:
    """Answers, looked up without a lock; whoever writes holds the lock of its owner.

    A stranger's tokens are never active, so they push out none that is.

    Args:
        max_entries: Most of either kind.
    """

    __slots__ = ("_active", "_inactive", "_max_entries")

    def __init__(self, max_entries: int) -> None:
        self._max_entries = max_entries
        self._active: OrderedDict[bytes, _Entry] = OrderedDict()
        self._inactive: OrderedDict[bytes, _Entry] = OrderedDict()

    def get(self, digest: bytes, now_s: float) -> IntrospectionAnswer | None:
        """Return what is known of a token now, or None.

        Args:
            digest: Of the token.
            now_s: Monotonic seconds.
        """
        entry = self._active.get(digest) or self._inactive.get(digest)
        return entry.answer if entry is not None and now_s < entry.until_s else None

    def was_active(self, digest: bytes) -> bool:
        """Return whether a token was active at its last look-up."""
        return digest in self._active

    def put(self, digest: bytes, answer: IntrospectionAnswer, until_s: float) -> None:
        """Remember the answer about a token, until a moment of the monotonic clock."""
        kept, other = (self._active, self._inactive) if answer.active else (self._inactive, self._active)
        other.pop(digest, None)
        kept.pop(digest, None)
        kept[digest] = _Entry(answer, until_s)
        while len(kept) > self._max_entries:
            kept.popitem(last=False)

    def __len__(self) -> int:
        return len(self._active) + len(self._inactive)
