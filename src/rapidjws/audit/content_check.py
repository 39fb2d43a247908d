"""The check of what is stored beside a record: is it as it was, encrypted, erased, left out, or missing?"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from rapidjws import _native
from rapidjws.audit.content_keys import ID_BYTES, NAME_BYTES, ContentKeys, hour_key, key_id_of
from rapidjws.audit.erasure import Erased
from rapidjws.audit.records import digest
from rapidjws.audit.side_content import SEALED, unpacked
from rapidjws.errors import RapidJWSError

if TYPE_CHECKING:
    from rapidjws.audit.record_results import RecordResults

KEYS_MAX: Final = 4096
"""Keys that a verification remembers."""

GONE: Final = "erased, as the log says"


class ContentCheck:
    """The check of contents, by any thread.

    Args:
        keys: Decrypt them, or None.
        is_partial: Whether contents in clear were left out of this copy of the trail.

    Attributes:
        erased: What the log says was erased.
    """

    def __init__(self, keys: ContentKeys | None, *, is_partial: bool) -> None:
        self._keys, self._is_partial = keys, is_partial
        self._read = None if keys is None else lru_cache(KEYS_MAX)(keys._read)  # each once a verification
        self._hours = lru_cache(KEYS_MAX)(self._hour_key)
        self.erased = Erased()

    @property
    def has_keys(self) -> bool:
        """Return whether contents can be decrypted."""
        return self._keys is not None

    def opened(self, contents: bytes, first: int, count: int) -> bytes | None:
        """Return contents of a bundle with those decrypted that can be; None where none is.

        What stays encrypted is left to :meth:`token`, which says why.
        """
        if self._read is None or not self.erased.records.isdisjoint(range(first, first + count)):
            return None
        keys = {}
        for head in _native.sealed_heads(contents, count):
            if key_id_of(head) not in self.erased.keys:
                key = self._hours(head)
                if key is not None:
                    keys[head] = key
        return _native.opened_contents(contents, count, keys) if keys else None

    def _hour_key(self, head: bytes) -> bytes | None:
        """Return the key of the hour that stands before a content, or None where it is not to be had."""
        assert self._read is not None
        try:
            found = self._read(head[:NAME_BYTES])
        except RapidJWSError:
            return None
        end = NAME_BYTES + ID_BYTES
        if found is None or found[0] != head[NAME_BYTES:end]:
            return None
        return hour_key(found[1], head[end:])

    def token(
        self, record: dict[str, Any], content: bytes, index: int, place: str, results: RecordResults
    ) -> bytes | None:
        """Return the token of a record, where it is stored and as it was; count or name why not."""
        try:
            stored = unpacked(content, place)
            sealed = stored.get(SEALED)
            parts = stored if sealed is None else self._opened(record, sealed, index, place, results)
        except RapidJWSError as fault:
            cause = "the stored content" if fault.code == "audit_trail_invalid" else str(fault)
            results.find("content_altered", place, index, cause=cause)
            return None
        if parts is None:
            return None
        for name, code in (("token", "token_altered"), ("claims", "claims_altered")):
            if name in parts and digest(parts[name]) != record.get(name):
                results.find(code, place, index, expected=str(record.get(name)),
                             actual=digest(parts[name]), cause=f"the stored {name}")  # fmt: skip
                return None
        if record.get("token") is None:
            results.not_verified_again["no token in the request"] += 1
        elif "token" in parts:
            return parts["token"]
        elif record.get("content") != "token":
            results.not_verified_again["token not stored"] += 1
        elif self.erased.covers(index, record):
            results.not_verified_again[GONE] += 1
        elif self._is_partial:
            results.not_verified_again["left out of this copy"] += 1
        else:
            results.find("content_missing", place, index, expected="the token", actual="nothing",
                         cause="the stored token, and no record says that it was erased")  # fmt: skip
        return None

    def _opened(
        self, record: dict[str, Any], sealed: bytes, index: int, place: str, results: RecordResults
    ) -> dict[str, bytes] | None:
        """Return encrypted parts in clear; count or name why not."""
        key_id = key_id_of(sealed)
        if self.erased.covers(index, record, key_id):
            results.not_verified_again[GONE] += 1
            return None
        if self._keys is None or self._read is None:
            results.not_verified_again["encrypted, and no keys given"] += 1
            return None
        plain = self._keys._opened(sealed, place, self._read)
        if plain is not None:
            return unpacked(plain, place)
        results.find("content_key_missing", place, index, expected=key_id, actual="none",
                     cause="the key of this content, and no record says that it was erased")  # fmt: skip
        return None
