"""Mutants of a token and its proof, none of which may be accepted. What it never does: verify."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator
from typing import Any

import dpop
import tokens

import rapidjws
from rapidjws.sender import DPoP, SenderConstraints, SenderRequest

_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_CLAIMS: dict[str, list[Any]] = {
    "htm": ["GET", "post", "", None, 7],
    "htu": [f"{dpop.URL}/", f"{dpop.URL}?a", dpop.ORIGIN, "http://api.example/orders", None],
    "iat": [dpop.NOW_S - 3600, dpop.NOW_S + 3600, None, "0"],
    "ath": [None, "", "A" * 43],
    "jti": [None, "", 7],
}
_HEADERS: dict[str, list[Any]] = {
    "typ": ["JWT", None, "dpop"],
    "alg": ["none", "HS256", "RS256", "ES384"],
    "jwk": [None, {}, tokens.public("ES256", "thief").as_dict(), {"kty": "oct", "k": "c2VjcmV0"}],
}
Pair = tuple[bytes, bytes]


class Always:
    """A replay store to which each proof is new: no mutant is refused for what another one used."""

    blocking = False

    def record(self, entries: Any) -> list[bool | None]:
        """Return that each is new."""
        return [True for _ in entries]


def _changed_octet(text: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(text))
    other = chance.choice([one for one in _ALPHABET if one != text[at]])
    return text[:at] + bytes([other]) + text[at + 1 :]


def _cut(text: bytes, chance: random.Random) -> bytes:
    start, end = sorted(chance.sample(range(len(text) + 1), 2))
    return text[:start] + text[end:]


def _doubled(text: bytes, chance: random.Random) -> bytes:
    start, end = sorted(chance.sample(range(len(text) + 1), 2))
    return text[:end] + text[start:]


class Mutants:
    """Mutants of one good pair, and what they are decided by.

    Args:
        seed: Makes the same mutants again.
    """

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self.token = dpop.bound_token().encode()
        self.proof = dpop.proof(self.token.decode()).encode()
        stolen = dpop.bound_token(name="thief").encode()
        self._others = [stolen, tokens.token().encode(), self.proof, dpop.proof(stolen.decode()).encode()]
        self._resigned = self._signed_by_a_thief()
        self._engine = rapidjws.Engine(
            rapidjws.Issuer(
                tokens.ISS, keys=tokens.public("ES256"), algorithms=["ES256"], audience=tokens.AUD
            ),
            workers=1,
            precompute_threshold=32,
        )
        store: Any = Always()
        self._checks = SenderConstraints(dpop=DPoP(external_origins=dpop.ORIGIN, replay=store))

    def use_tables(self) -> bool:
        """Accept the good pair until both keys have tables: its signatures are verified together then."""
        keys = self._checks.dpop._keys if self._checks.dpop is not None else None
        header = self.proof.partition(b".")[0]
        for _ in range(600):
            if not self.is_accepted(self.token, self.proof):
                return False
            known = None if keys is None else keys.known(header)
            if known is not None and known.has_table and self._engine.table_status().tables:
                return True
            time.sleep(0.01)
        return False

    def _signed_by_a_thief(self) -> list[bytes]:
        """Return proofs that are changed and signed: by the true key, and by one that is not the token's."""
        token = self.token.decode()
        thief = tokens.key("ES256", "thief")
        found = [dpop.proof(token, name="thief"), dpop.proof(token, signed_by=thief)]
        for name, values in _CLAIMS.items():
            found += [dpop.proof(token, **{name: value}) for value in values]
        for name, values in _HEADERS.items():
            for value in values:
                members = {"typ": "dpop+jwt", "alg": "ES256", "jwk": tokens.public("ES256", "dpop").as_dict()}
                members = {key: one for key, one in {**members, name: value}.items() if one is not None}
                payload = tokens.b64url_decode(self.proof.decode().split(".")[1])
                head = tokens.b64url(json.dumps(members).encode())
                good = tokens.sign(tokens.key("ES256", "dpop"), {"alg": "ES256"}, payload, alg="ES256")
                found.append(f"{head}.{tokens.b64url(payload)}.{good.split('.')[2]}")
        return [one.encode() for one in found]

    def pairs(self, count: int) -> Iterator[Pair]:
        """Yield so many mutants, none of them the good pair."""
        chance = self._chance
        kinds: list[Callable[[bytes, random.Random], bytes]] = [_changed_octet, _cut, _doubled]
        while count:
            token, proof = self.token, self.proof
            kind = chance.randrange(10)
            if kind < 4:
                proof = chance.choice(kinds)(proof, chance)
            elif kind < 7:
                token = chance.choice(kinds)(token, chance)
            elif kind == 7:
                proof = chance.choice(self._resigned)
            elif kind == 8:
                parts, others = proof.split(b"."), chance.choice(self._others).split(b".")
                at = chance.randrange(3)
                proof = b".".join([*parts[:at], others[at], *parts[at + 1 :]])
            else:
                token = chance.choice(self._others)
            if (token, proof) != (self.token, self.proof):
                count -= 1
                yield token, proof

    def is_accepted(self, token: bytes, proof: bytes) -> bool:
        """Return whether a pair is permitted, however it is presented."""
        request = SenderRequest(token, True, [proof], dpop.METHOD, "/orders", b"", [b"api.example"])
        sender = self._checks.check(request)
        return self._engine.decide(token, now=dpop.NOW_S, sender=sender).outcome == "permit"
