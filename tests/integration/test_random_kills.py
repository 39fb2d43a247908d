"""Workers and supervisor killed at random moments while the plan changes: what is on the disk stays whole."""

from __future__ import annotations

import http.client
import json
import os
import random
import secrets
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from admins import call
from sidecar_process import Service, alive, configured, is_good, until

from rapidjws.rollout import StateFolder
from rapidjws.rollout.rollout import first_plan

pytest.importorskip("httptools", reason="the extra `server` is not installed")
pytest.importorskip("uvloop", reason="the extra `server` is not installed")

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

LIVES = 3
"""How often the supervisor is started."""

KILLS = 2
"""Workers killed in each of its lives: each waits longer before it starts again."""


class Changes(threading.Thread):
    """One change after the other, with note of which were answered."""

    def __init__(self, admin: Path, chance: random.Random) -> None:
        super().__init__(daemon=True)
        self._admin = admin
        self._chance = chance
        self._end = threading.Event()
        self.asked: list[str] = []
        self.made: list[str] = []
        self.faults: list[Any] = []

    def run(self) -> None:
        """Ask until reported to end."""
        while not self._end.is_set():
            action = self._chance.choice(["promote", "rollback", "freeze", "thaw"])
            why = f"{action} {len(self.asked)}"
            self.asked.append(why)
            words = {"by": "ann", "why": why, **({"force": True} if action == "promote" else {})}
            try:
                status, answer = call(self._admin, "POST", f"/admin/{action}", words)
            except (OSError, http.client.HTTPException):
                time.sleep(0.02)  # nobody is there
                continue
            if status in (200, 202):
                self.made.append(why)
            elif answer["error"] not in ("rollout_no_step", "rollout_frozen", "rollout_changed"):
                self.faults.append((status, answer))

    def end(self) -> None:
        """End, and wait for the last change."""
        self._end.set()
        self.join(60)


def killed(service: Service, chance: random.Random, changes: Changes) -> None:
    """Kill workers at random moments, each between changes or amid one."""
    for _ in range(KILLS):
        before = len(changes.made)
        until(lambda known=before: len(changes.made) > known, "no change is made")
        time.sleep(chance.uniform(0.0, 0.05))
        workers = until(service.workers, "no worker")
        victim = chance.choice(workers)
        os.kill(victim, signal.SIGKILL)
        until(lambda dead=victim: not alive(dead), "it lives")


def test_a_plan_outlives_workers_and_supervisors_killed_at_random(tmp_path: Path) -> None:
    """Each change that was answered is in the history once, none is half made, and the next one works."""
    seed = int(os.environ.get("RAPIDJWS_SEED") or secrets.randbits(32))
    print(f"RAPIDJWS_SEED={seed}")
    chance = random.Random(seed)
    admin = tmp_path / "admin.sock"
    path = configured(tmp_path, "127.0.0.1:0", 2, admin_listen=f"unix:{admin}")
    changes = Changes(admin, random.Random(seed + 1))
    started = r"rapidjws serve: 127\.0\.0\.1:(\d+), 2 workers"
    for life in range(LIVES):
        service = Service(tmp_path, ["--config", str(path)])
        try:
            port = int(service.wait_for(started).group(1))
            if not life:
                changes.start()
            killed(service, chance, changes)
            if life < LIVES - 1:
                workers = service.workers()
                os.kill(service.process.pid, signal.SIGKILL)
                service.process.wait(60)
                until(lambda left=workers: not any(map(alive, left)), "workers outlive their supervisor")
                continue
            changes.end()
            change_at_rest(service, port, admin)
        finally:
            service.end()
    assert changes.faults == []
    check(tmp_path / "state", changes)


def change_at_rest(service: Service, port: int, admin: Path) -> None:
    """Make one more change, once nobody is killed any more."""
    until(lambda: is_served(port), "it does not serve")
    until(lambda: len(service.workers()) == 2, "a worker is missing")
    status, answer = call(admin, "POST", "/admin/freeze", {"by": "bob", "why": "the last"})
    assert status in (200, 202), answer
    assert answer["plan"]["frozen"] is True


def is_served(port: int) -> bool:
    """Return whether a good token gets 200; whose worker was just killed may hang up."""
    try:
        return is_good(port)
    except (OSError, http.client.HTTPException):
        return False


def check(folder: Path, changes: Changes) -> None:
    """Check that plan, copy and history tell one story."""
    state = StateFolder(folder, first_plan("detection"))
    history = state.history()
    assert [one.revision for one in history] == list(range(1, len(history) + 1))
    assert history[-1].why == "the last"
    assert state.plan().revision == len(history)
    whys = [one.why for one in history[:-1]]
    assert len(set(whys)) == len(whys)
    assert set(changes.made) <= set(whys) <= set(changes.asked)
    assert len(changes.made) >= LIVES * KILLS
    steps = [one for one in history if one.action in ("promote", "rollback")]
    assert [one.before for one in steps[1:]] == [one.after for one in steps[:-1]]
    if steps:
        assert state.plan().find(None, None)[1].phase == steps[-1].after
    for name in ("plan.json", "plan.copy.json"):
        assert json.loads((folder / name).read_text())["revision"] == len(history)
    assert not list(folder.glob(".plan*.tmp"))
    assert not list(folder.glob("*.bad"))
