"""A good configuration with every section, as TOML, and values that each of its settings must refuse."""

from __future__ import annotations

import copy
import functools
import json
import math
from pathlib import Path
from typing import Any, Final

import settings_bodies
import settings_signals
from audit_settings import AUDIT_REFUSED
from scratch import new_folder

from rapidjws import JWK
from rapidjws.config import schema
from rapidjws.testing import make_key

GOOD: Final[dict[str, Any]] = {
    "engine": {"workers": 1},
    "registry": {"folder": "/usr"},  # there everywhere, and without issuers
    "revocations": {"redis": "redis://127.0.0.1:1/0"},
    "replay": {"redis": "redis://127.0.0.1:1/0"},
    "rollout": {"phase": "detection", "unattributed": "default"},
    "shadow": {"incumbent": "json:loads"},
    "authz": {"rules": [{"name": "a", "scopes": ["a"]}]},
    "logs": {"level": "info"},
    "observability": {"metrics": True, "exemplars": True},
    "traces": {"endpoint": "http://127.0.0.1:4318"},
    "audit": {"folder": "trail", "origin": "gate.example/audit", "key_file": "audit-key.json"},
    "notices": {"host": "mail.example", "sender": "gateway@gate.example"},
    "server": {"listen": "127.0.0.1:8088"},
    "server.body": {"member": "/signedPayload"},
    "dpop": {"external_origins": ["https://api.example"]},
    "mtls": {"trusted_peers": ["127.0.0.1"]},
    **settings_signals.GOOD,
    "issuers": [
        {
            "iss": "https://a.example",
            "algorithms": ["ES256"],
            "jwks_url": "https://a.example/jwks.json",
            "replay": True,
        }
    ],
    "partners": [{"name": "a"}],
}
WRONG_TYPE: Final = {
    schema.TEXT: [7, True, ["a"]],
    schema.TEXTS: [7, True, [1]],
    schema.WHOLE: ["7", True, 7.5, [7]],
    schema.NUMBER: ["7", True, [7]],
    schema.SWITCH: ["true", 1, "yes"],
    schema.DATE: [7, True, ["2027-01-31"]],
    schema.RULES: [7, True, "a", ["a"], {}],
    schema.CLAIMS: [7, True, "azp", ["azp"]],
    schema.CLAIM_HEADERS: [7, True, "X-Tenant", ["X-Tenant"]],
}
ANY: Final[list[Any]] = []
"""No value of the type is refused."""

