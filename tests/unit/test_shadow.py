"""The shadow comparison: real PyJWT beside this package, and incumbents that hang, crash and lie."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from incumbent import AUDIENCE, agreeing, differing, pyjwt
from processes import run_python
from rollouts import NOW_S, good, rollout

import rapidjws
from rapidjws.rollout import Partner, Shadow
from rapidjws.rollout.shadow import TOKEN_MAX_BYTES, WAITING_MAX, _Call
from rapidjws.rollout.shadow_causes import outcome_of, verdict_of
from rapidjws.testing import FakeIssuer

ISSUER = FakeIssuer("https://a.example", "ES256")
BOUND_S = 60.0
"""Longest wait for what ought to happen at once."""


def compared(shadow: Shadow) -> rapidjws.Engine:
    """Return an engine with a rollout in detection that compares."""
    policy = rollout(Partner(name="a"), phase="detection", shadow=shadow)
    policy.promote(by="ann", route="/pay")
    rules = rapidjws.Issuer(ISSUER.iss, keys=ISSUER.jwks, algorithms=["ES256"], audience=AUDIENCE)
    return rapidjws.Engine(rules, rollout=policy)


def counted(of: rapidjws.Engine, key: tuple[str, str] = ("a", "")) -> dict[str, int]:
    """Return what was counted of the comparison."""
    row = of.rollout.evidence.rows().get(key)  # type: ignore[union-attr]
    return {} if row is None else {outcome: seen[0] for outcome, seen in row.shadow.items()}


def wait_until(true: Callable[[], bool]) -> None:
    """Wait until something holds, within a generous bound."""
    end_s = time.monotonic() + BOUND_S
    while not true():
        assert time.monotonic() < end_s
        time.sleep(0.005)


@pytest.mark.parametrize("how", ["sync", "async", "hidden"])
def test_pyjwt_is_compared_by_code(how: str) -> None:
    """Each token on which PyJWT is known to differ is counted as it differs; the others agree."""
    decode = pyjwt(ISSUER)

    async def adecode(token: str) -> object:
        await asyncio.sleep(0)
        return decode(token)

    incumbents: dict[str, Any] = {"sync": decode, "async": adecode, "hidden": lambda token: adecode(token)}
    shadow = Shadow(incumbents[how], timeout_s=BOUND_S, per_second=10_000)
    of = compared(shadow)
    now_s = int(time.time())
    tokens = differing(ISSUER, now_s)
    assert {outcome.partition(" ")[0] for outcome in tokens} == {
        "theirs_accepts",
        "ours_accepts",
        "causes_differ",
    }
    for token in (*tokens.values(), *agreeing(ISSUER, now_s)):
        of.decide(token, partner="a")
        assert shadow.wait_idle(BOUND_S)
    of.decide(tokens["theirs_accepts unknown_kid"].encode(), partner="a", route="/pay/1")
    of.decide(tokens["theirs_accepts unknown_kid"], partner="stranger")
    assert shadow.wait_idle(BOUND_S)
    assert counted(of) == {**dict.fromkeys(tokens, 1), "agree": len(agreeing(ISSUER, now_s))}
    assert counted(of, ("", "/pay")) == {}
    assert counted(of, ("a", "/pay")) == {"theirs_accepts unknown_kid": 1}
    assert counted(of, ("", "")) == {"theirs_accepts unknown_kid": 1}


def test_requests_without_a_verdict_on_a_token_are_not_compared() -> None:
    """Neither a missing token nor one that nothing is known about is shown to the incumbent."""
    asked: list[str] = []
    shadow = Shadow(asked.append, timeout_s=BOUND_S)
    policy = rollout(phase="detection", shadow=shadow)
    none = rapidjws.errors.error_for("keys_unavailable")
    for token, error in (("a.b.c", none), (None, rapidjws.errors.error_for("missing_token"))):
        policy.decide(error, token=token, partner=None, route=None, now_ns=NOW_S * 10**9, elapsed_ns=1)
    assert shadow.wait_idle(BOUND_S)
    assert asked == []


class Odd(Exception):
    """Quote the token in everything it shows."""

    def __init__(self, token: str) -> None:
        super().__init__(token)

    __repr__ = __str__ = lambda self: "".join(map(str, self.args))


def raising(what: Callable[[str], BaseException], token: str) -> object:
    """Raise something."""
    raise what(token)


@pytest.mark.parametrize(
    ("what", "outcome"),
    [
        (Odd, "ours_accepts Odd"),
        (lambda token: SystemExit(token), "failed SystemExit"),
        (lambda token: KeyboardInterrupt(), "failed KeyboardInterrupt"),
        (lambda token: GeneratorExit(), "failed GeneratorExit"),
        (lambda token: MemoryError(), "failed MemoryError"),
        (lambda token: ConnectionError(token), "failed ConnectionError"),
        (lambda token: asyncio.CancelledError(token), "failed CancelledError"),
        (lambda token: RecursionError(), "ours_accepts RecursionError"),
        (lambda token: type("A\x1b[31m" + "b" * 99, (Exception,), {})(token),
         "ours_accepts A\\x1b[31m" + "b" * 52 + "..."),
    ],
)  # fmt: skip
@pytest.mark.parametrize("asynchronous", [False, True])
def test_whatever_is_raised_harms_nothing(
    what: Callable[[str], BaseException], outcome: str, asynchronous: bool
) -> None:
    """An incumbent may raise anything: it is counted by a safe name, and the next call works."""
    calls = iter([what, what])

    def sync(token: str) -> object:
        found = next(calls, None)
        return "fine" if found is None else raising(found, token)

    async def later(token: str) -> object:
        return sync(token)

    shadow = Shadow(later if asynchronous else sync, timeout_s=BOUND_S, concurrent=1)
    of = compared(shadow)
    for _ in range(3):
        assert of.decide(good(ISSUER), partner="a", now=NOW_S).code == "ok"
        assert shadow.wait_idle(BOUND_S)
    assert counted(of) == {outcome: 2, "agree": 1}


def test_no_token_outlives_its_comparison() -> None:
    """Once the incumbent has answered, nothing of the token is left with us, be it raised or returned."""
    token = good(ISSUER)
    payload = token.split(".")[1]

    async def later(text: str) -> object:
        raise Odd(text)

    for incumbent in (partial(raising, Odd), lambda text: {"token": text}, later):
        shadow = Shadow(incumbent, timeout_s=BOUND_S)
        of = compared(shadow)
        of.decide(token, partner="a", now=NOW_S)
        assert shadow.wait_idle(BOUND_S)
        wait_until(lambda shadow=shadow: not shadow._running)  # type: ignore[misc]
        gc.collect()
        kept = [one for one in gc.get_objects() if type(one) is _Call or type(one) is Odd]
        shown = [f"{getattr(one, 'token', '')} {getattr(one, 'args', '')}" for one in kept]
        assert not any(token in text for text in shown)
        assert payload not in repr(of.rollout.evidence.counts().members())  # type: ignore[union-attr]


def test_hanging_incumbent_is_late_bounded_and_not_waited_for() -> None:
    """Calls that hang are reported as late once, hold their places, and never hold up a decision."""
    release = threading.Event()
    most, now = [0, 0], threading.Lock()

    def hang(token: str) -> bool:
        with now:
            most[0] += 1
            most[1] = max(most)
        release.wait(BOUND_S)
        with now:
            most[0] -= 1
        return True

    shadow = Shadow(hang, timeout_s=0.05, concurrent=3, per_second=1_000_000)
    of = compared(shadow)
    try:
        begun_s = time.monotonic()
        for _ in range(200):
            assert of.decide(good(ISSUER), partner="a", now=NOW_S).code == "ok"
        assert time.monotonic() - begun_s < BOUND_S / 4  # none of them waited for the incumbent
        wait_until(lambda: (shadow.sweep(), counted(of).get("late"))[1] == 3)
        found = counted(of)
        assert found["skipped"] >= 200 - 3 - WAITING_MAX
        assert set(found) == {"late", "skipped"}
    finally:
        release.set()
    assert shadow.wait_idle(BOUND_S)
    assert most[1] <= 3
    found = counted(of)
    assert sum(found.values()) == 200
    assert found["late"] >= 3


@pytest.mark.parametrize("stubborn", [False, True])
def test_hanging_async_incumbent(stubborn: bool) -> None:
    """A coroutine that hangs is cancelled at its time; one that will not be cancelled keeps its place."""
    release = asyncio.Event()

    async def hang(token: str) -> bool:
        if token.endswith("quick"):
            return True
        while stubborn and not release.is_set():
            try:
                await asyncio.sleep(BOUND_S)
            except asyncio.CancelledError:
                continue
        await asyncio.sleep(BOUND_S)
        return True

    reported: list[str] = []
    shadow = Shadow(hang, timeout_s=0.05, concurrent=2)
    for _ in range(2):
        shadow.offer("a.b.c", "ok", reported.append)
    wait_until(lambda: reported == ["late", "late"])
    shadow.offer("quick", "ok", reported.append)
    if stubborn:
        time.sleep(0.1)
        assert reported == ["late", "late"]
        assert len(shadow._running) == 2
    else:
        shadow.wait_idle(BOUND_S)
        wait_until(lambda: (shadow.offer("quick", "ok", reported.append), "agree" in reported)[1])


def test_idle_threads_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that nothing comes to ends, and the next token has one again."""
    monkeypatch.setattr("rapidjws.rollout.shadow.IDLE_S", 0.01)
    reported: list[str] = []
    shadow = Shadow(lambda token: True, timeout_s=BOUND_S)
    for number in range(1, 4):
        shadow.offer("a.b.c", "ok", reported.append)
        wait_until(lambda number=number: len(reported) == number and shadow._threads == 0)  # type: ignore[misc]
    assert reported == ["agree"] * 3


