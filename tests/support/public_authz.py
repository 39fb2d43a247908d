"""Good arguments for the public callables of rules after the verdict; see ``public_recipes``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from public_callables import exported
from rollouts import NOW_S, engine, good

from rapidjws.authz import Authorizer, HTTPRequest, Rule

P = exported()
Recipe = dict[str, Any]


RECIPES: dict[str, Callable[[], Recipe]] = {
    "Authorizer": lambda: {"rules": [Rule(name="a", any_token=True)]},
    "Authorizer.authorize": lambda: {
        "decision": engine().decide(good(), now=NOW_S),
        "request": HTTPRequest(path="/a"),
        "now": float(NOW_S),
    },
    "Authorizer.examine": lambda: {
        "decision": engine().decide(good(), now=NOW_S),
        "request": HTTPRequest(path="/a"),
        "now": float(NOW_S),
    },
    "Delegation": dict,
    "HTTPRequest": lambda: {"method": "GET", "path": "/a"},
    "Limit": lambda: {"at": "/a", "maximum": "1"},
    "Roles": lambda: {"claim": "roles", "all_of": ["a"]},
    "Rule": lambda: {"name": "a", "scopes": ["a"]},
    "Signers": lambda: {"all_of": ["a"]},
    "TimeWindow": dict,
}
OWNERS: dict[str, Callable[[], Any]] = {
    "Authorizer": lambda: Authorizer([Rule(name="a", any_token=True)]),
}
