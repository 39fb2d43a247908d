"""A refusal shows codes, names and dates; nothing of payload, signature, keys or the token's text."""

from __future__ import annotations

import json
import random
import re

import mutations
import tokens
from hypothesis import given
from hypothesis import strategies as st
from tokens import NOW_S

import rapidjws

SECRET = "Zq7Xw9Kp3Vt5"
"""Stands in every claim that is no name of an issuer, an audience or a key."""

WORD = re.compile(r"[A-Za-z0-9_-]{24,}")


def shown_by(error: rapidjws.RapidJWSError) -> list[str]:
    """Return every text that a log might take from an error."""
    return [str(error), repr(error), json.dumps(error.as_dict()), repr(error.args), repr(error.__reduce__())]


def engine() -> rapidjws.Engine:
    """Return an engine that has a key of each common kind, and several issuers."""
    return rapidjws.Engine(
        tokens.issuer("ES256", "RS256", "EdDSA"), tokens.issuer("HS256", iss="https://inside.example")
    )


def pool() -> list[bytes]:
    """Return good tokens, and tokens whose claims are refused."""
    private = {"sub": SECRET, "jti": SECRET, "email": SECRET, "deep": {SECRET: [SECRET]}}
    changes = [
        {},
        {"exp": 1},
        {"nbf": NOW_S * 2},
        {"iat": NOW_S * 2},
        {"aud": "x"},
        {"exp": None},
        {"sub": [SECRET]},
    ]
    return [
        tokens.token(alg, **{**private, **change}).encode()
        for alg in ("ES256", "RS256", "EdDSA")
        for change in changes
    ]


def test_no_refusal_shows_the_token() -> None:
    """Of thousands of refused tokens no message, repr or field holds a long piece or a private claim."""
    texts = pool()
    asked = engine()
    seed = random.SystemRandom().getrandbits(48)
    results = asked.verify_many([*texts, *mutations.mutate(seed, texts, 6000)], NOW_S)
    codes = set()
    for token, one in zip([*texts, *mutations.mutate(seed, texts, 6000)], results, strict=True):
        if isinstance(one, rapidjws.VerifiedJWS):
            continue
        codes.add(one.code)
        for shown in [*shown_by(one.error()), repr(one), str(one)]:
            assert SECRET not in shown, f"seed {seed}"
            text = token.decode("latin-1")
            assert not [word for word in WORD.findall(shown) if word in text], f"seed {seed}: {shown}"
    assert len(codes) >= 10


@given(
    st.binary(max_size=300) | st.text(max_size=300).map(lambda text: text.encode("utf-8", "surrogatepass"))
)
def test_garbage_is_refused_in_one_printable_line(octets: bytes) -> None:
    """Whatever bytes arrive, the answer is a refusal of one short printable line."""
    for spelling in (octets, octets + b".e30.AAAA", b"e30." + octets + b".AAAA"):
        (one,) = GARBAGE_EATER.verify_many([spelling])
        assert isinstance(one, rapidjws.Rejected)
        line = str(one.error())
        assert line.isascii()
        assert line.isprintable()
        assert len(line) <= 256


@given(
    st.dictionaries(
        st.text(max_size=8), st.recursive(st.text() | st.integers() | st.none(), st.lists, max_leaves=4)
    )
)
def test_headers_of_strangers_are_refused_in_one_printable_line(members: dict[str, object]) -> None:
    """Whatever a header holds, the refusal is one short printable line."""
    token = f"{tokens.b64url(json.dumps({'alg': 'ES256', **members}).encode())}.e30.AAAA"
    (one,) = GARBAGE_EATER.verify_many([token])
    assert isinstance(one, rapidjws.Rejected)
    line = str(one.error())
    assert line.isascii()
    assert line.isprintable()
    assert len(line) <= 256


def test_objects_that_hold_keys_show_none_of_it() -> None:
    """No repr of a key, a set, an issuer, an engine or a signer holds key material."""
    secret = tokens.key("HS256")
    private = tokens.key("ES256")
    pieces = [tokens.b64url(secret.material[0])[:16]]
    pieces += [tokens.b64url(octets)[:16] for _, octets in private.private_material]
    things = [secret, private, tokens.issuer("HS256"), tokens.engine("HS256"), rapidjws.JWKSet([secret])]
    for thing in [*things, engine(), rapidjws.testing.FakeIssuer("https://i.example")]:
        assert not any(piece in repr(thing) for piece in pieces)
        assert secret.material[0].hex()[:16] not in repr(thing)


GARBAGE_EATER = rapidjws.Verifier(tokens.public("ES256"), algorithms=["ES256"])
