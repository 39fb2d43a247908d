"""Decisions where the policy, the batch or a part of the sidecar fails: indeterminate, and nobody else's."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import forms
import pytest
from rollouts import ISSUER, NOW_S, engine, forged, good, rollout
from thread_faults import failing_starts

import rapidjws
from rapidjws import _native
from rapidjws.jwt.decision import Decision, plain_decision
from rapidjws.jwt.post_checks import PostChecks
from rapidjws.verify import parallel, worker_pool
from rapidjws.verify.pipeline import Snapshot

FAULTS = [RuntimeError, MemoryError, StopIteration, KeyError, rapidjws.TokenRefused("expired")]


class Policy:
    """A policy whose parts can be made to fail.

    Args:
        fails: Part -> what it raises.
    """

    def __init__(self, **fails: Any) -> None:
        self.fails = fails

    def retry_at_ns(self, refused: Any, partner: str | None, now_ns: int) -> int | None:
        """Give expired tokens another look, an hour earlier."""
        if "retry_at_ns" in self.fails:
            raise self.fails["retry_at_ns"]
        return now_ns - 3600 * 10**9 if refused.code == "expired" else None

    def decide(self, settled: Any, **asked: Any) -> Any:
        """Decide as an engine without a policy does."""
        if "decide" in self.fails:
            raise self.fails["decide"]
        return plain_decision(settled, partner=asked["partner"], route=asked["route"])


def decided(one: rapidjws.Engine, way: str, token: str | None, now: Any = NOW_S) -> Decision:
    """Return the decision on a token, by one of the three ways."""
    if way == "decide_many":
        first, decision, last = one.decide_many(
            [(None, None, None), (token, "p", "/r"), (None, None, None)], now=now
        )
        assert {first.code, last.code} <= {"missing_token", "internal_error"}
        return decision
    call = getattr(one, way)(token, partner="p", route="/r", now=now)
    return asyncio.run(call) if way == "adecide" else call


WAYS = ["decide", "adecide", "decide_many"]


@pytest.mark.parametrize("part", ["retry_at_ns", "decide"])
@pytest.mark.parametrize("fault", FAULTS, ids=str)
@pytest.mark.parametrize("way", WAYS)
def test_A1_decide_never_raises(part: str, fault: Any, way: str) -> None:
    """Whatever part of a policy raises: indeterminate where that had a say, and right everywhere else."""
    late = good(exp=NOW_S - 100, iat=NOW_S - 9000)
    one = engine()
    one.rollout = Policy(**{part: fault})
    for token in (late, good(), forged(), None):
        decision = decided(one, way, token)
        if part == "retry_at_ns" and decision.verified is not None:
            assert token not in (late, None)
            assert decision.verified.claims["iat"] == NOW_S
            continue
        assert (decision.outcome, decision.code) == ("indeterminate", "internal_error")
        assert (decision.partner, decision.route) == ("p", "/r")
    one.rollout = Policy()
    assert [decided(one, way, token).code for token in (late, good(), None)] == ["ok", "ok", "missing_token"]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("now", ["soon", float("nan"), float("inf"), object()])
def test_A1_whatever_is_asked(way: str, now: Any) -> None:
    """A time that is none makes a decision indeterminate, with a policy and without."""
    one = engine()
    for policy in (None, rollout(), Policy()):
        one.rollout = policy
        decision = decided(one, way, good(), now)
        assert (decision.outcome, decision.verified) == ("indeterminate", None)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("given", [None, True, "permit", SimpleNamespace(outcome="permit")])
def test_A1_a_policy_that_gives_no_decision(way: str, given: Any) -> None:
    """What is no Decision is never handed on for one."""
    one = engine()
    one.rollout = SimpleNamespace(retry_at_ns=lambda *_: None, decide=lambda *_, **__: given)  # type: ignore[assignment]
    decision = decided(one, way, good())
    assert (decision.outcome, decision.code) == ("indeterminate", "internal_error")


@pytest.mark.parametrize("phase", ["detection", "enforcement"])
def test_A1_a_rollout_with_a_failing_partner(phase: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A real rollout whose second look fails decides by its phase about what is then not known."""
    policy = rollout(phase=phase)
    monkeypatch.setattr(type(policy), "retry_at_ns", lambda *_: 1 // 0)
    decision = engine(policy).decide(good(exp=NOW_S - 100), now=NOW_S)
    assert (decision.code, decision.verdict) == ("internal_error", "indeterminate")
    assert decision.verified is None


def spoiled(results: list[Any], at: int) -> list[Any]:
    """Return a list of results in one of the ways it can be wrong."""
    return [results[1:], [*results, results[0]], [], results[:-1]][at]


STEPS = {
    "engine": (rapidjws.Engine, "_verify_together"),
    "batch": (parallel, "verify_many"),
    "post checks": (PostChecks, "run_all"),
    "chunk": (parallel, "verify_chunk"),
    "core": (Snapshot, "verify_list"),
}
"""The steps of a batch, the outermost first: where its results can be spoiled."""


def spoil(monkeypatch: pytest.MonkeyPatch, step: str, change: Callable[[Any], Any]) -> list[str]:
    """Change what a step of a batch returns; return the list of its calls so far."""
    owner, name = STEPS[step]
    real, calls = getattr(owner, name), []

    def spoiled_step(*args: Any, **options: Any) -> Any:
        calls.append(step)
        return change(real(*args, **options))

    monkeypatch.setattr(owner, name, spoiled_step, raising=name != "verify_list")  # a base class has that
    return calls


def mixed_requests() -> list[tuple[str | None, None, None]]:
    """Return requests with and without tokens, of which the first and the last token are good."""
    return [(token, None, None) for token in (None, good(), None, forged(), good(exp=NOW_S - 100), good())]


MIXED = ["missing_token", "ok", "missing_token", "signature_invalid", "expired", "ok"]


@pytest.mark.parametrize("at", range(4))
@pytest.mark.parametrize("step", STEPS)
def test_S14_decide_many_places_by_index(step: str, at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch of another length than asked for is nobody's: each decision is indeterminate."""
    one = engine()
    one.revoke(jti="another")  # so that there are post checks
    calls = spoil(monkeypatch, step, lambda results: spoiled(results, at))
    found = [decision.code for decision in one.decide_many(mixed_requests(), now=NOW_S)]
    assert calls, "the fault was injected"
    lost = ["internal_error" if code != "missing_token" else code for code in MIXED]
    assert found == (MIXED if step == "core" else lost)  # what the core lost is verified one by one


@pytest.mark.parametrize("at", range(4))
@pytest.mark.parametrize("step", ["post checks", "chunk"])
def test_S14_verify_many_keeps_its_length(step: str, at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a step gives another number of results than tokens, each token is refused, and none is absent."""
    one = engine()
    one.revoke(jti="another")
    calls = spoil(monkeypatch, step, lambda results: spoiled(results, at))
    found = one.verify_many([good(), forged(), good()], NOW_S)
    assert calls, "the fault was injected"
    assert [isinstance(result, rapidjws.Rejected) and result.code for result in found] == [
        "internal_error"
    ] * 3


@pytest.mark.parametrize("fault", [MemoryError, RuntimeError, KeyError, rapidjws.TokenRefused("expired")])
@pytest.mark.parametrize("step", STEPS)
def test_S14_a_step_that_raises_moves_no_verdict(
    step: str, fault: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever step of a batch raises, each request has its own verdict or none."""

    def failing(results: Any) -> Any:
        raise fault

    one = engine()
    one.revoke(jti="another")  # so that there are post checks
    calls = spoil(monkeypatch, step, failing)
    found = [decision.code for decision in one.decide_many(mixed_requests(), now=NOW_S)]
    assert calls, "the fault was injected"
    undone = ["internal_error" if code == "ok" else code for code in MIXED]  # a use may have been recorded
    assert found == (undone if step == "post checks" else MIXED)


class Connection:
    """What a worker answers to: it notes each answer."""

    target_of = staticmethod(lambda rest: None)

    def __init__(self, broken: bool = False) -> None:
        self.broken = broken
        self.answers: list[str] = []
        self.ended = 0

    def write(self, octets: bytes, *, keep: bool) -> None:
        """Take a reply."""
        if self.broken:
            raise BrokenPipeError
        self.answers.append(octets.split(b" ", 2)[1].decode())

    def answer_decision(self, state: Any, decision: Any, request: Any, _: Any) -> None:
        """Write the reply."""
        self.write(state.replies.reply(decision, request[2]), keep=True)

    def answer_other(self, *request: Any) -> None:
        """Take the answer to another path."""
        self.answers.append("other")

    def hang_up(self, status: int) -> None:
        """Take a bare status."""
        self.answers.append(str(status))

    def close(self) -> None:
        """Close."""
        self.answers.append("closed")

    def answered(self) -> None:
        """Note the end of a request."""
        self.ended += 1


class Loop:
    """An event loop that refuses callbacks where it is reported to."""

    def __init__(self, *refused: int) -> None:
        self._refused = refused
        self._numbers = itertools.count()
        self.callbacks: list[Any] = []

    def call_soon(self, callback: Any) -> object:
        """Take a callback, or raise."""
        if next(self._numbers) in self._refused:
            raise MemoryError
        self.callbacks.append(callback)
        return callback


@pytest.fixture(name="public")
def _public() -> Any:
    pytest.importorskip("httptools", reason="the extra `server` is not installed")
    from rapidjws.sidecar.app import SidecarApp
    from rapidjws.sidecar.change_bus import ChangeBus
    from rapidjws.sidecar.protocol import PublicListener
    from rapidjws.sidecar.settings import ServerSettings

    policy, change_bus = rollout(), ChangeBus(1)
    app = SidecarApp(engine=engine(policy), rollout=policy)
    yield PublicListener(app, ServerSettings(), change_bus, index=0, seen=change_bus.counters())
    change_bus.close()


def request(token: str | None) -> Any:
    """Return a request as the protocol gathers it."""
    headers = [] if token is None else [(b"authorization", b"Bearer " + token.encode())]
    return (b"/verify", headers, b"GET", b"", True)


def gathered(public: Any, count: int) -> list[tuple[Connection, str]]:
    """Gather so many requests, good and bad in turn, with what each is to get."""
    made: list[tuple[Connection, str]] = []
    current = ISSUER.token(ISSUER.claims(int(time.time())))  # a flush goes by the wall clock
    for number in range(count):
        token, status = [(None, "401"), (forged(), "401"), (current, "200")][number % 3]
        made.append((Connection(), status))
        public._batch.append((made[-1][0], b"", request(token)))
    return made


@pytest.mark.parametrize("fault", [RuntimeError, MemoryError, StopIteration])
@pytest.mark.parametrize("part", ["sync", "decision_request", "decide_many", "decide", "short", "reply"])
def test_S14_flush_answers_every_request(
    part: str, fault: type[Exception], public: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever part of a flush fails, each request has one answer: its own, or a 500."""
    calls: list[str] = []

    def failing(*_: Any, **__: Any) -> Any:
        calls.append(part)
        raise fault

    def failing_at_times(self: rapidjws.Engine, *given: Any, **named: Any) -> Any:
        calls.append(part)
        if len(calls) == 10:
            raise fault
        return real_decide(self, *given, **named)

    def short(self: rapidjws.Engine, asked: Any, **named: Any) -> Any:
        calls.append(part)
        return real(self, asked, **named)[1:]

    real, real_decide = rapidjws.Engine.decide_many, rapidjws.Engine.decide
    made = gathered(public, 20)
    if part in ("sync", "decision_request"):
        monkeypatch.setattr(public, part, failing)
    elif part == "reply":
        monkeypatch.setattr(type(public.replies), "reply", failing)
    elif part == "short":
        monkeypatch.setattr(rapidjws.Engine, "decide_many", short)
    elif part == "decide":  # one by one, as where there is a cache
        monkeypatch.setattr(public.engine, "_cache", rapidjws.TokenCache())
        monkeypatch.setattr(rapidjws.Engine, part, failing_at_times)
    else:
        monkeypatch.setattr(rapidjws.Engine, part, failing)
    public.flush()
    assert calls, "the fault was injected"
    for one, status in made:
        assert (len(one.answers), one.ended) == (1, 1)
        assert one.answers[0] in (status, "500", "closed")
    monkeypatch.undo()
    again = gathered(public, 6)
    public.flush()
    assert [one.answers for one, _ in again] == [[status] for _, status in again]


def test_S14_flush_keeps_answers_apart(public: Any) -> None:
    """A connection that is gone, and a request for another path, move no answer to the next request."""
    made = [Connection(), Connection(broken=True), Connection(), Connection(), Connection()]
    current = request(ISSUER.token(ISSUER.claims(int(time.time()))))
    asked = [request(None), current, request(None), request(forged()), current]
    for one, rest, this in zip(made, [b"", b"", None, b"", b""], asked, strict=True):
        public._batch.append((one, rest, this))
    public.flush()
    assert [one.answers for one in made] == [["401"], ["closed"], ["other"], ["401"], ["200"]]


def test_S15_a_flush_that_cannot_be_planned(public: Any) -> None:
    """Where the loop takes no callback, the request fails at once, and the next one is planned anew."""
    loop = Loop(0)
    with pytest.raises(MemoryError):
        public.add_to_batch((Connection(), b"", request(None)), loop)
    assert not public._batch
    one = Connection()
    for this in (one, Connection()):
        public.add_to_batch((this, b"", request(None)), loop)
    (callback,) = loop.callbacks
    callback()
    assert one.answers == ["401"]
    public.add_to_batch((Connection(), b"", request(None)), loop)
    assert len(loop.callbacks) == 2


def test_S15_an_admin_action_that_found_no_thread_does_not_run() -> None:
    """A call that no thread could be had for is refused, and no thread that comes later runs it."""
    runs: list[int] = []

    async def refused() -> None:
        with pytest.raises(rapidjws.InternalError):
            await worker_pool.call_on_thread(lambda: runs.append(1))

    with failing_starts(lambda number: number == 0):
        asyncio.run(refused())
        asyncio.run(asyncio.wait_for(worker_pool.call_on_thread(lambda: runs.append(2)), 60))
    assert runs == [2]


@pytest.mark.parametrize("at", range(4))
def test_S14_a_short_batch_is_nobodys(at: int, public: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a batch has more or fewer decisions than requests, none of them is any request's."""
    real = rapidjws.Engine.decide_many
    monkeypatch.setattr(rapidjws.Engine, "decide_many", lambda self, asked: spoiled(real(self, asked), at))
    made = gathered(public, 3)
    public.flush()
    assert [one.answers for one, _ in made] == [["500"]] * 3


@pytest.mark.parametrize("verdicts", [[], [0], [0, 0, 0]])
def test_S14_general_json_needs_a_verdict_each(verdicts: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """A list of verdicts that is shorter or longer than the signatures accepts nothing."""
    one = forms.verifier(names=("k1", "k2"))
    first, second = forms.signed(), forms.signed(name="k2")
    good_token = json.dumps(forms.general(first, second))
    assert len(one.verify(good_token).signatures) == 2
    native = _native.NativeTables
    real = native.verify_known
    asked: list[Any] = []

    def short(self: Any, *args: Any) -> Any:
        found = real(self, *args)
        asked.append(found)
        return None if found is None else (found[0], [_native.OK for _ in verdicts], found[2])

    monkeypatch.setattr(native, "verify_known", short)
    with pytest.raises(rapidjws.SignaturesRefused):
        one.verify(json.dumps(forms.general(first, forms.spoiled(second))))
    assert asked[-1] is not None
    assert one.verify(good_token)  # by the long way
