"""What curves and suites share: engines, tokens and keys of the corpus, and ways to time two things alike."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Sequence
from functools import cache
from itertools import accumulate
from pathlib import Path
from time import monotonic, perf_counter_ns, sleep
from typing import Any

import corpus

import rapidjws

PRELOADED_KEYS = 100  # above that only the keys that earn a table get one
CACHE = Path(os.environ.get("RAPIDJWS_BENCH_CACHE", Path(__file__).resolve().parent / ".cache"))


def make_engine(alg: str, jwks: str | None = None, **options: Any) -> rapidjws.Engine:
    """Make an engine for one issuer, its tables precomputed; by default with the corpus's one key."""
    text = jwks or json.dumps({"keys": [corpus.make_key(alg).jwk]})
    keys = rapidjws.JWKSet.from_json(text)
    issuer = rapidjws.Issuer(corpus.ISSUER, keys=keys, algorithms=[alg], audience=corpus.AUDIENCE)
    engine = rapidjws.Engine(issuer, **{"workers": 1, **options})
    if len(keys.keys) <= PRELOADED_KEYS:
        engine.precompute()
    return engine


@cache
def good_tokens(alg: str, count: int) -> list[bytes]:
    """Make tokens that all must be accepted."""
    return [token.encode() for _, token in corpus.make_tokens(corpus.make_key(alg), count, 0)]


def let_keys_earn(engine: rapidjws.Engine, tokens: Sequence[bytes], patience_s: float = 30.0) -> int:
    """Verify until no further key earns a table for a while; return how many have one."""
    end, seen, since_s = monotonic() + patience_s, -1, monotonic()
    while monotonic() < end and monotonic() - since_s < 1.0:
        accept_all(engine, tokens)
        sleep(0.05)  # the builder's thread
        if len(engine.precomputed_kids) != seen:
            seen, since_s = len(engine.precomputed_kids), monotonic()
    return seen


def tokens_per_second(seconds: float, call: Callable[..., int], *args: Any) -> int:
    """Give the best rate of three passes or more; `call` returns how many tokens it verified."""
    best, end = 0.0, perf_counter_ns() + int(seconds * 1e9)
    done = 0
    while done < 3 or perf_counter_ns() < end:
        start = perf_counter_ns()
        count = call(*args)
        best = max(best, count * 1e9 / (perf_counter_ns() - start))
        done += 1
    return round(best)


def accept_batches(engine: rapidjws.Engine, batches: Sequence[Sequence[bytes]]) -> int:
    """Verify batch after batch; return how many tokens that were."""
    return sum(accept_all(engine, batch) for batch in batches)


def accept_all(engine: rapidjws.Engine, tokens: Sequence[bytes]) -> int:
    """Verify in one batch, read every claims set, and insist on acceptance."""
    accepted = sum(result.claims["sub"] == corpus.SUBJECT for result in engine.verify_many(tokens))
    if accepted != len(tokens):
        raise AssertionError(f"accepted {accepted} of {len(tokens)}")
    return accepted


def accept_each(engine: rapidjws.Engine, tokens: Sequence[bytes]) -> int:
    """Verify one by one, read every claims set; a refusal raises."""
    verify = engine.verify
    accepted = 0
    for token in tokens:
        accepted += verify(token).claims["sub"] == corpus.SUBJECT
    if accepted != len(tokens):
        raise AssertionError(f"accepted {accepted} of {len(tokens)}")
    return accepted


def verdicts_all(engine: rapidjws.Engine, tokens: Sequence[bytes]) -> None:
    """Verify in one batch and insist on acceptance, leaving claims unread (they are built under the GIL)."""
    if not all(isinstance(result, rapidjws.VerifiedJWS) for result in engine.verify_many(tokens)):
        raise AssertionError("a good token was refused")


def best_ns(calls: Sequence[tuple[Callable[[], Any], int]], rounds: int, *, warm: bool = True) -> list[float]:
    """Time several calls in turns.

    Args:
        calls: each with the number of units of work that it does.
        rounds: how often each is timed.
        warm: whether each is called once before, untimed.

    Returns: for each its best time for a unit, in nanoseconds.
    """
    best = [float("inf")] * len(calls)
    for call, _ in calls if warm else ():
        call()
    for _ in range(rounds):
        for index, (call, units) in enumerate(calls):
            start = perf_counter_ns()
            call()
            best[index] = min(best[index], (perf_counter_ns() - start) / units)
    return best


def keys_path(alg: str, count: int) -> Path:
    """Name the file in which many_keys() keeps its set."""
    return CACHE / f"jwks-{alg}-{count}.json"


def many_keys(alg: str, count: int) -> str:
    """Give a JWK set of that many keys as text, kept in the cache folder between runs."""
    path = keys_path(alg, count)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        keys = [corpus.make_key(alg, f"key-{index}").jwk for index in range(count)]
        path.write_text(json.dumps({"keys": keys}))
    return path.read_text()


def zipf_tokens(alg: str, keys: int, count: int) -> list[bytes]:
    """Make tokens of the first `keys` keys of many_keys(), the k-th with a share like 1/k."""
    draws = random.Random(corpus.seed_bytes(f"zipf {alg} {keys}", 32))
    pool = []
    for index in range(keys):
        key = corpus.make_key(alg, f"key-{index}")
        pool.append([token.encode() for _, token in corpus.make_tokens(key, 4, 0)])
    shares = list(accumulate(1 / (rank + 1) for rank in range(keys)))
    return [draws.choice(pool[index]) for index in draws.choices(range(keys), cum_weights=shares, k=count)]
