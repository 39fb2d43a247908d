"""The claims rules of an engine, edge by edge; each falls when its rule is taken out."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
import tokens
from tokens import AUD, ISS, NOW_S, code_of

import rapidjws
from rapidjws.jose.limits import CLOCK_FLOOR_S, NUMERIC_DATE_MAX_S

LEEWAY_S = 60


@pytest.fixture(scope="module")
def engine() -> rapidjws.Engine:
    """Return an engine with one HS256 issuer and the usual rules."""
    return tokens.engine("HS256")


def verdict(engine: rapidjws.Engine, **changes: Any) -> str:
    """Return the code of a token with these claims."""
    return code_of(engine, tokens.token("HS256", **changes))


def raw_verdict(engine: rapidjws.Engine, payload: str) -> str:
    """Return the code of a token with exactly this payload."""
    jwk = tokens.key("HS256")
    return code_of(engine, tokens.sign(jwk, {"alg": "HS256", "kid": jwk.kid}, payload.encode()))


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"exp": NOW_S - LEEWAY_S + 1}, "ok"),
        ({"exp": NOW_S - LEEWAY_S}, "expired"),
        ({"exp": NOW_S - LEEWAY_S - 1}, "expired"),
        ({"exp": NOW_S - LEEWAY_S + 0.5}, "ok"),
        ({"nbf": NOW_S + LEEWAY_S}, "ok"),
        ({"nbf": NOW_S + LEEWAY_S + 1}, "not_yet_valid"),
        ({"nbf": NOW_S + LEEWAY_S + 0.5}, "not_yet_valid"),
        ({"iat": NOW_S + LEEWAY_S}, "ok"),
        ({"iat": NOW_S + LEEWAY_S + 1}, "issued_in_future"),
        ({"exp": None}, "missing_claim"),
        ({"exp": NUMERIC_DATE_MAX_S}, "ok"),
        ({"exp": NUMERIC_DATE_MAX_S + 1}, "malformed_claim"),
        ({"iat": None, "nbf": None, "sub": None}, "ok"),
    ],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else value,
)
def test_times(engine: rapidjws.Engine, changes: dict[str, Any], code: str) -> None:
    """exp, nbf and iat hold to the second: expired at exactly exp + leeway."""
    assert verdict(engine, **changes) == code


def test_leeway_is_the_issuers() -> None:
    """Without leeway a token is good until the second before exp."""
    strict = tokens.engine("HS256", leeway_s=0)
    assert verdict(strict, exp=NOW_S + 1) == "ok"
    assert verdict(strict, exp=NOW_S) == "expired"
    assert verdict(strict, nbf=NOW_S) == "ok"
    assert verdict(strict, nbf=NOW_S + 1) == "not_yet_valid"
    assert verdict(tokens.engine("HS256", leeway_s=86_400), exp=NOW_S - 86_399) == "ok"


def test_a_token_without_exp_by_the_issuers_leave() -> None:
    """exp may be missing where the issuer says so; a stated exp still counts."""
    lasting = tokens.engine("HS256", exp_required=False)
    assert verdict(lasting, exp=None) == "ok"
    assert verdict(lasting, exp=NOW_S - 3600) == "expired"


@pytest.mark.parametrize("name", ["exp", "nbf", "iat"])
@pytest.mark.parametrize(
    "text",
    ['"1800000300"', "true", "null", "[]", "{}", "-1", "1e999", "18446744073709551616", "1e300", "NaN", "01"],
)
def test_dates_are_numbers(engine: rapidjws.Engine, name: str, text: str) -> None:
    """A date that is no JSON number from 1970 to 9999 refuses the token; nothing is converted."""
    members = {**tokens.claims(), name: 0}
    payload = json.dumps(members).replace(f'"{name}": 0', f'"{name}": {text}')
    assert raw_verdict(engine, payload) in ("malformed_claim", "malformed_json", "missing_claim")


@pytest.mark.parametrize("text", ["1800000300.0", "1.8000003e9", "1800000300.25", "18000003E2"])
def test_dates_in_other_notations(engine: rapidjws.Engine, text: str) -> None:
    """Fractions and exponents are numbers too (RFC 7519 section 2)."""
    payload = json.dumps(tokens.claims()).replace(str(NOW_S + 300), text)
    assert raw_verdict(engine, payload) == "ok"


@pytest.mark.parametrize(
    ("aud", "code"),
    [
        (AUD, "ok"),
        ([AUD], "ok"),
        (["other", AUD], "ok"),
        ("other", "audience_mismatch"),
        (["other"], "audience_mismatch"),
        ([], "audience_mismatch"),
        (AUD + "/", "audience_mismatch"),
        (AUD[:-1], "audience_mismatch"),
        (None, "missing_claim"),
        (1, "malformed_claim"),
        ([AUD, 1], "malformed_claim"),
        ({"a": AUD}, "malformed_claim"),
        ([[AUD]], "malformed_claim"),
    ],
    ids=str,
)
def test_aud(engine: rapidjws.Engine, aud: Any, code: str) -> None:
    """aud is a text or an array of texts, and one of them is ours."""
    assert verdict(engine, aud=aud) == code


def test_aud_where_none_is_configured() -> None:
    """Without an audience of ours a token that names one is meant for somebody else."""
    nobody = tokens.engine("HS256", audience=())
    assert verdict(nobody, aud=None) == "ok"
    assert verdict(nobody, aud=AUD) == "audience_mismatch"
    several = tokens.engine("HS256", audience=["one", "two"])
    assert (verdict(several, aud="two"), verdict(several, aud=AUD)) == ("ok", "audience_mismatch")


def test_required_claims() -> None:
    """A required claim has to be there and not null."""
    demanding = tokens.engine("HS256", required_claims=["jti", "scope"])
    assert verdict(demanding, jti="1", scope="") == "ok"
    assert verdict(demanding, jti="1") == "missing_claim"
    assert verdict(demanding, scope="a") == "missing_claim"
    payload = json.dumps({**tokens.claims(jti="1"), "scope": None})
    assert raw_verdict(demanding, payload) == "missing_claim"


def test_max_age() -> None:
    """Where an age is set, iat is required and the age holds to the second."""
    young = tokens.engine("HS256", max_age_s=100)
    assert verdict(young, iat=NOW_S - 100 - LEEWAY_S) == "ok"
    assert verdict(young, iat=NOW_S - 100 - LEEWAY_S - 1) == "too_old"
    assert verdict(young, iat=None) == "missing_claim"


def test_iss_is_checked_after_the_signature(engine: rapidjws.Engine) -> None:
    """iss is exactly the issuer's name, in every character."""
    assert verdict(engine, iss=ISS) == "ok"
    assert verdict(engine, iss=ISS + "/") == "issuer_mismatch"
    assert verdict(engine, iss=None) == "missing_claim"


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        ('{"iss":"a","iss":"b"}', "duplicate_member"),
        ('{"a":{"b":1,"b":2}}', "duplicate_member"),
        ('{"\\u0065xp":1,"exp":2}', "duplicate_member"),
        ("[]", "malformed_claims"),
        ('{"a":' + "[" * 33 + "]" * 33 + "}", "too_deep"),
        ('{"a":"\\ud800"}', "malformed_json"),
        ("\ufeff{}", "malformed_json"),
        ("{} ", "missing_claim"),
        ("{}{}", "malformed_json"),
        ("{" + ",".join(f'"m{number}":0' for number in range(1025)) + "}", "too_many_members"),
    ],
    ids=[
        "twice",
        "twice-inside",
        "twice-escaped",
        "array",
        "deep",
        "surrogate",
        "bom",
        "space",
        "two",
        "many",
    ],
)
def test_json_of_the_claims(engine: rapidjws.Engine, payload: str, code: str) -> None:
    """A claims set is one strict JSON object within its limits."""
    assert raw_verdict(engine, payload) in (code, "malformed_json" if code == "malformed_claims" else code)


