"""What is kept for requests, paths, policies and files: at its bounds, and until it has ended."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import tokens
from registries import LIMIT_S, registry, token

from rapidjws import ConfigurationError, Issuer, JWKSet
from rapidjws.authz import work_bound
from rapidjws.authz.paths import SEGMENTS_MAX, Route, path_of
from rapidjws.authz.work_bound import OVER, PAUSE, WorkBound
from rapidjws.rollout import Partner, Stage
from rapidjws.rollout.attribution import Attribution
from rapidjws.rollout.plan import Plan
from rapidjws.rollout.stage_choice import FEW_PARTNERS, StageChoice
from rapidjws.sidecar.pending_revocations import _HEAD, PendingRevocations
from rapidjws.testing import FakeClock
from rapidjws.verify.pieces import results_of
from rapidjws.verify.protocols import KeyState
from rapidjws.verify.revocations import Revocation

ONE = Revocation(kid="k")


@pytest.mark.parametrize(("segments", "is_read"), [(SEGMENTS_MAX, True), (SEGMENTS_MAX + 1, False)])
def test_paths_and_routes_of_the_most_segments(segments: int, is_read: bool) -> None:
    """One more has no reading, and can be no rule's."""
    text = "/a" * segments
    assert (path_of(text) is not None) is is_read
    if is_read:
        assert Route(text, "route").text == text
    else:
        with pytest.raises(ConfigurationError):
            Route(text, "route")


@pytest.fixture(name="clock")
def _clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    clock = SimpleNamespace(now_ns=1, used_ns=0)
    monkeypatch.setattr(work_bound, "monotonic_ns", lambda: clock.now_ns)
    monkeypatch.setattr(work_bound, "thread_time_ns", lambda: clock.used_ns)
    return clock


def bound_of(clock: Any) -> Any:
    """Return a call of a policy that takes so many nanoseconds for an input of so many bytes."""
    bound = WorkBound("policy", 1000, 0.001)

    def takes(used_ns: int, size: int) -> Any:
        def call(_: Any) -> str:
            clock.used_ns += used_ns
            return "done"

        return bound.run(size, call, None)

    return takes


def test_the_smallest_input_that_took_too_long_counts(clock: Any) -> None:
    """While one size rests, another one that takes too long rests with it, and neither shortens the other."""
    takes = bound_of(clock)
    assert [takes(10**6, 1000), takes(10**6 + 1, 500)] == ["done", OVER]
    assert takes(2 * 10**6, 300) is OVER
    assert [takes(1, 299), takes(1, 300), takes(1, 500)] == ["done", OVER, OVER]
    clock.now_ns += 5 * 10**6
    assert takes(10**6 + 1, 299) is OVER
    clock.now_ns = 1 + 2 * PAUSE * 10**6 - 1  # the longer pause still holds
    assert takes(1, 500) is OVER
    clock.now_ns += 1
    assert takes(1, 500) == "done"


def test_a_larger_input_makes_no_smaller_one_acceptable(clock: Any) -> None:
    """A larger input that began before the pause and ends in it leaves the smaller ones at rest."""
    bound = WorkBound("policy", 1000, 0.001)

    def within(_: Any) -> None:
        bound._pause(300, 10**7)
        clock.used_ns += 10**7

    assert bound.run(900, within, None) is OVER
    assert bound.run(300, lambda _: "done", None) is OVER
    assert bound._until_ns == 1 + 10**7 * PAUSE


def test_the_first_token_of_an_issuer_waits_for_its_keys() -> None:
    """An issuer that was looked up has no keys for a moment: its first token waits for them too."""

    class Late:
        """A source whose keys come a moment after it was asked for them first."""

        def __init__(self) -> None:
            self._keys: JWKSet | None = None

        def subscribe(self, changed: Callable[[], None]) -> None:
            """Have the keys come."""

            def come() -> None:
                self._keys = JWKSet((tokens.public("ES256"),))
                changed()

            threading.Timer(0.3, come).start()

        def state(self) -> KeyState:
            """Return what there is."""
            return KeyState(keys=self._keys)

        def unknown_kid(self, _: str) -> None:
            """Return that nothing brings another key."""

        def next_answer(self) -> Future[None]:
            """Return a future of the caller's own."""
            return Future()

    def look_up(iss: str) -> Issuer:
        return Issuer(iss, keys=Late(), algorithms=["ES256"], audience=tokens.AUD)

    assert tokens.code_of(registry(look_up), token("https://slow.example")) == "ok"


def test_a_list_of_pending_revocations_that_just_fits() -> None:
    """The last octet is used; with one less it is refused."""
    probe = PendingRevocations()
    octets = len(probe._octets((ONE,)))
    probe.close()
    for more, fits in ((0, True), (-1, False)):
        pending = PendingRevocations(_HEAD.size + octets + more)
        try:
            if fits:
                pending.add(ONE)
                assert pending.listed() == (ONE,)
            else:
                with pytest.raises(ConfigurationError):
                    pending.add(ONE)
        finally:
            pending.close()


