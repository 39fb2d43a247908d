"""What the signing queue holds to under load: places, rates, breakers, the end, and callers that give up."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from queued_signers import KEY, Backend, Turned, codes, held

from rapidjws.errors import RapidJWSError
from rapidjws.signing import LocalSigner, PresignedPool, SigningQueue
from rapidjws.signing.backend import SignerLimits


def test_joined_requests_take_a_place_each() -> None:
    """Requests that join an equal one count in the depth, and the queue is full with them."""
    backend = Backend()
    queue = SigningQueue([backend], depth=3, max_age_at_issue_s=60)
    held(queue, backend)
    waiting = [queue._enqueue(b"equal", "a", 60) for _ in range(3)]
    assert queue.depth == 3
    with pytest.raises(RapidJWSError) as full:
        queue._enqueue(b"equal", "a", 60)
    assert full.value.code == "signing_queue_full"
    backend.leave.set()
    assert {one.result(60) for one in waiting} == {b"signature of equal"}
    queue.close(60)
    assert queue.depth == 0


def test_shedding_hits_the_greedy_caller_alone() -> None:
    """Who joined a request of a greedy caller keeps its place, and gets its signature."""
    backend = Backend()
    queue = SigningQueue([backend], depth=4, max_age_at_issue_s=60)
    held(queue, backend)
    greedy = [queue._enqueue(one, "a", 60) for one in (b"1", b"2", b"3")]
    joined = queue._enqueue(b"3", "b", 60)
    late = queue._enqueue(b"c", "c", 60)
    assert codes(greedy) == [None, None, "signing_queue_full"]
    backend.leave.set()
    assert (joined.result(60), late.result(60)) == (b"signature of 3", b"signature of c")
    queue.close(60)


def test_close_ends_waits_for_the_rate() -> None:
    """Who waits for a token of the rate when the queue is closed gets its code at once."""
    backend = Backend()
    backend.leave.set()
    queue = SigningQueue([backend], per_second=0.001, max_age_at_issue_s=3600)
    queue.sign(b"first")
    waiting = queue._enqueue(b"second", "", 3600)
    paused = threading.Event()
    while not queue._signing:
        assert not paused.wait(0.001)
    queue.close(0)
    try:
        assert queue._ended.is_set()
    finally:
        queue._ended.set()  # a worker that went on waiting would keep the process
    assert codes([waiting]) == ["signing_queue_closed"]
    with queue._lock:
        assert queue._idle.wait_for(lambda: not queue._workers, 60)


def test_close_leaves_nobody_with_a_call_that_hangs() -> None:
    """Whoever waits for a call that the backend is in gets its code when the time is over."""
    backend = Backend()
    queue = SigningQueue([backend], max_age_at_issue_s=60)
    first = held(queue, backend)
    queue.close(0)
    assert codes([first]) == ["signing_queue_closed"]
    backend.leave.set()
    with queue._lock:
        assert queue._idle.wait_for(lambda: not queue._workers, 60)


@pytest.mark.parametrize("fault", [ValueError("a client of a KMS"), "signer_refused", "signer_throttled"])
def test_any_failure_goes_on_to_the_next_signer(fault: Any) -> None:
    """An error of a client's own, or a refusal, is a failure as an outage is; the second signer signs."""
    first, second = Backend(), Backend()
    first.fault = fault
    for one in (first, second):
        one.leave.set()
    queue = SigningQueue([first, second], max_age_at_issue_s=60)
    assert queue.sign(b"a") == b"signature of a"
    second.fault = fault
    with pytest.raises(RapidJWSError) as failed:
        queue.sign(b"b")
    assert failed.value.code == (fault if isinstance(fault, str) else "signer_unavailable")
    assert "client of" not in str(failed.value)


def test_a_signer_that_is_too_slow_is_left_alone() -> None:
    """Calls that take longer than a signature may wait open the breaker, though they end well."""
    clock = Turned()
    slow, second = Backend(), Backend()
    slow.leave.set()
    second.leave.set()
    slow.before = lambda: clock.turn(3)
    queue = SigningQueue([slow, second], failures=2, open_s=10, max_age_at_issue_s=2, clock=clock)
    for octets in (b"a", b"b"):
        with pytest.raises(RapidJWSError) as late:
            queue.sign(octets)
        assert late.value.code == "signing_late"
    assert queue.sign(b"c") == b"signature of c"
    assert (slow.seen, second.seen) == ([b"a", b"b"], [b"c"])


