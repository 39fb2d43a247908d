"""Requests for tokens are begun a few at a time, in their order, and refused where too many wait."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from rapidjws.issuing import Document
from rapidjws.sidecar.issuer_turns import BUSY, RequestTurns
from rapidjws.verify import worker_pool

DONE = Document(status=200, headers={}, body=b"")


class Calls:
    """Calls that end when they may, and how many were in one at once."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.inside = self.most = 0
        self.may_end = threading.Event()
        self._lock = threading.Lock()

    def call(self, number: int) -> Any:
        """Return the call of a request."""

        def made() -> Document:
            with self._lock:
                self.begun.append(number)
                self.inside += 1
                self.most = max(self.most, self.inside)
            self.may_end.wait(60)
            with self._lock:
                self.inside -= 1
            return DONE

        return made


async def begun(calls: Calls, count: int) -> None:
    """Wait until so many calls have begun."""
    while len(calls.begun) < count:
        await asyncio.sleep(0.001)


def test_a_few_are_under_way_and_the_rest_in_order() -> None:
    """Two at once, the others behind them as they came, and each gets its answer."""

    async def main() -> None:
        calls, turns = Calls(), RequestTurns(worker_pool.signing, 2)
        tasks = [asyncio.create_task(turns.answered(calls.call(one))) for one in range(20)]
        await begun(calls, 2)
        calls.may_end.set()
        assert await asyncio.wait_for(asyncio.gather(*tasks), 60) == [DONE] * 20
        assert calls.most == 2
        assert sorted(calls.begun) == list(range(20))
        assert all(abs(at - one) <= 1 for at, one in enumerate(calls.begun))

    asyncio.run(main())


def test_more_than_may_wait_are_refused_at_once() -> None:
    """With Retry-After, and without a thread; who waits already is answered."""

    async def main() -> None:
        calls, turns = Calls(), RequestTurns(worker_pool.signing, 1, waiting=2)
        tasks = [asyncio.create_task(turns.answered(calls.call(one))) for one in range(3)]
        await begun(calls, 1)
        assert await asyncio.wait_for(turns.answered(calls.call(3)), 60) is BUSY
        assert (BUSY.status, BUSY.headers["retry-after"]) == (503, "1")
        calls.may_end.set()
        assert await asyncio.wait_for(asyncio.gather(*tasks), 60) == [DONE] * 3
        assert calls.begun == [0, 1, 2]

    asyncio.run(main())


def test_who_is_gone_is_not_begun_and_keeps_no_place() -> None:
    """A client that hangs up while it waits costs no call; those behind it are answered."""

    async def main() -> None:
        calls, turns = Calls(), RequestTurns(worker_pool.signing, 1, waiting=4)
        tasks = [asyncio.create_task(turns.answered(calls.call(one))) for one in range(4)]
        await begun(calls, 1)
        tasks[1].cancel()
        await asyncio.wait([tasks[1]])
        calls.may_end.set()
        assert await asyncio.wait_for(asyncio.gather(tasks[0], *tasks[2:]), 60) == [DONE] * 3
        assert calls.begun == [0, 2, 3]
        assert await asyncio.wait_for(turns.answered(calls.call(9)), 60) is DONE

    asyncio.run(main())


def test_a_place_that_was_given_to_who_left_is_given_on() -> None:
    """Where turn and hang-up come at the same time, nobody behind it waits for ever."""

    async def main() -> None:
        calls, turns = Calls(), RequestTurns(worker_pool.signing, 1)
        tasks = [asyncio.create_task(turns.answered(calls.call(one))) for one in range(3)]
        await begun(calls, 1)
        turns._next()  # a place becomes free, the second gets it,
        tasks[1].cancel()  # and is gone before it sees that
        await asyncio.wait_for(begun(calls, 2), 60)
        assert calls.begun == [0, 2]
        calls.may_end.set()
        assert await asyncio.wait_for(asyncio.gather(tasks[0], tasks[2]), 60) == [DONE] * 2
        assert tasks[1].cancelled()

    asyncio.run(main())
