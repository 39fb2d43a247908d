"""The issuers of a registry that are in memory now: bounded, those in use kept (second chance).

An issuer for which no token has verified yet has a place of its own, so that tokens that merely name issuers
take no place from those whose tokens verify.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from hashlib import sha256
from time import monotonic
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rapidjws.jwt.issuer import Issuer
    from rapidjws.jwt.registry_tables import RegistryEngine

UNPROVEN_SHARE: Final = 8
"""Beside the issuers whose tokens verify there is room for one in so many whose tokens did not yet."""

UNPROVEN_MIN: Final = 16

REMEMBERED: Final = 4
"""Names of issuers whose tokens verified once are remembered up to so many times the most in memory."""

HINTS_PER_ISSUER: Final = 4
"""Protected headers that are remembered with the issuer whose key verified one, for each issuer in memory."""


def digest_of(iss: str) -> bytes:
    """Return 32 bytes that stand for a name, however long it is."""
    return sha256(iss.encode("utf-8", "surrogatepass")).digest()


class Entry:
    """One issuer in memory.

    Attributes:
        name: Its ``iss``, as it was looked up.
        issuer: The issuer as it is configured.
        engine: Verifies its tokens; None once the entry left the table.
        first: The engine for those who waited for the look-up, also where the entry made room for others
            meanwhile; None once the issuer was forgotten, or is gone.
        compares_iss: Whether its engine accepts no other ``iss``: a known header leads to no engine that does
            not, nor does the core ask one, whose tokens have checks of their own.
        is_proven: Whether any token verified.
        wait_until_s: Until when its first tokens wait for its keys, monotonic seconds.
        due_s: When it is looked up again, monotonic seconds.
        stale_s: When it may no longer be used unless it was looked up, monotonic seconds.
    """

    __slots__ = (
        "compares_iss",
        "due_s",
        "engine",
        "first",
        "is_proven",
        "issuer",
        "name",
        "stale_s",
        "wait_until_s",
    )

    def __init__(self, name: str, issuer: Issuer, engine: RegistryEngine) -> None:
        self.name = name
        self.issuer = issuer
        self.engine: RegistryEngine | None = engine
        self.first: RegistryEngine | None = engine
        self.compares_iss = bool(issuer.names)
        self.is_proven = False
        self.wait_until_s = self.due_s = self.stale_s = 0.0

    @property
    def is_used(self) -> bool:
        """Return whether a token verified since the table last looked for one to drop; the core notes it."""
        engine = self.engine
        return engine is not None and engine._is_used

    @is_used.setter
    def is_used(self, is_used: bool) -> None:
        engine = self.engine
        if engine is not None:
            engine._is_used = is_used

    def be_due_in(self, seconds: float) -> None:
        """Note when it is looked up again; until then the core asks its engine without Python."""
        self.due_s = monotonic() + seconds
        engine = self.engine
        if engine is not None:
            engine._set_due(seconds)
            if self.engine is None:  # it was closed in between
                engine._set_due(0.0)


class EntryTable:
    """The issuers in memory.

    Args:
        most: Most issuers whose tokens verified.
    """

    __slots__ = (
        "_lock",
        "_proven",
        "_remembered",
        "_unproven",
        "evicted",
        "most",
        "most_headers",
        "most_unproven",
    )

    def __init__(self, most: int) -> None:
        self.most = most
        self.most_unproven = max(UNPROVEN_MIN, most // UNPROVEN_SHARE)
        self.most_headers = HINTS_PER_ISSUER * (self.most + self.most_unproven)
        self._proven: OrderedDict[str, Entry] = OrderedDict()
        self._unproven: OrderedDict[str, Entry] = OrderedDict()
        self._remembered: OrderedDict[bytes, None] = OrderedDict()
        self._lock = threading.Lock()  # for moments; neither a look-up nor a verification runs under it
        self.evicted = 0

    def __len__(self) -> int:
        return len(self._proven) + len(self._unproven)

    def entries(self) -> list[Entry]:
        """Return all that are there."""
        with self._lock:
            return [*self._proven.values(), *self._unproven.values()]

    def get(self, iss: str) -> Entry | None:
        """Return an issuer's entry, or None; takes no lock."""
        return self._proven.get(iss) or self._unproven.get(iss)

    def put(self, entry: Entry) -> list[Entry]:
        """Add an issuer for which no token verified yet; it may take the place of another such one.

        Returns:
            Those that left, to be closed.
        """
        gone: list[Entry] = []
        with self._lock:
            if self.get(entry.name) is entry:
                return gone
            before = self._proven.pop(entry.name, None) or self._unproven.pop(entry.name, None)
            self._unproven[entry.name] = entry
            if before is not None:
                gone.append(before)
            while len(self._unproven) > self.most_unproven:
                gone.append(self._unproven.popitem(last=False)[1])
                self.evicted += 1
        return gone

    def prove(self, entry: Entry) -> None:
        """Keep an issuer among those whose tokens verify; one that was not in use makes room for it."""
        gone = []
        with self._lock:
            if self._unproven.get(entry.name) is not entry:
                return  # it left meanwhile
            del self._unproven[entry.name]
            entry.is_proven = True
            while len(self._proven) >= self.most:
                name, oldest = self._proven.popitem(last=False)
                if oldest.is_used:
                    oldest.is_used = False
                    self._proven[name] = oldest
                else:
                    gone.append(oldest)
                    self.evicted += 1
            self._proven[entry.name] = entry
            name_digest = digest_of(entry.name)
            self._remembered.pop(name_digest, None)
            self._remembered[name_digest] = None
            while len(self._remembered) > REMEMBERED * self.most:
                self._remembered.popitem(last=False)
        close_all(gone)

    def is_remembered(self, iss: str) -> bool:
        """Return whether a token of this issuer verified once."""
        return digest_of(iss) in self._remembered

    def remove(self, iss: str) -> bool:
        """Take an issuer out; return whether it was there."""
        with self._lock:
            entry = self._proven.pop(iss, None) or self._unproven.pop(iss, None)
            self._remembered.pop(digest_of(iss), None)
        if entry is None:
            return False
        entry.first = None
        close_all([entry])
        return True

    def after_fork(self) -> None:
        """Make the lock anew in a forked child."""
        self._lock = threading.Lock()


def close_all(gone: list[Entry]) -> None:
    """Let go the engines of issuers that left; calls under way end as they would."""
    for entry in gone:
        engine, entry.engine = entry.engine, None
        if engine is not None:
            engine._set_due(0.0)
            engine.close()
