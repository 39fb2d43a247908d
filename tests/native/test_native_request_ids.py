"""The ids of a request and its trace in C, against regular expressions that say the same."""

from __future__ import annotations

import random
import re

import pytest

from rapidjws import _native
from rapidjws.observe.request_info import trace_context

SANE_ID = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._:/+=@-]{0,127}\Z")
TRACE = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def expected(header: bytes) -> str | None:
    """Return a trace-id as the oracle reads it."""
    found = trace_context([header])
    return None if found is None else found.trace_id


def test_L_request_ids_are_those_of_the_expression() -> None:
    """Each octet at each end, each length around the limits."""
    samples = [bytes([one]) for one in range(256)]
    samples += [b"a" + bytes([one]) for one in range(256)]
    samples += [b"a" * size for size in (0, 1, 127, 128, 129, 4096)]
    samples += [b"a" * 127 + bytes([one]) for one in range(256)] + [b"a\n", b"\na", b"a\0", b"-a"]
    for sample in samples:
        sane = SANE_ID.match(sample)
        assert _native.request_id(sample) == (sample.decode("ascii") if sane else None), sample


def test_L_trace_ids_are_those_of_the_oracle() -> None:
    """Each octet of a good header replaced by each other, lengths, versions, and random changes."""
    samples = [TRACE[:at] + bytes([one]) + TRACE[at + 1 :] for at in range(len(TRACE)) for one in range(256)]
    samples += [TRACE[:size] for size in range(len(TRACE))]
    for version in (b"00", b"01", b"0f", b"f0", b"fe", b"ff", b"cc", b"CC"):
        for more in (b"", b"-", b"-x", b".x", b"0", b"-" + b"x" * 456, b"-" + b"x" * 457, b"-\n"):
            samples.append(version + TRACE[2:] + more)
    samples += [b"00-" + b"0" * 32 + TRACE[35:], TRACE[:36] + b"0" * 16 + TRACE[52:]]
    source = random.Random(1)
    for _ in range(2_000):
        octets = bytearray(TRACE + bytes(source.choices(b"-0af\0", k=source.randrange(4))))
        for _ in range(source.randrange(1, 4)):
            octets[source.randrange(len(octets))] = source.choice(b"0123456789abcdefg-F\xff")
        samples.append(bytes(octets))
    found = [_native.trace_id(one) for one in samples]
    assert found == [expected(one) for one in samples]
    assert len([one for one in found if one]) > 100


def test_L_ids_of_anything_but_octets_are_refused() -> None:
    """Text is a mistake of the caller."""
    for call in (_native.request_id, _native.trace_id):
        with pytest.raises(TypeError):
            call("a")  # type: ignore[arg-type]
