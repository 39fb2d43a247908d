"""What the core reads of the records of an audit trail, against JSON, hashlib and the records themselves."""

from __future__ import annotations

import random
from hashlib import sha256
from typing import Any

import orjson
import pytest

from rapidjws import RapidJWSError, _native
from rapidjws.audit.merkle import leaf_hash
from rapidjws.audit.records import EACH, RecordTemplate, digest, parsed_record
from rapidjws.audit.side_content import packed
from rapidjws.audit.tile_files import CONTENT, bundle

TOKEN = b"header.payload.signature"
CLAIMS = b'{"sub":"ann"}'


def read(entry: bytes, content: bytes) -> _native.NativeTrailBundle:
    """Return what the core reads of one record."""
    scan = _native.NativeTrailBundle()
    assert scan.read(bundle([entry]), bundle([content], CONTENT), 1)
    return scan


def plain_record(**more: Any) -> bytes:
    """Return a record with the token and each member of its own."""
    fixed = {"code": "ok", "kid": "k1", "kind": "decision", "issuer": "https://issuer.example"}
    given = {"token": TOKEN, "request": "r-1", "route": "/pay", "trace": "0" * 32, "claims": CLAIMS, **more}
    return RecordTemplate(fixed).record(1_790_000_000_000_000, **given)


def is_sound(scan: _native.NativeTrailBundle, entry: bytes, content: bytes) -> bool:
    """Say whether what the core read of a record and its content is what they hold; by slow means."""
    if not scan.states[0]:
        return True
    shape = scan.shape_texts[scan.shapes[0]]
    try:
        of_shape = parsed_record(shape, "shape")
    except RapidJWSError:
        return True  # then each record of it is read by itself
    record = parsed_record(entry, "record")
    token = scan.token(0)
    same = {name: value for name, value in record.items() if name not in EACH}
    return (
        same == {name: value for name, value in of_shape.items() if name not in EACH}
        and record.keys() == of_shape.keys()
        and scan.times_ns() == [record["time_us"] * 1000]
        and record["token"] == digest(token)
        and content in (packed(token, None), packed(token, CLAIMS))
        and (content == packed(token, None) or record["claims"] == digest(CLAIMS))
    )


def test_L_the_core_reads_a_plain_record() -> None:
    """A record with its token is read: hash, time, token, and a shape that is canonical itself."""
    entry = plain_record()
    scan = read(entry, packed(TOKEN, CLAIMS))
    assert (scan.leaves, scan.states, scan.token(0)) == (leaf_hash(entry), b"\1", TOKEN)
    assert scan.times_ns() == [1_790_000_000_000_000_000]
    shape = parsed_record(scan.shape_texts[0], "shape")
    assert {name: shape[name] for name in EACH} == {
        "claims": "", "request": "", "route": "", "time_us": 0, "token": "", "trace": "",
    }  # fmt: skip
    assert shape["issuer"] == "https://issuer.example"


@pytest.mark.parametrize(
    ("entry", "content"),
    [
        (plain_record(token=None), b""),
        (plain_record(), b""),
        (plain_record(), packed(TOKEN + b"x", CLAIMS)),
        (plain_record(), packed(TOKEN, CLAIMS + b" ")),
        (plain_record(claims=None), packed(TOKEN, CLAIMS)),
        (plain_record(), packed(None, CLAIMS)),
        (plain_record(), packed(TOKEN, CLAIMS) + b"t"),
        (plain_record(), packed(TOKEN, None)[:-1]),
        (plain_record(route='/a"b'), packed(TOKEN, CLAIMS)),
        (plain_record(route="/größe"), packed(TOKEN, CLAIMS)),
        (plain_record(request="a\\b"), packed(TOKEN, CLAIMS)),
        (plain_record().replace(b":1790000000000000", b":01790000000000000"), packed(TOKEN, CLAIMS)),
        (plain_record().replace(b":1790000000000000", b":0790000000000000"), packed(TOKEN, CLAIMS)),
        (plain_record().replace(b":1790000000000000", b":00"), packed(TOKEN, CLAIMS)),
        (plain_record().replace(b"1790000000000000", b"9007199254740992"), packed(TOKEN, CLAIMS)),
        (plain_record().replace(b"1790000000000000", b"1.5"), packed(TOKEN, CLAIMS)),
        (plain_record().replace(b"1790000000000000", b"null"), packed(TOKEN, CLAIMS)),
        (plain_record() + b" ", packed(TOKEN, CLAIMS)),
        (plain_record()[:-1], packed(TOKEN, CLAIMS)),
        (b"", packed(TOKEN, CLAIMS)),
        (b"{}", packed(TOKEN, CLAIMS)),
        (b'{"time_us":1}', packed(TOKEN, CLAIMS)),
        (plain_record().replace(b'"kid":"k1"', b'"kid":["k1"]'), packed(TOKEN, CLAIMS)),
    ],
)  # fmt: skip
def test_L_what_is_not_plain_is_left(entry: bytes, content: bytes) -> None:
    """A record without its token, with another one, with escapes or in another form is left to be read."""
    scan = read(entry, content)
    assert (scan.states, scan.token(0), scan.leaves) == (b"\0", b"", leaf_hash(entry))


