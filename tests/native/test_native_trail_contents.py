"""What the core decrypts beside the records of an audit trail, against pyca/cryptography."""

from __future__ import annotations

import os
import random

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from rapidjws import _native
from rapidjws.audit.side_content import packed, sealed_part
from rapidjws.audit.tile_files import CONTENT, bundle, split_bundle

HEADS = [bytes([at]) * 28 for at in range(1, 4)]
KEYS = {head: os.urandom(32) for head in HEADS}


def sealed(head: bytes, plain: bytes) -> bytes:
    """Return a content, encrypted."""
    nonce = os.urandom(12)
    return sealed_part(head + nonce + AESGCM(KEYS[head]).encrypt(nonce, plain, head))


def opened(contents: list[bytes], keys: dict[bytes, bytes] = KEYS) -> list[bytes]:
    """Return contents as the core gives them back."""
    octets = _native.opened_contents(bundle(contents, CONTENT), len(contents), keys)
    assert octets is not None
    return split_bundle(octets, len(contents), "opened", CONTENT)


def test_L_contents_of_several_keys_are_decrypted_in_any_order() -> None:
    """Contents of any length under keys in any order come back as they were, and others as they are."""
    source = random.Random(1)
    plain = [packed(os.urandom(source.randrange(1500)), None) for _ in range(250)]
    contents = [sealed(source.choice(HEADS), one) for one in plain]
    for at in range(0, 250, 9):
        contents[at] = plain[at]  # in clear, or nothing
    contents[18] = plain[18] = b""
    contents += [sealed(HEADS[0], b""), b"e", b"x" * 100]
    assert opened(contents) == [*plain, b"", b"e", b"x" * 100]
    octets = bundle(contents, CONTENT)
    found = _native.sealed_heads(octets, len(contents))
    assert sorted(found) == sorted(HEADS)
    assert opened(contents, {}) == contents


def test_L_an_altered_bit_decrypts_nothing() -> None:
    """A content with any bit flipped stays as it is, and those beside it are decrypted."""
    good = sealed(HEADS[0], b"a token")
    for at in range(8 * len(good)):
        octets = bytearray(good)
        octets[at // 8] ^= 1 << at % 8
        assert opened([good, bytes(octets), good]) == [b"a token", bytes(octets), b"a token"], at
    for cut in range(len(good)):
        assert opened([good[:cut], good]) == [good[:cut], b"a token"]
    assert opened([good + b"x"]) == [good + b"x"]
    assert opened([good], {HEADS[0]: bytes(32)}) == [good]
    assert opened([good], {HEADS[1]: KEYS[HEADS[0]]}) == [good]


def test_L_contents_of_another_number_are_not_decrypted() -> None:
    """Fewer, more or cut contents give none, and a key of another length is a mistake of the caller."""
    octets = bundle([sealed(HEADS[0], b"abc")] * 3, CONTENT)
    for count in (0, 1, 2, 4, 257):
        assert _native.sealed_heads(octets, count) == []
        assert _native.opened_contents(octets, count, KEYS) is None
    for cut in (octets[:-1], octets + b"\0"):
        assert _native.sealed_heads(cut, 3) == []
        assert _native.opened_contents(cut, 3, KEYS) is None
    assert _native.sealed_heads(octets, 3) == [HEADS[0]]
    for keys in ({b"x": bytes(32)}, {HEADS[0]: bytes(31)}):
        with pytest.raises(ValueError, match="another length"):
            _native.opened_contents(octets, 3, keys)
    assert _native.error_queue_len() == 0
