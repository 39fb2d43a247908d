"""Measure rapidjws and its peers in one run; write the results, the plots and the tables of docs and README.

    python benchmarks/run.py [--quick] [--peers a,b] [--algs ES256,...] [--only-suites] [--no-suites]

Each peer runs in its own process and environment, pinned to one CPU, and asserts how many tokens it
accepted and refused. For one algorithm all peers are started, then take turns for several rounds, so that a
busy moment of the machine meets them alike. A ratio is the floor's time (a bare EVP_DigestVerify with a
fresh context on the same tokens) divided by the peer's: higher is faster. It is taken between the best
passes of both, since what a shared machine adds is never negative; that leaves out the garbage collections
of the peers that have them, so it errs on their side. Medians and percentiles are in the results. What is
missing on a machine is named.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import environments
import report
from catalogue import FLOOR, PEERS, RAPIDJWS, Peer, Variant
from environments import HERE, ROOT, Missing
from session import Failed, Session, Unsupported

CACHE = HERE / ".cache"
RESULTS = HERE / "results"
ALGORITHMS = ("HS256", "RS256", "PS256", "ES256", "ES384", "ES512", "ES256K", "EdDSA", "ML-DSA-44")
CPU_FLAGS = ("sha_ni", "adx", "avx2", "avx512ifma", "vaes")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="measure rapidjws and its peers in one run")
    parser.add_argument(
        "--quick", action="store_true", help="few short rounds; the tables and latest.json stay"
    )
    parser.add_argument("--peers", default="", help="keys out of catalogue.py, comma-separated; default all")
    parser.add_argument("--algs", default=",".join(ALGORITHMS), help="comma-separated; default all")
    parser.add_argument("--rounds", type=int, default=0, help="default 5, quick 2")
    parser.add_argument("--seconds", type=float, default=0.0, help="of a round; default 0.3, quick 0.05")
    parser.add_argument("--no-realtime", action="store_true", help="measure in the ordinary scheduling class")
    parser.add_argument("--only-suites", action="store_true", help="only the suites with asserted ratios")
    parser.add_argument("--no-suites", action="store_true", help="only the peers")
    args = parser.parse_args()
    args.rounds = args.rounds or (2 if args.quick else 5)
    args.seconds = args.seconds or (0.05 if args.quick else 0.3)
    os.environ["BENCH_REALTIME"] = "0" if args.no_realtime else "1"
    os.environ.setdefault("BENCH_WARMUP_S", "1" if args.quick else "5")
    return args


def machine() -> dict[str, Any]:
    """Describe the machine without naming it."""
    model, flags = platform.machine(), ""
    if (info := Path("/proc/cpuinfo")).exists():
        for line in info.read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                model = value.strip()
            if name.strip() == "flags":
                flags = value
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    system = platform.system()
    if hasattr(platform, "freedesktop_os_release"):
        system = platform.freedesktop_os_release().get("PRETTY_NAME", system)
    return {
        "cpu": model,
        "cores": cores,
        "flags": [flag for flag in CPU_FLAGS if flag in flags.split()],
        "system": system,
        "python_of_peers": f"3.{environments.python_for_peers()[1]}",
        "load_at_start": round(os.getloadavg()[0], 2),
        "realtime": os.environ["BENCH_REALTIME"] != "0" and os.geteuid() == 0,
    }


def prepare_peers(names: Sequence[str], missing: dict[str, str]) -> list[tuple[Peer, list[str]]]:
    """Build the environments; name in `missing` those that cannot be built here."""
    chosen = [peer for peer in PEERS if not names or peer.key in names or peer is FLOOR]
    ready = []
    for peer in chosen:
        print(f"preparing {peer.key}", file=sys.stderr, flush=True)
        try:
            ready.append((peer, environments.command_for(peer, CACHE)))
        except Missing as reason:
            missing[peer.title] = str(reason)
    return ready


def make_corpus(algs: Sequence[str]) -> Path:
    """Make the corpus of this run."""
    python = environments.venv(
        CACHE / "python" / "corpus", environments.CORPUS_PACKAGES, CACHE / "corpus.log"
    )
    folder = CACHE / "corpus"
    subprocess.run([python, HERE / "corpus.py", folder, "--algs", ",".join(algs)], check=True)
    return folder


class Running:
    """A session with the name it has in tables and what it measured so far."""

    def __init__(self, peer: Peer, variant: Variant, session: Session) -> None:
        self.peer, self.variant, self.session = peer, variant, session
        self.samples_ns: list[float] = []
        self.rounds_ns: list[float] = []
        self.latencies_ns: list[float] = []
        self.accepted = self.refused = 0

    def measure(self, seconds: float) -> None:
        answer = self.session.round(seconds)
        self.samples_ns += answer["samples_ns"]
        self.rounds_ns.append(statistics.median(answer["samples_ns"]))
        self.accepted += answer["accepted"]
        self.refused += answer["refused"]

    def result(self, alg: str, floor: Running | None) -> dict[str, Any]:
        ordered = sorted(self.samples_ns)
        entry: dict[str, Any] = {
            "alg": alg,
            "peer": self.peer.title,
            "variant": self.variant.label,
            "version": self.session.version,
            "detail": self.session.detail,
            "accepted": self.accepted,
            "refused": self.refused,
            "ns_min": round(ordered[0], 1),
            "ns_median": round(statistics.median(ordered), 1),
            "ns_p95": round(percentile(ordered, 0.95), 1),
            "ns_p99": round(percentile(ordered, 0.99), 1),
        }
        if floor is not None:
            ratios = [f / own for f, own in zip(floor.rounds_ns, self.rounds_ns, strict=True)]
            entry["times_floor"] = round(min(floor.samples_ns) / ordered[0], 3)
            entry["times_floor_median"] = round(statistics.median(ratios), 3)
        if self.latencies_ns:
            calls = sorted(self.latencies_ns)
            entry["call_ns"] = {f"p{p}": round(percentile(calls, p / 100)) for p in (50, 95, 99)}
        return entry


def percentile(ordered: Sequence[float], share: float) -> float:
    """Give the value below which that share of the ordered numbers lies (nearest rank)."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def open_sessions(
    ready: Sequence[tuple[Peer, list[str]]], corpus: Path, alg: str, results: dict[str, Any]
) -> list[Running]:
    """Start every variant of every peer for one algorithm; note what is unsupported or wrong."""
    running = []
    for peer, command in ready:
        for variant in peer.variants:
            name = f"{peer.title} {variant.label}".strip()
            try:
                session = Session(command, corpus, alg, variant.name, variant.cores)
                running.append(Running(peer, variant, session))
            except Unsupported as reason:
                results["unsupported"].append({"alg": alg, "peer": name, "reason": str(reason)})
            except Failed as reason:
                results["failures"].append({"alg": alg, "peer": name, "reason": str(reason)})
    return running