def test_L_no_altered_record_is_read_as_another() -> None:
    """Of records with octets altered, left out or put in, the core reads what they hold or nothing."""
    source = random.Random(1)
    entry, content = plain_record(), packed(TOKEN, CLAIMS)
    for at in range(len(entry)):
        for octet in {entry[at] ^ 1 << source.randrange(8), *b'",:{}\\0'}:
            altered = entry[:at] + bytes([octet]) + entry[at + 1 :]
            assert is_sound(read(altered, content), altered, content), altered
        for altered in (
            entry[:at] + entry[at + 1 :],
            entry[:at] + bytes([source.randrange(256)]) + entry[at:],
        ):
            assert is_sound(read(altered, content), altered, content), altered
    for at in range(len(content)):
        altered = content[:at] + bytes([content[at] ^ 1 << source.randrange(8)]) + content[at + 1 :]
        assert is_sound(read(entry, altered), entry, altered), altered


def test_L_members_twice_or_in_another_order_have_no_canonical_shape() -> None:
    """A record with a member twice, or out of order, is not taken for one in canonical form."""
    entry = plain_record()
    twice = entry.replace(b'"token":', b'"time_us":5,"token":')
    fields = orjson.loads(entry)
    other = orjson.dumps({name: fields[name] for name in sorted(fields, reverse=True)})
    for altered in (twice, other):
        scan = read(altered, packed(TOKEN, CLAIMS))
        for shape in scan.shape_texts:
            with pytest.raises(RapidJWSError):
                parsed_record(shape, "shape")


def test_L_a_bundle_of_another_length_is_not_read() -> None:
    """A bundle or contents with fewer, more or cut entries are not read."""
    entries, contents = [plain_record()] * 3, [packed(TOKEN, CLAIMS)] * 3
    octets, beside = bundle(entries), bundle(contents, CONTENT)
    scan = _native.NativeTrailBundle()
    assert scan.read(octets, beside, 3)
    assert scan.states == b"\1\1\1"
    assert len(scan.shape_texts) == 1
    for count in (0, 1, 2, 4, 257):
        assert not scan.read(octets, None, count)
    assert not scan.read(octets[:-1], beside, 3)
    assert not scan.read(octets + b"\0", beside, 3)
    assert not scan.read(octets, beside[:-1], 3)
    assert not scan.read(octets, beside + b"\0", 3)


def test_L_the_root_of_octets_is_that_of_a_tree() -> None:
    """The root over a power of two of hashes is that of RFC 6962; another number of them is refused."""
    leaves = [digest(bytes([at])).encode()[:32] for at in range(256)]
    for width in (1, 2, 4, 256):
        level = leaves[:width]
        while len(level) > 1:
            level = [sha256(b"\1" + level[at] + level[at + 1]).digest() for at in range(0, len(level), 2)]
        assert _native.complete_root(b"".join(leaves[:width])) == level[0]
    for wrong in (b"", b"".join(leaves[:3]), leaves[0] + b"x"):
        with pytest.raises(ValueError, match="power of two"):
            _native.complete_root(wrong)
