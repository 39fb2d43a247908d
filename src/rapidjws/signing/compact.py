"""JWS Compact Serialization, written (RFC 7515 s.7.1)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from rapidjws import _native

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rapidjws.signing.signer import Signer


def protected_header(signer: Signer, header: Mapping[str, Any] | None) -> bytes:
    """Return the protected header's octets: alg and kid of the signer, then what the caller gives."""
    members: dict[str, Any] = {"alg": signer.alg}
    if signer.kid is not None:
        members["kid"] = signer.kid
    members.update(header or {})
    return json.dumps(members, separators=(",", ":"), ensure_ascii=False).encode()


def sign_compact(payload: bytes, signer: Signer, *, header: Mapping[str, Any] | None = None) -> str:
    """Sign a payload into a compact token.

    Args:
        payload: The JWS Payload's octets.
        signer: Who signs.
        header: Further protected header parameters, for instance ``{"typ": "JWT"}``.

    Returns:
        The token.

    Source: RFC 7515 section 5.1, section 7.1.
    """
    encode = _native.b64url_encode
    signing_input = encode(protected_header(signer, header)) + b"." + encode(payload)
    return (signing_input + b"." + encode(signer.sign(signing_input))).decode()
