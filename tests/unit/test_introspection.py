"""Token introspection: a second opinion after the signature, the only one on opaque tokens; bounds."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any

import pytest
from introspected import (
    OPAQUE,
    OTHER,
    URL,
    WAIT_S,
    Server,
    access,
    engine_of,
    opaque_engine,
)

from rapidjws import Engine, Replay
from rapidjws.introspection import IntrospectionLimits
from rapidjws.keys import FetchFailed, Transport
from rapidjws.sender import DPoP, SenderConstraints, SenderRequest
from rapidjws.stores import MemoryReplayStore
from rapidjws.verify.protocols import Event

# --- the second opinion -------------------------------------------------------------------------------


def test_a_token_that_the_server_calls_inactive_is_refused() -> None:
    """A good signature does not hold against active false; one of another issuer is not asked for."""
    server = Server({"active": False})
    engine = engine_of(server)
    decision = engine.decide(access())
    assert (decision.outcome, decision.code) == ("deny", "token_inactive")
    assert engine.decide(access(OTHER)).code == "ok"
    assert server.count == 1


def test_an_active_token_is_permitted_and_remembered() -> None:
    """One question for many requests; the token goes to the server, with our credentials (RFC 7662 s.2.1)."""
    server = Server()
    engine, token = engine_of(server), access()
    assert [engine.decide(token).code for _ in range(5)] == ["ok"] * 5
    ((url, headers, form),) = server.requests
    assert url == URL
    assert form["token"] == [token]
    assert headers["authorization"] == "Basic Z3c6czNjcmV0"
    assert headers["content-type"] == "application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    "forged",
    ["x.y.z", "", access()[:-8] + "AAAAAAAA", access(exp=1)],
    ids=["garbage", "empty", "forged", "expired"],
)
def test_a_token_that_does_not_verify_asks_for_nothing(forged: str) -> None:
    """Strangers cause no look-up: the signature and the claims come first."""
    server = Server()
    assert engine_of(server).decide(forged).outcome == "deny"
    assert server.count == 0


@pytest.mark.parametrize(
    ("settings", "changes", "route", "lookups"),
    [
        ({"routes": "/pay"}, {}, "/pay/1", 1),
        ({"routes": "/pay"}, {}, "/PAY", 1),
        ({"routes": "/pay"}, {}, "/payroll", 0),
        ({"routes": "/pay"}, {}, "/other", 0),
        ({"routes": "/pay"}, {}, "/other/../pay", 1),
        ({"routes": "/pay"}, {}, "/%70ay", 1),
        ({"routes": "/pay"}, {}, "//pay", 1),
        ({"routes": "/pay"}, {}, "/pay./1", 1),
        ({"routes": "/pay"}, {}, "/pay%20", 1),
        ({"routes": "/pay"}, {}, "/pay ", 1),
        ({"routes": "/pay"}, {}, "/\uff50ay", 1),
        ({"routes": "/pay"}, {}, "http://other/pay", 1),
        ({"routes": "/pay"}, {}, None, 1),
        ({"routes": "/pay"}, {}, ("/other", "/pay"), 1),
        ({"scopes": "pay"}, {"scope": "read pay"}, "/x", 1),
        ({"scopes": "pay"}, {"scope": "read"}, "/x", 0),
    ],
)
def test_routes_and_scopes_say_which_tokens_are_asked_for(
    settings: dict[str, Any], changes: dict[str, Any], route: Any, lookups: int
) -> None:
    """Chosen routes and scopes alone cost a question; a path with two readings counts as chosen."""
    server = Server({"active": False})
    decision = engine_of(server, **settings).decide(access(**changes), route=route)
    assert server.count == lookups
    assert decision.code == ("token_inactive" if lookups else "ok")


NONSENSE: list[Any] = [
    (403, b'{"active": true}'),
    FetchFailed("timeout"), (500, b""), (401, b""), (302, b""), (200, b""), b"[]", b"{}", b'{"active": 1}',
    b'{"active": "true"}', b'{"active": true, "active": true}', b'{"active": true, "exp": "9"}',
    b'{"active": true, "exp": true}', b'{"active": true, "iss": 7}', b'{"active": true, "aud": [1]}',
    b'{"active": true, "iss": "https://third.example"}', b'{"active": true, "jti": "of another"}',
    b'{"active": true, "token_type": "DPoP"}',
    b'{"active": null}', b"\xff", b'{"active": true, "pad": "' + b"x" * 70_000 + b'"}', RuntimeError("x"),
]  # fmt: skip


@pytest.mark.parametrize("answer", NONSENSE, ids=[f"answer-{at}" for at in range(len(NONSENSE))])
def test_no_answer_and_nonsense_are_indeterminate(answer: Any) -> None:
    """Nobody knows: 503, never a permit; with on_failure signature, the signature's word, which is told."""
    token = access(jti="mine")
    decision = engine_of(Server(answer)).decide(token)
    assert (decision.outcome, decision.code) == ("indeterminate", "introspection_unavailable")
    events: list[Event] = []
    engine = engine_of(Server(answer), on_failure="signature", events=events.append)
    assert engine.decide(token).code == "ok"
    assert "introspection_unchecked" in [one.name for one in events]
    opaque = opaque_engine(Server(answer), on_failure="signature").decide(OPAQUE)
    if answer != b'{"active": true, "jti": "of another"}':  # an opaque token has no jti of its own
        assert opaque.outcome != "permit"


