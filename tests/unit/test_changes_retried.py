"""T8: a change that could not be brought into force is undone or tried again, whichever step failed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import wait
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import rapidjws
from rapidjws import Engine, Event, Issuer
from rapidjws.keys import FileJWKS
from rapidjws.sidecar.change_bus import KINDS, ChangeBus
from rapidjws.sidecar.settings import ServerSettings
from rapidjws.testing import FakeIssuer

pytest.importorskip("httptools", reason="the extra `server` is not installed")
A = FakeIssuer("https://a.example", "ES256")
B = FakeIssuer("https://b.example", "ES256")


def rules(one: FakeIssuer, keys: Any = None) -> Issuer:
    """Return an issuer."""
    return Issuer(one.iss, keys=keys or one.jwks, algorithms=["ES256"], audience=one.audience)


def code(engine: Engine, one: FakeIssuer) -> str:
    """Return the code of a good token of an issuer."""
    try:
        engine.verify(one.token(one.claims(int(time.time()))))
    except rapidjws.RapidJWSError as refused:
        return refused.code
    return "ok"


class StepEngine(Engine):
    """An engine that tells of the steps that a worker has it take."""

    step: Callable[[str], None]

    def _revocations_changed(self) -> None:
        self.step("revocations")

    def _hold_unsent(self, listed: object) -> None:
        self.step("pending_revocations")


class Worker:
    """A worker's share of the sidecar whose steps are counted, and fail where asked to."""

    def __init__(self) -> None:
        from rapidjws.sidecar.app import SidecarApp
        from rapidjws.sidecar.worker_state import WorkerState

        self.change_bus = ChangeBus(1)
        self.done: list[str] = []
        self.failing: set[str] = set()
        engine = StepEngine(rules(A))
        engine.step = self.step
        plan = SimpleNamespace(revision=1)
        source = SimpleNamespace(invalidate=lambda: self.step("keys"))
        served = SidecarApp(
            engine=engine,
            rollout=SimpleNamespace(  # type: ignore[arg-type]
                sync=lambda: self.step("rollout"), is_behind=False, state=SimpleNamespace(plan=lambda: plan)
            ),
            reload=lambda: self.step("config"),
            sources=lambda: {"x": source},
        )
        self.shared = WorkerState(
            served,
            ServerSettings(),
            self.change_bus,
            index=0,
            seen=self.change_bus.counters(),
        )
        self.change_bus.forget(0)  # nobody is signalled here

    def sync(self) -> None:
        """Let the worker's thread take over what was announced."""
        self.shared.sync()
        self.wait()

    def on_tick(self) -> list[str]:
        """Let it do what is due, and return that, but for the look at the plan that comes each time."""
        self.done.clear()
        self.shared.on_tick(0.0)
        self.wait()
        looks = ["rollout"] if "rollout" in self.done else []
        assert self.done[-1:] == looks
        return self.done[: len(self.done) - len(looks)]

    def wait(self) -> None:
        """Wait for the thread, and for one that the end of the first began."""
        task = None
        while task is not self.shared._following:
            task = self.shared._following
            if task is not None:
                wait([task.future], 60)

    def step(self, kind: str) -> None:
        """Take one kind of change over."""
        if kind in self.failing:
            raise OSError(kind)
        self.done.append(kind)


@pytest.mark.parametrize("failing", KINDS)
@pytest.mark.parametrize("later", KINDS)
def test_T8_a_change_whose_take_over_failed_is_tried_again(failing: Any, later: Any) -> None:
    """Whichever kind fails once is taken over when due, whatever changed since, and holds up no other."""
    worker = Worker()
    worker.failing = {failing}
    changes = worker.change_bus.announce(failing, 0)
    worker.sync()
    assert worker.done == []
    changes = worker.change_bus.announce(later, 0)
    worker.sync()
    assert set(worker.done) == {later} - {failing}
    assert not worker.change_bus.wait(changes, 0.0) or not worker.change_bus.workers()
    assert [one.changes for one in worker.change_bus.workers()] in ([], [0])
    worker.failing = set()
    worker.done.clear()
    worker.sync()
    assert worker.done == [], "not at each request"
    assert worker.on_tick() == [failing]
    assert [one.changes for one in worker.change_bus.workers()] == [changes]
    assert worker.on_tick() == []


