"""Ordinary bad tokens once more, built apart from ``ordinary``: other issuers, keys, claims, layouts, edits.

Each is broken in one ordinary way. What counts as right is written by what was done to it, not by what the
diagnosis says today.
"""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Iterator
from typing import Any

from ordinary import Ordinary

from rapidjws.jose.jwk import JWK
from rapidjws.jose.jwks import JWKSet
from rapidjws.jws.verifier import Verifier
from rapidjws.jwt.engine import Engine
from rapidjws.jwt.issuer import Issuer
from rapidjws.signing import LocalSigner
from rapidjws.testing import make_key

NOW = 1_764_450_000
REALM = "https://login.tenants.example/realms/one"
TENANT = "https://sts.tenants.example/9f2c7d10-0b6b-4e4f-8a51-6f0c9d7f3c11/v2.0"
AUDIENCES = ("orders-api", "api://f3c2a9b1")
ALGS = ("RS256", "ES512", "Ed25519", "PS384", "HS512", "ES256K", "RS512", "EdDSA", "ES384", "ES256")
QUICK = ("RS256", "Ed25519", "PS384", "HS512", "RS512", "EdDSA", "ES256")
"""Drawn twice as often as the others, whose trials take long."""
FORMS = (
    "compact",
    "flattened",
    "compact",
    "general two",
    "detached",
    "raw",
    "general",
    "raw flattened",
    "open header",
)
WAYS = (
    "expired",
    "wrong audience",
    "not yet valid",
    "wrong key",
    "unknown key",
    "truncated",
    "mistyped",
    "mistyped",
)
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

TIME = {"expired": {"expired", "expired_just_now"}, "not yet valid": {"activated_later"}}
AUDIENCE = {"audience_other"}
STRANGER = {"signature_unexplained"}
UNKNOWN = {"kid_unknown", "signature_unexplained"}
CUT = {
    "cut_off",
    "signature_missing",
    "signature_cut_off",
    "signature_length",
    "signature_other_curve",
    "empty_part",
    "json_broken",
    "trailing_bits",
    "signature_unexplained",
    "wrong_parts",
}
EDITED = {
    "signature_unexplained",
    "cut_off",
    "trailing_bits",
    "header_altered",
    "header_not_json",
    "payload_not_json",
    "json_broken",
    "json_document",
    "wrong_parts",
    "empty_part",
    "foreign_character",
    "signature_length",
    "signature_cut_off",
    "signature_missing",
    "member_misspelled",
    "payload_newline",
    "payload_reserialized",
}


def b64(octets: bytes) -> str:
    """Encode as base64url."""
    return base64.urlsafe_b64encode(octets).decode().rstrip("=")


class Tenants:
    """Two issuers in one engine, a verifier of the same keys, and what strangers sign with."""

    def __init__(self, chance: random.Random) -> None:
        self.keys: dict[str, JWK] = {}
        for number, alg in enumerate(ALGS):
            kid = (
                None
                if alg == "ES256"
                else f"{chance.getrandbits(128):032x}"
                if number % 2
                else f"k{number}-{alg}"
            )
            self.keys[alg] = make_key(alg, kid=kid, bound=number % 3 != 0)
        self.strange = {alg: make_key(alg, kid=key.kid) for alg, key in self.keys.items()}
        own = [key.public() for alg, key in self.keys.items() if alg not in ("HS512", "ES256")]
        public = JWKSet.from_json({"keys": [key.as_dict() for key in own]})
        names = [alg for alg in ALGS if alg not in ("HS512", "ES256")]
        other = make_key("RS256", kid="other-1")
        self.engine = Engine(
            Issuer(REALM, keys=public, algorithms=names, audience=AUDIENCES),
            Issuer(TENANT, keys=JWKSet((other.public(),)), algorithms=["RS256"], audience=AUDIENCES),
        )
        self.single = {
            alg: Engine(
                Issuer(REALM, keys=self._given(alg), algorithms=[alg], audience=AUDIENCES, leeway_s=5)
            )
            for alg in ("HS512", "ES256")
        }
        self.verifiers = {
            alg: Verifier(self._given(alg), algorithms=[alg], crit=["b64"]) for alg in ("HS512", "ES256")
        }
        self.verifier = Verifier(public, algorithms=names, crit=["b64"])

    def _given(self, alg: str) -> JWK:
        return self.keys[alg] if alg == "HS512" else self.keys[alg].public()

    def judge(self, alg: str, *, claims: bool) -> Engine | Verifier:
        """Return what verifies tokens of an algorithm."""
        if claims:
            return self.single.get(alg, self.engine)
        return self.verifiers.get(alg, self.verifier)


