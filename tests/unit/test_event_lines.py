"""The lines that a sidecar writes of what happens around keys, stores and files."""

from __future__ import annotations

from pathlib import Path

from rapidjws.rollout.evidence import Evidence
from rapidjws.rollout.rollout import first_plan
from rapidjws.rollout.state import StateFolder
from rapidjws.sidecar.event_lines import FAULTS, NEWS, EventLines
from rapidjws.verify.protocols import Event, all_of

ISS = "https://issuer.example"


def test_a_fault_is_written_when_it_begins_changes_and_ends() -> None:
    """Not at each attempt: an issuer that is down for a day makes a few lines."""
    written: list[str] = []
    lines = EventLines()
    lines.attach(written.append)
    for detail in ("connect", "connect", "status", "status"):
        lines(Event(name="fetch_failed", issuer=ISS, detail=detail))
    for _ in range(2):
        lines(Event(name="fetch_ok", issuer=ISS, value=0.1, detail="200"))
    lines(Event(name="fetch_failed", issuer=ISS, detail="status"))
    assert [(ISS in line, "connect" in line, "status" in line, "again" in line) for line in written] == [
        (True, True, False, False),
        (True, False, True, False),
        (True, False, False, True),
        (True, False, True, False),
    ]


def test_each_issuer_has_its_own_faults_and_what_is_no_news_has_no_line() -> None:
    """An issuer that answers ends nothing of another; unknown events are left out."""
    written: list[str] = []
    lines = EventLines()
    lines.attach(written.append)
    lines(Event(name="fetch_ok", issuer=ISS))
    lines(Event(name="rotation_lag", issuer=ISS, value=1.0))
    lines(Event(name="keys_changed", issuer=ISS, value=2))
    assert written == []
    lines(Event(name="keys_changed", issuer=ISS, value=3))
    assert written.pop() == f"keys of '{ISS}': 3 in use"
    lines(Event(name="fetch_failed", issuer=ISS, detail="connect"))
    lines(Event(name="fetch_ok", issuer="https://other.example"))
    assert len(written) == 1


def test_every_line_can_be_written_and_early_ones_are_kept() -> None:
    """Whatever an event leaves out, and however early it comes; control characters are spelled out."""
    lines = EventLines()
    for name in FAULTS:
        lines(Event(name=name, issuer="a\nb"))
    for name in NEWS:
        lines(Event(name=name, issuer="a\nb"))
    written: list[str] = []
    lines.attach(written.append)
    assert len(written) == len(FAULTS) + len(NEWS)
    assert not any("\n" in line for line in written)


def test_two_listeners_and_one_fault() -> None:
    """What one listener raises keeps nothing from the other."""
    seen: list[Event] = []

    def fails(event: Event, /) -> None:
        raise ValueError

    all_of(fails, seen.append)(Event(name="fetch_ok"))
    assert len(seen) == 1


def test_a_folder_that_cannot_be_used_is_known(tmp_path: Path) -> None:
    """A plan that is not read, and evidence that is not written, say why, until they are again."""
    folder = tmp_path / "state"
    state = StateFolder(folder, first_plan("enforcement"))
    whole = (folder / "plan.json").read_bytes()
    for name in ("plan.json", "plan.copy.json"):
        (folder / name).write_text("{")
    state._look()
    assert state.fault is not None
    (folder / "plan.json").write_bytes(whole)
    state._look()
    assert state.fault is None
    evidence = Evidence(folder)
    evidence.count_fetch(Event(name="fetch_ok", issuer=ISS), 1)
    (folder / "evidence.lock").unlink(missing_ok=True)
    folder.rename(tmp_path / "gone")
    evidence.flush()
    assert evidence.fault is not None
    (tmp_path / "gone").rename(folder)
    evidence.flush()
    assert evidence.fault is None
