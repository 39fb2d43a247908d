"""What a detached signature covers beside the body: method, target and headers of the request.

A builder makes the octets that were signed out of the request. Two are here: request lines as TrueLayer signs
them, and ``sigD`` of JAdES (ETSI TS 119 182-1 section 5.2.8). What they never do: fetch what a URI names.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from rapidjws import _native
from rapidjws._checks import checked
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.observe.request_info import no_headers

NAMES_MAX: Final = 64
_SIGD: Final = "http://uri.etsi.org/19182/"
HTTP_HEADERS: Final = _SIGD + "HttpHeaders"
OBJECT_BY_URI: Final = _SIGD + "ObjectIdByURI"
OBJECT_BY_URI_HASH: Final = _SIGD + "ObjectIdByURIHash"
MECHANISMS: Final = (HTTP_HEADERS, OBJECT_BY_URI, OBJECT_BY_URI_HASH)
_XMLENC: Final = "http://www.w3.org/2001/04/xmlenc#"
_HASHES: Final = {
    "S256": "sha256",
    "S384": "sha384",
    "S512": "sha512",
    _XMLENC + "sha256": "sha256",
    "http://www.w3.org/2001/04/xmldsig-more#sha384": "sha384",
    _XMLENC + "sha512": "sha512",
}
_HTTP_DIGESTS: Final = {"sha-256": "sha256", "sha-512": "sha512"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedRequest:
    """A request whose signature is about to be verified: nothing in it is to be trusted yet.

    Attributes:
        method: As it was sent.
        target: Path and query as they were sent.
        body: The body's octets as they came.
        unverified_header: The members of the JWS's protected header.
        headers: Gives each value of a header by its lower-case name.
    """

    method: str
    target: str = field(repr=False)
    body: bytes = field(repr=False)
    unverified_header: Mapping[str, Any] = field(repr=False)
    headers: Callable[[bytes], Any] = field(default=no_headers, repr=False)

    def values(self, name: str) -> list[str]:
        """Return each value of a header, in the order of the request."""
        wanted = name.lower().encode("latin-1", "replace")
        return [bytes(one).decode("latin-1").strip(" \t") for one in self.headers(wanted)]

    def value(self, name: str) -> str:
        """Return the one value of a header.

        Raises:
            MalformedToken: ``malformed_token``: there is none, or more than one.
        """
        found = self.values(name)
        if len(found) != 1:  # the application could read another one
            raise error_for("malformed_token", f"request.{name.lower()}", "one value", len(found))
        return found[0]


PayloadBuilder = Callable[[SignedRequest], bytes]
"""Makes the octets that were signed; raises, or returns no bytes, where there are none."""


def built_payload(build: PayloadBuilder, request: SignedRequest) -> bytes:
    """Return what a builder makes of a request.

    Raises:
        RapidJWSError: The builder's own; ``malformed_token`` for any other exception and any other result.
    """
    try:
        made = build(request)
    except RapidJWSError:
        raise
    except Exception as fault:
        raise error_for("malformed_token", "request", "what is signed", type(fault).__name__) from None
    if not isinstance(made, bytes):
        raise error_for("malformed_token", "request", "octets that were signed", type(made).__name__)
    return made


def _names(stated: object, place: str) -> list[str]:
    """Return a header parameter's list of names."""
    good = isinstance(stated, list) and 0 < len(stated) <= NAMES_MAX
    if not good or not isinstance(stated, list) or not all(isinstance(one, str) and one for one in stated):
        raise error_for("malformed_header", place, f"1 to {NAMES_MAX} names")
    if len({one.lower() for one in stated}) != len(stated):
        raise error_for("malformed_header", place, "distinct names")
    return stated


