"""The client certificate that a gateway ended TLS with and hands on in a header.

The header counts only on connections from gateways that the configuration names: anybody else could write it.
The gateway must remove it from what clients send.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from rapidjws._checks import checked
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.keys.forwarded_certificate import UNIX, der_of, is_among, networks_of, xfcc_pairs

if TYPE_CHECKING:
    from rapidjws.keys.forwarded_certificate import Network

Form = Literal["rfc9440", "pem", "xfcc"]
FORMS: Final = ("rfc9440", "pem", "xfcc")
VALUE_MAX_CHARS: Final = 32 * 1024
_HEADER: Final = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]{1,64}")


class PresentedCertificate(NamedTuple):
    """What is known of a certificate.

    Attributes:
        thumbprint: Its SHA-256 in base64url, as ``x5t#S256`` (RFC 8705 s.3.1).
        uris: The URIs of its subject alternative name.
    """

    thumbprint: str
    uris: tuple[str, ...]


@checked(under="token.mtls")
@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayCertificate:
    """The header of a gateway, and which gateways are believed.

    Attributes:
        header: Its name, in any case: ``"client-cert"``, ``"x-forwarded-client-cert"`` and so on.
        form: ``"rfc9440"`` (Client-Cert), ``"pem"`` (nginx's ``$ssl_client_escaped_cert``), or ``"xfcc"``
            (Envoy, with ``Hash`` and ``URI``, which must set the header anew: ``SANITIZE_SET``).
        gateways: Addresses or networks that gateways connect from, ``"unix"`` for a UNIX socket.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """

    header: str
    form: Form
    gateways: Iterable[str]
    _networks: tuple[Network, ...] = field(init=False, repr=False, compare=False, default=())

    def __post_init__(self) -> None:
        given = (self.gateways,) if isinstance(self.gateways, str) else tuple(self.gateways)
        object.__setattr__(self, "header", self.header.lower())
        object.__setattr__(self, "gateways", given)
        if not _HEADER.fullmatch(self.header):
            raise error_for("configuration_invalid", "token.mtls.header", "a header's name")
        if self.form not in FORMS:
            raise error_for("configuration_invalid", "token.mtls.form", FORMS, str(self.form))
        if not given:
            raise error_for("configuration_invalid", "token.mtls.gateways", "addresses, networks or unix")
        object.__setattr__(self, "_networks", networks_of(given, "token.mtls.gateways"))

    @checked
    def presented(self, headers: Mapping[str, list[str]], peer: str | None) -> PresentedCertificate | None:
        """Return the certificate of a request; None where there is none, or no gateway sent it.

        Args:
            headers: Lower-case name -> its values.
            peer: The address that the connection comes from, ``"unix"``, or None where it is not known.

        Raises:
            IssuingRefused: ``token_request_refused``: a gateway sent what cannot be read.
        """
        values = headers.get(self.header, [])
        unix = UNIX in tuple(self.gateways)
        if not values or not is_among(peer, self._networks, unix=unix):
            return None
        if len(values) != 1 or len(values[0]) > VALUE_MAX_CHARS:
            raise _unreadable()
        if self.form == "xfcc":
            return _of_xfcc(values[0])
        text = values[0].strip(" ")
        is_marked = len(text) > 2 and text[0] == text[-1] == ":"  # RFC 9440 s.2.1, RFC 8941 s.3.3.5
        if (self.form == "rfc9440" and not is_marked) or not text.isascii():
            raise _unreadable()
        der = der_of(text.encode("ascii"), "pem" if self.form == "pem" else "der")
        if der is None:
            raise _unreadable()
        return _of_der(der)


def _unreadable() -> RapidJWSError:
    return error_for("token_request_refused", "client_certificate", "one certificate", "invalid_client")


def _of_der(der: bytes) -> PresentedCertificate:
    from cryptography import x509

    try:
        certificate = x509.load_der_x509_certificate(der)
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        uris = tuple(extension.value.get_values_for_type(x509.UniformResourceIdentifier))
    except x509.ExtensionNotFound:
        uris = ()
    except Exception:  # a decoder's errors are many; none of them is a certificate
        raise _unreadable() from None
    return PresentedCertificate(_text_of(hashlib.sha256(der).digest()), uris)


def _of_xfcc(value: str) -> PresentedCertificate:
    """Return what Envoy says of one certificate; a list of several is another proxy's word."""
    pairs = xfcc_pairs(value)
    if pairs is None:
        raise _unreadable()
    hashes = [text for name, text in pairs if name == "hash"]
    uris = [text for name, text in pairs if name == "uri" and text]
    if len(hashes) != 1 or not re.fullmatch(r"[0-9a-fA-F]{64}", hashes[0]):
        raise _unreadable()
    return PresentedCertificate(_text_of(bytes.fromhex(hashes[0])), tuple(uris))


def _text_of(digest: bytes) -> str:
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
