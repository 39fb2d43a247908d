"""Which keys get precomputed tables, how often they are built, and what the budget means."""

from __future__ import annotations

import gc
import logging
import threading
import weakref
from collections.abc import Iterable
from time import monotonic

import pytest
import tokens
from tables import ALG, NAMES, NEED_BYTES, Counted, engine_of, prepared_keys, use, wait_until

import rapidjws
from rapidjws import Engine, _native
from rapidjws.verify import precomputed as hot_module
from rapidjws.verify.key_table import PreparedKey
from rapidjws.verify.precomputed import PrecomputedKeys
from rapidjws.verify.table_memory import BUILD_TRIES, bytes_of

pytestmark = pytest.mark.skipif(not NEED_BYTES, reason="no tables on this platform")


@pytest.fixture(autouse=True)
def _long_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no busy machine end a turn before anything is built; how long turns are has a test of its own."""
    monkeypatch.setattr(hot_module, "TURN_S", 60.0)


def settle(engine: Engine) -> None:
    """Wait until the background thread has nothing to do for this engine."""
    engine._precomputed.next_turn_s = 0.0  # pace is held by tests of its own
    wait_until(lambda: not engine._precomputed.is_queued)


def prepared(*names: str) -> list[PreparedKey]:
    """Return prepared keys whose tables have one size."""
    return prepared_keys(*names, alg=ALG)


def tables_of(tables: int, keys: Iterable[PreparedKey] = (), threshold: int = 4) -> PrecomputedKeys:
    """Return tables with a budget for so many, built for these keys."""
    precomputed = PrecomputedKeys("auto", tables * NEED_BYTES, threshold)
    for key in keys:
        assert precomputed.build(key)
    return precomputed


def test_N5_keys_used_alike_never_take_each_others_tables() -> None:
    """With more keys in turn than tables fit, each table is built once and the whole budget stays in use."""
    engine = engine_of()
    for _ in range(150):
        for name in NAMES:
            use(engine, name)
        settle(engine)
    status = engine.table_status()
    assert (status.tables, status.built) == (3, 3)
    assert status.used_bytes == status.budget_bytes == 3 * NEED_BYTES
    assert status.wanted_bytes == 6 * NEED_BYTES


def test_N5_batches_admit_as_single_calls_do() -> None:
    """verify_many over keys in turn fills the budget and leaves it at that."""
    engine = engine_of()
    many = [tokens.token(ALG, name) for name in NAMES] * 40
    for _ in range(20):
        results = engine.verify_many(many, tokens.NOW_S)
        assert all(isinstance(one, rapidjws.VerifiedJWS) for one in results)
        settle(engine)
    assert (engine.table_status().tables, engine.table_status().built) == (3, 3)


def test_N5_a_key_used_much_more_displaces_the_least_used() -> None:
    """What counts is use: a busy key gets the table of the least busy one, and of no other."""
    engine = engine_of()
    for name, times in (("n0", 40), ("n1", 6), ("n2", 40)):
        use(engine, name, times)
    settle(engine)
    assert set(engine.precomputed_kids) == {"n0-eddsa", "n1-eddsa", "n2-eddsa"}
    use(engine, "n3", 15)
    settle(engine)
    assert "n3-eddsa" not in engine.precomputed_kids  # below twice the uses of n1 and the threshold
    use(engine, "n3", 1)
    settle(engine)
    assert set(engine.precomputed_kids) == {"n0-eddsa", "n3-eddsa", "n2-eddsa"}


def test_N5_recent_use_counts() -> None:
    """Keys that were used much in the past and not any more give way to those that are used now, soon."""
    engine = engine_of()
    for name in NAMES[:3]:
        use(engine, name, 3000)
    settle(engine)
    assert engine.table_status().tables == 3
    used = 0
    while "n5-eddsa" not in engine.precomputed_kids:
        use(engine, "n5")
        settle(engine)
        used += 1
        assert used < 600


def test_N5_use_counts_go_on_when_tables_are_published() -> None:
    """A swap of tables loses no count; a change of keys begins to count anew."""
    engine = engine_of(threshold=1000)
    use(engine, "n0", 7)
    counts = [engine._use_counts(engine._snapshot.table.slots)[key] for key in engine._snapshot.table.slots]
    assert counts == [7, 0, 0, 0, 0, 0]
    engine._publish_tables()
    assert list(engine._use_counts(engine._snapshot.table.slots).values()) == counts
    engine._halve_use_counts()
    engine._publish_tables()
    assert list(engine._use_counts(engine._snapshot.table.slots).values()) == [3, 0, 0, 0, 0, 0]
    engine.replace_keys(tokens.ISS, [tokens.public(ALG, name) for name in NAMES[:2]])
    assert list(engine._use_counts(engine._snapshot.table.slots).values()) == [0, 0]


def test_N5_the_pace_is_bounded_once_the_budget_was_filled(monkeypatch: pytest.MonkeyPatch) -> None:
    """A turn that displaces is followed by another only when 20 times its CPU time has passed."""
    monkeypatch.setattr(hot_module, "TURN_S", 60.0)
    keys = prepared(*NAMES)
    precomputed = tables_of(2, keys[:2])
    owner = Counted({key: 10 * number for number, key in enumerate(keys)})
    precomputed.due = dict.fromkeys(keys[3:])
    assert not precomputed.take_turn(owner)
    assert (precomputed.built, owner.published, set(precomputed.tables)) == (4, 1, {keys[4], keys[5]})
    assert precomputed.next_turn_s - monotonic() > 10 * precomputed.build_cpu_s > 0
    owner.counts[keys[3]] = 1000
    precomputed.due = {keys[3]: None}
    assert precomputed.take_turn(owner)
    assert precomputed.built == 4
    precomputed.next_turn_s = 0.0
    precomputed.take_turn(owner)
    assert set(precomputed.tables) == {keys[3], keys[5]}


def test_N5_a_key_that_is_due_is_published() -> None:
    """A table that was built is put to use at the end of the turn, once; where none was, nothing is."""
    keys = prepared("n0")
    precomputed = tables_of(2)
    owner = Counted({keys[0]: 5})
    for _ in range(2):
        precomputed.due = {keys[0]: None}
        precomputed.take_turn(owner)
        assert (precomputed.built, owner.published) == (1, 1)


def test_a_table_that_another_engine_built_is_put_to_use() -> None:
    """Two engines with one key: the second finds the table when it is due, builds none, and publishes it."""
    first, second = tables_of(2, prepared("n0")), tables_of(2)
    keys = prepared("n0")
    owner = Counted({keys[0]: 5})
    second.due = {keys[0]: None}
    second.take_turn(owner)
    assert second.tables[keys[0]] in set(first.tables.values())
    assert (second.built, owner.published) == (0, 1)


def test_N5_a_turn_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is built is put to use when a turn's time is over; the rest stays due."""
    monkeypatch.setattr(hot_module, "TURN_S", 0.0)
    keys = prepared(*NAMES)
    precomputed = tables_of(6)
    precomputed.due = dict.fromkeys(keys)
    assert precomputed.take_turn(Counted(dict.fromkeys(keys, 4)))
    assert precomputed.built == 0