_SECONDS: Final = [-1, 86_401, 10**30]
_POSITIVE: Final = [0, -1.5, math.inf, math.nan]
_HEADER: Final = ["", "X Y", "X\u00e9", "a\nb"]
_FILE: Final = ["absent", "absent/absent", "a\0b"]
_ADDRESS: Final = ["", "nowhere", ":1", "h:65536", "h:x", "unix:"]
_LOG: Final = ["", "absent/log", "a\0b"]
_TOO_MANY: Final = [-1, 10**30]
REFUSED: Final[dict[str, dict[str, list[Any]]]] = {
    "engine": {
        "workers": _TOO_MANY,
        "max_token_bytes": [0, -1, 256 * 1024 + 1],
        "max_header_bytes": [0, -1, 16 * 1024 + 1],
        "padded_base64url": ANY,
        "acceleration": ["", "fast"],
        "precompute_budget_bytes": _TOO_MANY,
        "precompute_threshold": _TOO_MANY,
        "micro_batch_us": [-1, 100_001],
        "skew_every": [-1],
        "cache_entries": [-1],
    },
    "registry": {
        "folder": ["c.toml", "none"],
        "max_issuers": [0, 1_000_001],
        "lookup_timeout_s": [-1, 61, math.nan],
        "refresh_s": [0, 3601, math.nan],
        "stale_limit_s": [0, 2_592_001, math.nan],
        "unknown_ttl_s": [-1, 86_401, math.nan],
        "unknown_per_minute": [0, 1_000_001],
    },
    "revocations": {
        "file": ["revocations.json"],  # not beside redis
        "redis": ["", "http://h", "h:1"],
        "stream": [""],
        "on_loss": ["", "ignore"],
    },
    "replay": {
        "redis": ["", "http://h", "h:1"],
        "max_entries": [1],  # not beside redis
        "budget_s": [0, -1, 11, math.inf, math.nan],
        "wait_replicas": _TOO_MANY,
    },
    "rollout": {
        "state": ["c.toml", "c.toml/state"],
        "phase": ["", "off"],
        "enforce_on": ["", "soon", "2027-13-01"],
        "max_error_rate": [-0.1, 1.1, math.nan],
        "min_evidence": [-1],
        "window_s": [0, 3599],
        "automatic_rollback": ANY,
        "rollback_error_rate": [-0.1, 1.1, math.nan],
        "unattributed": ["", "mildest"],
        "case_insensitive_routes": ANY,
    },
    "shadow": {
        "incumbent": ["", "json", "json:", ":loads", "no_such_module_here:f", "json:a b"],
        "sample": [-0.1, 1.1, math.nan],
        "timeout_s": [0, 3601, math.inf, math.nan],
        "concurrent": [0, 65],
        "per_second": [0, 1_000_001],
    },
    "logs": {
        "schema": ["", "xml"],
        "level": ["", "loud"],
        "destination": _LOG,
        "security_destination": _LOG,
        "claims": [["two words"], [""], [f"c{number}" for number in range(17)]],
        "lines_per_minute": [0, 1_000_001],
        "queue_lines": [15, 1_048_577],
        "operator_lines": ANY,
    },
    "observability": {"metrics": ANY, "exemplars": ANY},
    "authz": {
        "examples": ANY,  # tried by rapidjws authz test
        "default": ["", "allow"],
        "phase": ["", "enforcement"],
        "rules": [
            [{"name": "a"}],
            [{"name": "a", "scope": "a"}],
            [{"name": "a", "scopes": ["a b"]}],
            [{"name": "a", "scopes": ["a"]}, {"name": "a", "scopes": ["a"]}],
        ],
    },
    "traces": {
        "endpoint": [
            "",
            *"nowhere ftp://a.example http://u:p@a.example http://a.example/?k=v http://".split(),
        ],
        "service_name": ["", "a\nb"],
        "timeout_s": [0, 61, math.inf, math.nan],
    },
    "audit": AUDIT_REFUSED,
    "notices": {
        "host": ["", "two words", "a\nb"],
        "port": [0, 65_536],
        "security": ["", "ssl"],
        "username": ["", "somebody"],  # without a password
        "password_file": _FILE,
        "ca": _FILE,
        "timeout_s": [0, 601, math.inf, math.nan],
        "sender": ["", "nobody", "a@b\nBcc: c"],
        "reply_to": ["", "nobody"],
        "templates": _FILE,
    },
    "server": {
        "listen": _ADDRESS,
        "grpc_listen": _ADDRESS,
        "grpc_server": ["", "grpc"],
        "admin_listen": _ADDRESS,
        "admin_token_file": _FILE,
        "hook_secret_file": _FILE,
        "workers": [0, -1, 1025],
        "prefix": ["", "verify", "/verify/", "/\u00e9"],
        "route_headers": [["X Y"], "", "Authorization"],
        "method_header": [*_HEADER, "Authorization"],
        "host_header": [*_HEADER, "Authorization"],
        "partner_header": [*_HEADER, "Authorization"],
        "claim_headers": [
            {"tid": "Content-Type"},
            {"tid": "X Y"},
            {"tid": 7},
            {"/a~2": "X-A"},
            {"tid": {"header": "X-A", "encoding": "hex"}},
            {"tid": {"encoding": "percent"}},
            {"tid": "X-Tenant", "sub": "x_tenant"},
            {"tid": "X-Original-URI"},
            {f"c{number}": f"X-C{number}" for number in range(33)},
        ],
        "token_header": _HEADER,
        "token_scheme": ["X Y", "a\nb"],
        "listen_mode": ["600", "0o660", "0777", "", "0666"],  # 0666: `listen` is no socket here
        "token_cookie": _HEADER,
        "realm": ['a"b', "a\\b", "a\nb"],
        "max_header_bytes": [0, -1],
        "max_body_bytes": [0, -1],
        "max_connections": [0, -1],
        "max_delay_s": [-0.1, 11, math.inf, math.nan],
        "header_timeout_s": [0, 3601, math.inf, math.nan],
        "idle_timeout_s": [0, 3601, math.inf, math.nan],
        "ready_timeout_s": [-1, 3601, math.inf, math.nan],
        "drain_s": [0, 3601, math.inf, math.nan],
        "worker_timeout_s": [0, 3601, math.inf, math.nan],
    },
    "server.body": settings_bodies.REFUSED,
    "dpop": {
        "external_origins": ["", [], "api.example", "https://a.example?q", ["https://a.example"] * 2],
        "algorithms": [[], "none", "HS256"],
        "max_age_s": [0, -1, 3601],
        "leeway_s": [-1, 301],
        "replay_on_failure": ["", "ignore"],
        "nonce_secrets_file": _FILE,
        "nonce_period_s": [0, 86_401],
        "nonce_required": [False],  # without secrets
        "max_keys": [0, 65_537],
    },
    **settings_signals.REFUSED,
    "issuers": {
        "iss": [""],
        "check_iss": ANY,  # false beside iss: iss is named
        "algorithms": [[], "none", ["ES256", "none"], ["XS256"]],
        "audience": [[""]],
        "check_audience": ANY,
        "leeway_s": _SECONDS,
        "required_claims": [[""]],
        "typ": [""],
        "typ_required": [False],  # without typ
        "profile": ["", "jwt"],
        "claims": [
            {"azp": {}},
            {"azp": {"pattern": "("}},
            {"azp": {"pattern": "(a+)+"}},
            {"azp": {"is": 1}},
            {"/~": 1},
            {"": 1},
            {"azp": {"present": 1}},
            {"azp": {"checked": True}},
            {"azp": {"checked": 0}},
            {"azp": []},
            {"azp": [[1]]},
            {"azp": {"prefix": 1}},
            {"azp": {"contains": []}},
        ],
        "show_claims": [""],
        "tenants": [["a"]],  # without a template
        "any_tenant": [True],
        "max_auth_age_s": [-1, 10**11],
        "max_age_s": [-1, 10**11],
        "exp_required": ANY,
        "require_kid": ANY,
        "try_keys": [-1, 5],
        "trust_domain": ["", "A.example"],
        "cnf": ["", "ignored"],
        "crit": [["b64"], ["alg"], [""]],
        "required": ANY,
        "jwks_url": ["", "http://a.example", "file:///a", "https://u:p@a.example", "a\nb"],
        "jwks_file": ["absent"],
        "discover": ANY,
        "jwks_origins": ["a.example", "https://a.example/jwks"],
        "certificates_url": ["", "http://a.example"],
        "pem_url": ["", "https://a.example/", "https://{kid}.example/"],
        "pem_kids": ["a/b", [""]],
        "pem_path": ["absent"],
        "pem_kid": ["each"],
        "x5c_roots": ["absent", []],
        "x5c_policy": ["appstore"],
        "x5c_time": ["later"],
        "spiffe_bundle_url": ["", "http://a.example"],
        "proxy": ["", "proxy", "http://proxy.example"],
        "proxy_authorization_file": ["absent"],
        "authorization_file": ["absent"],
        "header_files": ["X-A", "Host: f", "X-A: absent"],
        "last_good_file": ["absent/absent"],
        "rotation_until": ["", "soon"],
        "last_good_max_age_s": _POSITIVE,
        "timeout_s": _POSITIVE,
        "max_bytes": [0, -1],
        "max_keys": [0, -1],
        "ca": ["absent", "-----BEGIN nothing"],
        "refuse_private_addresses": ANY,
        "insecure_allow_http": ANY,
        "default_ttl_s": _POSITIVE,
        "min_ttl_s": [*_POSITIVE, 301],
        "max_ttl_s": [*_POSITIVE, 59],
        "refresh_at": [*_POSITIVE, 1.1],
        "stale_limit_s": [*_POSITIVE, 299],
        "retry_min_s": [*_POSITIVE, 1.6],
        "retry_max_s": [*_POSITIVE, 0.2],
        "retry_outage_max_s": _POSITIVE,
        "retry_after_max_s": _POSITIVE,
        "cooldown_s": _POSITIVE,
        "budget": [0, -1],
        "budget_period_s": _POSITIVE,
        "negative_ttl_s": _POSITIVE,
        "negative_max": [0, -1],
        "replay": ANY,
        "replay_identity": ["", "sub"],
        "replay_on_failure": ["", "ignore"],
    },
    "partners": {
        "name": ["", "a b", "a" * 129],
        "issuers": [[""]],
        "algorithms": [["none"], [""]],
        "retiring": [["ES256"], ["ES256 soon"], ["none 2027-01-31"]],
        "leeway_s": _SECONDS,
        "required_claims": [[""]],
        "scopes": [["a b"], [""]],
        "contact": ["", "nobody", "a@b\nBcc: c"],
        "allow_listed_until": ["", "soon"],
    },
}
TABLES: Final = schema.TABLES


