"""A JWK Set: the usable keys of a document, and why the others are not (RFC 7517 s.5).

One bad key never spoils a set: it is left out, with its code and place. What spoils a set: a document that is
none, its size, and secrets among public keys. What it never does: fetch, refresh, or choose by anything but
kid and alg.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from rapidjws._checks import checked, octets_of, refused
from rapidjws.errors import KeyRefused, RapidJWSError, error_for
from rapidjws.jose import _json_strict, json_text
from rapidjws.jose._json_strict import SpoiledObject
from rapidjws.jose.documents import kind_of, kind_of_value
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
    from collections.abc import Iterator

_ASYMMETRIC: Final = frozenset({"EC", "RSA", "OKP", "AKP"})
_EXPECTED: Final = "a JSON object with an array named keys"
_SHOWN_KEYS: Final = 4
_OF_NO_CONCERN: Final = frozenset({"key_unsupported", "key_use_mismatch"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """Why a key of a set is not used.

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
    """The usable keys of one issuer, unchangeable, found by kid in constant time.

    Equal entries are one key. Entries of one kid that differ in type or algorithm are distinguished by the
    token's ``alg``; two keys that could answer for the same kid and algorithm are both left out.

    Args:
        keys: Checked keys.

    Raises:
        TypeError: something in ``keys`` is no JWK.
        KeySetRefused: mixed_key_set.
    """

    __slots__ = ("_by_alg", "_by_kid", "_duplicated", "keys", "serves_any_kid", "skipped")

    keys: tuple[JWK, ...]
    skipped: tuple[Skipped, ...]
    serves_any_kid: bool
    _by_kid: dict[str, tuple[JWK, ...]]
    _by_alg: dict[str, tuple[JWK, ...]]
    _duplicated: frozenset[str | None]

    def __init__(self, keys: Iterable[JWK] = ()) -> None:
        if isinstance(keys, (str, bytes, bytearray, memoryview, Mapping)):
            raise TypeError("keys: several JWK values; JWKSet.from_json reads a document")
        if not isinstance(keys, Iterable):
            raise TypeError(f"keys: several JWK values, not {type(keys).__name__}")
        entries = list(enumerate(keys))
        if not all(isinstance(key, JWK) for _, key in entries):  # CVE-2022-23529: nothing is made into a key
            raise TypeError(
                "keys: a JWKSet holds JWK values; JWK.from_json, from_pem or from_secret make one"
            )
        _refuse_mixed({key.kty for _, key in entries})
        self._fill(entries, [])

    @classmethod
    def given(cls, keys: Iterable[JWK]) -> JWKSet:
        """Return keys that the caller gave one by one: those without kid serve tokens with any kid.

        A key that an issuer publishes without kid does not: there a kid that is not in the set is unknown.
        """
        made = cls(keys)
        object.__setattr__(made, "serves_any_kid", True)
        return made

    @classmethod
    @checked(but=("data",))
    def from_json(
        cls,
        data: Mapping[str, Any] | str | bytes | bytearray | memoryview,
        *,
        fetched: bool = False,
        max_keys: int | None = None,
        max_bytes: int | None = None,
    ) -> JWKSet:
        """Read a JWK Set; leave out what cannot be used.

        Args:
            data: JSON text, or a buffer of it in UTF-8; or the object already parsed, a mapping.
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
        """Index the keys; leave out those that others of the same kid make ambiguous.

        A bad key's kid counts as well; that of a key for another purpose, or of an unknown kind, does not.
        """
        spoiled = {gone.kid for gone in skipped if gone.kid is not None and gone.code not in _OF_NO_CONCERN}
        unique = list({key: (index, key) for index, key in reversed(entries)}.values())[::-1]
        ambiguous = _ambiguous([key for _, key in unique])
        kept: list[JWK] = []
        for index, key in unique:
            kid = key.kid
            if kid is not None and (kid in spoiled or any((kid, alg) in ambiguous for alg in key.algorithms)):
                error = error_for("duplicate_kid", f"keys[{index}].kid", "a kid of its own", kid)
                skipped.append(Skipped(index=index, error=error, kid=kid))
            else:
                kept.append(key)
        named: dict[str, list[JWK]] = {}
        by_alg: dict[str, list[JWK]] = {}
        for key in kept:
            if key.kid is not None:
                named.setdefault(key.kid, []).append(key)
            for alg in key.algorithms:
                by_alg.setdefault(alg, []).append(key)
        set_ = object.__setattr__
        set_(self, "keys", tuple(kept))
        set_(self, "skipped", tuple(sorted(skipped, key=lambda item: item.index)))
        set_(self, "serves_any_kid", False)
        set_(self, "_by_kid", {kid: tuple(keys) for kid, keys in named.items()})
        set_(self, "_by_alg", {alg: tuple(keys) for alg, keys in by_alg.items()})
        set_(self, "_duplicated", frozenset(gone.kid for gone in skipped if gone.code == "duplicate_kid"))

    @checked
    def get(self, kid: str) -> JWK | None:
        """Return the first key of this name, or None; a kid that names two keys for one alg names none."""
        keys = self._by_kid.get(kid)
        return None if keys is None else keys[0]

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
        if kid_required is not False and kid_required is not True:
            raise refused("kid_required", "True or False", kid_required)
        if kid is not None:
            if not isinstance(kid, str):
                raise refused("kid", "a string or None", kid)
            return self._select_by_kid(alg, kid)
        if kid_required:
            raise error_for("missing_kid", "header.kid", "a kid")
        found = self._by_alg.get(alg, ())
        if not found:
            raise error_for("no_suitable_key", "header.alg", None, alg)
        return _only(found)

    def _select_by_kid(self, alg: str, kid: str) -> JWK:
        """Return the key of this name that serves the algorithm."""
        keys = self._by_kid.get(kid)
        if keys is None:
            if kid in self._duplicated:
                raise error_for("ambiguous_key", "header.kid", "a kid that stands once in the set", kid)
            without = [key for key in self._by_alg.get(alg, ()) if key.kid is None]
            if without and self.serves_any_kid:
                return _only(without)
            raise error_for("unknown_kid", "header.kid", None, kid)
        for key in keys:
            if alg in key.algorithms:
                return key  # all of this kid that serve it are the same key
        names = tuple(dict.fromkeys(name for key in keys for name in key.algorithms))
        raise error_for("key_alg_mismatch", "header.alg", names, alg)  # RFC 8725 s.3.1

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
        return isinstance(kid, str) and kid in self._by_kid

    def __repr__(self) -> str:
        shown = [f"{key.kid!a} {key.alg or key.crv or key.kty}" for key in self.keys[:_SHOWN_KEYS]]
        more = [f"{len(self.keys) - _SHOWN_KEYS} more"] if len(self.keys) > _SHOWN_KEYS else []
        skipped = f"; {len(self.skipped)} skipped" if self.skipped else ""
        return f"<JWKSet of {len(self.keys)}: {', '.join([*shown, *more]) or 'no keys'}{skipped}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (self.keys, self.skipped, self.serves_any_kid)


def _rebuild(keys: tuple[JWK, ...], skipped: tuple[Skipped, ...], serves_any_kid: bool) -> JWKSet:
    """Build a set again from its pickled parts."""
    made = JWKSet.__new__(JWKSet)
    made._fill(list(enumerate(keys)), list(skipped))
    object.__setattr__(made, "serves_any_kid", serves_any_kid)
    return made


def _is_same(one: JWK, other: JWK) -> bool:
    """Say whether two entries hold the same key, whatever they are named and bound to."""
    return (one.kty, one.crv, one.material) == (other.kty, other.crv, other.material)


def _ambiguous(keys: Iterable[JWK]) -> set[tuple[str, str]]:
    """Return the pairs of kid and algorithm that two different keys could answer for."""
    first: dict[tuple[str, str], JWK] = {}
    found = set()
    for key in keys:
        for alg in () if key.kid is None else key.algorithms:
            pair = (key.kid or "", alg)
            if not _is_same(first.setdefault(pair, key), key):
                found.add(pair)
    return found


def _only(keys: Sequence[JWK]) -> JWK:
    """Return the one key among entries; trying one after the other would let a token choose its key.

    Raises:
        UnknownKey: ambiguous_key.
    """
    if not all(_is_same(keys[0], other) for other in keys[1:]):
        raise error_for("ambiguous_key", "header.kid", "a kid, as several keys fit")
    return keys[0]


def _entries(data: object, max_keys: int, max_bytes: int) -> list[Any]:
    """Return the array named keys, within its limits."""
    value: Any = data
    if isinstance(data, (str, bytes, bytearray, memoryview)):
        value = _parse(octets_of(data), max_bytes)
    elif not isinstance(data, Mapping):
        words = "JSON text, bytes or a mapping with an array named keys"
        raise error_for("jwks_malformed", "jwks", words, type(data).__name__)
    entries = value.get("keys") if isinstance(value, Mapping) else None
    if isinstance(value, Mapping) and "keys" not in value and "kty" in value:
        words = 'a mapping with an array named keys: {"keys": [...]}, or JWK.from_json'
        raise error_for("jwks_malformed", "jwks", words, "one JWK")
    if not isinstance(entries, list):  # RFC 7517 s.5.1: an array, and it must be there
        raise error_for("jwks_malformed", "jwks", _EXPECTED, f"{kind_of_value(value)}, not a JWK Set")
    if len(entries) > max_keys:
        raise error_for("jwks_too_large", "jwks.keys", f"at most {max_keys} keys", len(entries))
    return entries


def _parse(raw: bytes, max_bytes: int) -> Any:
    """Parse a set; where one object in it breaks a rule of its own, mark that one and keep the rest."""
    limits = {"max_bytes": max_bytes, "max_depth": JSON_MAX_DEPTH, "max_members": JWK_MAX_MEMBERS}
    try:
        return json_text.loads(raw, **limits, place="jwks")
    except RapidJWSError as refused:
        code = refused.code
    if code in ("duplicate_member", "too_many_members"):
        try:
            return _json_strict.parse(raw, **limits, keep_spoiled=True)
        except _json_strict.Fault as fault:
            code = fault.code
    if code == "too_large":
        raise error_for("jwks_too_large", "jwks", f"at most {max_bytes} bytes", len(raw))
    kind = kind_of(raw)
    found = code if kind in ("a JWK Set", "damaged JSON") else f"{kind}, not a JWK Set"
    raise error_for("jwks_malformed", "jwks", _EXPECTED, found)


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
