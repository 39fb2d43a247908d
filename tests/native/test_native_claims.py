"""The claims code: each rule of RFC 7519 s.4.1 at its edge, the order of verdicts, what stays undecided."""

from __future__ import annotations

import json
import random
import re
from typing import Any

import pytest
from claims_oracle import (
    AUDIENCE,
    BAD_ARGUMENT,
    DATE_MAX_S,
    EXPIRED,
    IN_FUTURE,
    ISSUER,
    MALFORMED,
    MISSING,
    NOT_YET_VALID,
    NOW_S,
    OK,
    TOO_OLD,
    UNDECIDED,
    Policy,
    checked,
    verdict,
)
from native_drivers import NATIVE, REPOSITORY, compile_driver, differential_count, run_driver

FULL = Policy(issuer="https://i", audiences=("a", "b"), required=("sub",), leeway_s=10, max_age_s=100)
GOOD: dict[str, Any] = {
    "iss": "https://i", "aud": "a", "sub": "s", "jti": "j", "exp": NOW_S + 60, "nbf": NOW_S, "iat": NOW_S,
}  # fmt: skip
SANITIZED = pytest.mark.parametrize("sanitized", [False, True], ids=["plain", "sanitized"])


def payload(**changed: Any) -> bytes:
    """Write the good claims with some changed; None takes one out."""
    return json.dumps({name: value for name, value in (GOOD | changed).items() if value is not None}).encode()


EDGES = [
    ("exp far off", {}, OK),
    ("the last second within exp and leeway", {"exp": NOW_S - 9}, OK),
    ("on exp and leeway", {"exp": NOW_S - 10}, EXPIRED),
    ("exp in 1970", {"exp": 0}, EXPIRED),
    ("nbf within the leeway", {"nbf": NOW_S + 10}, OK),
    ("nbf past the leeway", {"nbf": NOW_S + 11}, NOT_YET_VALID),
    ("iat within the leeway", {"iat": NOW_S + 10}, OK),
    ("iat past the leeway", {"iat": NOW_S + 11}, IN_FUTURE),
    ("as old as may be", {"iat": NOW_S - 110}, OK),
    ("a second too old", {"iat": NOW_S - 111}, TOO_OLD),
    ("no nbf, no jti", {"nbf": None, "jti": None}, OK),
    ("no exp", {"exp": None}, MISSING),
    ("no iat but an age limit", {"iat": None}, MISSING),
    ("no iss", {"iss": None}, MISSING),
    ("no aud", {"aud": None}, MISSING),
    ("no required sub", {"sub": None}, MISSING),
    ("another iss", {"iss": "https://j"}, ISSUER),
    ("iss with a slash more", {"iss": "https://i/"}, ISSUER),
    ("iss cut short", {"iss": "https://"}, ISSUER),
    ("iss in capitals", {"iss": "HTTPS://I"}, ISSUER),
    ("empty iss", {"iss": ""}, ISSUER),
    ("the other audience", {"aud": "b"}, OK),
    ("a stranger's audience", {"aud": "c"}, AUDIENCE),
    ("an audience that only begins so", {"aud": "ab"}, AUDIENCE),
    ("empty audience", {"aud": ""}, AUDIENCE),
    ("one audience of many", {"aud": ["x", "y", "b"]}, OK),
    ("ours first", {"aud": ["a", "x"]}, OK),
    ("none of many", {"aud": ["x", "y"]}, AUDIENCE),
    ("nobody", {"aud": []}, AUDIENCE),
    ("a JSON text as audience", {"aud": ["x,a", "]a", "a "]}, AUDIENCE),
    *(
        (f"{name} is {json.dumps(value)}", {name: value}, MALFORMED)
        for name in ("exp", "nbf", "iat")
        for value in ("1767222200", -1, False, True, [1], {"a": 1}, -(10**17), DATE_MAX_S + 1, 10**12, 10**17)
    ),
    ("exp in the last second there is", {"exp": DATE_MAX_S}, OK),
    *(
        (f"{name} is {json.dumps(value)}", {name: value}, MALFORMED)
        for name in ("iss", "sub", "jti", "aud")
        for value in (1, 1.5, True, False, {"a": "a"})
    ),
    *((f"{name} is an array", {name: ["a"]}, MALFORMED) for name in ("iss", "sub", "jti")),
    *(
        (f"aud is {json.dumps(value)}", {"aud": value}, MALFORMED)
        for value in ([1], ["a", 1], ["a", None], [["a"]])
    ),
]


