"""The regression gate: this checkout against the stored baseline, in ratios and in instructions.

Two measures, each with its own tolerance in baseline.json:

- times_floor: how many times as fast as a bare EVP_DigestVerify in the same run, from test_against_floor.py;
  compared where the CPU is the baseline's.
- instructions: the C core's a token, by callgrind; compared where compiler and libcrypto are the baseline's.

A measure that another machine cannot be held to is named, not passed over in silence.

    python benchmarks/gate.py [--update] [--only instructions|ratios] [--slowdown]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import environments
from catalogue import FLOOR, RAPIDJWS
from environments import HERE, Missing

CACHE = HERE / ".cache"
BASELINE = HERE / "baseline.json"
TOLERANCES = {"times_floor": 0.15, "instructions": 0.02}


def slower(kind: str, measured: dict[str, float], stored: dict[str, float], tolerance: float) -> list[str]:
    """List what got slower than the tolerance allows, or is not measured any more.

    Args:
        kind: `times_floor` (higher is faster) or `instructions` (lower is faster).
        measured: of this checkout.
        stored: of the baseline.
        tolerance: the share by which a figure may be worse.
    """
    faults = []
    for name, before in stored.items():
        now = measured.get(name)
        if now is None:
            faults.append(f"{kind}, {name}: in the baseline, not measured")
            continue
        worse = before / now - 1 if kind == "times_floor" else now / before - 1
        if worse > tolerance:
            faults.append(
                f"{kind}, {name}: {now:.6g}, was {before:.6g}: {worse:.1%} worse ({tolerance:.0%} allowed)"
            )
    return faults


def measure_ratios(python: str) -> dict[str, float]:
    """Run the suite against the floor; return times_floor by name, whether its own promises hold or not."""
    report = CACHE / "gate.json"
    settings = {
        "RAPIDJWS_BENCH_FLOOR": str(environments.floor_library(CACHE)),
        "RAPIDJWS_BENCH_CACHE": str(CACHE),
    }
    command = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_against_floor.py"]
    subprocess.run(
        [*command, f"--benchmark-json={report}"],
        cwd=HERE,
        env={**os.environ, **settings},
        check=False,
        stdout=subprocess.DEVNULL,
    )
    infos = [one["extra_info"] for one in json.loads(report.read_text())["benchmarks"]]
    return {info["gate"]: round(info["times_floor"], 3) for info in infos if "gate" in info}


def measure_instructions(python: str, slowdown: bool) -> dict[str, float]:
    """Count instructions in rapidjws's environment.

    Raises:
        Missing: no valgrind, and not root to install it.
    """
    try:
        environments.tool("valgrind")
    except Missing:
        environments.debian(["valgrind", "libc6-dbg"], CACHE / "valgrind.log")
    corpus_python = environments.venv(
        CACHE / "python/corpus", environments.CORPUS_PACKAGES, CACHE / "corpus.log"
    )
    folder = CACHE / "gate-corpus"
    algs = "HS256,RS256,ES256,EdDSA"
    subprocess.run([str(corpus_python), str(HERE / "corpus.py"), str(folder), "--algs", algs], check=True)
    command = [python, str(HERE / "instructions.py"), str(folder), *(["--slowdown"] if slowdown else [])]
    counts: dict[str, float] = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    return counts


def cpu() -> str:
    """Name the CPU."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def toolchain() -> str:
    """Name what instruction counts depend on besides our own code."""
    compiler = subprocess.run(
        ["gcc", "-dumpversion"], capture_output=True, text=True, check=False
    ).stdout.strip()
    library = subprocess.run(["openssl", "version"], capture_output=True, text=True, check=False).stdout
    return f"gcc {compiler}, {' '.join(library.split()[:2])}, {platform.machine()}"


def main() -> int:
    parser = argparse.ArgumentParser(description="compare this checkout with the stored baseline")
    parser.add_argument("--update", action="store_true", help="store what is measured as the baseline")
    parser.add_argument("--only", choices=("instructions", "ratios"))
    parser.add_argument("--slowdown", action="store_true", help="work half as much again: the gate must fail")
    args = parser.parse_args()
    baseline: dict[str, Any] = json.loads(BASELINE.read_text()) if BASELINE.exists() else {}
    python = environments.command_for(RAPIDJWS, CACHE)[0]
    environments.command_for(FLOOR, CACHE)
    kinds = {"times_floor": ("cpu", cpu()), "instructions": ("toolchain", toolchain())}
    if args.only:
        del kinds["times_floor" if args.only == "instructions" else "instructions"]
    faults: list[str] = []
    for kind, (bound_to, here) in kinds.items():
        stored = baseline.get(kind, {})
        if not args.update and stored.get(bound_to) != here:
            print(f"{kind}: not compared, the baseline is of {stored.get(bound_to)}, this is {here}")
            continue
        ratios = kind == "times_floor"
        measured = measure_ratios(python) if ratios else measure_instructions(python, args.slowdown)
        tolerance = stored.get("tolerance", TOLERANCES[kind])
        if args.update:
            baseline[kind] = {bound_to: here, "tolerance": tolerance, "figures": measured}
        else:
            faults += slower(kind, measured, stored["figures"], tolerance)
            print(f"{kind}: {len(measured)} figures compared")
    if args.update:
        BASELINE.write_text(json.dumps(baseline, indent=1) + "\n")
    print("\n".join(faults) if faults else "no figure is worse than its tolerance allows")
    return int(bool(faults))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Missing as reason:
        sys.exit(f"gate: {reason}")
