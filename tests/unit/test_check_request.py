"""CheckRequests in C against Google's own decoder: what is accepted, that accepts with the same values."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from typing import Any

import pytest

from rapidjws._native import check_request
from rapidjws._protobuf import field, unsigned, varint

external_auth = pytest.importorskip("envoy.service.auth.v3.external_auth_pb2", reason="xds-protos is absent")
message_factory = pytest.importorskip("google.protobuf.message_factory", reason="xds-protos is absent")
from google.protobuf.descriptor import FieldDescriptor  # noqa: E402
from google.protobuf.message import DecodeError  # noqa: E402

CheckRequest = external_auth.CheckRequest
MUTANTS = int(os.environ.get("RAPIDJWS_DIFFERENTIAL_COUNT", "20000"))
DEPTH_MAX = 64
TEXTS = [
    "",
    "a",
    "authorization",
    "Bearer a.b.c",
    "X-JWS-Subject",
    "x_tenant",
    "\u00e9",
    "\U0001f600",
    "b" * 200,
]
WORDS = [b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\x80", b"\x00", b"\x0b", b"\x0c", b"\x80\x00", b"\x7f"]


def http(*fields: bytes) -> bytes:
    """Return a CheckRequest of an HTTP request of these fields."""
    return field(1, field(4, field(2, b"".join(fields))))


def read(octets: bytes) -> Any:
    """Return what C reads of a message, all headers and the body, or None."""
    return check_request(octets, 0, None, (), True)


def google(octets: bytes) -> Any:
    """Return what Google's decoder reads of a message, or None."""
    try:
        found = CheckRequest.FromString(octets)
    except DecodeError:
        return None
    return found


def random_fields(message: Any, dice: random.Random, depth: int) -> None:
    """Fill some fields of a message, by its descriptor."""
    for one in message.DESCRIPTOR.fields:
        if dice.random() > (0.35 if depth > 2 else 0.8):
            continue
        if one.message_type is not None and one.message_type.GetOptions().map_entry:
            values = one.message_type.fields_by_name["value"]
            for _ in range(dice.randint(1, 3)):
                name = dice.choice(TEXTS)
                if values.message_type is None:
                    getattr(message, one.name)[name] = dice.choice(TEXTS)
                elif depth < 12:
                    random_fields(getattr(message, one.name)[name], dice, depth + 1)
        elif one.message_type is not None:
            if depth < 12:
                inner = getattr(message, one.name)
                inner = inner.add() if one.is_repeated else inner
                inner.SetInParent()
                random_fields(inner, dice, depth + 1)
        else:
            setattr(message, one.name, random_value(one, dice))


def random_value(one: Any, dice: random.Random) -> Any:
    """Return a value for a field."""
    if one.type == FieldDescriptor.TYPE_STRING:
        return dice.choice(TEXTS)
    if one.type == FieldDescriptor.TYPE_BYTES:
        return bytes(dice.randrange(256) for _ in range(dice.randrange(9)))
    if one.type == FieldDescriptor.TYPE_DOUBLE:
        return dice.random()
    if one.type in (FieldDescriptor.TYPE_BOOL, FieldDescriptor.TYPE_ENUM):
        return dice.randrange(2) if one.type == FieldDescriptor.TYPE_BOOL else 0
    return dice.choice([1, 127, 128, 2**31 - 1])


def random_message(dice: random.Random) -> bytes:
    """Return a CheckRequest as Google writes it, with one kind of headers and of bodies."""
    found = CheckRequest()
    random_fields(found, dice, 0)
    request = found.attributes.request.http
    request.path = request.path or "/"
    request.ClearField(dice.choice(["body", "raw_body"]))
    request.ClearField(dice.choice(["headers", "header_map"]))
    for one in request.header_map.headers:
        one.ClearField(dice.choice(["value", "raw_value"]))
    return bytes(found.SerializeToString())


def agree(octets: bytes) -> bool:
    """Return whether C accepts a message, which Google's decoder then reads alike."""
    found = read(octets)
    if found is None:
        return False
    theirs = google(octets)
    assert theirs is not None, octets.hex()
    headers, path, method, host, body, _ = found
    of = theirs.attributes.request.http
    assert theirs.attributes.request.HasField("http"), octets.hex()
    values = (of.path, of.method, of.host)
    assert (path, method, host) == tuple(one.encode() for one in values), octets.hex()
    assert body == (of.raw_body or of.body.encode()), octets.hex()
    assert not (of.raw_body and of.body), octets.hex()
    mapped = [(one.key, one.raw_value or one.value.encode()) for one in of.header_map.headers]
    if mapped:
        assert headers == [(key.encode().lower(), value) for key, value in mapped], octets.hex()
        assert not of.headers, octets.hex()
    else:  # of a name that stands there twice, a map keeps one, and we hand on both
        given = {(key.encode().lower(), value.encode()) for key, value in of.headers.items()}
        assert given <= set(headers), octets.hex()
        assert {name for name, _ in headers} == {name for name, _ in given}, octets.hex()
    return True


