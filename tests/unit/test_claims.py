"""The Claims Set: what passes, every rule that refuses, and the order in which they speak."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rapidjws.errors import ConfigurationError, DependencyUnavailable, TokenRefused
from rapidjws.jose.claims import ClaimsPolicy, check_claims
from rapidjws.jose.limits import CLOCK_FLOOR_S, NUMERIC_DATE_MAX_S

NOW = 2_000_000_000
ISSUER = "https://issuer.example"
POLICY = ClaimsPolicy(issuer=ISSUER, audiences=("api", "api2"), leeway_s=60)
GOOD = {"iss": ISSUER, "aud": "api", "exp": NOW + 300, "nbf": NOW, "iat": NOW, "sub": "s", "jti": "j"}
DATES = ("exp", "nbf", "iat")


def refused(claims: Any, policy: ClaimsPolicy = POLICY, now: float = NOW) -> tuple[str, str | None]:
    """Return code and place of the refusal of a payload."""
    raw = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
    with pytest.raises(TokenRefused) as caught:
        check_claims(raw, policy, now)
    return caught.value.code, caught.value.place


def passes(claims: dict[str, Any], policy: ClaimsPolicy = POLICY, now: float = NOW) -> bool:
    """Check a payload that must pass, and that it comes back whole."""
    return check_claims(json.dumps(claims).encode(), policy, now) == claims


def without(*names: str) -> dict[str, Any]:
    """Give the good claims without some."""
    return {name: value for name, value in GOOD.items() if name not in names}


def test_good_claims_come_back_whole() -> None:
    """The caller gets every member, strangers too."""
    assert passes({**GOOD, "zzz": {"a": [1, None, "x"]}})


def test_big_integers_stay_exact() -> None:
    """A number that a double would round is given as it was written."""
    big = 2**63 * 4 + 1
    assert check_claims(json.dumps({**GOOD, "id": big}).encode(), POLICY, NOW)["id"] == big


@pytest.mark.parametrize("data", [b"[]", b'"x"', b"5", b"null", b"true"])
def test_a_payload_that_is_no_object_is_refused(data: bytes) -> None:
    """CVE-2026-107723: RFC 7519 s.7.2 step 10."""
    assert refused(data) == ("malformed_claims", "claims")


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "malformed_json"),
        (b"not json", "malformed_json"),
        (b'{"exp":1,"exp":2}', "duplicate_member"),
        (b'{"exp":1,"\\u0065xp":2}', "duplicate_member"),
        (b'{"exp":1e400}', "malformed_json"),
        (b'{"exp":NaN}', "malformed_json"),
        (b'{"a":' + b"[" * 32 + b"]" * 32 + b"}", "too_deep"),
        (b'{"a":"' + b"a" * 65536 + b'"}', "too_large"),
        (json.dumps({str(i): i for i in range(1025)}).encode(), "too_many_members"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_payload_that_is_no_strict_json_is_refused(data: bytes, code: str) -> None:
    """The payload is signed, and still nobody may read two things in it."""
    assert refused(data) == (code, "claims")


@pytest.mark.parametrize("name", DATES)
@pytest.mark.parametrize(
    "value",
    [None, True, False, "1", str(NOW), [NOW], {}, -1, -0.5, NUMERIC_DATE_MAX_S + 1, NOW * 1000, 2**63, 1e308],
    ids=repr,
)
def test_a_date_that_is_none_is_refused(name: str, value: Any) -> None:
    """RFC 7519 s.2, CVE-2026-25537: a number of seconds from 1970 to 9999, nothing else."""
    assert refused({**GOOD, name: value}) == ("malformed_claim", f"claims.{name}")


def test_dates_may_have_decimals_and_any_spelling() -> None:
    """RFC 7519 s.2: non-integer values can be represented."""
    assert passes({**GOOD, "exp": NOW + 0.5, "nbf": NOW - 0.5, "iat": NOW - 1e3})
    assert passes({**GOOD, "exp": float(NOW + 300)})
    assert passes({**GOOD, "exp": NUMERIC_DATE_MAX_S, "nbf": 0})


@pytest.mark.parametrize("name", ["iss", "sub", "jti"])
@pytest.mark.parametrize("value", [None, 1, True, [ISSUER], {}], ids=repr)
def test_text_claims_are_strings(name: str, value: Any) -> None:
    """CVE-2025-30144, CVE-2026-75509: an array that contains the right issuer is not the issuer."""
    assert refused({**GOOD, name: value}) == ("malformed_claim", f"claims.{name}")


@pytest.mark.parametrize(
    ("aud", "place"),
    [
        (None, "claims.aud"),
        (1, "claims.aud"),
        ({"api": 1}, "claims.aud"),
        (True, "claims.aud"),
        (["api", 1], "claims.aud[1]"),
        ([["api"]], "claims.aud[0]"),
        ([None], "claims.aud[0]"),
    ],
)
def test_aud_is_a_string_or_an_array_of_strings(aud: Any, place: str) -> None:
    """RFC 7519 s.4.1.3; one good name does not excuse the others."""
    assert refused({**GOOD, "aud": aud}) == ("malformed_claim", place)


@pytest.mark.parametrize("name", ["iss", "aud", "exp"])
def test_what_the_policy_compares_must_be_there(name: str) -> None:
    """A token that does not say is not accepted."""
    assert refused(without(name)) == ("missing_claim", f"claims.{name}")


def test_what_the_policy_does_not_compare_may_be_absent() -> None:
    """nbf, iat, sub and jti are optional, and so is everything without a policy."""
    assert passes(without("nbf", "iat", "sub", "jti"))
    assert passes({}, ClaimsPolicy(exp_required=False))


def test_required_claims() -> None:
    """Each named claim must be there and not null; other falsy values are values."""
    policy = ClaimsPolicy(issuer=ISSUER, audiences=("api",), required=("sub", "scope"))
    assert passes({**GOOD, "scope": ""}, policy)
    assert passes({**GOOD, "scope": 0}, policy)
    assert refused(GOOD, policy) == ("missing_claim", "claims.scope")
    assert refused({**GOOD, "scope": None}, policy) == ("missing_claim", "claims.scope")
    assert refused({**without("sub"), "scope": "a"}, policy) == ("missing_claim", "claims.sub")


@pytest.mark.parametrize(
    "iss", ["", ISSUER + "/", ISSUER[:-1], ISSUER.upper(), "https://issuer.example:443", "\u0000" + ISSUER]
)
def test_another_issuer_is_refused(iss: str) -> None:
    """CVE-2024-53861: equal character by character, no part of it, no other case."""
    assert refused({**GOOD, "iss": iss}) == ("issuer_mismatch", "claims.iss")


def test_an_issuer_is_not_compared_without_one() -> None:
    """A policy without issuer takes any, but still only a string."""
    policy = ClaimsPolicy(audiences=("api",))
    assert passes({**GOOD, "iss": "https://other.example"}, policy)
    assert passes(without("iss"), policy)
    assert refused({**GOOD, "iss": 5}, policy) == ("malformed_claim", "claims.iss")


@pytest.mark.parametrize("aud", ["api", "api2", ["api"], ["other", "api2"], ["api", "api"]])
def test_one_audience_that_is_ours_is_enough(aud: Any) -> None:
    """RFC 7519 s.4.1.3: the principal identifies itself with a value in aud."""
    assert passes({**GOOD, "aud": aud})


@pytest.mark.parametrize("aud", ["", "ap", "api3", "API", [], ["other"], ["", "ap i"]])
def test_another_audience_is_refused(aud: Any) -> None:
    """Not ours, or nobody's."""
    assert refused({**GOOD, "aud": aud}) == ("audience_mismatch", "claims.aud")


