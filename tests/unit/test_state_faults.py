"""The rollout's state folder when calls fail, writers die, clocks run back and strangers put files there."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from faulty_system import Killed, calls_of, faulty
from processes import run_python
from rollouts import NOW_S, rollout

import rapidjws
from rapidjws.rollout import Partner, Rollout, StateFolder
from rapidjws.rollout.plan_edits import rollback_edit
from rapidjws.rollout.revision import COUNTER_BYTES, SharedCounter
from rapidjws.rollout.rollout import first_plan
from rapidjws.rollout.state import PlanEdit

FAULTS = ["kill", "kill after", "short", "ENOSPC", "EIO", "EINTR"]


@pytest.fixture(autouse=True)
def _look_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have workers look at the folder in each call, as they do a few times a second."""
    monkeypatch.setattr("rapidjws.rollout.state.LOOK_S", -1.0)
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # counted all the same, and quick


def rollback(**named: Any) -> PlanEdit:
    """Return a rollback for everyone to the phase before."""
    words = {"by": "ann", "why": "", "action": "rollback", "now_s": NOW_S, **named}
    return rollback_edit(("", ""), words.pop("to", None), **words)


def phase(state: StateFolder) -> str:
    """Return the phase for everyone."""
    return state.plan().find(None, None)[1].phase


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("to", [None, "warning"])
def test_S18_a_rollback_may_die_at_every_call(tmp_path: Path, fault: str, to: Any) -> None:
    """Whichever call is the last: workers go by the old plan or the new, and the repeat makes one step."""
    goal = to or "allow_list"
    number = len(
        calls_of(lambda: StateFolder(tmp_path / "x", first_plan("enforcement")).edit(rollback(to=to)))
    )
    assert number > 30
    for at in range(number):
        folder = tmp_path / f"{at}"
        writer, worker = (StateFolder(folder, first_plan("enforcement")) for _ in range(2))
        died = True
        try:
            with faulty(at, fault):
                writer.edit(rollback(to=to))
                died = False
        except (Killed, rapidjws.ConfigurationError, OSError):
            pass
        assert phase(worker) == phase(StateFolder(folder, first_plan())) in ("enforcement", goal)
        assert phase(worker) == goal or died
        held = [one for one in worker.history() if one.after == goal]
        if died and (to is not None or not held or worker._written() != held):
            again = StateFolder(folder, first_plan())
            again.edit(rollback(to=to))
        assert phase(worker) == goal, at
        history = worker.history()
        assert [one.after for one in history] == [goal], at
        assert [one.revision for one in history] == [1]
        assert worker._written() == list(history)
        leftovers = [path.name for path in folder.iterdir() if path.suffix == ".tmp"]
        assert leftovers == [] or fault.startswith("kill")


@pytest.mark.parametrize("fault", FAULTS)
def test_S18_a_first_start_may_die_at_every_call(tmp_path: Path, fault: str) -> None:
    """Whichever call of a first start fails, the next start makes what is missing."""
    for at in range(len(calls_of(lambda: StateFolder(tmp_path / "x", first_plan("warning"))))):
        folder = tmp_path / f"{at}"
        try:
            with faulty(at, fault):
                StateFolder(folder, first_plan("warning"))
        except (Killed, rapidjws.ConfigurationError, OSError):
            pass
        state = StateFolder(folder, first_plan("warning"))
        assert phase(state) == "warning"
        state.edit(rollback())
        assert phase(StateFolder(folder, first_plan("warning"))) == "detection"


def test_S18_workers_see_a_change_whose_writer_died_without_the_counter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The plan's own file tells of a change, not only the counter behind it."""
    worker, writer = (StateFolder(tmp_path, first_plan("enforcement")) for _ in range(2))
    monkeypatch.setattr(SharedCounter, "count", lambda self: None)
    writer.edit(rollback(to="detection"))
    assert phase(worker) == "detection"


def test_S18_another_step_is_not_taken_for_a_repeat(tmp_path: Path) -> None:
    """A step whose writer died is put into the history by whoever comes next, and his own step is made."""
    sample = StateFolder(tmp_path / "x", first_plan("enforcement"))
    for at in range(0, len(calls_of(lambda: sample.edit(rollback(by="bob")))), 2):
        folder = tmp_path / f"{at}"
        state = StateFolder(folder, first_plan("enforcement"))
        with pytest.raises(Killed), faulty(at):
            state.edit(rollback(by="bob"))
        state = StateFolder(folder, first_plan())
        was_made = phase(state) == "allow_list"
        state.edit(rollback(by="ann"))
        assert [one.by for one in state.history()] == (["bob", "ann"] if was_made else ["ann"])
        assert phase(state) == ("warning" if was_made else "allow_list")