def test_many_members_are_decided_in_full(engine: rapidjws.Engine) -> None:
    """A claims set with more members than the fast path holds is still checked and accepted."""
    extra = {f"m{number}": number for number in range(900)}
    assert verdict(engine, **extra) == "ok"
    assert verdict(engine, **extra, exp=NOW_S - 3600) == "expired"


@pytest.mark.parametrize("number", [2**53 + 1, 2**63, 2**64, 2**64 + 1, 10**40, -(2**63) - 1])
def test_integers_are_exact(engine: rapidjws.Engine, number: int) -> None:
    """Integers of any size are given back exactly, one by one and in a batch."""
    token = tokens.token("HS256", account=number, inside={"n": [number]})
    for verified in (engine.verify(token, NOW_S), *engine.verify_many([token] * 2, NOW_S)):
        assert isinstance(verified, rapidjws.VerifiedJWS)
        assert (verified.claims["account"], verified.claims["inside"]) == (number, {"n": [number]})
        assert isinstance(verified.claims["account"], int)


def test_integers_of_the_header_are_exact() -> None:
    """An integer past 64 bits in the header is given back exactly."""
    number = 2**64 + 1
    verifier = rapidjws.Verifier(tokens.public("HS256"), algorithms=["HS256"])
    token = tokens.token("HS256", header={"n": number})
    for _ in range(2):
        assert verifier.verify(token).header["n"] == number


