"""Policies in Rego on many threads: the library lets no thread but one use or free what evaluates them."""

from __future__ import annotations

import gc
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from rules import said

pytest.importorskip("hobofan_regorus", reason="the extra `rego` is not installed")

import rapidjws
from rapidjws.authz import rego
from rapidjws.authz.rego import RegoPolicy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ACME = 'package p\nimport rego.v1\nallow if input.claims.tid == "acme"\nwrong := 1 / input.claims.zero\n'


@pytest.fixture
def complaints() -> Iterator[list[str]]:
    """Gather what the interpreter could only print: an evaluator that a foreign thread dropped."""
    found: list[str] = []
    before = sys.unraisablehook
    sys.unraisablehook = lambda told: found.append(str(told.exc_value))
    yield found
    gc.collect()
    sys.unraisablehook = before


def elsewhere(call: Callable[[], Any]) -> Any:
    """Return what a call gives on a thread of its own, which ends."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(call).result(60)


def asked(policy: RegoPolicy, **claims: Any) -> str:
    """Return what a rule of this policy says."""
    return said([{"name": "r", "policies": [policy]}], **claims)


def test_a_policy_decides_on_every_thread(complaints: list[str]) -> None:
    """Made on one thread, as a reload does, it permits and refuses on all others, many at a time."""
    for policy in (RegoPolicy(ACME, path="p/allow"), elsewhere(lambda: RegoPolicy(ACME, path="p/allow"))):
        assert asked(policy, tid="acme") == "ok"
        assert elsewhere(partial(asked, policy, tid="acme")) == "ok"
        assert elsewhere(partial(asked, policy, tid="other")) == "policy_refused"
        with ThreadPoolExecutor(8) as pool:
            waiting = [pool.submit(asked, policy, tid=tid) for tid in ["acme", "other"] * 40]
            found = [one.result(60) for one in waiting]
        assert found == ["ok", "policy_refused"] * 40
    assert complaints == []


@pytest.mark.parametrize("cyclic", [False, True], ids=["dropped", "collected"])
def test_a_policy_may_be_dropped_on_any_thread(complaints: list[str], cyclic: bool) -> None:
    """Whoever drops the last reference, or collects it as garbage, frees no evaluator of another thread."""
    kept: list[Any] = [RegoPolicy(ACME, path="p/allow")]
    assert asked(kept[0], tid="acme") == "ok"
    assert elsewhere(lambda: asked(kept[0], tid="acme")) == "ok"
    if cyclic:
        kept.append(kept)

    def drop() -> None:
        nonlocal kept
        kept = []
        gc.collect()

    elsewhere(drop)
    assert complaints == []


def test_an_error_may_be_dropped_on_any_thread(complaints: list[str]) -> None:
    """What is raised for a wrong policy holds no evaluator, nor do its traceback and context."""
    kept: list[BaseException] = []
    for source in ("package p\nallow if {", "package q\n", "package p\nallow := 1 / 0\nallow := 2"):
        with pytest.raises(rapidjws.ConfigurationError) as caught:
            RegoPolicy(source, path="p/allow")
        kept.append(caught.value)
        del caught
    elsewhere(kept.clear)
    elsewhere(gc.collect)
    assert complaints == []


def test_a_thread_frees_the_evaluators_of_policies_that_are_no_more(complaints: list[str]) -> None:
    """A hundred reloads leave one thread with the evaluators of the policies that there are."""

    def reload_often() -> int:
        for _ in range(100):
            asked(RegoPolicy(ACME, path="p/allow"), tid="acme")
        gc.collect()
        last = RegoPolicy(ACME, path="p/allow")
        assert asked(last, tid="acme") == "ok"
        return len(rego._EVALUATORS.made)

    assert elsewhere(reload_often) == 1
    assert complaints == []


def test_an_evaluator_that_failed_is_not_used_again(complaints: list[str]) -> None:
    """The question after a failed one has a new evaluator, on its own thread."""
    policy = RegoPolicy(ACME, path="p/wrong")

    def ask() -> bool:
        before = rego._EVALUATORS.of(policy._policy)
        with pytest.raises(RuntimeError, match="divide by zero"):
            policy._ask(b'{"claims":{"zero":0}}')
        return rego._EVALUATORS.of(policy._policy) is before

    assert ask() is False
    assert elsewhere(ask) is False
    assert complaints == []
