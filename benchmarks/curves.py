"""Measure how rapidjws's throughput follows the batch size, the threads and the number of keys; print JSON.

Runs in rapidjws's own environment (run.py starts it). Claims are read, counts are asserted.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import ours
from session import claim_cpus, pinned_cpus

BATCHES = (1, 4, 16, 64, 256, 1024, 4096)
KEYS = (1, 10, 100, 1000, 10_000)
HOT_KEYS = 100
TOKENS = 4096


def against_batch_size(seconds: float) -> dict[str, Any]:
    series = []
    for alg in ("HS256", "RS256", "ES256", "EdDSA"):
        engine, tokens = ours.make_engine(alg), ours.good_tokens(alg, TOKENS)
        points = []
        for size in BATCHES:
            batches = [tokens[start : start + size] for start in range(0, min(TOKENS, 8 * size), size)]
            points.append((size, ours.tokens_per_second(seconds, ours.accept_batches, engine, batches)))
        series.append((alg, points))
    title = "Throughput against batch size, one core"
    return {"name": "batch_size", "title": title, "x": "tokens in a batch", "series": series}


def against_threads(seconds: float) -> dict[str, Any]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    series = []
    for alg in ("RS256", "ES256", "EdDSA"):
        tokens = ours.good_tokens(alg, TOKENS)
        engines = [ours.make_engine(alg, workers=workers) for workers in range(1, cores + 1)]
        rates = [ours.tokens_per_second(seconds, ours.accept_all, engine, tokens) for engine in engines]
        series.append((alg, list(enumerate(rates, 1))))
    title = f"Throughput against workers, batch of {TOKENS}"
    return {"name": "threads", "title": title, "x": "workers", "series": series}


def against_keys(seconds: float) -> dict[str, Any]:
    batch, single = [], []
    for count in KEYS:
        engine = ours.make_engine("ES256", ours.many_keys("ES256", count))
        tokens = ours.zipf_tokens("ES256", min(count, HOT_KEYS), TOKENS)
        ours.let_keys_earn(engine, tokens)
        batch.append((count, ours.tokens_per_second(seconds, ours.accept_all, engine, tokens)))
        single.append((count, ours.tokens_per_second(seconds, ours.accept_each, engine, tokens)))
    title = f"ES256 throughput against keys, at most {HOT_KEYS} of them used (Zipf), one core"
    series = [("batch", batch), ("single", single)]
    return {"name": "keys", "title": title, "x": "keys in the table", "series": series}


def main() -> None:
    parser = argparse.ArgumentParser(description="measure rapidjws against batch size, threads and keys")
    parser.add_argument("--seconds", type=float, default=0.3, help="for each point, at least")
    seconds = parser.parse_args().seconds
    claim_cpus(os.sched_getaffinity(0))
    threads = against_threads(seconds)
    claim_cpus(pinned_cpus(1))
    print(json.dumps({"plots": [against_batch_size(seconds), threads, against_keys(seconds)]}))


if __name__ == "__main__":
    main()
