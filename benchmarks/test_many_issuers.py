"""Engine.verify with 10 000 issuers in one engine, against the same issuer and token alone in an engine.

Tokens of issuers from all over the table are verified in rounds, each engine in its turn, and every verdict
is asserted. Of each round the fastest call of each engine counts, and of all rounds the median ratio. What is
compared is finding the issuer, so no key earns a table, and the issuer's rules and key are in the processor's
caches as those of any issuer with traffic.
"""

from __future__ import annotations

import json
from statistics import median
from typing import Final

import pytest
from many_issuers import NOW_S, fastest, name_of

from rapidjws import Engine, Issuer
from rapidjws.signing import LocalSigner, sign_compact
from rapidjws.testing import make_key

ISSUERS: Final = 10_000
SPREAD: Final = 8
"""Issuers whose tokens are timed, evenly over all."""

AT_MOST: Final = 1.10
"""Of what the token costs where its issuer is the only one."""

ROUNDS: Final = 15
CALLS: Final = {"ES256": 20, "HS256": 200}
AUDIENCE: Final = "https://api.example"

pytestmark = pytest.mark.usefixtures("one_cpu")


def engine_of(*issuers: Issuer) -> Engine:
    """Make an engine in which no key earns a table."""
    return Engine(*issuers, workers=1, precompute_threshold=0)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("alg", sorted(CALLS))
def test_a_token_of_one_of_many_issuers_costs_what_it_costs_alone(alg: str) -> None:
    """Each sampled issuer of 10 000 is found at the price of the only one, under its own key alone."""
    keys = [make_key(alg, kid=f"key-{number}") for number in range(ISSUERS)]
    issuers = [
        Issuer(
            name_of(number),
            keys=key if alg.startswith("HS") else key.public(),
            algorithms=[alg],
            audience=AUDIENCE,
        )
        for number, key in enumerate(keys)
    ]
    everyone = engine_of(*issuers)
    ratios = []
    for number in range(0, ISSUERS, ISSUERS // SPREAD + 1):
        iss = name_of(number)
        claims = {"iss": iss, "aud": AUDIENCE, "exp": NOW_S + 60, "iat": NOW_S, "sub": "user:1"}
        token = sign_compact(json.dumps(claims).encode(), LocalSigner(keys[number]))
        alone = engine_of(issuers[number])
        rounds = []
        for _ in range(ROUNDS):  # there and back, so that a change of the processor's speed meets both
            alone_ns = fastest(alone, token, iss, CALLS[alg])
            among_ns = fastest(everyone, token, iss, CALLS[alg])
            among_ns += fastest(everyone, token, iss, CALLS[alg])
            alone_ns += fastest(alone, token, iss, CALLS[alg])
            rounds.append(among_ns / alone_ns)
        ratios.append(median(rounds))
    print(f"{alg}: {max(ratios):.3f} among {ISSUERS} issuers, at most {AT_MOST} of alone")
    assert max(ratios) <= AT_MOST
