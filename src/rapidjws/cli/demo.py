"""``rapidjws demo``: issuers, keys and thousands of tokens, good and bad, verified before your eyes."""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from typing import Annotated, Final, NamedTuple

import typer
from rich.console import Console
from rich.table import Table

from rapidjws import _native
from rapidjws.cli.histogram import latency_histogram
from rapidjws.errors import RapidJWSError
from rapidjws.jose.jwks import JWKSet
from rapidjws.jwt.engine import Engine
from rapidjws.jwt.issuer import Issuer
from rapidjws.testing import FakeIssuer
from rapidjws.verify.result import Rejected, VerifiedJWS

AUDIENCE = "https://api.example"
SINGLE_TOKENS = 5_000
RUNS: Final = 3
"""Times that a warm batch and tokens one by one are measured, in turn: the median of each is shown."""

MOST_RUNS: Final = 25
"""The same for a short stream, whose few milliseconds another program's turn on the CPU would fill.

Not the best of each: on a busy machine one thread finds a quiet moment sooner than two find it together.
"""

RUN_TOKENS: Final = 20_000
"""How many tokens all runs have together at least, within MOST_RUNS."""
_BAD_SHARE = 0.2


class Sample(NamedTuple):
    """One token, how it was made, and the verdict it must get."""

    token: str
    made: str
    expected: str

    def __repr__(self) -> str:
        """Show how it was made, and nothing that could be replayed."""
        return f"{type(self).__name__}(made={self.made!r}, expected={self.expected!r})"


def _issuers() -> list[FakeIssuer]:
    return [
        FakeIssuer("https://bank.example", "ES256", "RS256", audience=AUDIENCE),
        FakeIssuer("https://shop.example", "EdDSA", "ES256", audience=AUDIENCE),
        FakeIssuer("https://pay.example", "ES256", "PS256", audience=AUDIENCE),
        FakeIssuer("https://inside.example", "HS256", audience=AUDIENCE),
    ]


def _published(issuer: FakeIssuer) -> JWKSet:
    """Return an issuer's keys as a verifier gets them: from JSON, but for shared secrets."""
    public = issuer.jwks.as_dict()
    return JWKSet.from_json(json.dumps(public)) if public["keys"] else issuer.jwks


def _expired(issuer: FakeIssuer, now_s: int, serial: int) -> Sample:
    return Sample(issuer.token(issuer.claims(now_s - 7200, jti=serial_id(serial))), "expired", "expired")


def _tampered(issuer: FakeIssuer, now_s: int, serial: int) -> Sample:
    header, _, signature = issuer.token(issuer.claims(now_s, jti=serial_id(serial))).split(".")
    changed = _native.b64url_encode(json.dumps(issuer.claims(now_s, sub="admin")).encode()).decode()
    return Sample(f"{header}.{changed}.{signature}", "tampered", "signature_invalid")


def _wrong_key(issuer: FakeIssuer, now_s: int, serial: int) -> Sample:
    alg, signer = next(iter(issuer.signers.items()))
    stranger = FakeIssuer(issuer.iss, alg, audience=AUDIENCE)
    claims = issuer.claims(now_s, jti=serial_id(serial))
    return Sample(stranger.token(claims, header={"kid": signer.kid}), "wrong key", "signature_invalid")


def _unknown_kid(issuer: FakeIssuer, now_s: int, serial: int) -> Sample:
    claims = issuer.claims(now_s, jti=serial_id(serial))
    return Sample(issuer.token(claims, header={"kid": "nobody"}), "unknown kid", "unknown_kid")


def _alg_none(issuer: FakeIssuer, now_s: int, serial: int) -> Sample:
    payload = _native.b64url_encode(json.dumps(issuer.claims(now_s, jti=serial_id(serial))).encode()).decode()
    header = _native.b64url_encode(b'{"alg":"none"}').decode()
    return Sample(f"{header}.{payload}.AA", "alg none", "unsupported_algorithm")


