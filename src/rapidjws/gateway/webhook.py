"""Webhooks: a body that is a JWS, or a body with a detached signature in a header (RFC 7515 appendix F).

The entry for code without a framework, a function that starts cold among it: loads no door and no event loop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rapidjws.engine.decision import OK, Decision
from rapidjws.errors import RapidJWSError, error_for

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rapidjws.engine.verifier import Verifier
    from rapidjws.keys import KeptVerifier

SIGNATURE_HEADER = "x-jws-signature"
BODY_MAX_BYTES = 1 << 20


def verify_webhook(
    verifier: Verifier | KeptVerifier,
    *,
    body: bytes,
    headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
    signature_header: str | None = SIGNATURE_HEADER,
    max_body_bytes: int = BODY_MAX_BYTES,
) -> Decision:
    """Verify one webhook; never raises for what a sender did.

    Args:
        verifier: Its keys are the sender's; a ``KeptVerifier`` for code that starts cold.
        body: The body's octets as they were received, never parsed and written again.
        headers: The request's headers, names in any case.
        signature_header: The header of the detached signature; None where the body itself is the JWS.
        max_body_bytes: Largest body.

    Returns:
        The decision; ``.verified.payload`` holds the octets that were signed.
    """
    pairs = headers.items() if hasattr(headers, "items") else headers
    try:
        if len(body) > max_body_bytes:
            raise error_for("too_large", "body", f"at most {max_body_bytes} bytes", len(body))
        if signature_header is None:
            if not body:
                raise error_for("missing_token", "body")
            verified = verifier.verify(body)
        else:
            wanted = signature_header.lower()
            found = [value for name, value in pairs if name.lower() == wanted]
            if not found:
                raise error_for("missing_token", f"header.{wanted}")
            if len(found) > 1:  # the receiver behind us could read the other one
                raise error_for("malformed_token", f"header.{wanted}", "one value", len(found))
            verified = verifier.verify(found[0], payload=body)
    except RapidJWSError as refused:
        return Decision(outcome=refused.outcome, code=refused.code, place=refused.place)
    except Exception as fault:
        return Decision(outcome="indeterminate", code="internal_error", place=type(fault).__name__)
    return Decision(outcome="permit", code=OK, verified=verified)