def test_S18_a_step_to_another_phase_is_not_a_repeat(tmp_path: Path) -> None:
    """Asked for another phase in the same words, what a writer left unended is ended and the step is made."""
    state = StateFolder(tmp_path, first_plan("enforcement"))
    remember = StateFolder._remember
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StateFolder, "_remember", _refuse)
        with pytest.raises(rapidjws.ConfigurationError):
            state.edit(rollback(to="allow_list"))
    assert StateFolder._remember is remember
    state.edit(rollback(to="detection"))
    assert phase(state) == "detection"
    assert [one.after for one in state.history()] == ["allow_list", "detection"]


@pytest.mark.parametrize(
    ("first", "second", "is_repeat"),
    [
        ({"canary_percent": 10.0}, {"canary_percent": 10.0}, True),
        ({"canary_percent": 10.0}, {"canary_percent": 50.0}, False),
        ({"canary_percent": 10.0}, {}, False),
        ({"to": "warning"}, {"to": "warning"}, True),
        ({"to": "warning"}, {"to": "enforcement"}, False),
        ({}, {}, True),
    ],
)
def test_S18_a_promotion_is_repeated_by_the_same_one_only(
    tmp_path: Path, first: dict[str, Any], second: dict[str, Any], is_repeat: bool
) -> None:
    """Another share or another phase is another promotion, whatever the writer of the first left unended."""
    policy = rollout(state=StateFolder(tmp_path, first_plan("detection")))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StateFolder, "_remember", _refuse)
        with pytest.raises(rapidjws.ConfigurationError):
            policy.promote(by="ann", **first)
    before = policy.state.plan().find(None, None)[1]
    policy.promote(by="ann", **second)
    after = policy.state.plan().find(None, None)[1]
    assert (before == after) is is_repeat
    assert len(policy.history()) == 2 - is_repeat


def test_S18_a_rollback_to_the_present_phase_is_none(tmp_path: Path) -> None:
    """Asked for again, a rollback to a phase is no error and no entry; a stricter route still goes back."""
    policy = Rollout(state=StateFolder(tmp_path, first_plan("enforcement")), clock=lambda: NOW_S)
    first = policy.rollback(by="ann", to="warning")
    assert policy.rollback(by="ann", to="warning").revision == first.revision
    assert len(policy.history()) == 1
    policy.promote(by="ann", route="/pay", to="enforcement", force=True)
    assert policy.rollback(by="ann", to="warning").find(None, "/pay")[1].phase == "warning"
    with pytest.raises(rapidjws.ConfigurationError):
        policy.rollback(by="ann", to="enforcement")


@pytest.mark.parametrize("longer", ["/pay/big", "/pay/big/er"])
def test_T5_a_routes_rollback_reaches_longer_routes(longer: str) -> None:
    """A rollback of a route takes stages of the routes below it back, and leaves its neighbours."""
    policy = rollout(Partner(name="a"), phase="warning")
    policy.promote(by="ann", partner="a", route=longer, to="allow_list")
    for route in (longer, "/pay", "/payment"):
        policy.promote(by="ann", route=route, to="enforcement")
    plan = policy.rollback(by="ann", route="/pay", to="detection")
    assert plan.find(None, "/pay/1")[1].phase == "detection"
    assert plan.find(None, longer)[1].phase == "detection"
    assert plan.find("a", longer)[1].phase == "detection"
    assert plan.find(None, "/payment")[1].phase == "enforcement"
    assert plan.find(None, "/other")[1].phase == "warning"


# --- damage by others ------------------------------------------------------------------------------------

RESTORE: dict[str, Callable[[Path, Path], object]] = {
    "cp -a": lambda kept, folder: subprocess.run(["cp", "-a", f"{kept}/.", str(folder)], check=True),
    "truncated": lambda kept, folder: [os.truncate(path, 0) for path in folder.iterdir()],
    "removed": lambda kept, folder: shutil.rmtree(folder),
}


