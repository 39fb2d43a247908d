"""Invariant 20: every public callable refuses a value of the wrong type or meaning, by its parameter."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import math
from pathlib import Path
from typing import Any

import pytest
from public_callables import Public, public_callables
from public_not_walked import CALLED_HERE, MADE_HERE
from public_recipes import OWNERS, RECIPES

import rapidjws
from rapidjws import CODES, Decision, DependencyUnavailable, KeyRefused, RapidJWSError, Rejected
from rapidjws.diagnose import Report
from rapidjws.errors import RolloutRefused

WRONG: tuple[Any, ...] = (
    None,
    "false",
    "",
    "x",
    b"x",
    b"",
    1.5,
    [],
    {},
    object(),
    True,
    -1,
    2**80,
    10**400,
    math.nan,
    math.inf,
    ["x", 1],
    {"a": 1},
    {1: "a"},
    (),
    int,
    "\ud800",
)
# what takes several forms and checks them itself: here only the errors are held, not what is taken
OWN_FORMS = {
    "algorithms", "audience", "audiences", "required", "required_claims", "crit", "other_issuers", "iss",
    "typ", "show_claims", "values", "pattern", "tenants", "claims",
}  # fmt: skip
EXPECTED = {
    "JWK.from_der": (KeyRefused,),
    "JWK.from_pem": (KeyRefused,),
    "CachedJWKSVerifier.verify": (RapidJWSError,),  # nobody serves its keys
    "RedisRevocations.add": (DependencyUnavailable,),  # nor is there a Redis
    "RedisRevocations.remove": (DependencyUnavailable,),
    "Pkcs11KeyMaker": (DependencyUnavailable, ImportError),
    "Pkcs11KeyMaker.make": (DependencyUnavailable,),
    "Pkcs11KeyMaker.remove": (DependencyUnavailable,),
    "Pkcs11KeyMaker.signer": (DependencyUnavailable, ImportError),
    "Pkcs11Signer": (DependencyUnavailable, ImportError),
    "RedisStateStore.swap": (DependencyUnavailable,),
    "RedisRotations.announce": (DependencyUnavailable,),
    "RedisRotations.confirmed": (DependencyUnavailable,),
    "SequencerClient.erase": (DependencyUnavailable,),  # no sequencer listens
    "RemoteSigner": (DependencyUnavailable,),  # nor a signing service
    "VaultSigner": (DependencyUnavailable, ImportError),
    "Rollout.rollback": (RolloutRefused,),
}
NAMES = {"partner", "route"}  # any text: nobody's name, and a route that nobody can read
EMPTY_IS_NOTHING = {"scopes", "wait_s"}  # on the way of a token, where a check of nothing would cost


@pytest.fixture(autouse=True)
def folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what takes any text for a path write here."""
    monkeypatch.chdir(tmp_path)


def is_error(one: Public) -> bool:
    """Say whether a callable makes an error; error_for makes them from the table."""
    return isinstance(one.call, type) and issubclass(one.call, RapidJWSError)


ALL = public_callables()
WALKED = [one for one in ALL if one.name not in {*MADE_HERE, *CALLED_HERE} and not is_error(one)]
CASES = [
    pytest.param(one, parameter, id=f"{one.name}-{parameter.name}")
    for one in WALKED
    for parameter in one.parameters
]


def call(one: Public, owner: Any, given: dict[str, Any]) -> Any:
    """Call a public callable with arguments by name, and await or close what it gives."""
    target = one.call if owner is None else getattr(owner, one.name.rpartition(".")[2])
    first: list[Any] = []
    for parameter in one.parameters:
        if parameter.kind is parameter.VAR_POSITIONAL and parameter.name in given:
            first = [*(given.pop(name) for name in list(given) if name in before(one, parameter)),
                     given.pop(parameter.name)]  # fmt: skip
    result = target(*first, **given)
    if inspect.isawaitable(result):
        result = asyncio.run(asyncio.wait_for(result, 60))  # type: ignore[arg-type]
    close = getattr(result, "close", None)
    if owner is None and callable(close):
        close()
    return result


def before(one: Public, last: inspect.Parameter) -> list[str]:
    """Return the parameters that stand before another one."""
    return [parameter.name for parameter in one.parameters[: one.parameters.index(last)]]


def is_refusal(result: Any) -> bool:
    """Say whether a result that was returned is a refusal: of those that never raise."""
    if isinstance(result, Decision):
        return result.outcome != "permit"
    if isinstance(result, Report):
        return result.code in CODES
    many = isinstance(result, list) and bool(result)
    return isinstance(result, Rejected) or (many and all(map(is_refusal, result)))


