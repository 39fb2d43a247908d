"""The configuration file's schema: every section and setting once, with its type and its default's home.

Ranges are checked by the constructors that take the settings; this checks names and types, and says where.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any, Final, NoReturn

from rapidjws._checks import is_system_text
from rapidjws.config import body_words, introspection_words, registry_words, signal_words, status_list_words
from rapidjws.config.audit_schema import AUDIT_TYPES
from rapidjws.config.authz_faults import authz_faults
from rapidjws.config.claim_tables import claim_faults
from rapidjws.config.locate import Path, line_of
from rapidjws.errors import error_for

if TYPE_CHECKING:
    from collections.abc import Iterator

TEXT: Final = "text"
TEXTS: Final = "texts"
WHOLE: Final = "a whole number"
NUMBER: Final = "a number"
SWITCH: Final = "true or false"
DATE: Final = "a date"
CLAIMS: Final = "a table of claims"
CLAIM_HEADERS: Final = "a table of claims and headers"
RULES: Final = "a list of rules"

SOURCE_FIELDS: Final = {
    "jwks_url": TEXT,
    "jwks_file": TEXT,
    "discover": SWITCH,
    "jwks_origins": TEXTS,
    "certificates_url": TEXT,
    "pem_url": TEXT,
    "pem_kids": TEXTS,
    "pem_path": TEXT,
    "pem_kid": TEXT,
    "spiffe_bundle_url": TEXT,
    "x5c_roots": TEXTS,
    "x5c_policy": TEXT,
    "x5c_time": TEXT,
    "last_good_file": TEXT,
    "last_good_max_age_s": NUMBER,
}
SOURCES: Final = (
    "jwks_url",
    "jwks_file",
    "discover",
    "certificates_url",
    "pem_url",
    "pem_path",
    "spiffe_bundle_url",
    "x5c_roots",
)
"""Settings that say where an issuer's keys come from: one of them, and ``discover`` only as true."""

ONLY_WITH: Final = {
    "jwks_origins": "discover",
    "pem_kids": "pem_url",
    "pem_kid": "pem_path",
    "x5c_policy": "x5c_roots",
    "x5c_time": "x5c_roots",
}
"""Settings that only one source reads."""

_FROM_FILES: Final = ("jwks_file", "pem_path")
TRANSPORT_FIELDS: Final = {
    "timeout_s": NUMBER,
    "max_bytes": WHOLE,
    "max_keys": WHOLE,
    "ca": TEXT,
    "refuse_private_addresses": SWITCH,
    "insecure_allow_http": SWITCH,
    "proxy": TEXT,
    "proxy_authorization_file": TEXT,
    "authorization_file": TEXT,
    "header_files": TEXTS,
}
FRESHNESS_FIELDS: Final = dict.fromkeys((
    "default_ttl_s", "min_ttl_s", "max_ttl_s", "refresh_at", "stale_limit_s", "retry_min_s", "retry_max_s",
    "retry_outage_max_s", "retry_after_max_s"), NUMBER)  # fmt: skip
