"""Rules for the values of claims: at every entry of the engine, strict in type, closed to escapes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from tokens import AUD, ISS, NOW_S

from rapidjws import (
    ABSENT,
    PRESENT,
    ConfigurationError,
    Contains,
    ContainsAny,
    ContainsOnly,
    Engine,
    Issuer,
    OneOf,
    Pattern,
    Prefix,
    RapidJWSError,
    Rejected,
    TokenCache,
)
from rapidjws.signing import LocalSigner, sign_compact
from rapidjws.testing import make_key

KEY = make_key("HS256", kid="k")
SIGNER = LocalSigner(KEY)
REGISTERED = {"iss": ISS, "aud": AUD, "exp": NOW_S + 300, "iat": NOW_S, "sub": "user:7"}


def engine_of(claims: Any, *, cache: TokenCache | None = None, **settings: Any) -> Engine:
    """Return an engine whose one issuer has these rules."""
    issuer = Issuer(ISS, keys=KEY, algorithms=["HS256"], audience=AUD, claims=claims, **settings)
    return Engine(issuer, cache=cache, workers=1)


def token_of(text: str) -> str:
    """Return a token with further claims, as JSON text of members."""
    registered = json.dumps(REGISTERED)[1:-1]
    return sign_compact(f"{{{registered}{', ' if text else ''}{text}}}".encode(), SIGNER)


def verdict(engine: Engine, text: str) -> str:
    """Return "ok", or the code of the refusal; the second verification takes the core's way alone."""
    found = []
    for _ in range(2):
        try:
            engine.verify(token_of(text), NOW_S)
            found.append("ok")
        except RapidJWSError as refused:
            found.append(refused.code)
    assert found[0] == found[1]
    return found[0]


GOOD_AND_BAD = [
    ({"azp": "web"}, '"azp": "web"', '"azp": "Web"'),
    ({"azp": "web"}, '"azp": "w\\u0065b"', '"azp": "w\\u0045b"'),
    ({"azp": "web"}, '"\\u0061zp": "web"', '"\\u0061zp": "other"'),
    ({"azp": "web"}, '"azp": "web"', '"azp": ["web"]'),
    ({"azp": "web"}, '"azp": "web"', '"azp": "web\\u0000"'),
    ({"tid": {"a", "b"}}, '"tid": "b"', '"tid": "ab"'),
    ({"tid": ["a", "bb"]}, '"tid": "bb"', '"tid": ""'),
    ({"email_verified": True}, '"email_verified": true', '"email_verified": 1'),
    ({"email_verified": True}, '"email_verified": true', '"email_verified": "true"'),
    ({"email_verified": False}, '"email_verified": false', '"email_verified": 0'),
    ({"level": 1}, '"level": 1', '"level": true'),
    ({"level": 1}, '"level": 1.0', '"level": 1.5'),
    ({"level": 1}, '"level": 10e-1', '"level": 1.00000000000000000000001'),
    ({"level": 0}, '"level": -0', '"level": "0"'),
    ({"level": 1.0}, '"level": 1', '"level": 2'),
    ({"level": 0.1}, '"level": 0.10', '"level": 0.1000000000000000000001'),
    ({"level": 2**63}, '"level": 9223372036854775808', '"level": 9223372036854775809'),
    ({"level": 2**63}, '"level": 9223372036854775808', '"level": 1e-999999999999999999999'),
    ({"groups": Contains("a", "b")}, '"groups": ["b", "c", "a"]', '"groups": ["a"]'),
    ({"groups": Contains("a", 1, True)}, '"groups": [1, "a", true]', '"groups": ["a", true, "1"]'),
    ({"groups": Contains("a")}, '"groups": ["\\u0061"]', '"groups": "a"'),
    ({"groups": Contains(False)}, '"groups": [ false ]', '"groups": [0, true, null, ""]'),
    ({"groups": Contains(0.5)}, '"groups": [0.5]', '"groups": [5]'),
    ({"groups": Contains("a")}, '"groups": [[], {"x": "]"}, "a"]', '"groups": [["a"], {"a": "a"}]'),
    ({"groups": ContainsAny("a", "b")}, '"groups": ["c","b"]', '"groups": []'),
    ({"groups": ContainsAny("a", "b")}, '"groups": ["\\u0061"]', '"groups": ["\\u0063"]'),
    ({"groups": ContainsOnly("a", "b")}, '"groups": ["b", "a", "b"]', '"groups": ["a", "c"]'),
    ({"groups": ContainsOnly("a", "b")}, '"groups": "b"', '"groups": []'),
    ({"groups": ContainsOnly("a")}, '"groups": ["\\u0061"]', '"groups": ["\\u0061", "\\u0062"]'),
    ({"groups": ContainsOnly("a", 1)}, '"groups": [1, "a"]', '"groups": ["a", "1"]'),
    ({"groups": ContainsOnly("a")}, '"groups": ["a"]', '"groups": ["a", ["a"]]'),
    ({"groups": ContainsOnly("a")}, '"groups": [ "a" ]', '"groups": ["a", null]'),
    ({"groups": ContainsOnly(0.5, True)}, '"groups": [0.50, true]', '"groups": [0.5, true, false]'),
    ({"groups": ContainsOnly("a")}, '"groups": "a"', '"groups": {"a": "a"}'),
    ({"sub": Prefix("user:", "app:")}, "", '"x": 1, "groups": 1, "azp": 1'),
    ({"repo": Prefix("org/")}, '"repo": "org/a"', '"repo": "organ/a"'),
    ({"repo": Prefix("org/")}, '"repo": "org\\/a"', '"repo": "or"'),
    (
        {"ref": Pattern("refs/(heads/main|tags/v[0-9]+)")},
        '"ref": "refs/tags/v12"',
        '"ref": "refs/tags/v12\\n"',
    ),
    ({"ref": Pattern(".*é")}, '"ref": "caf\u00e9"', '"ref": "cafe\u0301"'),
    ({"ref": Pattern("a.c")}, '"ref": "a\U0001d11ec"', '"ref": "a\\nc"'),
    ({"x": PRESENT}, '"x": false', '"x": null'),
    ({"x": ABSENT}, '"y": 1', '"x": null'),
    ({"/a/b": "c"}, '"a": {"x": {"b": 1}, "b": "c"}', '"a": {"x": {"b": "c"}, "b": "d"}'),
    ({"/a/b": "c"}, '"a": {"\\u0062": "c"}', '"a": {"\\u0062": "d"}'),
    ({"/a/1": "c"}, '"a": ["x", "c"]', '"a": ["c", "x"]'),
    ({"/a/1": "c"}, '"a": {"1": "c"}', '"a": {"01": "c"}'),
    ({"/a~1b/c~0d": 1}, '"a/b": {"c~d": 1}', '"a": {"b": {"c~0d": 1}}'),
    ({"/a/01": PRESENT}, '"a": {"01": 1}', '"a": [1, 2]'),
    ({"/a/b": ABSENT}, '"a": "b"', '"a": {"b": null}'),
    ({"/": 1}, '"": 1', '"": 2'),
    ({"https://x.example/roles": Contains("r")}, '"https://x.example/roles": ["r"]', '"roles": ["r"]'),
    ({"/a": lambda value: value == {"b": 1}}, '"a": {"b": 1}', '"a": {"b": 2}'),
    ({"a": lambda value: 1}, None, '"a": 1'),
]