def test_a_refusal_is_not_softened_by_the_choice_of_the_signature() -> None:
    """on_failure is about answers that cannot be had: active false refuses."""
    assert (
        engine_of(Server({"active": False}), on_failure="signature").decide(access()).code == "token_inactive"
    )


def test_a_use_is_not_burnt_by_a_server_that_is_down() -> None:
    """The token of a one-time use may come again after a 503: the server is asked before the use is kept."""
    server = Server(FetchFailed("connect"), {"active": True})
    engine, token = engine_of(server, rules={"replay": Replay(store=MemoryReplayStore())}), access(jti="1")
    assert [engine.decide(token).code for _ in range(3)] == ["introspection_unavailable", "ok", "replayed"]


def test_a_bound_token_is_compared_though_the_server_was_asked() -> None:
    """A cnf that nobody compares refuses, whatever the server says (RFC 7800 s.3)."""
    engine = engine_of(Server(), rules={"cnf": "checked"})
    assert engine.decide(access(cnf={"jkt": "x" * 43})).code == "binding_unchecked"
    checks = SenderConstraints(dpop=DPoP(external_origins="https://api.example"))
    token = access(cnf={"jkt": "x" * 43})
    sender = checks.check(SenderRequest(token.encode()))
    assert engine.decide(token, sender=sender).code == "dpop_proof_missing"
    assert engine.decide(access(), sender=checks.check(SenderRequest(b"x"))).code == "ok"


# --- caches and load ----------------------------------------------------------------------------------


