"""The Python side of the protocol that every peer program speaks.

    program CORPUS_FOLDER ALG VARIANT

At the start the program verifies the whole corpus once and compares each verdict, then prints one JSON
line: `{"ready": true, "peer", "version", "detail"}`, or `{"unsupported": "why"}`, or `{"error": "what"}`.
After that each line on its input is a command, and each is answered with one JSON line:

    SECONDS           passes over the corpus for about that long (at least one pass):
                      {"passes", "accepted", "refused", "samples_ns": [ns a token, one number a pass]}
    latency SECONDS   the same, but each single call is timed: "samples_ns" has one number a call

The end of input ends the program. A pass whose counts differ from the corpus is an error. Good and bad tokens
are mixed in the timed pass, except in the variant `cached`: no verified-token cache holds refused tokens, so
there the bad ones are verified (and counted) in each pass outside the timing.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter_ns
from typing import Any


class Unsupported(Exception):
    """The peer does not have this algorithm or variant; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """One algorithm's tokens and keys, and what verifying them has to give."""

    alg: str
    variant: str
    issuer: str
    audience: str
    subject: str
    tokens: list[str]
    verdicts: list[bool]
    folder: Path

    def text(self, name: str) -> str:
        """Read one of the key files."""
        return (self.folder / name).read_text()

    def octets(self, name: str) -> bytes:
        """Read one of the key files as bytes."""
        return (self.folder / name).read_bytes()

    @property
    def timed(self) -> list[str]:
        """Give the tokens of a timed pass: all, or the good ones where a cache is measured."""
        if "cached" not in self.variant:
            return self.tokens
        return [token for token, good in zip(self.tokens, self.verdicts, strict=True) if good]

    @property
    def untimed(self) -> list[str]:
        """Give the other tokens: verified in each pass, outside the timing."""
        timed = set(self.timed)
        return [token for token in self.tokens if token not in timed]

    @property
    def symmetric(self) -> bool:
        """Tell whether the key is a shared secret (`secret.bin`) and not `public.pem`."""
        return self.alg.startswith("HS")


def read_corpus(folder: Path, alg: str, variant: str) -> Corpus:
    """Read the algorithm's part of the corpus."""
    about = json.loads((folder / "corpus.json").read_text())
    lines = [line.split("\t") for line in (folder / alg / "tokens.tsv").read_text().splitlines()]
    return Corpus(
        alg=alg,
        variant=variant,
        issuer=about["issuer"],
        audience=about["audience"],
        subject=about["subject"],
        tokens=[token for _, token in lines],
        verdicts=[verdict == "ok" for verdict, _ in lines],
        folder=folder / alg,
    )


VerifyOne = Callable[[str], Any]
VerifyAll = Callable[[Sequence[str]], list[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A peer made ready for one algorithm.

    Args:
        one: gives the claims of a good token as a mapping, raises for a bad one.
        refusals: the exceptions by which `one` refuses; any other exception ends the program.
        everything: instead of `one`: gives for each token its claims, or None where refused.
        repeat: how often the corpus stands in one timed pass.
    """

    one: VerifyOne | None = None
    refusals: tuple[type[Exception], ...] = ()
    everything: VerifyAll | None = None
    detail: str = ""
    repeat: int = 1


def _verdicts(peer: Peer, corpus: Corpus) -> list[bool]:
    if peer.everything is not None:
        return [
            claims is not None and claims["sub"] == corpus.subject
            for claims in peer.everything(corpus.tokens)
        ]
    assert peer.one is not None
    seen = []
    for token in corpus.tokens:
        try:
            seen.append(peer.one(token)["sub"] == corpus.subject)
        except peer.refusals:
            seen.append(False)
    return seen


def _pass_one(peer: Peer, subject: str, tokens: list[str]) -> tuple[int, int, int]:
    one, refusals = peer.one, peer.refusals
    assert one is not None
    accepted = refused = 0
    start = perf_counter_ns()
    for token in tokens:
        try:
            claims = one(token)
        except refusals:
            refused += 1
        else:
            if claims["sub"] == subject:
                accepted += 1
    return accepted, refused, perf_counter_ns() - start


def _pass_everything(peer: Peer, subject: str, tokens: list[str]) -> tuple[int, int, int]:
    assert peer.everything is not None
    accepted = refused = 0
    start = perf_counter_ns()
    for claims in peer.everything(tokens):
        if claims is None:
            refused += 1
        elif claims["sub"] == subject:
            accepted += 1
    return accepted, refused, perf_counter_ns() - start


def _round(peer: Peer, corpus: Corpus, seconds: float, latency: bool) -> dict[str, Any]:
    one_pass = _pass_one if peer.everything is None else _pass_everything
    want_accept = sum(corpus.verdicts) * peer.repeat
    want = (want_accept, len(corpus.tokens) * peer.repeat - want_accept)
    timed, untimed, subject = corpus.timed * peer.repeat, corpus.untimed * peer.repeat, corpus.subject
    chunks = [[token] for token in timed] if latency else [timed]
    samples_ns: list[float] = []
    passes = 0
    end = perf_counter_ns() + int(seconds * 1e9)
    while not passes or perf_counter_ns() < end:
        counts = [one_pass(peer, subject, chunk) for chunk in chunks]
        samples_ns += [count[2] / len(chunk) for count, chunk in zip(counts, chunks, strict=True)]
        counts.append(one_pass(peer, subject, untimed))
        got = (sum(count[0] for count in counts), sum(count[1] for count in counts))
        if got != want:
            raise AssertionError(f"accepted and refused {got}, the corpus has {want}")
        passes += 1
    return {
        "passes": passes,
        "accepted": want[0] * passes,
        "refused": want[1] * passes,
        "samples_ns": samples_ns,
    }


def _say(message: dict[str, Any]) -> None:
    print(json.dumps(message), flush=True)


def serve(name: str, version: str, prepare: Callable[[Corpus], Peer]) -> None:
    """Speak the protocol for one peer until the input ends.

    Args:
        name: the peer as the tables call it.
        version: the version of the library at hand.
        prepare: loads keys and policy; raises Unsupported where the peer lacks the algorithm.
    """
    folder, alg, variant = sys.argv[1:4]
    corpus = read_corpus(Path(folder), alg, variant)
    try:
        peer = prepare(corpus)
    except Unsupported as reason:
        _say({"unsupported": str(reason)})
        return
    seen = _verdicts(peer, corpus)
    wrong = [i for i, (a, b) in enumerate(zip(seen, corpus.verdicts, strict=True)) if a != b]
    if wrong:
        _say({"error": f"{name} {version} {alg}: wrong verdict for corpus lines {wrong[:8]}"})
        sys.exit(1)
    _say({"ready": True, "peer": name, "version": version, "detail": peer.detail})
    for line in sys.stdin:
        words = line.split()
        try:
            _say(_round(peer, corpus, float(words[-1]), words[0] == "latency"))
        except AssertionError as mismatch:
            _say({"error": f"{name} {version} {alg}: {mismatch}"})
            sys.exit(1)