@pytest.mark.parametrize(("one", "parameter"), CASES)
def test_a_wrong_argument_is_refused_by_name(one: Public, parameter: inspect.Parameter) -> None:
    """Only errors of this package, or a TypeError that names the parameter; no other type passes."""
    name = parameter.name
    fits = one.rule(parameter).fits
    owner = None if one.owner is None else OWNERS[one.name.rpartition(".")[0]]()
    is_function = "a function" in one.rule(parameter).words
    for value in WRONG:
        if is_function and callable(value):
            continue
        given = {**RECIPES[one.name](), name: value}
        try:
            result = call(one, owner, given)
        except RapidJWSError:
            continue
        except TypeError as refused:
            wrong = None if name in str(refused) else refused
            if wrong is not None:
                pytest.fail(f"{name}={value!r}: {wrong}")
            continue
        except OSError:
            if name != "payload" or not isinstance(value, str):  # a path
                raise
            continue
        nothing = (name in EMPTY_IS_NOTHING and not value) or (name in NAMES and value == "\ud800")
        is_right = name in OWN_FORMS or nothing or fits(value) or is_refusal(result)
        assert is_right, f"{name}={value!r} gave {result!r}"


@pytest.mark.source_tree  # what docs and examples import is public too
def test_every_public_callable_is_walked() -> None:
    """What is exported or documented has a recipe here, or is one that only this package makes."""
    names = {one.name for one in WALKED}
    assert names - RECIPES.keys() == set(), "add recipes to tests/support/public_recipes.py"
    assert RECIPES.keys() - names == set(), "recipes for what is public no more"
    assert {*MADE_HERE, *CALLED_HERE} - {one.name for one in ALL} == set()
    owners = {one.name.rpartition(".")[0] for one in WALKED if one.owner is not None}
    assert owners - OWNERS.keys() == set()
    assert len(WALKED) >= 130
    assert len(CASES) >= 480


@pytest.mark.parametrize("one", WALKED, ids=lambda one: one.name)
def test_the_recipe_is_good(one: Public) -> None:
    """The good arguments are taken, or refused for what they say; never as of a wrong type."""
    owner = None if one.owner is None else OWNERS[one.name.rpartition(".")[0]]()
    with contextlib.suppress(*EXPECTED.get(one.name, ())):
        call(one, owner, RECIPES[one.name]())


def test_S13_unknown_settings_are_refused_by_name() -> None:
    """A misspelled keyword is a TypeError that names it, also where keywords are handed on."""
    for one in WALKED:
        owner = None if one.owner is None else OWNERS[one.name.rpartition(".")[0]]()
        if any(p.kind is p.VAR_KEYWORD and "Unpack" not in str(p.annotation)
               for p in inspect.signature(one.call).parameters.values()):  # fmt: skip
            continue
        with pytest.raises((TypeError, RapidJWSError), match="misspelled_s"):
            call(one, owner, {**RECIPES[one.name](), "misspelled_s": 1})


def test_nothing_truthy_is_a_switch() -> None:
    """Every parameter that is True or False by its annotation takes nothing else."""
    taken = []
    switches = [case.values for case in CASES if case.values[0].rule(case.values[1]).words == "True or False"]
    assert len(switches) >= 36
    for one, parameter in switches:
        owner = None if one.owner is None else OWNERS[one.name.rpartition(".")[0]]()
        for value in ("false", 0, 1, None, []):
            try:
                call(one, owner, {**RECIPES[one.name](), parameter.name: value})
            except (RapidJWSError, TypeError) as refused:
                if parameter.name not in str(refused):
                    taken.append(f"{one.name}: {refused}")
            else:
                if one.name != "diagnose":  # never raises; see below
                    taken.append(f"{one.name}: {parameter.name}={value!r}")
    assert taken == []


def test_a_report_shows_a_token_on_true_alone() -> None:
    """Nothing truthy makes a report hold what can be replayed."""
    good = RECIPES["diagnose"]()
    for value in ("false", 1, [1], None, 0):
        assert good["token"] not in rapidjws.diagnose(**good, show_token=value).to_json()
    assert good["token"] in rapidjws.diagnose(**good, show_token=True).to_json()


@pytest.mark.parametrize("partner", [b"acme", ("acme", 1), ["acme"], 1, ("acme", b"x")])
def test_a_partner_that_is_no_text_is_not_nobody(partner: Any) -> None:
    """Octets of a header name no partner; who is nobody may get a milder stage, so nothing is decided."""
    good = RECIPES["Engine.decide"]()
    engine = OWNERS["Engine"]()
    for rollout in (None, OWNERS["Rollout"]()):
        engine.rollout = rollout
        for place in ("partner", "route"):
            decision = engine.decide(**good, **{place: partner})
            if place == "partner" or rollout is None:
                assert (decision.outcome, decision.code) == ("indeterminate", "internal_error")
            assert getattr(decision, place) is None
