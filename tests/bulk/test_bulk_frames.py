"""Frames of Polars and streams of DuckDB: the same function as for batches of Arrow."""

from __future__ import annotations

from pathlib import Path

import duckdb
import polars
import pyarrow as pa
import pyarrow.parquet
import tokens
from tokens import NOW_S

from rapidjws.bulk import BulkVerifier

TEXT = [tokens.token(sub=f"user-{number}") for number in range(5)]


def test_duckdb_and_the_same_function(tmp_path: Path) -> None:
    """A stream of DuckDB is verified batch by batch, and its own SQL reads the verdicts, in their rows."""
    rows = [(at, (*TEXT, "x", None)[at % 7]) for at in range(20_000)]
    table = pa.table({"id": [one for one, _ in rows], "token": [one for _, one in rows]})
    pa.parquet.write_table(table, tmp_path / "tokens.parquet")
    verifier = BulkVerifier(tokens.engine(), now=NOW_S, claims={"sub": "string"})
    database = duckdb.connect()
    other = duckdb.connect()  # one that is being read starts no query
    given = other.sql(f"select id, token from '{tmp_path / 'tokens.parquet'}'").to_arrow_reader(4096)
    verdicts = pa.RecordBatchReader.from_batches(verifier.schema(given.schema), map(verifier, given))
    database.register("verdicts", verdicts)
    found = database.sql(
        "select id % 7 as kind, code, sub, count(*) from verdicts group by all order by 1"
    ).fetchall()
    good = [(at, "ok", f"user-{at}", 20_000 // 7 + (at < 20_000 % 7)) for at in range(5)]
    refused = [(at, "malformed_token", None, 20_000 // 7 + (at < 20_000 % 7)) for at in (5, 6)]
    assert found == good + refused


def test_polars_and_the_same_function() -> None:
    """A Polars frame is verified by way of Arrow, and the answer is one again."""
    verifier = BulkVerifier(tokens.engine(), now=NOW_S)
    frame = polars.DataFrame({"id": [1, 2], "token": [TEXT[0], "x"]})
    found = polars.from_arrow(verifier(frame.to_arrow()))
    assert found["verdict"].to_list() == ["permit", "deny"]
