"""A JWK Set: the usable keys of a document, and why the others are not (RFC 7517 s.5).

One bad key never spoils a set: it is left out, with its code and place. What spoils a set: a document that is
none, its size, and secrets among public keys. What it never does: fetch, refresh, or choose by anything but
kid and alg.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from rapidjws.errors import KeyRefused, RapidJWSError, error_for
from rapidjws.jose import _json, _json_strict
from rapidjws.jose._json_strict import SpoiledObject
from rapidjws.jose.jwk import JWK, read_members
from rapidjws.jose.limits import (
    JSON_MAX_DEPTH,
    JWK_MAX_MEMBERS,
    JWKS_MAX_BYTES,
    JWKS_MAX_KEYS,
    JWKS_STATIC_MAX_BYTES,
    JWKS_STATIC_MAX_KEYS,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_MANY: Final = object()
_ASYMMETRIC: Final = frozenset({"EC", "RSA", "OKP", "AKP"})
_OF_NO_CONCERN: Final = frozenset({"key_unsupported", "key_use_mismatch"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """Say why a key of a set is not used.

    Attributes:
        index: Its position in ``keys``.
        error: Why: its code, and a place such as ``keys[3].n``.
        kid: Its name where that is a string, else None.
    """

    index: int
    error: RapidJWSError
    kid: str | None = None

    @property
    def code(self) -> str:
        """Return the error's code."""
        return self.error.code


class JWKSet:
    """Hold the usable keys of one issuer, unchangeable; find them by kid in constant time.

    Args:
        keys: Checked keys; two of one kid are both left out, as in :meth:`from_json`.

    Raises:
        TypeError: something in ``keys`` is no JWK.
        KeySetRefused: mixed_key_set.
    """

    __slots__ = ("_by_alg", "_by_kid", "_duplicated", "keys", "skipped")

    keys: tuple[JWK, ...]
    skipped: tuple[Skipped, ...]
    _by_kid: dict[str, JWK | None]
    _by_alg: dict[str, Any]
    _duplicated: frozenset[str | None]

    def __init__(self, keys: Iterable[JWK] = ()) -> None:
        entries = list(enumerate(keys))
        if not all(isinstance(key, JWK) for _, key in entries):  # CVE-2022-23529: nothing is made into a key
            raise TypeError("a JWKSet holds JWK values")
        _refuse_mixed({key.kty for _, key in entries})
        self._fill(entries, [])

    @classmethod
    def from_json(
        cls,
        data: bytes | str | dict[str, Any],
        *,
        fetched: bool = False,
        max_keys: int | None = None,
        max_bytes: int | None = None,
    ) -> JWKSet:
        """Read a JWK Set; leave out what cannot be used.

        Args:
            data: JSON text in UTF-8, or the object already parsed.
            fetched: True for a set that came over a network: smaller limits, and no symmetric key is used.
            max_keys: Most entries of ``keys``; by default 100 fetched, 100 000 otherwise.
            max_bytes: Largest text; by default 256 KiB fetched, 64 MiB otherwise.

        Returns:
            The set; it may be empty, and ``skipped`` names every key left out.

        Raises:
            KeySetRefused: jwks_malformed, jwks_too_large or mixed_key_set.

        Source: RFC 7517 s.5.
        """
        if max_bytes is None:
            max_bytes = JWKS_MAX_BYTES if fetched else JWKS_STATIC_MAX_BYTES
        if max_keys is None:
            max_keys = JWKS_MAX_KEYS if fetched else JWKS_STATIC_MAX_KEYS
        entries = _entries(data, max_keys, max_bytes)
        types = [entry.get("kty") for entry in entries if isinstance(entry, dict)]
        _refuse_mixed({kty for kty in types if isinstance(kty, str)})
        usable: list[tuple[int, JWK]] = []
        skipped: list[Skipped] = []
        for index, entry in enumerate(entries):
            try:
                usable.append((index, _read_entry(entry, fetched=fetched)))
            except KeyRefused as refused:
                skipped.append(_skip(index, entry, refused))
        made = cls.__new__(cls)
        made._fill(usable, skipped)
        return made

    def _fill(self, entries: list[tuple[int, JWK]], skipped: list[Skipped]) -> None:
        """Index the keys; leave out every key whose kid stands twice.

        A bad key's kid counts as well; that of a key for another purpose, or of an unknown kind, does not.
        """
        by_kid: dict[str, JWK | None] = {}
        for gone in skipped:
            if gone.kid is not None and gone.code not in _OF_NO_CONCERN:
                by_kid[gone.kid] = None
        for _, key in entries:
            if key.kid is not None:
                by_kid[key.kid] = None if key.kid in by_kid else key
        kept: list[JWK] = []
        for index, key in entries:
            if key.kid is not None and by_kid[key.kid] is None:  # Wycheproof: neither of the two is used
                error = error_for("duplicate_kid", f"keys[{index}].kid", "a kid of its own", key.kid)
                skipped.append(Skipped(index=index, error=error, kid=key.kid))
            else:
                kept.append(key)
        by_alg: dict[str, Any] = {}
        for key in kept:
            for alg in key.algorithms:
                by_alg[alg] = _MANY if alg in by_alg else key
        set_ = object.__setattr__
        set_(self, "keys", tuple(kept))
        set_(self, "skipped", tuple(sorted(skipped, key=lambda item: item.index)))
        set_(self, "_by_kid", by_kid)
        set_(self, "_by_alg", by_alg)
        set_(self, "_duplicated", frozenset(gone.kid for gone in skipped if gone.code == "duplicate_kid"))

    def get(self, kid: str) -> JWK | None:
        """Return the key of this name, or None; a kid that stood twice names no key."""
        return self._by_kid.get(kid)

    def select(self, *, alg: str, kid: str | None, kid_required: bool = False) -> JWK:
        """Return the one key that a header asks for.

        Args:
            alg: The header's algorithm, allowed by the caller already.
            kid: The header's kid, or None.
            kid_required: True to refuse headers without kid.

        Returns:
            The key; it can serve ``alg``.

        Raises:
            UnknownKey: unknown_kid, missing_kid, ambiguous_key or no_suitable_key.
            HeaderRefused: key_alg_mismatch (the named key does not serve ``alg``).

        Source: RFC 7515 s.4.1.4, s.10.13; RFC 8725 s.3.1.
        """
        if kid is not None:
            return self._select_by_kid(alg, kid)
        if kid_required:
            raise error_for("missing_kid", "header.kid", "a kid")
        found = self._by_alg.get(alg)
        if found is None:
            raise error_for("no_suitable_key", "header.alg", None, alg)
        if found is _MANY:  # trying one after the other would let a token choose its key
            raise error_for("ambiguous_key", "header.kid", "a kid, as several keys fit")
        key: JWK = found
        return key

    def _select_by_kid(self, alg: str, kid: str) -> JWK:
        """Return the key of this name that serves the algorithm."""
        key = self._by_kid.get(kid)
        if key is None:
            if kid in self._duplicated:
                raise error_for("ambiguous_key", "header.kid", "a kid that stands once in the set", kid)
            raise error_for("unknown_kid", "header.kid", None, kid)
        if alg not in key.algorithms:  # RFC 8725 s.3.1
            raise error_for("key_alg_mismatch", "header.alg", key.algorithms, alg)
        return key

    def as_dict(self) -> dict[str, Any]:
        """Return the public members of every usable key as a JWK Set; symmetric keys are left out."""
        return {"keys": [key.as_dict() for key in self.keys if not key.is_symmetric]}

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a JWKSet cannot be changed: {name}")

    def __iter__(self) -> Iterator[JWK]:
        return iter(self.keys)

    def __len__(self) -> int:
        return len(self.keys)

    def __contains__(self, kid: object) -> bool:
        return isinstance(kid, str) and self._by_kid.get(kid) is not None

    def __repr__(self) -> str:
        return f"<JWKSet: {len(self.keys)} keys, {len(self.skipped)} skipped>"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (self.keys, self.skipped)