@SANITIZED
def test_each_rule_holds_at_its_edge(sanitized: bool) -> None:
    """One changed claim gives the verdict of the rule it touches, to the second and to the byte."""
    answers = checked([(FULL, payload(**changed)) for _, changed, _ in EDGES], sanitized=sanitized)
    assert {why: answer for answer, (why, _, _) in zip(answers, EDGES, strict=True)} == {
        why: expected for why, _, expected in EDGES
    }


@SANITIZED
@pytest.mark.parametrize("name", ["exp", "nbf", "iat", "iss", "sub", "jti", "aud"])
def test_null_is_no_registered_claim(name: str, sanitized: bool) -> None:
    """A registered claim that is null is malformed, not absent."""
    text = payload(**{name: None})[:-1] + b', "%s": null}' % name.encode()
    assert checked([(FULL, text)], sanitized=sanitized) == [MALFORMED]


def test_a_policy_that_asks_nothing_still_needs_exp() -> None:
    """Without issuer and audience a token passes on exp alone; an aud then names somebody else."""
    bare = Policy()
    optional = Policy(exp_optional=True)
    assert checked(
        [
            (bare, b'{"exp":%d}' % (NOW_S + 1)),
            (bare, b'{"exp":%d}' % NOW_S),
            (bare, b"{}"),
            (optional, b"{}"),
            (optional, b'{"exp":%d}' % NOW_S),
            (optional, b'{"aud":"a"}'),
            (optional, b'{"aud":[]}'),
            (optional, b'{"aud":"\\u0061"}'),
            (optional, b'{"aud":[1]}'),
            (optional, b'{"iss":"whoever","iat":5}'),
            (optional, b'{"iss":"\\u0061"}'),
        ]
    ) == [OK, EXPIRED, MISSING, OK, EXPIRED, AUDIENCE, AUDIENCE, AUDIENCE, MALFORMED, OK, OK]


def test_required_names_must_be_there_and_not_null() -> None:
    """Any name can be required; null does not count as being there, and other members do not help."""
    policy = Policy(required=("scope", "", "grüße"), exp_optional=True)
    assert checked(
        [
            (policy, '{"scope":1,"":2,"grüße":false}'.encode()),
            (policy, '{"scope":null,"":2,"grüße":3}'.encode()),
            (policy, '{"scop":1,"":2,"grüße":3}'.encode()),
            (policy, '{"scope":1,"grüße":3}'.encode()),
            (policy, b'{"scope":1,"":2}'),
            (policy, '{"o":{"scope":1,"":2,"grüße":3}}'.encode()),
        ]
    ) == [OK, MISSING, MISSING, MISSING, MISSING, MISSING]


ORDER = [
    (MALFORMED, {"jti": 1}),
    (MISSING, {"sub": None}),
    (ISSUER, {"iss": "x"}),
    (AUDIENCE, {"aud": "x"}),
    (EXPIRED, {"exp": 5}),
    (NOT_YET_VALID, {"nbf": NOW_S + 50}),
    (IN_FUTURE, {"iat": NOW_S + 50}),
]


def test_the_first_fault_in_the_stated_order_is_the_verdict() -> None:
    """Of several faults the verdict is: malformed, missing, issuer, audience, exp, nbf, iat, age."""
    cases: list[tuple[Policy, bytes]] = []
    for first in range(len(ORDER)):
        faults: dict[str, Any] = {}
        for _, changed in ORDER[first:]:
            faults |= changed
        cases.append((FULL, payload(**faults)))
    assert checked(cases) == [status for status, _ in ORDER]
    late = {"iat": NOW_S - 500}
    assert checked([(FULL, payload(**late)), (FULL, payload(**late, nbf=NOW_S + 50))]) == [
        TOO_OLD,
        NOT_YET_VALID,
    ]


