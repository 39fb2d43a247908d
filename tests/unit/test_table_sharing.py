"""One precomputed table for a key, in all issuers, in all engines of a process, and across reloads."""

from __future__ import annotations

import gc
import os
from collections.abc import Sequence
from typing import Any

import pytest
import tokens
from tables import prepared_keys, wait_until

from rapidjws import Engine, Issuer, JWKSet, VerifiedJWS, _native
from rapidjws.jwt.registry_tables import SharedPrecomputedKeys, TableBudget
from rapidjws.verify.precomputed import PrecomputedKeys
from rapidjws.verify.table_sizes import LARGEST, table_bytes

SIZES = table_bytes(_native.ALG_NUMBERS["ES256"])

pytestmark = pytest.mark.skipif(not SIZES, reason="no tables on this platform")


def issuer(name: str = tokens.ISS, keys: Sequence[str] = ("k1",), **options: Any) -> Issuer:
    """Return an issuer with keys of these names."""
    found = [tokens.public("ES256", one) for one in keys]
    return Issuer(name, keys=JWKSet(found), algorithms=["ES256"], audience=tokens.AUD, **options)


def builds(monkeypatch: pytest.MonkeyPatch) -> list[tuple[bytes, int]]:
    """Note each table that the core builds: public key and size."""
    seen: list[tuple[bytes, int]] = []
    keys = _native.keys
    real = keys.NativePrecomputed

    class Noted(real):  # type: ignore[misc, valid-type]
        __slots__ = ()

        def __init__(self, handle: Any, generator: Any) -> None:
            seen.append((b"", 0))
            super().__init__(handle, generator)

    monkeypatch.setattr(keys, "NativePrecomputed", Noted)
    return seen


def test_issuers_with_the_same_key_share_its_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two issuers that have the same key have one table between them, and its memory counts once."""
    seen = builds(monkeypatch)
    engine = Engine(issuer(), issuer("https://other.example"))
    assert engine.precompute() == 2
    assert len(set(engine._precomputed.tables.values())) == 1
    assert len(seen) == 1
    status = engine.table_status()
    assert (status.tables, status.used_bytes, status.built) == (2, SIZES[LARGEST], 1)


def test_a_second_issuer_takes_what_is_there_though_the_budget_is_full() -> None:
    """A table of another issuer's same key costs no memory, so it needs none."""
    engine = Engine(
        issuer(), issuer("https://other.example"), precompute_budget_bytes=SIZES[LARGEST], workers=1
    )
    first = engine._snapshot.table.slots[0]
    assert engine._precomputed.build(first)
    engine._publish_tables()
    token = tokens.token(iss="https://other.example")
    for _ in range(engine._precomputed.threshold):
        engine.verify(token, tokens.NOW_S)
    wait_until(lambda: len(engine._snapshot.tables) == 2)
    assert engine.table_status().used_bytes == SIZES[LARGEST]
    assert engine.table_status().smaller == 0


def test_another_engine_uses_the_table_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that is made beside another of the same keys builds nothing."""
    seen = builds(monkeypatch)
    first = Engine(issuer())
    first.precompute()
    second = Engine(issuer())
    assert list(second._precomputed.tables.values()) == list(first._precomputed.tables.values())
    assert len(seen) == 1
    assert second._snapshot.tables is second._precomputed.tables
    assert isinstance(second.verify_many([tokens.token()], tokens.NOW_S)[0], VerifiedJWS)
    del first
    gc.collect()
    assert isinstance(second.verify_many([tokens.token()], tokens.NOW_S)[0], VerifiedJWS)


def test_a_table_goes_with_its_last_engine() -> None:
    """Nothing keeps a table that no engine uses."""
    engine = Engine(issuer())
    engine.precompute()
    key = engine._snapshot.table.slots[0]
    assert _native.live_precomputed(key.number, key.jwk.material[0], portable=False) is not None
    del engine
    gc.collect()
    assert _native.live_precomputed(key.number, key.jwk.material[0], portable=False) is None


@pytest.mark.parametrize(
    "options",
    [
        {"acceleration": "openssl"},
        {"acceleration": "portable"},
        {"precompute_threshold": 0},
        {"precompute_budget_bytes": 0},
    ],
)
def test_nothing_is_taken_where_it_is_not_wanted(options: dict[str, Any]) -> None:
    """Engines without tables, of other arithmetic or without a budget take none of another's."""
    engine = Engine(issuer())
    engine.precompute()
    assert Engine(issuer(), **options).precomputed_kids == ()


