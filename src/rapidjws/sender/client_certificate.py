"""The client's certificate as a gateway hands it on, for tokens bound to it (RFC 8705 s.3).

The header is believed only from configured peers: anybody else can write one. What it says about chains and
dates is the gateway's word; here the certificate's digest alone is compared.
"""

from __future__ import annotations

import binascii
import hashlib
import ipaddress
import re
from base64 import b64decode, b64encode, urlsafe_b64encode
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import unquote_to_bytes

from rapidjws._checks import checked
from rapidjws.errors import error_for
from rapidjws.verify.arguments import names_of

if TYPE_CHECKING:
    from rapidjws.sender.request import SenderRequest

    Network = ipaddress.IPv4Network | ipaddress.IPv6Network

CertificateFormat = Literal["xfcc", "pem", "der"]

UNIX: Final = "unix"
"""Stands for every peer on a Unix socket."""

VALUE_MAX_BYTES: Final = 64 * 1024

_HEADERS: Final = {"xfcc": "x-forwarded-client-cert", "pem": "x-client-cert", "der": "x-client-cert"}
_FIELD_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")
_PEM: Final = re.compile(
    rb"\s*-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----\s*", re.ASCII
)
_BASE64: Final = re.compile(rb"[A-Za-z0-9+/]+={0,2}")
_HASH: Final = re.compile(r"[0-9a-fA-F]{64}")
_SEQUENCE: Final = 0x30


@checked(but=("trusted_peers",))
@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCertificate:
    """Where the gateway puts the certificate of the client, and from whom that is believed.

    Args:
        trusted_peers: Addresses and networks (``"10.0.0.0/8"``) of the gateways, and ``"unix"`` for whoever
            sends over a Unix socket. A header from anybody else refuses the request.
        form: ``"xfcc"``: Envoy's ``x-forwarded-client-cert``, with ``Hash`` or ``Cert``. ``"pem"``: PEM,
            percent-encoded, as nginx's ``$ssl_client_escaped_cert`` is. ``"der"``: DER in base64, as
            HAProxy's ``%{+Q}[ssl_c_der,base64]`` is; in colons as RFC 9440 writes it.
        header: The header's name; by default ``x-forwarded-client-cert`` or ``x-client-cert``.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """

    trusted_peers: str | Iterable[str]
    form: CertificateFormat = "xfcc"
    header: str | None = None
    _networks: tuple[Network, ...] = field(init=False, repr=False, compare=False, default=())

    def __post_init__(self) -> None:
        """Check every argument once."""
        put = object.__setattr__
        if self.form not in _HEADERS:
            raise error_for("configuration_invalid", "mtls.form", expected=tuple(_HEADERS))
        put(self, "header", (self.header or _HEADERS[self.form]).lower())
        if _FIELD_NAME.fullmatch(self.header or "") is None:
            raise error_for("configuration_invalid", "mtls.header", expected="a name of RFC 9110")
        peers = names_of(self.trusted_peers, "mtls.trusted_peers")
        if not peers:
            raise error_for(
                "configuration_invalid", "mtls.trusted_peers", expected="whose header is believed"
            )
        put(self, "trusted_peers", peers)
        put(self, "_networks", tuple(_network(peer) for peer in peers if peer != UNIX))

    @property
    def field(self) -> bytes:
        """Return the lower-case name of the header."""
        return str(self.header).encode("ascii")

    def trusts(self, peer: str | None) -> bool:
        """Return whether the header is believed from a peer.

        Args:
            peer: Its address, ``"unix"``, or None where nobody knows.
        """
        if peer is None or peer == UNIX:
            return peer is not None and UNIX in tuple(self.trusted_peers)
        try:
            address = ipaddress.ip_address(peer.partition("%")[0])
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None)  # ::ffff:10.0.0.1 of a dual-stack socket
        return any((mapped or address) in network or address in network for network in self._networks)

    def thumbprint(self, request: SenderRequest) -> str | None:
        """Return ``x5t#S256`` of the certificate that the gateway hands on, or None where there is none.

        Raises:
            PolicyRefused: ``malformed_request``: the header twice, from who is not trusted, or unreadable.
        """
        values = [value for value in request.certificates if value.strip(b" \t")]
        if not values:
            return None
        if not self.trusts(request.peer):
            raise error_for("malformed_request", "mtls.header", expected="nothing from this peer")
        if len(values) > 1 or len(request.certificates) > 1 or len(values[0]) > VALUE_MAX_BYTES:
            raise error_for("malformed_request", "mtls.header", expected="one certificate")
        value = values[0].strip(b" \t")
        digest = _xfcc(value) if self.form == "xfcc" else _digest(_der(value, self.form))
        if digest is None:
            raise error_for("malformed_request", "mtls.header", expected=f"one certificate as {self.form}")
        return urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")


