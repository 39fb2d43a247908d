"""The readiness of an engine: each required issuer has keys that may be used."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rapidjws.jwt.issuer import Issuer
    from rapidjws.verify.pipeline import Snapshot


def why_not_ready(snapshot: Snapshot, issuers: Mapping[str, Issuer]) -> dict[str, str]:
    """Return each required issuer that has no usable key in a snapshot, with the reason."""
    unavailable = snapshot.unavailable
    found: dict[str, str] = {}
    for number, keys in enumerate(snapshot.table.issuers):
        iss = snapshot.rules[number].iss
        issuer = None if iss is None else issuers.get(iss)
        if issuer is None or not issuer.required:
            continue
        if number in unavailable:
            found[issuer.name] = unavailable[number]
        elif not keys.is_usable and not getattr(issuer.keys, "on_demand", False):
            found[issuer.name] = "; ".join(keys.reasons())
    return found


def described(issuers: Sequence[Issuer], snapshot: Snapshot, not_ready: Mapping[str, str]) -> str:
    """Return an engine's issuers, keys and readiness in words; nothing secret."""
    names = [ascii(issuer.iss if issuer.iss is None else issuer.name) for issuer in issuers[:4]] + (
        ["..."] if len(issuers) > 4 else []
    )
    state = f"not ready: {', '.join(not_ready.values())}" if not_ready else "ready"
    return f"{', '.join(names)}: {len(snapshot.slots)} keys, {state}"