def _rebuild(keys: tuple[JWK, ...], skipped: tuple[Skipped, ...]) -> JWKSet:
    """Build a set again from its pickled parts."""
    made = JWKSet.__new__(JWKSet)
    made._fill(list(enumerate(keys)), list(skipped))
    return made


def _entries(data: bytes | str | dict[str, Any], max_keys: int, max_bytes: int) -> list[Any]:
    """Return the array named keys, within its limits."""
    value = data if isinstance(data, dict) else _parse(data, max_bytes)
    entries = value.get("keys") if isinstance(value, dict) else None
    if not isinstance(entries, list):  # RFC 7517 s.5.1: an array, and it must be there
        raise error_for("jwks_malformed", "jwks", "a JSON object with an array named keys")
    if len(entries) > max_keys:
        raise error_for("jwks_too_large", "jwks.keys", f"at most {max_keys} keys", len(entries))
    return entries


def _parse(data: bytes | str, max_bytes: int) -> Any:
    """Parse a set; where one object in it breaks a rule of its own, mark that one and keep the rest."""
    try:
        raw = data.encode("utf-8") if isinstance(data, str) else data
    except UnicodeEncodeError:
        raise error_for("jwks_malformed", "jwks", "JSON in UTF-8", "malformed_json") from None
    limits = {"max_bytes": max_bytes, "max_depth": JSON_MAX_DEPTH, "max_members": JWK_MAX_MEMBERS}
    try:
        return _json.loads(raw, **limits, place="jwks")
    except RapidJWSError as refused:
        code = refused.code
    if code in ("duplicate_member", "too_many_members"):
        try:
            return _json_strict.parse(raw, **limits, keep_spoiled=True)
        except _json_strict.Fault as fault:
            code = fault.code
    if code == "too_large":
        raise error_for("jwks_too_large", "jwks", f"at most {max_bytes} bytes", len(raw))
    raise error_for("jwks_malformed", "jwks", "a JSON object with an array named keys", code)


def _refuse_mixed(types: set[str]) -> None:
    """Refuse secrets among public keys (RFC 8725 s.2.1: algorithm confusion)."""
    if "oct" in types and types & _ASYMMETRIC:
        raise error_for("mixed_key_set", "jwks.keys", "keys of one kind", "symmetric and asymmetric keys")


def _read_entry(entry: Any, *, fetched: bool) -> JWK:
    """Return the key of one entry."""
    if isinstance(entry, SpoiledObject):  # RFC 7517 s.4: names within a JWK are unique
        raise error_for("key_malformed", "jwk", "a JSON object with distinct names", entry.code)
    if not isinstance(entry, dict):
        raise error_for("key_malformed", "jwk", "a JSON object", type(entry).__name__)
    if fetched and entry.get("kty") == "oct":  # whoever can read the set knows the secret
        raise error_for("key_private", "jwk.k", "a public key", "a published secret")
    return read_members(entry)


def _skip(index: int, entry: Any, refused: RapidJWSError) -> Skipped:
    """Return the record of a key left out, its place counted from the set."""
    place = f"keys[{index}]{(refused.place or 'jwk').removeprefix('jwk')}"
    error = error_for(refused.code, place, refused.expected, refused.actual)
    kid = entry.get("kid") if isinstance(entry, dict) else None
    return Skipped(index=index, error=error, kid=kid if isinstance(kid, str) else None)