STEPS = ["_take_keys", "_make_key_availability", "_filtered", "_make_post_checks", "_swap"]


@pytest.mark.parametrize("step", STEPS)
def test_T8_a_failed_replacement_of_issuers_is_undone(step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever step fails, the old issuers go on as they were, and the same call succeeds afterwards."""
    engine = Engine(rules(A))
    engine.revoke(jti="x")
    before = (
        engine.issuers,
        engine._max_token_bytes,
        engine._key_availability,
        engine._post_checks,
        engine._snapshot,
    )
    with monkeypatch.context() as patch:
        patch.setattr(type(engine), step, _fail)
        with pytest.raises(MemoryError):
            engine.replace_issuers(rules(A), rules(B))
    after = (
        engine.issuers,
        engine._max_token_bytes,
        engine._key_availability,
        engine._post_checks,
        engine._snapshot,
    )
    assert all(one is two or one == two for one, two in zip(before, after, strict=True))
    assert engine.key_state(A.iss).keys is not None
    assert [code(engine, A), code(engine, B)] == ["ok", "unknown_kid"]
    engine.replace_keys(A.iss, A.jwks)
    engine.replace_issuers(rules(A), rules(B))
    assert [code(engine, A), code(engine, B)] == ["ok", "ok"]


def _fail(*words: Any, **named: Any) -> Any:
    raise MemoryError


@pytest.mark.parametrize("step", STEPS[1:])
def test_T8_a_failed_replacement_of_keys_is_undone(step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever step fails, the old keys verify and are what the engine shows, and a repeat works."""
    other = FakeIssuer(A.iss, "ES256")
    engine = Engine(rules(A))
    engine.revoke(jti="x")
    with monkeypatch.context() as patch:
        patch.setattr(type(engine), step, _fail)
        with pytest.raises(MemoryError):
            engine.replace_keys(A.iss, other.jwks)
    assert [key.kid for key in engine.key_state(A.iss).keys or ()] == [key.kid for key in A.jwks.keys]
    assert code(engine, A) == "ok"
    engine.replace_keys(A.iss, other.jwks)
    assert [code(engine, other), code(engine, A)][0] == "ok"


@pytest.mark.parametrize("step", STEPS[1:])
def test_T8_a_failed_revocation_is_undone(step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A revocation that did not come into force is an error, is not listed, and works when repeated."""
    engine = Engine(rules(A))
    kept = engine.revoke(jti="x")
    with monkeypatch.context() as patch:
        patch.setattr(type(engine), step, _fail)
        with pytest.raises(MemoryError):
            engine.revoke(issuer=A.iss)
    assert engine.revocations() == (kept,)
    engine.revoke(issuer=A.iss)
    assert code(engine, A) == "revoked"


def test_T8_keys_whose_take_over_failed_are_reported_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A source tells a set again that its engine could not take over, though the file stayed as it was."""
    path, other = tmp_path / "keys.json", FakeIssuer(A.iss, "ES256")
    write = lambda one: path.write_text(json.dumps({"keys": [key.as_dict() for key in one.jwks.keys]}))  # noqa: E731
    write(A)
    events: list[Event] = []
    source = FileJWKS(path, poll_s=3600, events=events.append)
    engine = Engine(rules(A, keys=source))
    write(other)
    with monkeypatch.context() as patch:
        patch.setattr(type(engine), "_swap", _fail)
        source.reload()
    assert "swap_failed" in [event.name for event in events]
    assert code(engine, A) == "ok"
    source.reload()
    assert code(engine, other) == "ok"
