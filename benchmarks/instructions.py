"""Count the machine instructions of the C core for one token, by callgrind: the same on a busy day.

The counts are those inside `rj_batch_run`, or the steps of one token, libcrypto's included. Run without
arguments it prints JSON, a number for each of WORKLOADS. Valgrind shows a CPU without AVX-512, so this is the
path of such a CPU.

    python instructions.py CORPUS [--slowdown]        (in rapidjws's environment)
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

TOKENS = 64
WORKLOADS = (
    ("single", "HS256"),
    ("single", "RS256"),
    ("single", "ES256"),
    ("single", "EdDSA"),
    ("batch", "RS256"),
    ("batch", "ES256"),
    ("batch", "EdDSA"),
    ("refused", "ES256"),
    ("counted", "HS256"),
)
ONE = ("rj_token_split", "rj_token_find_key", "rj_token_verify_signature", "rj_token_check_claims")
INSIDE = {
    "single": ONE,
    "refused": ONE,
    "batch": ("rj_batch_run",),
    "counted": ("rj_counters_accepted",),  # what counting adds to a token, but for one reading of the clock
}
ROUNDS = 2


def work(corpus: Path, shape: str, alg: str, rounds: int) -> None:
    """Be the process that callgrind watches: verify every token `rounds` times."""
    import rapidjws
    from rapidjws import _native

    _native.set_sampling(0)  # chance has no place in a count
    about = json.loads((corpus / "corpus.json").read_text())
    lines = [line.split("\t") for line in (corpus / alg / "tokens.tsv").read_text().splitlines()]
    good = tokens = [token.encode() for verdict, token in lines if verdict == "ok"][:TOKENS]
    if shape == "refused":
        tokens = [token[:-8] + b"AAAAAAAA" for token in tokens]
    keys = rapidjws.JWKSet.from_json((corpus / alg / "jwks.json").read_text())
    issuer = rapidjws.Issuer(about["issuer"], keys=keys, algorithms=[alg], audience=about["audience"])
    engine = rapidjws.Engine(issuer, workers=1, precompute_threshold=0)
    engine.precompute()
    engine.verify(good[0])  # its header is known from here on
    for _ in range(rounds):
        if shape == "batch":
            verdicts = engine.verify_many(tokens)
        else:
            verdicts = [_verdict(engine, token) for token in tokens]
        accepted = sum(isinstance(verdict, rapidjws.VerifiedJWS) for verdict in verdicts)
        assert accepted == (0 if shape == "refused" else len(tokens))


def _verdict(engine: object, token: bytes) -> object:
    import rapidjws

    try:
        return engine.verify(token)  # type: ignore[attr-defined]
    except rapidjws.RapidJWSError as refusal:
        return refusal


def count(corpus: Path, shape: str, alg: str, rounds: int) -> float:
    """Run one workload under callgrind; return instructions a token."""
    command = [
        "valgrind",
        "--tool=callgrind",
        "--callgrind-out-file=/dev/null",
        *(f"--toggle-collect={function}" for function in INSIDE[shape]),
        *(sys.executable, __file__, str(corpus), "--work", shape, alg, str(rounds)),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode or found is None:
        raise SystemExit(f"callgrind failed on {shape} {alg}:\n{done.stderr[-2000:]}")
    return int(found.group(1)) / (TOKENS * ROUNDS)


def measure(
    corpus: Path, workloads: Sequence[tuple[str, str]] = WORKLOADS, rounds: int = ROUNDS
) -> dict[str, float]:
    """Count every workload.

    Args:
        corpus: folder made by corpus.py.
        workloads: shape and algorithm.
        rounds: above ROUNDS each token is verified more often than it is counted: a deliberate slowdown.

    Returns: instructions a token for each "shape alg".
    """
    return {f"{shape} {alg}": round(count(corpus, shape, alg, rounds), 1) for shape, alg in workloads}


def main() -> None:
    parser = argparse.ArgumentParser(description="count the C core's instructions a token")
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--only", default="", help="workloads as 'single HS256,batch ES256'; default all")
    parser.add_argument("--slowdown", action="store_true", help="do half as much again, to try the gate")
    parser.add_argument("--work", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.work:
        work(args.corpus, args.work[0], args.work[1], int(args.work[2]))
        return
    chosen = [one for one in WORKLOADS if not args.only or " ".join(one) in args.only.split(",")]
    print(json.dumps(measure(args.corpus, chosen, ROUNDS + args.slowdown)))


if __name__ == "__main__":
    main()
