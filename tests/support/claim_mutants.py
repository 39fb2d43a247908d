"""Tokens that their issuer signed with changed claims, and what their kind allows, written once more.

A scene is an engine, good claims and a plain definition of what passes. Mutants of its claims get a good
signature: what refuses them is the rules alone.
"""

from __future__ import annotations

import base64
import copy
import hmac
import json
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tokens import AUD, ISS, NOW_S

from rapidjws import (
    ABSENT,
    PRESENT,
    Contains,
    ContainsAny,
    ContainsOnly,
    Engine,
    Issuer,
    Pattern,
    Prefix,
    Rejected,
)
from rapidjws.testing import make_key

KEY = make_key("HS256", kid="k")
SECRET = base64.urlsafe_b64decode(KEY.as_dict(private=True)["k"] + "==")
OTHER = "other"
EVENT = "http://schemas.openid.net/event/backchannel-logout"
TEMPLATE = "https://login.example/{tid}/v2.0"
COMMON = {"iss": ISS, "aud": AUD, "iat": NOW_S, "exp": NOW_S + 60, "sub": "user:7", "jti": "1"}
CHUNK = 2000
_NONE: Any = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """An engine, a good token's claims and type, and what passes."""

    name: str
    issuer: Callable[[], Issuer]
    claims: dict[str, Any]
    typ: str | None
    passes: Callable[[str | None, dict[str, Any]], bool]


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _registered(claims: dict[str, Any], *needed: str, iss: bool = True, aud: bool = True) -> bool:
    """Say whether the registered claims have their types, are there where due, and name us now."""
    audience = claims.get("aud", AUD)
    names = audience if isinstance(audience, list) else [audience]
    dates = [claims[name] for name in ("exp", "nbf", "iat") if name in claims]
    return (
        all(_text(claims[name]) for name in ("iss", "sub", "jti") if name in claims)
        and all(map(_text, names))
        and all(type(one) in (int, float) and 0 <= one <= 253_402_300_799 for one in dates)
        and all(claims.get(name) is not None for name in needed)
        and (not iss or claims.get("iss") == ISS)
        and (not aud or AUD in names)
        and ("exp" not in claims or claims["exp"] > NOW_S - 60)
        and all(claims[name] <= NOW_S + 60 for name in ("iat", "nbf") if name in claims)
    )


def _at(claims: Any, *path: str) -> Any:
    for name in path:
        claims = claims.get(name, _NONE) if isinstance(claims, dict) else _NONE
    return claims


def _is(value: Any, *wanted: Any) -> bool:
    """Say whether a value is one of these: True is not 1, and 7, 7.0 and 7e0 are one number."""
    return any(isinstance(value, bool) is isinstance(one, bool) and value == one for one in wanted)


def _azp(claims: dict[str, Any]) -> bool:
    named = claims["aud"] if isinstance(claims.get("aud"), list) else [claims.get("aud")]
    by_azp = claims.get("azp") == AUD if "azp" in claims else len(named) == 1
    return by_azp and all(_is(one, AUD, OTHER) for one in named)


def _rules(typ: str | None, claims: dict[str, Any]) -> bool:
    roles = _at(claims, "realm_access", "roles")
    return (
        _registered(claims, "exp", "iss", "aud")
        and _is(claims.get("azp"), "web")
        and _is(claims.get("tid"), "a", "b")
        and claims.get("email_verified") is True
        and isinstance(roles, list) and any(_is(one, "admin") for one in roles)
        and isinstance(claims.get("groups"), list) and any(_is(one, "x", 7) for one in claims["groups"])
        and _text(claims.get("sub")) and claims["sub"].startswith("user:")
        and _text(claims.get("ref"))
        and re.fullmatch("refs/(heads/main|tags/v[0-9]+)", claims["ref"]) is not None
        and claims.get("amr") is not None
        and "act" not in claims
    )  # fmt: skip


def _access(typ: str | None, claims: dict[str, Any]) -> bool:
    return (
        (typ or "").lower().removeprefix("application/") == "at+jwt"
        and _registered(claims, "exp", "iss", "aud", "sub", "client_id", "iat", "jti")
        and not {"nonce", "at_hash", "c_hash", "events"} & set(claims)
    )