UNKNOWN_FIELDS: Final = {
    "cooldown_s": NUMBER, "budget": WHOLE, "budget_period_s": NUMBER, "negative_ttl_s": NUMBER,
    "negative_max": WHOLE,
}  # fmt: skip
ANNOUNCED_FIELDS: Final = {"rotation_until": DATE}
RULE_FIELDS: Final = {
    "iss": TEXTS,
    "check_iss": SWITCH,
    "algorithms": TEXTS,
    "audience": TEXTS,
    "check_audience": SWITCH,
    "leeway_s": WHOLE,
    "required_claims": TEXTS,
    "typ": TEXTS,
    "typ_required": SWITCH,
    "profile": TEXT,
    "claims": CLAIMS,
    "show_claims": TEXTS,
    "tenants": TEXTS,
    "any_tenant": SWITCH,
    "max_age_s": WHOLE,
    "max_auth_age_s": WHOLE,
    "exp_required": SWITCH,
    "require_kid": SWITCH,
    "try_keys": WHOLE,
    "crit": TEXTS,
    "trust_domain": TEXT,
    "cnf": TEXT,
    "required": SWITCH,
}
REPLAY_FIELDS: Final = {"replay": SWITCH, "replay_identity": TEXT, "replay_on_failure": TEXT}
SECTIONS: Final[dict[str, dict[str, str]]] = {
    "engine": {
        "workers": WHOLE,
        "max_token_bytes": WHOLE,
        "max_header_bytes": WHOLE,
        "padded_base64url": SWITCH,
        "acceleration": TEXT,
        "precompute_budget_bytes": WHOLE,
        "precompute_threshold": WHOLE,
        "micro_batch_us": WHOLE,
        "skew_every": WHOLE,
        "cache_entries": WHOLE,
    },
    "registry": registry_words.FIELDS,
    "revocations": {"file": TEXT, "redis": TEXT, "stream": TEXT, "on_loss": TEXT},
    "replay": {"redis": TEXT, "max_entries": WHOLE, "budget_s": NUMBER, "wait_replicas": WHOLE},
    "rollout": {
        "state": TEXT,
        "phase": TEXT,
        "enforce_on": DATE,
        "max_error_rate": NUMBER,
        "min_evidence": WHOLE,
        "window_s": WHOLE,
        "automatic_rollback": SWITCH,
        "rollback_error_rate": NUMBER,
        "unattributed": TEXT,
        "case_insensitive_routes": SWITCH,
    },
    "shadow": {
        "incumbent": TEXT,
        **dict.fromkeys(("sample", "timeout_s"), NUMBER),
        **dict.fromkeys(("concurrent", "per_second"), WHOLE),
    },
    "authz": {"default": TEXT, "phase": TEXT, "rules": RULES, "examples": RULES},
    "audit": AUDIT_TYPES,
    "logs": {
        **dict.fromkeys(("schema", "level", "destination", "security_destination"), TEXT),
        "claims": TEXTS,
        "lines_per_minute": WHOLE,
        "queue_lines": WHOLE,
        "operator_lines": SWITCH,
    },
    "observability": {"metrics": SWITCH, "exemplars": SWITCH},
    "traces": {"endpoint": TEXT, "service_name": TEXT, "timeout_s": NUMBER},
    "notices": {
        "host": TEXT,
        "port": WHOLE,
        "security": TEXT,
        "username": TEXT,
        "password_file": TEXT,
        "ca": TEXT,
        "timeout_s": NUMBER,
        "sender": TEXT,
        "reply_to": TEXT,
        "templates": TEXT,
    },
    "server": {
        "listen": TEXT,
        "listen_mode": TEXT,
        "grpc_listen": TEXT,
        "grpc_server": TEXT,
        "admin_listen": TEXT,
        "admin_token_file": TEXT,
        "hook_secret_file": TEXT,
        "workers": WHOLE,
        "prefix": TEXT,
        "route_headers": TEXTS,
        "method_header": TEXT,
        "host_header": TEXT,
        "partner_header": TEXT,
        "claim_headers": CLAIM_HEADERS,
        "token_header": TEXT,
        "token_scheme": TEXT,
        "token_cookie": TEXT,
        "realm": TEXT,
        "max_header_bytes": WHOLE,
        "max_body_bytes": WHOLE,
        "max_connections": WHOLE,
        "max_delay_s": NUMBER,
        "header_timeout_s": NUMBER,
        "idle_timeout_s": NUMBER,
        "ready_timeout_s": NUMBER,
        "drain_s": NUMBER,
        "worker_timeout_s": NUMBER,
    },
    body_words.SECTION: body_words.FIELDS,
    "introspection": introspection_words.FIELDS,
    "status_lists": status_list_words.FIELDS,
    "signals": signal_words.FIELDS,
    "dpop": {
        **dict.fromkeys(("external_origins", "algorithms"), TEXTS),
        **dict.fromkeys(("max_age_s", "leeway_s"), WHOLE),
        **dict.fromkeys(("replay_on_failure", "nonce_secrets_file"), TEXT),
        "nonce_period_s": WHOLE,
        "nonce_required": SWITCH,
        "max_keys": WHOLE,
    },
    "mtls": {"form": TEXT, "header": TEXT, "elements": WHOLE, "trusted_peers": TEXTS},
}
PARTNER: Final = {
    "name": TEXT,
    "issuers": TEXTS,
    "algorithms": TEXTS,
    "retiring": TEXTS,
    "leeway_s": WHOLE,
    "required_claims": TEXTS,
    "scopes": TEXTS,
    "contact": TEXT,
    "allow_listed_until": DATE,
}
ISSUER: Final = {
    **RULE_FIELDS,
    **SOURCE_FIELDS,
    **TRANSPORT_FIELDS,
    **FRESHNESS_FIELDS,
    **UNKNOWN_FIELDS,
    **REPLAY_FIELDS,
    **ANNOUNCED_FIELDS,
}
TABLES: Final = {**SECTIONS, "issuers": ISSUER, "partners": PARTNER}
"""The settings of each table, those of issuers and partners among them."""

ADDRESSES: Final = ("listen", "grpc_listen", "admin_listen")
"""Settings of ``server`` that may name a Unix socket."""


