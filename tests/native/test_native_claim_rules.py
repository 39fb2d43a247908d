"""native/text/claim_rules.c against the rules written once more, slow and obvious."""

from __future__ import annotations

import json
import random
import re
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import pytest
from native_drivers import compile_driver, differential_count, run_driver

OK, MISSING, UNDECIDED, MISMATCH = 1, 10, 18, 25
ONE_OF, ALL, ANY, PREFIX, PATTERN, PRESENT, ABSENT, OBJECT, NON_EMPTY = range(1, 10)
OR_NEXT, HAS_DECIMAL = 1, 2
SANITIZED = pytest.mark.parametrize("sanitized", [False, pytest.param(True, id="sanitized")])


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule, as rj_claim_rule has it; ``odd`` texts of one letter a are the pattern (aa)*a."""

    kind: int
    path: tuple[str, ...]
    values: tuple[Any, ...] = ()
    or_next: bool = False
    odd: bool = False

    def words(self) -> str:
        """Give the rule as the driver reads it."""
        texts = sorted(
            (one.encode() for one in self.values if isinstance(one, str)), key=lambda text: (len(text), text)
        )
        whole = [str(one).encode() for one in self.values if type(one) is int]
        literals = (True in [one for one in self.values if one is True]) + 2 * any(
            one is False for one in self.values
        )
        flags = OR_NEXT * self.or_next + HAS_DECIMAL * any(isinstance(one, Decimal) for one in self.values)
        listed = (",".join(part.hex() or "-" for part in parts) or "*" for parts in
                  ([name.encode() for name in self.path], texts, whole))  # fmt: skip
        table = "* * *"
        if self.odd:  # classes: other octets, a; states: dead, even, odd
            classes = bytes(1 if octet == ord("a") else 0 for octet in range(256))
            moves = b"".join(number.to_bytes(2, "little") for number in (0, 0, 0, 2, 0, 1))
            table = f"{classes.hex()} {moves.hex()} {bytes([0, 0, 1]).hex()}"
        return f"{self.kind} {flags} {int(literals)} {' '.join(listed)} {table}"


def checked(cases: list[tuple[list[Rule], str]], *, sanitized: bool = False) -> list[int]:
    """Scan each payload in C and check it by its rules."""
    program = compile_driver("drive_claim_rules", ("claim_rules", "json_scan"), sanitized=sanitized)
    lines = [
        " ".join([text.encode().hex(), str(len(rules)), *(one.words() for one in rules)])
        for rules, text in cases
    ]
    answers = [int(line) for line in run_driver(program, "lines", lines=lines).split()]
    assert len(answers) == len(cases)
    return answers


def _same(one: Any, wanted: Any) -> bool:
    if isinstance(one, (bool, str)) or isinstance(wanted, (bool, str)):
        return type(one) is type(wanted) and bool(one == wanted)
    return isinstance(one, (int, Decimal)) and bool(Decimal(one) == Decimal(wanted))


def _value(claims: Any, path: tuple[str, ...]) -> list[Any]:
    for name in path:
        if isinstance(claims, dict) and name in claims:
            claims = claims[name]
        elif isinstance(claims, list) and re.fullmatch("0|[1-9][0-9]*", name) and int(name) < len(claims):
            claims = claims[int(name)]
        else:
            return []
    return [claims]


def _passes(rule: Rule, value: Any) -> bool:
    listed = value if isinstance(value, list) else []
    some = [any(_same(one, wanted) for one in listed) for wanted in rule.values]
    return bool({
        ONE_OF: any(_same(value, wanted) for wanted in rule.values),
        ALL: isinstance(value, list) and all(some),
        ANY: any(some),
        PREFIX: isinstance(value, str) and value.startswith(tuple(map(str, rule.values))),
        PATTERN: isinstance(value, str) and re.fullmatch("(aa)*a", value) is not None,
        PRESENT: True,
        OBJECT: isinstance(value, dict),
        NON_EMPTY: isinstance(value, dict) and bool(value),
    }.get(rule.kind, False))  # fmt: skip


def _one(rule: Rule, claims: Any) -> int:
    found = _value(claims, rule.path)
    if rule.kind == ABSENT:
        return MISMATCH if found else OK
    if not found or found[0] is None:
        return MISSING
    return OK if _passes(rule, found[0]) else MISMATCH


def verdict(rules: list[Rule], text: str) -> int:
    """Give the verdict that is owed."""
    claims = json.loads(text, parse_float=Decimal)
    answers = [_one(rule, claims) for rule in rules]
    at = 0
    while at < len(rules):
        if rules[at].or_next and at + 1 < len(rules):
            if answers[at] != OK:
                at += 1
                continue
            at += 1
            while rules[at].or_next and at + 1 < len(rules):
                at += 1
        elif answers[at] != OK:
            return answers[at]
        at += 1
    return OK


X = ("x",)
CASES: list[tuple[list[Rule], str, int]] = [
    ([Rule(kind=ONE_OF, path=X, values=("a", "bb"))], '{"x": "bb"}', OK),
    ([Rule(kind=ONE_OF, path=X, values=("aXb",))], '{"x": "aYb"}', MISMATCH),
    ([Rule(kind=ONE_OF, path=X, values=("abcde",))], '{"x": "aXcYe"}', MISMATCH),
    ([Rule(kind=ONE_OF, path=("azp",), values=("a",))], '{"aXp": "a", "azq": "a", "bzp": "a"}', MISSING),
    ([Rule(kind=ONE_OF, path=("abcde",), values=("a",))], '{"aXcYe": "a"}', MISSING),
    ([Rule(kind=ONE_OF, path=("",), values=("",))], '{"": ""}', OK),
    ([Rule(kind=ONE_OF, path=X, values=(0,))], '{"x": -0}', OK),
    ([Rule(kind=ONE_OF, path=X, values=(1,))], '{"x": true}', MISMATCH),
    ([Rule(kind=ONE_OF, path=X, values=(1,))], '{"x": 1.0}', UNDECIDED),
    ([Rule(kind=ONE_OF, path=X, values=("1",))], '{"x": 1.0}', MISMATCH),
    ([Rule(kind=ONE_OF, path=X, values=("a",))], '{"x": "\\u0061"}', UNDECIDED),
    ([Rule(kind=ONE_OF, path=X, values=(1,))], '{"x": "\\u0061"}', MISMATCH),
    ([Rule(kind=ALL, path=X, values=("a", 1, True))], '{"x": [true, 1, "a"]}', OK),
    ([Rule(kind=ALL, path=X, values=("a", 1, True))], '{"x": [false, 1, "a"]}', MISMATCH),
    ([Rule(kind=ALL, path=X, values=("a", 1, True))], '{"x": [true, 2, "a"]}', MISMATCH),
    ([Rule(kind=ALL, path=X, values=("a", "b"))], '{"x": ["a", "\\u0062"]}', UNDECIDED),
    ([Rule(kind=ALL, path=X, values=("a", 1))], '{"x": ["a", "\\u0062"]}', MISMATCH),
    ([Rule(kind=ALL, path=X, values=("a", 1))], '{"x": ["\\u0061", 1.0]}', UNDECIDED),
    ([Rule(kind=ALL, path=X, values=(Decimal("0.5"),))], '{"x": []}', UNDECIDED),
    ([Rule(kind=ALL, path=X, values=("a",))], '{"x": "a"}', MISMATCH),
    ([Rule(kind=ANY, path=X, values=("a", "b"))], '{"x": ["c", ["a"], {"a": "a"}]}', MISMATCH),
    ([Rule(kind=PREFIX, path=X, values=("org/",))], '{"x": "org/"}', OK),
    ([Rule(kind=PREFIX, path=X, values=("org/",))], '{"x": "org"}', MISMATCH),
    ([Rule(kind=PATTERN, path=X, odd=True)], '{"x": "aaa"}', OK),
    ([Rule(kind=PATTERN, path=X, odd=True)], '{"x": "aaaa"}', MISMATCH),
    ([Rule(kind=PATTERN, path=X, odd=True)], '{"x": ""}', MISMATCH),
    ([Rule(kind=PRESENT, path=X)], '{"x": null}', MISSING),
    ([Rule(kind=ABSENT, path=X)], '{"x": null}', MISMATCH),
    ([Rule(kind=OBJECT, path=X)], '{"x": []}', MISMATCH),
    ([Rule(kind=NON_EMPTY, path=X)], '{"x": { }}', MISMATCH),
    ([Rule(kind=0, path=X)], '{"x": 1}', MISMATCH),
    ([Rule(kind=PRESENT, path=("x", "y"))], '{"x": {"\\u0079": 1}}', UNDECIDED),
    ([Rule(kind=ONE_OF, path=("x", "y", "1"), values=("b",))], '{"x": {"z": [0], "y": ["a", "b"]}}', OK),
    ([Rule(kind=PRESENT, path=("x", "01"))], '{"x": [1, 2]}', MISSING),
    ([Rule(kind=ABSENT, path=X, or_next=True), Rule(kind=PRESENT, path=("y",))], '{"x": 1}', MISSING),
    ([Rule(kind=ABSENT, path=X, or_next=True), Rule(kind=PRESENT, path=("y",))], '{"z": 1}', OK),
    ([Rule(kind=ABSENT, path=X, or_next=True)], '{"x": 1}', MISMATCH),
    ([Rule(kind=PRESENT, path=(name,)) for name in "bab"], '{"a": 1, "b": 2}', OK),
]  # fmt: skip


@SANITIZED
def test_each_kind_of_rule(sanitized: bool) -> None:
    """Each kind passes what it allows, refuses what is near, and leaves open what an escape may hide."""
    answers = checked([(rules, text) for rules, text, _ in CASES], sanitized=sanitized)
    assert answers == [wanted for _, _, wanted in CASES]


def test_many_values_of_one_rule() -> None:
    """A list must hold each of more values than one walk over it looks for; one that lacks is noticed."""
    texts = tuple(f"{number:03}" for number in range(70))
    numbers = tuple(range(70))
    rule = Rule(kind=ALL, path=X, values=(*texts, *numbers))
    whole = [*texts, *numbers]
    cases = [([rule], json.dumps({"x": [one for one in whole if one != left]})) for left in (*whole, "none")]
    assert checked(cases) == [MISMATCH] * len(whole) + [OK]


NAMES = ["a", "b", "abc", "axc", "é", "0", "1", ""]
TEXTS = ["", "a", "aa", "aaa", "b", "ab", "é", "1", "true"]


def _json(chance: random.Random, depth: int = 0) -> Any:
    kind = chance.random()
    if depth < 3 and kind < 0.2:
        return [_json(chance, depth + 1) for _ in range(chance.randrange(4))]
    if depth < 3 and kind < 0.4:
        return {name: _json(chance, depth + 1) for name in chance.sample(NAMES, chance.randrange(4))}
    return chance.choice([*TEXTS, 0, 1, -1, 10, 1.5, True, False, None])


def _rule(chance: random.Random) -> Rule:
    path = tuple(chance.choice(NAMES) for _ in range(chance.choice([1, 1, 2, 3])))
    kind = chance.randrange(1, 10)
    values: tuple[Any, ...] = ()
    if kind in (ONE_OF, ALL, ANY):
        values = tuple(chance.sample([*TEXTS, 0, 1, -1, 10, True, False], chance.randrange(1, 4)))
        kinds = {(type(one), one): one for one in values}
        values = tuple(kinds.values())
    elif kind == PREFIX:
        values = tuple(chance.sample(TEXTS[1:], chance.randrange(1, 3)))
    return Rule(kind=kind, path=path, values=values, or_next=chance.random() < 0.15, odd=kind == PATTERN)


def _text(chance: random.Random, claims: dict[str, Any]) -> str:
    """Write claims, with escapes anywhere but in a name of the root, which the caller leaves open itself."""
    members = (
        f"{json.dumps(name, ensure_ascii=False)}: {_spelled(chance, value)}" for name, value in claims.items()
    )
    return "{" + ", ".join(members) + "}"


def _spelled(chance: random.Random, claims: Any) -> str:
    text = json.dumps(claims, ensure_ascii=chance.random() < 0.2, indent=chance.choice([None, None, 1]))
    if chance.random() < 0.2:
        text = re.sub("a", lambda _: chance.choice(["a", "\\u0061"]), text.replace("false", "fAlse"))
        text = text.replace("fAlse", "false").replace("f\\u0061lse", "false")
    return text


@SANITIZED
def test_random_rules_get_the_slow_verdict_or_none(sanitized: bool) -> None:
    """Over random claims and rules the code decides as defined, or leaves escapes and fractions open."""
    chance = random.Random(15)
    cases = []
    for _ in range(int(differential_count(4000))):
        claims = {name: _json(chance) for name in chance.sample(NAMES, chance.randrange(1, 7))}
        rules = [_rule(chance) for _ in range(chance.randrange(1, 5))]
        rules[-1] = replace(rules[-1], or_next=False)
        cases.append((rules, _text(chance, claims)))
    answers = checked(cases, sanitized=sanitized)
    for (rules, text), answer in zip(cases, answers, strict=True):
        doubtful = "\\" in text or re.search("[0-9][.]", text) is not None
        assert answer == verdict(rules, text) or (answer == UNDECIDED and doubtful), (rules, text)
    assert set(answers) == {OK, MISMATCH, MISSING, UNDECIDED}


def test_the_bench_accepts_what_it_measures() -> None:
    """The measured payload passes its four rules."""
    program = compile_driver("drive_claim_rules", ("claim_rules", "json_scan"))
    assert run_driver(program, "bench").startswith("four rules: ")