class Clock:
    """A monotonic clock that is moved by hand."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now_s


def clocked(engine: Engine) -> Clock:
    """Return the clock that the look-ups of an engine go by from now on."""
    clock = Clock()
    lookups = engine.introspection._lookups  # type: ignore[union-attr]
    lookups._clock, lookups._budget_at_s = clock, clock.now_s
    return clock


def test_a_revoked_token_is_refused_within_the_cache_limit() -> None:
    """An active token is asked for again after cache_s, one that is not after negative_cache_s."""
    server = Server({"active": True}, {"active": False}, {"active": True})
    engine = engine_of(server, limits=IntrospectionLimits(cache_s=30, negative_cache_s=10))
    clock, token = clocked(engine), access()
    found = []
    for at_s in (0, 29.9, 30, 39.9, 40):
        clock.now_s = 1000 + at_s
        found.append(engine.decide(token).code)
    assert found == ["ok", "ok", "token_inactive", "token_inactive", "ok"]
    assert server.count == 3


def test_an_answer_is_not_remembered_beyond_its_exp() -> None:
    """exp bounds the cache, and refuses by itself: the server is asked again, or not at all."""
    now_s = int(time.time())
    server = Server({"active": True, "exp": now_s + 100})
    engine = opaque_engine(server)
    clock = clocked(engine)
    assert engine.decide(OPAQUE, now=now_s).code == "ok"
    assert engine.decide(OPAQUE, now=now_s + 99).code == "ok"
    assert engine.decide(OPAQUE, now=now_s + 100).code == "token_inactive"
    clock.now_s += 101
    assert engine.decide(OPAQUE, now=now_s + 101).code == "token_inactive"
    assert server.count == 2


def test_no_cache_asks_each_time() -> None:
    """cache_s of 0 remembers nothing."""
    server = Server()
    engine, token = engine_of(server, limits=IntrospectionLimits(cache_s=0, negative_cache_s=0)), access()
    assert [engine.decide(token).code for _ in range(3)] == ["ok"] * 3
    assert server.count == 3


def test_strangers_push_no_active_token_out_and_use_up_their_own_budget() -> None:
    """Made-up tokens cost so many questions a minute; known ones are answered, and asked for again."""
    server = Server({"active": True}, {"active": False})
    limits = IntrospectionLimits(max_entries=5, lookups_per_minute=20, cache_s=30)
    engine = opaque_engine(server, limits=limits)
    clock = clocked(engine)
    assert engine.decide(OPAQUE).code == "ok"
    codes = [engine.decide(f"made-up-{at}").code for at in range(100)]
    assert codes == ["token_inactive"] * 20 + ["introspection_unavailable"] * 80
    assert engine.decide(OPAQUE).code == "ok"
    assert server.count == 21
    server.answers = [{"active": True}]
    clock.now_s += 31  # ten look-ups came back meanwhile
    [engine.decide(f"more-{at}") for at in range(30)]
    assert engine.decide(OPAQUE).code == "ok"


def test_active_tokens_cost_nothing_of_the_budget() -> None:
    """The budget is for what ends with a token that is not active."""
    engine = opaque_engine(Server(), limits=IntrospectionLimits(lookups_per_minute=2))
    assert {engine.decide(f"token-{at}").code for at in range(20)} == {"ok"}


def test_many_requests_with_one_token_ask_once() -> None:
    """Single flight: who comes meanwhile waits for the same answer."""
    begun, go = threading.Event(), threading.Event()
    calls: list[int] = []

    def server(url: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        calls.append(1)
        begun.set()
        assert go.wait(WAIT_S)
        return 200, b'{"active": true}'

    engine = engine_of(server, client={"transport": Transport(timeout_s=WAIT_S)})
    token, found = access(), []
    threads = [threading.Thread(target=lambda: found.append(engine.decide(token).code)) for _ in range(8)]
    for one in threads:
        one.start()
    assert begun.wait(WAIT_S)
    lookups = engine.introspection._lookups  # type: ignore[union-attr]
    end_s = time.monotonic() + WAIT_S
    while lookups._waiting < 7 and time.monotonic() < end_s:
        time.sleep(0.001)
    go.set()
    for one in threads:
        one.join(WAIT_S)
    assert found == ["ok"] * 8
    assert len(calls) == 1
    assert lookups._waiting == 0


def test_who_waits_for_another_waits_its_time_out_at_most() -> None:
    """A request that waits for a hanging look-up is answered, and so many may wait as the limits say."""
    begun, go = threading.Event(), threading.Event()

    def server(url: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        begun.set()
        assert go.wait(WAIT_S)
        return 200, b'{"active": true}'

    engine = engine_of(server, client={"transport": Transport(timeout_s=0.05)})
    token = access()
    first = threading.Thread(target=engine.decide, args=(token,))
    first.start()
    assert begun.wait(WAIT_S)
    decision = engine.decide(token)
    assert (decision.outcome, decision.code) == ("indeterminate", "introspection_unavailable")
    engine.introspection._lookups._waiting = 64  # type: ignore[union-attr]
    assert engine.decide(token).code == "introspection_unavailable"
    go.set()
    first.join(WAIT_S)


def test_a_server_that_is_down_is_left_alone_for_a_while() -> None:
    """After so many failures nobody waits; then one look-up tries it, and its answer counts again."""
    server = Server(*[FetchFailed("connect")] * 4, {"active": True})
    events: list[Event] = []
    limits = IntrospectionLimits(breaker_failures=3, breaker_s=2)
    engine = engine_of(server, limits=limits, events=events.append)
    clock, token = clocked(engine), access()
    assert {engine.decide(token).code for _ in range(10)} == {"introspection_unavailable"}
    assert server.count == 3
    clock.now_s += 2
    assert engine.decide(token).code == "introspection_unavailable"
    assert engine.decide(token).code == "introspection_unavailable"
    assert server.count == 4
    clock.now_s += 2
    assert engine.decide(token).code == "ok"
    assert [one.name for one in events].count("introspection_breaker_opened") == 1
    assert "introspection_failed" in {one.name for one in events}


def test_each_look_up_is_counted_by_its_result() -> None:
    """What was asked has a duration; what was remembered is counted once a second, and not twice."""
    events: list[Event] = []
    limits = IntrospectionLimits(breaker_failures=1, breaker_s=60)
    engine = engine_of(
        Server({"active": True}, {"active": False}, (500, b"")), limits=limits, events=events.append
    )
    first = access(jti="1")
    for token in (first, first, first, access(jti="2"), access(jti="3"), access(jti="4")):
        engine.decide(token)
    ended = [one for one in events if one.name == "introspection_ended"]
    assert [one.detail for one in ended] == ["active", "inactive", "unavailable", "not_asked"]
    assert all((one.value is not None) is (one.detail != "not_asked") for one in ended)
    assert sum(one.value or 0 for one in events if one.name == "introspection_remembered") == 2