@pytest.mark.parametrize("aud", ["api", ["api"], []])
def test_aud_without_a_configured_audience_is_refused(aud: Any) -> None:
    """RFC 7519 s.4.1.3: it is meant for somebody, and nobody said that we are it."""
    policy = ClaimsPolicy(issuer=ISSUER)
    assert refused({**GOOD, "aud": aud}, policy) == ("audience_mismatch", "claims.aud")
    assert passes(without("aud"), policy)


@pytest.mark.parametrize(
    ("claims", "now", "code"),
    [
        ({"exp": NOW}, NOW + 59, None),
        ({"exp": NOW}, NOW + 59.999, None),
        ({"exp": NOW}, NOW + 60, "expired"),
        ({"exp": NOW + 0.5}, NOW + 60.25, None),
        ({"exp": NOW + 0.5}, NOW + 60.5, "expired"),
        ({"exp": 0}, NOW, "expired"),
        ({"nbf": NOW}, NOW - 60, None),
        ({"nbf": NOW}, NOW - 60.001, "not_yet_valid"),
        ({"nbf": NOW}, NOW - 61, "not_yet_valid"),
        ({"nbf": NUMERIC_DATE_MAX_S}, NOW, "not_yet_valid"),
        ({"iat": NOW}, NOW - 60, None),
        ({"iat": NOW}, NOW - 61, "issued_in_future"),
        ({"iat": 0}, NOW, None),
    ],
)
def test_the_bounds_of_time(claims: dict[str, Any], now: float, code: str | None) -> None:
    """RFC 7519 s.4.1.4 to s.4.1.6, with a leeway of 60 s: the second before and the second after."""
    whole = {"iss": ISSUER, "aud": "api", "exp": NUMERIC_DATE_MAX_S, **claims}
    if code is None:
        assert passes(whole, now=now)
    else:
        assert refused(whole, now=now)[0] == code