def claims_of(chance: random.Random, **changes: Any) -> dict[str, Any]:
    """Return claims as one of several providers writes them."""
    issued = NOW - chance.randrange(1, 240)
    base: dict[str, Any] = {"exp": issued + 300, "iat": issued, "iss": REALM, "aud": list(AUDIENCES)[:1]}
    shape = chance.randrange(4)
    if shape == 0:
        base |= {
            "jti": f"{chance.getrandbits(64):x}",
            "sub": "9c1d",
            "typ": "Bearer",
            "azp": "web",
            "acr": "1",
            "realm_access": {"roles": ["offline_access", "user"]},
            "scope": "profile email",
            "preferred_username": "zo\u00eb",
            "email_verified": True,
        }
    elif shape == 1:
        base = {
            "aud": AUDIENCES[1],
            "iss": REALM,
            "iat": issued,
            "nbf": issued,
            "exp": issued + 3900,
            "ver": "2.0",
            "oid": "c0ffee",
            "tid": "9f2c",
            "roles": ["Reader"],
            "amr": ["pwd", "mfa"],
            "auth_time": issued - 5,
        }
    elif shape == 2:
        base = {"iss": REALM, "aud": AUDIENCES[0], "exp": issued + 600.5, "sub": "svc/orders", "n": 1.25e3}
    else:
        base |= {
            "sub": "auth|12345",
            "permissions": ["read:all"],
            "https://x.example/a/b": {"deep": [1, None, "\u2713"]},
        }
    base |= changes
    return {name: value for name, value in base.items() if value is not ...}


def payload_of(chance: random.Random, claims: dict[str, Any]) -> bytes:
    """Write claims as one of several JSON writers."""
    how = chance.randrange(4)
    if how == 0:
        return json.dumps(claims).encode()
    if how == 1:
        return json.dumps(claims, separators=(",", ":"), sort_keys=True).encode()
    if how == 2:
        return json.dumps(claims, indent=1, ensure_ascii=False).encode()
    return json.dumps(claims, separators=(",", ":"), ensure_ascii=False).encode()


def header_of(chance: random.Random, alg: str, kid: str | None, *, raw: bool) -> bytes:
    """Return a header, its members in some order and with what other issuers add."""
    members: list[tuple[str, Any]] = [("alg", alg)]
    members += [] if kid is None else [("kid", kid)]
    members += (
        [("typ", chance.choice(["JWT", "at+jwt", "application/json"]))] if chance.random() < 0.6 else []
    )
    members += [("x5t", b64(chance.randbytes(20)))] if chance.random() < 0.2 else []
    members += [("cty", "json")] if chance.random() < 0.1 else []
    chance.shuffle(members)
    if raw:
        members += [("b64", False), ("crit", ["b64"])]
    spaced = (", ", ": ") if chance.random() < 0.3 else (",", ":")
    return json.dumps(dict(members), separators=spaced).encode()


def signed(
    chance: random.Random, keys: dict[str, JWK], form: str, alg: str, payload: bytes, kid: str | None
) -> str:
    """Return a token in one of the serializations."""
    raw = form.startswith("raw")
    head = header_of(chance, alg, kid, raw=raw)
    open_header = None
    if form == "open header":  # alg protected, kid not
        head, open_header = json.dumps({"alg": alg}).encode(), {"kid": kid} if kid else {"x": 1}
    body = payload if raw else b64(payload).encode()
    first = b64(head)
    third = b64(LocalSigner(keys[alg], alg).sign(first.encode() + b"." + body))
    one: dict[str, Any] = {"protected": first, "signature": third}
    if open_header is not None:
        one["header"] = open_header
    if form in ("flattened", "open header"):
        return json.dumps({"payload": body.decode(), **one}, indent=chance.choice([None, 2]))
    if form == "raw flattened":
        return json.dumps(one)
    if form == "general":
        return json.dumps({"signatures": [one], "payload": body.decode()})
    if form == "general two":
        return json.dumps({"payload": body.decode(), "signatures": [one, one]})
    return f"{first}.{'' if form in ('detached', 'raw') else body.decode()}.{third}"