def test_N5_rotated_keys_are_paced_too() -> None:
    """What was built once over the whole budget is paced even where tables fell away."""
    keys = prepared(*NAMES)
    precomputed = tables_of(2, keys[:2])
    precomputed.keep_only(keys[2:])
    assert precomputed.used_bytes == 0
    precomputed.due = dict.fromkeys(keys[2:4])
    assert not precomputed.take_turn(Counted(dict.fromkeys(keys[2:], 1)))
    assert (precomputed.built, precomputed.used_bytes) == (4, 2 * NEED_BYTES)
    assert precomputed.next_turn_s > monotonic()


def test_N5_turning_keys_away_is_paced() -> None:
    """Looking at keys that get no table has the same share of the CPU as building."""
    keys = prepared(*NAMES)
    precomputed = tables_of(2, keys[:2])
    owner = Counted(dict.fromkeys(keys, 4))
    precomputed.due = dict.fromkeys(keys[2:])
    assert not precomputed.take_turn(owner)
    assert (precomputed.built, owner.published, owner.aged) == (2, 0, 0)
    assert precomputed.next_turn_s > monotonic()


def test_N5_a_fresh_budget_is_filled_without_delay() -> None:
    """Until the budget was filled once, tables are built one after the other."""
    keys = prepared(*NAMES)
    precomputed = tables_of(6)
    precomputed.due = dict.fromkeys(keys)
    owner = Counted(dict.fromkeys(keys, 4))
    while precomputed.take_turn(owner):
        assert precomputed.next_turn_s == 0.0
    assert precomputed.built == 6