@checked(under="request_lines")
@dataclass(frozen=True, slots=True, kw_only=True)
class RequestLines:
    """Method, path, chosen headers and the body, a line each, as TrueLayer signs webhooks and requests.

    Args:
        names_in: The header parameter that lists the signed headers, separated by commas.
        required: Headers that must be among them.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """

    names_in: str = "tl_headers"
    required: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check the name."""
        if not self.names_in:
            raise error_for("configuration_invalid", "request_lines.names_in", expected="a name")

    def __call__(self, request: SignedRequest) -> bytes:
        """Return what was signed.

        Raises:
            RapidJWSError: ``malformed_header``, ``malformed_token``.
        """
        place = f"header.{self.names_in}"
        stated = request.unverified_header.get(self.names_in, "")
        if not isinstance(stated, str):
            raise error_for("malformed_header", place, "names, separated by commas")
        names = _names([one.strip(" ") for one in stated.split(",")], place) if stated else []
        lacking = {one.lower() for one in self.required} - {one.lower() for one in names}
        if lacking:
            raise error_for("malformed_header", place, ", ".join(sorted(lacking)))
        lines = [f"{request.method.upper()} {request.target}\n"]
        lines += [f"{name}: {request.value(name)}\n" for name in names]
        return "".join(lines).encode("latin-1") + request.body


@checked(under="signed_data")
@dataclass(frozen=True, slots=True, kw_only=True)
class SignedData:
    """``sigD`` of JAdES: the protected header says what was signed.

    ``HttpHeaders`` signs headers, and the body by ``digest`` or ``content-digest``, which must be among them.
    ``ObjectIdByURI`` and ``ObjectIdByURIHash`` sign one object, which is the body, whatever the URI is.

    Args:
        mechanisms: Those that are accepted.
        required: Headers that must be signed, with ``HttpHeaders``: ``("(request-target)",)``.

    Raises:
        ConfigurationError: ``configuration_invalid``.

    Source: ETSI TS 119 182-1 V1.2.1 section 5.2.8; the draft "Signing HTTP Messages" section 2.3.
    """

    mechanisms: tuple[str, ...] = MECHANISMS
    required: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check the mechanisms."""
        if not self.mechanisms or not set(self.mechanisms) <= set(MECHANISMS):
            raise error_for("configuration_invalid", "signed_data.mechanisms", expected=MECHANISMS)

    def __call__(self, request: SignedRequest) -> bytes:
        """Return what was signed.

        Raises:
            RapidJWSError: ``malformed_header``, ``malformed_token``; ``signature_invalid`` for another body.
        """
        stated = request.unverified_header.get("sigD")
        if not isinstance(stated, dict) or stated.get("mId") not in self.mechanisms:
            raise error_for("malformed_header", "header.sigD", "a mechanism that is accepted")
        names = _names(stated.get("pars"), "header.sigD.pars")
        if stated["mId"] == HTTP_HEADERS:
            return self._header_lines(request, names)
        if len(names) != 1:
            raise error_for("malformed_header", "header.sigD.pars", "one object, the body", len(names))
        if stated["mId"] == OBJECT_BY_URI:
            return request.body
        _check_object(stated, request)
        return b""

    def _header_lines(self, request: SignedRequest, names: list[str]) -> bytes:
        lower = [name.lower() for name in names]
        lacking = {one.lower() for one in self.required} - set(lower)
        if lacking:
            raise error_for("malformed_header", "header.sigD.pars", ", ".join(sorted(lacking)))
        digests = [name for name in lower if name in ("digest", "content-digest")]
        if not digests:
            raise error_for("malformed_header", "header.sigD.pars", "digest: else the body is not signed")
        for name in digests:
            _check_http_digest(name, request.value(name), request.body)
        lines = []
        for name in lower:
            if name == "(request-target)":
                lines.append(f"{name}: {request.method.lower()} {request.target}")
                continue
            values = request.values(name)
            if not values:
                raise error_for("malformed_token", f"request.{name}", "a header of this name")
            lines.append(f"{name}: {', '.join(values)}")
        return "\n".join(lines).encode("latin-1")


def _check_http_digest(name: str, value: str, body: bytes) -> None:
    """Refuse a body that is not what a Digest (RFC 3230) or Content-Digest (RFC 9530) header states."""
    checks = 0
    for entry in value.split(","):
        kind, _, text = entry.strip(" \t").partition("=")
        algorithm = _HTTP_DIGESTS.get(kind.strip(" \t").lower())
        if algorithm is None:
            continue
        if name == "content-digest":
            text = text[1:-1] if len(text) > 1 and text[0] == text[-1] == ":" else ""
        expected = base64.b64encode(hashlib.new(algorithm, body).digest()).decode()
        if not hmac.compare_digest(text.encode("latin-1", "replace"), expected.encode()):
            raise error_for("signature_invalid", f"request.{name}", "the digest of this body")
        checks += 1
    if not checks:
        raise error_for("malformed_token", f"request.{name}", "a digest by sha-256 or sha-512")


def _check_object(stated: Mapping[str, Any], request: SignedRequest) -> None:
    """Refuse a body whose digest is not the one in ``hashV``."""
    algorithm, values = _HASHES.get(str(stated.get("hashM"))), stated.get("hashV")
    if algorithm is None or not isinstance(values, list) or len(values) != 1:
        raise error_for("malformed_header", "header.sigD", "hashM, and one digest in hashV")
    digest = (
        _native.b64url_decode(values[0].encode("ascii", "replace")) if isinstance(values[0], str) else None
    )
    if digest is None:
        raise error_for("malformed_header", "header.sigD.hashV", "a digest in base64url")
    is_encoded = request.unverified_header.get("b64", True) is not False
    octets = _native.b64url_encode(request.body) if is_encoded else request.body
    if not hmac.compare_digest(digest, hashlib.new(algorithm, octets).digest()):
        raise error_for("signature_invalid", "header.sigD.hashV", "the digest of this body")
