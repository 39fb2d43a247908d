"""The sidecar's settings, checked once: where it listens, what it reads of a request, and its limits."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from rapidjws import _files
from rapidjws.config.schema import ADDRESSES
from rapidjws.errors import error_for
from rapidjws.middleware.claim_headers import NO_CLAIM_HEADERS, ClaimHeaders
from rapidjws.middleware.presented import check_place
from rapidjws.middleware.response import checked_realm
from rapidjws.middleware.startup import READY_TIMEOUT_S, checked_ready_timeout_s
from rapidjws.middleware.token_location import TokenLocation, is_field_name

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from rapidjws.sender import SenderConstraints
    from rapidjws.sidecar.body_settings import BodySettings

WORKERS_MAX: Final = 1024
"""Most processes: each takes memory of its own, and a slip of the pen is not to take the machine."""

ROUTE_HEADERS = ("x-original-uri", "x-forwarded-uri")
"""How nginx by convention, and Traefik and Caddy by themselves, name what was asked for."""

GRPC_SERVERS: Final = ("grpcio", "ngh2")

MODES: Final = ("0600", "0660", "0666")
"""What a Unix socket can be for: its owner, its group, everybody."""

OWN_METHOD = ":method"
"""The value of ``method_header`` for the check request's own method (RFC 9113 section 8.3.1)."""

SECRET_MIN_CHARS = 32
_PLACE: Final = {"token_header": "header", "token_scheme": "scheme", "token_cookie": "cookie"}
_SECRETS: Final = {"admin_token_file": "admin_token", "hook_secret_file": "hook_secret"}
SECRET_MAX_BYTES: Final = 4096


def is_unix(address: str | None) -> bool:
    """Return whether an address is that of a Unix socket."""
    return address is not None and address.startswith("unix:/")


def _checked_address(place: str, address: str | None) -> None:
    if address is None or is_unix(address):
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise error_for("configuration_invalid", place, "host:port or unix:/path")


