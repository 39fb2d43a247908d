"""Flattened and General JWS JSON Serialization, written (RFC 7515 s.7.2, RFC 7797 s.5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rapidjws import _native
from rapidjws._checks import checked
from rapidjws.errors import error_for
from rapidjws.signing.compact import signing_input
from rapidjws.signing.header import header_members, header_octets
from rapidjws.signing.signer import Signer


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """One signature of a General JWS that is asked for.

    Attributes:
        signer: Who signs.
        header: Further protected header parameters.
        unprotected: Parameters of the unprotected header; nobody can trust them.
    """

    signer: Signer
    header: Mapping[str, Any] = field(default_factory=dict)
    unprotected: Mapping[str, Any] = field(default_factory=dict)


def _text(octets: bytes) -> str:
    return _native.b64url_encode(octets).decode()


def _shown_payload(payload: bytes, *, b64: bool) -> str:
    """Return the value of the ``payload`` member."""
    if b64:
        return _text(payload)
    try:
        return payload.decode()
    except UnicodeDecodeError:  # RFC 7797 s.5.1: a JSON string cannot carry it
        raise error_for("b64_unsupported", "payload", expected="UTF-8 text, or detached content") from None


def _signed(payload: bytes, wanted: Signature, *, b64: bool) -> dict[str, Any]:
    """Return the ``protected``, ``header`` and ``signature`` members of one signature."""
    if "alg" in wanted.unprotected or "crit" in wanted.unprotected or "b64" in wanted.unprotected:
        raise error_for("configuration_invalid", "unprotected", expected="neither alg, crit nor b64")
    protected = header_octets(
        header_members(wanted.signer, wanted.header, b64=b64, unprotected=wanted.unprotected)
    )
    members: dict[str, Any] = {"protected": _text(protected)}
    if wanted.unprotected:
        members["header"] = dict(wanted.unprotected)
    members["signature"] = _text(wanted.signer.sign(signing_input(protected, payload, b64=b64)))
    return members


@checked
def sign_flattened(
    payload: bytes,
    signer: Signer,
    *,
    header: Mapping[str, Any] | None = None,
    unprotected: Mapping[str, Any] | None = None,
    detached: bool = False,
    b64: bool = True,
) -> dict[str, Any]:
    """Sign a payload into the Flattened JWS JSON Serialization.

    Args:
        payload: The JWS Payload's octets.
        signer: Who signs.
        header: Further protected header parameters.
        unprotected: Parameters of the unprotected header.
        detached: True to leave the payload out.
        b64: False for an unencoded payload (RFC 7797).

    Returns:
        The object, ready for ``json.dumps``.

    Raises:
        ConfigurationError: ``configuration_invalid``.
        MalformedToken: ``b64_unsupported``.

    Source: RFC 7515 section 7.2.2.
    """
    wanted = Signature(signer=signer, header=header or {}, unprotected=unprotected or {})
    token = _signed(payload, wanted, b64=b64)
    return token if detached else {"payload": _shown_payload(payload, b64=b64), **token}


@checked
def sign_general(
    payload: bytes, signatures: Sequence[Signature], *, detached: bool = False, b64: bool = True
) -> dict[str, Any]:
    """Sign a payload by several signers into the General JWS JSON Serialization.

    Args:
        payload: The JWS Payload's octets.
        signatures: At least one; all share ``b64`` (RFC 7797 section 3).
        detached: True to leave the payload out.
        b64: False for an unencoded payload.

    Returns:
        The object, ready for ``json.dumps``.

    Raises:
        ConfigurationError: ``configuration_invalid``: no signature asked for, or a bad header.
        MalformedToken: ``b64_unsupported``.

    Source: RFC 7515 section 7.2.1.
    """
    if not signatures:
        raise error_for("configuration_invalid", "signatures", expected="at least one", actual="none")
    signed = [_signed(payload, wanted, b64=b64) for wanted in signatures]
    return {} | ({} if detached else {"payload": _shown_payload(payload, b64=b64)}) | {"signatures": signed}