def mutant(octets: bytes, dice: random.Random) -> bytes:
    """Return a message with one to three changes."""
    made = bytearray(octets)
    for _ in range(dice.randint(1, 3)):
        at, many = dice.randrange(len(made) + 1), dice.randrange(1, 9)
        kind = dice.randrange(6)
        if kind == 0:
            made[at : at + 1] = bytes([dice.randrange(256)])
        elif kind == 1:
            made[at : at + many] = b""
        elif kind == 2:
            made[at:at] = made[dice.randrange(len(made) + 1) :][: 4 * many]
        elif kind == 3:
            made[at:at] = dice.choice(WORDS)
        elif kind == 4 and at < len(made):
            made[at] = (made[at] + dice.choice([1, 255])) % 256
        elif at < len(made):
            made[at] ^= 1 << dice.randrange(8)
    return bytes(made)


def test_whatever_google_writes_is_read() -> None:
    """Messages of every field of the schema, however they are nested, are read as they were written."""
    dice = random.Random(1)
    assert all(agree(random_message(dice)) for _ in range(400))


def test_no_mutant_is_read_otherwise() -> None:
    """A changed message is refused, or read as Google's decoder reads it."""
    dice = random.Random(int(os.environ.get("RAPIDJWS_DIFFERENTIAL_SEED", "2")))
    accepted = refused = alone = 0
    small = [random_message(dice) for _ in range(60)]
    small = [*sorted(small, key=len)[:40], http(field(4, b"/a"), field(3, field(1, b"a") + field(2, b"b")))]
    for _ in range(MUTANTS):
        octets = mutant(dice.choice(small), dice)
        if agree(octets):
            accepted += 1
        else:
            refused += 1
            alone += google(octets) is not None
    assert min(accepted, refused) > MUTANTS / 50
    assert alone < refused


def known_fields() -> Iterator[tuple[list[Any], Any]]:
    """Yield each field of each message that a CheckRequest can hold, with the fields that lead to it."""
    done: set[str] = set()
    left: list[tuple[list[Any], Any]] = [([], CheckRequest.DESCRIPTOR)]
    while left:
        way, descriptor = left.pop(0)
        if descriptor.full_name in done:
            continue
        done.add(descriptor.full_name)
        for one in descriptor.fields:
            yield way, one
            if one.message_type is not None:
                left.append(([*way, one], one.message_type))


FIELDS = list(known_fields())
IDS = [one.full_name.rpartition("v3.")[2] for _, one in FIELDS]
WIRES = {
    FieldDescriptor.TYPE_STRING: 2, FieldDescriptor.TYPE_BYTES: 2, FieldDescriptor.TYPE_MESSAGE: 2,
    FieldDescriptor.TYPE_DOUBLE: 1,
}  # fmt: skip


@pytest.mark.parametrize(("way", "one"), FIELDS, ids=IDS)
def test_each_known_field_is_of_its_kind(way: list[Any], one: Any) -> None:
    """A field of the schema has one wire type, stands once unless it is repeated, and text is UTF-8."""
    is_text = one.type == FieldDescriptor.TYPE_STRING
    values = {
        0: unsigned(one.number, 1),
        1: varint(one.number << 3 | 1) + bytes(8),
        2: field(one.number, b""),
        5: varint(one.number << 3 | 5) + bytes(4),
    }
    base = CheckRequest()
    base.attributes.request.http.SetInParent()

    def accepted(octets: bytes) -> bool:
        return agree(merged(base, way, octets))

    right = WIRES.get(one.type, 0)
    if one.full_name.endswith((".attributes", ".request", "Request.http")):  # stands there already
        assert not any(accepted(octets) for octets in values.values())
        return
    for wire, octets in values.items():
        assert accepted(octets) == (wire == right), wire
    assert accepted(values[right] * 2) == one.is_repeated
    if is_text or one.type == FieldDescriptor.TYPE_BYTES:
        assert accepted(field(one.number, b"\xff")) != is_text
        assert accepted(field(one.number, b"\xed\xa0\x80")) != is_text


def merged(base: Any, way: list[Any], octets: bytes) -> bytes:
    """Return a message with octets behind those of the message to which fields lead."""
    whole = bytes(base.SerializeToString())
    return _inserted(whole, [one.number for one in way], octets)


def _inserted(whole: bytes, numbers: list[int], octets: bytes) -> bytes:
    if not numbers:
        return whole + octets
    at = 0
    while at < len(whole):  # the base has short fields with a length only
        number, size = whole[at] >> 3, whole[at + 1]
        inner = whole[at + 2 : at + 2 + size]
        if number == numbers[0]:
            end = whole[at + 2 + size :]
            return whole[:at] + field(number, _inserted(inner, numbers[1:], octets)) + end
        at += 2 + size
    return whole + field(numbers[0], _inserted(b"", numbers[1:], octets))


