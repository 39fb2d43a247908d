"""The core called wrongly: a guard answers each mistake, and nothing is made, read or verified then."""

from __future__ import annotations

import struct
from base64 import urlsafe_b64decode
from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
import tokens

from rapidjws import _native
from rapidjws._native import ffi, lib
from rapidjws._native.core import runtime
from rapidjws._native.keys import NativeKey, NativePrecomputed, build_key, build_precomputed
from rapidjws._native.snapshots import SLOT_FORMAT, NativeHeaders, NativeTables

ALG = _native.ALG_NUMBERS
NO_ALG = (0, lib.RJ_ALG_COUNT, 2**32 - 1)
BAD, OK = lib.RJ_BAD_ARGUMENT, lib.RJ_OK
generator_table, key_precomputed = lib.rj_precomputed_build_generator, lib.rj_precomputed_build
HAVE_TABLES = bool(lib.rj_precomputed_bytes(ALG["ES256"], 0))
needs_tables = pytest.mark.skipif(not HAVE_TABLES, reason="no tables on this platform")
_ids = count(2**60)


def native(alg: str) -> NativeKey:
    """Return the core's key of a test key."""
    found = build_key(ALG[alg], *tokens.public(alg).material)
    assert isinstance(found, NativeKey)
    return found


def table(alg: str) -> NativePrecomputed:
    """Return the precomputed table of a test key."""
    found = build_precomputed(ALG[alg], tokens.public(alg).material[0], portable=True)
    assert found is not None
    return found


def slot(alg: int, key: NativeKey | None = None, precomputed: NativePrecomputed | None = None) -> bytes:
    """Return a slot as the core reads it."""
    return struct.pack(
        SLOT_FORMAT, key.address if key else 0, precomputed.address if precomputed else 0, alg, 0
    )


def snapshot_of(*slots: bytes, owners: object = None, **options: Any) -> NativeTables:
    """Return a snapshot of these slots without claims policies."""
    limits: dict[str, Any] = {
        "max_token_bytes": 16384,
        "max_json_depth": 32,
        "max_json_members": 64,
        "precompute_threshold": 4,
        "accelerated": True,
    }
    return NativeTables(b"".join(slots), owners, NativeHeaders(16), None, **{**limits, **options})


def refused(make: Callable[[Any], int], pointer_type: str, status: int) -> None:
    """Call a constructor of the core; it answers with this status and makes nothing."""
    cell = ffi.new(f"{pointer_type} **")
    assert make(cell) == status
    assert cell[0] == ffi.NULL


def table_of(packed: bytes) -> Callable[[Any], int]:
    """Return the call that builds a key table of these slots."""
    slots = ffi.from_buffer("rj_slot[]", packed)
    return lambda cell: int(lib.rj_keytable_new(cell, slots, len(slots)))


@pytest.mark.parametrize("alg", NO_ALG)
def test_T15_no_such_algorithm(alg: int) -> None:
    """Neither key nor slot nor table is made for a number that is no algorithm, and no signature verified."""
    key = native("ES256")
    refused(table_of(slot(alg)), "rj_keytable", BAD)
    for second in (slot(alg, key), slot(alg)):
        refused(table_of(slot(ALG["ES256"], key) + second), "rj_keytable", BAD)
    material = tokens.public("ES256").material[0]
    refused(
        lambda cell: lib.rj_key_build(runtime, cell, alg, next(_ids), material, 64, b"", 0), "rj_key", BAD
    )
    refused(
        lambda cell: lib.rj_precomputed_build_generator(cell, alg, 0), "rj_precomputed", lib.RJ_NOT_NATIVE
    )
    assert lib.rj_precomputed_bytes(alg, 0) == 0
    assert key.verify(alg, b"input", bytes(64)) == BAD
    assert not lib.rj_alg_is_native(runtime, alg)


def test_T15_a_key_serves_its_own_algorithm() -> None:
    """A slot whose key is of another algorithm is refused, first or second; an RSA key serves RS and PS."""
    ec, rsa, secret = native("ES256"), native("RS256"), native("HS256")
    good = slot(ALG["ES256"], ec)
    for key, alg in ((ec, "ES384"), (ec, "RS256"), (rsa, "ES256"), (secret, "HS512"), (rsa, "HS256")):
        for packed in (slot(ALG[alg], key), good + slot(ALG[alg], key)):
            refused(table_of(packed), "rj_keytable", BAD)
        assert key.verify(ALG[alg], b"input", bytes(64)) == BAD
    for alg in ("RS256", "PS512"):
        cell = ffi.new("rj_keytable **")
        assert table_of(good + slot(ALG[alg], rsa))(cell) == OK
        lib.rj_keytable_free(cell[0])