def test_incumbent_gets_a_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A buffer that the caller reuses is copied before it is shown; what the incumbent gets is text."""
    seen: list[object] = []
    gate = threading.Event()

    def look(token: str) -> bool:
        gate.wait(BOUND_S)
        seen.append(token)
        return True

    shadow = Shadow(look, timeout_s=BOUND_S)
    of = compared(shadow)
    token = good(ISSUER)
    buffer = bytearray(token, "ascii")
    assert of.decide(buffer, partner="a", now=NOW_S).code == "ok"
    buffer[:] = b"x" * len(buffer)
    gate.set()
    assert shadow.wait_idle(BOUND_S)
    assert seen == [token]


def test_sample_and_rate_bound_the_work() -> None:
    """Only the sampled share is shown, and no more a second than allowed; the rest is reported as skipped."""
    clock = [0.0]
    chances = iter([0.1, 0.5, 0.49, 0.9] * 25)
    reported: list[str] = []
    shadow = Shadow(lambda token: True, sample=0.5, timeout_s=BOUND_S, per_second=30,
                    chance=lambda: next(chances), clock=lambda: clock[0])  # fmt: skip
    for _ in range(100):
        shadow.offer("a.b.c", "ok", reported.append)
        assert shadow.wait_idle(BOUND_S)
    assert (reported.count("agree"), reported.count("skipped")) == (30, 20)
    clock[0] += 0.5
    chances = iter([0.0] * 20)
    for _ in range(20):
        shadow.offer("a.b.c", "ok", reported.append)
        assert shadow.wait_idle(BOUND_S)
    assert (reported.count("agree"), reported.count("skipped")) == (45, 25)
    none = Shadow(lambda token: reported.append("shown"), sample=0)
    none.offer("a.b.c", "ok", reported.append)
    assert none.wait_idle()
    assert "shown" not in reported


@pytest.mark.parametrize("token", ["x" * (TOKEN_MAX_BYTES + 1), b"\xff.\xff.\xff", 7])
def test_what_cannot_be_shown_is_skipped(token: Any) -> None:
    """A token too large, or no text at all, is skipped and never raises."""
    reported: list[str] = []
    Shadow(lambda text: True).offer(token, "ok", reported.append)
    assert reported == ["skipped"]


def test_no_thread_to_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no thread can be started the decision stands and the comparison is skipped."""

    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    shadow = Shadow(lambda token: True, timeout_s=BOUND_S)
    of = compared(shadow)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        assert of.decide(good(ISSUER), partner="a", now=NOW_S).code == "ok"
    assert counted(of) == {"skipped": 1}
    of.decide(good(ISSUER), partner="a", now=NOW_S)
    assert shadow.wait_idle(BOUND_S)
    assert counted(of) == {"skipped": 1, "agree": 1}


