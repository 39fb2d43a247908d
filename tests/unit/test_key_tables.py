"""Use counts and thresholds of the key table, and what keys and tables a change keeps."""

from __future__ import annotations

from array import array

import pytest
import tokens
from tables import ALG, NEED_BYTES, engine_of, use

import rapidjws
from rapidjws import Engine, _native
from rapidjws.verify import table_builder
from rapidjws.verify.key_table import IssuerKeys

pytestmark = pytest.mark.skipif(not NEED_BYTES, reason="no tables on this platform")


def due_at(threshold: int, uses: int) -> list[int]:
    """Return at which acceptances the core says that a key is due for a table."""
    engine = Engine(tokens.issuer("ES256"), precompute_threshold=threshold, precompute_budget_bytes=0)
    token = tokens.token("ES256").encode()
    engine.verify(token, tokens.NOW_S)  # its header is known from here on
    due = []
    for count in range(2, uses + 1):
        verdict = engine._snapshot.verify_one(token, tokens.NOW_S * 10**9)
        if isinstance(verdict, int):
            assert verdict & 0x1FF == 0x100 | _native.OK
            due.append(count)
    return due


def test_T10_a_key_is_due_at_its_threshold_and_at_each_doubling() -> None:
    """With a threshold of N the N-th acceptance says so, not the one before or after; then 2 N, 4 N, 8 N."""
    assert due_at(5, 45) == [5, 10, 20, 40]
    assert due_at(64, 64) == [64]
    assert due_at(64, 63) == []


def test_T10_used_bytes_after_a_rotation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables of keys that went are not counted any more, those of keys that stayed are."""
    monkeypatch.setattr(table_builder.TableBuilder, "submit", lambda *_: None)  # else n2 may have one already
    engine = engine_of(("n0", "n1"), tables=4)
    engine.precompute()
    assert engine.table_status().used_bytes == 2 * NEED_BYTES
    engine.replace_keys(tokens.ISS, [tokens.public(ALG, name) for name in ("n1", "n2")])
    assert engine.table_status().used_bytes == NEED_BYTES
    assert engine.precomputed_kids == ("n1-eddsa",)
    engine.precompute()
    assert engine.table_status().used_bytes == 2 * NEED_BYTES


def test_T10_keys_are_not_kept_where_their_algorithms_changed() -> None:
    """The same JWK object under another list serves that list, no more and no less."""
    key = rapidjws.JWK.from_json({k: v for k, v in tokens.public("RS256").as_dict().items() if k != "alg"})
    old = IssuerKeys([key], ["RS256", "PS256"])
    for algorithms in (
        ["RS256"],
        ["PS256"],
        ["PS256", "RS256"],
        ["RS256", "PS512"],
        ["RS256", "PS256", "RS512"],
    ):
        new = IssuerKeys([key], algorithms, old)
        assert {one.alg for one in new.prepared} == set(algorithms)
    assert IssuerKeys([key], ["RS256", "PS256"], old).prepared == old.prepared
    engine = Engine(tokens.issuer(keys=[key], algorithms=["RS256", "PS256"]))
    good = {
        alg: tokens.token(alg, jwk=tokens.renamed(tokens.key("RS256"), key.kid, alg=None))
        for alg in ("RS256", "PS256")
    }
    for token in good.values():
        assert tokens.code_of(engine, token) == "ok"
    engine.replace_issuers(tokens.issuer(keys=[key], algorithms=["PS256"]))
    assert tokens.code_of(engine, good["PS256"]) == "ok"
    assert tokens.code_of(engine, good["RS256"]) == "algorithm_not_allowed"


def test_T10_use_counts_of_odd_slots() -> None:
    """A slot that is not there has no count, and counts belong to their slots."""
    engine = engine_of(("n0", "n1"), threshold=1000)
    use(engine, "n1", 3)
    assert engine._snapshot.native.use_counts(array("I", [1, 0, 2, 2**32 - 1])) == [3, 0, 0, 0]
