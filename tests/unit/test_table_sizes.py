"""Sizes of precomputed tables: small ones for many keys, large ones for few, none rebuilt for nothing."""

from __future__ import annotations

import itertools
import random

import pytest
import tokens
from tables import Counted, prepared_keys, wait_until

from rapidjws import Engine, VerifiedJWS, _native
from rapidjws.verify import precomputed as precomputed_module
from rapidjws.verify.key_table import IssuerKeys
from rapidjws.verify.precomputed import PrecomputedKeys, Turn
from rapidjws.verify.table_sizes import SAVED_SHARES, plan_sizes, table_bytes

ES256 = _native.ALG_NUMBERS["ES256"]
SIZES = table_bytes(ES256)
LARGE, MEDIUM, SMALL = 0, 1, 2
MIB = 1024 * 1024

pytestmark = pytest.mark.skipif(not SIZES, reason="no tables on this platform")


@pytest.fixture(autouse=True)
def _long_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no busy machine end a turn before anything is built; how long turns are has a test of its own."""
    monkeypatch.setattr(precomputed_module, "TURN_S", 60.0)


def plan(uses: dict[str, int], held: dict[str, int], budget_bytes: int, threshold: int = 4) -> dict[str, int]:
    """Plan for keys of one curve."""
    return plan_sizes(uses, held, lambda _: SIZES, budget_bytes, threshold)


def test_sizes_fall_and_are_one_where_there_is_one() -> None:
    """Each size of an ECDSA table is less than half of the one before; Ed25519 has one size, RSA none."""
    for alg in ("ES256", "ES384", "ES512", "ES256K"):
        sizes = table_bytes(_native.ALG_NUMBERS[alg])
        assert len(sizes) == len(SAVED_SHARES)
        assert all(2 * smaller < larger for larger, smaller in itertools.pairwise(sizes))
    assert len(table_bytes(_native.ALG_NUMBERS["ED25519"])) == 1
    assert table_bytes(_native.ALG_NUMBERS["RS256"]) == ()


def test_few_keys_have_the_largest() -> None:
    """Where the largest table fits for each key, each has it, however little it is used."""
    uses = {str(number): number for number in range(255)}
    assert set(plan(uses, {}, 64 * MIB).values()) == {LARGE}
    assert len(plan(uses, {}, 64 * MIB)) == 255


@pytest.mark.parametrize(
    ("count", "most_without"), [(256, 0), (400, 0), (1_000, 0), (2_040, 0), (3_000, 1_000)]
)
def test_N5_keys_used_alike_share_the_budget(count: int, most_without: int) -> None:
    """Before any key has two sizes more than another all have a table, and no memory for a step is left."""
    planned = plan({str(number): 100 for number in range(count)}, {}, 64 * MIB)
    assert count - len(planned) <= most_without
    used = sum(SIZES[size] for size in planned.values())
    assert used <= 64 * MIB
    kinds = sorted(set(planned.values()))
    assert len(kinds) <= 2
    assert len(planned) == count or kinds == [SMALL]
    assert 64 * MIB - used < SIZES[LARGE]


@pytest.mark.parametrize("seed", range(20))
def test_N5_a_plan_is_kept_while_use_stays(seed: int) -> None:
    """Keys of any use: what a plan gave stays when the plan is made again, also where uses wobble."""
    source = random.Random(seed)
    count = source.randrange(1, 600)
    uses = {str(number): int(1_000 * source.paretovariate(1.1)) for number in range(count)}
    budget_bytes = source.randrange(MIB, 64 * MIB)
    held = plan(uses, {}, budget_bytes, 64)
    assert sum(SIZES[size] for size in held.values()) <= budget_bytes
    for _ in range(3):
        wobbling = {key: used * source.randrange(75, 125) // 100 for key, used in uses.items()}
        again = plan(wobbling, held, budget_bytes, 64)
        kept = {key: size for key, size in again.items() if key in held}
        assert {key: size for key, size in kept.items() if size > held[key]} == {}
        assert set(held) <= set(again)


def test_N5_the_busiest_keys_have_the_largest_tables() -> None:
    """Where not all fit, a key used more never has a smaller table than one used less."""
    uses = {str(number): 1_000_000 // (number + 1) for number in range(700)}
    planned = plan(uses, {}, 64 * MIB)
    sizes = [planned.get(key, SMALL + 1) for key in uses]
    assert sizes == sorted(sizes)
    assert sizes[0] == LARGE


@pytest.mark.parametrize(("uses", "displaced"), [(23, False), (24, True)])
def test_N5_a_small_table_needs_twice_the_use_and_the_threshold(uses: int, displaced: bool) -> None:
    """A key without a table takes the last small one of another at twice its use and a threshold beyond."""
    planned = plan({"new": uses, "old": 10}, {"old": SMALL}, SIZES[SMALL])
    assert planned == ({"new": SMALL} if displaced else {"old": SMALL})


def test_N5_a_step_that_is_not_held_weighs_its_use_alone() -> None:
    """A key with a small table takes nothing from another's larger one at nearly the same use."""
    budget_bytes = SIZES[MEDIUM] + SIZES[SMALL]
    assert plan({"new": 15, "old": 10}, {"new": SMALL, "old": MEDIUM}, budget_bytes) == {
        "new": SMALL,
        "old": MEDIUM,
    }
    assert plan({"new": 25, "old": 10}, {"new": SMALL, "old": MEDIUM}, budget_bytes) == {
        "new": MEDIUM,
        "old": SMALL,
    }