@pytest.mark.parametrize(
    "octets",
    [
        b"", b"\x0a", b"\x0a\x00", b"\x0a\x7f", b"\x80" * 11, b"\x0b\x0c", http()[:-1], http() * 2,
        http() + b"\x00", http() + b"\x02\x00", http() + b"\x7b\x7c", http() + b"\x7f", http() + b"\x79\x00",
        http() + b"\x7d\x00\x00\x00", http() + b"\x78\x80",
        http() + b"\x78\x81\x00", http() + b"\x78\x80\x00",
        http() + b"\x78" + b"\xff" * 9 + b"\x02", http() + b"\x78" + b"\xff" * 10 + b"\x01",
        http() + b"\xfa\x80\x00\x00", http() + b"\xfa\xff\xff\xff\x1f\x00", b"\x8a\x00" + http()[1:],
        b"\x0a\x84\x00" + http()[2:], http(field(4, b"/a"), field(4, b"/b")), http(field(2, b"a") * 2),
        http(field(5, b"a") * 2), http(field(11, b"a"), field(12, b"b")), http(field(12, b"b") * 2),
        http(field(3, field(1, b"a")), field(13, field(1, field(1, b"a")))), http(field(13, b"") * 2),
        http(field(3, field(1, b"a") * 2)), http(field(3, field(2, b"a") * 2)),
        http(field(13, field(1, field(2, b"a") + field(3, b"b")))), http(field(4, b"\xff")),
        http(field(3, field(1, b"\xff"))), http(field(3, field(2, b"\xc0\xaf"))), http(b"\x22\x05/a"),
        http(unsigned(4, 1)), http(field(9, b"1")),
    ],
    ids=range(39),
)  # fmt: skip
def test_what_has_two_readings_or_none_is_refused(octets: bytes) -> None:
    """Broken lengths and varints, groups, wrong types, second values and text beside UTF-8 are refused."""
    assert read(octets) is None


def nested(levels: int) -> bytes:
    """Return a CheckRequest whose metadata has so many messages within each other."""
    octets = b""
    for level in range(levels - 6, -1, -1):
        octets = field((1, 2, 5)[level % 3], octets)  # of a Struct, of its entry, of a Value
    entry = field(1, field(2, octets))
    return field(1, field(4, field(2, b"")) + field(11, entry))


def test_messages_nest_so_deep_and_no_deeper() -> None:
    """Metadata is read up to the limit of depth, which is below Google's."""
    found = [levels for levels in range(6, 120) if read(nested(levels)) is not None]
    assert found == list(range(6, DEPTH_MAX + 1))
    assert all(agree(nested(levels)) for levels in found)


def test_unknown_fields_in_a_map_are_refused() -> None:
    """An entry with more than key and value is one that decoders keep, or leave out."""
    entry = field(1, b"a") + field(2, b"b")
    assert agree(http(field(3, entry)))
    assert read(http(field(3, entry + field(3, b"c")))) is None
    assert read(http(field(3, entry + unsigned(15, 1)))) is None


def test_unknown_fields_are_skipped() -> None:
    """What a later Envoy says beside the schema changes nothing, of whatever type it is."""
    later = unsigned(15, 2**63) + field(1000, b"\xff") + varint(16 << 3 | 1) + bytes(8)
    later += varint(2**29 - 1 << 3 | 5) + bytes(4)
    octets = field(1, field(4, field(2, later + field(4, b"/a") + later) + later) + later) + later
    assert agree(octets)
    assert read(octets)[1] == b"/a"


def test_only_wanted_headers_become_objects() -> None:
    """Of the headers those are handed on that are wanted, whatever their case; ours are named."""
    names = [b"Authorization", b"x-other", b"X_JWS_Role", b"x.tenant", b"x-tenant", b"authorization"]
    octets = http(*[field(3, field(1, name) + field(2, b"v")) for name in names])
    headers, *_, removed = check_request(octets, 0, (b"authorization",), (b"x-tenant",), False) or ([],)
    assert headers == [(b"authorization", b"v")] * 2
    assert removed == ["x_jws_role", "x.tenant", "x-tenant"]
    assert check_request(b"....." + octets, 5, None, (), False) == check_request(octets, 0, None, (), False)
    for offset in (len(octets), len(octets) + 1, 2**40):
        assert check_request(octets, offset, None, (), False) is None


@pytest.mark.parametrize(
    "arguments",
    [(), (b"", 0, None, ()), (b"", -1, None, (), False), (b"", 0, [], (), False), ("", 0, None, (), False),
     (b"", 0, None, None, False), (b"", "0", None, (), False)],
)  # fmt: skip
def test_other_arguments_are_an_error(arguments: Any) -> None:
    """What is called otherwise raises, and reads nothing."""
    with pytest.raises((TypeError, OverflowError)):
        check_request(*arguments)