def test_threads_change_pending_revocations_one_after_the_other() -> None:
    """While one thread hands over, another one waits: the lock of processes lets both in."""
    pending = PendingRevocations()
    pending.add(ONE)
    added = threading.Event()
    other = Revocation(jti="x", issuer="https://a.example")

    def add() -> None:
        pending.add(other)
        added.set()

    def keep(_: Revocation) -> None:
        thread.start()
        assert not added.wait(0.3)

    thread = threading.Thread(target=add)
    try:
        assert pending.hand_over(keep) == 1
        thread.join(LIMIT_S)
        assert pending.listed() == (other,)
    finally:
        pending.close()


def test_an_exception_of_one_of_many_ends_on_its_second() -> None:
    """What is kept of many partners holds until then, and at that second no more."""
    end_s = 2_000_000_000
    names = [f"p{number}" for number in range(FEW_PARTNERS + 1)]
    partners = {
        name: Partner(name=name, allow_listed_until_s=end_s if name == "p5" else end_s + 9999)
        for name in names
    }
    choice = StageChoice(partners, unattributed="default", fold_case=False)
    plan = Plan(stages={("", ""): Stage(phase="allow_list", before="allow_list")})
    who = Attribution(None, "several", tuple(names), falls_back=False)
    found = [choice.choose(plan, who, None, now_s) for now_s in (end_s - 1, end_s)]
    ranks = [choice._rank(one, now_s) for one, now_s in zip(found, (end_s - 1, end_s), strict=True)]
    assert (found[1].name, ranks[1] - ranks[0]) == ("p5", 1)


def test_a_batch_that_is_read_ahead_has_ended_before_its_file_is_closed() -> None:
    """Who gives up the batches waits for the thread that reads the next one."""
    pytest.importorskip("pyarrow", reason="the extra `bulk` is not installed")
    from rapidjws.bulk.reading import PLACE_MAX_CHARS, ahead, place_of

    reading, ended = threading.Event(), threading.Event()

    def batches() -> Iterator[int]:
        yield 1
        reading.set()
        threading.Event().wait(0.3)
        ended.set()
        yield 2

    found = ahead(batches(), is_ahead=True)
    assert next(found) == 1
    assert reading.wait(LIMIT_S)
    found.close()
    assert ended.is_set()
    long = "x" * PLACE_MAX_CHARS
    assert (place_of(long), place_of("y" + long)) == (long, "..." + long)


def test_T11_old_contents_are_looked_for_once_an_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not a second earlier: the look reads a trail's files."""
    from rapidjws.audit.retention import LOOK_S, Retention

    clock, looks = FakeClock(), []
    retention = Retention(SimpleNamespace(folder=None, size=0), 1, clock=clock)  # type: ignore[arg-type]
    monkeypatch.setattr(retention, "_begin", lambda: looks.append(clock.monotonic()))
    for passed_s in (0, LOOK_S - 1, 1):
        clock.advance(passed_s)
        retention.step()
    assert [at_s - looks[0] for at_s in looks] == [0, LOOK_S]


def test_T11_a_piece_that_raises_has_no_result_and_the_others_have() -> None:
    """Whatever it raises; the one that another thread has is waited for."""
    mine, begun = threading.get_ident(), threading.Event()

    def call(piece: int) -> int:
        if threading.get_ident() == mine:
            assert begun.wait(LIMIT_S)
            raise KeyError(piece)
        begun.set()
        threading.Event().wait(0.3)
        return 7

    found = results_of(call, 2, 2)
    assert sorted(found, key=str) == [7, None]
    assert results_of(lambda piece: {}[piece], 1, 1) == [None]


def test_T11_what_a_caller_gives_up_no_thread_begins() -> None:
    """Where the calling thread is interrupted, the others end with the piece that they have."""
    mine, done, release = threading.get_ident(), [], threading.Event()
    others = threading.Event()

    def call(piece: int) -> None:
        if threading.get_ident() == mine:
            assert others.wait(LIMIT_S)
            raise KeyboardInterrupt
        others.set()
        assert release.wait(LIMIT_S)
        done.append(piece)

    with pytest.raises(KeyboardInterrupt):
        results_of(call, 50, 2)
    release.set()
    end_s = time.monotonic() + 0.5
    while time.monotonic() < end_s and len(done) < 2:
        time.sleep(0.01)
    assert len(done) == 1


def test_T11_a_journal_that_lacks_one_record_is_refused(tmp_path: Path) -> None:
    """A segment that begins one record after the last one of those before it."""
    from rapidjws.audit.journal import FOLDER, Segment
    from rapidjws.audit.merkle import Tree, leaf_hash
    from rapidjws.audit.recovery import recovered

    (tmp_path / FOLDER).mkdir()
    tree = Tree()
    rows = [b"%d" % number for number in range(256)]
    hashes = [leaf_hash(row) for row in rows]
    first = Segment(tmp_path, tree, 0)
    tree.append(hashes)
    second = Segment(tmp_path, tree, 1)
    for segment, count in ((first, 255), (second, 1)):
        segment.append(rows[:count], [b""] * count, hashes[:count])
        segment.sync()
        segment.close()
    with pytest.raises(ConfigurationError, match="record 255"):
        recovered(tmp_path, None)
