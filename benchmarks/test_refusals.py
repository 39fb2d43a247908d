"""What a hostile token costs: size limits are looked at first, and no shape of input is slow."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import ours
import pytest

import rapidjws

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


HOSTILE = {
    "dots": b"." * MIB,
    "nested header": b64u(b"[" * MIB) + b".e30.AAAA",
    "nested header object": b64u(b'{"a":' * (MIB // 5)) + b".e30.AAAA",
    "one long part": b"A" * MIB,
    "line feeds": b"\n" * MIB,
    "nested payload": b64u(b'{"alg":"ES256"}') + b"." + b64u(b"[" * (MIB * 3 // 4)) + b".AAAA",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_mebibyte_is_refused_soon(name: str, benchmark: Any) -> None:
    """1 MiB of dots, nesting or one long part takes under 1 ms, even where the size limit allows it."""
    engine = ours.make_engine("ES256", max_token_bytes=4 * MIB)
    call = refusal(engine, HOSTILE[name])
    took_ns = ours.best_ns([(call, 1)], 30)[0]
    benchmark.extra_info.update(ns=took_ns)
    benchmark.pedantic(call, rounds=3)
    assert took_ns < HOSTILE_NS_AT_MOST
