"""Two issuers that a registry looks up, and tokens of them."""

from __future__ import annotations

import json
from typing import Any

from rapidjws import Issuer, IssuerRegistry, RapidJWSError
from rapidjws.signing import LocalSigner, sign_compact
from rapidjws.testing import make_key

NOW_S = 1_800_000_000
AUD = "https://api.example"
A, B = "https://a.example", "https://b.example"


class World:
    """Issuers that are looked up, and tokens of them.

    Args:
        kid: The kid of every key, or None for one each.
    """

    def __init__(self, kid: str | None = "1") -> None:
        self.keys = {name: make_key("ES256", kid=kid or f"of-{name[8]}") for name in (A, B)}
        self.issuers = {name: self._issuer(name) for name in self.keys}
        self.lookups: list[str] = []

    def _issuer(self, name: str) -> Issuer:
        return Issuer(name, keys=self.keys[name].public(), algorithms=["ES256"], audience=AUD)

    def look_up(self, name: str) -> Issuer | None:
        """Return an issuer as it is now."""
        self.lookups.append(name)
        return self.issuers.get(name)

    def token(self, name: str, key: str | None = None, **claims: Any) -> str:
        """Return a token of an issuer, by the key of another one where that is named."""
        made = {"iss": name, "aud": AUD, "exp": NOW_S + 60, "sub": "user-1", **claims}
        return sign_compact(json.dumps(made).encode(), LocalSigner(self.keys[key or name]))


def code(engine: IssuerRegistry, token: Any) -> str:
    """Return "ok", or the code of the refusal."""
    try:
        engine.verify(token, NOW_S)
    except RapidJWSError as refused:
        return refused.code
    return "ok"
