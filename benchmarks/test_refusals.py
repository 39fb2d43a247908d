"""What a hostile token costs: size limits are looked at first, and no shape of input is slow."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import ours
import pytest

import rapidjws
from rapidjws.jose.limits import TOKEN_CEILING_BYTES

OVER_LIMIT_NS_AT_MOST = 5000
HOSTILE_NS_AT_MOST = 1_000_000
MIB = 1 << 20

pytestmark = pytest.mark.usefixtures("one_cpu")


def refusal(engine: Any, token: bytes) -> Callable[[], None]:
    """Make a call that verifies the token and insists on a refusal."""

    def call() -> None:
        try:
            engine.verify(token)
        except rapidjws.RapidJWSError:
            return
        raise AssertionError("accepted")

    return call


def b64u(octets: bytes) -> bytes:
    """Encode as unpadded base64url."""
    return base64.urlsafe_b64encode(octets).rstrip(b"=")


@pytest.mark.parametrize("size", [16 * 1024 + 1, MIB, 16 * MIB])
def test_over_limit_input_is_refused_at_once(size: int, benchmark: Any) -> None:
    """A token above the size limit is refused in under 5 us, however large it is."""
    engine = ours.make_engine("ES256")
    good = ours.good_tokens("ES256", 1)[0]
    call = refusal(engine, good + b"A" * (size - len(good)))
    took_ns = ours.best_ns([(call, 1)], 2000)[0]
    benchmark.extra_info.update(ns=took_ns)
    benchmark.pedantic(call, rounds=3)
    assert took_ns < OVER_LIMIT_NS_AT_MOST


def to_size(start: bytes, filling: bytes, size: int, end: bytes = b"") -> bytes:
    """Repeat the filling between start and end until the size is reached."""
    return start + filling * ((size - len(start) - len(end)) // len(filling)) + end


NESTED = b64u(b"[" * 300)  # a multiple of three octets: repeated, it stays base64url of brackets
HEADER = b64u(b'{"alg":"ES256"}')
HOSTILE = {
    "dots": lambda size: b"." * size,
    "nested header": lambda size: to_size(b"", NESTED, size, b".e30.AAAA"),
    "nested header object": lambda size: to_size(b"", b64u(b'{"a":' * 60), size, b".e30.AAAA"),
    "one long part": lambda size: b"A" * size,
    "line feeds": lambda size: b"\n" * size,
    "nested payload": lambda size: to_size(HEADER + b".", NESTED, size, b".AAAA"),
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("within_limit", [True, False], ids=["at the ceiling", "1 MiB"])
def test_hostile_shapes_are_refused_soon(name: str, within_limit: bool, benchmark: Any) -> None:
    """1 MiB of dots, nesting or one long part takes under 1 ms; so does the largest token one can allow."""
    size = TOKEN_CEILING_BYTES if within_limit else MIB
    engine = ours.make_engine("ES256", max_token_bytes=TOKEN_CEILING_BYTES)
    call = refusal(engine, HOSTILE[name](size))
    took_ns = ours.best_ns([(call, 1)], 30)[0]
    benchmark.extra_info.update(ns=took_ns)
    benchmark.pedantic(call, rounds=3)
    print(f"{name}, {size} bytes: {took_ns:.0f} ns")
    assert took_ns < HOSTILE_NS_AT_MOST
