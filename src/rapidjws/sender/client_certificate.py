"""The client's certificate as a gateway hands it on, for tokens bound to it (RFC 8705 s.3).

The header is believed only from configured peers: anybody else can write one. What it says about chains and
dates is the gateway's word; here the certificate's digest alone is compared.
"""

from __future__ import annotations

import hashlib
import re
from base64 import urlsafe_b64encode
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from rapidjws._checks import check_range, checked
from rapidjws.errors import error_for
from rapidjws.keys.forwarded_certificate import UNIX, der_of, is_among, networks_of, xfcc_elements
from rapidjws.verify.arguments import names_of

if TYPE_CHECKING:
    from rapidjws.keys.forwarded_certificate import Network
    from rapidjws.sender.request import SenderRequest

CertificateFormat = Literal["xfcc", "pem", "der"]

VALUE_MAX_BYTES: Final = 64 * 1024
ELEMENTS_MAX: Final = 16

_HEADERS: Final = {"xfcc": "x-forwarded-client-cert", "pem": "x-client-cert", "der": "x-client-cert"}
_FIELD_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")
_HASH: Final = re.compile(r"[0-9a-fA-F]{64}")


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
        elements: How many elements ``x-forwarded-client-cert`` has, 1 to 16: one for each Envoy on the way.
            The first Envoy sets it (``SANITIZE_SET``), the others append (``APPEND_FORWARD``), so the first
            element names the client. More or fewer refuse the request.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """

    trusted_peers: str | Iterable[str]
    form: CertificateFormat = "xfcc"
    header: str | None = None
    elements: int = 1
    _networks: tuple[Network, ...] = field(init=False, repr=False, compare=False, default=())

    def __post_init__(self) -> None:
        """Check every argument once."""
        put = object.__setattr__
        if self.form not in _HEADERS:
            raise error_for("configuration_invalid", "mtls.form", expected=tuple(_HEADERS))
        put(self, "header", (self.header or _HEADERS[self.form]).lower())
        if _FIELD_NAME.fullmatch(self.header or "") is None:
            raise error_for("configuration_invalid", "mtls.header", expected="a name of RFC 9110")
        check_range("mtls.elements", self.elements, 1, ELEMENTS_MAX)
        if self.elements > 1 and self.form != "xfcc":
            raise error_for("configuration_invalid", "mtls.elements", expected="1, for all forms but xfcc")
        peers = names_of(self.trusted_peers, "mtls.trusted_peers")
        if not peers:
            raise error_for(
                "configuration_invalid", "mtls.trusted_peers", expected="whose header is believed"
            )
        put(self, "trusted_peers", peers)
        put(self, "_networks", networks_of(peers, "mtls.trusted_peers"))

    @property
    def field(self) -> bytes:
        """Return the lower-case name of the header."""
        return str(self.header).encode("ascii")

    def trusts(self, peer: str | None) -> bool:
        """Return whether the header is believed from a peer.

        Args:
            peer: Its address, ``"unix"``, or None where nobody knows.
        """
        return is_among(peer, self._networks, unix=UNIX in tuple(self.trusted_peers))

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
        digest = _xfcc(value, self.elements) if self.form == "xfcc" else _digest(der_of(value, self.form))
        if digest is None:
            raise error_for("malformed_request", "mtls.header", expected=f"one certificate as {self.form}")
        return urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")


def _digest(der: bytes | None) -> bytes | None:
    return None if der is None else hashlib.sha256(der).digest()


def _xfcc(value: bytes, count: int) -> bytes | None:
    """Return the digest of the first element of Envoy's header, or None where it has not so many.

    What a client adds, in the header or in a name of its certificate, makes them more.
    """
    elements = xfcc_elements(value.decode("latin-1"))
    if elements is None or len(elements) != count:
        return None
    pairs = elements[0]
    hashes = [text for name, text in pairs if name == "hash"]
    certificates = [text for name, text in pairs if name == "cert"]
    if len(hashes) > 1 or len(certificates) > 1:
        return None
    by_hash = bytes.fromhex(hashes[0]) if hashes and _HASH.fullmatch(hashes[0]) else None
    if hashes and by_hash is None:
        return None
    if not certificates:
        return by_hash
    by_certificate = _digest(der_of(certificates[0].encode("latin-1"), "pem"))
    return by_certificate if by_hash in (None, by_certificate) else None
