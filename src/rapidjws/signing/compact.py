"""JWS Compact Serialization, written (RFC 7515 s.7.1, appendix F; RFC 7797 s.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rapidjws import _native
from rapidjws._checks import checked
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.signing.header import header_members, header_octets
from rapidjws.signing.signer import Signer

if TYPE_CHECKING:
    from collections.abc import Mapping


_UNENCODED = frozenset(range(0x20, 0x7F)) - {ord(".")}


def signing_input(protected: bytes, payload: bytes, *, b64: bool) -> bytes:
    """Return the JWS Signing Input (RFC 7515 s.2, RFC 7797 s.3)."""
    encode = _native.b64url_encode
    return encode(protected) + b"." + (encode(payload) if b64 else payload)


def assemble(
    protected: bytes, payload: bytes, signer: Signer, *, detached: bool = False, b64: bool = True
) -> str:
    """Sign whatever header octets these are; the checks are the caller's."""
    octets = signing_input(protected, payload, b64=b64)
    shown = b"" if detached else octets.partition(b".")[2]
    signature = _native.b64url_encode(signer.sign(octets))
    return b".".join((octets.partition(b".")[0], shown, signature)).decode()


@checked
def sign_compact(
    payload: bytes,
    signer: Signer,
    *,
    header: Mapping[str, Any] | None = None,
    detached: bool = False,
    b64: bool = True,
) -> str:
    """Sign a payload into a compact token.

    Args:
        payload: The JWS Payload's octets.
        signer: Who signs; gives ``alg`` and ``kid``.
        header: Further protected header parameters, for instance ``{"typ": "JWT"}``.
        detached: True to leave the payload out of the token (RFC 7515 appendix F).
        b64: False for an unencoded payload (RFC 7797); inside a token it may then hold printable ASCII
            without a dot only.

    Returns:
        The token.

    Raises:
        ConfigurationError: ``configuration_invalid``: a header parameter the caller may not set.
        MalformedToken: ``b64_unsupported``: an unencoded payload that cannot stand in a compact token.

    Source: RFC 7515 section 5.1, section 7.1; RFC 7797 section 5.2.
    """
    if not b64 and not detached and not _UNENCODED.issuperset(payload):
        raise error_for(
            "b64_unsupported", "payload", expected="printable ASCII without a dot, or detached content"
        )
    try:
        return _signed(payload, signer, header, detached, b64)
    except RapidJWSError as failed:
        if failed.code != "signer_key_changed":
            raise
    return _signed(payload, signer, header, detached, b64)  # by the new key, whose kid the signer has now


def _signed(
    payload: bytes, signer: Signer, header: Mapping[str, Any] | None, detached: bool, b64: bool
) -> str:
    protected = header_octets(header_members(signer, header, b64=b64))
    return assemble(protected, payload, signer, detached=detached, b64=b64)
