"""What a key is called after its certificate: ``x5t`` and ``x5t#S256`` (RFC 7515 s.4.1.7, RFC 7517 s.4.8).

A thumbprint chooses among keys that are trusted already; it proves nothing.
"""

from __future__ import annotations

import binascii
from typing import TYPE_CHECKING, Any, Final

from rapidjws.jose import _base64url, _der

if TYPE_CHECKING:
    from collections.abc import Mapping

SHA1: Final = "x5t"
SHA256: Final = "x5t#S256"
_CHARS: Final = {SHA1: 27, SHA256: 43}
_CERTIFICATE_MAX_CHARS: Final = 16_384


def thumbprints_of_der(data: bytes) -> dict[str, str]:
    """Return the members ``x5t`` and ``x5t#S256`` of a certificate in DER; none for another thing."""
    if _der.label_of(data) != "CERTIFICATE":
        return {}
    import hashlib

    sha1 = hashlib.sha1(data, usedforsecurity=False).digest()  # RFC 7515 s.4.1.7: a name
    return {SHA1: _base64url.encode(sha1), SHA256: _base64url.encode(hashlib.sha256(data).digest())}


def thumbprints_of_members(members: Mapping[str, Any]) -> dict[str, str]:
    """Return the thumbprints that a JWK names, or those of the first certificate of its ``x5c``.

    What is no thumbprint is passed over: it would spoil a key that others find by its kid.
    """
    found: dict[str, str] = {}
    chain = members.get("x5c")
    if isinstance(chain, list) and chain and isinstance(chain[0], str):
        found = _of_text(chain[0])
    for name, chars in _CHARS.items():
        value = members.get(name)
        if isinstance(value, str) and len(value) == chars and value.isascii():
            found[name] = value
    return found


def marks_of_header(header: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the thumbprints that a JOSE Header names, the stronger first."""
    return tuple(value for name in (SHA256, SHA1) if isinstance(value := header.get(name), str))


def _of_text(text: str) -> dict[str, str]:
    if len(text) > _CERTIFICATE_MAX_CHARS:
        return {}
    try:
        import base64

        return thumbprints_of_der(base64.b64decode(text.encode("ascii"), validate=True))
    except (binascii.Error, UnicodeEncodeError):
        return {}
