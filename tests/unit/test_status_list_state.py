"""The newest time of a status list over a restart: what was believed once keeps older lists out."""

from __future__ import annotations

import time
from pathlib import Path

from statuses import OTHER, URL, Served, listed, source

from rapidjws.statuslist import StatusListSource
from rapidjws.verify.protocols import Event


def test_an_older_list_does_not_come_back_after_a_restart(tmp_path: Path) -> None:
    """The next process refuses what this one would have; each list of the folder has its own time."""
    now_s = int(time.time())
    served = Served(listed([1], iat=now_s - 10))
    assert source(served, state_dir=str(tmp_path)).refresh()
    served.body = listed([0], iat=now_s - 20)
    assert source(served).refresh()  # without it the older one is believed
    events: list[Event] = []
    again = source(served, state_dir=str(tmp_path), events=events.append)
    assert [again.refresh() for _ in range(2)] == [False] * 2  # a refused one does not move the time
    assert (again.current(), events[-1].detail) == (None, "older")
    served.body = listed([1], iat=now_s - 10)
    assert again.refresh()
    running = source(served, state_dir=str(tmp_path))
    assert running.refresh()
    served.body = listed([1], iat=now_s - 5)
    assert again.refresh()
    served.body = listed([0], iat=now_s - 7)
    assert not running.refresh()  # newer than its own, older than what the other process believed
    other = StatusListSource(
        OTHER.iss + "/1", issuer=OTHER.iss, keys=OTHER.jwks, algorithms=["ES256"], state_dir=str(tmp_path),
        fetch=Served(listed([0], by=OTHER, sub=OTHER.iss + "/1", iat=now_s - 30)),
    )  # fmt: skip
    assert other.refresh()
    assert len(list(tmp_path.iterdir())) == 2


def test_a_list_that_does_not_hold_leaves_no_time(tmp_path: Path) -> None:
    """Nobody moves the time on with a list that is refused, and a file that cannot be used takes no list."""
    now_s = int(time.time())
    served = Served(listed([0], iat=now_s - 1, status_list={"bits": 3, "lst": "eNrbuRgAAhcBXQ"}))
    one = source(served, state_dir=str(tmp_path))
    for body in (
        served.body,
        listed([0], iat=now_s - 1, by=OTHER),
        listed([0], sub=URL + "2", iat=now_s - 1),
    ):
        served.body = body
        assert not one.refresh()
    assert list(tmp_path.iterdir()) == []
    served.body = listed([1], iat=now_s - 10)
    assert one.refresh()
    (kept,) = tmp_path.iterdir()
    for octets in (b"", b"soon\n", b"-1\n", b"1" * 40, b"\xff\n"):
        kept.write_bytes(octets)
        events: list[Event] = []
        refused = source(served, state_dir=str(tmp_path), events=events.append)
        assert (refused.refresh(), events[-1].detail) == (False, "state_unavailable")
    kept.unlink()
    kept.mkdir()
    assert not source(served, state_dir=str(tmp_path)).refresh()
