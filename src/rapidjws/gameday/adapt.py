"""A configuration as an exercise uses it: the same rules; issuers, stores, state and ports of its own."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

OURS: Final[dict[str, Any]] = {
    "issuers": [
        {"iss": "https://issuer.example", "algorithms": ["ES256"], "audience": ["https://api.example"]},
        {"iss": "https://other.example", "algorithms": ["ES256"], "audience": ["https://api.example"]},
    ],
    "partners": [{"name": "shop", "issuers": ["https://issuer.example"]}],
}
"""What is exercised with where no configuration is given."""

_SOURCE: Final = ("jwks_file", "last_good_file", "ca", "refuse_private_addresses")
_LEFT_OUT: Final = ("notices", "shadow")
_SERVER_KEPT: Final = ("max_header_bytes", "max_body_bytes", "token_header", "token_scheme", "realm")


LIVES: Final = {
    "default_ttl_s": 300.0, "min_ttl_s": 60.0, "max_ttl_s": 300.0, "stale_limit_s": 21_600.0,
    "cooldown_s": 30.0, "retry_min_s": 0.25, "retry_max_s": 1.5, "retry_outage_max_s": 1.5,
    "negative_ttl_s": 300.0, "budget_period_s": 3600.0,
}  # fmt: skip
"""Times of an issuer that a scale shortens, with their defaults, in seconds."""

LIFE_MIN_S: Final = 0.1


def shorten(tables: dict[str, Any], scale: float) -> None:
    """Divide the times of every issuer by a scale."""
    for table in tables["issuers"]:
        for name, default in LIVES.items():
            table[name] = max(table.get(name, default) / scale, LIFE_MIN_S)


def adapted(
    tables: Mapping[str, Any] | None,
    serve: Callable[[Mapping[str, Any]], str],
    *,
    port: int,
    redis_port: int,
) -> dict[str, Any]:
    """Return a configuration for a sidecar of its own.

    Args:
        tables: The configuration to exercise with, or None.
        serve: Serves the keys of an issuer's table, and returns their address.
        port: Where the sidecar listens.
        redis_port: Where its Redis listens; 0 for none.
    """
    found = copy.deepcopy(dict(tables or OURS))
    for name in _LEFT_OUT:
        found.pop(name, None)
    for table in found["issuers"]:
        for name in _SOURCE:
            table.pop(name, None)
        table |= {"jwks_url": serve(table), "insecure_allow_http": True}
        if not redis_port:
            table.pop("replay", None)
    found["engine"] = {**found.get("engine", {}), "skew_every": 1}
    found["revocations"] = {"file": "revocations.json"}
    found.pop("replay", None)
    if redis_port:
        found["replay"] = {"redis": f"redis://127.0.0.1:{redis_port}/0"}
        found["issuers"][0]["replay"] = True
    rollout = {
        **found.get("rollout", {}),
        "state": "state",
        "phase": "enforcement",
        "unattributed": "strictest",
    }
    found["rollout"] = {name: value for name, value in rollout.items() if name != "enforce_on"}
    server = {name: value for name, value in found.get("server", {}).items() if name in _SERVER_KEPT}
    found["server"] = {
        **server,
        "listen": f"127.0.0.1:{port}",
        "admin_listen": "unix:admin.sock",
        "hook_secret_file": "hook-secret",
        "workers": 2,
        "partner_header": "X-Partner",
        "drain_s": 2.0,
    }
    return found
