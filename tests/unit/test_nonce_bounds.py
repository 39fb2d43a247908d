"""Nonces of signed requests at their bounds: the first and the last moment, and what a store may say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from rapidjws.errors import PolicyRefused, RapidJWSError
from rapidjws.middleware import RequestNonces
from rapidjws.stores import MemoryReplayStore

NOW_S, SECOND_NS = 1_800_000_000, 10**9


def nonces(**settings: Any) -> RequestNonces:
    """Return nonces of a minute, with a leeway of five seconds."""
    given = {"secrets": [b"s" * 32], "store": MemoryReplayStore(), "lifetime_s": 60, "leeway_s": 5}
    return RequestNonces(**{**given, **settings})


def code(now_ns: int) -> str:
    """Return what becomes of a nonce that was made at NOW_S."""
    of = nonces()
    try:
        of.check(of.issue(NOW_S * SECOND_NS), now_ns)
    except PolicyRefused as refused:
        return refused.code
    return "ok"


def test_T11_the_last_moment_of_a_nonce() -> None:
    """It is good until its end and the leeway, and at that nanosecond no more."""
    end_ns = (NOW_S + 60 + 5) * SECOND_NS
    assert [code(end_ns + more) for more in (-1, 0, 1)] == ["ok", "nonce_expired", "nonce_expired"]


def test_T11_the_first_moment_of_a_nonce() -> None:
    """One of the future is good within the leeway, at its first nanosecond too."""
    first_ns = (NOW_S - 5) * SECOND_NS
    assert [code(first_ns + more) for more in (-1, 0, 1)] == ["nonce_unknown", "ok", "ok"]


class _Odd:
    """A store with an answer of its own."""

    blocking = False

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def record(self, entries: Sequence[tuple[bytes, int]]) -> Sequence[Any]:
        """Answer."""
        return [self.answer for _ in entries]


@pytest.mark.parametrize("answer", [None, 1, "yes", 0], ids=str)
def test_only_true_says_that_a_nonce_is_fresh(answer: Any) -> None:
    """A store that says something else cannot tell: refused, or let pass, as is written."""
    lenient, strict = nonces(store=_Odd(answer), on_failure="accept"), nonces(store=_Odd(answer))
    lenient.check(lenient.issue(NOW_S * SECOND_NS), NOW_S * SECOND_NS)
    with pytest.raises(RapidJWSError, match="replay_store_unavailable"):
        strict.check(strict.issue(NOW_S * SECOND_NS), NOW_S * SECOND_NS)