def _id(typ: str | None, claims: dict[str, Any]) -> bool:
    return (
        (typ is None or typ.lower().removeprefix("application/") == "jwt")
        and _registered(claims, "exp", "iss", "aud", "sub", "iat")
        and not {"events", "client_id", "scope"} & set(claims)
        and _azp(claims)
    )


def _logout(typ: str | None, claims: dict[str, Any]) -> bool:
    return (
        (typ is None or typ.lower().removeprefix("application/") in ("logout+jwt", "jwt"))
        and _registered(claims, "exp", "iss", "aud", "iat", "jti")
        and "nonce" not in claims
        and isinstance(_at(claims, "events", EVENT), dict)
        and (claims.get("sub") is not None or claims.get("sid") is not None)
    )


def _event(typ: str | None, claims: dict[str, Any]) -> bool:
    events = claims.get("events")
    return (
        (typ or "").lower().removeprefix("application/") == "secevent+jwt"
        and _registered(claims, "iss", "iat", "jti", "aud")
        and "nonce" not in claims
        and isinstance(events, dict) and bool(events) and EVENT not in events
    )  # fmt: skip


def _tenant(typ: str | None, claims: dict[str, Any]) -> bool:
    tid = claims.get("tid")
    good = _registered(claims, "exp", "iss", "aud", iss=False) and _text(tid) and tid in ("a", "b")
    return bool(good) and claims["iss"] == TEMPLATE.replace("{tid}", str(tid))


def _issuer(profile: Any = None, iss: str = ISS, **settings: Any) -> Callable[[], Issuer]:
    rest: dict[str, Any] = {"keys": KEY, "algorithms": ["HS256"], "audience": AUD, "leeway_s": 60, **settings}
    return lambda: Issuer(iss, **rest) if profile is None else Issuer.profile(profile, iss, **rest)


RULES = {
    "azp": "web", "tid": ["a", "b"], "email_verified": True, "/realm_access/roles": Contains("admin"),
    "groups": ContainsAny("x", 7), "sub": Prefix("user:"), "ref": Pattern("refs/(heads/main|tags/v[0-9]+)"),
    "amr": PRESENT, "act": ABSENT,
}  # fmt: skip
RULED = {
    **COMMON, "azp": "web", "tid": "b", "email_verified": True, "realm_access": {"roles": ["clerk", "admin"]},
    "groups": ["y", 7], "ref": "refs/tags/v12", "amr": ["pwd"],
}  # fmt: skip
SCENES = [
    Scene(name="rules", issuer=_issuer(claims=RULES), claims=RULED, typ=None, passes=_rules),
    Scene(name="access_token", issuer=_issuer("access_token"), typ="at+jwt", passes=_access,
          claims={**COMMON, "client_id": "c", "scope": "read"}),
    Scene(name="id_token", typ=None, passes=_id,
          issuer=_issuer("id_token", claims={"aud": ContainsOnly(AUD, OTHER)}),
          claims={**COMMON, "aud": [AUD, OTHER], "azp": AUD, "nonce": "n", "at_hash": "x"}),
    Scene(name="logout_token", issuer=_issuer("logout_token"), typ="logout+jwt", passes=_logout,
          claims={**COMMON, "sid": "s", "events": {EVENT: {}}}),
    Scene(name="security_event", issuer=_issuer("security_event"), typ="secevent+jwt", passes=_event,
          claims={"iss": ISS, "aud": AUD, "iat": NOW_S, "jti": "1", "events": {"https://e.example/x": {}}}),
    Scene(name="template", issuer=_issuer(iss=TEMPLATE, tenants=["a", "b"]), typ=None, passes=_tenant,
          claims={**COMMON, "iss": "https://login.example/b/v2.0", "tid": "b"}),
]  # fmt: skip