@pytest.mark.parametrize(
    ("claims", "good", "bad"), GOOD_AND_BAD, ids=[f"{number}" for number in range(len(GOOD_AND_BAD))]
)
def test_a_rule_passes_what_it_allows_and_nothing_else(claims: Any, good: str | None, bad: str) -> None:
    """A claim that is allowed passes in every spelling, and what is near it does not: in C and in full."""
    engine = engine_of(claims)
    for more in ("", '"\\u007a": 0'):  # a name with an escape is left to the full checker
        if good is not None:
            assert verdict(engine, ", ".join(filter(None, (good, more)))) == "ok"
        if claims != {"sub": Prefix("user:", "app:")}:
            assert verdict(engine, ", ".join(filter(None, (bad, more)))) in (
                "claim_mismatch",
                "missing_claim",
            )


def test_a_missing_claim_has_its_own_code() -> None:
    """Where a value is due, an absent or null claim is missing, whatever the rule."""
    for rule in (
        "a",
        {"a"},
        Contains("a"),
        ContainsAny("a"),
        ContainsOnly("a"),
        Prefix("a"),
        Pattern("a"),
        PRESENT,
        lambda value: True,
    ):
        for text in ("", '"x": null'):
            assert verdict(engine_of({"x": rule}), text) == "missing_claim"