def _checked_secret(place: str, secret: str | None) -> None:
    if secret is not None and (len(secret) < SECRET_MIN_CHARS or not secret.isprintable()):
        raise error_for("configuration_invalid", place, f"at least {SECRET_MIN_CHARS} characters")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """How the sidecar serves.

    Args:
        listen: ``"host:port"`` or ``"unix:/path"``.
        listen_mode: The mode of the Unix socket of ``listen``, ``"0600"``, ``"0660"`` (its group, as the
            containers of a pod share one) or ``"0666"``; None: what the umask leaves.
        grpc_listen: Where Envoy's ext_authz over gRPC is answered, or None; ``"unix:/path"`` with one worker
            only where ``grpc_server`` is ``"grpcio"``.
        grpc_server: What answers there: ``"grpcio"``, or ``"ngh2"``, which takes a fraction of the CPU.
        admin_listen: Where admin actions are taken, or None: ``"unix:/path"``, which only its owner may open,
            or ``"host:port"``, which needs a token.
        admin_token: What an administrator must show as a bearer token, 32 characters or more, or None.
        hook_secret: What an issuer must show to ``/hooks/jwks-rotated``, likewise; None: there is no hook.
        workers: Processes, up to WORKERS_MAX.
        prefix: The path under which requests are decided; what follows it is the route (Envoy).
        route_headers: Headers that name the route where nothing follows the prefix, and that no other setting
            reads; the gateway sets them.
        partner_header: The header in which the gateway names the partner it authenticated, or None. The
            gateway must overwrite what a client sends under it; two of them get the strictest stage of both.
        method_header: The header in which the gateway puts the client's method; ``":method"`` for that of the
            check itself (Envoy's is the client's, nginx's is always GET). None: unknown to rules, and to
            bodies and DPoP where a header names the path: any client can write a header nobody named here.
        host_header: The header in which it puts the client's host; None: unknown to rules, and for DPoP the
            check's own Host. The gateway must overwrite what a client sends under either.
        claim_headers: Claim, or JSON Pointer, -> the header of the answers in which the service gets it,
            as for :class:`rapidjws.middleware.Authenticator`.
        place: Where tokens stand.
        body: Which requests are decided by a signature of their body, or None.
        sender: Compares what a token is bound to with who sends it (DPoP, mutual TLS), or None.
        realm: The ``realm`` of challenges.
        max_header_bytes: Largest head of a request.
        max_body_bytes: Largest body, which is read and thrown away.
        max_connections: Most connections of a worker; more are closed at once.
        max_delay_s: How long the requests of one turn may take, up to 10 seconds; what would take longer is
            answered 503 with Retry-After, partner by partner. 0: all are decided.
        header_timeout_s: Longest time that a request may take to arrive.
        idle_timeout_s: Longest time that a connection may be idle.
        ready_timeout_s: Longest time, 0 to 3600 seconds, that a start waits for the keys of required issuers
            before it accepts; then it serves all the same, and their tokens get 503 with Retry-After.
        drain_s: Longest time that requests under way have when the sidecar stops.
        worker_timeout_s: A worker whose loop stands still so long is killed and started again.

    Attributes:
        claims_out: Makes the headers of claims.

    Raises:
        ConfigurationError: ``configuration_invalid``, with the place of the argument.
    """

    listen: str = "127.0.0.1:8088"
    listen_mode: str | None = None
    grpc_listen: str | None = None
    grpc_server: str = "grpcio"
    admin_listen: str | None = None
    admin_token: str | None = field(default=None, repr=False)
    hook_secret: str | None = field(default=None, repr=False)
    workers: int = 1
    prefix: str = "/verify"
    route_headers: tuple[str, ...] = ROUTE_HEADERS
    partner_header: str | None = None
    method_header: str | None = None
    host_header: str | None = None
    claim_headers: Mapping[str, Any] = field(default_factory=dict)
    place: TokenLocation = field(default_factory=TokenLocation)
    body: BodySettings | None = None
    sender: SenderConstraints | None = None
    realm: str = "api"
    max_header_bytes: int = 96 * 1024
    max_body_bytes: int = 64 * 1024
    max_connections: int = 10_000
    max_delay_s: float = 0.05
    header_timeout_s: float = 5.0
    idle_timeout_s: float = 75.0
    ready_timeout_s: float = READY_TIMEOUT_S
    drain_s: float = 10.0
    worker_timeout_s: float = 30.0
    claims_out: ClaimHeaders = field(default=NO_CLAIM_HEADERS, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Check every argument once."""
        for place in ("listen", "grpc_listen", "admin_listen"):
            _checked_address(f"server.{place}", getattr(self, place))
        _checked_mode(self.listen_mode, self.listen)
        for place in ("admin_token", "hook_secret"):
            _checked_secret(f"server.{place}", getattr(self, place))
        if self.grpc_server not in GRPC_SERVERS:
            raise error_for("configuration_invalid", "server.grpc_server", " or ".join(GRPC_SERVERS))
        is_alone = self.grpc_server == "grpcio" and is_unix(self.grpc_listen)
        if is_alone and self.workers > 1:  # the second worker would take it from the first
            raise error_for("configuration_invalid", "server.grpc_listen", "host:port, for several workers")
        if self.admin_listen is not None and not is_unix(self.admin_listen) and self.admin_token is None:
            raise error_for(
                "configuration_invalid", "server.admin_token", "a token, for all but a Unix socket"
            )
        addresses = [one for one in (self.listen, self.grpc_listen, self.admin_listen) if one is not None]
        fixed = [one for one in addresses if not one.endswith(":0")]
        if len(set(fixed)) < len(fixed):
            raise error_for("configuration_invalid", "server.listen", "an address for each listener")
        if not self.prefix.startswith("/") or self.prefix.endswith("/") or not self.prefix.isascii():
            raise error_for("configuration_invalid", "server.prefix", expected="a path, /like/this")
        checked_realm(self.realm, "server.realm")
        check_place(self.sender, self.place, "dpop")
        if self.workers > 1 and self.sender is not None and not self.sender.is_shared:
            expected = "1, or replay.redis: each worker would take a DPoP proof once"
            raise error_for("configuration_invalid", "server.workers", expected)
        for place in ("workers", "max_header_bytes", "max_body_bytes", "max_connections"):
            if getattr(self, place) < 1:
                raise error_for("configuration_invalid", f"server.{place}", expected="from 1 on")
        if self.workers > WORKERS_MAX:
            raise error_for("configuration_invalid", "server.workers", f"up to {WORKERS_MAX}")
        object.__setattr__(self, "claims_out", ClaimHeaders(self.claim_headers, place="server.claim_headers"))
        self._check_headers()
        for place in ("header_timeout_s", "idle_timeout_s", "drain_s", "worker_timeout_s"):
            if not 0 < getattr(self, place) <= 3600:
                raise error_for("configuration_invalid", f"server.{place}", expected="above 0 to 3600")
        if not 0 <= self.max_delay_s <= 10:
            raise error_for("configuration_invalid", "server.max_delay_s", expected="0 to 10")
        checked_ready_timeout_s("server.ready_timeout_s", self.ready_timeout_s)

    @property
    def method_fields(self) -> tuple[bytes, ...]:
        """Return the lower-case header that names the client's method; none where no header does."""
        if self.method_header is None or self.method_header == OWN_METHOD:
            return ()
        return (self.method_header.lower().encode("ascii"),)

    @property
    def host_field(self) -> bytes:
        """Return the lower-case header that names the client's host; any client can write another one."""
        return b"host" if self.host_header is None else self.host_header.lower().encode("ascii")

    def client_method(self, headers: list[tuple[bytes, bytes]], method: bytes) -> bytes:
        """Return the client's method, or nothing where a check request names none or several.

        Args:
            headers: Lower-case names and values of the check request.
            method: Its own.
        """
        if self.method_header == OWN_METHOD:
            return method
        found = {value for name, value in headers if name in self.method_fields}
        return found.pop() if len(found) == 1 else b""

    def _check_headers(self) -> None:
        """Refuse names that no request can carry, and those that another setting reads first."""
        token = self.place.field.decode("ascii")
        partner = [] if self.partner_header is None else [self.partner_header]
        taken = {token}
        headers = {"partner_header": partner, "route_headers": self.route_headers}
        for place, names in headers.items():
            for name in names:
                if not is_field_name(name):
                    raise error_for("configuration_invalid", f"server.{place}", "names of RFC 9110")
                if name.lower() in taken:
                    raise error_for(
                        "configuration_invalid", f"server.{place}", "a header that no other setting reads"
                    )
            taken.update(name.lower() for name in names)
        self._check_rule_headers(taken)
        signed = set() if self.body is None else {name.lower() for name in self.body.signature_headers}
        if not signed.isdisjoint(taken - {token}):
            raise error_for(
                "configuration_invalid",
                "server.body.signature_headers",
                "headers that no other setting reads",
            )
        taken |= signed
        if any(self.claims_out.owns(name) for name in taken):
            raise error_for(
                "configuration_invalid", "server.claim_headers", "headers that no other setting reads"
            )

    def _check_rule_headers(self, taken: set[str]) -> None:
        """Refuse names for the client's method and host that no request can carry, or that are read."""
        for place in ("method_header", "host_header"):
            name = getattr(self, place)
            if name is None or (place == "method_header" and name == OWN_METHOD):
                continue
            if not is_field_name(name) or name.lower() in taken:
                raise error_for("configuration_invalid", f"server.{place}", "a header of its own (RFC 9110)")
            taken.add(name.lower())


def _checked_mode(mode: str | None, listen: str) -> None:
    if mode is None:
        return
    if mode not in MODES:
        raise error_for("configuration_invalid", "server.listen_mode", "0600, 0660 or 0666, as a text")
    if not is_unix(listen):
        raise error_for("configuration_invalid", "server.listen_mode", "a Unix socket in `listen`")


def _secret(path: Path, place: str) -> str:
    """Return the secret in a file; raises ConfigurationError."""
    try:
        return _files.read_trusted(path, SECRET_MAX_BYTES).decode("utf-8").strip()
    except (OSError, ValueError) as fault:
        found = (fault.strerror if isinstance(fault, OSError) else None) or type(fault).__name__
        raise error_for("configuration_invalid", place, "a file to read", found) from None


def absolute_address(address: str, folder: Path) -> str:
    """Return an address whose Unix socket, where it is one, has an absolute path.

    Args:
        address: ``host:port`` or ``unix:path``.
        folder: What a relative path is relative to.
    """
    path = address.removeprefix("unix:")
    return address if path == address or not path else f"unix:{(folder / path).absolute()}"


def settings_from(
    section: dict[str, Any],
    folder: Path,
    sender: SenderConstraints | None = None,
    body: BodySettings | None = None,
) -> ServerSettings:
    """Return the settings of a table ``server``; raises ConfigurationError.

    Args:
        section: The table.
        folder: What paths are relative to.
        sender: How tokens that are bound to senders are checked, or None.
        body: Which requests are decided by their body, or None.
    """
    settings = dict(section)
    for name, mine in _SECRETS.items():
        if name in settings:
            settings[mine] = _secret(folder / settings.pop(name), f"server.{name}")
    for name in ADDRESSES:
        if name in settings:
            settings[name] = absolute_address(settings[name], folder)
    place = {mine: settings.pop(name) for name, mine in _PLACE.items() if name in settings}
    headers = settings.get("route_headers")
    if headers is not None:
        settings["route_headers"] = (headers,) if isinstance(headers, str) else tuple(headers)
    return ServerSettings(place=TokenLocation(**place), sender=sender, body=body, **settings)
