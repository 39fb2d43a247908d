"""The pattern language of claim rules: what it accepts, what it refuses, and that time is bounded."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rapidjws import ConfigurationError, Pattern
from rapidjws.jose.claim_pattern import STATES_MAX

PIECES = st.sampled_from(
    ["a", "b", "é", "\U0001d11e", r"\.", "/", ".", "[ab]", "[^a]", r"\d", r"\W", "[a-é]", r"[^\s-]", "ab"]
)
PATTERNS = st.recursive(
    PIECES,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map(lambda two: f"(?:{two[0]}|{two[1]})"),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{1,3}", "{2,}", "{0}"])).map(
            lambda two: f"({two[0]}){two[1]}"
        ),
    ),
    max_leaves=8,
)


@given(PATTERNS, st.lists(st.text("aab01é\U0001d11e.\n/ -", max_size=8), max_size=8))
def test_a_pattern_means_what_it_means_in_python(pattern: str, texts: list[str]) -> None:
    """What is in the language accepts exactly the texts that re.fullmatch accepts."""
    try:
        rule = Pattern(pattern)
    except ConfigurationError:
        return
    for text in texts:
        assert rule.automaton.accepts(text) == bool(re.fullmatch(pattern, text, re.ASCII)), text


@pytest.mark.parametrize(
    "pattern",
    ["(a+)+", "(a*)*", "(a|a)*", "(a|aa)+", "([a-zA-Z]+)*", r"(\w+\s?)+", "(.*a)*b", "(x+x+)+y", "(a|b|ab)*c",
     "(a|b)*a(a|b){14}", "(a{0,30}){0,250}", "((a{0,99}){0,99}){0,99}"],
)  # fmt: skip
def test_a_pattern_that_could_explode_is_refused(pattern: str) -> None:
    """A repeat that one text can go through in several ways, or too many states, is a configuration error."""
    with pytest.raises(ConfigurationError, match="pattern"):
        Pattern(pattern)


@pytest.mark.parametrize(
    "pattern",
    ["(", ")", "a)", "[", "[]", "[b-a]", "[a-\\d]", "[[:alpha:]]", "*", "a**", "a+?", "a*+", "a{2}{3}", "{",
     "}", "a{", "a{x}", "a{3,2}", "a{256}", "a{1,999}", "(?=a)", "(?!a)", "(?<=a)", "(?i)a", r"(a)\1",
     r"\bx", r"\Ax", r"x\Z", r"\x41", "\\", "a^b", "a$b", "(" * 40 + ")" * 40, "a" * 1025],
)  # fmt: skip
def test_what_is_not_in_the_language_is_refused(pattern: str) -> None:
    """Look-around, back references, lazy repeats, open brackets: each is named at construction."""
    with pytest.raises(ConfigurationError, match="pattern"):
        Pattern(pattern)


@pytest.mark.parametrize(
    ("pattern", "good", "bad"),
    [
        ("", "", "x"),
        ("^a$", "a", "a\n"),
        ("^a|b$", "b", "ab"),
        (r"a\$", "a$", "a"),
        (r"a\\$", "a\\", "a"),
        ("[]a]+", "a]", "b"),
        ("[a-]+", "-a", "b"),
        (r"[\]\-x]", "-", "\\"),
        ("([a-z0-9-]+\\.)*example\\.com", "a.b.example.com", "example.com.evil"),
        ("repo:org/[^:]+:ref:refs/heads/(main|release-.*)", "repo:org/x:ref:refs/heads/main", "repo:org/x:y"),
        ("[^/]{1,200}", "\U0001d11e" * 200, "é" * 201),
        (r"\w+", "a_1", "é"),
    ],
)
def test_patterns_of_use(pattern: str, good: str, bad: str) -> None:
    """Patterns as people write them stand for whole texts."""
    accepts = Pattern(pattern).automaton.accepts
    assert accepts(good)
    assert not accepts(bad)


def test_a_table_is_bounded() -> None:
    """The largest pattern that is taken has at most so many states."""
    assert len(Pattern("[^/]{1,200}").automaton.accepting) <= STATES_MAX