_BAD: Final = (_expired, _tampered, _wrong_key, _unknown_kid, _alg_none)


def serial_id(serial: int) -> str:
    """Return a token's jti."""
    return f"demo-{serial:06d}"


def make_stream(issuers: list[FakeIssuer], now_s: int, count: int, seed: int) -> list[Sample]:
    """Return distinct tokens with their expected verdicts, most of them good, in random order."""
    chance = random.Random(seed)
    stream = []
    for serial in range(count):
        issuer = chance.choice(issuers)
        if chance.random() < _BAD_SHARE:
            stream.append(chance.choice(_BAD)(issuer, now_s, serial))
        else:
            claims = issuer.claims(now_s, jti=serial_id(serial))
            token = issuer.token(claims, alg=chance.choice(issuer.algorithms))
            stream.append(Sample(token, "good", "verified"))
    return stream


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
        *(
            Issuer(item.iss, keys=_published(item), algorithms=item.algorithms, audience=AUDIENCE)
            for item in issuers
        )
    )
    with console.status(f"signing {tokens:,} tokens"):
        stream = make_stream(issuers, int(time.time()), tokens, seed)

    many = [sample.token for sample in stream]
    first, first_s = _batch(engine, many)
    engine.precompute()  # what the first batch began is at its end
    single = stream[:SINGLE_TOKENS]
    count = max(RUNS, min(MOST_RUNS, RUN_TOKENS // tokens))
    runs = [(_batch(engine, many), _one_by_one(engine, single)) for _ in range(count)]
    warm, warm_s = sorted((batch for batch, _ in runs), key=lambda batch: batch[1])[count // 2]
    codes, times_ns = sorted((one for _, one in runs), key=lambda one: sum(one[1]))[count // 2]

    console.print(_verdicts(stream, first, len(issuers)))
    for line in _rates(
        engine.workers, count, tokens / first_s, tokens / warm_s, len(single) * 1e9 / sum(times_ns)
    ):
        console.print(line, highlight=False)
    console.print(f"one by one, {len(single):,} tokens:", highlight=False)
    console.print(latency_histogram(times_ns))
    wrong = sum(
        code != sample.expected for found in (first, warm) for sample, code in zip(stream, found, strict=True)
    )
    wrong += sum(code != sample.expected for sample, code in zip(single, codes, strict=True))
    if wrong:
        console.print(f"{wrong} verdicts were not the expected ones", style="bold red")
        raise typer.Exit(1)
    console.print("every verdict is the expected one", style="bold green")


def _batch(engine: Engine, tokens: list[str]) -> tuple[list[str], float]:
    """Verify in one call; return the codes, and how long the call took, in seconds."""
    start = time.perf_counter()
    results = engine.verify_many(tokens)
    seconds = time.perf_counter() - start
    return [_code(result) for result in results], seconds


def _rates(threads: int, runs: int, first: float, warm: float, single: float) -> list[str]:
    """Return lines that compare three ways to verify, in tokens a second."""
    rows = (
        (f"first batch of a fresh engine, {threads} threads", first),
        (f"warm batch, median of {runs}, {threads} threads", warm),
        (f"one by one, warm, median of {runs}, 1 thread", single),
    )
    return [f"{name:<44}{rate:>10,.0f} tokens a second  {rate / single:5.1f} x" for name, rate in rows]


def _verdicts(stream: list[Sample], codes: list[str], issuers: int) -> Table:
    """Return a table of how tokens were made and what verdicts they got."""
    rows = Counter((sample.made, sample.expected, code) for sample, code in zip(stream, codes, strict=True))
    table = Table(title=f"{issuers} issuers, {len(stream):,} tokens in one batch")
    for column in ("token", "expected", "verdict"):
        table.add_column(column)
    table.add_column("tokens", justify="right")
    for (made, expected, code), count in sorted(rows.items(), key=lambda row: -row[1]):
        table.add_row(made, expected, code, f"{count:,}", style=None if code == expected else "bold red")
    return table
