"""The shadow comparison: an incumbent verifier sees the same tokens, and where it disagrees is counted.

It runs after the decision, on threads of its own, and its word changes nothing. What this never does: wait
for the incumbent, hand it more than a copy of the token, or keep a token or a message once it has answered.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import os
import sys
import threading
import weakref
from collections import deque
from functools import partial
from random import SystemRandom
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from rapidjws._checks import checked
from rapidjws.errors import error_for
from rapidjws.rollout.shadow_causes import Causes, Verdict, outcome_of, verdict_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from rapidjws.verify.snapshot import Token

    Incumbent = Callable[[str], object] | Callable[[str], Awaitable[object]]
    Report = Callable[[str], None]

TOKEN_MAX_BYTES: Final = 64 * 1024
WAITING_MAX: Final = 64
"""Tokens that wait for the incumbent; more are skipped."""

CONCURRENT_MAX: Final = 64
IDLE_S: Final = 10.0
"""Seconds without a token after which a thread ends."""

_chance = SystemRandom().random  # the application's own generator, which it may have seeded, is left alone


def _between(place: str, value: object, least: float, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= most:
        raise error_for("configuration_invalid", f"shadow.{place}", expected=f"{least} to {most}")
    return value


class _Call:
    """One call of the incumbent, from request to report, once."""

    __slots__ = ("begun_s", "ours", "report", "token")

    def __init__(self, token: str, ours: str, report: Report) -> None:
        self.token = token
        self.ours = ours
        self.report: Report | None = report
        self.begun_s: float | None = None


class Shadow:
    """An incumbent verifier beside ours; where they disagree is counted by code; hand it to ``Rollout``.

    A call that outlasts its time counts as late and its answer is dropped; nobody can end a thread: it keeps
    its place among the concurrent ones until it returns. What finds no place is skipped, and reported.

    Args:
        incumbent: Takes the token as text; raises for a bad one, or returns False or None. May be async: then
            one event loop on one thread runs all its calls.
        sample: The share of tokens compared, 0 to 1.
        timeout_s: Time for one call, in seconds.
        concurrent: Most calls at once, those that outlast their time among them.
        per_second: Most calls begun in a second: an incumbent in Python shares this process's interpreter.
        causes: Name of an exception class of the incumbent's -> our codes that mean the same, beside
            ``CAUSES``; an empty tuple for one that is no verdict but an outage.
        chance: Gives a number from 0 to below 1, for sampling.
        clock: Gives seconds that never run backwards.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """

    __slots__ = (
        "__weakref__", "_allowance", "_asynchronous", "_causes", "_chance", "_clock", "_concurrent",
        "_filled_s", "_idle", "_incumbent", "_lock", "_loop", "_per_second", "_running", "_sample",
        "_threads", "_timeout_s", "_waiting",
    )  # fmt: skip

    @checked(under="shadow", but=("incumbent",))
    def __init__(
        self,
        incumbent: Incumbent,
        *,
        sample: float = 1.0,
        timeout_s: float = 1.0,
        concurrent: int = 2,
        per_second: int = 100,
        causes: Mapping[str, Causes] | None = None,
        chance: Callable[[], float] = _chance,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        if not callable(incumbent):
            raise error_for("configuration_invalid", "shadow.incumbent", expected="a callable")
        self._incumbent = incumbent
        self._asynchronous = inspect.iscoroutinefunction(incumbent) or inspect.iscoroutinefunction(
            getattr(incumbent, "__call__", None)  # noqa: B004 (an object whose call is async)
        )
        self._sample = _between("sample", sample, 0, 1)
        self._timeout_s = _between("timeout_s", timeout_s, 0.001, 3600)
        self._concurrent = int(_between("concurrent", concurrent, 1, CONCURRENT_MAX))
        self._per_second = int(_between("per_second", per_second, 1, 1_000_000))
        self._causes = dict(causes or {})
        self._chance = chance
        self._clock = clock
        self._begin()
        if sys.platform != "win32":
            os.register_at_fork(after_in_child=partial(_renew, weakref.ref(self)))

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._idle = threading.Condition(self._lock)
        self._waiting: deque[_Call] = deque()
        self._running: set[_Call] = set()
        self._threads = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._allowance = float(self._per_second)
        self._filled_s = self._clock()

    def forked(self) -> None:
        """Begin anew in a worker: threads do not come along."""
        self._begin()

    # --- on the way of a request -------------------------------------------------------------------------

    def offer(self, token: Token, ours: str, report: Report) -> None:
        """Have a token compared, some time soon, if it is its turn; never waits and never raises.

        Args:
            token: The token, as it was verified.
            ours: ``"ok"``, or our code.
            report: Called with the outcome in words, on another thread, or on this one for what is skipped.
        """
        if self._sample < 1 and self._chance() >= self._sample:
            return
        try:
            report_now = self._placed(token, ours, report)
        except Exception:  # no thread to be had, a token that is no text: beside the point of the request
            report_now = ["skipped"]
        for outcome in report_now:
            report(outcome)
        self.sweep()

    def _placed(self, token: Token, ours: str, report: Report) -> list[str]:
        if len(token) > TOKEN_MAX_BYTES:
            return ["skipped"]
        with self._lock:
            if not self._is_allowed() or len(self._waiting) >= WAITING_MAX:
                return ["skipped"]
        text = token if isinstance(token, str) else bytes(token).decode("ascii")
        call = _Call(text, ours, report)
        with self._lock:
            self._waiting.append(call)
            self._idle.notify()
            short_handed = self._threads < (1 if self._asynchronous else self._concurrent)
            if short_handed:
                self._threads += 1
        if short_handed:
            work = self._serve_loop if self._asynchronous else self._serve
            try:
                threading.Thread(target=work, name="rapidjws-shadow", daemon=True).start()
            except Exception:  # RuntimeError: no thread to be had; MemoryError
                return self._taken_back(call)
        elif self._loop is not None:
            self._loop.call_soon_threadsafe(self._begin_tasks)
        return []

    def _taken_back(self, call: _Call) -> list[str]:
        with self._lock:
            self._threads -= 1
            if call not in self._waiting:  # another thread took it
                return []
            self._waiting.remove(call)
        return ["skipped"]

    def _is_allowed(self) -> bool:
        """Take one of this second's calls, if there is one left."""
        now_s = self._clock()
        gained = max(0.0, now_s - self._filled_s) * self._per_second
        self._allowance = min(float(self._per_second), self._allowance + gained)
        self._filled_s = now_s
        if self._allowance < 1:
            return False
        self._allowance -= 1
        return True

    def sweep(self) -> None:
        """Tell of calls that outlast their time."""
        if not self._running:
            return
        late_s = self._clock() - self._timeout_s
        with self._lock:
            late = [call for call in self._running if call.begun_s is not None and call.begun_s < late_s]
        for call in late:
            self._report(call, "late")

    @checked
    def wait_idle(self, wait_s: float = 5.0) -> bool:
        """Wait, within a bound, until nothing waits and each call has answered or is late.

        Returns:
            Whether that is so.
        """
        end_s = monotonic() + wait_s
        while True:
            self.sweep()
            with self._lock:
                busy = bool(self._waiting) or any(call.report is not None for call in self._running)
            if not busy or monotonic() >= end_s:
                return not busy
            threading.Event().wait(0.005)

    # --- on threads of its own ---------------------------------------------------------------------------

    def _serve(self) -> None:
        while True:
            with self._lock:
                if not self._waiting and not self._idle.wait_for(lambda: self._waiting, IDLE_S):
                    self._threads -= 1
                    return
                call = self._taken()
            try:
                found: Any = self._incumbent(call.token)
                if inspect.isawaitable(found):  # of a callable that did not look async
                    found = asyncio.run(_awaited(found))
                verdict = verdict_of(found)
            except BaseException as fault:  # SystemExit and its like end nothing but this call
                verdict = verdict_of(fault, raised=True, causes=self._causes)
            self._answered(call, verdict)
            found = call = None  # type: ignore[assignment]

    def _serve_loop(self) -> None:
        try:
            loop = asyncio.new_event_loop()
        except Exception:  # no descriptor, no memory: the next token tries again
            with self._lock:
                self._threads -= 1
                skipped = list(self._waiting)
                self._waiting.clear()
            for call in skipped:
                self._report(call, "skipped")
            return
        loop.set_exception_handler(lambda *_: None)
        loop.call_soon(self._begin_tasks)
        self._loop = loop
        try:
            loop.run_forever()
        finally:
            loop.close()

    def _begin_tasks(self) -> None:
        """Begin as many calls as there is room for; on the loop's thread."""
        while True:
            with self._lock:
                if not self._waiting or len(self._running) >= self._concurrent:
                    return
                call = self._taken()
            task = asyncio.ensure_future(self._awaited(call))
            timer = asyncio.get_running_loop().call_later(self._timeout_s, self._give_up, call, task)
            task.add_done_callback(partial(_cancel, timer))  # which would keep the token until then

    async def _awaited(self, call: _Call) -> None:
        try:
            found: Any = self._incumbent(call.token)
            verdict = verdict_of(await found)
        except BaseException as fault:  # one call's end, a cancellation among them, is not the loop's
            verdict = verdict_of(fault, raised=True, causes=self._causes)
        self._answered(call, verdict)
        self._begin_tasks()

    def _give_up(self, call: _Call, task: asyncio.Future[None]) -> None:
        if not task.done():
            self._report(call, "late")
            task.cancel()

    # --- telling -----------------------------------------------------------------------------------------

    def _taken(self) -> _Call:
        """Take the next call that waits; the lock is held."""
        call = self._waiting.popleft()
        call.begun_s = self._clock()
        self._running.add(call)
        return call

    def _answered(self, call: _Call, verdict: Verdict) -> None:
        if self._clock() - (call.begun_s or 0.0) > self._timeout_s:
            self._report(call, "late")
        else:
            self._report(call, outcome_of(call.ours, verdict))
        with self._lock:
            self._running.discard(call)

    def _report(self, call: _Call, outcome: str) -> None:
        with self._lock:
            report, call.report = call.report, None
        if report is not None:
            with contextlib.suppress(Exception):
                report(outcome)


def _cancel(timer: asyncio.TimerHandle, task: asyncio.Future[None]) -> None:
    timer.cancel()


async def _awaited(found: Awaitable[object]) -> object:
    return await found


def _renew(shadow: weakref.ref[Shadow]) -> None:
    found = shadow()
    if found is not None:
        found.forked()
