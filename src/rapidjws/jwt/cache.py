"""Verified tokens remembered: the signature is not verified again, everything else is.

An entry says: these exact bytes verified by this slot under this generation of keys and rules. On every hit
the core checks issuer, audience and time again. Refused tokens have no entry. A change of keys or rules makes
every entry worthless, because the generation it is bound to is gone.
"""

from __future__ import annotations

import threading
from typing import Final

from rapidjws.errors import error_for

ENTRY_OVERHEAD_BYTES: Final = 200
"""About what one entry takes beside the token's own bytes."""


class TokenCache:
    """A bounded memory of one engine's verified tokens.

    The table is a dict of the tokens' bytes: its hash is keyed (SipHash, a fresh key a process) and a hit is
    confirmed by comparing all bytes. Only verified tokens enter it, so a stranger cannot fill it. When full,
    the oldest entry goes.

    Args:
        max_entries: Most tokens.
        max_bytes: Most memory, tokens and overhead, in bytes.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """

    __slots__ = ("_entries", "_lock", "_used_bytes", "hits", "max_bytes", "max_entries", "misses")

    def __init__(self, max_entries: int = 10_000, max_bytes: int = 16 * 1024 * 1024) -> None:
        _check_limit("max_entries", max_entries)
        _check_limit("max_bytes", max_bytes)
        self.max_entries = max_entries
        self.max_bytes = max_bytes
        self._entries: dict[bytes, tuple[object, int]] = {}
        self._used_bytes = 0
        self._lock = threading.Lock()  # held by writers only
        self.hits = self.misses = 0  # of lookups; threads that look at once may lose one

    def renew_lock(self) -> None:
        """Replace the writers' lock in a forked child."""
        self._lock = threading.Lock()

    def slot(self, token: bytes, generation: object) -> int | None:
        """Return the slot that verified these bytes under this generation, or None."""
        entry = self._entries.get(token)
        if entry is not None and entry[0] is generation:
            self.hits += 1
            return entry[1]
        self.misses += 1
        return None

    def put(self, token: bytes, generation: object, slot: int) -> None:
        """Remember a token that was just verified; make room by dropping the oldest."""
        size = len(token) + ENTRY_OVERHEAD_BYTES
        if size > self.max_bytes:
            return
        with self._lock:
            self._drop(token)
            while self._entries and (
                len(self._entries) >= self.max_entries or self._used_bytes + size > self.max_bytes
            ):
                self._drop(next(iter(self._entries)))
            self._entries[token] = (generation, slot)
            self._used_bytes += size

    def forget(self, token: bytes) -> None:
        """Drop a token's entry, if there is one."""
        with self._lock:
            self._drop(token)

    def clear(self) -> None:
        """Drop every entry."""
        with self._lock:
            self._entries = {}
            self._used_bytes = 0

    def _drop(self, token: bytes) -> None:
        if self._entries.pop(token, None) is not None:
            self._used_bytes -= len(token) + ENTRY_OVERHEAD_BYTES

    @property
    def used_bytes(self) -> int:
        """Return about how much memory the entries take."""
        return self._used_bytes

    def __len__(self) -> int:
        return len(self._entries)


def _check_limit(place: str, value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise error_for("configuration_invalid", f"cache.{place}", expected="a whole number from 1 on")
