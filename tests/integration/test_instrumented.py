"""A bounded walk through the compiled module, and key tables swapped under load, for memcheck and TSan.

Both run plainly too; `make test-valgrind` and `make test-tsan` run them under instruments, where every step
takes many times as long: keep them short.
"""

from __future__ import annotations

import functools
import threading
from collections import Counter

import pytest

import rapidjws
from rapidjws.testing import FakeIssuer

NOW_S = 1_800_000_000
PUBLIC_KEY = ("RS256", "PS256", "ES256", "ES384", "ES512", "ES256K", "Ed25519", "Ed448")
SECRET = ("HS256", "HS384", "HS512")
ISSUER = "https://issuer.example"
SWAPS = 40
BATCH = 24


@functools.cache
def issuer_of(algorithms: tuple[str, ...]) -> FakeIssuer:
    """Make an issuer once: under memcheck its keys take longer than the walk."""
    return FakeIssuer(ISSUER, *algorithms)


def engine_of(issuer: FakeIssuer, **options: int | str) -> rapidjws.Engine:
    """Build an engine for one issuer."""
    rules = rapidjws.Issuer(
        issuer.iss, keys=issuer.jwks, algorithms=issuer.algorithms, audience=issuer.audience
    )
    return rapidjws.Engine(rules, **options)  # type: ignore[arg-type]


def tampered(token: str) -> str:
    """Change one character in the middle of the signature."""
    at = len(token) - 20
    return token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :]


def bad_tokens(token: str) -> list[str]:
    """Give tokens that break in different modules: shape, base64url, JSON, algorithm, key, signature."""
    header, payload, signature = token.split(".")
    return [
        "",
        "..",
        "." * 2000,
        f"{header}.{payload}",
        f"{header}=.{payload}.{signature}",
        f"e30.{payload}.{signature}",
        f"eyJhbGciOiJub25lIn0.{payload}.",
        f"{header}.{payload}.{signature[:-4]}",
        f"{'W1tb' * 300}.{payload}.{signature}",
        tampered(token),
    ]


@pytest.mark.memcheck
@pytest.mark.parametrize("algorithms", [PUBLIC_KEY, SECRET], ids=["public-key", "secret"])
@pytest.mark.parametrize("acceleration", ["openssl", "auto"])
def test_walk(acceleration: str, algorithms: tuple[str, ...]) -> None:
    """Every algorithm accepts its token and refuses broken ones, singly and in a batch; tables are freed."""
    issuer = issuer_of(algorithms)
    engine = engine_of(issuer, acceleration=acceleration, workers=2, precompute_threshold=2)
    for alg in algorithms:
        good = issuer.token(issuer.claims(NOW_S), alg=alg)
        late = issuer.token(issuer.claims(NOW_S - 86_400), alg=alg)
        for _ in range(4):
            assert engine.verify(good, now=NOW_S).claims["iss"] == ISSUER
        for token in [late, *bad_tokens(good)]:
            with pytest.raises(rapidjws.TokenRefused):
                engine.verify(token, now=NOW_S)
        found = engine.verify_many([good, late, *bad_tokens(good)] * 2, now=NOW_S)
        accepted = [isinstance(result, rapidjws.VerifiedJWS) for result in found]
        assert accepted == ([True] + [False] * (len(found) // 2 - 1)) * 2
        engine.replace_keys(ISSUER, issuer.jwks)


@pytest.mark.tsan
def test_swaps_under_load() -> None:
    """While keys are swapped, each token is verified against one whole set of keys: the old or the new."""
    issuers = [FakeIssuer(ISSUER, "ES256", "ES384", "Ed25519") for _ in range(2)]
    sets = [issuer.jwks for issuer in issuers]
    engine = engine_of(issuers[0], workers=2, precompute_threshold=4)
    tokens = [
        issuer.token(issuer.claims(NOW_S), alg=alg)
        for _ in range(BATCH // 6)
        for issuer in issuers
        for alg in issuer.algorithms
    ]
    stop = threading.Event()
    seen: Counter[str] = Counter()
    faults: list[str] = []

    def verify_batches() -> None:
        while not stop.is_set():
            found = engine.verify_many(tokens, now=NOW_S)
            verdicts = [isinstance(result, rapidjws.VerifiedJWS) for result in found]
            accepted = {index // 3 % 2 for index, verdict in enumerate(verdicts) if verdict}
            seen["batches"] += 1
            if len(accepted) != 1 or sum(verdicts) != len(tokens) // 2:
                faults.append(f"a batch saw two key sets: {verdicts}")

    def verify_singles() -> None:
        while not stop.is_set():
            verdicts = set()
            for token in tokens[:6]:
                try:
                    engine.verify(token, now=NOW_S)
                    verdicts.add("verified")
                except rapidjws.RapidJWSError as refusal:
                    verdicts.add(refusal.code)
            seen.update(verdicts)
            if not verdicts <= {"verified", "signature_invalid"}:
                faults.append(f"a single saw {verdicts}")

    threads = [threading.Thread(target=work) for work in (verify_batches, verify_batches, verify_singles)]
    for thread in threads:
        thread.start()
    for round_number in range(SWAPS):
        engine.replace_keys(ISSUER, sets[(round_number + 1) % 2])
    stop.set()
    for thread in threads:
        thread.join()
    assert faults == []
    assert seen["batches"] > 0
    assert seen["verified"] > 0
