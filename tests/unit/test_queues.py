"""Queues made on first use: one for all threads, of the class that is in place by then."""

from __future__ import annotations

import queue
import threading
from typing import Any

import pytest

from rapidjws._queues import LazyQueue


def test_the_class_is_that_of_the_first_use(monkeypatch: pytest.MonkeyPatch) -> None:
    """gevent may put its own class in place after the queue's owner was made."""

    class Other:
        pass

    made: LazyQueue[int] = LazyQueue()
    monkeypatch.setattr(queue, "SimpleQueue", Other)
    assert isinstance(made.get(), Other)


def test_it_is_the_same_queue_each_time() -> None:
    """What one thread puts, another gets."""
    made: LazyQueue[int] = LazyQueue()
    assert made.get() is made.get()
    made.get().put(1)
    assert made.get().get(timeout=60) == 1


def test_two_threads_that_make_one_at_once_share_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both find none, both make one: the first that was kept is everybody's."""
    both = threading.Barrier(2, timeout=60)
    real = queue.SimpleQueue

    def slowly() -> Any:
        both.wait()
        return real()

    monkeypatch.setattr(queue, "SimpleQueue", slowly)
    made: LazyQueue[int] = LazyQueue()
    found: list[Any] = []
    threads = [threading.Thread(target=lambda: found.append(made.get())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(made._made) == 2
    assert made.get() is made.get() is made._made[0]
