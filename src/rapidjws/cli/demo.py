"""``rapidjws demo``: issuers, keys and thousands of tokens, good and bad, verified before your eyes."""

from __future__ import annotations

import base64
import random
import time
from collections import Counter
from typing import Annotated, NamedTuple

import typer
from rich.console import Console
from rich.table import Table

from rapidjws import _native
from rapidjws.cli.histogram import latency_histogram
from rapidjws.engine.engine import Engine
from rapidjws.engine.issuer import Issuer
from rapidjws.engine.result import Rejected, VerifiedJWS
from rapidjws.errors import RapidJWSError
from rapidjws.testing import FakeIssuer

AUDIENCE = "https://api.example"
SINGLE_TOKENS = 5_000
DISTINCT_TOKENS = 1_000
"""Signing is slow; the stream repeats this many distinct tokens in random order."""

_BAD_SHARE = 0.2


class Sample(NamedTuple):
    """One token and the verdict it must get."""

    token: str
    expected: str


def _issuers() -> list[FakeIssuer]:
    return [
        FakeIssuer("https://bank.example", "ES256", "RS256", audience=AUDIENCE),
        FakeIssuer("https://shop.example", "EdDSA", "ES256", audience=AUDIENCE),
        FakeIssuer("https://pay.example", "PS256", "ES256", audience=AUDIENCE),
        FakeIssuer("https://inside.example", "HS256", audience=AUDIENCE),
    ]


def _bad(issuer: FakeIssuer, other: FakeIssuer, now_s: int, kind: int) -> Sample:
    """Return one token of each kind of fault."""
    good = issuer.token(issuer.claims(now_s))
    header, payload, signature = good.split(".")
    if kind == 0:
        return Sample(issuer.token(issuer.claims(now_s - 7200)), "expired")
    if kind == 1:
        changed = _native.b64url_encode(b'{"iss":"' + issuer.iss.encode() + b'","sub":"admin"}').decode()
        return Sample(f"{header}.{changed}.{signature}", "signature_invalid")
    if kind == 2:
        signer = next(iter(issuer.signers.values()))
        foreign = {"alg": "ES256", "kid": signer.kid} if signer.alg == "ES256" else None
        if foreign is None:
            return _bad(issuer, other, now_s, 1)
        return Sample(other.token(issuer.claims(now_s), alg="ES256", header=foreign), "signature_invalid")
    if kind == 3:
        return Sample(issuer.token(issuer.claims(now_s), header={"kid": "nobody"}), "unknown_kid")
    none = base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=")
    return Sample(f"{none}.{payload}.AA", "unsupported_algorithm")


def make_samples(issuers: list[FakeIssuer], now_s: int, seed: int) -> list[Sample]:
    """Return distinct tokens with their expected verdicts, good ones mostly."""
    chance = random.Random(seed)
    samples = []
    for index in range(DISTINCT_TOKENS):
        issuer = issuers[index % len(issuers)]
        if chance.random() < _BAD_SHARE:
            samples.append(_bad(issuer, issuers[1], now_s, index % 5))
        else:
            alg = chance.choice(issuer.algorithms)
            samples.append(Sample(issuer.token(issuer.claims(now_s), alg=alg), "verified"))
    return samples


def _code(result: VerifiedJWS | Rejected) -> str:
    return "verified" if isinstance(result, VerifiedJWS) else result.code


def _one_by_one(engine: Engine, stream: list[Sample]) -> tuple[list[str], list[int]]:
    codes, times_ns = [], []
    for sample in stream:
        start = time.perf_counter_ns()
        try:
            engine.verify(sample.token)
            code = "verified"
        except RapidJWSError as refused:
            code = refused.code
        times_ns.append(time.perf_counter_ns() - start)
        codes.append(code)
    return codes, times_ns


def demo(
    tokens: Annotated[int, typer.Option(help="How many tokens the stream has.", min=100)] = 20_000,
    seed: Annotated[int, typer.Option(help="Seed of the mixture.")] = 7,
) -> None:
    """Make issuers and keys, verify a stream of good and bad tokens, show verdicts, speed and latency."""
    console = Console()
    issuers = _issuers()
    engine = Engine(
        *(Issuer(item.iss, keys=item.jwks, algorithms=item.algorithms, audience=AUDIENCE) for item in issuers)
    )
    samples = make_samples(issuers, int(time.time()), seed)
    stream = random.Random(seed).choices(samples, k=tokens)

    start = time.perf_counter()
    results = engine.verify_many([sample.token for sample in stream])
    seconds = time.perf_counter() - start
    single = stream[:SINGLE_TOKENS]
    codes, times_ns = _one_by_one(engine, single)

    table = Table("verdict", "expected", "found", title=f"{len(issuers)} issuers, {tokens} tokens in batch")
    expected, found = Counter(s.expected for s in stream), Counter(map(_code, results))
    for name in sorted(expected | found):
        table.add_row(name, str(expected[name]), str(found[name]))
    console.print(table)
    console.print(
        f"batch: {tokens / seconds:,.0f} tokens a second on {engine.workers} threads", highlight=False
    )
    console.print(f"one by one, {len(single)} tokens:", highlight=False)
    console.print(latency_histogram(times_ns))
    wrong = [s.expected for s, r in zip(stream, results, strict=True) if _code(r) != s.expected]
    wrong += [s.expected for s, code in zip(single, codes, strict=True) if code != s.expected]
    if wrong:
        console.print(f"{len(wrong)} verdicts were not the expected ones", style="bold red")
        raise typer.Exit(1)
    console.print("every verdict is the expected one", style="bold green")
