"""A queue for a background thread, made on first use, so that it is of the class that is right by then."""

from __future__ import annotations

import queue
from typing import Generic, TypeVar

T = TypeVar("T")


class LazyQueue(Generic[T]):
    """A ``queue.SimpleQueue``, made on first use: gevent may put its own class in place after a fork."""

    __slots__ = ("_made",)

    def __init__(self) -> None:
        self._made: list[queue.SimpleQueue[T]] = []

    def get(self) -> queue.SimpleQueue[T]:
        """Return the queue, the same one to all threads."""
        if not self._made:
            self._made.append(queue.SimpleQueue())
        return self._made[0]  # where two threads made one, the first
