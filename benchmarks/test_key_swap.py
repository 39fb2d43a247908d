"""Putting another table of prepared keys to use costs next to nothing beside preparing the keys."""

from __future__ import annotations

from functools import partial
from typing import Any

import ours
import pytest

from rapidjws import Engine, Issuer, JWKSet
from rapidjws.testing import make_key

KEYS = 1000
SWAPS = 100
ISS = "https://a.example"
AT_MOST = 0.05


def rules() -> Issuer:
    """Return an issuer of a thousand keys, which no engine has seen."""
    keys = [make_key("EdDSA", kid=f"k{number}").public() for number in range(KEYS)]
    return Issuer(ISS, keys=JWKSet(keys), algorithms=["EdDSA"], audience="api")


def swap(engine: Engine) -> int:
    """Swap the prepared keys in again and again."""
    prepared = [engine._keys[ISS]]
    for _ in range(SWAPS):
        with engine._change:
            engine._swap(prepared, engine._snapshot.rules)
    return SWAPS


def make(issuer: Issuer) -> int:
    """Prepare the keys, and make an engine of them."""
    Engine(issuer)
    return 1


@pytest.mark.usefixtures("one_cpu")
def test_a_swap_of_a_thousand_keys(benchmark: Any) -> None:
    """A swap of a thousand prepared keys costs at most a twentieth of making an engine of them."""
    issuer = rules()
    calls = [(partial(swap, Engine(issuer)), SWAPS), (partial(make, issuer), 1)]
    swap_ns, make_ns = ours.best_ns(calls, 5)
    benchmark.extra_info.update(swap_ns=swap_ns, make_ns=make_ns, ratio=swap_ns / make_ns)
    benchmark.pedantic(calls[0][0], rounds=1)
    print(f"swap {swap_ns / 1e6:.3f} ms, make {make_ns / 1e6:.3f} ms: {swap_ns / make_ns:.4f} x")
    assert swap_ns / make_ns <= AT_MOST