def test_typ() -> None:
    """Where a typ is due, tokens of another or of none are refused; media types compare without case."""
    engine = tokens.engine("HS256", typ="at+jwt")
    for typ in ("at+jwt", "AT+JWT", "application/at+jwt"):
        assert code_of(engine, tokens.token("HS256", header={"typ": typ})) == "ok"
    for header in ({"typ": "JWT"}, {}, {"typ": ""}, {"typ": "at+jwt "}, {"typ": "text/at+jwt"}):
        assert code_of(engine, tokens.token("HS256", header=header)) == "typ_mismatch"


def floor(monkeypatch: pytest.MonkeyPatch, at_s: int) -> rapidjws.Engine:
    """Return an engine of a release before which no clock is right; this machine's stays as it is."""
    for module in ("rapidjws.jose.numeric_date", "rapidjws.jose.limits"):
        monkeypatch.setattr(f"{module}.CLOCK_FLOOR_S", at_s)
    return tokens.engine("HS256")


@pytest.mark.parametrize("early_s", [31_556_952_000, 600])
def test_a_clock_that_cannot_be_right(early_s: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wall clock before this release decides nothing; a time that the caller gives is the caller's."""
    engine = floor(monkeypatch, int(time.time()) + early_s)
    for ask in (
        lambda: engine.verify(tokens.token("HS256")),
        lambda: engine.verify_many([tokens.token("HS256")]),
    ):
        with pytest.raises(rapidjws.DependencyUnavailable) as refused:
            ask()
        assert (refused.value.code, refused.value.outcome) == ("clock_implausible", "indeterminate")
    assert time.time() > CLOCK_FLOOR_S
    right = floor(monkeypatch, int(time.time()))
    assert right.verify(tokens.token("HS256", iat=None)).issuer == ISS
    early = tokens.token("HS256", iat=None, exp=1000)
    assert code_of(engine, early, 900) == "ok"


def test_the_wall_clock_is_the_default(engine: rapidjws.Engine) -> None:
    """Without a time the wall clock decides."""
    import time

    now_s = int(time.time())
    assert code_of(engine, tokens.token("HS256", iat=now_s, exp=now_s + 60), None) == "ok"
    assert code_of(engine, tokens.token("HS256", iat=now_s, exp=now_s - 61), None) == "expired"


@pytest.mark.parametrize("now", [float("nan"), float("inf"), "1800000000", 10**30, -(10**30)])
def test_a_time_that_is_none(engine: rapidjws.Engine, now: Any) -> None:
    """What is no time never makes a token good."""
    for ask in (engine.verify, lambda text, at: engine.verify_many([text], at)):
        try:
            result = ask(tokens.token("HS256", exp=NUMERIC_DATE_MAX_S), now)
        except (ValueError, OverflowError, TypeError, rapidjws.RapidJWSError):
            continue
        assert now == "1800000000", result