def test_no_key_gets_the_table_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kid that comes back with another key does not find the old key's table."""
    engine = Engine(issuer())
    engine.precompute()
    other = Engine(issuer(keys=("k2",)))
    assert other.precomputed_kids == ()
    forged = tokens.token("ES256", "k2", kid="k1-es256")
    assert not isinstance(engine.verify_many([forged], tokens.NOW_S)[0], VerifiedJWS)


def test_a_smaller_table_of_another_engine_is_not_taken() -> None:
    """An engine with memory for the largest table builds that, whatever another engine had to do with."""
    small = Engine(issuer(), precompute_budget_bytes=SIZES[-1])
    small.precompute()
    assert small.table_status().smaller == 1
    engine = Engine(issuer())
    assert engine.precomputed_kids == ()
    engine.precompute()
    assert engine.table_status().smaller == 0


def test_tables_survive_a_reload(monkeypatch: pytest.MonkeyPatch) -> None:
    """Issuers of other settings, and keys that went and came again, find their tables."""
    seen = builds(monkeypatch)
    engine = Engine(issuer(keys=("k1", "k2")))
    engine.precompute()
    before = set(engine._precomputed.tables.values())
    engine.replace_issuers(issuer(keys=("k1", "k2"), leeway_s=5))
    assert set(engine._precomputed.tables.values()) == before
    engine.replace_issuers(issuer("https://other.example", keys=("n0",)))
    assert set(engine._precomputed.tables.values()).isdisjoint(before)
    engine.replace_issuers(issuer(keys=("k1", "k2")))
    assert before <= set(engine._precomputed.tables.values())
    assert len(seen) <= 3  # the other issuer's may have been built beside
    assert engine.table_status().tables == 2


def test_tables_of_keys_that_went_give_way() -> None:
    """What is kept for a reload takes nothing from keys in use: used and kept stay within the budget."""
    keys = prepared_keys("n0", "n1", "n2")
    precomputed = PrecomputedKeys("auto", 2 * SIZES[LARGEST], 4)
    for key in keys[:2]:
        assert precomputed.build(key)
    precomputed.keep_only(())
    assert precomputed.used_bytes == 0
    assert sum(precomputed._retired.values()) == 2 * SIZES[LARGEST]
    assert precomputed.build(keys[2])
    assert sum(precomputed._retired.values()) == SIZES[LARGEST]
    precomputed.adopt(keys)
    assert set(precomputed.tables) == set(keys[1:])
    assert not precomputed._retired
    assert precomputed.used_bytes == 2 * SIZES[LARGEST]


def test_a_rotated_in_key_of_an_issuer_in_use_has_its_table_before_its_first_token() -> None:
    """Where an issuer's key has a table, a key that comes gets one without a token; else it does not."""
    engine = Engine(issuer(), issuer("https://quiet.example", keys=("n1",)), workers=1)
    assert engine._precomputed.build(engine._snapshot.table.slots[0])
    engine._publish_tables()
    engine.replace_keys(tokens.ISS, JWKSet([tokens.public("ES256", "k1"), tokens.public("ES256", "k2")]))
    wait_until(lambda: len(engine.precomputed_kids) == 2)
    engine.replace_keys("https://quiet.example", JWKSet([tokens.public("ES256", "n2")]))
    engine.replace_keys(tokens.ISS, JWKSet([tokens.public("ES256", "n3")]))  # all at once
    wait_until(lambda: "n3-es256" in engine.precomputed_kids)
    assert engine.precomputed_kids == ("n3-es256",)


def test_engines_of_a_registry_account_for_what_they_take() -> None:
    """Tables that engines of one budget take, share and drop leave it as it was."""
    budget = TableBudget(3 * SIZES[LARGEST])
    keys = prepared_keys("n0", "n1")
    one, two = (SharedPrecomputedKeys(budget, "auto", 4) for _ in range(2))
    assert all(one.build(key) for key in keys)
    two.adopt(keys)
    assert len(two.tables) == 1  # the other does not fit any more
    assert (budget.tables, budget.built) == (3, 2)
    assert budget.used_bytes == 3 * SIZES[LARGEST]
    one.close()
    two.close()
    assert (budget.tables, budget.used_bytes) == (0, 0)
    assert not one._retired


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_finds_the_tables() -> None:
    """A child that makes an engine of the same keys uses the tables that its parent built."""
    engine = Engine(issuer())
    engine.precompute()
    pid = os.fork()
    if pid == 0:
        child = Engine(issuer())
        good = child.precomputed_kids == ("k1-es256",)
        good = good and isinstance(child.verify_many([tokens.token()], tokens.NOW_S)[0], VerifiedJWS)
        os._exit(0 if good else 1)
    assert os.waitpid(pid, 0)[1] == 0
