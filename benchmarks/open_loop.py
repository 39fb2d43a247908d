"""Open-loop load at 70 % of saturation, with a key rotation and a promotion in the middle.

    python benchmarks/open_loop.py [--seconds 60] [--quick]

The sidecar (one worker) has one core, the driver the other. Saturation is what wrk gets out of the same
sidecar beforehand. After a third of the time the issuer publishes a new key, and seconds later signs with it
only; after two thirds an administrator promotes from warning to enforcement: forged tokens passed before,
and must not afterwards. Every answer is judged; limits: p95 under 10 ms, p99 under 25 ms, from the scheduled
moment.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from array import array
from contextlib import ExitStack
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "examples"), str(HERE.parent / "tests" / "support")]

import gateway_report
from admins import call
from gateway import free_port
from gateways import AUDIENCE, ISS, REST_CPU, Bench, Setup, placed

from rapidjws.testing import FakeIssuer

SHARE, CONNECTIONS, OF_A_KIND = 0.7, 64, 256
P95_MAX_MS, P99_MAX_MS = 10.0, 25.0
SETTLE_S = 4.0
"""From the publication of a key to its first signature: longer than the file is looked at."""


def forged(tokens: list[str]) -> list[str]:
    """Return tokens under one another's signatures."""
    pairs = zip(tokens, [*tokens[1:], tokens[0]], strict=True)
    return [one.rpartition(".")[0] + "." + other.rpartition(".")[2] for one, other in pairs]


def percentile(ordered: list[float], share: float) -> float:
    """Return the value below which that share of the ordered numbers lies."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def serve(bench: Bench, folder: Path) -> tuple[int, int, Path]:
    """Run a sidecar that warns, with an admin socket; return port, process id and socket."""
    port, admin = free_port(), folder / "admin.sock"
    rules = {"iss": ISS, "jwks_file": "jwks.json", "algorithms": ["ES256"], "audience": AUDIENCE}
    config = {
        "issuers": [rules],
        "rollout": {"phase": "warning", "state": "state"},
        "server": {"listen": f"127.0.0.1:{port}", "admin_listen": f"unix:{admin}"},
    }
    path = folder / "open.json"
    path.write_text(json.dumps(config))
    return port, bench.serve(path, port), admin


def change(folder: Path, keys: list[dict[str, Any]], admin: Path, begin_ns: int, seconds: float) -> list[int]:
    """Publish the new key after a third of the time, promote after two; return when the latter was asked and
    had been answered, in nanoseconds."""

    def until(moment_s: float) -> None:
        time.sleep(max(0.0, moment_s - (time.monotonic_ns() - begin_ns) / 1e9))

    until(seconds / 3)
    fresh = folder / "jwks.new"
    fresh.write_text(json.dumps({"keys": keys}))
    fresh.replace(folder / "jwks.json")
    until(seconds * 2 / 3)
    asked_ns = time.monotonic_ns()
    status, found = call(admin, "POST", "/admin/promote", {"by": "bench", "to": "enforcement", "force": True})
    assert status == 200, found
    return [asked_ns, time.monotonic_ns()]


def judge(rows: list[array[int]], promoted_ns: list[int], first_forged: int) -> dict[str, Any]:
    """Count wrong verdicts and failed requests, and take the latencies from the scheduled moments."""
    wrong = failed = 0
    latencies_ms: list[float] = []
    refused = 0
    for scheduled, sent, back, status, kind in zip(*rows, strict=True):
        if not status:
            failed += 1
            continue
        latencies_ms.append((back - scheduled) / 1e6)
        refused += status == 401
        if kind < first_forged:
            wrong += status != 200
        elif back < promoted_ns[0]:
            wrong += status != 200  # warned, and let through
        elif sent > promoted_ns[1]:
            wrong += status != 401
    latencies_ms.sort()
    shown = {f"p{share}_ms": round(percentile(latencies_ms, share / 100), 3) for share in (50, 95, 99)}
    worst = round(latencies_ms[-1], 3)
    return {
        "requests": len(rows[0]),
        "wrong": wrong,
        "failed": failed,
        "refused": refused,
        **shown,
        "max_ms": worst,
    }


def run(seconds: float) -> dict[str, Any]:
    """Measure saturation, then load for a while."""
    with ExitStack() as stack, tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        bench = Bench(stack, folder)
        port, pid, admin = serve(bench, folder)
        saturated = Setup("saturation", f"http://127.0.0.1:{port}/verify", pid, None, forged=False)
        for _ in range(3):
            saturated.load(bench.script, 2.0)
        rate = SHARE * saturated.best()["rate"]
        now_s = int(time.time())
        fresh = FakeIssuer(ISS, "ES256", lifetime_s=36_000)
        tokens: list[str] = []
        for number, signer in enumerate([bench.issuer, fresh]):
            header = None if number == 0 else {"kid": "fresh"}
            tokens += [
                signer.token(signer.claims(now_s, sub=f"user-{n}", jti=f"{number}-{n}"), header=header)
                for n in range(OF_A_KIND)
            ]
        tokens += forged(tokens[:OF_A_KIND])
        begin_ns = time.monotonic_ns() + 8_000_000_000  # the driver draws first
        kinds = [[OF_A_KIND * n, OF_A_KIND * (n + 1)] for n in range(3)]
        plan = {
            "port": port, "path": "/verify", "tokens": tokens, "rate": rate, "seconds": seconds,
            "switch_s": seconds / 3 + SETTLE_S, "old": kinds[0], "new": kinds[1], "forged": kinds[2],
            "connections": CONNECTIONS, "begin_ns": begin_ns,
        }  # fmt: skip
        (folder / "plan.json").write_text(json.dumps(plan))
        driver = [*placed(REST_CPU), sys.executable, str(HERE / "open_loop_driver.py")]
        process = subprocess.Popen([*driver, str(folder / "plan.json"), str(folder / "out")])
        new = [{**entry, "kid": "fresh"} for entry in (one.as_dict() for one in fresh.jwks.keys)]
        promoted_ns = change(folder, [*json.loads(bench.jwks)["keys"], *new], admin, begin_ns, seconds)
        if process.wait(seconds + 60):
            raise RuntimeError("the driver failed")
        rows = _columns(folder / "out")
        found = judge(rows, promoted_ns, 2 * OF_A_KIND)
    return {"share": SHARE, "rate": rate, "seconds": seconds, **found}


def _columns(path: Path) -> list[array[int]]:
    count = path.stat().st_size // 40
    with path.open("rb") as file:
        columns = [array("q") for _ in range(5)]
        for column in columns:
            column.fromfile(file, count)
    return columns


def main() -> int:
    parser = argparse.ArgumentParser(description="open-loop load with changes in the middle")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--quick", action="store_true", help="15 s; results and documentation stay")
    args = parser.parse_args()
    found = run(15.0 if args.quick else args.seconds)
    print(json.dumps(found, indent=1))
    if not args.quick:
        gateway_report.write({}, {}, found)
    good = not found["wrong"] and not found["failed"] and found["refused"] > 0
    return int(not good or found["p95_ms"] >= P95_MAX_MS or found["p99_ms"] >= P99_MAX_MS)


if __name__ == "__main__":
    sys.exit(main())
