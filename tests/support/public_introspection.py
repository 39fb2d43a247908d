"""Good arguments for the public callables of introspection; see ``public_recipes``."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from rapidjws.introspection import Introspection, IntrospectionClient

Recipe = dict[str, Any]


@functools.cache
def client() -> IntrospectionClient:
    """Return a client whose server says that each token is active."""
    return IntrospectionClient(**arguments())


def arguments() -> Recipe:
    """Return what a client is made of."""
    return {
        "url": "https://as.example/introspect",
        "client_id": "gateway",
        "client_secret": "secret",
        "post": lambda *_: (200, b'{"active": true}'),
    }


OWNERS: dict[str, Callable[[], Any]] = {"IntrospectionClient": client}
RECIPES: dict[str, Callable[[], Recipe]] = {
    "Introspection": lambda: {"client": client(), "issuers": "https://as.example"},
    "IntrospectionClient": arguments,
    "IntrospectionClient.ask": lambda: {"token": "2YotnFZFEjr1zCsicMWpAA"},
    "IntrospectionLimits": dict,
    "IntrospectionServers": lambda: {"servers": Introspection(client(), issuers="https://as.example")},
}
