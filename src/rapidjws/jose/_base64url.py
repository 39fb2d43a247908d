"""base64url as JOSE writes it (RFC 7515 s.2): strict, unpadded, canonical. The slow twin of the C module.

One byte string has exactly one spelling here. What it never does: repair, skip or ignore a character.
"""

from __future__ import annotations

import binascii
from typing import Final

_ALPHABET: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_TO_PLAIN: Final = bytes.maketrans(b"-_", b"+/")
_TO_URL: Final = bytes.maketrans(b"+/", b"-_")
_LAST: Final = {0: _ALPHABET, 2: _ALPHABET[::16], 3: _ALPHABET[::4]}
_PADDING: Final = {0: b"", 2: b"==", 3: b"="}


def decode(text: str) -> bytes | None:
    """Decode strict base64url.

    Args:
        text: Characters of the URL-safe alphabet, without padding.

    Returns:
        The bytes, or None where ``text`` is not the one canonical spelling of any.
    """
    if not text.isascii():
        return None
    raw = text.encode()
    rest = len(raw) % 4
    if rest == 1:  # RFC 4648 s.4: six bits are no byte
        return None
    if raw.translate(None, _ALPHABET):  # RFC 7515 s.2: no padding, no whitespace, no other alphabet
        return None
    if rest and raw[-1] not in _LAST[rest]:  # RFC 4648 s.3.5: the bits left over are zero
        return None
    return binascii.a2b_base64(raw.translate(_TO_PLAIN) + _PADDING[rest])


def encode(data: bytes) -> str:
    """Encode as unpadded base64url (RFC 7515 s.2)."""
    return binascii.b2a_base64(data, newline=False).translate(_TO_URL).rstrip(b"=").decode()
