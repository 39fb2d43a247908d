"""rapidjws itself: one Engine with one issuer; tokens come as text, as they do for every Python peer.

Variants: `single` is `Engine.verify` and `.claims`; `batch` is `verify_many` of 64 on one worker; `batch-2`
hands all tokens to `verify_many` on two; the ending `-openssl` turns the per-key tables off, `-portable` the
vector lanes; `cached` turns the verified-token cache on.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from protocol import Corpus, Peer, Unsupported, serve

import rapidjws

BATCH_TOKENS = 64
REPEAT_FOR_THREADS = 32


def make_engine(corpus: Corpus) -> rapidjws.Engine:
    """Build the engine of this variant, its key ready and its tables precomputed."""
    options: dict[str, Any] = {"workers": 2 if corpus.variant == "batch-2" else 1}
    for setting in ("openssl", "portable"):
        if corpus.variant.endswith(setting):
            options["acceleration"] = setting
    if corpus.variant == "cached":
        options["cache"] = rapidjws.TokenCache()
    if corpus.alg not in rapidjws.ALGORITHMS:
        raise Unsupported(f"rapidjws has no {corpus.alg}")
    keys = rapidjws.JWKSet.from_json(corpus.text("jwks.json"))
    issuer = rapidjws.Issuer(corpus.issuer, keys=keys, algorithms=[corpus.alg], audience=corpus.audience)
    try:
        engine = rapidjws.Engine(issuer, **options)
    except TypeError as reason:
        raise Unsupported(f"this build has no such option: {reason}") from None
    engine.precompute()
    return engine


def prepare(corpus: Corpus) -> Peer:
    """Choose the call that the variant measures."""
    engine = make_engine(corpus)
    verify, verify_many, good = engine.verify, engine.verify_many, rapidjws.VerifiedJWS

    def one(token: str) -> Any:
        return verify(token).claims

    def claims_of(tokens: Sequence[str]) -> list[Any]:
        return [result.claims if isinstance(result, good) else None for result in verify_many(tokens)]

    def in_batches(tokens: Sequence[str]) -> list[Any]:
        everything: list[Any] = []
        for start in range(0, len(tokens), BATCH_TOKENS):
            everything += claims_of(tokens[start : start + BATCH_TOKENS])
        return everything

    if corpus.variant == "batch-2":
        return Peer(everything=claims_of, repeat=REPEAT_FOR_THREADS)
    if corpus.variant.startswith("batch"):
        return Peer(everything=in_batches)
    return Peer(one=one, refusals=(rapidjws.RapidJWSError,))


serve("rapidjws", version("rapidjws"), prepare)