def test_N5_memory_goes_where_a_byte_saves_most() -> None:
    """A much larger table of another curve has to be worth all the small ones that it would displace."""
    large_bytes = 4 * SIZES[SMALL]

    def bytes_of(key: str) -> tuple[int, ...]:
        return (large_bytes,) if key == "big" else (SIZES[SMALL],)

    for uses, wins in ((39, False), (41, True)):
        planned = plan_sizes({"a": 10, "b": 10, "c": 10, "d": 10, "big": uses}, {}, bytes_of, large_bytes, 4)
        assert planned == ({"big": 0} if wins else dict.fromkeys("abcd", 0))


def test_N5_the_least_used_gives_the_memory() -> None:
    """Of two keys with the largest table the one used less gets a smaller one."""
    keys = prepared_keys("n0", "n1", "n2")
    precomputed = PrecomputedKeys("auto", 2 * SIZES[LARGE], 4)
    for key in keys[:2]:
        assert precomputed.build(key)
    precomputed.due = {keys[2]: None}
    precomputed.take_turn(Counted({keys[0]: 50, keys[1]: 60, keys[2]: 40}))
    assert [precomputed._sizes[key] for key in keys] == [MEDIUM, LARGE, MEDIUM]


@pytest.mark.parametrize(("short_bytes", "smaller"), [(0, 0), (1, 1)])
def test_N5_the_largest_tables_are_built_up_to_the_budget(short_bytes: int, smaller: int) -> None:
    """Two keys have the largest table in exactly twice its memory; with a byte less one has a smaller one."""
    keys = prepared_keys("n0", "n1")
    precomputed = PrecomputedKeys("auto", 2 * SIZES[LARGE] - short_bytes, 4)
    precomputed.due = dict.fromkeys(keys)
    precomputed.take_turn(Counted(dict.fromkeys(keys, 5)))
    assert (precomputed.status().tables, precomputed.status().smaller) == (2, smaller)
    assert precomputed.used_bytes <= precomputed.budget_bytes


