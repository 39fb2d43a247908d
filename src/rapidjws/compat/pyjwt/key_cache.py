"""A bounded memory for what is made of a key, read without a lock.

Entries lie in two generations: a full young one becomes the old one, and what is used again moves back. Races
of threads lose an entry at most, which is made again.
"""

from __future__ import annotations

from typing import Any, Generic, TypeVar

Made = TypeVar("Made")


class KeyCache(Generic[Made]):
    """What was made of keys, by the identity of key, algorithms and options.

    Args:
        max_entries: Most entries of one generation; two are kept.

    Attributes:
        young: Identity -> the key and what was made of it, for those used lately.
    """

    __slots__ = ("_old", "max_entries", "young")

    def __init__(self, max_entries: int) -> None:
        self.max_entries = max_entries
        self.young: dict[Any, tuple[Any, Made]] = {}
        self._old: dict[Any, tuple[Any, Made]] = {}

    def get(self, identity: Any, key: Any) -> Made | None:
        """Return what was made of this very key, or None.

        Args:
            identity: What it is found by: text and bytes by value, objects by ``id``.
            key: The key itself; an entry holds it, so no other object has its ``id`` meanwhile.
        """
        found = self.young.get(identity)
        if found is None:
            found = self._old.get(identity)
            if found is None:
                return None
            self._put(identity, found)
        return found[1] if found[0] is key or found[0].__class__ in (str, bytes) else None

    def put(self, identity: Any, key: Any, made: Made) -> None:
        """Keep what was made of a key."""
        self._put(identity, (key, made))

    def _put(self, identity: Any, entry: tuple[Any, Made]) -> None:
        young = self.young
        if len(young) >= self.max_entries:
            self._old, self.young = young, (young := {})
        young[identity] = entry

    def __len__(self) -> int:
        return len(self.young.keys() | self._old.keys())

    def clear(self) -> None:
        """Forget everything."""
        self.young, self._old = {}, {}
