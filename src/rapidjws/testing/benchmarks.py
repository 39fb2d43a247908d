"""Fixtures that put the engine's regression gate into the CI of those who use it. Needs pytest-benchmark.

In a conftest: ``pytest_plugins = ["rapidjws.testing.benchmarks"]``; in a test, with the fixture ``jws_gate``:
``jws_gate(workload("ES256"))``. A figure is how many times as fast as pyca/cryptography checks as many bare
signatures, in the same process, right before and right after: so a busy or another machine moves it little.
What it never does: pass a run whose accepted and refused tokens are not the expected ones.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter, time
from typing import TYPE_CHECKING, Any, Final, Protocol

import pytest

from rapidjws import _files
from rapidjws._checks import checked
from rapidjws.errors import error_for
from rapidjws.jose.jwa import ALGORITHM_TABLE
from rapidjws.jwt.engine import Engine
from rapidjws.jwt.issuer import Issuer
from rapidjws.testing.issuer import FakeIssuer
from rapidjws.verify.result import VerifiedJWS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rapidjws.verify.result import Rejected

LIFETIME_S: Final = 24 * 3600
ROUNDS: Final = 15
COUNT_MAX: Final = 1_000_000
FLOOR_SIGNATURES: Final = 32
TOLERANCE: Final = 0.25
"""By what share a figure may be below the baseline's."""


class Verifies(Protocol):
    """What is measured: an Engine, a Verifier, or anything with their ``verify_many``."""

    def verify_many(self, tokens: Sequence[Any], /) -> list[VerifiedJWS | Rejected]:
        """Return one result a token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """Tokens, who verifies them, and what must come of it.

    Attributes:
        engine: An Engine or a Verifier; your own, or that of ``workload``.
        tokens: What it verifies in one call.
        alg: The algorithm whose bare signatures are the floor.
        accepted: How many of the tokens are good.
    """

    engine: Verifies
    tokens: tuple[str | bytes, ...] = field(repr=False)
    alg: str
    accepted: int

    def __post_init__(self) -> None:
        if self.alg not in ALGORITHM_TABLE:
            raise error_for("unsupported_algorithm", "alg", actual=self.alg)
        if not 0 < self.accepted <= len(self.tokens):
            raise error_for("configuration_invalid", "accepted", expected=f"1 to {len(self.tokens)}")


@checked
def workload(alg: str = "ES256", *, count: int = 256, refused: int = 16) -> Workload:
    """Make a workload: an engine, good tokens of one issuer, and forged ones spread among them.

    Args:
        alg: A name of ``rapidjws.ALGORITHMS``.
        count: Tokens, forged ones included.
        refused: How many of them are forged.

    Returns:
        The workload; its tokens are good for a day.

    Raises:
        HeaderRefused: ``unsupported_algorithm``.
        ConfigurationError: ``configuration_invalid``: not one token would be good.
    """
    if count > COUNT_MAX:
        raise error_for("configuration_invalid", "count", expected=f"1 to {COUNT_MAX}")
    if not 0 <= refused < count:
        raise error_for("configuration_invalid", "refused", expected=f"0 to {count - 1}")
    bank = FakeIssuer("https://bank.example", alg, lifetime_s=LIFETIME_S)
    now_s = int(time()) - 1
    tokens = [bank.token(bank.claims(now_s, jti=str(number))) for number in range(count)]
    for number in range(refused):  # another token's signature, spread over the batch
        at = number * count // refused
        tokens[at] = tokens[at].rpartition(".")[0] + "." + tokens[at - 1].rpartition(".")[2]
    issuer = Issuer(bank.iss, keys=bank.jwks, algorithms=[alg], audience="https://api.example")
    return Workload(engine=Engine(issuer), tokens=tuple(tokens), alg=alg, accepted=count - refused)


def floor_us(alg: str) -> Callable[[], float]:
    """Return a function that measures what pyca/cryptography takes for one bare signature, in microseconds.

    Args:
        alg: A name of ``rapidjws.ALGORITHMS``.

    Raises:
        HeaderRefused: ``unsupported_algorithm``.
    """
    signer = FakeIssuer("https://floor.example", alg).signers[alg]
    messages = [b"%d" % number * 64 for number in range(FLOOR_SIGNATURES)]
    signatures = [signer.sign(message) for message in messages]
    check = _bare_check(alg, signer.public)

    def measure() -> float:
        begun = perf_counter()
        for message, signature in zip(messages, signatures, strict=True):
            check(signature, message)
        return (perf_counter() - begun) * 1e6 / FLOOR_SIGNATURES

    return measure


def _bare_check(alg: str, jwk: Any) -> Callable[[bytes, bytes], object]:
    """Return pyca/cryptography's own verification under a key; an HMAC is Python's."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, padding, utils

    from rapidjws.jose import pyca_keys

    row = ALGORITHM_TABLE[alg]
    digest = str(row.digest)
    if row.kind == "hmac":
        secret = jwk.material[0]
        return lambda found, octets: hmac.compare_digest(found, hmac.digest(secret, octets, digest))
    key = pyca_keys.public_key(jwk)
    if row.kind in ("eddsa", "mldsa"):
        check: Callable[[bytes, bytes], object] = key.verify
        return check
    hashed = getattr(hashes, digest.upper())()
    if row.kind == "rsa_pkcs1":
        return lambda found, octets: key.verify(found, octets, padding.PKCS1v15(), hashed)
    if row.kind == "rsa_pss":
        pss = padding.PSS(padding.MGF1(hashed), hashlib.new(digest).digest_size)
        return lambda found, octets: key.verify(found, octets, pss, hashed)

    def ecdsa(found: bytes, octets: bytes) -> object:
        half = len(found) // 2
        r, s = int.from_bytes(found[:half], "big"), int.from_bytes(found[half:], "big")
        return key.verify(utils.encode_dss_signature(r, s), octets, ec.ECDSA(hashed))

    return ecdsa