def test_a_trial_is_used_up_by_a_call_only() -> None:
    """A request that comes too late for the rate does not use up the one trial of an open breaker."""
    clock = Turned()
    backend = Backend()
    backend.leave.set()
    backend.fault = "signer_unavailable"
    queue = SigningQueue([backend], failures=1, open_s=5, per_second=0.1, max_age_at_issue_s=60, clock=clock,
                         pause=clock.turn)  # fmt: skip
    with pytest.raises(RapidJWSError):
        queue.sign(b"a")
    backend.fault = None
    clock.turn(5)
    with pytest.raises(RapidJWSError) as late:
        queue.sign(b"b", timeout_s=1)
    assert late.value.code == "signing_late"
    clock.turn(5)
    assert queue.sign(b"c") == b"signature of c"


def test_each_signer_has_a_rate_of_its_own() -> None:
    """The quota of one signer does not hold up the other; nine tenths of a quota are used."""
    clock = Turned()
    first, second = Backend(SignerLimits(concurrent=1, per_second=10)), Backend()
    first.leave.set()
    second.leave.set()
    queue = SigningQueue([first, second], max_age_at_issue_s=60, clock=clock, pause=clock.turn)
    for n in range(10):
        queue.sign(b"%d" % n)
    assert clock.now_s == pytest.approx(9 / 9, abs=0.01)
    first.fault = "signer_unavailable"
    begun_s = clock.now_s
    for n in range(5):
        assert queue.sign(b"f%d" % n)
    after_s = clock.now_s
    assert after_s - begun_s < 1
    for n in range(100):
        queue.sign(b"s%d" % n)
    assert clock.now_s == after_s


def test_a_call_that_is_cancelled_is_not_made() -> None:
    """Cancelled tasks give their places back, and the backend is not called for them."""
    backend = Backend()
    queue = SigningQueue([backend], depth=2, max_age_at_issue_s=60)
    held(queue, backend)

    async def storm() -> None:
        for n in range(50):
            tasks = [asyncio.ensure_future(queue.asign(b"%d" % n)) for _ in range(2)]
            await asyncio.sleep(0)
            for one in tasks:
                one.cancel()
            assert [type(one) for one in await asyncio.gather(*tasks, return_exceptions=True)] == [
                asyncio.CancelledError
            ] * 2

    asyncio.run(storm())
    backend.leave.set()
    assert queue.sign(b"after") == b"signature of after"
    queue.close(60)
    assert backend.seen == [b"first", b"after"]


def test_no_more_calls_at_once_than_the_signer_takes() -> None:
    """The concurrency of the first signer bounds calls at once, and is used."""
    backend = Backend(SignerLimits(concurrent=3))
    at_once, most, lock = [0], [0], threading.Lock()
    full = threading.Event()

    def before() -> None:
        with lock:
            at_once[0] += 1
            most[0] = max(most[0], at_once[0])
            if at_once[0] == 3:
                full.set()
        assert full.wait(60)
        with lock:
            at_once[0] -= 1

    backend.before = before
    backend.leave.set()
    queue = SigningQueue([backend], max_age_at_issue_s=60)
    with ThreadPoolExecutor(12) as many:
        list(many.map(queue.sign, [b"%d" % n for n in range(60)]))
    queue.close(60)
    assert most[0] == 3


def test_signers_of_different_keys_are_refused() -> None:
    """A second signer with another key, alg or kid is an error at construction."""
    from rapidjws.signing.new_key import make_key

    other = Backend(key=make_key("ES256", kid="k"))
    with pytest.raises(RapidJWSError) as refused:
        SigningQueue([Backend(), other])
    assert refused.value.place == "signers"


def test_a_pool_holds_no_more_sets_of_claims_than_it_may() -> None:
    """One set more than claims_max is refused, and a token for it is signed at once all the same."""
    pool = PresignedPool(LocalSigner(KEY, "ES256"), claims_max=2, size=1)
    for name in ("a", "b"):
        assert pool.refill({"sub": name}) == 1
    with pytest.raises(RapidJWSError) as full:
        pool.refill({"sub": "c"})
    assert full.value.code == "configuration_invalid"
    assert pool.take({"sub": "c"}).count(".") == 2
    pool.drop()
    assert pool.refill({"sub": "c"}) == 1
