"""Good settings of ``signals`` and ``introspection``, and what they and ``mtls`` must refuse."""

from __future__ import annotations

from typing import Any, Final

FILE: Final = ["absent", "absent/absent", "a\0b"]
ANY: Final[list[Any]] = []
_ISS: Final = "https://a.example"

GOOD: Final[dict[str, Any]] = {
    "introspection": {
        "url": "https://a.example/introspect",
        "client_id": "gateway",
        "client_secret_file": "/etc/hostname",  # a file of one line that is there everywhere
        "issuers": [_ISS],
        "opaque_issuer": _ISS,
    },
    "status_lists": {"lists": {"https://a.example/statuslists/1": _ISS}},
    "signals": {"issuers": [_ISS], "audience": [_ISS], "poll_url": "https://a.example/poll"},
}
REFUSED: Final[dict[str, dict[str, list[Any]]]] = {
    "introspection": {
        "url": ["", "a.example", "http://a.example/introspect", "https://u:p@a.example/"],
        "client_id": [""],
        "client_secret_file": FILE,
        "client_auth": ["", "digest"],
        "client_key_file": FILE,
        "client_certificate_file": FILE,
        "servers": [[], [{}], [{"name": "a"}], [{"name": "a", "url": "https://a.example/i", "uri": 1}]],
        "issuers": ["https://b.example"],
        "routes": ["payments"],
        "scopes": ANY,
        "audience": ANY,
        "opaque_issuer": [""],
        "signed_by": ["https://b.example", ""],
        "on_failure": ["", "accept"],
        "ca": FILE,
        "leeway_s": [-1, 301],
        "timeout_s": [0, -1],
        "cache_s": [-1, 3601],
        "negative_cache_s": [-1, 3601],
        "breaker_s": [0, 301],
        "max_entries": [0, 1_000_001],
        "lookups_per_minute": [0, 1_000_001],
        "max_concurrent": [0, 257],
        "max_waiting": [0, 257],
        "breaker_failures": [0, 1001],
        "refuse_private_addresses": ANY,
        "insecure_allow_http": ANY,
    },
    "status_lists": {
        "lists": [
            {},
            {"http://a.example/1": _ISS},
            {"https://a.example/1": "https://b.example"},
            {"": _ISS},
            {"https://a.example/1": 7},
        ],
        "required": ANY,
        "on_failure": ["", "accept"],
        "refresh_s": [4, 86_401],
        "stale_limit_s": [-1, 86_401],
        "max_age_s": [59, 31_622_401],
        "max_list_bytes": [0, 67_108_865],
        "state_dir": ["absent/absent"],
        "leeway_s": [-1, 301],
        "timeout_s": [0, -1],
        "ca": FILE,
        "refuse_private_addresses": ANY,
        "insecure_allow_http": ANY,
    },
    "mtls": {
        "form": ["", "xml"],
        "header": ["X Y", "a\nb"],
        "elements": [0, 17],
        "trusted_peers": ["", [], "gateway", "10.0.0.1/8"],
    },
    "signals": {
        "issuers": [[], "https://b.example"],
        "audience": [[]],
        "push_path": ["", "signals", "/metrics", "/a?b"],
        "logout_path": ["", "/signals", "/a//b"],
        "revocation_path": ["", "/signals", "/a//b"],
        "revocation_secret_file": FILE,
        "secret_file": FILE,
        "poll_url": ["", "http://a.example/poll"],
        "poll_authorization_file": FILE,
        "poll_s": [0, 86_401],
        "ca": FILE,
        "insecure_allow_http": ANY,
    },
}