@pytest.mark.parametrize("way", RESTORE)
def test_A8_no_file_of_the_folder_can_kill_a_worker(tmp_path: Path, way: str) -> None:
    """A worker outlives every file of its folder being cut short, restored over, or removed."""
    out = run_python(
        """
        import shutil
        from pathlib import Path
        from rapidjws.rollout import StateFolder, state
        from rapidjws.rollout.rollout import first_plan
        sys.path.append(os.environ["TESTS"])
        from test_state_faults import RESTORE, rollback
        state.LOOK_S = -1.0
        folder, kept = Path(os.environ["STATE"]) / "a", Path(os.environ["STATE"]) / "b"
        one = StateFolder(folder, first_plan("enforcement"))
        shutil.copytree(folder, kept)
        one.edit(rollback(to="warning"))
        RESTORE[os.environ["WAY"]](kept, folder)
        print(one.plan().find(None, None)[1].phase)
        mapped = Path("/proc/self/maps")
        print(mapped.exists() and str(folder) in mapped.read_text())
        """,
        STATE=str(tmp_path),
        WAY=way,
        TESTS=str(Path(__file__).parent),
    )
    assert out.split() == ["enforcement" if way == "cp -a" else "warning", "False"]


def test_A8_the_counter_is_shared_and_gone_with_its_last_user(tmp_path: Path) -> None:
    """Two users count together; what one removed the other finds again; nothing is left behind."""
    one, two = SharedCounter(tmp_path), SharedCounter(tmp_path)
    if not one.is_shared:
        pytest.skip("no shared memory here")
    one.count()
    assert one.value() == two.value() == (1).to_bytes(COUNTER_BYTES, "little")
    name = one._name
    name.unlink()
    for both in (one, two):
        both.attach()
    two.count()
    assert one.value() == two.value()
    del one, both
    assert name.exists()
    del two
    assert not name.exists()


def test_A8_a_counter_that_is_a_strangers_is_not_used(tmp_path: Path) -> None:
    """Where somebody else put a file of that name, or anybody may write to it, each process counts alone."""
    name = SharedCounter(tmp_path)._name
    name.write_bytes(bytes(COUNTER_BYTES))
    name.chmod(0o666)
    try:
        alone = SharedCounter(tmp_path)
        assert not alone.is_shared
        alone.count()
        assert name.read_bytes() == bytes(COUNTER_BYTES)
        state = StateFolder(tmp_path / "state", first_plan("enforcement"))
        state._counter = alone
        StateFolder(tmp_path / "state", first_plan()).edit(rollback(to="warning"))
        assert phase(state) == "warning", "by its look at the folder"
    finally:
        name.unlink()


def test_S7_a_history_without_its_plan_refuses_the_start(tmp_path: Path) -> None:
    """A folder that lost its plan does not begin anew: enforcement would end without a word."""
    StateFolder(tmp_path, first_plan("enforcement")).edit(rollback())
    for name in ("plan.json", "plan.copy.json"):
        (tmp_path / name).unlink()
    with pytest.raises(rapidjws.ConfigurationError, match="history"):
        StateFolder(tmp_path, first_plan())
    (tmp_path / "history.jsonl").unlink()
    assert phase(StateFolder(tmp_path, first_plan())) == "detection"


def test_S7_a_plan_of_another_version_is_left_alone(tmp_path: Path) -> None:
    """A newer version's plan refuses the start and changes, by a code, and stays as it is."""
    state = StateFolder(tmp_path, first_plan("enforcement"))
    members = json.loads((tmp_path / "plan.json").read_bytes())
    newer = json.dumps({**members, "version": 2}).encode()
    for name in ("plan.json", "plan.copy.json"):
        (tmp_path / name).write_bytes(newer)
    with pytest.raises(rapidjws.ConfigurationError, match="version"):
        StateFolder(tmp_path, first_plan())
    assert phase(state) == "enforcement"
    with pytest.raises(rapidjws.ConfigurationError, match="version"):
        state.edit(rollback())
    assert (tmp_path / "plan.json").read_bytes() == newer
    older = {name: value for name, value in members.items() if name != "version"}
    for name in ("plan.json", "plan.copy.json"):
        (tmp_path / name).write_text(json.dumps(older))
    assert phase(StateFolder(tmp_path, first_plan())) == "enforcement"