SOURCES: Final = {"pem_url": "https://a.example/{kid}", "pem_path": ".", "x5c_roots": "absent"}


@functools.cache
def secrets_file() -> str:
    """Return a file of secrets for nonces."""
    path = new_folder() / "nonces"
    path.write_text("s" * 32, "utf-8")
    return str(path)


def changed(section: str, key: str, value: Any) -> dict[str, Any]:
    """Return the good configuration with one setting changed."""
    found = copy.deepcopy(GOOD)
    table = found[section][0] if isinstance(found[section], list) else found[section]
    source = schema.ONLY_WITH.get(key, key)
    if section == "issuers" and source in schema.SOURCES and source != "jwks_url":
        table[source] = SOURCES.get(source, True)
        if value is not False:
            del table["jwks_url"]
    if key == "trust_domain":
        del table["iss"]
    if key == "profile":
        table["audience"] = "https://api.example"
    if key.startswith("nonce_") and key != "nonce_secrets_file" and value is not False:
        table["nonce_secrets_file"] = secrets_file()
    if section == "server.body":
        table.clear()
        table.update(settings_bodies.NEEDED.get(key, {}))
    if key == "proxy":
        table["refuse_private_addresses"] = False
    table[key] = value
    return found


def toml(tables: dict[str, Any]) -> str:
    """Return a configuration as TOML, one setting a line."""
    lines = []
    for name, found in tables.items():
        for table in found if isinstance(found, list) else [found]:
            title = name if name.replace(".", "_").isidentifier() else json.dumps(name)
            lines.append(f"[[{title}]]" if isinstance(found, list) else f"[{title}]")
            lines += [f"{json.dumps(key)} = {_value(value)}" for key, value in table.items()]
    return "\n".join(lines) + "\n"


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {_value(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else "inf"
    return json.dumps(value)


@functools.cache
def _audit_key() -> JWK:
    return make_key("EdDSA")


def written(folder: Path, tables: dict[str, Any]) -> Path:
    """Write a configuration."""
    path = folder / "c.toml"
    path.write_text(toml(tables), "utf-8")
    if "audit" in tables:
        key = folder / "audit-key.json"
        key.write_text(json.dumps(_audit_key().as_dict(private=True)))
        key.chmod(0o600)
    return path