def test_no_leeway_is_no_leeway() -> None:
    """With 0 s a token is dead at its exp and alive at its nbf."""
    policy = ClaimsPolicy(leeway_s=0)
    assert passes({"exp": NOW + 1, "nbf": NOW, "iat": NOW}, policy)
    assert refused({"exp": NOW}, policy) == ("expired", "claims.exp")


def test_the_maximal_age() -> None:
    """iat is required then, and the leeway counts."""
    policy = ClaimsPolicy(issuer=ISSUER, audiences=("api",), leeway_s=60, max_age_s=600)
    assert passes({**GOOD, "iat": NOW - 660}, policy)
    assert refused({**GOOD, "iat": NOW - 660}, policy, now=NOW + 0.9) == ("too_old", "claims.iat")
    assert refused({**GOOD, "iat": NOW - 661}, policy) == ("too_old", "claims.iat")
    assert refused({**GOOD, "iat": NOW - 660.5}, policy) == ("too_old", "claims.iat")
    assert refused(without("iat"), policy) == ("missing_claim", "claims.iat")
    assert refused({**GOOD, "iat": NOW + 61}, policy) == ("issued_in_future", "claims.iat")


def test_the_order_in_which_rules_speak() -> None:
    """Everything fails at once; mending the first fault each time walks through the whole order."""
    policy = ClaimsPolicy(issuer=ISSUER, audiences=("api",), required=("sub",), max_age_s=600)
    claims: dict[str, Any] = {
        "jti": 5,
        "iss": "https://other.example",
        "aud": "other",
        "exp": NOW - 1000,
        "nbf": NOW + 1000,
        "iat": NOW + 1000,
    }
    seen = []
    mend = (
        {"jti": "j"},
        {"sub": "s"},
        {"iss": ISSUER},
        {"aud": "api"},
        {"exp": NOW + 1000},
        {"nbf": NOW},
        {"iat": NOW - 1000},
        {"iat": NOW},
    )
    for change in mend:
        seen.append(refused(claims, policy)[0])
        claims.update(change)
    assert seen == [
        "malformed_claim",
        "missing_claim",
        "issuer_mismatch",
        "audience_mismatch",
        "expired",
        "not_yet_valid",
        "issued_in_future",
        "too_old",
    ]
    assert passes(claims, policy)


