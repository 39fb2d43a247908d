"""The first verify_many of a fresh engine against a loop of verify over the same tokens.

Both run in a process of their own. Neither has tables at its start; both get them from the background thread
as they go. The best turn of each counts; claims are read, verdicts are asserted.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from session import claim_cpus, pinned_cpus

TOKENS = 20_000
DISTINCT = 500
ROUNDS = 3
AT_MOST = 1.0
"""Of the loop's time."""

ACCELERATIONS = ("auto", "portable")
"""With the vector lanes of this CPU, and as on one without."""

ALGORITHMS = ("ES256", "ES384", "ES256K", "EdDSA", "RS256")

TIMED = """
import json, sys, time
import corpus, ours, rapidjws

alg, acceleration, count, distinct, rounds = *sys.argv[1:3], *map(int, sys.argv[3:])
tokens = (ours.good_tokens(alg, distinct) * (count // distinct + 1))[:count]
keys = rapidjws.JWKSet.from_json(json.dumps({"keys": [corpus.make_key(alg).jwk]}))
best = {"loop": float("inf"), "batch": float("inf")}
for _ in range(rounds):
    for name, call in (("loop", ours.accept_each), ("batch", ours.accept_all)):
        issuer = rapidjws.Issuer(corpus.ISSUER, keys=keys, algorithms=[alg], audience=corpus.AUDIENCE)
        engine = rapidjws.Engine(issuer, workers=1, acceleration=acceleration)
        start = time.perf_counter_ns()
        assert call(engine, tokens) == count
        best[name] = min(best[name], (time.perf_counter_ns() - start) / count)
print(json.dumps(best))
"""


@pytest.mark.timeout(900)
@pytest.mark.parametrize("acceleration", ACCELERATIONS)
@pytest.mark.parametrize("alg", ALGORITHMS)
def test_N3_the_first_batch_costs_no_more_than_a_loop(alg: str, acceleration: str, benchmark: Any) -> None:
    """A fresh engine's first batch of 20 000 takes no longer than a loop of verify, on one worker."""
    place = Path(__file__).resolve().parent
    command = [sys.executable, "-c", TIMED, alg, acceleration, *map(str, (TOKENS, DISTINCT, ROUNDS))]
    best: dict[str, float] = {}

    def compare() -> None:
        done = subprocess.run(
            command,
            cwd=place,
            capture_output=True,
            text=True,
            check=True,
            preexec_fn=lambda: claim_cpus(pinned_cpus(1)),
        )
        best.update(json.loads(done.stdout))

    benchmark.pedantic(compare, rounds=1)
    times = best["batch"] / best["loop"]
    benchmark.extra_info.update(loop_ns=best["loop"], batch_ns=best["batch"], times_loop=times)
    print(
        f"first batch {alg} {acceleration}: "
        f"loop {best['loop']:.0f} ns, batch {best['batch']:.0f} ns a token: {times:.2f} x"
    )
    assert times <= AT_MOST