@pytest.mark.parametrize(("highest", "aged"), [(31, 0), (32, 1)])
def test_N5_use_is_halved_at_eight_thresholds(highest: int, aged: int) -> None:
    """A key that is turned away at eight times the threshold makes all counts half as much."""
    keys = prepared("n0", "n1")
    precomputed = tables_of(1, keys[:1])
    owner = Counted({keys[0]: 100, keys[1]: highest})
    precomputed.due = {keys[1]: None}
    precomputed.take_turn(owner)
    assert owner.aged == aged


@pytest.mark.parametrize(("others", "aged"), [(9, 0), (10, 1)])
def test_N5_a_busy_key_with_a_table_does_not_keep_others_from_counting(others: int, aged: int) -> None:
    """A key that is refused a larger table halves the counts where use is eight thresholds on average."""
    keys = prepared_keys("n0", "n1", "n2", "n3")
    smallest = len(bytes_of(keys[0])) - 1
    precomputed = PrecomputedKeys("auto", 4 * bytes_of(keys[0])[smallest], 4)
    precomputed._first_sizes = dict.fromkeys(keys, smallest)
    assert all(precomputed.build(key) for key in keys)
    owner = Counted({**dict.fromkeys(keys, others), keys[0]: 100})
    precomputed.due = {keys[0]: None}
    precomputed.take_turn(owner)
    assert (owner.aged, precomputed.built, len(precomputed.tables)) == (aged, 4, 4)


@pytest.mark.parametrize(("uses", "displaced"), [(23, False), (24, True)])
def test_N5_twice_the_use_and_the_threshold_displace(uses: int, displaced: bool) -> None:
    """A key needs twice the use of those whose tables go, and a threshold beyond."""
    keys = prepared("n0", "n1", "n2")
    precomputed = tables_of(2, keys[:2])
    precomputed.due = {keys[2]: None}
    precomputed.take_turn(Counted({keys[0]: 10, keys[1]: 50, keys[2]: uses}))
    assert (keys[2] in precomputed.tables, keys[0] in precomputed.tables) == (displaced, not displaced)
    assert keys[1] in precomputed.tables


