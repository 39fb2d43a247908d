"""Tables that are built, shared, evicted and dropped while threads verify by them: no verdict changes."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import tokens

from rapidjws import Engine, Issuer, JWKSet, VerifiedJWS, _native
from rapidjws.verify.table_sizes import table_bytes

NAMES = tuple(f"n{number}" for number in range(8))
TURNS = 30

pytestmark = [
    pytest.mark.tsan,
    pytest.mark.skipif(
        not _native.precomputed_bytes(_native.ALG_NUMBERS["ES256"]), reason="no tables on this platform"
    ),
]


def issuer_of(alg: str, names: tuple[str, ...]) -> Issuer:
    """Return an issuer with keys of these names."""
    keys = JWKSet([tokens.public(alg, name) for name in names])
    return Issuer(tokens.ISS, keys=keys, algorithms=[alg], audience=tokens.AUD)


def forged(token: str) -> str:
    """Return a token with another signature."""
    front, _, signature = token.rpartition(".")
    return f"{front}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}"


@pytest.mark.parametrize("acceleration", ["auto", "portable"])
@pytest.mark.parametrize("alg", ["ES256", "ES256K", "EdDSA"])
def test_N5_verdicts_hold_while_tables_come_and_go(alg: str, acceleration: str) -> None:
    """Two threads verify, others build, evict, reload and drop engines that share their tables."""
    number = _native.ALG_NUMBERS["ED25519" if alg == "EdDSA" else alg]
    options: dict[str, Any] = {
        "acceleration": acceleration,
        "precompute_budget_bytes": 3 * table_bytes(number)[-1],
        "precompute_threshold": 2,
        "workers": 1,
    }
    engine = Engine(issuer_of(alg, NAMES), **options)
    good = [tokens.token(alg, name) for name in NAMES]
    asked = [one for token in good for one in (token, forged(token))]
    expected = [True, False] * len(NAMES)
    wrong: list[Any] = []
    done = threading.Event()

    def verify(shift: int) -> None:
        for turn in range(TURNS):
            engine._precomputed.next_turn_s = 0.0  # as fast as it goes
            at = 2 * ((turn * shift) % len(NAMES))
            some = asked[at:] + asked[:at] * 3
            found = [isinstance(one, VerifiedJWS) for one in engine.verify_many(some, tokens.NOW_S)]
            if found != expected[at:] + expected[:at] * 3:
                wrong.append((turn, found))

    def change() -> None:
        while not done.is_set():
            other = Engine(issuer_of(alg, NAMES[:4]), **options)
            other.precompute()
            engine.replace_issuers(issuer_of(alg, NAMES))
            engine.precompute()
            if not isinstance(other.verify_many(good[:1], tokens.NOW_S)[0], VerifiedJWS):
                wrong.append("other")
            other.replace_issuers(issuer_of(alg, NAMES[4:]))
            del other

    threads = [threading.Thread(target=verify, args=(shift,)) for shift in (1, 3)]
    changing = threading.Thread(target=change)
    for thread in (*threads, changing):
        thread.start()
    for thread in threads:
        thread.join()
    done.set()
    changing.join()
    assert wrong == []
    assert engine._precomputed.used_bytes <= options["precompute_budget_bytes"]
