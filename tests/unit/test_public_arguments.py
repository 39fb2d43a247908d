"""Invariant 20: public constructors and functions refuse a value of the wrong type, by its parameter."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import rapidjws
from rapidjws import JWK, Engine, Issuer, JWKSet, RapidJWSError, Replay, Revocation, Verifier
from rapidjws._checks import rule_of
from rapidjws.keys import (
    FileJWKS,
    Freshness,
    KeptVerifier,
    RemoteJWKS,
    RotatedHook,
    Transport,
    UnknownKids,
)
from rapidjws.signing import JWTBuilder, LocalSigner, Signature, sign_compact, sign_flattened, sign_general
from rapidjws.stores import MemoryReplayStore
from rapidjws.testing import make_key

KEY = make_key("ES256", kid="k")
SIGNER = LocalSigner(KEY)
URL = "https://issuer.example/jwks.json"
ISSUER = Issuer("https://issuer.example", keys=KEY.public(), algorithms=["ES256"])
WRONG: tuple[Any, ...] = (
    None,
    "false",
    b"x",
    1.5,
    [],
    {},
    object(),
    True,
    -1,
    math.nan,
    10**400,
    "",
    ["x", 1],
    {"a": 1},
    int,
    "\ud800",
)
# callable -> arguments that it takes; each parameter in turn is given every wrong value
GOOD: dict[Callable[..., Any], dict[str, Any]] = {
    Engine: {"issuers": ISSUER},
    Verifier: {"keys": KEY.public(), "algorithms": ["ES256"]},
    Issuer: {"iss": "https://issuer.example", "keys": KEY.public(), "algorithms": ["ES256"]},
    Replay: {"store": MemoryReplayStore()},
    Revocation: {"kid": "k"},
    JWK.from_json: {"data": KEY.public().as_dict()},
    JWK.from_secret: {"secret": "x" * 40},
    JWKSet.from_json: {"data": {"keys": []}},
    LocalSigner: {"key": KEY},
    JWTBuilder: {"signer": SIGNER, "iss": "x"},
    Signature: {"signer": SIGNER},
    sign_compact: {"payload": b"x", "signer": SIGNER},
    sign_flattened: {"payload": b"x", "signer": SIGNER},
    sign_general: {"payload": b"x", "signatures": [Signature(signer=SIGNER)]},
    Freshness: {},
    UnknownKids: {},
    Transport: {},
    RemoteJWKS: {"url": URL},
    FileJWKS: {"path": Path("nowhere.json")},
    RotatedHook: {"sources": {}, "secret": "x" * 40},
    KeptVerifier: {"url": URL, "kept": Path("nowhere.json"), "algorithms": ["ES256"]},
}
# what takes several forms and checks them itself: here only the errors are held, not what is taken
OWN_FORMS = {"keys", "algorithms", "audience", "required_claims", "crit", "data", "fetch"}


def cases() -> list[Any]:
    """Return each parameter of each callable."""
    found = []
    for call in GOOD:
        for name, parameter in inspect.signature(call).parameters.items():
            if parameter.kind is not parameter.VAR_KEYWORD:
                label = getattr(call, "__qualname__", str(call))
                found.append(pytest.param(call, parameter, id=f"{label}-{name}"))
    return found


def hint_of(call: Callable[..., Any], name: str) -> Any:
    """Return the evaluated annotation of a parameter."""
    import collections.abc
    import typing

    function: Any = call.__init__ if isinstance(call, type) else call  # type: ignore[misc]
    plain = inspect.unwrap(function)
    common = {one: getattr(collections.abc, one) for one in collections.abc.__all__}
    common |= {"Any": Any, "Fetch": Any}
    return typing.get_type_hints(plain, localns=common).get(name, Any)


@pytest.mark.parametrize(("call", "parameter"), cases())
def test_a_wrong_type_is_refused_by_name(call: Callable[..., Any], parameter: inspect.Parameter) -> None:
    """Only errors of this package, or a TypeError that names the parameter; no other type passes."""
    name = parameter.name
    fits = None if name in OWN_FORMS else rule_of(hint_of(call, name)).fits
    for value in WRONG:
        try:
            if parameter.kind is parameter.VAR_POSITIONAL:
                call(value)
            else:
                given = {**GOOD[call], name: value}
                first = [given.pop("issuers")] if "issuers" in given else []
                call(*first, **given)
        except RapidJWSError as refused:
            said, wanted = refused.as_dict(), ""
        except TypeError as refused:
            said, wanted = {"text": str(refused)}, name
        else:
            assert fits is None or fits(value), f"{name}={value!r} was taken"
            continue
        assert wanted in str(said.get("text", ""))


def test_nothing_truthy_is_a_switch() -> None:
    """Every parameter that is True or False by its annotation is walked above, and takes nothing else."""
    switches = [
        (call, name)
        for call in GOOD
        for name in inspect.signature(call).parameters
        if name not in OWN_FORMS and hint_of(call, name) is bool
    ]
    assert len(switches) >= 14
    for call, name in switches:
        for value in ("false", 0, 1, None, []):
            given = {**GOOD[call], name: value}
            first = [given.pop("issuers")] if "issuers" in given else []
            with pytest.raises(RapidJWSError) as caught:
                call(*first, **given)
            assert caught.value.place == name


def test_every_public_constructor_with_settings_is_walked_or_listed() -> None:
    """A class that is public in the package's root is in the walk, or is one that only this package makes."""
    made_here = {
        "Backends",
        "Decision",
        "Event",
        "Rejected",
        "SignaturePolicy",
        "SignatureResult",
        "VerifiedJWS",
    }
    plain = {"JWK", "JWKSet", "TokenCache"}
    classes = {
        name
        for name in rapidjws.__all__
        if isinstance(one := getattr(rapidjws, name), type) and not issubclass(one, Exception)
    }
    walked = {call.__name__ for call in GOOD if isinstance(call, type)}
    assert classes - walked == made_here | plain
