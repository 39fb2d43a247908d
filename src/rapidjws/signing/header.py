"""The JOSE Header that a signer writes (RFC 7515 s.4, RFC 7797 s.6)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from rapidjws.errors import error_for

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rapidjws.signing.signer import Signer

_TEXTS: Final = ("kid", "typ", "cty")
_OURS: Final = frozenset({"alg", "b64", "crit"})
_ENCRYPTION: Final = frozenset("enc zip epk apu apv iv tag p2s p2c".split())


def _invalid(place: str, expected: str, actual: str | None = None) -> Exception:
    return error_for("configuration_invalid", f"header.{place}", expected=expected, actual=actual)


def header_members(
    signer: Signer,
    header: Mapping[str, Any] | None,
    *,
    b64: bool,
    unprotected: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the protected header's members.

    Args:
        signer: Gives ``alg``, and ``kid`` where it has one.
        header: Further parameters; ``kid``, ``typ`` and ``cty`` are strings; ``alg`` may only repeat the
            signer's. ``b64`` and ``crit`` are written by this package alone.
        b64: False for an unencoded payload, which is then named in ``crit``.
        unprotected: The members of the unprotected header, which must not stand in both.

    Raises:
        ConfigurationError: ``configuration_invalid``, with the parameter as its place.
    """
    extra = dict(header or {})
    if extra.pop("alg", signer.alg) != signer.alg:  # RFC 8725 s.3.1: the key decides the algorithm
        raise _invalid("alg", signer.alg, str((header or {})["alg"]))
    for name in extra:
        if name in _OURS or name in _ENCRYPTION:
            raise _invalid(str(name), "a parameter that a caller may set")
    for name in _TEXTS:
        if name in extra and not isinstance(extra[name], str):
            raise _invalid(name, "a string", type(extra[name]).__name__)
    members: dict[str, Any] = {"alg": signer.alg}
    if signer.kid is not None and "kid" not in (unprotected or {}):
        members["kid"] = signer.kid
    members.update(extra)
    if not b64:  # RFC 7797 s.6: b64 false must be critical
        members |= {"b64": False, "crit": ["b64"]}
    doubled = sorted(members.keys() & (unprotected or {}).keys())
    if doubled:  # RFC 7515 s.7.2.1: disjoint
        raise _invalid(doubled[0], "a parameter in one of the two headers")
    return members


def header_octets(members: Mapping[str, Any]) -> bytes:
    """Return a header as compact JSON in UTF-8.

    Raises:
        ConfigurationError: ``configuration_invalid``: a value that is not JSON.
    """
    try:
        text = json.dumps(members, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        return text.encode()
    except (TypeError, ValueError):
        raise _invalid("", "values that JSON can hold") from None
