"""Tokens with base64 padding: refused, unless that was chosen; then verified over the octets that came."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import pytest
from certified import CertifiedKey
from tokens import AUD, ISS, NOW_S

from rapidjws import Engine, Issuer, RapidJWSError, Rejected, Replay, TokenCache
from rapidjws.keys import X5CKeys
from rapidjws.signing import LocalSigner
from rapidjws.stores import MemoryReplayStore
from rapidjws.testing import make_key

KEYS = {alg: make_key(alg, kid="k") for alg in ("ES256", "RS256", "HS256")}
OTHER = make_key("ES256", kid="k")


def engine_of(
    alg: str = "ES256", *, padded: bool = True, cache: TokenCache | None = None, **settings: Any
) -> Engine:
    """Return an engine of one issuer."""
    key = KEYS[alg] if alg == "HS256" else KEYS[alg].public()
    issuer = Issuer(ISS, keys=key, algorithms=[alg], audience=AUD, **settings)
    return Engine(issuer, padded_base64url=padded, cache=cache, workers=1)


def padded(octets: bytes) -> str:
    """Return base64url with its padding."""
    return base64.urlsafe_b64encode(octets).decode()


def token_of(
    alg: str = "ES256", *, key: Any = None, fill: int = 0, header: Any = (), without: str = "", **changes: Any
) -> str:
    """Return a token whose padded text was signed; ``fill`` moves the padding of header and payload."""
    head = {"typ": "JWT", "kid": "k", "alg": alg, "x": "-" * (fill % 3), **dict(header)}
    claims = {
        "iss": ISS,
        "aud": AUD,
        "exp": NOW_S + 60,
        "iat": NOW_S,
        "jti": "1",
        "y": "-" * (fill // 3),
        **changes,
    }
    claims.pop(without, None)
    text = f"{padded(json.dumps(head).encode())}.{padded(json.dumps(claims).encode())}"
    return f"{text}.{padded(LocalSigner(key or KEYS[alg]).sign(text.encode()))}"


def code(engine: Engine, token: str) -> str:
    """Return "ok" or the code of the refusal, the same at each entry and at each time."""
    found = set()
    for _ in range(2):
        try:
            engine.verify(token, NOW_S)
            found.add("ok")
        except RapidJWSError as refused:
            found.add(refused.code)
    (many,) = engine.verify_many([token], NOW_S)
    found.add(many.code if isinstance(many, Rejected) else "ok")
    found.add(engine.decide(token, now=NOW_S).code)
    try:
        asyncio.run(engine.averify(token, NOW_S))
        found.add("ok")
    except RapidJWSError as refused:
        found.add(refused.code)
    (one,) = found
    return one


@pytest.mark.parametrize("alg", KEYS)
@pytest.mark.parametrize("fill", range(9))
def test_padding_is_read_only_where_it_was_chosen(alg: str, fill: int) -> None:
    """Whatever the padding of each part: refused by default, verified with its claims where chosen."""
    token = token_of(alg, fill=fill)
    assert token.endswith("=")
    assert code(engine_of(alg, padded=False), token) == "malformed_base64url"
    engine = engine_of(alg)
    assert code(engine, token) == "ok"
    verified = engine.verify(token, NOW_S)
    assert (verified.claims["y"], verified.header["x"]) == ("-" * (fill // 3), "-" * (fill % 3))
    assert json.loads(verified.payload) == verified.claims
    assert code(engine, token.replace("=", "")) == (
        "ok" if "=" not in token.rpartition(".")[0] else "signature_invalid"
    )


def test_padding_is_part_of_what_was_signed() -> None:
    """Padding that was added or taken away afterwards is a bad signature; wrong padding is malformed."""
    engine = engine_of()
    signed = token_of(fill=1)
    head, payload, signature = signed.split(".")
    assert head.endswith("=") or payload.endswith("=")
    plain = LocalSigner(KEYS["ES256"]).sign(f"{head}.{payload}".replace("=", "").encode())
    assert code(engine, f"{head}.{payload}.{padded(plain)}") == "signature_invalid"
    assert (
        code(engine, f"{head}.{payload}.{signature.rstrip('=')}") == "ok"
    )  # the signature does not cover itself
    bad = [
        f"{head}.{payload}.{signature}=",
        f"{head}.{payload}.{signature[:-1]}",
        f"{head}.{payload}.={signature[:-1]}",
        f"{head}.{payload}.==",
        f"{head}====.{payload}.{signature}",
        f"{head}.{payload[:4]}={payload[4:]}.{signature}",
        f"{head}.{payload}.{signature[:-4]}A=A=",
        f"{head}.{payload}.{signature[:-3]}/==",
        f"{head}.{payload}.{signature[:-3]}B==",
    ]  # fmt: skip
    assert {token: code(engine, token) for token in bad} == dict.fromkeys(bad, "malformed_base64url")
    for token in (
        f"{head}.{payload}.{signature}.",
        f"{head}.{payload}",
        f"==.{payload}.{signature}",
        "=.=.=",
        "==..",
    ):
        assert code(engine, token) in ("malformed_token", "malformed_base64url"), token


@pytest.mark.parametrize(
    ("token", "wanted"),
    [
        (token_of(key=OTHER), "signature_invalid"),
        (token_of(exp=NOW_S - 600), "expired"),
        (token_of(aud="other"), "audience_mismatch"),
        (token_of(iss="https://other.example"), "issuer_mismatch"),
        (token_of(tid="b"), "claim_mismatch"),
        (token_of(tid=1e400), "malformed_json"),
        (token_of("RS256"), "algorithm_not_allowed"),
        (token_of("HS256"), "algorithm_not_allowed"),
        (token_of(header={"alg": "none"}), "unsupported_algorithm"),
        (token_of(header={"kid": "other"}), "unknown_kid"),
        (token_of(header={"crit": ["x"]}), "crit_unsupported"),
        (token_of(header={"typ": "at+jwt"}), "typ_mismatch"),
        (token_of(header={"b64": False, "crit": ["b64"]}), "crit_unsupported"),
        (token_of(x="x" * 16_384), "too_large"),
    ],
)
def test_all_other_rules_hold_for_padded_tokens(token: str, wanted: str) -> None:
    """Key, algorithm, header, dates, names and rules of claims refuse as they do without padding."""
    claims = {"tid": ["a"]} if wanted == "claim_mismatch" else {}
    assert code(engine_of(typ="JWT", claims=claims), token) == wanted


def test_a_padded_token_is_used_once_in_every_spelling() -> None:
    """Padding of the signature makes no other token of it: without jti, what was signed is the identity."""
    for without in ("", "jti"):
        engine = engine_of(replay=Replay(store=MemoryReplayStore(), identity="jti_or_digest"))
        token = token_of(without=without)
        engine.verify(token, NOW_S)
        for again in (token, token.rstrip("=")):
            with pytest.raises(RapidJWSError) as refused:
                engine.verify(again, NOW_S)
            assert refused.value.code == "replayed"


def test_the_cache_checks_padded_tokens_again() -> None:
    """A token that was remembered is refused once it is too old."""
    engine = engine_of(cache=TokenCache(16))
    token = token_of()
    assert code(engine, token) == "ok"
    with pytest.raises(RapidJWSError) as refused:
        engine.verify(token, NOW_S + 600)
    assert refused.value.code == "expired"


def test_chains_in_headers_are_not_padded() -> None:
    """An issuer whose keys come in headers takes no padded token."""
    root = CertifiedKey("root", is_ca=True, usage=None)
    issuer = Issuer(ISS, keys=X5CKeys(root.pem), algorithms=["ES256"], audience=AUD)
    engine = Engine(issuer, padded_base64url=True, workers=1)
    assert code(engine, token_of()) == "malformed_base64url"