LEFT_OPEN = [
    b'{"\\u0065xp":1767222160}',
    b'{"exp":1767222160,"\\u0061":1}',
    b'{"exp":true,"\\u0061":1.0}',
]
SPELLINGS = [
    ("1767222100.000000001", OK),
    ("1767222100.0000000000001", OK),
    ("1767222100.0", EXPIRED),
    ("17672221000e-1", EXPIRED),
    ("17672221001e-1", OK),
    ("1.7672221E+9", EXPIRED),
    ("1.76722210000000001E9", OK),
    ("0.00000017672221000001e16", OK),
    ("1767222099.999999999999", EXPIRED),
    ("0.0", EXPIRED),
    ("0e999999999999999999", EXPIRED),
    ("-0", EXPIRED),
    ("-0.000e3", EXPIRED),
    ("-0.0000000000000001", MALFORMED),
    ("-1.5", MALFORMED),
    ("1e-999999999999999999", EXPIRED),
    ("253402300799.000", OK),
    ("253402300799.0000000000001", MALFORMED),
    ("253402300800.0", MALFORMED),
    ("1e12", MALFORMED),
    ("1e11", OK),
]


@pytest.mark.parametrize(("text", "status"), SPELLINGS, ids=[text for text, _ in SPELLINGS])
def test_C1_each_spelling_of_a_number_is_read_to_its_last_digit(text: str, status: int) -> None:
    """A NumericDate with a fraction or an exponent counts as written, however long, and is never rounded."""
    assert checked([(Policy(), b'{"exp":' + text.encode() + b"}")]) == [status]


BOUNDS = [
    ("exp", "1767222100.5", (499_999_999, OK), (500_000_000, EXPIRED), (500_000_001, EXPIRED)),
    ("exp", "1767222100.5000000001", (500_000_000, OK), (500_000_001, EXPIRED), (500_000_002, EXPIRED)),
    ("nbf", "1767222100.5", (499_999_999, NOT_YET_VALID), (500_000_000, OK), (500_000_001, OK)),
    ("nbf", "1767222100.5000000001", (500_000_000, NOT_YET_VALID), (500_000_001, OK), (500_000_002, OK)),
    ("iat", "1767222100.5", (499_999_999, IN_FUTURE), (500_000_000, OK), (500_000_001, OK)),
    ("iat", "1767222100.99999999901", (999_999_998, IN_FUTURE), (999_999_999, IN_FUTURE), (0, IN_FUTURE)),
    ("age", "1767222080.5", (499_999_999, OK), (500_000_000, OK), (500_000_001, TOO_OLD)),
    ("age", "1767222080.5000000001", (499_999_999, OK), (500_000_000, OK), (500_000_001, TOO_OLD)),
]


@pytest.mark.parametrize(("name", "text", "below", "at", "above"), BOUNDS, ids=str)
def test_T11_each_rule_at_its_nanosecond_and_beside_it(
    name: str, text: str, below: tuple[int, int], at: tuple[int, int], above: tuple[int, int]
) -> None:
    """The verdict changes from one nanosecond to the next, where the rule says, whatever the leeway."""
    claim = "iat" if name == "age" else name
    body = b'{"' + claim.encode() + b'":' + text.encode() + b"}"
    for leeway_s, side in ((0, 1), (7, 1 if name in ("exp", "age") else -1)):
        for ns, status in (below, at, above):
            policy = Policy(
                now_s=NOW_S + side * leeway_s, now_ns=ns, leeway_s=leeway_s, exp_optional=True,
                max_age_s=20 if name == "age" else -1,
            )  # fmt: skip
            assert checked([(policy, body)]) == [status], (policy, status)


def test_what_c_cannot_be_sure_of_goes_to_the_full_checker() -> None:
    """Escapes are undecided, whatever else is wrong."""
    assert checked([(Policy(), text) for text in LEFT_OPEN]) == [UNDECIDED] * len(LEFT_OPEN)
    plain = Policy(issuer="i/", audiences=("a/", "b"), exp_optional=True)
    assert checked(
        [
            (plain, b'{"iss":"i\\/","aud":"b"}'),
            (plain, b'{"iss":"i/","aud":"a\\/"}'),
            (plain, b'{"iss":"i/","aud":["x","a\\/"]}'),
            (plain, b'{"iss":"i/","aud":["a\\/","x\\"","x"]}'),
            (plain, b'{"iss":"i/","aud":["\\"","\\\\","b","\\u0061"]}'),
            (plain, b'{"iss":"i/","aud":["a\\/",1]}'),
            (plain, b'{"iss":"i/","aud":"b","sub":"\\n","jti":"\\n"}'),
        ]
    ) == [UNDECIDED, UNDECIDED, UNDECIDED, UNDECIDED, OK, MALFORMED, OK]


