"""The core's verdict on claims equals the checker's in words and the oracle's, over random claims sets."""

from __future__ import annotations

import json
import random
from typing import Any

import oracle
import tokens
from tokens import AUD, ISS, NOW_S

import rapidjws
from rapidjws.jose.claims import ClaimsPolicy, check_claims

COUNT = 20_000
POLICY = ClaimsPolicy(issuer=ISS, audiences=(AUD, "other"), leeway_s=60)


def some_date(chance: random.Random) -> Any:
    """Return a date near an edge, or something that is none."""
    if chance.random() < 0.85:
        return NOW_S + chance.choice((-61, -60, -59, -1, 0, 1, 59, 60, 61, 300)) + chance.choice((0, 0, 0.5))
    odd = [None, True, "1", [], {}, -1, 0, 1e300, 2**63, 2**64, 10**30, 253402300799, 253402300800, 1.5]
    return chance.choice(odd)


def some_text(chance: random.Random, right: str) -> Any:
    """Return the right text mostly, else one near it, or something that is none."""
    if chance.random() < 0.8:
        return right
    return chance.choice(
        [right + "/", right[:-1], right.upper(), "", "é", "\0", None, 1, [right], {right: 1}, False]
    )


def some_aud(chance: random.Random) -> Any:
    """Return an audience in one of its forms."""
    kind = chance.random()
    if kind < 0.4:
        return some_text(chance, AUD)
    items = [some_text(chance, chance.choice((AUD, "other", "x"))) for _ in range(chance.randrange(4))]
    return items if kind < 0.9 else chance.choice(([items], {}, 1, None))


def some_payload(chance: random.Random) -> bytes:
    """Return a claims set in JSON, spelled in one of many ways."""
    members: dict[str, Any] = {}
    for name in chance.sample(["exp", "nbf", "iat"], 3):
        if chance.random() < (0.95 if name == "exp" else 0.5):
            members[name] = some_date(chance)
    for name, right in (("iss", ISS), ("sub", "user"), ("jti", "1")):
        if chance.random() < (0.95 if name == "iss" else 0.5):
            members[name] = some_text(chance, right)
    if chance.random() < 0.9:
        members["aud"] = some_aud(chance)
    if chance.random() < 0.3:
        members[chance.choice(("x", "EXP", "exp ", "é"))] = chance.choice((1, "a", {"exp": 1}, [[]], 2**70))
    names = list(members)
    chance.shuffle(names)
    spaces = chance.choice(((",", ":"), (", ", ": "), (" ,\n", "\t:")))
    text = json.dumps(
        {name: members[name] for name in names}, separators=spaces, ensure_ascii=chance.random() < 0.5
    )
    if chance.random() < 0.1:
        text = text.replace("/", "\\/")
    if chance.random() < 0.03:
        text = chance.choice(
            (text[:-1], text + "x", "[" + text + "]", text.replace("{", '{"exp":1,', 1), "", "null")
        )
    return text.encode()


def test_core_checker_and_oracle_agree() -> None:
    """For each of many claims sets all three say the same, and the codes of the first two are equal."""
    seed = random.SystemRandom().getrandbits(48)
    chance = random.Random(seed)
    payloads = [some_payload(chance) for _ in range(COUNT)]
    jwk = tokens.key("HS256")
    head = {"alg": "HS256", "kid": jwk.kid}
    engine = tokens.engine("HS256", audience=(AUD, "other"))
    results = engine.verify_many([tokens.sign(jwk, head, payload) for payload in payloads], NOW_S)
    codes: dict[str, int] = {}
    for payload, one in zip(payloads, results, strict=True):
        found = "ok" if isinstance(one, rapidjws.VerifiedJWS) else one.code
        try:
            claims: Any = check_claims(payload, POLICY, NOW_S)
            due = "ok"
        except rapidjws.RapidJWSError as refused:
            claims, due = None, refused.code
        assert found == due, f"seed {seed}: {payload!r}"
        if isinstance(one, rapidjws.VerifiedJWS):
            assert one.claims == claims, f"seed {seed}: {payload!r}"
        try:
            oracle.check_claims(payload, iss=ISS, audiences={AUD, "other"}, leeway_s=60, now_s=NOW_S)
            agreed = "ok"
        except oracle.Refused:
            agreed = "refused"
        assert (found == "ok") == (agreed == "ok"), f"seed {seed}: {payload!r} {found}"
        codes[found] = codes.get(found, 0) + 1
    assert sum(codes.values()) == COUNT
    assert codes["ok"] > 500
    assert set(codes) >= {
        "expired",
        "not_yet_valid",
        "issued_in_future",
        "issuer_mismatch",
        "audience_mismatch",
    }
    assert set(codes) >= {"malformed_claim", "missing_claim", "malformed_json", "duplicate_member"}
