"""The work of policies in this process: bounded where they are loaded, or undecided where it is too much."""

from __future__ import annotations

from typing import Any

import pytest
from rules import said

import rapidjws
from rapidjws.authz import work_bound
from rapidjws.authz.work_bound import OVER, WorkBound

pytest.importorskip("cel", reason="the extra `cel` is not installed")
pytest.importorskip("hobofan_regorus", reason="the extra `rego` is not installed")
pytest.importorskip("cedarpy", reason="the extra `cedar` is not installed")

from rapidjws.authz.cedar import CedarPolicy
from rapidjws.authz.expression import Expression
from rapidjws.authz.expression_text import LIST_MAX, LIST_MAX_BUILDING, LIST_MAX_SQUARED, list_max
from rapidjws.authz.rego import RegoPolicy

COSTLY = [
    ("claims.l.all(x, x.matches('a'))", "line 1, column 19: no matches within a macro"),
    ("claims.s.matches(claims.p)", "a constant pattern"),
    ("claims.s.matches('a' + claims.p)", "a constant pattern"),
    ("claims.s.matches(claims.p + 'a')", "a constant pattern"),
    ("matches(claims.s, claims.p)", "a constant pattern"),
    (r"claims.s.matches('\x5cw{50}')", "a constant pattern"),
    (r"claims.s.matches('\\w{20}')", "a short pattern"),
    (r"claims.s.matches('[a\\w]{20}')", "a short pattern"),
    ("claims.s.matches('(ab){20}')", "a short pattern"),
    ("claims.s.matches('a{1000}')", "a short pattern"),
    ("claims.s.matches('a{1,1000}')", "a short pattern"),
    (r"claims.s.matches('\\p{L}+')", "a short pattern"),
    (r"claims.s.matches('\\w+\\w+\\w+\\w+\\w+')", "a short pattern"),
    ("claims.s.matches('(?i)a')", "a short pattern"),
    (f"claims.s.matches('{'a' * 65}')", "a short pattern"),
    (" || ".join(["claims.s.matches('a')"] * 3), "at most 2 matches"),
    (" || ".join(["claims.l.exists(x, x == 1)"] * 9), "at most 8 macros"),
    ("claims.l.map(x, claims.l).size() == 1", "line 1, column 17: only its own variable within map"),
    ("claims.l.all(x, // )\n x == 1)", "line 1, column 17: no comments"),
]


@pytest.mark.parametrize(("source", "words"), COSTLY)
def test_an_expression_whose_work_is_not_bounded_is_not_loaded(source: str, words: str) -> None:
    """A pattern of the token's, one that is slow to read, and what grows with the square of a list."""
    with pytest.raises(rapidjws.ConfigurationError) as caught:
        Expression(source)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("source", "most"),
    [
        ("claims.l.all(x, x != 'b')", LIST_MAX),
        ("claims.l.exists(x, x in claims.m)", LIST_MAX_SQUARED),
        ("claims.l.all(x, x != request.path)", LIST_MAX_SQUARED),
        ("claims.l.filter(x, x != 'b').size() > 0", LIST_MAX_BUILDING),
        ("claims.l.map(x, x).size() > 0", LIST_MAX_BUILDING),
        ("claims.l.size() > 0", None),
    ],
)
def test_a_list_that_is_too_long_for_an_expression_is_undecided(source: str, most: int | None) -> None:
    """How long a list may be depends on what is done for each item."""
    assert list_max(source) == most
    rule = {"name": "r", "policies": [Expression(source)]}
    if most is None:
        assert said([rule], l=[0] * 2000) == "ok"
        return
    wanted = "policy_refused" if " in " in source else "ok"
    assert said([rule], l=[0] * most, m=[1]) == wanted
    assert said([rule], l=[0] * (most + 1), m=[1]) == "policy_unavailable"


def test_patterns_that_are_quick_to_read_are_taken() -> None:
    """A plain pattern, counted characters, and a quote are fine."""
    for source in (
        r"claims.s.matches('^[a-z]{2,12}-\\d+$')",
        r'claims.s.matches("a\"?")',
        "claims.s.matches('.*')",
    ):
        Expression(source)
    rule = {"name": "r", "policies": [Expression(r"claims.s.matches('^[a-z]{2,12}-\\d+$')")]}
    assert said([rule], s="ab-1") == "ok"
    assert said([rule], s="ab-x") == "policy_refused"


def burnt(given: Any) -> Any:
    """Take more than a millisecond of a processor."""
    return sum(range(1_000_000)) and given


def test_an_evaluation_that_takes_too_long_is_undecided_and_so_are_inputs_as_large(monkeypatch: Any) -> None:
    """Smaller inputs go on; after ten times as long larger ones are evaluated again."""
    moment = [10**12]
    monkeypatch.setattr(work_bound, "monotonic_ns", lambda: moment[0])
    bound, calls = WorkBound("rego", 1024, 0.001), []

    def quick(given: Any) -> Any:
        calls.append(given)
        return given

    assert bound.run(1024, quick, True) is True
    assert bound.run(1025, quick, True) is OVER
    assert bound.run(500, burnt, True) is OVER
    assert bound.run(500, quick, True) is bound.run(600, quick, True) is OVER
    assert bound.run(499, quick, True) is True
    assert len(calls) == 2
    moment[0] += 60 * 10**9
    assert bound.run(600, quick, True) is True


def test_an_evaluation_that_fails_late_counts_as_well() -> None:
    """Its time was spent all the same."""
    bound = WorkBound("cedar", 1024, 0.001)
    with pytest.raises(ZeroDivisionError):
        bound.run(10, lambda given: burnt(given) / 0, 1)
    assert bound.run(10, lambda given: given, True) is OVER


SLOW = """
package p
import rego.v1
default allow := false
allow if input.claims.quick
allow if count([1 | some x in numbers.range(1, 100000); x > 0]) > 1
"""


def test_a_policy_in_rego_that_takes_too_long_is_undecided() -> None:
    """Its answer comes too late to count, also where it would permit."""
    assert said([{"name": "r", "policies": [RegoPolicy(SLOW, path="p/allow", max_cpu_s=10)]}]) == "ok"
    rule = {"name": "r", "policies": [RegoPolicy(SLOW, path="p/allow", max_cpu_s=0.001)]}
    assert said([rule]) == "policy_unavailable"


@pytest.mark.parametrize(
    "made",
    [
        lambda: RegoPolicy("package p\na := true", path="p/a", max_input_bytes=2048),
        lambda: CedarPolicy("permit(principal,action,resource);", max_input_bytes=2048),
    ],
)
def test_an_input_that_is_too_large_is_undecided(made: Any) -> None:
    """What a policy makes of a large token is not tried."""
    rule = {"name": "r", "policies": [made()]}
    assert said([rule], sub="ann", pad="x" * 100) == "ok"
    assert said([rule], sub="ann", pad="x" * 2048) == "policy_unavailable"


@pytest.mark.parametrize("setting", [{"max_input_bytes": 255}, {"max_input_bytes": 2**21}, {"max_cpu_s": 0.0},
                                     {"max_cpu_s": 11.0}])  # fmt: skip
def test_bounds_are_checked_at_construction(setting: dict[str, Any]) -> None:
    """A bound that bounds nothing is an operator's mistake."""
    for made in (lambda: RegoPolicy("package p\na := true", path="p/a", **setting),
                 lambda: CedarPolicy("permit(principal,action,resource);", **setting)):  # fmt: skip
        with pytest.raises(rapidjws.ConfigurationError, match=next(iter(setting))):
            made()
