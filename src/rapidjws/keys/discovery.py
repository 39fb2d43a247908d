"""The address of a JWK Set out of an issuer's own metadata (OpenID Connect Discovery 1.0, RFC 8414).

What it never does: take another issuer's metadata, or fetch keys from an origin that was not configured.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from rapidjws.errors import RapidJWSError, error_for
from rapidjws.jose import json_text
from rapidjws.jose.documents import kind_of, kind_of_value
from rapidjws.jose.limits import JSON_MAX_DEPTH
from rapidjws.keys.fetch_failed import FetchFailed

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from rapidjws.keys.settings import Transport

OIDC: Final = "/.well-known/openid-configuration"
OAUTH: Final = "/.well-known/oauth-authorization-server"
MEMBERS_MAX: Final = 512


def origin_of(url: str) -> str:
    """Return scheme, host and port of a URL, in one spelling."""
    parts = urlsplit(url)
    port = parts.port if parts.port is not None else 443 if parts.scheme == "https" else 80
    return f"{parts.scheme}://{(parts.hostname or '').rstrip('.')}:{port}"


def checked_origins(origins: Iterable[str], transport: Transport) -> frozenset[str]:
    """Return origins of key sets beside the issuer's own, in one spelling.

    Raises:
        ConfigurationError: ``configuration_invalid``: one is no origin.
    """
    found = set()
    for origin in origins:
        try:
            parts = urlsplit(transport.check_url(origin))
        except RapidJWSError:
            raise error_for("configuration_invalid", "jwks_origins", "https://HOST each", origin) from None
        if parts.path not in ("", "/") or parts.query:
            raise error_for("configuration_invalid", "jwks_origins", "no path: https://HOST each", origin)
        found.add(origin_of(origin))
    return frozenset(found)


def checked_issuer(issuer: str, transport: Transport) -> str:
    """Return an issuer that has metadata.

    Raises:
        ConfigurationError: ``configuration_invalid``: no https URL, or one with a query (RFC 8414 s.2).
    """
    try:
        parts = urlsplit(transport.check_url(issuer))
    except RapidJWSError as refused:
        raise error_for("configuration_invalid", "issuer", refused.expected, refused.actual) from None
    if parts.query or issuer.endswith("?") or "{" in issuer:
        raise error_for("configuration_invalid", "issuer", expected="a URL without a query or a template")
    return issuer


def metadata_urls(issuer: str) -> tuple[str, ...]:
    """Return where an issuer's metadata lies: OpenID Connect first, then RFC 8414, which puts it in front."""
    parts = urlsplit(issuer)
    root, path = f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/")
    return (f"{issuer.rstrip('/')}{OIDC}", f"{root}{OAUTH}{path}")


def jwks_uri_of(
    body: bytes, issuer: str, *, max_bytes: int, transport: Transport, origins: Collection[str]
) -> str:
    """Return the address of the key set that metadata name.

    Args:
        body: The metadata.
        issuer: They must be of this issuer, to the letter.
        max_bytes: Largest metadata.
        transport: Its rules for addresses.
        origins: Where the key set may lie beside the issuer's own origin.

    Raises:
        FetchFailed: ``document``: no metadata; ``discovery``: of another issuer, or another origin.

    Source: OpenID Connect Discovery 1.0 s.4.3, RFC 8414 s.3.3.
    """
    found = _parsed(body, max_bytes)
    if not isinstance(found, dict) or "jwks_uri" not in found:
        raise FetchFailed("document", found=f"{kind_of_value(found)}, not a discovery document with jwks_uri")
    if found.get("issuer") != issuer:  # a mix-up: somebody else's keys would answer for this issuer
        raise FetchFailed("discovery", found="metadata of another issuer")
    try:
        address = transport.check_url(found["jwks_uri"])
    except RapidJWSError:
        raise FetchFailed("discovery", found="jwks_uri is no https address") from None
    if origin_of(address) not in {origin_of(issuer), *origins}:
        raise FetchFailed("discovery", found="jwks_uri of an origin that is not in jwks_origins")
    return address


def _parsed(body: bytes, max_bytes: int) -> Any:
    try:
        return json_text.loads(
            body, max_bytes=max_bytes, max_depth=JSON_MAX_DEPTH, max_members=MEMBERS_MAX, place="discovery"
        )
    except RapidJWSError:
        raise FetchFailed("document", found=f"{kind_of(body)}, not a discovery document") from None