def _network(peer: str) -> Network:
    try:
        return ipaddress.ip_network(peer)
    except ValueError:
        expected = "addresses, networks, or unix"
        raise error_for("configuration_invalid", "mtls.trusted_peers", expected, peer) from None


def _digest(der: bytes | None) -> bytes | None:
    return None if der is None else hashlib.sha256(der).digest()


def _der(value: bytes, form: str) -> bytes | None:
    """Return a certificate's DER out of PEM or base64; None for anything but one certificate."""
    if form == "pem":
        found = _PEM.fullmatch(unquote_to_bytes(value) if b"%" in value else value)
        text = b"" if found is None else b"".join(found[1].split())
    else:
        text = value[1:-1] if value[:1] == b":" == value[-1:] and len(value) > 2 else value
    if _BASE64.fullmatch(text) is None:
        return None
    try:
        der = b64decode(text, validate=True)
    except binascii.Error:
        return None
    is_canonical = b64encode(der) == text  # one spelling
    return der if is_canonical and _is_one_sequence(der) else None


def _is_one_sequence(der: bytes) -> bool:
    """Return whether octets are one DER SEQUENCE from end to end: its digest then has one meaning."""
    if len(der) < 4 or der[0] != _SEQUENCE or not 0x81 <= der[1] <= 0x83:
        return False
    count = der[1] & 0x7F
    return len(der) == 2 + count + int.from_bytes(der[2 : 2 + count], "big")


def _xfcc(value: bytes) -> bytes | None:
    """Return the digest of the one element of Envoy's header, or None where it is none or several.

    Each proxy with ``APPEND_FORWARD`` appends an element: which is the client's, nobody can tell here.
    """
    pairs = _xfcc_pairs(value.decode("latin-1"))
    if pairs is None:
        return None
    hashes = [text for name, text in pairs if name == "hash"]
    certificates = [text for name, text in pairs if name == "cert"]
    if len(hashes) > 1 or len(certificates) > 1:
        return None
    by_hash = bytes.fromhex(hashes[0]) if hashes and _HASH.fullmatch(hashes[0]) else None
    if hashes and by_hash is None:
        return None
    if not certificates:
        return by_hash
    by_certificate = _digest(_der(certificates[0].encode("latin-1"), "pem"))
    return by_certificate if by_hash in (None, by_certificate) else None


def _xfcc_pairs(text: str) -> list[tuple[str, str]] | None:
    """Return name and value of each pair of one element; None where it is malformed, or another follows."""
    pairs: list[tuple[str, str]] = []
    at = 0
    while at < len(text):
        name, equals, _ = text[at:].partition("=")
        if not equals or not name.isalnum() or not name.isascii():
            return None
        at += len(name) + 1
        found = _quoted(text, at) if text[at : at + 1] == '"' else _bare(text, at)
        if found is None:
            return None
        content, at = found
        pairs.append((name.lower(), content))
        if at < len(text):
            if text[at] != ";":
                return None
            at += 1
    return pairs


def _quoted(text: str, at: int) -> tuple[str, int] | None:
    """Return a value in double quotes, and where it ends."""
    content: list[str] = []
    at += 1
    while at < len(text):
        if text[at] == "\\" and at + 1 < len(text):
            content.append(text[at + 1])
            at += 2
        elif text[at] == '"':
            return "".join(content), at + 1
        else:
            content.append(text[at])
            at += 1
    return None


def _bare(text: str, at: int) -> tuple[str, int] | None:
    """Return a value without quotes, and where it ends; a comma begins another element."""
    end = text.find(";", at)
    content = text[at:] if end < 0 else text[at:end]
    return None if "," in content or '"' in content else (content, at + len(content))
