"""``decode`` of PyJWT beside ``rapidjws.compat.pyjwt``, in one run: the ratios are asserted.

Tokens come for the first time (each once) and again (each once more). Both get the same tokens, a token in 16
is bad, and each must give the same verdicts. ES256 and RS256 for the first time need vector instructions for
the full ratio; a CPU without them is held to a lower one, which is said.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jwt as pyjwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa

import rapidjws.compat.pyjwt as compat

TOKENS = 1024
WARM_TOKENS = 3000
"""Tokens before, so that the key has its precomputed table, as in a service that runs."""
ROUNDS = 5
BAD_EVERY = 16
ALGORITHMS = ("HS256", "RS256", "ES256")
LEAST_AGAIN = {"ES256": 8.0, "RS256": 6.0, "HS256": 10.0}
LEAST_FIRST = LEAST_AGAIN
LEAST_FIRST_PLAIN = {"ES256": 2.5, "RS256": 3.0, "HS256": 10.0}
"""Without vector instructions for large integers the signature takes nearly all the time."""
TABLE_WAIT_S = 0.5
AUDIENCE, ISSUER = "https://api.example", "https://bank.example"


def has_vectors() -> bool:
    """Return whether the CPU has AVX-512 IFMA."""
    try:
        return "avx512ifma" in Path("/proc/cpuinfo").read_text("ascii", "replace")
    except OSError:
        return False


def keys_of(alg: str) -> tuple[Any, Any]:
    """Return a key to sign with, and one to verify with as applications hold it."""
    if alg == "HS256":
        secret = "0123456789abcdef" * 2
        return secret, secret
    if alg == "ES256":
        curve_key = ec.generate_private_key(ec.SECP256R1())
        return curve_key, curve_key.public_key()
    rsa_key = rsa.generate_private_key(65537, 2048)
    return rsa_key, rsa_key.public_key()


def tokens_of(alg: str, private: Any, count: int, name: str) -> list[str]:
    """Return distinct tokens, one in sixteen with another signature."""
    now = int(time.time())
    tokens = []
    for number in range(count):
        claims = {"iss": ISSUER, "aud": AUDIENCE, "iat": now, "exp": now + 3600}
        token = pyjwt.encode({**claims, "jti": f"{name}{number}"}, private, algorithm=alg)
        if number % BAD_EVERY == 0:
            head, _, signature = token.rpartition(".")
            token = f"{head}.{signature[::-1][:-1]}{signature[-1]}"
        tokens.append(token)
    return tokens


def timed(decode: Callable[..., Any], tokens: Sequence[str], key: Any, alg: str) -> float:
    """Return microseconds a token; raises RuntimeError where a verdict is wrong."""
    accepted = 0
    begun = time.thread_time()  # what others do on this machine takes no part in it
    for token in tokens:
        try:
            decode(token, key, algorithms=[alg], audience=AUDIENCE, issuer=ISSUER)
            accepted += 1
        except (pyjwt.PyJWTError, compat.PyJWTError):
            pass
    taken = time.thread_time() - begun
    if accepted != len(tokens) - len(tokens) // BAD_EVERY:
        raise RuntimeError(f"{alg}: {accepted} of {len(tokens)} accepted")
    return taken / len(tokens) * 1e6


def measured(alg: str) -> tuple[float, float, float]:
    """Return the best figures of PyJWT, of the first time, and of the second, in microseconds a token."""
    private, key = keys_of(alg)
    timed(compat.decode, tokens_of(alg, private, WARM_TOKENS // BAD_EVERY * BAD_EVERY, "warm"), key, alg)
    time.sleep(TABLE_WAIT_S)  # tables are built beside the traffic
    theirs, first, again = [], [], []
    for number in range(ROUNDS):
        tokens = tokens_of(alg, private, TOKENS, f"{number}-")
        theirs.append(timed(pyjwt.decode, tokens, key, alg))
        first.append(timed(compat.decode, tokens, key, alg))
        again.append(timed_again(tokens, key, alg))
    return min(theirs), min(first), min(again)


def timed_again(tokens: Sequence[str], key: Any, alg: str) -> float:
    """Return microseconds a good token that came before."""
    good = [token for at, token in enumerate(tokens) if at % BAD_EVERY]
    begun = time.thread_time()
    for token in good:
        compat.decode(token, key, algorithms=[alg], audience=AUDIENCE, issuer=ISSUER)
    return (time.thread_time() - begun) / len(good) * 1e6


def main() -> int:
    """Print the ratios; return 1 where one is below its bound."""
    least_first = LEAST_FIRST if has_vectors() else LEAST_FIRST_PLAIN
    words = "" if has_vectors() else " (no vector instructions: lower bounds for the first time)"
    print(f"decode, microseconds a token; how many times as fast as PyJWT {pyjwt.__version__}{words}")
    is_good = True
    for alg in ALGORITHMS:
        theirs, first, again = measured(alg)
        for name, ours, least in (("first", first, least_first[alg]), ("again", again, LEAST_AGAIN[alg])):
            ratio = theirs / ours
            is_good &= ratio >= least
            print(f"{alg:6} {name}: {ratio:6.1f} x (at least {least:g}): {theirs:.1f} against {ours:.1f} us")
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
