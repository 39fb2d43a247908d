"""The sidecar's settings, checked once: where it listens, what it reads of a request, and its limits."""

from __future__ import annotations

from dataclasses import dataclass, field

from rapidjws.errors import error_for
from rapidjws.gateway.answer import checked_realm
from rapidjws.gateway.place import TokenPlace

ROUTE_HEADERS = ("x-original-uri", "x-forwarded-uri")
"""How nginx by convention, and Traefik and Caddy by themselves, name what was asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """Say how the sidecar serves.

    Args:
        listen: ``"host:port"`` or ``"unix:/path"``.
        workers: Processes.
        prefix: The path under which requests are decided; what follows it is the route (Envoy).
        route_headers: Headers that name the route where nothing follows the prefix; the gateway sets them.
        partner_header: The header in which the gateway names the partner it authenticated, or None. The
            gateway must overwrite what a client sends under it.
        place: Where tokens stand.
        realm: The ``realm`` of challenges.
        max_header_bytes: Largest head of a request.
        max_body_bytes: Largest body, which is read and thrown away.
        max_connections: Most connections of a worker; more are closed at once.
        header_timeout_s: Longest time that a request may take to arrive.
        idle_timeout_s: Longest time that a connection may be idle.
        drain_s: Longest time that requests under way have when the sidecar stops.

    Raises:
        ConfigurationError: ``configuration_invalid``, with the place of the argument.
    """

    listen: str = "127.0.0.1:8088"
    workers: int = 1
    prefix: str = "/verify"
    route_headers: tuple[str, ...] = ROUTE_HEADERS
    partner_header: str | None = None
    place: TokenPlace = field(default_factory=TokenPlace)
    realm: str = "api"
    max_header_bytes: int = 96 * 1024
    max_body_bytes: int = 64 * 1024
    max_connections: int = 10_000
    header_timeout_s: float = 5.0
    idle_timeout_s: float = 75.0
    drain_s: float = 10.0

    def __post_init__(self) -> None:
        """Check every argument once."""
        if not self.listen.startswith("unix:/"):
            host, _, port = self.listen.rpartition(":")
            if not host or not port.isdecimal() or int(port) > 65535:
                raise error_for("configuration_invalid", "server.listen", "host:port or unix:/path")
        if not self.prefix.startswith("/") or self.prefix.endswith("/") or not self.prefix.isascii():
            raise error_for("configuration_invalid", "server.prefix", expected="a path, /like/this")
        checked_realm(self.realm, "server.realm")
        for place in ("workers", "max_header_bytes", "max_body_bytes", "max_connections"):
            if getattr(self, place) < 1:
                raise error_for("configuration_invalid", f"server.{place}", expected="from 1 on")
        for place in ("header_timeout_s", "idle_timeout_s", "drain_s"):
            if not 0 < getattr(self, place) <= 3600:
                raise error_for("configuration_invalid", f"server.{place}", expected="above 0 to 3600")