@pytest.mark.skipif(sys.platform == "win32", reason="no fork")
def test_forked_worker_compares_anew() -> None:
    """A forked worker, whose parent's threads did not come along, compares on threads of its own."""
    code = """
from rapidjws.rollout import Shadow
reported = []
shadow = Shadow(lambda token: True, timeout_s=60)
shadow.offer("a.b.c", "ok", reported.append)
assert shadow.wait_idle(60)
child = os.fork()
if child == 0:
    reported.clear()
    shadow.offer("a.b.c", "ok", reported.append)
    os._exit(0 if shadow.wait_idle(60) and reported == ["agree"] else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert run_python(code) == "0\n"


def test_outcomes_in_words() -> None:
    """What an incumbent returns or raises has one meaning beside each of our codes."""

    class Expired(jwt_error("ExpiredSignatureError")):  # type: ignore[misc]
        """A subclass of a known exception."""

    assert outcome_of("ok", verdict_of({"sub": "x"})) == "agree"
    assert outcome_of("ok", verdict_of(True)) == outcome_of("ok", verdict_of({})) == "agree"
    assert outcome_of("ok", verdict_of(False)) == "ours_accepts returned_nothing"
    assert outcome_of("expired", verdict_of(None)) == "causes_differ expired returned_nothing"
    assert outcome_of("expired", verdict_of(True)) == "theirs_accepts expired"
    assert outcome_of("expired", verdict_of(Expired(), raised=True)) == "agree"
    assert outcome_of("revoked", verdict_of(Expired(), raised=True)) == "causes_differ revoked Expired"
    own = {"Odd": ("expired",), "TimeoutError": ("expired",), "Expired": ()}
    assert outcome_of("expired", verdict_of(Odd("x"), raised=True, causes=own)) == "agree"
    assert outcome_of("expired", verdict_of(Expired(), raised=True, causes=own)) == "failed Expired"


def jwt_error(name: str) -> type[Exception]:
    """Return one of PyJWT's exceptions."""
    import jwt

    found: type[Exception] = getattr(jwt, name)
    return found


@pytest.mark.parametrize("arguments", [
    {"sample": 2}, {"sample": float("nan")}, {"sample": True}, {"timeout_s": 0}, {"concurrent": 0},
    {"concurrent": 1000}, {"per_second": 0}, {"incumbent": "jwt.decode"},
])  # fmt: skip
def test_arguments_are_checked(arguments: dict[str, Any]) -> None:
    """A comparison that cannot be meant is refused."""
    with pytest.raises(rapidjws.ConfigurationError):
        Shadow(**{"incumbent": lambda token: True, **arguments})
    assert os.getpid()