def faces(engine: Engine) -> dict[str, Callable[[str], str]]:
    """Return every way in which an engine judges a token."""

    def by_error(call: Callable[[str], Any]) -> Callable[[str], str]:
        def asked(token: str) -> str:
            try:
                call(token)
            except RapidJWSError as refused:
                return refused.code
            return "ok"

        return asked

    def many(token: str) -> str:
        results = engine.verify_many([token] * 5, now=NOW_S)
        codes = {one.code if isinstance(one, Rejected) else "ok" for one in results}
        return codes.pop() if len(codes) == 1 else "different"

    def decided(token: str) -> str:
        decision = engine.decide(token, now=NOW_S)
        return "ok" if decision.outcome == "permit" else str(decision.code)

    def decided_many(token: str) -> str:
        first, second = engine.decide_many([(token, None, None)] * 2, now=NOW_S)
        assert first.outcome == second.outcome
        return "ok" if first.outcome == "permit" else str(first.code)

    return {
        "verify": by_error(lambda token: engine.verify(token, NOW_S)),
        "again": by_error(lambda token: engine.verify(token, NOW_S)),
        "bytes": by_error(lambda token: engine.verify(token.encode(), NOW_S)),
        "averify": by_error(lambda token: asyncio.run(engine.averify(token, NOW_S))),
        "verify_many": many,
        "decide": decided,
        "decide_many": decided_many,
        "adecide": lambda token: (
            "ok"
            if (found := asyncio.run(engine.adecide(token, now=NOW_S))).outcome == "permit"
            else str(found.code)
        ),
    }


@pytest.mark.parametrize("cached", [False, True])
def test_every_face_obeys_the_rules(cached: bool) -> None:
    """One token, batches, asyncio, decisions and the cache give one verdict, with rules of both kinds."""
    rules = {"azp": "web", "/a/b": Contains("x"), "n": lambda value: value > 3}
    engine = engine_of(rules, cache=TokenCache() if cached else None)
    for text, wanted in (
        ('"azp": "web", "a": {"b": ["x"]}, "n": 4', "ok"),
        ('"azp": "w\\u0065b", "a": {"b": ["x"]}, "n": 4', "ok"),
        ('"azp": "wab", "a": {"b": ["x"]}, "n": 4', "claim_mismatch"),
        ('"azp": "web", "a": {"b": ["y"]}, "n": 4', "claim_mismatch"),
        ('"azp": "web", "a": {"b": ["x"]}, "n": 3', "claim_mismatch"),
        ('"azp": "web", "a": {"b": ["x"]}, "n": "4"', "claim_check_failed"),
        ('"azp": "web", "n": 4', "missing_claim"),
    ):
        token = token_of(text)
        found = {name: face(token) for name, face in faces(engine).items()}
        assert set(found.values()) == {wanted}, (text, found)


def test_a_cached_token_obeys_new_rules() -> None:
    """A token that is remembered is judged by the rules that hold now; a function is asked each time."""
    answers = [True]
    cache = TokenCache()
    engine = engine_of({"azp": lambda value: answers[0]}, cache=cache)
    token = token_of('"azp": "web"')
    engine.verify(token, NOW_S)
    answers[0] = False
    with pytest.raises(RapidJWSError, match="claim_mismatch"):
        engine.verify(token, NOW_S)
    answers[0] = True
    engine.verify(token, NOW_S)
    engine.replace_issuers(Issuer(ISS, keys=KEY, algorithms=["HS256"], audience=AUD, claims={"azp": "other"}))
    with pytest.raises(RapidJWSError, match="claim_mismatch"):
        engine.verify(token, NOW_S)


def test_a_function_sees_what_passed_everything_else() -> None:
    """The caller's function is not asked about a token that is refused anyway, and may not answer loosely."""
    asked = []
    engine = engine_of({"azp": lambda value: asked.append(value) or True, "tid": "a"})
    assert verdict(engine, '"azp": 1, "tid": "b"') == "claim_mismatch"
    with pytest.raises(RapidJWSError, match="expired"):
        engine.verify(token_of('"azp": 1, "tid": "a"'), NOW_S + 10_000)
    assert asked == []
    assert verdict(engine, '"azp": 1, "tid": "a"') == "ok"
    assert asked == [1, 1]
    for answer in (1, "yes", None, [0], object()):
        assert (
            verdict(engine_of({"azp": lambda value, answer=answer: answer}), '"azp": 1') == "claim_mismatch"
        )


def test_duplicate_members_are_refused_first() -> None:
    """A claim that stands twice is refused whichever of the two a rule would take."""
    assert verdict(engine_of({"azp": "web"}), '"azp": "web", "azp": "web"') == "duplicate_member"
    assert verdict(engine_of({"/a/b": 1}), '"a": {"b": 1, "\\u0062": 1}') == "duplicate_member"


