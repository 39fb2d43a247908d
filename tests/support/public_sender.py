"""Good arguments for the public callables of sender-constrained tokens; see ``public_recipes``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rapidjws.sender import ClientCertificate, DPoP, SenderConstraints, SenderRequest

Recipe = dict[str, Any]
ORIGIN = "https://api.example"


def constraints() -> SenderConstraints:
    """Return both checks."""
    return SenderConstraints(
        dpop=DPoP(external_origins=ORIGIN), mtls=ClientCertificate(trusted_peers="127.0.0.1")
    )


OWNERS: dict[str, Callable[[], Any]] = {"SenderConstraints": constraints}
RECIPES: dict[str, Callable[[], Recipe]] = {
    "ClientCertificate": lambda: {"trusted_peers": "127.0.0.1"},
    "DPoP": lambda: {"external_origins": ORIGIN},
    "DPoPNonces": lambda: {"secrets": [b"s" * 32]},
    "SenderConstraints": lambda: {"dpop": DPoP(external_origins=ORIGIN)},
    "SenderConstraints.check": lambda: {"request": SenderRequest(b"a.b.c")},
}
