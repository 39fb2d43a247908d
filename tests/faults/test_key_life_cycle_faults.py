"""The changes of an issuer's keys when any call of them fails, or is the last one of a killed process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from faulty_system import Killed, calls_of, faulty
from issuing_world import START_S, TIMING

from rapidjws import DependencyUnavailable
from rapidjws.issuing import FileStateStore, IssuingState, KeyLifeCycle, LocalKeyMaker, Publication
from rapidjws.testing import FakeClock

FAULTS = ["kill", "kill after", "short", "ENOSPC", "EIO"]


class Issuers:
    """Issuers of one folder that come one after the other, as a process that is started again.

    Args:
        folder: For the state and the keys.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "keys").mkdir(parents=True)
        self.clock = FakeClock(START_S)

    def fresh(self) -> KeyLifeCycle:
        """Return one that has read nothing; the lease of the one before it has ended."""
        self.clock.advance(TIMING.clock_skew_s * 2 + 30)
        store = FileStateStore(self.folder / "state.json")
        return KeyLifeCycle(store, TIMING, LocalKeyMaker(self.folder / "keys"), clock=self.clock)

    def through(self, steps: int) -> KeyLifeCycle:
        """Return one whose keys have gone through some steps without a fault."""
        one = self.fresh()
        for _ in range(steps):
            one.tick()
            self.clock.advance(TIMING.before_s + 1)
        return one

    def state(self) -> IssuingState:
        """Return what a process that starts now reads."""
        return FileStateStore(self.folder / "state.json").read()


def tick(one: KeyLifeCycle) -> None:
    """Do what is due."""
    one.tick()


def promote(one: KeyLifeCycle) -> None:
    """Let the next key sign."""
    one.promote()


def taint(one: KeyLifeCycle) -> None:
    """Take the active key out of use."""
    active = FileStateStore(one._store.path).read().in_stage("active")  # type: ignore[attr-defined]
    one.taint(active[0].kid, "test")


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize(
    ("steps", "change"),
    [(0, tick), (1, tick), (2, promote), (2, taint)],
    ids=["first key", "first signature", "promotion", "taint"],
)
def test_a_change_may_fail_at_every_call(
    tmp_path: Path, steps: int, change: Callable[[KeyLifeCycle], None], fault: str
) -> None:
    """The old state or the new one is there, whole; its active key signs; a repeat goes on from it."""
    sample = Issuers(tmp_path / "sample")
    one = sample.through(steps)
    calls = calls_of(lambda: change(one))
    assert calls
    for at in range(len(calls)):
        issuers = Issuers(tmp_path / str(at))
        one = issuers.through(steps)
        before = None if steps == 0 else issuers.state()
        try:
            with faulty(at, fault):
                change(one)
        except (Killed, DependencyUnavailable):
            pass
        found = issuers.state()
        old = IssuingState() if before is None else before
        assert found.revision in (old.revision, old.revision + 1), calls[at]
        if found.revision == old.revision:
            assert found == old, calls[at]
        goes_on(issuers, at, calls[at])


def goes_on(issuers: Issuers, at: int, name: str) -> None:
    """Check that the next process signs by what is there, and goes on to a next and an active key."""
    maker = LocalKeyMaker(issuers.folder / "keys")
    for one in issuers.state().in_stage("active"):
        assert len(maker.signer(one).sign(b"octets")) == 64, name
    again = issuers.fresh()
    for _ in range(3):
        again.tick()
        issuers.clock.advance(TIMING.before_s + 1)
    state = issuers.state()
    assert len(state.in_stage("active")) == 1, (at, name)
    assert len(state.in_stage("next")) == 1, (at, name)
    assert len({one.kid for one in state.keys}) == len(state.keys)
    published = Publication(again, "https://issuer.example").jwks()["keys"]
    assert state.in_stage("active")[0].kid in {one["kid"] for one in published}
    assert list(issuers.folder.glob(".state.json.*.tmp")) == []
