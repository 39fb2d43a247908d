"""How a request presents its token where tokens are bound to senders: as Bearer, or as DPoP with a proof."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rapidjws.errors import error_for
from rapidjws.jwt.decision import AMBIGUOUS
from rapidjws.middleware.token_location import TokenLocation
from rapidjws.sender import SenderRequest

if TYPE_CHECKING:
    from rapidjws.middleware.requests import RequestContext
    from rapidjws.sender import SenderConstraints
    from rapidjws.verify.protocols import SenderCheck

PROOF_FIELD: Final = b"dpop"
_DPOP: Final = TokenLocation(scheme="DPoP")
_SCHEME: Final = b"dpop "


def check_place(
    sender: SenderConstraints | None, place: TokenLocation | None, name: str
) -> SenderConstraints | None:
    """Return the constraints, where tokens stand as they need them to.

    Args:
        sender: The constraints, or None.
        place: Where tokens stand; None where there are none.
        name: The setting, for the error.

    Raises:
        ConfigurationError: ``configuration_invalid``: bodies are signed, or DPoP with tokens elsewhere than
            in Authorization (RFC 9449 s.7.1).
    """
    if sender is None:
        return None
    if place is None:
        raise error_for("configuration_invalid", name, expected="an engine: a signed body is bound to nobody")
    if sender.dpop is not None and not place.is_bearer:
        raise error_for("configuration_invalid", name, expected="tokens in Authorization, for dpop")
    return sender


def presented_token(
    place: TokenLocation, sender: SenderConstraints | None, values: list[bytes], query: bytes
) -> bytes | None:
    """Return the token of a request, under the scheme DPoP too where proofs are checked.

    Args:
        place: Where tokens stand.
        sender: The constraints, or None.
        values: Each value of the header.
        query: The query of the request's target.
    """
    if sender is not None and sender.dpop is not None and is_dpop(values):
        return _DPOP.token(values, query)
    return place.token(values, query)


def is_dpop(values: list[bytes]) -> bool:
    """Return whether the first value of Authorization names the scheme DPoP."""
    return bool(values) and f"{values[0][:64].decode('latin-1').lstrip()} "[:5].lower().encode() == _SCHEME


def sender_check(
    sender: SenderConstraints, context: RequestContext, token: bytes | None
) -> SenderCheck | None:
    """Return the check of a request's token, or None where there is no token.

    Args:
        sender: The constraints.
        context: What the request says.
        token: Its token.
    """
    if not token or token is AMBIGUOUS:
        return None
    path, _, query = (context.target or "").partition("?")
    mtls = sender.mtls
    return sender.check(
        SenderRequest(
            token=token,
            is_dpop=sender.dpop is not None and is_dpop(context.values),
            proofs=context.headers(PROOF_FIELD),
            method=context.method,
            path=path or None,
            query=query.encode("latin-1", "replace"),
            hosts=context.headers(b"host"),
            certificates=() if mtls is None else context.headers(mtls.field),
            peer=context.peer,
        )
    )
