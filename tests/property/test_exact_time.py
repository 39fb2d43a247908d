"""Exact time: over random fractions of dates, moments and leeways, each way to a verdict gives the exact one.

The oracle calculates with rational numbers. A short run goes with every test run, the long one (`-m long`)
over a million claims sets.
"""

from __future__ import annotations

import json
import random
from fractions import Fraction
from typing import Any

import pytest
import tokens
from tokens import AUD, ISS

import rapidjws
from rapidjws.diagnose import diagnose
from rapidjws.errors import RapidJWSError
from rapidjws.jose.claims import check_claims_at
from rapidjws.jose.numeric_date import NumericDate, moment_ns, numeric_date
from rapidjws.jwt.replay_rule import Replay, ReplayRule, life_s
from rapidjws.rollout import Partner, Rollout
from rapidjws.stores import MemoryReplayStore
from rapidjws.verify import parallel
from rapidjws.verify.result import Rejected, VerifiedJWS

NS = 10**9
BASE_S = 1_800_000_000
DATE_MAX_S = 253_402_300_799
GROUP = 2_000
SIZES = [
    pytest.param(10_000, id="short"),
    pytest.param(1_000_000, id="long", marks=[pytest.mark.long, pytest.mark.timeout(3000)]),
]


def spelled(chance: random.Random, value: Fraction, digits: int) -> str:
    """Write a number not below zero as JSON with so many decimals: plain, padded, or with an exponent."""
    scaled = int(value * 10**digits)
    text = str(scaled).rjust(digits + 1, "0")
    whole, fraction = (text[:-digits], text[-digits:]) if digits else (text, "")
    kind = chance.random()
    if kind < 0.6:
        return f"{whole}.{fraction}" if fraction else whole
    if kind < 0.7:
        return f"{whole}.{fraction}{'0' * chance.randrange(1, 9)}"
    if kind < 0.85:
        return f"{scaled}{chance.choice('eE')}-{'0' * chance.randrange(3)}{digits}"
    zeros = "0" * chance.randrange(1, 4)
    places = len(whole) + len(zeros)
    return f"0.{zeros}{whole}{fraction}e{chance.choice(('', '+'))}{places}"


def some_date(chance: random.Random, edge_ns: int) -> str:
    """Write a date at, just beside, or near a moment."""
    ns = edge_ns + chance.choice(
        (0, 0, -1, 1, chance.randint(-3, 3), chance.randint(-NS, NS), chance.randint(-9 * NS, 9 * NS))
    )
    value, digits = Fraction(max(0, ns), NS), 9
    if chance.random() < 0.5:  # digits past the ninth, on this side or the other of a nanosecond
        value += Fraction(chance.randint(-9, 9), 10 ** chance.randint(10, 25))
        digits = 25
    elif chance.random() < 0.4:
        digits = chance.randrange(9)
    return spelled(chance, max(value, Fraction(0)), digits)


class Case:
    """One moment, one policy, and claims sets around its edges."""

    def __init__(self, chance: random.Random, count: int) -> None:
        self.now_ns = BASE_S * NS + chance.choice((0, NS - 1, chance.randrange(NS), chance.randrange(NS)))
        self.leeway_s = chance.choice((0, 0, 1, 60, 86_400, chance.randrange(86_401)))
        self.max_age_s = chance.choice((None, None, 1, 300, chance.randrange(1, 10**6)))
        leeway_ns = self.leeway_s * NS
        oldest_ns = self.now_ns - leeway_ns - (self.max_age_s or 0) * NS
        self.payloads: list[bytes] = []
        for _ in range(count):
            members = {"iss": json.dumps(ISS), "aud": json.dumps(AUD), "jti": f'"{chance.getrandbits(60)}"'}
            exp_ns = self.now_ns - leeway_ns
            members["exp"] = some_date(chance, exp_ns if chance.random() < 0.5 else exp_ns + 20 * NS)
            if chance.random() < 0.4:
                members["nbf"] = some_date(chance, self.now_ns + leeway_ns)
            if self.max_age_s is not None or chance.random() < 0.4:
                edge_ns = self.now_ns + leeway_ns if chance.random() < 0.4 else oldest_ns
                members["iat"] = some_date(chance, edge_ns)
            body = ",".join(f'"{name}":{text}' for name, text in members.items())
            self.payloads.append(b"{" + body.encode() + b"}")

    def issuer(self, **more: Any) -> rapidjws.Issuer:
        """Return the issuer with these rules."""
        return tokens.issuer("HS256", leeway_s=self.leeway_s, max_age_s=self.max_age_s, **more)

    def due(self, payload: bytes, leeway_s: int | None = None) -> str:
        """Return the verdict of the rules, in rational numbers."""
        claims = json.loads(payload, parse_float=Fraction)
        now, leeway = Fraction(self.now_ns, NS), self.leeway_s if leeway_s is None else leeway_s
        if not now < claims["exp"] + leeway:
            return "expired"
        if "nbf" in claims and not now + leeway >= claims["nbf"]:
            return "not_yet_valid"
        if "iat" in claims and not claims["iat"] <= now + leeway:
            return "issued_in_future"
        if self.max_age_s is not None and not now - claims["iat"] <= self.max_age_s + leeway:
            return "too_old"
        return "ok"


