"""The section ``introspection``: which authorization server is asked about which tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rapidjws import _files
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.introspection.client import IntrospectionClient
from rapidjws.introspection.introspection import Introspection
from rapidjws.introspection.limits import IntrospectionLimits
from rapidjws.introspection.servers import IntrospectionServers
from rapidjws.jose.jwks import JWKSet
from rapidjws.jwt.engine import Engine
from rapidjws.jwt.issuer import Issuer
from rapidjws.keys.fetch_failed import FetchFailed
from rapidjws.keys.settings import Transport
from rapidjws.signing.local_keys import private_key_from
from rapidjws.signing.signer import LocalSigner
from rapidjws.verify.protocols import no_events

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from rapidjws.config.read import LoadedConfig
    from rapidjws.verify.protocols import EventListener

KEY_MAX_BYTES: Final = 64 * 1024
CA_MAX_BYTES: Final = 16 * 1024 * 1024
TIMEOUT_S: Final = 1.0

_LIMITS: Final = (
    "cache_s", "negative_cache_s", "max_entries", "lookups_per_minute", "max_concurrent", "max_waiting",
    "breaker_failures", "breaker_s",
)  # fmt: skip
_TRANSPORT: Final = ("timeout_s", "ca", "refuse_private_addresses", "insecure_allow_http")
_OPINION: Final = ("issuers", "routes", "scopes", "opaque_issuer", "audience", "on_failure", "leeway_s")
_PLACES: Final = {
    "auth": "client_auth", "answers": "signed_by", "client_certificate": "client_certificate_file",
}  # fmt: skip


def introspection_of(
    loaded: LoadedConfig, issuers: Iterable[Issuer], events: EventListener = no_events
) -> Introspection | IntrospectionServers | None:
    """Return whom a configuration has asked about tokens, or None.

    Args:
        loaded: The configuration.
        issuers: Its issuers.
        events: Listener.

    Raises:
        ConfigurationError: ``configuration_invalid``, with file, line and setting.
    """
    section = loaded.section("introspection")
    if not section:
        return None
    try:
        return introspection_from(section, loaded.folder, list(issuers), events)
    except RapidJWSError as fault:
        place = (fault.place or "").rpartition(".")[2]
        loaded.text.refuse(("introspection", _PLACES.get(place, place)), str(fault.expected), None)


def introspection_from(
    section: dict[str, Any],
    folder: Path,
    issuers: list[Issuer],
    events: EventListener = no_events,
    *,
    files: bool = True,
) -> Introspection | IntrospectionServers:
    """Return what a table ``introspection`` asks for: one server, or each of its ``servers``.

    Args:
        section: The table.
        folder: What paths are relative to.
        issuers: The configured issuers.
        events: Listener.
        files: Whether the files that it names are read.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """
    if "servers" not in section:
        return _server(section, folder, issuers, events, files=files)
    beside = next((name for name in section if name != "servers"), None)
    if beside is not None:
        raise error_for("configuration_invalid", beside, "a place in one of servers")
    made, names = [], set[str]()
    for table in section["servers"]:
        name = table.get("name", "")
        if not name or name in names:
            raise error_for("configuration_invalid", "servers", "a name for each, once")
        names.add(name)
        rest = {key: value for key, value in table.items() if key != "name"}
        try:
            made.append(_server(rest, folder, issuers, events, files=files))
        except RapidJWSError as fault:
            place = (fault.place or "").rpartition(".")[2]
            expected = f"in {name}, {_PLACES.get(place, place)}: {fault.expected}"
            raise error_for("configuration_invalid", "servers", expected, fault.actual) from None
    try:
        return IntrospectionServers(*made)
    except RapidJWSError as fault:
        raise error_for("configuration_invalid", "servers", fault.expected) from None


def _server(
    section: dict[str, Any], folder: Path, issuers: list[Issuer], events: EventListener, *, files: bool
) -> Introspection:
    """Return what the table of one server asks for."""
    if "url" not in section:
        raise error_for("configuration_invalid", "url", expected="a value")
    known = {name for one in issuers for name in one.names}
    named = section.get("issuers", ())
    for iss in (named,) if isinstance(named, str) else named:
        if iss not in known:
            raise error_for("configuration_invalid", "issuers", "configured issuers", iss)
    opinion = {name: section[name] for name in _OPINION if name in section}
    limits = IntrospectionLimits(**{name: section[name] for name in _LIMITS if name in section})
    client = _client(section, folder, issuers, files=files)
    return Introspection(client, limits=limits, events=events, **opinion)


def _client(
    section: dict[str, Any], folder: Path, issuers: list[Issuer], *, files: bool
) -> IntrospectionClient:
    transport: dict[str, Any] = {name: section[name] for name in _TRANSPORT if name in section}
    if "ca" in transport:
        transport["ca"] = authorities(transport["ca"], folder)
    if "client_certificate_file" in section:
        if section.get("client_auth") != "tls_client_auth":
            place, expected = "client_certificate_file", 'client_auth = "tls_client_auth" beside it'
            raise error_for("configuration_invalid", place, expected)
        transport["client_certificate"] = str(folder / section["client_certificate_file"])
    settings: dict[str, Any] = {"transport": Transport(**{"timeout_s": TIMEOUT_S, **transport})}
    if not files and "client_certificate" in transport:
        settings["post"] = _no_post
    if "client_auth" in section:
        settings["auth"] = section["client_auth"]
    if "client_secret_file" in section:
        if files:
            settings["client_secret_file"] = folder / section["client_secret_file"]
        else:
            settings["client_secret"] = "-"
    if "client_key_file" in section:
        if section.get("client_auth") != "private_key_jwt":
            place, expected = "client_key_file", 'client_auth = "private_key_jwt" beside it'
            raise error_for("configuration_invalid", place, expected)
        settings["signer"] = _signer(folder / section["client_key_file"]) if files else _NoSigner()
    if "signed_by" in section:
        settings["answers"] = _answers(section, issuers)
    return IntrospectionClient(section["url"], client_id=section.get("client_id"), **settings)


def authorities(ca: str, folder: Path) -> str:
    """Return PEM text, or the path of a file that can be read.

    Args:
        ca: The setting.
        folder: What paths are relative to.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """
    if "-----BEGIN" in ca:
        return ca
    try:
        _files.read_trusted(folder / ca, CA_MAX_BYTES)
    except (OSError, ValueError):
        raise error_for("configuration_invalid", "ca", expected="a PEM file, or PEM text") from None
    return str(folder / ca)


def _signer(path: Path) -> LocalSigner:
    place = "client_key_file"
    try:
        return LocalSigner(private_key_from(_files.read_trusted(path, KEY_MAX_BYTES)))
    except (OSError, ValueError) as fault:
        found = (fault.strerror if isinstance(fault, OSError) else None) or type(fault).__name__
        raise error_for("configuration_invalid", place, "a file to read", found) from None
    except RapidJWSError as fault:
        raise error_for("configuration_invalid", place, "a private key", fault.code) from None


def _no_post(url: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
    """Stand for a connection whose files are not looked at."""
    raise FetchFailed("internal")


class _NoSigner:
    """A key in a file that is not read."""

    alg = "ES256"
    kid = None

    def sign(self, signing_input: bytes) -> bytes:
        """Return nothing."""
        return b""


def _answers(section: dict[str, Any], issuers: list[Issuer]) -> Engine:
    """Return the engine that verifies signed answers by the keys of a configured issuer."""
    name = section["signed_by"]
    signer = next((one for one in issuers if name in one.names), None)
    if signer is None:
        raise error_for("configuration_invalid", "signed_by", "a configured issuer", name)
    if "client_id" not in section:
        raise error_for("configuration_invalid", "client_id", "a value, for signed_by")
    keys: Any = signer.keys
    if isinstance(keys, JWKSet) and not keys.keys:  # the check of a file has no keys
        raise error_for("configuration_invalid", "signed_by", "an issuer with keys", name)
    rules = Issuer.profile(
        "introspection_response", name, keys=keys, algorithms=signer.algorithms, audience=section["client_id"]
    )
    return Engine(rules, workers=1, counters=False)
