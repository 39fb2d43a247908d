"""What the constructors behind each section of a configuration refuse of its values."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from rapidjws.config.audit_section import audit_settings_from
from rapidjws.config.log_section import log_settings_from, trace_settings_from
from rapidjws.config.sections import issuer_names
from rapidjws.config.stores import replay_store_from, revocation_store_from
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.jose.jwks import JWKSet
from rapidjws.jwt.cache import TokenCache
from rapidjws.jwt.engine import Engine
from rapidjws.jwt.issuer import Issuer
from rapidjws.jwt.registry_limits import check_limits
from rapidjws.rollout.shadow import Shadow

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Check = Callable[[dict[str, Any]], object]


_ANY_KEY = (  # the base point of P-256: an engine needs some key, and verifies nothing here
    b'{"keys": [{"kty": "EC", "crv": "P-256", "x": "axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpY",'
    b' "y": "T-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU"}]}'
)


def section_checks(
    folder: Path,
    server: dict[str, Any],
    check_server: Check,
    tables: dict[str, Any],
    *,
    files: bool,
    notices: bool,
) -> dict[str, tuple[Check, ...]]:
    """Return the constructors that each section goes through."""
    return {
        "server": (check_server if files else partial(_without_secrets, check_server),),
        "engine": (_engine, _cache),
        "registry": (_registry,),
        "revocations": (partial(_revocations, folder=folder),),
        "replay": (_replay_store,),
        "logs": (partial(log_settings_from, folder=folder),),
        "authz": (_authz,),
        "traces": (trace_settings_from,),
        "audit": (partial(audit_settings_from, folder=folder, files=files),),
        "server.body": (partial(_body, folder, server, check_server, files),),
        "dpop": (partial(_dpop, folder=folder, files=files),),
        "mtls": (_mtls,),
        "introspection": (partial(_introspection, folder=folder, files=files, tables=tables),),
        "status_lists": (partial(_status_lists, folder=folder, tables=tables),),
        "signals": (partial(_signals, folder=folder, files=files, tables=tables),),
        "shadow": (partial(_shadow, files=files),),
        "notices": (partial(_notices, folder=folder, files=notices),),
    }


def _body(folder: Path, server: dict[str, Any], check: Check, files: bool, table: dict[str, Any]) -> object:
    """Check the table ``server.body`` beside ``server``, and its keys where files are looked at."""
    from rapidjws.sidecar.body_settings import body_settings_from

    made = body_settings_from(table, folder)
    if files:
        made.check_files()
    try:
        settings: Any = check(server)
    except (RapidJWSError, TypeError, ValueError, OSError):  # reported under ``server``
        return made
    return replace(settings, body=made)


def _dpop(table: dict[str, Any], *, folder: Path, files: bool) -> object:
    """Check the table ``dpop``, its secrets where files are looked at."""
    from rapidjws.config.senders import dpop_from

    return dpop_from(table, folder, files=files)


def _mtls(table: dict[str, Any]) -> object:
    from rapidjws.config.senders import client_certificate_from

    return client_certificate_from(table)


def _authz(table: dict[str, Any]) -> object:
    from rapidjws.config.authz_section import authorizer_from

    return authorizer_from(table)


def _introspection(table: dict[str, Any], *, folder: Path, files: bool, tables: dict[str, Any]) -> object:
    """Check the table ``introspection`` beside the issuers, and its files where they are looked at."""
    from rapidjws.config.introspection_section import introspection_from

    return introspection_from(table, folder, _stand_in_issuers(tables), files=files)


def _status_lists(table: dict[str, Any], *, folder: Path, tables: dict[str, Any]) -> object:
    """Check the table ``status_lists`` beside the issuers."""
    from rapidjws.config.status_list_section import status_lists_from

    return status_lists_from(table, folder, _stand_in_issuers(tables))


def _signals(table: dict[str, Any], *, folder: Path, files: bool, tables: dict[str, Any]) -> object:
    """Check the table ``signals`` beside the issuers, the workers and the stores."""
    from rapidjws.config.signal_section import signal_settings_from

    return signal_settings_from(table, folder, tables, files=files)


def _stand_in_issuers(tables: dict[str, Any]) -> list[Issuer]:
    """Return issuers of the names in a file, with some key."""
    found = [one for one in tables.get("issuers") or () if isinstance(one, dict) and "iss" in one]
    keys = JWKSet.from_json(_ANY_KEY)
    return [
        Issuer(name, keys=keys, algorithms=["ES256"])
        for one in found
        for name in issuer_names(one)
        if name and "{" not in name
    ]


def _registry(settings: dict[str, Any]) -> None:
    check_limits(**{name: value for name, value in settings.items() if name != "folder"})


def _without_secrets(check: Check, table: dict[str, Any]) -> object:
    """Check the server without the files of secrets; a token for an admin address is taken as given."""
    rest = {
        name: value for name, value in table.items() if name not in ("admin_token_file", "hook_secret_file")
    }
    if "admin_token_file" in table:
        rest.pop("admin_listen", None)
    return check(rest)


def _engine(table: dict[str, Any]) -> object:
    settings = {name: value for name, value in table.items() if name != "cache_entries"}
    issuer = Issuer("https://issuer.example", keys=JWKSet.from_json(_ANY_KEY), algorithms=["ES256"])
    return Engine(issuer, **settings)


def _cache(table: dict[str, Any]) -> object:
    return TokenCache(table["cache_entries"]) if table.get("cache_entries", 0) else None


def _revocations(table: dict[str, Any], *, folder: Path) -> object:
    return _with_redis("revocations", partial(revocation_store_from, folder=folder), table)


def _replay_store(table: dict[str, Any]) -> object:
    return _with_redis("replay", replay_store_from, table)


def _with_redis(section: str, make: Check, table: dict[str, Any]) -> object:
    """Make a store that does not connect yet; what is wrong with an address never repeats its password."""
    try:
        return make(table)
    except ImportError:
        raise error_for("configuration_invalid", f"{section}.redis", "the extra: rapidjws[redis]") from None
    except RapidJWSError as fault:
        if fault.place != "url":
            raise
        raise error_for("configuration_invalid", f"{section}.redis", fault.expected, "another URL") from None


def _shadow(table: dict[str, Any], *, files: bool) -> object:
    """Check all but whether the incumbent can be called: nothing of somebody else's module is run here."""
    settings = dict(table)
    named = settings.pop("incumbent", "")
    module, _, name = named.partition(":")
    if not all(part.isidentifier() for part in (*module.split("."), name)):
        raise error_for("configuration_invalid", "shadow.incumbent", "module:callable", named or "nothing")
    if files and find_spec(module.partition(".")[0]) is None:
        raise error_for("configuration_invalid", "shadow.incumbent", "a module that is installed", module)
    return Shadow(lambda token: token, **settings)


def _notices(table: dict[str, Any], *, folder: Path, files: bool) -> object:
    if files and "templates" in table:
        from rapidjws.rollout.report.notices import templates_from

        templates_from(folder / table["templates"])
    from rapidjws.cli.notify import mail_server_from

    return mail_server_from(table, folder, files=files)
