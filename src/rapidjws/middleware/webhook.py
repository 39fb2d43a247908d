"""Webhooks: a body that is a JWS, or a body with a detached signature in a header (RFC 7515 appendix F).

For code without a framework, a function that starts cold among it: loads no middleware and no event loop.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rapidjws.errors import RapidJWSError, error_for
from rapidjws.jwt.decision import OK, Decision

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rapidjws.jws.verifier import Verifier
    from rapidjws.keys import CachedJWKSVerifier

SIGNATURE_HEADER = "x-jws-signature"
BODY_MAX_BYTES = 1 << 20


def verify_webhook(
    verifier: Verifier | CachedJWKSVerifier,
    *,
    body: bytes,
    headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
    signature_header: str | None = SIGNATURE_HEADER,
    max_body_bytes: int = BODY_MAX_BYTES,
) -> Decision:
    """Verify one webhook; never raises for what a sender did.

    Args:
        verifier: Its keys are the sender's; a ``CachedJWKSVerifier`` for code that starts cold.
        body: The body's octets as they were received, never parsed and written again.
        headers: The request's headers, names in any case.
        signature_header: The header of the detached signature; None where the body itself is the JWS.
        max_body_bytes: Largest body.

    Returns:
        The decision; ``.verified.payload`` holds the octets that were signed.

    Raises:
        TypeError: A mistake of the caller, with what to pass: a body that is text or parsed, headers that are
            None, bytes or lists.
    """
    octets = _checked_body(body)
    pairs = _checked_headers(headers)
    _check_how(verifier, signature_header, max_body_bytes)
    try:
        if len(octets) > max_body_bytes:
            raise error_for("too_large", "body", f"at most {max_body_bytes} bytes", len(octets))
        if signature_header is None:
            if not octets:
                raise error_for("missing_token", "body")
            verified = verifier.verify(octets)
        else:
            wanted = signature_header.lower()
            found = [value for name, value in pairs if name.lower() == wanted]
            if not found:
                raise error_for("missing_token", f"header.{wanted}")
            if len(found) > 1:  # the receiver behind us could read the other one
                raise error_for("malformed_token", f"header.{wanted}", "one value", len(found))
            verified = verifier.verify(found[0], payload=octets)
    except RapidJWSError as refused:
        return Decision(outcome=refused.outcome, code=refused.code, place=refused.place)
    except Exception as fault:
        return Decision(outcome="indeterminate", code="internal_error", place=type(fault).__name__)
    return Decision(outcome="permit", code=OK, verified=verified)


_BODY_FIX = (
    "body: expected the octets as they were received, as bytes; found {}. Take the raw body before anything "
    "decodes or parses it: request.body (Django), request.get_data() (Flask), await request.body() "
    '(Starlette); of AWS Lambda base64.b64decode(event["body"]) where event["isBase64Encoded"], else '
    'event["body"].encode()'
)
_HEADERS_FIX = (
    "headers: expected a mapping of str to str, or pairs of str; found {}. Pass request.headers, or {{}} for "
    'none; of an ASGI scope [(n.decode("latin-1"), v.decode("latin-1")) for n, v in scope["headers"]]; of '
    "lists of values one pair a value"
)


def _checked_body(body: object) -> bytes:
    """Return a body's octets, or raise the caller's mistake."""
    if not isinstance(body, (bytes, bytearray, memoryview)):
        raise TypeError(_BODY_FIX.format(type(body).__name__))
    return bytes(body)


def _checked_headers(headers: object) -> list[tuple[str, str]]:
    """Return the headers as pairs, or raise the caller's mistake."""
    items = headers.items() if hasattr(headers, "items") else headers
    if isinstance(items, (str, bytes)) or not isinstance(items, Iterable):
        raise TypeError(_HEADERS_FIX.format(type(headers).__name__))
    pairs = list(items)
    for pair in pairs:
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise TypeError(_HEADERS_FIX.format(f"{type(pair).__name__} in it"))
        for part in pair:
            if not isinstance(part, str):
                raise TypeError(_HEADERS_FIX.format(f"{type(part).__name__} in it"))
    return pairs


def _check_how(verifier: object, signature_header: object, max_body_bytes: object) -> None:
    """Raise the caller's mistake about anything but the request."""
    if not callable(getattr(verifier, "verify", None)):
        raise TypeError(
            f"verifier: expected a Verifier or a CachedJWKSVerifier; found {type(verifier).__name__}"
        )
    if signature_header is not None and hasattr(verifier, "decide"):
        raise TypeError(
            "verifier: expected a Verifier for detached content; found an Engine, which reads JWTs"
        )
    if not (signature_header is None or (isinstance(signature_header, str) and signature_header)):
        raise TypeError(f"signature_header: expected a name or None; found {type(signature_header).__name__}")
    if not isinstance(max_body_bytes, int) or isinstance(max_body_bytes, bool) or max_body_bytes < 1:
        raise TypeError("max_body_bytes: expected a whole number from 1 on")
