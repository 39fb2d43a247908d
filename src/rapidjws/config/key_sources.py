"""The key source that an issuer's table names: which one, and whether each of its settings is read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rapidjws import keys  # a source is loaded where a table names it
from rapidjws.config import schema
from rapidjws.errors import RapidJWSError, error_for

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from rapidjws.keys import Transport, X5CPolicy
    from rapidjws.verify.protocols import EventListener, KeySource

LAST_GOOD_MAX_AGE_S: Final = 86_400.0
"""Age up to which a kept set is used, in seconds, where nothing else is configured."""

FILE_SETTINGS: Final = ("ca", "authorization_file", "proxy_authorization_file")
_PLACES: Final = {
    "template": "pem_url",
    "kids": "pem_kids",
    "kid": "pem_kid",
    "issuer": "iss",
    "roots": "x5c_roots",
}
"""What a constructor calls a setting -> what the file calls it."""


def picked(settings: Mapping[str, Any], fields: Mapping[str, str]) -> dict[str, Any]:
    """Return those settings of a table that some fields name."""
    return {name: settings[name] for name in fields if name in settings}


def transport_from(settings: Mapping[str, Any], folder: Path | None = None) -> Transport:
    """Return how a table's source is fetched.

    Args:
        settings: The table.
        folder: What paths are relative to; None leaves them as they are.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """
    trust = picked(settings, schema.TRANSPORT_FIELDS)
    headers = trust.pop("header_files", None)
    if headers is not None:
        trust["header_files"] = dict(_header_file(one) for one in texts(headers))
    if folder is not None:
        for name in FILE_SETTINGS:
            if name in trust and "-----BEGIN" not in trust[name]:
                trust[name] = str(folder / trust[name])
        if headers is not None:
            named = trust["header_files"]
            trust["header_files"] = {name: str(folder / path) for name, path in named.items()}
    return keys.Transport(**trust)


def texts(value: str | list[str]) -> list[str]:
    """Return a list of texts, for which one text may stand."""
    return [value] if isinstance(value, str) else value


def _header_file(text: str) -> tuple[str, str]:
    name, colon, path = text.partition(":")
    if not colon or not path.strip():
        raise error_for("configuration_invalid", "header_files", "`Name: file` each", text)
    return name.strip(), path.strip()


def key_source_from(settings: dict[str, Any], folder: Path, events: EventListener) -> KeySource:
    """Return the key source that an issuer's table names.

    Args:
        settings: The table.
        folder: What paths are relative to.
        events: Listener.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """
    if "jwks_file" in settings:
        return keys.FileJWKS(folder / settings["jwks_file"], events=events)
    if "pem_path" in settings:
        return keys.PEMFiles(folder / settings["pem_path"], kid=settings.get("pem_kid"), events=events)
    if "x5c_roots" in settings:
        roots = [folder / one for one in texts(settings["x5c_roots"])]
        return keys.X5CKeys(roots, policy=x5c_policy_from(settings), events=events)
    kept = settings.get("last_good_file")
    common: dict[str, Any] = {
        "freshness": keys.Freshness(**picked(settings, schema.FRESHNESS_FIELDS)),
        "unknown_kids": keys.UnknownKids(**picked(settings, schema.UNKNOWN_FIELDS)),
        "transport": transport_from(settings, folder),
        "last_good": None if kept is None else folder / kept,
        "last_good_max_age_s": settings.get("last_good_max_age_s", LAST_GOOD_MAX_AGE_S),
        "events": events,
    }
    if settings.get("discover") is True:
        origins = texts(settings.get("jwks_origins", []))
        return keys.DiscoveredJWKS(discovered_issuer(settings), jwks_origins=origins, **common)
    if "certificates_url" in settings:
        return keys.RemoteCertificates(settings["certificates_url"], **common)
    if "pem_url" in settings:
        if not picked(settings, schema.UNKNOWN_FIELDS):
            common["unknown_kids"] = None
        return keys.RemotePEM(settings["pem_url"], kids=texts(settings.get("pem_kids", [])), **common)
    if "spiffe_bundle_url" in settings:
        return keys.SpiffeBundle(settings["spiffe_bundle_url"], **common)
    return keys.RemoteJWKS(settings["jwks_url"], **common)


def x5c_policy_from(settings: Mapping[str, Any]) -> X5CPolicy:
    """Return what a chain must be.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """
    time, name = settings.get("x5c_time"), settings.get("x5c_policy")
    if time not in (None, "now", "token"):
        raise error_for("configuration_invalid", "x5c_time", ("now", "token"), time)
    if name is None:
        return keys.X5CPolicy(time=time or "now")
    try:
        return keys.X5CPolicy.named(name, time=time)
    except RapidJWSError as refused:
        raise error_for("configuration_invalid", "x5c_policy", refused.expected, name) from None


def discovered_issuer(settings: Mapping[str, Any]) -> str:
    """Return whose metadata are read: the issuer's ``iss``.

    Raises:
        ConfigurationError: ``configuration_invalid``: there is none, or several.
    """
    names = texts(settings.get("iss", []))
    if not names:
        raise error_for(
            "configuration_invalid", "discover", "iss beside it: the issuer whose metadata to read"
        )
    return names[0]


def check_source(settings: dict[str, Any]) -> None:
    """Check the settings of a table's source; no file is read and nothing is fetched.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """
    transport = transport_from(settings)
    for name in ("jwks_url", "certificates_url", "spiffe_bundle_url"):
        if name in settings:
            transport.check_url(settings[name], name)
    if settings.get("discover") is True:
        from rapidjws.keys.discovery import checked_issuer, checked_origins

        checked_issuer(discovered_issuer(settings), transport)
        checked_origins(texts(settings.get("jwks_origins", [])), transport)
    if "pem_url" in settings:
        from rapidjws.keys.pem_by_kid import checked_kids, checked_template

        checked_template(settings["pem_url"], transport)
        checked_kids(texts(settings.get("pem_kids", [])))
    if "x5c_roots" in settings:
        x5c_policy_from(settings)
    if settings.get("pem_kid") not in (None, "name", "any"):
        raise error_for("configuration_invalid", "pem_kid", ("name", "any"))


def place_of(place: str, settings: Mapping[str, Any]) -> str:
    """Return what the file calls the setting that a constructor refused."""
    if place == "url":
        return next((name for name in schema.SOURCES if name in settings), "jwks_url")
    return _PLACES.get(place, place)
