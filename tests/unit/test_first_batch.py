"""A batch takes up tables that are built while it runs, and nothing else that changes."""

from __future__ import annotations

from typing import Any

import pytest
import tokens
from tables import wait_until
from tokens import ISS, NOW_S

import rapidjws
from rapidjws import Engine, _native
from rapidjws.verify import parallel, table_builder
from rapidjws.verify import precomputed as precomputed_module
from rapidjws.verify.pipeline import Snapshot

pytestmark = pytest.mark.skipif(
    not _native.precomputed_bytes(_native.ALG_NUMBERS["ES256"]), reason="no tables on this platform"
)


@pytest.fixture(autouse=True)
def _long_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no busy machine end a turn before anything is built; how long turns are has a test of its own."""
    monkeypatch.setattr(precomputed_module, "TURN_S", 60.0)


def chunks_of(monkeypatch: pytest.MonkeyPatch, between: Any) -> list[tuple[Snapshot, int]]:
    """Watch the chunks of a batch; call ``between`` with the number of each before it is verified."""
    seen: list[tuple[Snapshot, int]] = []
    real = parallel.verify_chunk

    def watched(snapshot: Snapshot, some: Any, *rest: Any, **named: Any) -> Any:
        seen.append((snapshot, len(some)))
        found = real(snapshot, some, *rest, **named)
        between(len(seen))
        return found

    monkeypatch.setattr(parallel, "verify_chunk", watched)
    return seen


def test_N3_a_batch_takes_up_a_new_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table that is there after the first slice is used by the second slice of the same call."""
    engine = Engine(tokens.issuer(), workers=1)
    seen = chunks_of(monkeypatch, lambda number: number == 1 and engine.precompute())
    token = tokens.token()
    results = engine.verify_many([token] * 600, NOW_S)
    assert all(isinstance(one, rapidjws.VerifiedJWS) for one in results)
    first, second = seen[0][0], seen[1][0]
    assert (len(first.tables), len(second.tables)) == (0, 1)
    assert second is engine._snapshot
    assert first.generation is second.generation


def test_N3_tables_in_use_are_not_put_to_use_again() -> None:
    """Who finds that another thread published the same tables leaves the snapshot as it is."""
    engine = Engine(tokens.issuer())
    assert engine.precompute() == 1
    now = engine._snapshot
    engine._publish_tables()
    assert engine._snapshot is now
    assert len(now.tables) == 1


def test_N3_slices_are_short_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch begins with slices of 64 tokens, and every token is in exactly one of them."""
    engine = Engine(tokens.issuer("HS256"), workers=1)
    seen = chunks_of(monkeypatch, lambda number: None)
    many = [tokens.token("HS256", jti=str(number)) for number in range(3000)]
    results = engine.verify_many(many, NOW_S)
    assert [one.claims["jti"] for one in results if isinstance(one, rapidjws.VerifiedJWS)] == [
        str(number) for number in range(3000)
    ]
    assert [size for _, size in seen[:32]] == [parallel.SLICE_TOKENS] * 32
    assert [size for _, size in seen[32:]] == [256, 256, 256, 184]


def test_N3_keys_and_rules_stay_those_of_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys that are replaced while a batch runs change none of its verdicts, tables or not."""
    engine = Engine(tokens.issuer(), workers=1)

    def between(number: int) -> None:
        if number == 1:
            engine.precompute()
        if number == 2:
            engine.replace_keys(ISS, tokens.public("ES256", "k2"))
            engine.precompute()

    seen = chunks_of(monkeypatch, between)
    old, new = tokens.token(), tokens.token("ES256", "k2")
    results = engine.verify_many([old, new] * 300, NOW_S)
    assert all(isinstance(one, rapidjws.VerifiedJWS) for one in results[::2])
    assert {one.code for one in results[1::2] if isinstance(one, rapidjws.Rejected)} == {"unknown_kid"}
    assert len(results[1::2]) == sum(isinstance(one, rapidjws.Rejected) for one in results[1::2])
    assert len({id(snapshot) for snapshot, _ in seen}) == 2
    assert len({id(snapshot.generation) for snapshot, _ in seen}) == 1
    after = engine.verify_many([old, new], NOW_S)
    assert [isinstance(one, rapidjws.VerifiedJWS) for one in after] == [False, True]


def test_N3_a_key_that_a_batch_makes_due_gets_its_table_within_it() -> None:
    """On a fresh engine the first batch ends on the key's table: the background thread built it meanwhile."""
    engine = Engine(tokens.issuer("ES384"), workers=1)
    token = tokens.token("ES384")
    before = engine._snapshot
    results = engine.verify_many([token] * 2000, NOW_S)
    assert all(isinstance(one, rapidjws.VerifiedJWS) for one in results)
    assert engine.precomputed_kids == ("k1-es384",)
    assert before.latest() is engine._snapshot


def test_N3_forgeries_are_refused_on_both_sides_of_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """A forged token is refused before and after its key's table came, in place, and no good one is."""
    engine = Engine(tokens.issuer(), workers=2)
    chunks_of(monkeypatch, lambda number: number == 2 and engine.precompute())
    good = tokens.token()
    front, _, signature = good.rpartition(".")
    forged = f"{front}.{signature[:-4]}{'AAAA' if signature[-4:] != 'AAAA' else 'BBBA'}"
    results = engine.verify_many([good, forged, good] * 300, NOW_S)
    codes = ["ok" if isinstance(one, rapidjws.VerifiedJWS) else one.code for one in results]
    assert codes == ["ok", "signature_invalid", "ok"] * 300


def without_a_builder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no background thread build tables."""
    monkeypatch.setattr(table_builder.TableBuilder, "_start", lambda self: None)
    monkeypatch.setattr(table_builder.builder, "_queue", table_builder.LazyQueue())


@pytest.mark.parametrize(("count", "built"), [(575, 0), (576, 1), (3000, 1)])
def test_N3_a_batch_with_much_to_do_builds_what_is_due(
    count: int, built: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where 512 tokens or more are left, tables that are due are built before the next slice."""
    without_a_builder(monkeypatch)
    engine = Engine(tokens.issuer(), workers=1)
    results = engine.verify_many([tokens.token()] * count, NOW_S)
    assert all(isinstance(one, rapidjws.VerifiedJWS) for one in results)
    assert len(engine.precomputed_kids) == built
    assert len(engine._snapshot.tables) == built


def test_N3_a_fault_while_a_batch_builds_ends_no_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a table cannot be built, a batch goes on without, and the failure is counted."""

    def failing(*_: Any, **__: Any) -> None:
        raise MemoryError("no memory for a table")

    without_a_builder(monkeypatch)
    monkeypatch.setattr(_native, "build_precomputed", failing)
    failures = table_builder.builder.failures
    engine = Engine(tokens.issuer(), workers=1)
    results = engine.verify_many([tokens.token()] * 3000, NOW_S)
    assert all(isinstance(one, rapidjws.VerifiedJWS) for one in results)
    assert engine.precomputed_kids == ()
    assert table_builder.builder.failures > failures


def test_N3_a_batch_does_not_wait_for_ever_for_another_turn() -> None:
    """A turn that another thread does not end holds up a batch for moments only."""
    engine = Engine(tokens.issuer(), workers=1)
    with engine._precomputed._turn:
        results = engine.verify_many([tokens.token()] * 3000, NOW_S)
        assert all(isinstance(one, rapidjws.VerifiedJWS) for one in results)
        assert engine.precomputed_kids == ()
    wait_until(lambda: len(engine.precomputed_kids) == 1)