class Gate:
    """Workloads measured against a baseline. Made by the fixture ``jws_gate``.

    Args:
        benchmark: pytest-benchmark's fixture.
        name: The test's id, under which the figure stands in the baseline.
        baseline: The file, or None where only the verdicts are checked.
        update: Whether the figure is written there instead of being compared.
    """

    __slots__ = ("_baseline", "_benchmark", "_name", "_update")

    def __init__(self, benchmark: Any, name: str, baseline: Path | None, *, update: bool) -> None:
        self._benchmark = benchmark
        self._name = name
        self._baseline = baseline
        self._update = update

    def __call__(self, work: Workload, *, tolerance: float = TOLERANCE, rounds: int = ROUNDS) -> float | None:
        """Measure a workload.

        Args:
            work: The workload.
            tolerance: By what share the figure may be below the baseline's.
            rounds: How often all tokens are verified; the best round counts.

        Returns:
            How many times as fast as the floor; None where pytest-benchmark is set not to measure.

        Raises:
            AssertionError: Accepted and refused tokens are not those expected, the figure is below the
                baseline's by more than the tolerance, or the baseline has no figure for this test.
        """
        floor = floor_us(work.alg)
        floors = [floor() for _ in range(rounds)]
        self._benchmark.pedantic(self._verified, args=(work,), rounds=rounds, warmup_rounds=2)
        if self._benchmark.stats is None:  # --benchmark-disable
            return None
        floors += [floor() for _ in range(rounds)]
        token_us = self._benchmark.stats.stats.min * 1e6 / len(work.tokens)
        figure: float = round(min(floors) / token_us, 3)
        self._benchmark.extra_info |= {"us_per_token": round(token_us, 3), "times_floor": figure}
        if self._baseline is not None:
            self._hold(self._baseline, figure, tolerance)
        return figure

    @staticmethod
    def _verified(work: Workload) -> None:
        """Verify all tokens once, and check what came of them."""
        results = work.engine.verify_many(work.tokens)
        accepted = sum(isinstance(result, VerifiedJWS) for result in results)
        assert accepted == work.accepted, f"{accepted} of {len(results)} accepted, expected {work.accepted}"

    def _hold(self, baseline: Path, figure: float, tolerance: float) -> None:
        figures: dict[str, float] = json.loads(baseline.read_text("utf-8")) if baseline.exists() else {}
        if self._update:
            figures[self._name] = figure
            _files.write_output(baseline, (json.dumps(figures, indent=1, sort_keys=True) + "\n").encode())
            return
        stored = figures.get(self._name)
        assert stored is not None, (
            f"{baseline.name} has no figure for {self._name}: add it by --jws-baseline-update"
        )
        assert figure >= stored * (1 - tolerance), (
            f"{self._name}: {figure} times as fast as the bare signatures, was {stored}; "
            f"{tolerance:.0%} less is allowed"
        )


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("rapidjws")
    group.addoption("--jws-baseline", metavar="FILE", help="hold the figures of jws_gate against this file")
    group.addoption("--jws-baseline-update", action="store_true", help="write the figures there instead")


@pytest.fixture
def jws_gate(request: pytest.FixtureRequest) -> Gate:
    """Return the gate of this test: call it with a workload."""
    config = request.config
    if not config.pluginmanager.hasplugin("benchmark"):
        raise pytest.UsageError("jws_gate needs pytest-benchmark: pip install pytest-benchmark")
    named = config.getoption("--jws-baseline")
    update = bool(config.getoption("--jws-baseline-update"))
    if update and not named:
        raise pytest.UsageError("--jws-baseline-update needs --jws-baseline FILE")
    benchmark = request.getfixturevalue("benchmark")
    return Gate(benchmark, request.node.name, Path(named) if named else None, update=update)
