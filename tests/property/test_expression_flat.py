"""Expressions whose members are variables say what they say with maps, on whatever a request holds."""

from __future__ import annotations

import random
from typing import Any

import pytest
from rollouts import NOW_S, engine, good

pytest.importorskip("cel", reason="the extra `cel` is not installed")
import cel

from rapidjws.authz.expression import Expression
from rapidjws.authz.facts import Facts
from rapidjws.authz.request import HTTPRequest

ENGINE = engine()
VALUES: tuple[Any, ...] = (
    "a", "b", "", "a b", 0, 1, -1, 2**63 - 1, 1.0, 0.5, True, False, None, [], ["a"], [1], [["a"]], {},
    {"a": "a"}, {"a": {"b": 1}}, "GET", "api.example", "/p",
)  # fmt: skip
ATOMS = (
    "claims.x == {v}", "claims.x != {v}", "has(claims.x)", "!has(claims.x)", "has(claims.x.a)",
    "claims.x.a == {v}", "{v} in claims.x", "claims.x in [{v}, 1]", "claims.x == claims.y",
    "claims . y == {v}", "claims.x == header['h']", "'h' in header", "!('h' in header)", "!'h' in header",
    "'h' in header == true", "'a' + 'h' in header", "header['h'] == {v}", "header['i'].startsWith('a')",
    "request.method == 'GET'", "request.path.contains('p')", "request.host == claims.x",
    "has(request.host)", "claims.x.exists(v0_, v0_ == {v})", "size(claims.x) > 0",
    "claims.x.all(e, e in claims.y)", "claims.x[0] == {v}", "claims.x['a'] == {v}", "partner == {v}",
    "claims.x > 0", "[1].exists(claims, claims == 1)", "claims == {{}}", "'x' in claims",
    "claims['x'] == {v}", "-claims.x < 0", "request == {{}}", "'claims.x' == 'claims.x'",
    "(claims.x ? 1 : 2) == 1", "claims.x.filter(e, e == {v}).size() > 0",
)  # fmt: skip
TEXTS = ("'a'", "'b'", "1", "true", "null", "'GET'")


def some(source: random.Random) -> str:
    """Return a random expression."""
    pick = source.choice
    made = pick(ATOMS).format(v=pick(TEXTS))
    for _ in range(source.choice((0, 1, 1, 2))):
        other = pick(ATOMS).format(v=pick(TEXTS))
        made = pick(("{0} && {1}", "{0} || {1}", "({0}) && !({1})", "{0} ? {1} : {0}")).format(made, other)
    return made


def with_maps(source: str, facts: Facts, one: Expression) -> str:
    """Return what the expression says as it is written, with all that there is in maps."""
    program = cel.compile(source)
    sent = {
        name: values[0].decode() for name in ("h", "i") if (values := facts.request.headers(name.encode()))
    }
    held = {"path": "/p"}
    held |= {"method": "GET"} if one.reads_method else {}
    held |= {"host": "api.example"} if one.reads_host else {}
    named = {name.decode() for name in one.header_fields}
    values = {"claims": dict(facts.claims), "header": {name: sent[name] for name in sent if name in named},
              "request": held, "partner": ""}  # fmt: skip
    try:
        found = program.execute({name: values[name] for name in program.variables() if name in values})
    except BaseException:
        return "policy_unavailable"
    return "ok" if found is True else "policy_refused" if found is False else "policy_unavailable"


@pytest.mark.parametrize("count", [1_500, pytest.param(100_000, marks=[pytest.mark.long])])
def test_a_variable_for_a_member_says_what_the_map_says(count: int) -> None:
    """Errors, types, missing members, short circuits and names that macros bind are the same."""
    source, seen = random.Random(19), dict.fromkeys(("ok", "policy_refused", "policy_unavailable"), 0)
    decisions = [
        ENGINE.decide(
            good(**{name: source.choice(VALUES) for name in "xy" if source.random() < 0.8}), now=NOW_S
        )
        for _ in range(60)
    ]
    refused = 0
    for _ in range(count):
        text = some(source)
        try:
            one = Expression(text)
        except Exception:
            refused += 1
            continue
        verified = source.choice(decisions).verified
        assert verified is not None
        headers = {name: source.choice(("a", "b")) for name in "hi" if source.random() < 0.7}
        request = HTTPRequest(method="GET", path="/p", host="api.example", headers=headers)
        facts = Facts(verified, request, None, NOW_S, None)
        facts.path = "/p"
        unmet = one.check()(facts)
        found = "ok" if unmet is None else unmet.code
        assert found == with_maps(text, facts, one), (text, facts.claims, headers)
        seen[found] += 1
    assert min(seen.values()) > count // 50
    assert refused < count * 3 // 4