@pytest.mark.source_tree
def test_the_last_date_is_the_one_of_the_python_checker() -> None:
    """The year in which time ends stands in C and in Python; both name the same second."""
    in_c = re.search(
        r"RJ_CLAIMS_DATE_MAX_S INT64_C\((\d+)\)", (NATIVE / "text" / "claims.h").read_text("utf-8")
    )
    limits = (REPOSITORY / "src" / "rapidjws" / "jose" / "limits.py").read_text("utf-8")
    in_python = re.search(r"NUMERIC_DATE_MAX_S: Final = ([\d_]+)", limits)
    assert in_c is not None
    assert in_python is not None
    assert int(in_c.group(1)) == int(in_python.group(1)) == DATE_MAX_S


def test_times_out_of_range_are_the_callers_mistake() -> None:
    """A clock, leeway or age whose sums could overflow is refused as an argument."""
    text = payload()
    edge = 10**15
    wrong = [
        Policy(now_s=-1), Policy(now_s=edge + 1), Policy(leeway_s=-1), Policy(leeway_s=edge + 1),
        Policy(max_age_s=edge + 1),
    ]  # fmt: skip
    assert checked([(policy, text) for policy in wrong]) == [BAD_ARGUMENT] * len(wrong)
    policy = Policy(audiences=("a",), now_s=edge, leeway_s=edge, max_age_s=edge)
    assert checked([(policy, text)]) == [OK]


def _value(chance: random.Random, name: str) -> Any:
    near = NOW_S + chance.randint(-130, 130)
    odd: list[Any] = [None, True, -1, "x", 1.5, 10**15, 10**14, [], {}, 0, "é"]
    if name in ("exp", "nbf", "iat"):
        return near if chance.random() < 0.85 else chance.choice(odd)
    if name == "aud" and chance.random() < 0.5:
        return [chance.choice(["a", "b", "x", "é", "a/", 1]) for _ in range(chance.randrange(4))]
    return chance.choice(["a", "b", "i", "é", 'q"']) if chance.random() < 0.85 else chance.choice(odd)


def _case(chance: random.Random) -> tuple[Policy, bytes]:
    names = [n for n in ("iss", "sub", "aud", "jti", "exp", "nbf", "iat", "scope") if chance.random() < 0.8]
    chance.shuffle(names)
    claims = {name: _value(chance, name) for name in names}
    if chance.random() < 0.05:
        claims["exp\u00e9\n"] = 1
    policy = Policy(
        issuer=chance.choice([None, "a", "i", "é"]),
        audiences=tuple(chance.sample(["a", "b", "é", "a/"], chance.randrange(4))),
        required=tuple(chance.sample(["sub", "jti", "scope", "exp"], chance.randrange(3))),
        leeway_s=chance.choice([0, 10, 60]),
        max_age_s=chance.choice([-1, 0, 60]),
        exp_optional=chance.random() < 0.3,
    )
    return policy, json.dumps(claims, ensure_ascii=chance.random() < 0.3).encode()


@SANITIZED
def test_random_claims_get_the_full_checkers_verdict_or_none(sanitized: bool) -> None:
    """Over random policies and claims the code decides as the slow rules do, or leaves it to them."""
    chance = random.Random(9)
    cases = [_case(chance) for _ in range(int(differential_count(20000)))]
    answers = checked(cases, sanitized=sanitized)
    for (policy, text), answer in zip(cases, answers, strict=True):
        doubtful = b"\\" in text
        assert answer == verdict(policy, text) or (answer == UNDECIDED and doubtful), (policy, text)
    assert set(answers) >= {
        OK, MALFORMED, MISSING, ISSUER, AUDIENCE, EXPIRED, NOT_YET_VALID, IN_FUTURE, TOO_OLD, UNDECIDED,
    }  # fmt: skip


def test_the_bench_accepts_what_it_measures() -> None:
    """The measured payload passes, in the scan and in the check."""
    printed = run_driver(compile_driver("drive_claims", ("claims", "claim_rules", "json_scan")), "bench")
    assert len(printed.splitlines()) == 2
