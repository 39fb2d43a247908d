"""Try mutants of a token and its DPoP proof; exit 1 where one is accepted.

Usage: python tools/dpop_mutants.py [COUNT] [SEED]
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "support"))

COUNT = 1_000_000


def main(arguments: list[str]) -> int:
    """Try them, and print how many were accepted."""
    mutants_of: Any = importlib.import_module("proof_mutants").Mutants

    count = int(arguments[0]) if arguments else COUNT
    seed = int(arguments[1]) if len(arguments) > 1 else 1
    mutants = mutants_of(seed)
    if not mutants.use_tables():
        print("the good pair is refused, or its keys get no tables: nothing was tried")
        return 1
    accepted = 0
    for token, proof in mutants.pairs(count):
        if mutants.is_accepted(token, proof):
            accepted += 1
            print(f"accepted: {token!r} {proof!r}")
    print(f"{count} mutants of a token and its proof, seed {seed}: {accepted} accepted")
    return 1 if accepted or not mutants.is_accepted(mutants.token, mutants.proof) else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
