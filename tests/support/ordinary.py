"""Ordinary bad tokens: what anybody sends by mistake, of every serialization, each with its cause."""

from __future__ import annotations

import json
import random
import string
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from broken_world import AUD, BANK, KINDS, NOW, b64, bank_keys, claims, dumps, header, key, mac, sign

from rapidjws.jose.jwks import JWKSet
from rapidjws.jws.verifier import Verifier
from rapidjws.jwt.engine import Engine
from rapidjws.jwt.issuer import Issuer
from rapidjws.testing import make_key

ALGS = ("ES256", "RS256", "EdDSA", "PS256", "HS256", "ES384")
SERIALIZATIONS = ("compact", "flattened", "general", "detached", "detached_unencoded", "detached_flattened")
ALPHABET = string.ascii_letters + string.digits + "-_"
BODY = b'{"id":1,"to":"NL01BANK0123456789","amount":"10.00"}'


@dataclass(frozen=True, kw_only=True)
class Ordinary:
    """One token, what it is judged by, and the causes that are right."""

    name: str
    token: str
    using: Any
    causes: frozenset[str]
    more: dict[str, Any] = field(default_factory=dict)


class World:
    """Two engines and two verifiers with the bank's keys, and keys of strangers under the same kids."""

    def __init__(self) -> None:
        public, secret = JWKSet(bank_keys()), key("HS256")
        self.engine = {
            alg: Engine(Issuer(BANK, keys=secret if alg == "HS256" else public,
                               algorithms=["HS256"] if alg == "HS256" else KINDS, audience=AUD))
            for alg in ALGS
        }  # fmt: skip
        self.verifier = {
            alg: Verifier(secret if alg == "HS256" else public,
                          algorithms=["HS256"] if alg == "HS256" else KINDS, crit=["b64"])
            for alg in ALGS
        }  # fmt: skip
        self.strangers = {
            alg: make_key(alg, kid=f"bank-{alg.lower()}-2026") for alg in ALGS if alg != "HS256"
        }

    def signature(self, alg: str, octets: bytes, *, wrong: bool) -> bytes:
        """Sign rightly, or with a stranger's key."""
        if alg == "HS256":
            return (
                mac(b"not the secret that was agreed, but one as long", octets)
                if wrong
                else sign(alg, octets)
            )
        return sign(alg, octets, self.strangers[alg] if wrong else None)


def head_of(alg: str, **more: Any) -> bytes:
    """Return the header of the bank's key."""
    return dumps(header(alg, "bank-hs" if alg == "HS256" else "", **more))


def laid_out(form: str, head: bytes, payload: bytes, signature: bytes) -> str:
    """Return the parts in a serialization."""
    first, second, third = b64(head), b64(payload), b64(signature)
    if form == "flattened":
        return json.dumps({"payload": second, "protected": first, "signature": third})
    if form == "general":
        one = {"protected": first, "signature": third}
        return json.dumps({"payload": second, "signatures": [one]})
    if form == "detached_flattened":
        return json.dumps({"protected": first, "signature": third})
    return f"{first}.{'' if form.startswith('detached') else second}.{third}"


def made(world: World, form: str, alg: str, payload: bytes, *, wrong: bool = False) -> str:
    """Return a token over a payload."""
    raw = form == "detached_unencoded"
    head = head_of(alg, b64=False, crit=["b64"]) if raw else head_of(alg)
    octets = b64(head).encode() + b"." + (payload if raw else b64(payload).encode())
    return laid_out(form, head, payload, world.signature(alg, octets, wrong=wrong))


def dated(chance: random.Random, kind: str) -> tuple[dict[str, Any], frozenset[str]]:
    """Return claims that are wrong by their time or audience, with the causes that are right."""
    if kind == "expired":
        hours = 3600 * chance.randrange(1, 200) + chance.randrange(9)
        age = chance.choice([chance.randrange(400, 4_000_000), hours])
        return claims(iat=NOW - age - 300, exp=NOW - age), frozenset({"expired", "expired_just_now"})
    if kind == "wrong audience":
        aud = chance.choice(["https://mail.example", "client-7", ["a", "b"], "https://api.example.org"])
        return claims(aud=aud), frozenset({"audience_other"})
    begins = NOW + chance.choice([3600, 7200, 86_400, chance.randrange(61, 900_000)])
    made_ = claims(nbf=begins, exp=begins + 600)
    if chance.random() < 0.3:
        del made_["iat"]
    return made_, frozenset({"activated_later"})