def test_a_refusal_names_claim_and_rule_and_shows_no_value() -> None:
    """What was allowed is said; what was found only as far as its claim is one to be shown."""
    token = token_of('"azp": "secret-7", "n": 5, "l": ["secret-7"]')
    for claims, show, wanted in (
        ({"azp": "web"}, (), "claims.azp: .*expected '\"web\"', found 'another string'"),
        ({"azp": {"a", "b"}}, (), 'expected \'"a" or "b"\''),
        ({"azp": "web"}, ("azp",), "found 'secret-7'"),
        ({"azp": Pattern("[a-z]+")}, (), r"a string that matches '\[a-z\]\+'"),
        ({"n": 4}, ("azp",), "expected '4', found 'another number'"),
        ({"/l": Contains("x")}, ("n",), "claims/l: .*a list that contains \"x\"', found 'another list'"),
        ({"azp": ABSENT}, (), "expected 'no such claim'"),
        ({"azp": lambda value: False}, (), "the caller's check accepts"),
    ):
        with pytest.raises(RapidJWSError, match=wanted) as refused:
            engine_of(claims, show_claims=show).verify(token, NOW_S)
        shown = str(refused.value) + repr(refused.value.as_dict())
        assert ("secret-7" in shown) is ("azp" in show and "azp" in claims)
        assert refused.value.issuer == ISS


def test_the_message_of_a_function_is_not_shown() -> None:
    """An exception of the caller's may quote the claim: only its class is named."""

    def check(value: object) -> bool:
        raise ValueError(f"no such thing: {value}")

    with pytest.raises(RapidJWSError, match=r"claim_check_failed.*'ValueError'") as refused:
        engine_of({"azp": check}).verify(token_of('"azp": "secret-7"'), NOW_S)
    assert "secret-7" not in str(refused.value)


@pytest.mark.parametrize(
    ("claims", "place"),
    [
        ({"": 1}, "claims"),
        ({1: 1}, "claims"),
        ({"/a~2": 1}, r"claims\['/a~2'\]"),
        ({"/a~": 1}, "claims"),
        ({"a": None}, "claims"),
        ({"a": ...}, "claims"),
        ({"a": b"x"}, "claims"),
        ({"a": {"b": 1}}, "claims"),
        ({"a": []}, "claims"),
        ({"a": [["x"]]}, "claims"),
        ({"a": float("nan")}, "claims"),
        ({"a": 2**64}, "claims"),
        ({"a": "\ud800"}, "claims"),
        ({"a": str}, "claims"),
        ("azp", "claims"),
        ([("a", 1)], "claims"),
        ({f"c{number}": 1 for number in range(65)}, "claims"),
    ],
)
def test_a_rule_that_means_nothing_is_a_configuration_error(claims: Any, place: str) -> None:
    """What no claim could fulfil, or nobody can read, is refused at construction with its place."""
    with pytest.raises(ConfigurationError, match=place):
        engine_of(claims)
    for make in (
        lambda: Prefix(),
        lambda: Prefix(""),
        lambda: Prefix(1),  # type: ignore[arg-type]
        lambda: Contains(),
        lambda: OneOf(None),  # type: ignore[arg-type]
        lambda: Pattern(5),  # type: ignore[arg-type]
    ):
        with pytest.raises(ConfigurationError):
            make()


def test_rules_that_are_equal_are_equal() -> None:
    """Rules compare by what they mean, and True is not 1 in them."""
    assert OneOf("a", "b", "a") == OneOf("a", "b") != OneOf("b")
    assert OneOf(True) != OneOf(1)
    assert Contains("a") != ContainsAny("a")
    assert ContainsOnly("a") != ContainsAny("a")
    assert Pattern("a+") == Pattern("a+") != Pattern("a*")
    assert len({Contains(1), Contains(True), Contains(1)}) == 2
    assert repr(Contains("a", 1)) == "Contains('a', 1)"


def test_auth_time_has_an_age() -> None:
    """A sign-in too long ago, in the future, absent or no date is refused; the leeway counts once."""
    engine = engine_of({}, max_auth_age_s=60, leeway_s=5)
    for text, wanted in (
        (f'"auth_time": {NOW_S - 65}', "ok"),
        (f'"auth_time": {NOW_S - 66}.5', "too_old"),
        (f'"auth_time": {NOW_S - 66}', "too_old"),
        (f'"auth_time": {NOW_S + 5}', "ok"),
        (f'"auth_time": {NOW_S + 6}', "issued_in_future"),
        (f'"auth_time": "{NOW_S}"', "malformed_claim"),
        (f'"auth_time": {NOW_S}000', "malformed_claim"),
        ("", "missing_claim"),
    ):
        assert verdict(engine, text) == wanted, text
    assert verdict(engine_of({}), '"auth_time": "x"') == "ok"  # nobody asks for it
    assert verdict(engine_of({}, max_auth_age_s=0), f'"auth_time": {NOW_S}') == "ok"
