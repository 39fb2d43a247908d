"""A Parquet file of a million ES256 tokens: tokens a second a core, two cores, and memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import ours
import pyarrow as pa
import pyarrow.parquet
import pytest

ROWS = int(os.environ.get("BULK_ROWS", "1000000"))
DISTINCT = 5_000
PER_SECOND_AT_LEAST = 250_000
"""Where the CPU has AVX-512 IFMA; elsewhere the engine's own speed is the measure."""
OF_ENGINE_AT_LEAST = 0.5
TWO_CORES_AT_LEAST = 1.8
MEMORY_MIB_AT_MOST = 300

RUN = """
import json, os, sys, time
import ours
from rapidjws.bulk import BulkVerifier, verify_parquet
source, target, workers = sys.argv[1], sys.argv[2], int(sys.argv[3])
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:workers])
engine = ours.make_engine("ES256", workers=workers)
engine.precompute()
begin = time.perf_counter()
report = verify_parquet(BulkVerifier(engine, claims={"sub": "string"}, workers=workers), source, target)
took_s = time.perf_counter() - begin
lines = open("/proc/self/status").read().splitlines()
peak = next(int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM"))
tokens = ours.good_tokens("ES256", 5000)
ours.verdicts_all(engine, tokens)
begin = time.perf_counter()
ours.verdicts_all(engine, tokens)
engine_s = (time.perf_counter() - begin) / len(tokens)
found = {"rows": report.rows, "counts": report.counts, "s": took_s / report.rows}
print(json.dumps({**found, "engine_s": engine_s, "peak_mib": peak}))
"""


def run(source: Path, target: Path, workers: int) -> Any:
    """Verify the file in a process of its own."""
    command = [sys.executable, "-c", RUN, str(source), str(target), str(workers)]
    done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.mark.timeout(900)
@pytest.mark.usefixtures("all_cpus")
def test_a_parquet_file_of_a_million_tokens(benchmark: Any, tmp_path: Path) -> None:
    """Every token is accepted, at the engine's speed, in bounded memory, and faster on two cores."""
    tokens = ours.good_tokens("ES256", DISTINCT)
    table = pa.table({"token": pa.array(tokens * (ROWS // DISTINCT))})
    pa.parquet.write_table(table, tmp_path / "in.parquet", row_group_size=100_000)
    one = run(tmp_path / "in.parquet", tmp_path / "one", 1)
    assert one["counts"] == {"ok": one["rows"]}
    benchmark.extra_info.update(one=one)
    benchmark.pedantic(lambda: None, rounds=1)
    speeds = [round(1 / one[name]) for name in ("s", "engine_s")]
    print(f"{speeds[0]} tokens/s a core, engine {speeds[1]}, {one['peak_mib']} MiB")
    assert one["engine_s"] / one["s"] >= OF_ENGINE_AT_LEAST
    assert one["peak_mib"] < MEMORY_MIB_AT_MOST
    if "avx512ifma" in Path("/proc/cpuinfo").read_text("ascii", "replace"):
        assert 1 / one["s"] >= PER_SECOND_AT_LEAST
    if len(os.sched_getaffinity(0)) >= 2:
        two = run(tmp_path / "in.parquet", tmp_path / "two", 2)
        print(f"two cores {one['s'] / two['s']:.2f} x")
        assert one["s"] / two["s"] >= TWO_CORES_AT_LEAST