def _fits(value: object, kind: str) -> bool:
    if kind == DATE:
        return isinstance(value, (str, date))  # TOML has dates of its own; a datetime is one
    if kind == SWITCH:
        return isinstance(value, bool)
    if kind in (CLAIMS, CLAIM_HEADERS):
        return isinstance(value, dict)
    if kind == RULES:
        return isinstance(value, list) and all(isinstance(one, dict) for one in value)
    if isinstance(value, bool):
        return False
    if kind == WHOLE:
        return isinstance(value, int)
    if kind == NUMBER:
        return isinstance(value, (int, float))
    if kind == TEXTS:
        return isinstance(value, str) or (
            isinstance(value, list) and all(isinstance(one, str) for one in value)
        )
    return isinstance(value, str)


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A configuration's text, to say where something stands.

    Attributes:
        name: The file's name.
        text: Its text.
        is_json: Whether it is JSON rather than TOML.
    """

    name: str
    text: str = field(repr=False)
    is_json: bool

    def refuse(self, path: Path, expected: str, actual: str | None = None) -> NoReturn:
        """Raise the error for a setting, with the line it stands on.

        Raises:
            ConfigurationError: ``configuration_invalid``.
        """
        dotted = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")
        line = line_of(self.text, path, is_json=self.is_json)
        where = self.name if line is None else f"{self.name}:{line}"
        raise error_for("configuration_invalid", f"{where}: {dotted}", expected=expected, actual=actual)

    def check_section(self, path: Path, found: Any, fields: dict[str, str]) -> None:
        """Check the names and types of one table.

        Raises:
            ConfigurationError: ``configuration_invalid``.
        """
        for fault in _section_faults(path, found, fields):
            self.refuse(*fault)

    def check(self, found: Any) -> None:
        """Check a whole file.

        Raises:
            ConfigurationError: ``configuration_invalid``: the first thing that is wrong.
        """
        for fault in faults(found):
            self.refuse(*fault)


Fault = tuple[Path, str, str | None]
"""Where something is wrong, what is expected there, and what was found."""


def faults(found: Any) -> Iterator[Fault]:
    """Yield what is wrong with the names and types of a whole file."""
    for name, section in found.items():
        if name == "issuers":
            continue
        if name == "partners":
            yield from _partner_faults(section)
        elif name not in SECTIONS:
            yield (name,), f"one of {', '.join((*SECTIONS, 'issuers', 'partners'))}", "an unknown section"
        else:
            yield from _section_faults((name,), section, SECTIONS[name])
            yield from authz_faults(section) if name == "authz" else ()
    yield from registry_words.registry_faults(found)
    yield from introspection_words.servers_faults(found.get("introspection"), _section_faults)
    issuers = found.get("issuers")
    if not isinstance(issuers, list) or not issuers:
        if "registry" not in found or issuers is not None:
            yield ("issuers",), "at least one issuer", None
        return
    for number, issuer in enumerate(issuers):
        yield from issuer_faults(("issuers", number), issuer)


def issuer_faults(path: Path, issuer: Any) -> Iterator[Fault]:
    """Yield what is wrong with the names and types of one issuer's table."""
    yield from _section_faults(path, issuer, ISSUER)
    if isinstance(issuer, dict):
        yield from _choice_faults(path, issuer)
        yield from _source_faults(path, issuer)
        yield from claim_faults(path, issuer.get("claims"))


def _section_faults(path: Path, found: Any, fields: dict[str, str]) -> Iterator[Fault]:
    if not isinstance(found, dict):
        yield path, "a table", type(found).__name__
        return
    for name, value in found.items():
        if name not in fields:
            yield (*path, name), f"one of {', '.join(_near(name, fields))}", "an unknown setting"
        elif not _fits(value, fields[name]):
            yield (*path, name), fields[name], type(value).__name__
        elif not all(map(is_system_text, value if isinstance(value, list) else [value])):
            yield (*path, name), fields[name], "a zero octet, or half of a surrogate pair"


def _choice_faults(path: Path, issuer: dict[str, Any]) -> Iterator[Fault]:
    """Yield what is missing, or stands beside the choice that it is not compared."""
    if "tenants" in issuer and issuer.get("any_tenant") is True:
        yield (*path, "tenants"), "nothing, as any_tenant is true", "a value that nobody compares"
    if issuer.get("any_tenant") is True and "{" not in str(issuer.get("iss", "")):
        yield (*path, "any_tenant"), "an iss with a variable, as {tid}, beside it", "none"
    for name, choice, is_needed in (("iss", "check_iss", True), ("audience", "check_audience", False)):
        is_compared = issuer.get(choice) is not False
        if name in issuer and not is_compared:
            yield (*path, name), f"nothing, as {choice} is false", "a value that nobody compares"
        if name not in issuer and is_needed and is_compared and "trust_domain" not in issuer:
            yield (*path, name), f"a value, or {choice} = false", "nothing"
    if "algorithms" not in issuer:
        yield (*path, "algorithms"), "a value", "nothing"


def _source_faults(path: Path, issuer: dict[str, Any]) -> Iterator[Fault]:
    """Yield what is wrong with the choice of a key source, and settings that the chosen one does not read."""
    named = [name for name in SOURCES if name in issuer and issuer[name] is not False]
    if len(named) != 1:
        yield path, f"one of {', '.join(SOURCES)}", " and ".join(named) or None
        return
    for name, source in ONLY_WITH.items():
        if name in issuer and source not in named:
            yield (*path, name), f"{source} beside it", f"{named[0]}, which does not read it"


def _partner_faults(partners: Any) -> Iterator[Fault]:
    if not isinstance(partners, list):
        yield ("partners",), "tables", None
        return
    for number, partner in enumerate(partners):
        yield from _section_faults(("partners", number), partner, PARTNER)
        if isinstance(partner, dict) and "name" not in partner:
            yield ("partners", number, "name"), "a value", "nothing"


def _near(name: str, fields: dict[str, str]) -> list[str]:
    """Return the settings most like a misspelt one."""
    import difflib

    return difflib.get_close_matches(name, fields, n=3, cutoff=0.5) or sorted(fields)[:8]
