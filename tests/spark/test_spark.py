"""Bulk verification on a real Spark with two cores; run by ``make test-spark``, which wants Java 17."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import tokens
from tokens import AUD, ISS, NOW_S

import rapidjws

pytestmark = [pytest.mark.spark, pytest.mark.long]

MADE = [tokens.token(sub=f"u{number}") for number in range(6)] + ["x", tokens.token(exp=NOW_S - 4000), None]
EXPECTED = ["ok"] * 6 + ["malformed_token", "expired", "malformed_token"]
RULES: dict[str, Any] = {
    "jwks": json.dumps({"keys": [tokens.public("ES256").as_dict()]}),
    "issuer": ISS,
    "algorithms": ["ES256"],
    "audience": [AUD],
    "now": NOW_S,
}


@pytest.fixture(scope="module")
def spark() -> Iterator[Any]:
    """Return a session of two cores, with speculation, whose tasks may fail twice."""
    from pyspark.sql import SparkSession

    os.environ["PYSPARK_PYTHON"] = sys.executable
    session = (
        SparkSession.builder.master("local[2,3]")
        .config("spark.ui.enabled", "false")
        .config("spark.speculation", "true")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.sql.execution.arrow.maxRecordsPerBatch", "50")
        .getOrCreate()
    )
    yield session
    session.stop()


@pytest.mark.filterwarnings("ignore")
def test_verdicts_on_spark(spark: Any) -> None:
    """Every row has its verdict and its claims, over several tasks and batches; bad rows fail no job."""
    from rapidjws.bulk.spark import verify_frame

    rows = [(at, MADE[at % len(MADE)]) for at in range(900)]
    frame = spark.createDataFrame(rows, "id long, token string").repartition(5)
    found = verify_frame(frame, claims={"sub": "string", "exp": "timestamp"}, **RULES).orderBy("id").collect()
    assert [row["code"] for row in found] == EXPECTED * 100
    assert [row["sub"] for row in found[:9]] == [f"u{number}" for number in range(6)] + [None] * 3
    assert found[0]["exp"].timestamp() == NOW_S + 300
    assert set(found[0].asDict()) == {"id", "verdict", "code", "sub", "exp"}


@pytest.mark.filterwarnings("ignore")
def test_another_column_is_named_before_a_job_starts(spark: Any) -> None:
    """A frame without such a column is refused at the call."""
    from rapidjws.bulk.spark import verify_frame

    frame = spark.createDataFrame([(1, "x")], "id long, jwt string")
    with pytest.raises(rapidjws.ConfigurationError, match="token"):
        verify_frame(frame, **RULES)


@pytest.mark.filterwarnings("ignore")
def test_a_task_that_runs_again_gives_the_same(spark: Any) -> None:
    """A task that fails after it verified runs again, and no row is there twice."""
    from rapidjws.bulk.spark import verify_frame

    frame = spark.createDataFrame([(at, MADE[0]) for at in range(200)], "id long, token string").repartition(
        2
    )

    def fails_once(batches: Iterator[Any]) -> Iterator[Any]:
        from pyspark import TaskContext

        yield from batches
        if TaskContext.get().attemptNumber() == 0:
            raise RuntimeError("this attempt is lost")

    verified = verify_frame(frame, **RULES)
    found = verified.mapInArrow(fails_once, verified.schema).collect()
    assert sorted(row["id"] for row in found) == list(range(200))
    assert {row["code"] for row in found} == {"ok"}