NAMES = sorted(
    {name for scene in SCENES for name in scene.claims} | {"act", "nonce", "scope", "client_id", "tid"}
)
TYPES = (
    None,
    "JWT",
    "jwt",
    "at+jwt",
    "application/at+jwt",
    "AT+JWT",
    "logout+jwt",
    "secevent+jwt",
    "",
    "at+jwt ",
    "x",
)
VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, 7, -1, 1.0, 7.0, "", "a", "b", "c", "web", "Web", "web\u0000", "user:", "user",
    AUD, ISS, "x", "7", "true", "refs/heads/main", "refs/heads/main\n", "refs/tags/v",
    "https://login.example/a/v2.0", "https://login.example/b/v2.0/", "https://login.example/{tid}/v2.0",
    "https://login.example/a/b/v2.0", [], ["admin"], ["x"], [AUD], [AUD, AUD], ["other", AUD], ["other"],
    [[AUD]], {}, {EVENT: {}}, {EVENT: None}, {"roles": ["admin"]}, {"roles": "admin"}, {"x": {}}, NOW_S,
    NOW_S + 61, NOW_S - 61, NOW_S + 0.5, NOW_S * 10**6, 10**25,
)  # fmt: skip


def mutant(chance: random.Random, scene: Scene) -> tuple[str | None, dict[str, Any]]:
    """Return a type and claims, changed one to three times."""
    claims, typ = copy.deepcopy(scene.claims), scene.typ
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        name, kind = chance.choice(NAMES), chance.randrange(8)
        if kind < 2:
            claims.pop(chance.choice(list(claims) or [name]), None)
        elif kind == 2 and name in claims:
            claims[name] = chance.choice(([claims[name]], {"x": claims[name]}, f"{claims[name]} ", None))
        elif kind == 3 and len(claims) > 1:
            one, other = chance.sample(list(claims), 2)
            claims[one], claims[other] = claims[other], claims[one]
        elif kind == 4:
            typ = chance.choice(TYPES)
        elif kind == 5 and claims:
            claims = {**claims, **copy.deepcopy(chance.choice(SCENES).claims)}
        else:
            claims[name if chance.random() < 0.3 else chance.choice(list(claims) or [name])] = chance.choice(
                VALUES
            )
    return typ, claims


def spelled(chance: random.Random, claims: dict[str, Any]) -> str:
    """Write claims in their order or another, with escapes or without."""
    members = list(claims.items())
    if chance.random() < 0.3:
        chance.shuffle(members)
    text = json.dumps(dict(members), ensure_ascii=chance.random() < 0.5)
    if chance.random() < 0.15:
        letter = chance.choice("aeiswu")
        text = re.sub(letter, lambda found: chance.choice((found[0], f"\\u{ord(found[0]):04x}")), text)
        for word in ("true", "false", "null"):
            text = re.sub(
                "".join(f"(?:{one}|\\\\u{ord(one):04x})" for one in word) + r"(?=[],}])(?<!\")", word, text
            )
    return text


def signed(typ: str | None, text: str) -> bytes:
    """Return a token with this payload, signed by the issuer's key."""
    header: dict[str, Any] = {"alg": "HS256", "kid": "k"} | ({} if typ is None else {"typ": typ})
    parts = (base64.urlsafe_b64encode(one.encode()).rstrip(b"=") for one in (json.dumps(header), text))
    front = b".".join(parts)
    mac = hmac.digest(SECRET, front, "sha256")
    return front + b"." + base64.urlsafe_b64encode(mac).rstrip(b"=")


def run(scene: Scene, seed: int, count: int) -> tuple[int, int]:
    """Verify so many mutants of a scene; return how many passed and how many were refused, as is due.

    Raises:
        AssertionError: A verdict was another one.
    """
    chance = random.Random(seed)
    engine = Engine(scene.issuer(), workers=1, counters=False)
    passed = refused = 0
    for begin in range(0, count, CHUNK):
        made, due = [], []
        for _ in range(min(CHUNK, count - begin)):
            typ, claims = mutant(chance, scene)
            text = spelled(chance, claims)
            twice = chance.random() < 0.02 and bool(claims)
            if twice:
                name = chance.choice(list(claims))
                text = f"{text[:-1]}, {json.dumps(name)}: {json.dumps(claims[name])}}}"
            made.append((typ, text))
            due.append(not twice and scene.passes(typ, json.loads(text)))
        results = engine.verify_many([signed(*one) for one in made], NOW_S)
        for one, result, good in zip(made, results, due, strict=True):
            found = not isinstance(result, Rejected)
            assert found == good, f"{scene.name} seed {seed}: {one}: {'accepted' if found else result.code}"  # type: ignore[union-attr]
            passed, refused = passed + found, refused + (not found)
    return passed, refused
