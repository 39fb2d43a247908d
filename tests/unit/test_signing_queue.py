"""The signing queue and the pool of tokens signed ahead, on a clock that the tests turn."""

from __future__ import annotations

import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from tokens import b64url_decode

from rapidjws.errors import RapidJWSError, error_for
from rapidjws.signing import LocalSigner
from rapidjws.signing.backend import BackendSigner, SignerLimits
from rapidjws.signing.new_key import make_key
from rapidjws.signing.presigned import PresignedPool
from rapidjws.signing.signing_queue import SigningQueue

KEY = make_key("ES256", kid="k")


class Backend(BackendSigner):
    """A backend that waits for leave, fails by order, and counts."""

    def __init__(self) -> None:
        limits = SignerLimits(concurrent=1)
        super().__init__(alg="ES256", public=KEY.public(), kid="k", check="never", limits=limits)
        self.leave, self.entered = threading.Event(), threading.Event()
        self.seen: list[bytes] = []
        self.code: str | None = None

    def _signature(self, signing_input: bytes) -> bytes:
        self.seen.append(signing_input)
        self.entered.set()
        assert self.leave.wait(60)
        if self.code:
            raise error_for(self.code, "test")
        return b"signature of " + signing_input


def held(queue: SigningQueue, backend: Backend, left_s: float = 60) -> Any:
    """Keep the one worker busy."""
    first = queue._enqueue(b"first", "", left_s)
    assert backend.entered.wait(60)
    return first


def test_everyone_gets_its_own_signature() -> None:
    """Each request gets the signature of its octets, however many come at once."""
    backend = Backend()
    backend.leave.set()
    queue = SigningQueue([backend], concurrent=4, max_age_at_issue_s=60)
    inputs = [b"%d" % (n % 20) for n in range(100)]
    with ThreadPoolExecutor(8) as many:
        assert list(many.map(queue.sign, inputs)) == [b"signature of " + one for one in inputs]


def test_callers_take_turns_and_equal_requests_are_signed_once() -> None:
    """A caller with many requests does not hold up one with few, and equal requests cost one call."""
    backend = Backend()
    queue = SigningQueue([backend], max_age_at_issue_s=60)
    held(queue, backend)
    waiting = [queue._enqueue(b"a%d" % n, "a", 60) for n in range(3)] + [queue._enqueue(b"b", "b", 60)]
    waiting.append(queue._enqueue(b"b", "b", 60))
    backend.leave.set()
    assert waiting[-1].result(60) == b"signature of b"
    queue.close(60)
    assert backend.seen == [b"first", b"a0", b"b", b"a1", b"a2"]


def test_a_full_queue_sheds_the_newest_of_the_caller_with_most() -> None:
    """A full queue refuses with its stable code, and first those who ask for most."""
    backend = Backend()
    queue = SigningQueue([backend], depth=3, max_age_at_issue_s=60)
    held(queue, backend)
    greedy = [queue._enqueue(b"a%d" % n, "a", 60) for n in range(3)]
    with pytest.raises(RapidJWSError) as full:
        queue._enqueue(b"a3", "a", 60)
    assert full.value.code == "signing_queue_full"
    modest = queue._enqueue(b"b", "b", 60)
    assert getattr(greedy[2].exception(60), "code", "") == "signing_queue_full"
    backend.leave.set()
    assert modest.result(60) == b"signature of b"


def test_what_waited_too_long_is_not_signed() -> None:
    """A request older than max_age_at_issue_s costs no call, and a late signature does not leave."""
    now = [0.0]
    backend = Backend()
    queue = SigningQueue([backend], max_age_at_issue_s=5, clock=lambda: now[0])
    first = held(queue, backend, 5)
    late = queue._enqueue(b"late", "", 5)
    now[0] = 5.1
    backend.leave.set()
    assert [getattr(one.exception(60), "code", "") for one in (first, late)] == ["signing_late"] * 2
    assert backend.seen == [b"first"]


def test_a_cancelled_request_costs_no_call() -> None:
    """What nobody waits for any more is not signed, and a timeout has its code."""
    backend = Backend()
    queue = SigningQueue([backend], max_age_at_issue_s=60)
    held(queue, backend)
    with pytest.raises(RapidJWSError) as late:
        queue.sign(b"given up", timeout_s=0.0)
    assert late.value.code == "signing_late"
    backend.leave.set()
    queue.close(60)
    assert backend.seen == [b"first"]
    with pytest.raises(RapidJWSError) as closed:
        queue.sign(b"after")
    assert closed.value.code == "signing_queue_closed"