def cut(chance: random.Random, text: str) -> str:
    """Return the beginning of a token."""
    return text[: chance.randrange(9, len(text) - 1)]


def mistyped(chance: random.Random, text: str) -> str:
    """Return a token with one character replaced, left out, doubled, or swapped with its neighbour."""
    at = chance.randrange(1, len(text) - 1)
    how = chance.randrange(4)
    if how == 0:
        other = chance.choice([char for char in ALPHABET if char != text[at]])
        return text[:at] + other + text[at + 1 :]
    if how == 1:
        return text[:at] + text[at + 1 :]
    if how == 2:
        return text[:at] + text[at] + text[at:]
    return text[: at - 1] + text[at] + text[at - 1] + text[at + 1 :]


CUT = {
    "json": frozenset({"json_broken"}),
    "dot": frozenset({"signature_missing", "cut_off"}),
    "signature": frozenset({"signature_cut_off", "cut_off"}),
}
"""Where a token was cut -> the causes that are right; a cut before the last dot leaves too few parts."""

_ANY = frozenset({"cut_off", "trailing_bits"})
DAMAGED = {
    "json": _ANY
    | frozenset(
        "header_altered signature_unexplained signature_length signature_cut_off member_misspelled"
        " json_broken".split()
    ),
    "dot": frozenset({"cut_off", "signature_missing", "wrong_parts", "empty_part", "header_not_json"}),
    "header": _ANY | frozenset({"header_altered", "header_not_json"}),
    "payload": _ANY | frozenset({"signature_unexplained"}),
    "signature": _ANY | frozenset({"signature_unexplained", "signature_length", "signature_cut_off"}),
}
"""Where a character was mistyped -> the causes that are right."""


def place_of(text: str, other: str) -> str:
    """Return where two tokens differ first: a part of a compact one, a dot, or JSON."""
    if text.startswith("{"):
        return "json"
    if text.count(".") != other.count("."):
        return "dot"
    pairs = enumerate(zip(text, other, strict=False))
    at = next((at for at, (one, two) in pairs if one != two), min(len(text), len(other)))
    if "." in (text[at : at + 1], other[at : at + 1]):
        return "dot"
    return ("header", "payload", "signature")[text[:at].count(".")]


def ordinary(first: int, count: int) -> Iterator[Ordinary]:
    """Yield bad tokens from a number on, each of a kind, an algorithm and a serialization in turn."""
    chance, world = random.Random(first), World()
    kinds = ("expired", "wrong audience", "not yet valid", "wrong key", "truncated", "mistyped")
    for number in range(first, first + count):
        kind = kinds[number % len(kinds)]
        alg = ALGS[number // len(kinds) % len(ALGS)]
        form = SERIALIZATIONS[number // (len(kinds) * len(ALGS)) % len(SERIALIZATIONS)]
        name = f"{number}: {kind}, {alg}, {form}"
        yield _one(chance, world, name, kind, alg, form)


def _one(chance: random.Random, world: World, name: str, kind: str, alg: str, form: str) -> Ordinary:
    """Return one bad token."""
    if kind in ("expired", "wrong audience", "not yet valid"):
        wrong, right = dated(chance, kind)
        shape = form if form in ("compact", "detached") else "compact"
        more = {"body": dumps(wrong)} if shape == "detached" else {}
        text = made(world, shape, alg, dumps(wrong))
        return Ordinary(name=name, token=text, using=world.engine[alg], causes=right, more=more)
    detached = form.startswith("detached")
    payload = BODY if detached else dumps(claims(jti=f"j{chance.random()}"))
    more = {"body": BODY} if detached else {}
    text = made(world, form, alg, payload, wrong=kind == "wrong key")
    using = world.engine[alg] if form == "compact" and chance.random() < 0.5 else world.verifier[alg]
    if kind == "wrong key":
        right = frozenset({"signature_unexplained"})
    elif kind == "truncated":
        whole, text = text, cut(chance, text)
        right = CUT[place_of(whole, text)]
    else:
        whole, text = text, changed(chance, text)
        right = DAMAGED[place_of(whole, text)]
    return Ordinary(name=name, token=text, using=using, causes=right, more=more)


def changed(chance: random.Random, text: str) -> str:
    """Return a mistyped token that is not the token."""
    while True:
        other = mistyped(chance, text)
        if other != text:
            return other