@needs_tables
def test_T15_a_table_serves_its_own_slot() -> None:
    """A precomputed table without its key, or of another algorithm, is refused."""
    key, other, precomputed = native("ES256"), native("ES384"), table("ES256")
    refused(table_of(slot(ALG["ES256"], None, precomputed)), "rj_keytable", BAD)
    refused(table_of(slot(ALG["ES384"], other, precomputed)), "rj_keytable", BAD)
    assert other.verify(ALG["ES384"], b"input", bytes(96), table=precomputed) == BAD
    assert key.verify(ALG["ES256"], b"input", bytes(64), table=precomputed) == lib.RJ_SIGNATURE_INVALID


@needs_tables
@pytest.mark.parametrize(("alg", "short"), [("ES256", BAD), ("EdDSA", lib.RJ_KEY_MALFORMED)])
def test_T15_a_table_is_built_upon_a_generator(alg: str, short: int) -> None:
    """No generator, or a key's table in its place, is refused, and so is a key of another length."""
    number = ALG["ED25519" if alg == "EdDSA" else alg]
    public = tokens.public(alg).material[0]
    key_table = build_precomputed(number, public, portable=True)
    assert key_table is not None
    for generator in (ffi.NULL, key_table.handle):
        refused(
            lambda cell, of=generator: lib.rj_precomputed_build(cell, of, 0, public, len(public), 0),
            "rj_precomputed",
            BAD,
        )
    size, generator = _native.PRECOMPUTED_SIZES, key_table._generator
    refused(
        lambda cell: lib.rj_precomputed_build(cell, generator, size, public, len(public), 0),
        "rj_precomputed",
        BAD,
    )
    assert lib.rj_precomputed_bytes(number, size) == 0
    refused(
        lambda cell: lib.rj_precomputed_build(cell, key_table._generator, 0, public, len(public) - 1, 0),
        "rj_precomputed",
        short,
    )
    refused(
        lambda cell: lib.rj_precomputed_build_generator(cell, ALG["RS256"], 0),
        "rj_precomputed",
        lib.RJ_NOT_NATIVE,
    )


def test_T15_use_is_shared_between_the_same_slots_only() -> None:
    """Tables with more or fewer slots keep counts of their own; no such slot was never used."""
    key = native("ES256")
    one = slot(ALG["ES256"], key)
    cells = [ffi.new("rj_keytable **") for _ in range(3)]
    for cell, packed in zip(cells, (one, one + one, one), strict=True):
        assert table_of(packed)(cell) == OK
    first, two, same = (ffi.gc(cell[0], lib.rj_keytable_free) for cell in cells)
    assert lib.rj_keytable_share_use(first, two) == BAD
    assert lib.rj_keytable_share_use(two, first) == BAD
    assert lib.rj_keytable_share_use(same, first) == OK
    counts, slots = ffi.new("uint32_t[]", [7, 7, 7]), ffi.new("uint32_t[]", [0, 1, 2**32 - 1])
    lib.rj_keytable_read_use(first, counts, slots, 3)
    assert list(counts) == [0, 0, 0]


def test_T15_no_such_slot_verifies_nothing() -> None:
    """A token or signature under a slot past the end is unknown, not verified by the memory behind it."""
    key = native("ES256")
    snapshot = snapshot_of(slot(ALG["ES256"], key), slot(ALG["ES256"], key), owners=key)
    token = tokens.token("ES256").encode()
    head, _, signature = token.rpartition(b".")
    lens = ffi.new("uint32_t[]", [len(head), len(signature)])
    unknown = lib.RJ_HEADER_UNKNOWN
    for number, expected in (
        (0, OK),
        (1, OK),
        (2, unknown),
        (2**32 - 2, unknown),
    ):
        verdict = lib.rj_token_verify_slot(
            snapshot.handle, token, len(token), number, tokens.NOW_S, 0, b"", 0, lib.RJ_REMEMBER_NOTHING
        )
        assert verdict & 0xFF == expected
        verdicts = ffi.new("uint64_t[]", 1)
        slots = ffi.new("uint32_t[]", [number])
        lib.rj_signatures_verify(snapshot.handle, verdicts, head + signature, lens, slots, 1)
        assert (verdicts[0] & 0xFF == OK) is (expected == OK)