def test_S7_what_is_damaged_is_put_aside(tmp_path: Path) -> None:
    """A change over damaged plans loses none of their octets."""
    state = StateFolder(tmp_path, first_plan("enforcement"))
    for name in ("plan.json", "plan.copy.json"):
        (tmp_path / name).write_text(f"damaged {name}")
    state.edit(rollback(to="warning"))
    assert phase(StateFolder(tmp_path, first_plan())) == "warning"
    for name in ("plan.json", "plan.copy.json"):
        assert (tmp_path / f"{name}.bad").read_text() == f"damaged {name}"


@pytest.mark.parametrize("kind", ["fifo", "link", "folder", "everybody's"])
def test_S7_odd_files_in_the_folder_are_refused_by_a_code(tmp_path: Path, kind: str) -> None:
    """A FIFO, a loop, a folder or everybody's file in the plan's place neither hangs nor is trusted."""
    folder = tmp_path / "state"
    state = StateFolder(folder, first_plan("enforcement"))
    for name in ("plan.json", "plan.copy.json"):
        path = folder / name
        if kind == "everybody's":
            path.write_text(path.read_text().replace("enforcement", "detection"))
            path.chmod(0o666)
            continue
        path.unlink()
        if kind == "fifo":
            os.mkfifo(path)
        elif kind == "link":
            path.symlink_to(path.name)
        else:
            path.mkdir()
    with pytest.raises(rapidjws.ConfigurationError):
        StateFolder(folder, first_plan())
    assert phase(state) == "enforcement"


def test_a_clock_that_runs_back_hides_no_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Changes dated before the last one are seen by every worker and kept in order."""
    writer, worker = (StateFolder(tmp_path, first_plan("enforcement")) for _ in range(2))
    monkeypatch.setattr(SharedCounter, "count", lambda self: None)
    for step, (goal, now_s) in enumerate(
        (("allow_list", NOW_S), ("warning", NOW_S - 7200), ("detection", 0))
    ):
        writer.edit(rollback(to=goal, now_s=now_s))
        past = time.time() - 86_400 * step
        os.utime(tmp_path / "plan.json", (past, past))
        assert phase(worker) == goal
    assert [one.after for one in worker.history()] == ["allow_list", "warning", "detection"]


def test_a_plan_that_could_not_be_read_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A passing fault while a change is taken over costs a look, not the change."""
    worker, writer = (StateFolder(tmp_path, first_plan("enforcement")) for _ in range(2))
    writer.edit(rollback(to="warning"))
    with faulty() as system:
        monkeypatch.setattr(system, "call", _refuse)
        assert phase(worker) == "enforcement"
    assert phase(worker) == "warning"


def _refuse(*words: Any, **named: Any) -> Any:
    raise OSError(24, "too many open files")


WRITERS = """
from pathlib import Path
from rapidjws.rollout import StateFolder
from rapidjws.rollout.plan_edits import freeze_edit
from rapidjws.rollout.rollout import first_plan
state = StateFolder(Path(os.environ["STATE"]), first_plan())
for number in range(20):
    frozen = number % 2 == 0
    state.edit(freeze_edit(by=os.environ["NUMBER"], why=str(number), now_s=0, frozen=frozen))
"""


def test_three_writers_lose_no_change(tmp_path: Path) -> None:
    """Three processes that change the plan at once make each of their changes once, in one order."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(3) as many:
        runs = [many.submit(run_python, WRITERS, STATE=str(tmp_path), NUMBER=number) for number in "123"]
        for run in runs:
            run.result()
    state = StateFolder(tmp_path, first_plan())
    assert state.plan().revision == 60
    assert [one.revision for one in state.history()] == list(range(1, 61))


def test_S20_a_fork_beside_a_change_leaves_the_child_able_to_decide(tmp_path: Path) -> None:
    """A child forked while another thread holds the state's lock reads the plan all the same."""
    out = run_python(
        """
        from pathlib import Path
        from rapidjws.rollout import StateFolder
        from rapidjws.rollout.rollout import first_plan
        state = StateFolder(Path(os.environ["STATE"]), first_plan("warning"))
        state._lock.acquire()
        child = os.fork()
        if child == 0:
            signal.alarm(20)
            state._reload()
            os._exit(0 if state.plan().find(None, None)[1].phase == "warning" else 1)
        print(os.waitpid(child, 0)[1])
        """,
        STATE=str(tmp_path),
    )
    assert out == "0\n"
