"""Questions to an OPA server that go together: those that find every connection busy share the next one.

Nobody waits for company: a question that finds a connection free goes alone and at once.
"""

from __future__ import annotations

import threading
from collections import deque
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from rapidjws._scheduler import scheduler

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

BATCH_MAX: Final = 64
"""Most questions that go together."""
BATCH_MAX_BYTES: Final = 1024 * 1024
"""Most bytes of their inputs."""
ALONE: Final = object()
"""The answer to a question that must be asked by itself: the one to all of them holds none for it."""
LATE: Final = object()
"""What there is where no answer came in time."""


class _Question:
    """A question whose thread waits: for its answer, or to ask for itself and others."""

    __slots__ = ("answer", "asks", "deadline", "octets", "woken")

    def __init__(self, octets: bytes, deadline: float) -> None:
        self.octets, self.deadline = octets, deadline
        self.answer: Any = LATE
        self.asks = False
        self.woken = threading.Event()


class OPABatches:
    """The questions of one policy.

    Args:
        send: Asks several questions by their inputs, within a deadline, and returns an answer to each, in
            order. What it raises becomes ``LATE`` for each.
        at_once: How many calls of it there may be at once.
    """

    __slots__ = ("__weakref__", "_asking", "_at_once", "_lock", "_send", "_waiting")

    def __init__(self, send: Callable[[Sequence[bytes], float], Sequence[Any]], at_once: int) -> None:
        self._send, self._at_once = send, at_once
        self.after_fork()
        scheduler.members.add(self)

    def after_fork(self) -> None:
        """Forget questions whose threads are not in a forked child."""
        self._lock = threading.Lock()
        self._waiting: deque[_Question] = deque()
        self._asking = 0

    def ask(self, octets: bytes, deadline: float) -> Any:
        """Return the answer to a question, ``ALONE``, or ``LATE``; waits until the deadline at most.

        Args:
            octets: The input, as JSON.
            deadline: On the monotonic clock, in seconds.
        """
        mine = _Question(octets, deadline)
        with self._lock:
            if self._asking < self._at_once:
                self._asking += 1
                mine.asks = True
            else:
                self._waiting.append(mine)
        if not mine.asks:
            mine.woken.wait(max(0.0, deadline - monotonic()))
            with self._lock:
                if not mine.asks and mine in self._waiting:  # nobody took it: too late
                    self._waiting.remove(mine)
            if not mine.asks:
                return mine.answer
        self._ask_for_all(mine)
        return mine.answer

    def _ask_for_all(self, mine: _Question) -> None:
        """Ask for this question and for those that wait, and let the latest that waits ask after that.

        The latest has most time left, and what is sent has its deadline: a question with little time left
        cuts nobody else's short, as its own thread waits no longer than for itself.
        """
        together = [mine]
        try:
            with self._lock:
                size = len(mine.octets)
                while self._waiting and len(together) < BATCH_MAX:
                    size += len(self._waiting[0].octets)
                    if size > BATCH_MAX_BYTES:
                        break
                    together.append(self._waiting.popleft())
            answers = self._send([one.octets for one in together], mine.deadline)
            if len(answers) == len(together):
                for one, answer in zip(together, answers, strict=True):
                    one.answer = answer
        except Exception:  # no answer, in whatever way: each has LATE
            return
        finally:
            for one in together[1:]:
                one.woken.set()
            self._pass_on()

    def _pass_on(self) -> None:
        with self._lock:
            if self._waiting:
                latest = self._waiting.pop()
                latest.asks = True
                latest.woken.set()
            else:
                self._asking -= 1