def test_the_words_say_expected_and_found() -> None:
    """An operator sees both sides of the comparison."""
    with pytest.raises(TokenRefused) as caught:
        check_claims(json.dumps({**GOOD, "exp": NOW - 61}).encode(), POLICY, NOW)
    assert str(caught.value).endswith("; expected 'later than 2000000000 - 60', found 1999999939")
    with pytest.raises(TokenRefused) as caught:
        check_claims(json.dumps({**GOOD, "aud": ["x", "y"]}).encode(), POLICY, NOW + 0.25)
    assert "expected ('api', 'api2'), found ('x', 'y')" in str(caught.value)


def test_a_claim_of_the_wrong_type_is_not_shown() -> None:
    """What is not understood is named by its type only."""
    with pytest.raises(TokenRefused) as caught:
        check_claims(json.dumps({**GOOD, "sub": ["hunter2"]}).encode(), POLICY, NOW)
    assert "hunter2" not in str(caught.value) + repr(caught.value)


def test_an_implausible_clock_is_no_verdict_on_the_token() -> None:
    """F29: a clock at 1970 would let no token expire; indeterminate, and only for our own clock."""
    token = json.dumps({**GOOD, "nbf": 0, "iat": 0}).encode()
    with pytest.raises(DependencyUnavailable) as caught:
        check_claims(token, POLICY, 1000.0, now_is_measured=True)
    assert caught.value.code == "clock_implausible"
    assert caught.value.outcome == "indeterminate"
    assert check_claims(token, POLICY, 1000.0)
    assert check_claims(token, POLICY, CLOCK_FLOOR_S, now_is_measured=True)


@pytest.mark.parametrize("now", [float("nan"), float("inf"), -1, None, "5", True], ids=repr)
def test_a_now_that_is_no_time_is_the_callers_mistake(now: Any) -> None:
    """Every comparison with NaN is false: it must not decide anything."""
    with pytest.raises(ConfigurationError) as caught:
        check_claims(json.dumps(GOOD).encode(), POLICY, now)
    assert caught.value.place == "now"


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("issuer", ""),
        ("issuer", 5),
        ("issuer", (ISSUER,)),
        ("audiences", "api"),
        ("audiences", b"api"),
        ("audiences", ("",)),
        ("audiences", (5,)),
        ("audiences", None),
        ("required", "sub"),
        ("required", ("",)),
        ("leeway_s", -1),
        ("leeway_s", 86_401),
        ("leeway_s", 1.5),
        ("leeway_s", float("nan")),
        ("leeway_s", float("inf")),
        ("leeway_s", True),
        ("leeway_s", "60"),
        ("leeway_s", None),
        ("exp_required", None),
        ("exp_required", 1),
        ("max_age_s", 0),
        ("max_age_s", -1),
        ("max_age_s", float("nan")),
        ("max_age_s", 10**400),
        ("max_age_s", True),
    ],
    ids=repr,
)
def test_a_policy_that_makes_no_sense_is_refused(setting: str, value: Any) -> None:
    """CVE-2026-107721: numbers finite and bounded; one string is not a tuple of its letters."""
    options: dict[str, Any] = {setting: value}
    with pytest.raises(ConfigurationError) as caught:
        ClaimsPolicy(**options)
    assert caught.value.place == f"claims_policy.{setting}"


def test_a_policy_takes_any_collection_and_is_frozen() -> None:
    """Lists become tuples, so that nobody changes a policy from afar."""
    names = ["api"]
    options: dict[str, Any] = {"audiences": names}
    policy = ClaimsPolicy(**options)
    names.append("other")
    assert policy.audiences == ("api",)
    with pytest.raises(AttributeError):
        policy.leeway_s = 0  # type: ignore[misc]