def code(result: Any) -> str:
    """Return "ok" or the code of a result."""
    if isinstance(result, VerifiedJWS):
        return "ok"
    assert isinstance(result, (Rejected, RapidJWSError))
    return result.code


def checked(payload: bytes, case: Case, policy: Any) -> str:
    """Return the verdict of the checker in Python."""
    try:
        check_claims_at(payload, policy, case.now_ns, max_bytes=65536)
    except RapidJWSError as refused:
        return refused.code
    return "ok"


@pytest.mark.parametrize("count", SIZES)
def test_C1_every_way_gives_the_exact_verdict(count: int) -> None:
    """The core alone, in batches, from the cache, and the checker in Python all say what the rules say."""
    seed = random.SystemRandom().getrandbits(48)
    chance = random.Random(seed)
    seen: dict[str, int] = {}
    jwk = tokens.key("HS256")
    for _ in range(count // GROUP):
        case = Case(chance, GROUP)
        issuer = case.issuer()
        engine = rapidjws.Engine(issuer, workers=1)
        snapshot, policy = engine._snapshot, issuer.rules().policy
        texts = [tokens.sign(jwk, {"alg": "HS256", "kid": jwk.kid}, body).encode() for body in case.payloads]
        due = [case.due(body) for body in case.payloads]
        note = f"seed {seed}, now_ns {case.now_ns}, leeway {case.leeway_s}, max_age {case.max_age_s}"
        batch = parallel.verify_many(snapshot, texts, case.now_ns, 1)
        for body, text, expected, together in zip(case.payloads, texts, due, batch, strict=True):
            alone = snapshot.result_or_error(text, snapshot.verify_one(text, case.now_ns), case.now_ns)
            again = snapshot.result_or_error(text, snapshot.recheck(text, case.now_ns, 0), case.now_ns)
            found = (code(together), code(alone), code(again), checked(body, case, policy))
            assert found == (expected,) * 4, f"{note}: {body!r}"
            seen[expected] = seen.get(expected, 0) + 1
    assert set(seen) == {"ok", "expired", "not_yet_valid", "issued_in_future", "too_old"}


@pytest.mark.parametrize("count", SIZES)
def test_C1_a_number_is_read_to_its_last_digit(count: int) -> None:
    """The two nanoseconds around a NumericDate are those of the rational number."""
    seed = random.SystemRandom().getrandbits(48)
    chance = random.Random(seed)
    for _ in range(count):
        text = spelled(
            chance, Fraction(chance.randrange(10**40), 10 ** chance.randrange(28, 41)), chance.randrange(30)
        )
        if chance.random() < 0.2:
            text = f"{chance.choice(('-', ''))}{text.lower().partition('e')[0]}e{chance.randint(-40, 12)}"
        value = Fraction(text)
        date = numeric_date(text)
        if not 0 <= value <= DATE_MAX_S:
            assert date is None, f"seed {seed}: {text}"
            continue
        floor_ns = value * NS // 1
        assert date == NumericDate(floor_ns, floor_ns + (value * NS != floor_ns)), f"seed {seed}: {text}"


def test_C1_diagnose_and_partners_give_the_exact_verdict() -> None:
    """A diagnosis names the code that the rules give; a partner's leeway holds to the nanosecond."""
    seed = random.SystemRandom().getrandbits(48)
    chance = random.Random(seed)
    jwk = tokens.key("HS256")
    for _ in range(30):
        case = Case(chance, 10)
        case.max_age_s, case.leeway_s = None, min(case.leeway_s, 600)
        case.now_ns = case.now_ns // 125_000_000 * 125_000_000  # a moment that a float holds
        now = case.now_ns / NS
        for leeway_s in (0, case.leeway_s, 700):
            rollout = Rollout([Partner(name="a", leeway_s=leeway_s)], issuer_leeway_s=case.leeway_s)
            rollout.promote(by="x", to="enforcement", force=True)
            engine = rapidjws.Engine(case.issuer(), rollout=rollout)
            for at_ns in (-1, 0, 1):
                exp = Fraction(case.now_ns - leeway_s * NS + at_ns, NS)
                body = case.payloads[0]
                members = json.loads(body, parse_float=str, parse_int=str)
                text = spelled(chance, exp, 9)
                payload = f'{{"iss":"{ISS}","aud":"{AUD}","jti":{json.dumps(members["jti"])},"exp":{text}}}'
                token = tokens.sign(jwk, {"alg": "HS256", "kid": jwk.kid}, payload.encode())
                expected = case.due(payload.encode(), leeway_s)
                assert engine.decide(token, partner="a", now=now).code == expected, f"{seed}: {payload}"
        engine = rapidjws.Engine(case.issuer())
        for body in case.payloads:
            token = tokens.sign(jwk, {"alg": "HS256", "kid": jwk.kid}, body)
            report = diagnose(token, engine, now=now)
            assert (report.code or "ok") == case.due(body), f"seed {seed}: {now!r} {body!r}"


def test_S2_an_entry_outlives_the_last_moment_of_acceptance() -> None:
    """An entry is alive at the last nanosecond at which anybody may accept its token."""
    seed = random.SystemRandom().getrandbits(48)
    chance = random.Random(seed)
    jwk, store = tokens.key("HS256"), MemoryReplayStore()
    checked_tokens = 0
    for _ in range(20):
        case = Case(chance, 200)
        engine = rapidjws.Engine(case.issuer(), workers=1)
        rule = ReplayRule(replay=Replay(store=store), leeway_s=case.leeway_s, max_age_s=case.max_age_s)
        retry_s = chance.choice((0, 1, 3600))
        texts = [tokens.sign(jwk, {"alg": "HS256", "kid": jwk.kid}, body).encode() for body in case.payloads]
        results = parallel.verify_many(engine._snapshot, texts, case.now_ns, 1)
        for body, one in zip(case.payloads, results, strict=True):
            if not isinstance(one, VerifiedJWS):
                continue
            claims = json.loads(body, parse_float=Fraction)
            end = Fraction(claims["exp"])
            if case.max_age_s is not None:
                end = min(end, claims["iat"] + case.max_age_s)
            left_s = end + case.leeway_s + retry_s - Fraction(case.now_ns, NS)
            lives_s = life_s(one, rule, retry_s, case.now_ns)
            assert left_s < lives_s <= left_s + 3, f"seed {seed}: {body!r}"
            checked_tokens += 1
    assert checked_tokens > 200


@pytest.mark.parametrize(
    "text", ["1800000000.1", "1800000000.3", "0.1", "1799999999.9999998", "5e-05", "1e9"]
)
def test_C1_a_float_stands_for_the_number_that_is_written(text: str) -> None:
    """The same time as text in a token and as a float are equal: exp is over, nbf has come."""
    date = numeric_date(text)
    assert date is not None
    assert moment_ns(float(text)) == date.floor_ns == date.ceil_ns
    assert moment_ns(int(float(text))) == int(float(text)) * NS


@pytest.mark.parametrize(
    ("claims", "now", "expected"),
    [
        ({"exp": BASE_S + 0.1}, BASE_S + 0.9, "expired"),
        ({"exp": BASE_S + 0.1}, BASE_S + 0.1, "expired"),
        ({"exp": BASE_S + 0.1}, BASE_S + 0.0999, "ok"),
        ({"exp": BASE_S + 9, "iat": BASE_S + 0.5}, BASE_S + 0.5, "ok"),
        ({"exp": BASE_S + 9, "iat": BASE_S + 0.3}, BASE_S + 0.3, "ok"),
        ({"exp": BASE_S + 9, "iat": BASE_S + 0.5}, BASE_S + 0.4, "issued_in_future"),
        ({"exp": BASE_S + 9, "nbf": BASE_S + 0.5}, BASE_S + 0.5, "ok"),
        ({"exp": BASE_S + 9, "nbf": BASE_S + 0.5}, BASE_S, "not_yet_valid"),
        ({"exp": BASE_S}, BASE_S - 1e-6, "ok"),
    ],
)
def test_C1_the_reported_cases(claims: dict[str, Any], now: float, expected: str) -> None:
    """The clock is not cut to whole seconds: singly, in batches, from the cache, and in a decision."""
    made = {"iat": None, **claims}
    token = tokens.token("HS256", **made)
    for cache in (None, rapidjws.TokenCache()):
        engine = rapidjws.Engine(tokens.issuer("HS256", leeway_s=0), cache=cache)
        assert tokens.code_of(engine, token, now) == expected
        assert engine.decide(token, now=now).code == expected
        assert engine.decide_many([(token, None, None)], now=now)[0].code == expected
