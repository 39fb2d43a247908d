"""Hold the speed of this gateway's own engine: a change that makes it slower fails."""

import time

import pytest

from rapidjws import Engine, Issuer
from rapidjws.testing import FakeIssuer
from rapidjws.testing.benchmarks import Gate, Workload, workload

# `make_engine` stands for the function that makes the engine of your gateway.
bank = FakeIssuer("https://bank.example", "EdDSA", audience="https://api.example", lifetime_s=3600)


def make_engine() -> Engine:
    """Make an engine as the gateway does, with its rules and its limits."""
    return Engine(
        Issuer(
            bank.iss, keys=bank.jwks, algorithms=["EdDSA"], audience=["https://api.example"], max_age_s=3600
        ),
        max_token_bytes=8192,
    )


def test_our_own_engine(jws_gate: Gate) -> None:
    """Our engine with our claims: 240 tokens in time, 16 expired."""
    now_s = int(time.time())
    tokens = [bank.token(bank.claims(now_s - 1, scope="read write", jti=f"{n}")) for n in range(240)]
    tokens += [bank.token(bank.claims(now_s - 7200, jti=f"late {n}")) for n in range(16)]
    jws_gate(Workload(engine=make_engine(), tokens=tuple(tokens), alg="EdDSA", accepted=240))


@pytest.mark.parametrize("alg", ["ES256", "RS256"])
def test_ready_made(jws_gate: Gate, alg: str) -> None:
    """A ready-made workload of an algorithm: a batch, a forged token among every sixteen."""
    jws_gate(workload(alg, count=256, refused=16), tolerance=0.3)