def dated(chance: random.Random, way: str) -> dict[str, Any]:
    """Return claims that are wrong by time or audience alone."""
    if way == "expired":
        age = chance.choice(
            [chance.randrange(70, 900), 3600 * chance.randrange(1, 30), 86_400 * chance.randrange(1, 900)]
        )
        lifetime = chance.choice([60, 300, 3600, 86_400])
        return claims_of(
            chance, exp=NOW - age, iat=NOW - age - lifetime, nbf=chance.choice([..., NOW - age - lifetime])
        )
    if way == "wrong audience":
        return claims_of(
            chance,
            aud=chance.choice([["account"], "orders-web", "https://graph.example", ["a", "b", "c"], ""]),
        )
    later = NOW + chance.choice([3600 * chance.randrange(1, 12), chance.randrange(100, 10**6), 86_400])
    return claims_of(chance, nbf=later, exp=later + 3600)


def edited(chance: random.Random, text: str) -> str:
    """Return a text with one character changed, dropped, doubled, case changed, or two swapped."""
    while True:
        at = chance.randrange(len(text))
        before, char, after = text[:at], text[at], text[at + 1 :]
        other = chance.choice(
            [
                before + chance.choice(LETTERS) + after,
                before + after,
                before + char + char + after,
                before + char.swapcase() + after,
                before + after[:1] + char + after[1:],
            ]
        )
        if other != text:
            return other


def tenants(seed: int, count: int) -> Iterator[Ordinary]:
    """Yield bad tokens: way, algorithm and serialization drawn by chance."""
    chance = random.Random(seed)
    world = Tenants(chance)
    for number in range(count):
        way = WAYS[number % len(WAYS)]
        alg, form = chance.choice((*ALGS, *QUICK)), chance.choice(FORMS)
        yield _one(chance, world, f"{seed}/{number}", way, alg, form)


def _one(chance: random.Random, world: Tenants, name: str, way: str, alg: str, form: str) -> Ordinary:
    kid = world.keys[alg].kid
    if way in ("expired", "wrong audience", "not yet valid"):
        form = "detached" if form == "detached" else "compact"
        payload = payload_of(chance, dated(chance, way))
        text = signed(chance, world.keys, form, alg, payload, kid)
        right = AUDIENCE if way == "wrong audience" else TIME[way]
        more = {"body": payload} if form == "detached" else {}
        return _named(name, way, alg, form, text, world.judge(alg, claims=True), right, more)
    payload = payload_of(chance, claims_of(chance))
    keys, right = world.keys, EDITED
    if way in ("wrong key", "unknown key"):
        keys, right = world.strange, STRANGER
        if way == "unknown key" and kid is not None and alg != "HS512":
            kid, right = chance.choice(["2025-01", "prod-7f", f"{chance.getrandbits(160):040x}"]), UNKNOWN
    text = signed(chance, keys, form, alg, payload, kid)
    if way == "truncated":
        text, right = text[: chance.randrange(10, len(text))], CUT
    elif way == "mistyped":
        text = edited(chance, text)
        right = right | {"kid_typo"} if form == "open header" else right  # the signature is good: shown so
    compact = form in ("compact", "detached")
    using = world.judge(alg, claims=compact and chance.random() < 0.6)
    more = {"body": payload} if form in ("detached", "raw", "raw flattened") else {}
    return _named(name, way, alg, form, text, using, right, more)


def _named(
    name: str, way: str, alg: str, form: str, text: str, using: Any, right: set[str], more: dict[str, Any]
) -> Ordinary:
    return Ordinary(
        name=f"{name}: {way}, {alg}, {form}", token=text, using=using, causes=frozenset(right), more=more
    )