def test_N5_the_budget_that_would_do_is_named(caplog: pytest.LogCaptureFixture) -> None:
    """The status and one log line say what budget all keys in use need; keys out of use are forgotten."""
    keys = prepared(*NAMES)
    precomputed = tables_of(2, keys[:2])
    owner = Counted(dict.fromkeys(keys, 1000))
    with caplog.at_level(logging.WARNING, logger="rapidjws.tables"):
        for _ in range(3):
            precomputed.due = dict.fromkeys(keys[2:5])
            precomputed.next_turn_s = 0.0
            owner.counts = dict.fromkeys(keys, 1000)
            precomputed.take_turn(owner)
    assert precomputed.status().wanted_bytes == 5 * NEED_BYTES
    assert [record.getMessage() for record in caplog.records] == [
        f"precomputed tables: 2 of 5 keys in use have one, 0 of them a smaller one;"
        f" precompute_budget_bytes={2 * NEED_BYTES}, {5 * NEED_BYTES} would do for all"
    ]
    for _ in range(hot_module.REMEMBERED_AGES + 1):
        precomputed.due = {keys[2]: None}
        precomputed.next_turn_s = 0.0
        owner.counts = dict.fromkeys(keys, 1000)
        precomputed.take_turn(owner)
    assert precomputed.status().wanted_bytes == 3 * NEED_BYTES
    precomputed.keep_only(keys[:1])
    assert precomputed.status().wanted_bytes == precomputed.used_bytes == NEED_BYTES


def test_N5_a_key_whose_table_cannot_be_built_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """After three attempts a key is not tried again, and not missing either; its tokens still verify."""
    engine = engine_of(("n0",))
    tries: list[int] = []
    monkeypatch.setattr(
        _native, "build_precomputed", lambda number, public, portable, size: tries.append(number)
    )
    for _ in range(9):
        use(engine, "n0", 4)
        settle(engine)
        engine._precomputed.due = {engine._snapshot.table.slots[0]: None}
        engine._build_due_tables()
    assert len(tries) == BUILD_TRIES
    assert not engine.precompute_in_background(4)
    assert engine.precompute() == 0


def test_N5_a_fault_while_building_ends_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine whose turn fails is tried again, and others get their tables."""
    broken, sound = engine_of(("n0",)), engine_of(("n1",))
    failing = threading.Event()

    def fail() -> None:
        failing.set()
        raise MemoryError

    monkeypatch.setattr(
        type(broken._precomputed),
        "_build_next",
        lambda self, owner, turn: fail() if owner is broken else build(self, owner, turn),
    )
    use(broken, "n0", 5)
    assert failing.wait(30)
    wait_until(lambda: not broken._precomputed.is_queued)
    use(sound, "n1", 5)
    wait_until(lambda: sound.precomputed_kids == ("n1-eddsa",))
    monkeypatch.undo()
    use(broken, "n0", 4)
    wait_until(lambda: broken.precomputed_kids == ("n0-eddsa",))


build = PrecomputedKeys._build_next


def test_N5_an_idle_builder_keeps_no_engine_alive() -> None:
    """An engine that is paced, or was served, is freed when its owner lets go."""
    engine = engine_of(("n0", "n1"), tables=1)
    use(engine, "n0", 5)
    settle(engine)
    engine._precomputed.next_turn_s = monotonic() + 3600
    use(engine, "n1", 50)
    precomputed = engine._precomputed
    wait_until(lambda: precomputed.due)
    gone = weakref.ref(engine)
    del engine
    wait_until(lambda: gc.collect() >= 0 and gone() is None)


def test_N5_a_key_that_goes_while_its_table_is_built_leaves_nothing() -> None:
    """A table of a key that is not there any more is dropped when tables are put to use."""
    engine = engine_of(("n0", "n1"))
    gone = engine._snapshot.table.slots[0]
    engine.replace_keys(tokens.ISS, [tokens.public(ALG, "n1")])
    assert engine._precomputed.build(gone)
    engine._publish_tables()
    assert engine.table_status().used_bytes == 0
    assert engine.precomputed_kids == ()
    engine._precomputed.due = {gone: None}
    assert engine._build_due_tables() is None
    assert engine.table_status().built == 1


def test_N5_a_forked_child_begins_with_nothing_due() -> None:
    """What was due when a process forked is due again in the child when its key is used on."""
    precomputed = tables_of(1)
    precomputed.due = dict.fromkeys(prepared("n0"))
    precomputed.is_queued = True
    precomputed.after_fork()
    assert (precomputed.due, precomputed.is_queued) == ({}, False)
