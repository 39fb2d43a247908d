"""The settings of a fetched key source, checked once, each with its unit and its reason."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from rapidjws._checks import checked, is_number, is_text, refused
from rapidjws.errors import error_for
from rapidjws.jose.limits import JWKS_MAX_BYTES, JWKS_MAX_KEYS

URL_MAX_CHARS = 2048
HEADER_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")  # RFC 9110 s.5.6.2
OWN_HEADERS: Final = frozenset(
    "host accept-encoding connection content-length transfer-encoding if-none-match te upgrade"
    " proxy-authorization".split()
)
"""Headers that a fetch sets itself."""


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class Freshness:
    """How long a fetched set is good, when it is fetched again, and how failures back off.

    Args:
        default_ttl_s: For an answer without Cache-Control, in seconds.
        min_ttl_s: Shortest life, whatever the issuer says: it must not make us fetch all the time.
        max_ttl_s: Longest life, whatever the issuer says: a key taken from the set is gone after it.
        refresh_at: The part of the life after which a refresh starts in the background, before any jitter.
        stale_limit_s: Age at which a set that cannot be refreshed is no longer used.
        retry_min_s: First pause after a failed fetch.
        retry_max_s: Longest pause between failed fetches in an outage of less than half a minute: the return
            of the issuer is seen within it.
        retry_outage_max_s: Longest pause in an outage that lasts longer: a twentieth of how long it lasts, up
            to this. At most ``retry_max_s``, as by default, changes nothing; 30 s spare an issuer that many
            processes try, whose return is then seen later.
        retry_after_max_s: Longest pause that a Retry-After is granted.

    Raises:
        ConfigurationError: ``configuration_invalid``: not finite, not positive, or out of order.
    """

    default_ttl_s: float = 300.0
    min_ttl_s: float = 60.0
    max_ttl_s: float = 300.0
    refresh_at: float = 0.8
    stale_limit_s: float = 6 * 3600.0
    retry_min_s: float = 0.25
    retry_max_s: float = 1.5
    retry_outage_max_s: float = 1.5
    retry_after_max_s: float = 60.0

    def __post_init__(self) -> None:
        """Check every argument once."""
        for name in self.__slots__:
            positive_s(name, getattr(self, name))
        if not self.min_ttl_s <= self.max_ttl_s:
            raise error_for("configuration_invalid", "min_ttl_s", expected="at most max_ttl_s")
        if not self.refresh_at <= 1:
            raise error_for("configuration_invalid", "refresh_at", expected="above 0, at most 1")
        if not self.max_ttl_s <= self.stale_limit_s:
            raise error_for("configuration_invalid", "stale_limit_s", expected="at least max_ttl_s")
        if not self.retry_min_s <= self.retry_max_s:
            raise error_for("configuration_invalid", "retry_min_s", expected="at most retry_max_s")

    @checked
    def clamp(self, stated_s: float | None) -> float:
        """Return an answer's life from what its headers state, or None for nothing."""
        wanted = self.default_ttl_s if stated_s is None else stated_s
        return min(max(wanted, self.min_ttl_s), self.max_ttl_s)


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownKids:
    """What a kid that is not in the set may cause.

    Args:
        cooldown_s: Shortest time between two refreshes that unknown kids cause, after failures as well.
        budget: Such refreshes that may come one cool-down after the other.
        budget_period_s: Time in which a used-up budget fills again.
        negative_ttl_s: Time for which a kid that a fresh set lacked causes nothing.
        negative_max: Most such kids remembered.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """

    cooldown_s: float = 30.0
    budget: int = 20
    budget_period_s: float = 3600.0
    negative_ttl_s: float = 300.0
    negative_max: int = 4096

    def __post_init__(self) -> None:
        """Check every argument once."""
        for name in self.__slots__:
            positive_s(name, getattr(self, name))


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class Transport:
    """How a set is fetched.

    Args:
        timeout_s: For the whole fetch: name, connection, TLS, answer, body.
        max_bytes: Largest body.
        max_keys: Most entries of ``keys``.
        ca: PEM file, or PEM text, of the only authorities trusted; None: the system's. A certificate that is
            no authority is refused where the source is made.
        refuse_private_addresses: Whether private, loopback and link-local addresses are refused.
        insecure_allow_http: Whether plain http is allowed: for tests only.
        proxy: ``http://HOST:PORT`` of a proxy that is asked to connect (HTTP CONNECT); None connects
            directly. Proxies of the environment are never used.
        proxy_authorization_file: File of the value of ``Proxy-Authorization``, read again at each fetch.
        authorization_file: File of a bearer token, read again at each fetch, such as that of a Kubernetes
            service account; a text with a scheme (``Basic ...``) is sent as it is.
        header_files: More request headers: name -> file of its value, read again at each fetch.
        client_certificate: PEM file of a certificate and its private key, which servers that ask for one are
            shown (mutual TLS); read again when it changes.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """

    timeout_s: float = 5.0
    max_bytes: int = JWKS_MAX_BYTES
    max_keys: int = JWKS_MAX_KEYS
    ca: str | None = None
    refuse_private_addresses: bool = False
    insecure_allow_http: bool = False
    proxy: str | None = None
    proxy_authorization_file: str | None = None
    authorization_file: str | None = None
    header_files: Mapping[str, str] = field(default_factory=dict, hash=False)
    client_certificate: str | None = None

    def __post_init__(self) -> None:
        """Check every argument once."""
        for name in ("timeout_s", "max_bytes", "max_keys"):
            positive_s(name, getattr(self, name))
        if self.proxy is None and self.proxy_authorization_file is not None:
            raise error_for("configuration_invalid", "proxy_authorization_file", "proxy beside it")
        if self.proxy is not None:
            _check_proxy(self.proxy)
            if self.refuse_private_addresses:  # the proxy resolves the name: nobody here sees its address
                raise error_for("configuration_invalid", "refuse_private_addresses", "no proxy beside it")
        for name in self.header_files:
            if HEADER_NAME.fullmatch(name) is None or name.lower() in OWN_HEADERS:
                raise error_for("configuration_invalid", "header_files", "names of further headers", name)
            if name.lower() == "authorization" and self.authorization_file is not None:
                raise error_for("configuration_invalid", "header_files", "no authorization_file beside it")

    def check_url(self, url: object, place: str = "url") -> str:
        """Return a URL that may be fetched.

        Args:
            url: The URL.
            place: What it is called, for messages.

        Raises:
            ConfigurationError: ``configuration_invalid``: not https, with credentials or a fragment, without
                a host, at port 0, too long, or not printable ASCII.
        """
        if not is_text(place):
            raise refused("place", "a string", place)
        if not isinstance(url, str) or not 0 < len(url) <= URL_MAX_CHARS or not _is_plain(url):
            raise error_for("configuration_invalid", place, expected="a printable URL")
        try:
            parts = urlsplit(url)
            is_reachable = parts.port != 0
        except ValueError:
            is_reachable = False
        if not is_reachable:
            raise error_for("configuration_invalid", place, expected="a URL")
        schemes = ("https", "http") if self.insecure_allow_http else ("https",)
        if parts.scheme not in schemes:  # CVE-2026-48522: file:, data:, ftp: and http: reach elsewhere
            allowed: str | tuple[str, ...] = schemes
            if parts.scheme == "http":
                allowed = "https (insecure_allow_http = true allows http, for tests only)"
            raise error_for("configuration_invalid", place, expected=allowed, actual=parts.scheme)
        if not parts.hostname or parts.username is not None or parts.fragment:
            raise error_for("configuration_invalid", place, expected="a host, no credentials, no fragment")
        return url


def _check_proxy(proxy: str) -> None:
    expected = "http://HOST:PORT, without credentials"
    try:
        parts = urlsplit(proxy)
        whole = parts.scheme in ("http", "https") and parts.hostname and parts.port
    except ValueError:
        raise error_for("configuration_invalid", "proxy", expected) from None
    more = parts.username is not None or parts.path not in ("", "/") or parts.query or parts.fragment
    if not whole or more or not _is_plain(proxy):
        raise error_for("configuration_invalid", "proxy", expected)


def _is_plain(url: str) -> bool:
    return url.isascii() and url.isprintable() and " " not in url


def positive_s(place: str, value: object) -> None:
    """Check that a setting is a finite number above zero.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """
    if not is_number(value) or not 0 < value <= 1e12:  # type: ignore[operator]
        raise error_for(
            "configuration_invalid", place, expected="a finite number above 0", actual=repr(value)
        )
