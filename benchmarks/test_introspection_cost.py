"""What a second opinion that is remembered costs: its look-up, and a decision with it against a plain one.

Both engines decide on one token, in turn. Of each round the fastest decision of each kind counts, and of all
rounds the median difference and ratio.
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from time import monotonic, perf_counter_ns, time
from typing import Final

import pytest

from rapidjws import Engine, Issuer
from rapidjws.introspection import (
    Introspection,
    IntrospectionClient,
    IntrospectionLimits,
    IntrospectionServers,
)
from rapidjws.testing import FakeIssuer

RATIO_AT_MOST: Final = 1.6
SEVERAL_AT_MOST: Final = 4.0
"""A look-up among several servers against the same at one."""
ROUNDS: Final = 25
CALLS: Final = 200
WAIT_S: Final = 30.0
"""Longest wait for the tables of both engines, in seconds."""

pytestmark = pytest.mark.usefixtures("one_cpu")


def test_a_remembered_second_opinion_costs_little() -> None:
    """The server is asked once; each further decision looks its answer up, whose cost is printed."""
    issuer = FakeIssuer("https://issuer.example", "ES256")
    lookups: list[int] = []

    def post(*_: object) -> tuple[int, bytes]:
        lookups.append(1)
        return 200, b'{"active": true}'

    client = IntrospectionClient("https://as.example/i", client_id="gw", client_secret="s", post=post)
    asked = Introspection(client, issuers=issuer.iss, limits=IntrospectionLimits(cache_s=3600))
    rules = Issuer(issuer.iss, keys=issuer.jwks, algorithms=["ES256"], audience=issuer.audience)
    plain, asking = Engine(rules, workers=1), Engine(rules, workers=1, introspection=asked)
    token = issuer.token(issuer.claims(int(time()))).encode()

    def fastest_ns(decide: Callable[[bytes], object]) -> int:
        took = []
        for _ in range(CALLS):
            start = perf_counter_ns()
            decide(token)
            took.append(perf_counter_ns() - start)
        return min(took)

    for one in (plain, asking):
        assert {one.decide(token).code for _ in range(3)} == {"ok"}
        end_s = monotonic() + WAIT_S
        while not one.precomputed_kids and monotonic() < end_s:  # built in the background
            one.decide(token)
    found = [(fastest_ns(plain.decide), fastest_ns(asking.decide)) for _ in range(ROUNDS)]
    more_us = median(both - alone for alone, both in found) / 1000
    ratio = median(both / alone for alone, both in found)
    hit_us = min(_hit_ns(asked, token) for _ in range(2000)) / 1000
    print(f"a remembered answer: {hit_us:.1f} us to look up; a decision {more_us:+.1f} us, {ratio:.2f} times")
    assert ratio <= RATIO_AT_MOST
    assert len(lookups) == 1
    assert asking.decide(token[:-8] + b"AAAAAAAA").outcome == "deny"


@pytest.mark.parametrize("count", [2, 8])
def test_servers_of_other_issuers_cost_a_remembered_opinion_nothing(count: int) -> None:
    """With several servers, each for an issuer of its own, one is looked up; its cost is printed."""
    issuers = [FakeIssuer(f"https://issuer{number}.example", "ES256") for number in range(count)]
    client = IntrospectionClient(
        "https://as.example/i", client_id="gw", client_secret="s", post=lambda *_: (200, b'{"active": true}')
    )
    limits = IntrospectionLimits(cache_s=3600)
    servers = IntrospectionServers(
        *(Introspection(client, issuers=one.iss, limits=limits) for one in issuers)
    )
    rules = [Issuer(one.iss, keys=one.jwks, algorithms=["ES256"], audience=one.audience) for one in issuers]
    engine = Engine(*rules, workers=1, introspection=servers)
    token = issuers[-1].token(issuers[-1].claims(int(time()))).encode()
    named = engine._named_issuers
    assert (engine._is_quick(token), engine.decide(token).code, engine._is_quick(token)) == (
        False,
        "ok",
        True,
    )

    def hit_ns() -> int:
        start = perf_counter_ns()
        servers.is_known(token, lambda: (issuers[-1].iss,))
        return perf_counter_ns() - start

    def named_ns() -> int:
        start = perf_counter_ns()
        servers.is_known(token, lambda: named(token))
        return perf_counter_ns() - start

    def one_ns() -> int:
        start = perf_counter_ns()
        servers._servers[-1].is_known(token)
        return perf_counter_ns() - start

    found = [
        (min(hit_ns() for _ in range(CALLS)), min(one_ns() for _ in range(CALLS))) for _ in range(ROUNDS)
    ]
    hit_us, one_us = (median(times) / 1000 for times in zip(*found, strict=True))
    whole_us = min(named_ns() for _ in range(2000)) / 1000
    print(
        f"{count} servers: {hit_us:.1f} us, one alone {one_us:.1f} us; by the engine's way {whole_us:.1f} us"
    )
    assert hit_us <= SEVERAL_AT_MOST * one_us


def _hit_ns(asked: Introspection, token: bytes) -> int:
    start = perf_counter_ns()
    asked.is_known(token)
    return perf_counter_ns() - start