# --- streams ------------------------------------------------------------------------------------------------


def stream_on(snapshot: NativeTables, encoding: int = lib.RJ_STREAM_PLAIN) -> Any:
    """Return a stream over a snapshot."""
    cell = ffi.new("rj_stream **")
    assert lib.rj_stream_new(cell, snapshot.handle, encoding) == OK
    return ffi.gc(cell[0], lib.rj_stream_free)


def add(stream: Any, number: int = 0, prefix: bytes = b"") -> int:
    """Add a lane; return the status."""
    return int(lib.rj_stream_add(stream, ffi.new("uint32_t *"), number, prefix, len(prefix)))


def one_key_snapshot(alg: str = "HS256") -> tuple[NativeTables, bytes, bytes]:
    """Return a snapshot of one key, a signing input, and its signature in base64url."""
    key = native(alg)
    head, _, signature = tokens.token(alg).encode().rpartition(b".")
    return snapshot_of(slot(ALG[alg], key), owners=key), head, signature


def test_T15_a_stream_refuses_what_is_out_of_turn() -> None:
    """No other encoding, no slot past the end, no 65th lane, none after a piece, and none after the end."""
    snapshot, head, signature = one_key_snapshot()
    refused(lambda cell: lib.rj_stream_new(cell, snapshot.handle, 2), "rj_stream", BAD)
    stream = stream_on(snapshot)
    assert add(stream, 1) == BAD
    assert [add(stream) for _ in range(lib.RJ_STREAM_MAX_LANES)] == [OK] * lib.RJ_STREAM_MAX_LANES
    assert add(stream) == BAD
    stream = stream_on(snapshot)
    assert add(stream) == OK
    lib.rj_stream_update(stream, head, len(head))
    assert add(stream) == BAD
    stream = stream_on(snapshot)
    assert add(stream, 0, head) == OK
    assert lib.rj_stream_verify(stream, 0, signature, len(signature)) == OK
    assert add(stream) == BAD


@pytest.mark.parametrize("alg", ["HS256", "ES256", "RS256"])
def test_T15_a_lane_ends_once(alg: str) -> None:
    """A lane that was never added, or has ended, good or bad, is refused even with a good signature."""
    snapshot, head, signature = one_key_snapshot(alg)
    wrong = b"A" * len(signature)
    for first, status in ((signature, OK), (wrong, lib.RJ_SIGNATURE_INVALID)):
        stream = stream_on(snapshot)
        assert lib.rj_stream_verify(stream, 0, signature, len(signature)) == BAD
        assert add(stream, 0, head) == OK
        assert lib.rj_stream_verify(stream, 1, signature, len(signature)) == BAD
        assert lib.rj_stream_verify(stream, 0, first, len(first)) == status
        assert lib.rj_stream_verify(stream, 0, signature, len(signature)) == BAD


@pytest.mark.parametrize("encoding", [lib.RJ_STREAM_PLAIN, lib.RJ_STREAM_BASE64URL])
def test_T15_a_stream_that_ended_takes_no_piece(encoding: int) -> None:
    """What comes after the first lane ended is in no signing input: the second lane verifies what was."""
    snapshot, head, signature = one_key_snapshot()
    prefix, _, encoded = head.partition(b".")
    payload = urlsafe_b64decode(encoded + b"==") if encoding == lib.RJ_STREAM_BASE64URL else encoded
    stream = stream_on(snapshot, encoding)
    assert [add(stream, 0, prefix + b".") for _ in range(2)] == [OK, OK]
    lib.rj_stream_update(stream, payload, len(payload))
    assert lib.rj_stream_verify(stream, 0, signature, len(signature)) == OK
    lib.rj_stream_update(stream, b"more", 4)
    assert lib.rj_stream_verify(stream, 1, signature, len(signature)) == OK


@pytest.mark.parametrize("alg", ["HS256", "ES256", "RS256"])
def test_a_lane_takes_a_signature_of_its_length(alg: str) -> None:
    """A good signature with an octet more or less verifies nothing in a stream either."""
    snapshot, head, signature = one_key_snapshot(alg)
    good = tokens.b64url_decode(signature.decode())
    for octets, expected in ((good + b"\0", False), (good[:-1], False), (good + good, False), (good, True)):
        stream = stream_on(snapshot)
        assert add(stream, 0, head) == OK
        text = tokens.b64url(octets).encode()
        assert (lib.rj_stream_verify(stream, 0, text, len(text)) == OK) is expected, len(octets)
