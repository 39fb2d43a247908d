"""Rules in C against the plain definition written here once more, over random claims, rules and spellings."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tokens import ISS, NOW_S

from rapidjws import (
    ABSENT,
    PRESENT,
    Contains,
    ContainsAny,
    ContainsOnly,
    Engine,
    Issuer,
    OneOf,
    Pattern,
    Prefix,
    RapidJWSError,
)
from rapidjws.signing import LocalSigner, sign_compact
from rapidjws.testing import make_key

KEY = make_key("HS256", kid="k")
SIGNER = LocalSigner(KEY)
NAMES = ["a", "b", "a/b", "0", "1", "é", ""]
TEXTS = st.sampled_from(["", "a", "ab", "b", "aba", "é", "/", "1", "true", "\U0001d11e"])
NUMBERS = st.sampled_from([0, 1, -1, 2, 10, 1.0, 0.5, 1e2, 100, 2**53, 2**53 + 1])
SCALARS = st.one_of(TEXTS, NUMBERS, st.booleans())
VALUES = st.lists(SCALARS, min_size=1, max_size=4)
JSON = st.recursive(
    st.one_of(SCALARS, st.none()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.sampled_from(NAMES), inner, max_size=4)
    ),
    max_leaves=10,
)
PATHS = st.lists(st.sampled_from(NAMES), min_size=1, max_size=3)
PATTERNS = st.sampled_from(["a*", "(a|b)+", ".", "[^a]+", "", r"\d", ".*é"])
RULES = st.one_of(
    VALUES.map(lambda values: ("one_of", values)),
    VALUES.map(lambda values: ("contains", values)),
    VALUES.map(lambda values: ("contains_any", values)),
    VALUES.map(lambda values: ("contains_only", values)),
    st.lists(TEXTS.filter(bool), min_size=1, max_size=3).map(lambda values: ("prefix", values)),
    PATTERNS.map(lambda pattern: ("pattern", pattern)),
    st.sampled_from([("present", None), ("absent", None)]),
)


def rule_of(kind: str, given: Any) -> Any:
    """Return the library's rule."""
    of_values = {"one_of": OneOf, "contains": Contains, "contains_any": ContainsAny,
                 "contains_only": ContainsOnly, "prefix": Prefix}  # fmt: skip
    if kind in of_values:
        return of_values[kind](*given)
    return Pattern(given) if kind == "pattern" else PRESENT if kind == "present" else ABSENT


def same(one: Any, other: Any) -> bool:
    """Say whether two values are one: booleans are no numbers."""
    if isinstance(one, (bool, str)) or isinstance(other, (bool, str)):
        return type(one) is type(other) and one == other
    numbers = (int, float, Decimal)
    return isinstance(one, numbers) and isinstance(other, numbers) and Decimal(one) == Decimal(other)


def passes(kind: str, given: Any, found: list[Any]) -> bool:
    """Define a rule; ``found`` holds the value, or nothing where there is none."""
    if kind == "absent":
        return not found
    if not found or found[0] is None:
        return False
    value = found[0]
    if kind == "one_of":
        return any(same(value, one) for one in given)
    if kind == "contains":
        return isinstance(value, list) and all(any(same(one, wanted) for one in value) for wanted in given)
    if kind == "contains_any":
        return isinstance(value, list) and any(same(one, wanted) for one in value for wanted in given)
    if kind == "contains_only":
        every = value if isinstance(value, list) else [value]
        return bool(every) and all(any(same(one, wanted) for wanted in given) for one in every)
    if kind == "prefix":
        return isinstance(value, str) and any(value[: len(one)] == one for one in given)
    if kind == "pattern":
        return isinstance(value, str) and re.fullmatch(given, value, re.ASCII) is not None
    return True


def resolve(claims: Any, path: list[str]) -> list[Any]:
    """Return what a path leads to, in a list; nothing where it leads nowhere (RFC 6901 s.4)."""
    for name in path:
        if isinstance(claims, dict) and name in claims:
            claims = claims[name]
        elif isinstance(claims, list) and re.fullmatch("0|[1-9][0-9]*", name) and int(name) < len(claims):
            claims = claims[int(name)]
        else:
            return []
    return [claims]


def pointer(path: list[str]) -> str:
    """Return a path as a JSON Pointer."""
    return "".join("/" + name.replace("~", "~0").replace("/", "~1") for name in path)


def spelled(value: Any, escaped: bool, spaced: bool) -> str:
    """Write JSON, with every character of strings as an escape or with white space all over."""
    space = " \n\t" if spaced else ""
    if isinstance(value, str) and escaped:
        units = value.encode("utf-16-be")
        return '"' + "".join(f"\\u{units[i : i + 2].hex()}" for i in range(0, len(units), 2)) + '"'
    if isinstance(value, dict):
        members = (f"{spelled(name, escaped, spaced)}{space}:{space}{spelled(one, escaped, spaced)}{space}"
                   for name, one in value.items())  # fmt: skip
        return "{" + space + f",{space}".join(members) + "}"
    if isinstance(value, list):
        return "[" + space + f",{space}".join(spelled(one, escaped, spaced) + space for one in value) + "]"
    return json.dumps(value, ensure_ascii=False)


@settings(max_examples=300)
@given(
    st.dictionaries(st.sampled_from(NAMES), JSON, max_size=5),
    st.lists(st.tuples(PATHS, RULES), min_size=1, max_size=4, unique_by=lambda one: pointer(one[0])),
    st.booleans(),
    st.booleans(),
)
def test_the_core_decides_as_defined(
    claims: dict[str, Any], rules: list[tuple[list[str], tuple[str, Any]]], escaped: bool, spaced: bool
) -> None:
    """A token passes exactly where every rule passes by its definition, however its JSON is spelled."""
    wanted = all(passes(*rule, resolve(claims, path)) for path, rule in rules)
    text = spelled({**claims, "iss": ISS, "exp": NOW_S + 60}, escaped, spaced)
    given_rules = {pointer(path): rule_of(*rule) for path, rule in rules}
    engine = Engine(
        Issuer(ISS, keys=KEY, algorithms=["HS256"], claims=given_rules), workers=1, counters=False
    )
    token = sign_compact(text.encode(), SIGNER)
    for _ in range(2):
        try:
            engine.verify(token, NOW_S)
            found = "ok"
        except RapidJWSError as refused:
            found = refused.code
        assert found in (("ok",) if wanted else ("claim_mismatch", "missing_claim"))
