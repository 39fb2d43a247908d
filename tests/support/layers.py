"""The layers of the package, which the layering test holds and ARCHITECTURE.md shows."""

from __future__ import annotations

# Lowest first. A package may import its own row and the rows above it in this list.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("_shown", "_audit_codes", "_authorization_codes"),
    ("_change_codes", "_sender_codes", "_nonce_codes", "_introspection_codes", "_area_codes"),
    (
        "_checks",
        "_files",
        "_inputs",
        "_lazy",
        "_listeners",
        "_locks",
        "_loggers",
        "_protobuf",
        "_queues",
        "_scheduler",
        "_secret_frames",
        "_version",
        "errors",
        "escaping",
    ),
    ("_native",),
    ("jose",),
    ("verify",),
    ("jws", "jwt", "signing"),
    ("keys", "stores"),
    ("issuing", "sender", "signals", "introspection", "statuslist"),
    ("observe", "attest", "audit", "bulk", "signedlog"),
    ("rollout",),
    ("authz",),
    ("config",),
    ("middleware", "sidecar", "diagnose", "contract", "testing", "compat"),
    ("gameday",),
    ("cli",),
)
