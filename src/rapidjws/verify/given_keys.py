"""Keys as a caller hands them over: what is unambiguous is read, of all else the call to make is named."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from rapidjws._checks import octets_of
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.jose.jwk import JWK
from rapidjws.jose.jwks import JWKSet
from rapidjws.verify.protocols import KeySource

OneKey = JWK | Mapping[str, Any] | str | bytes
Keys = JWKSet | OneKey | os.PathLike[str] | Iterable[OneKey]
"""A JWKSet; a JWK or several; the members or the JSON text of either; PEM text; a path, read once."""

_TEXTS: Final = (str, bytes, bytearray, memoryview)
_EXPECTED: Final = "a JWKSet, JWK, several JWK, PEM text, a dict, a Path or a source"


def checked_keys(keys: object, place: str = "keys") -> JWKSet:
    """Return the keys that a caller gave, as a set.

    Keys given one by one serve tokens with any kid where they have none of their own; those of a document
    do not.

    Args:
        keys: As ``Keys``.
        place: The argument's name, for messages.

    Raises:
        ConfigurationError: ``configuration_invalid``: nothing that holds keys; the message names the call.
        KeyRefused: The one key is not fit.
        KeySetRefused: The set is none, or mixes secrets with public keys.
    """
    if isinstance(keys, JWKSet):
        return keys
    if isinstance(keys, os.PathLike):
        return _from_file(keys, place)
    if isinstance(keys, (JWK, Mapping, *_TEXTS)):
        return _from_one(keys, place)
    if isinstance(keys, KeySource):
        raise error_for(
            "configuration_invalid",
            place,
            "fixed keys; Issuer(keys=source) follows a source",
            type(keys).__name__,
        )
    if isinstance(keys, type) or not isinstance(keys, Iterable):
        raise error_for("configuration_invalid", place, _EXPECTED, type(keys).__name__)
    return JWKSet.given(_each(keys, place))


def _each(keys: Iterable[object], place: str) -> Iterator[JWK]:
    """Yield the keys of a list; each is one key, in any of its forms."""
    for index, key in enumerate(keys):
        if not isinstance(key, (JWK, Mapping, *_TEXTS)):
            expected = "one JWK each" if isinstance(key, (JWKSet, KeySource)) else _EXPECTED
            raise error_for("configuration_invalid", f"{place}[{index}]", expected, type(key).__name__)
        found = _from_one(key, f"{place}[{index}]")
        yield from found


def _from_one(key: object, place: str) -> JWKSet:
    """Return the set of one key, or of one document."""
    if isinstance(key, JWK):
        return JWKSet.given((key,))
    if isinstance(key, Mapping):
        return JWKSet.from_json(key) if "kty" not in key else JWKSet.given((JWK.from_json(key),))
    octets = octets_of(key)  # type: ignore[arg-type]
    start = octets.lstrip()[:1]
    if start == b"{":
        return _from_json(octets)
    if b"-----BEGIN " in octets:
        return JWKSet.given((JWK.from_pem(octets),))
    if octets[:8].lower().startswith((b"https://", b"http://")):
        raise error_for("configuration_invalid", place, "RemoteJWKS(url), which fetches it", "a URL")
    if len(octets) < 256 and b"\n" not in octets.strip() and b"." in octets and b" " not in octets:
        raise error_for(
            "configuration_invalid", place, "Path(name), or FileJWKS(name)", "text like a file name"
        )
    try:
        return JWKSet.given((JWK.from_pem(octets),))  # refuses it, and says what it is
    except RapidJWSError as refused:
        raise error_for("configuration_invalid", place, refused.expected, refused.actual) from None


def _from_json(octets: bytes) -> JWKSet:
    """Return the keys of JSON text: a JWK Set, or one JWK."""
    try:
        return JWKSet.from_json(octets)
    except RapidJWSError as refused:
        if refused.actual != "one JWK":
            raise
    return JWKSet.given((JWK.from_json(octets),))


def _from_file(name: os.PathLike[str], place: str) -> JWKSet:
    """Return the keys of a file, as it is now."""
    from pathlib import Path

    from rapidjws import _files  # with what it needs, for those alone who name a file
    from rapidjws.verify.key_set_file import key_set_octets

    path = Path(name)
    try:
        octets = key_set_octets(path)
    except FileNotFoundError:
        raise error_for("configuration_invalid", place, "a file", f"{path.name}: none") from None
    except OSError as fault:
        wanted = "a file that may be trusted" if isinstance(fault, _files.FileRefused) else "a readable file"
        raise error_for("configuration_invalid", place, wanted, f"{path.name}: {fault.strerror}") from None
    except ValueError:  # no name that a folder can hold
        raise error_for("configuration_invalid", place, "the name of a file", ascii(path.name)) from None
    if not octets.strip():
        raise error_for("configuration_invalid", place, "a JWK Set, a JWK or PEM text", f"{path.name}: empty")
    return _from_one(octets, place)
