"""What four claim rules cost a verification: a ratio in one run, asserted.

.venv/bin/python benchmarks/claim_rules.py
"""

from __future__ import annotations

import json
import statistics
import time
from typing import Final

from rapidjws import Contains, Engine, Issuer
from rapidjws.signing import LocalSigner, sign_compact
from rapidjws.testing import make_key

NOW_S: Final = 1_800_000_000
RULES: Final = {
    "azp": "web",
    "tid": ["a", "b"],
    "email_verified": True,
    "/realm_access/roles": Contains("admin"),
}
CLAIMS: Final = {
    "iss": "https://issuer.example", "aud": "api", "exp": NOW_S + 60, "iat": NOW_S, "sub": "user:1",
    "azp": "web", "tid": "b", "email_verified": True, "realm_access": {"roles": ["clerk", "admin"]},
}  # fmt: skip
LIMITS: Final = {"ES256": 1.05, "HS256": 1.15}
ROUNDS: Final = 25


def ratio(alg: str, calls: int) -> float:
    """Return the median over rounds of the time with four rules by the time without."""
    key = make_key(alg, kid="k")
    token = sign_compact(json.dumps(CLAIMS).encode(), LocalSigner(key))
    keys = key if alg.startswith("HS") else key.public()
    engines = []
    for rules in ({}, RULES):
        issuer = Issuer("https://issuer.example", keys=keys, algorithms=[alg], audience="api", claims=rules)
        engines.append(Engine(issuer, workers=1))
        engines[-1].verify(token, NOW_S)
        engines[-1].precompute()
    plain, ruled = engines
    found = []
    for _ in range(ROUNDS):
        spent = {plain: 0.0, ruled: 0.0}
        for engine in (plain, ruled, ruled, plain):
            begun = time.process_time()
            for _ in range(calls):
                engine.verify(token, NOW_S)
            spent[engine] += time.process_time() - begun
        found.append(spent[ruled] / spent[plain])
    return statistics.median(found)


def main() -> None:
    """Print each ratio and hold it against its limit."""
    for alg, limit in LIMITS.items():
        found = ratio(alg, 500 if alg == "ES256" else 3000)
        print(f"{alg}: {found:.3f} with four rules, at most {limit}")
        assert found <= limit, f"{alg}: four rules cost more than they may"


if __name__ == "__main__":
    main()