def test_N5_a_dropped_table_is_published_though_none_was_built(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the smaller table cannot be built, the memory of the larger one is given up all the same."""
    keys = prepared_keys("n0", "n1")
    precomputed = PrecomputedKeys("auto", SIZES[LARGE], 4)
    assert precomputed.build(keys[0])
    monkeypatch.setattr(_native, "build_precomputed", lambda *_, **__: None)
    precomputed.due = {keys[1]: None}
    owner = Counted({keys[0]: 50, keys[1]: 40})
    precomputed.take_turn(owner)
    assert (owner.published, precomputed.used_bytes, precomputed.tables) == (1, 0, {})


def test_N5_a_new_key_makes_a_large_table_smaller_instead_of_none() -> None:
    """A key that is due takes from a busier one what that one gains least by."""
    keys = prepared_keys("n0", "n1")
    precomputed = PrecomputedKeys("auto", SIZES[LARGE], 4)
    assert precomputed.build(keys[0])
    precomputed.due = {keys[1]: None}
    precomputed.take_turn(Counted({keys[0]: 50, keys[1]: 40}))
    status = precomputed.status()
    assert (status.tables, status.smaller, status.built) == (2, 2, 3)
    assert status.used_bytes == 2 * SIZES[MEDIUM] <= status.budget_bytes
    assert status.wanted_bytes == 2 * SIZES[LARGE]


def test_N5_a_smaller_table_grows_when_there_is_room() -> None:
    """A key that is used on gets the largest table once others are gone."""
    keys = prepared_keys("n0", "n1")
    precomputed = PrecomputedKeys("auto", SIZES[LARGE], 4)
    precomputed.due = dict.fromkeys(keys)
    owner = Counted(dict.fromkeys(keys, 100))
    precomputed.take_turn(owner)
    assert (precomputed.status().tables, precomputed.status().smaller) == (2, 2)
    precomputed.keep_only(keys[:1])
    precomputed.due, precomputed.next_turn_s = {keys[0]: None}, 0.0
    precomputed.take_turn(owner)
    assert precomputed.used_bytes == SIZES[LARGE]
    assert (precomputed.status().tables, precomputed.status().smaller) == (1, 0)


def test_N5_tables_asked_for_beforehand_fit_all_keys() -> None:
    """precompute() gives each key a table where the largest would serve few of them."""
    engine = engine_of_sizes([f"n{number}" for number in range(4)], SIZES[LARGE])
    assert engine.precompute() == 4
    status = engine.table_status()
    assert (status.tables, status.smaller, status.built) == (4, 4, 4)
    assert status.used_bytes <= status.budget_bytes
    assert engine.precompute() == 0


def test_N5_a_batch_of_keys_with_tables_of_every_size() -> None:
    """Good and forged tokens of one batch get their own verdicts, whatever the sizes of the tables."""
    names = [f"n{number}" for number in range(6)]
    engine = engine_of_sizes(names, SIZES[LARGE] + 2 * SIZES[MEDIUM] + 3 * SIZES[SMALL])
    precomputed = engine._precomputed
    for key, size in zip(engine._snapshot.table.slots, (0, 1, 1, 2, 2, 2), strict=True):
        precomputed._first_sizes = {key: size}
        assert precomputed.build(key)
    engine._publish_tables()
    good = [tokens.token("ES256", name) for name in names]
    forged = [one[:-8] + ("A" if one[-8] != "A" else "B") + one[-7:] for one in good]
    many = [*good, *forged, *reversed(good)] * 6
    _native.set_sampling(1)
    try:
        results = engine.verify_many(many, tokens.NOW_S)
    finally:
        _native.set_sampling(_native.SAMPLE_INTERVAL)
    assert [isinstance(one, VerifiedJWS) for one in results] == [one in good for one in many]
    assert not _native.acceleration_report().off
    for token in good:
        assert engine.verify(token, tokens.NOW_S).payload


def test_N5_the_core_asks_for_larger_tables_only_while_there_are_some() -> None:
    """A key with a small table is due again at each doubling of its use, one with the largest never."""
    engine = engine_of_sizes(["n0"], SIZES[SMALL])
    token = tokens.token("ES256", "n0")
    engine.precompute()
    assert engine.table_status().smaller == 1
    for _ in range(9):
        engine.verify(token, tokens.NOW_S)
    wait_until(lambda: not engine._precomputed.is_queued)
    assert engine._precomputed.next_turn_s > 0  # it was due and refused: the budget has no room for more
    large = engine_of_sizes(["n0"], SIZES[LARGE])
    large.precompute()
    for _ in range(9):
        large.verify(token, tokens.NOW_S)
    assert (large._precomputed.due, large._precomputed.next_turn_s) == ({}, 0.0)


def test_N5_a_plan_that_has_become_impossible_is_left() -> None:
    """Where another took the memory after the plan was made, nothing is built over the budget."""
    keys = prepared_keys("n0", "n1")
    precomputed = PrecomputedKeys("auto", SIZES[LARGE], 4)
    turn = Turn()
    precomputed.due = dict.fromkeys(keys)
    owner = Counted(dict.fromkeys(keys, 10))
    precomputed._plan(owner, turn)
    assert precomputed.build(IssuerKeys([tokens.public("ES256", "n2")], ["ES256"]).prepared[0])
    while precomputed._build_next(owner, turn):
        pass
    assert precomputed.used_bytes <= precomputed.budget_bytes
    assert (precomputed.built, precomputed.due) == (1, {})


def engine_of_sizes(names: list[str], budget_bytes: int) -> Engine:
    """Return an engine with ES256 keys and a budget."""
    keys = [tokens.public("ES256", name) for name in names]
    issuer = tokens.issuer("ES256", keys=keys)
    return Engine(issuer, precompute_budget_bytes=budget_bytes, precompute_threshold=4, workers=1)