def measure_algorithm(
    running: list[Running], alg: str, args: argparse.Namespace, results: dict[str, Any]
) -> None:
    """Let the sessions take turns; add their results."""
    alive = list(running)
    for _ in range(args.rounds):
        for one in list(alive):
            try:
                one.measure(args.seconds)
            except Failed as reason:
                alive.remove(one)
                results["failures"].append({"alg": alg, "peer": one.peer.title, "reason": str(reason)})
    for one in alive:
        if one.peer is RAPIDJWS and one.variant.name == "single":
            one.latencies_ns = one.session.round(args.seconds * 2, "latency")["samples_ns"]
    floor = next((one for one in alive if one.peer is FLOOR), None)
    results["results"] += [one.result(alg, floor) for one in alive]
    for one in alive:
        one.session.close()


def run_peers(args: argparse.Namespace) -> dict[str, Any]:
    """Build, measure, and return the results."""
    missing: dict[str, str] = {}
    results: dict[str, Any] = {
        "machine": machine(),
        "settings": {"rounds": args.rounds, "seconds": args.seconds},
        "missing": missing,
        "unsupported": [],
        "failures": [],
        "results": [],
    }
    ready = prepare_peers([name for name in args.peers.split(",") if name], missing)
    algs = args.algs.split(",")
    corpus = make_corpus(algs)
    results["corpus"] = json.loads((corpus / "corpus.json").read_text())["algorithms"]
    for alg in algs:
        print(f"measuring {alg}", file=sys.stderr, flush=True)
        measure_algorithm(open_sessions(ready, corpus, alg, results), alg, args, results)
    curves = dict(ready_command(ready, RAPIDJWS))
    if curves:
        results["curves"] = run_curves(curves["rapidjws"][0], args)
    return results


def ready_command(ready: Sequence[tuple[Peer, list[str]]], peer: Peer) -> list[tuple[str, list[str]]]:
    """Give the peer's key and command if it is ready."""
    return [(one.key, command) for one, command in ready if one is peer]


def run_curves(python: str, args: argparse.Namespace) -> dict[str, Any]:
    """Measure rapidjws against batch size, threads and number of keys."""
    print("measuring curves", file=sys.stderr, flush=True)
    command = [python, str(HERE / "curves.py"), "--seconds", str(args.seconds)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        return {"error": f"curves.py ended with {done.returncode}"}
    curves: dict[str, Any] = json.loads(done.stdout)
    return curves


def run_suites() -> int:
    """Run the pytest-benchmark suites in rapidjws's environment; return pytest's exit code."""
    try:
        python = environments.command_for(RAPIDJWS, CACHE)[0]
        library = environments.floor_library(CACHE)
    except Missing as reason:
        print(f"suites left out: {reason}", file=sys.stderr)
        return 1
    command = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(HERE)]
    settings = {"RAPIDJWS_BENCH_FLOOR": str(library), "RAPIDJWS_BENCH_CACHE": str(CACHE)}
    return subprocess.run(command, cwd=HERE, env={**os.environ, **settings}, check=False).returncode


def main() -> int:
    args = arguments()
    if args.only_suites:
        return run_suites()
    results = run_peers(args)
    target = RESULTS / ("quick.json" if args.quick else "latest.json")
    RESULTS.mkdir(exist_ok=True)
    target.write_text(json.dumps(results, indent=1) + "\n")
    print(report.text(results))
    whole = not args.quick and not args.peers and args.algs == ",".join(ALGORITHMS)
    if whole:
        report.write_all(results, RESULTS, ROOT)
    failed = bool(results["failures"])
    return (0 if args.no_suites else run_suites()) or int(failed)


if __name__ == "__main__":
    sys.exit(main())