def test_a_failing_signer_is_left_alone_and_the_second_signs() -> None:
    """After so many failures in a row the first signer is not called until its time, then by one call."""
    now = [0.0]
    bad, good = Backend(), Backend()
    bad.leave.set(), good.leave.set()
    bad.code = "signer_unavailable"
    queue = SigningQueue([bad, good], failures=2, open_s=10, max_age_at_issue_s=60, clock=lambda: now[0])
    for n in range(4):
        assert queue.sign(b"%d" % n) == b"signature of %d" % n
    assert len(bad.seen) == 2
    now[0], bad.code = 10.0, None
    queue.sign(b"again")
    queue.sign(b"and again")
    assert (len(bad.seen), len(good.seen)) == (4, 4)


def test_calls_stay_below_the_rate() -> None:
    """The queue pauses until the rate grants a token."""
    now = [0.0]
    backend = Backend()
    backend.leave.set()
    pauses: list[float] = []

    def pause(left_s: float) -> None:
        pauses.append(left_s)
        now[0] += left_s

    queue = SigningQueue([backend], per_second=10.0, burst=2, clock=lambda: now[0], pause=pause)
    for n in range(4):
        queue.sign(b"%d" % n)
    assert pauses == pytest.approx([0.1, 0.1])


def test_a_pool_gives_each_token_once_and_none_after_a_drop() -> None:
    """A token is given once, for its claims only, with enough life left, and not after a drop."""
    now = [1000.0]
    pool = PresignedPool(LocalSigner(KEY), size=2, clock=lambda: now[0])
    assert pool.refill({"sub": "a"}) == 2
    first = pool._tokens['{"sub": "a"}'][0][1]
    assert pool.take({"sub": "b"}) != first
    assert pool.take({"sub": "a"}) == first
    assert pool.take({"sub": "a"}) != first
    pool.refill({"sub": "a"})
    old = {one[1] for one in pool._tokens['{"sub": "a"}']}
    now[0] += 41
    assert pool.take({"sub": "a"}) not in old
    pool.refill({"sub": "a"})
    old = {one[1] for one in pool._tokens['{"sub": "a"}']}
    pool.drop()
    assert pool.take({"sub": "a"}) not in old
    with pytest.raises(RapidJWSError):
        pool.take({"sub": "a", "exp": 1})


class Dropping(Backend):
    """A backend in whose first calls the pool is dropped."""

    def __init__(self, times: int, new: LocalSigner) -> None:
        super().__init__()
        self.pool: PresignedPool | None = None
        self.times, self.new = times, new

    def _signature(self, signing_input: bytes) -> bytes:
        self.times -= 1
        if self.times >= 0 and self.pool is not None:
            self.pool.drop(self.new if self.times == 0 else None)
        return LocalSigner(KEY, "ES256").sign(signing_input)


@pytest.mark.parametrize("times", [1, 2])
def test_a_token_that_was_being_signed_when_the_pool_was_dropped_is_not_given(times: int) -> None:
    """The key may be the one that was withdrawn: the token is signed again, by the signer that is due."""
    new = LocalSigner(make_key("ES256", kid="new"), "ES256")
    backend = Dropping(times, new)
    backend.pool = pool = PresignedPool(backend)
    header = json.loads(b64url_decode(pool.take({"sub": "a"}).split(".")[0]))
    assert header["kid"] == "new"


def test_a_pool_that_is_dropped_all_the_time_gives_no_token() -> None:
    """It is refused, rather than tried for ever."""
    backend = Dropping(100, LocalSigner(KEY, "ES256"))
    backend.pool = pool = PresignedPool(backend)
    with pytest.raises(RapidJWSError) as late:
        pool.take({"sub": "a"})
    assert late.value.code == "signing_late"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_gives_none_of_its_parents_tokens() -> None:
    """Parent and child would give the same token twice, with one jti."""
    pool = PresignedPool(LocalSigner(KEY, "ES256"))
    pool.refill({"sub": "a"})
    read, write = os.pipe()
    with pool._lock:  # held at the moment of the fork, by another thread as far as the child knows
        child = os.fork()
        if child == 0:
            os.write(write, pool.take({"sub": "a"}).encode())
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        theirs = pipe.read().decode()
    os.waitpid(child, 0)
    assert theirs
    assert theirs not in [pool.take({"sub": "a"}) for _ in range(8)]


@pytest.mark.parametrize("claims", [{1: "a"}, {"a": {None: 1}}, {"a": [{True: 1}]}])
def test_names_that_are_no_text_are_refused(claims: Any) -> None:
    """JSON would make a text of them, and two sets of claims one."""
    with pytest.raises(RapidJWSError) as refused:
        PresignedPool(LocalSigner(KEY, "ES256")).take(claims)
    assert refused.value.code == "configuration_invalid"
