"""Webhooks: a body that is a JWS, or a body with a detached signature in a header (RFC 7515 appendix F).

For code without a framework, a function that starts cold among it: loads no middleware and no event loop.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rapidjws.errors import RapidJWSError, error_for
from rapidjws.jwt.decision import OK, Decision

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from rapidjws.jws.verifier import Verifier
    from rapidjws.keys import CachedJWKSVerifier
    from rapidjws.middleware.body_digest import BodyDigest
    from rapidjws.middleware.body_parts import FormField, JSONMember
    from rapidjws.middleware.body_replay import BodyReplay
    from rapidjws.middleware.body_rules import BodyRules, CritChecks
    from rapidjws.middleware.request_nonces import RequestNonces
    from rapidjws.middleware.signed_request import PayloadBuilder
    from rapidjws.verify.result import VerifiedJWS

SIGNATURE_HEADER = "x-jws-signature"
BODY_MAX_BYTES = 1 << 20


def verify_webhook(
    verifier: Verifier | CachedJWKSVerifier,
    *,
    body: bytes,
    headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
    signature_header: str | tuple[str, ...] | None = SIGNATURE_HEADER,
    max_body_bytes: int = BODY_MAX_BYTES,
    part: JSONMember | FormField | None = None,
    digest: BodyDigest | None = None,
    payload_of: PayloadBuilder | None = None,
    crit_checks: CritChecks | None = None,
    crit_optional: Collection[str] = (),
    replay: BodyReplay | None = None,
    nonces: RequestNonces | None = None,
    partner: str | None = None,
    method: str = "POST",
    target: str | None = None,
) -> Decision:
    """Verify one webhook; never raises for what a sender did.

    Args:
        verifier: Its keys are the sender's; a ``CachedJWKSVerifier`` for code that starts cold.
        body: The body's octets as they were received, never parsed and written again.
        headers: The request's headers, names in any case.
        signature_header: Its name, or several, of which one may be there; None: the body itself is the JWS.
        max_body_bytes: Largest body.
        part: Where in the body its JWS stands; then read ``.verified.payload`` and nothing else of the body.
        digest: The claim with a digest of the body; the header then holds a whole JWS.
        payload_of: Builds the detached payload out of the request.
        crit_checks: Critical header parameter, which must be there -> a function of its value: True is good.
        crit_optional: Those of them that a message may leave away; one that is there is checked as any other.
        replay: The demand that each body is used once.
        nonces: The nonces that senders sign, each used once; ``nonces.issue(time.time_ns())`` makes one.
        partner: Whose nonces are good, as for ``nonces.issue``.
        method: The request's method, where ``payload_of`` covers it.
        target: Its path and query as they were sent, likewise.

    Returns:
        The decision; ``.verified.payload`` holds the octets that were signed.

    Raises:
        TypeError: A body that is text or parsed, or headers that are None, bytes or lists.
    """
    rules = _rules(part, digest, payload_of, crit_checks, crit_optional, replay, nonces)
    octets = _checked_body(body)
    pairs = _checked_headers(headers)
    is_engine_fine = part is not None or digest is not None
    _check_how(verifier, None if is_engine_fine else signature_header, max_body_bytes, partner)
    try:
        if len(octets) > max_body_bytes:
            raise error_for("too_large", "body", f"at most {max_body_bytes} bytes", len(octets))
        names = (signature_header,) if isinstance(signature_header, str) else signature_header or ()
        token = _token(names, rules, octets, pairs)
        is_detached = bool(names) and part is None and digest is None
        verified = _verified(verifier, token, octets, is_detached, rules, (method, target, pairs, partner))
    except RapidJWSError as refused:
        return Decision(outcome=refused.outcome, code=refused.code, place=refused.place)
    except Exception as fault:
        return Decision(outcome="indeterminate", code="internal_error", place=type(fault).__name__)
    return Decision(outcome="permit", code=OK, verified=verified)


def _rules(
    part: JSONMember | FormField | None,
    digest: BodyDigest | None,
    payload_of: PayloadBuilder | None,
    crit_checks: CritChecks | None,
    crit_optional: Collection[str],
    replay: BodyReplay | None,
    nonces: RequestNonces | None,
) -> BodyRules | None:
    """Return what is checked beside the signature; None, and nothing loaded, where nothing is."""
    given = (part, digest, payload_of, crit_checks, replay, nonces)
    if crit_optional == () and all(one is None for one in given):
        return None
    from rapidjws.middleware import body_rules

    return body_rules.BodyRules(
        part=part,
        digest=digest,
        payload_of=payload_of,
        crit_checks=crit_checks,
        crit_optional=crit_optional,
        replay=replay,
        nonces=nonces,
    )


def _values(pairs: list[tuple[str, str]], name: str) -> list[bytes]:
    return [value.encode("latin-1", "replace") for key, value in pairs if key.lower() == name]


def _token(
    names: tuple[str, ...], rules: BodyRules | None, body: bytes, pairs: list[tuple[str, str]]
) -> bytes:
    """Return the JWS of a request, from where it stands: the part, the header or the body."""
    if rules is not None and rules.part is not None:
        return _part_of(rules, body, pairs)
    if names:
        return _signature_value(names, pairs).encode("latin-1", "replace")
    if not body:
        raise error_for("missing_token", "body")
    return body


def _part_of(rules: BodyRules, body: bytes, pairs: list[tuple[str, str]]) -> bytes:
    """Return the JWS in a body, whose media type must fit where the headers tell one."""
    found = _values(pairs, "content-type")
    if rules.part is None or not body or (found and not all(rules.part.fits(one) for one in found)):
        raise error_for("missing_token", "body")
    return rules.part.read(body)[0].encode("ascii")


def _signature_value(names: tuple[str, ...], pairs: list[tuple[str, str]]) -> str:
    """Return the one value of the signature's header, whichever of its names it has."""
    wanted = {name.lower() for name in names}
    found = [value for name, value in pairs if name.lower() in wanted]
    if not found:
        raise error_for("missing_token", f"header.{names[0].lower()}")
    if len(found) > 1:  # the receiver behind us could read the other one
        raise error_for("malformed_token", f"header.{names[0].lower()}", "one value", len(found))
    return found[0]


def _verified(
    verifier: Verifier | CachedJWKSVerifier,
    token: bytes,
    body: bytes,
    is_detached: bool,
    rules: BodyRules | None,
    request: tuple[str, str | None, list[tuple[str, str]], str | None],
) -> VerifiedJWS:
    """Verify a JWS, and all that the rules ask for beside."""
    payload = body if is_detached else None
    if rules is None:
        return verifier.verify(token) if payload is None else verifier.verify(token, payload=payload)
    from rapidjws.middleware.body_rules import RequestFacts

    method, target, pairs, partner = request

    def headers(name: bytes) -> list[bytes]:
        return _values(pairs, name.decode("latin-1"))

    rules.check_coding(headers)
    if rules.payload_of is not None:
        facts = RequestFacts(method=method, target=target, headers=headers)
        payload = rules.payload(token, body, facts)
    verified = verifier.verify(token) if payload is None else verifier.verify(token, payload=payload)
    return rules.check(verified, body, partner)


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


def _check_how(verifier: object, signature_header: object, max_body_bytes: object, partner: object) -> None:
    """Raise the caller's mistake about anything but the request."""
    if not callable(getattr(verifier, "verify", None)):
        raise TypeError(
            f"verifier: expected a Verifier or a CachedJWKSVerifier; found {type(verifier).__name__}"
        )
    if signature_header is not None and hasattr(verifier, "decide"):
        raise TypeError(
            "verifier: expected a Verifier for detached content; found an Engine, which reads JWTs"
        )
    names = signature_header if isinstance(signature_header, tuple) else (signature_header,)
    is_named = bool(names) and all(isinstance(name, str) and name for name in names)
    if signature_header is not None and not is_named:
        raise TypeError(f"signature_header: expected a name or None; found {type(signature_header).__name__}")
    if not isinstance(max_body_bytes, int) or isinstance(max_body_bytes, bool) or max_body_bytes < 1:
        raise TypeError("max_body_bytes: expected a whole number from 1 on")
    if partner is not None and not isinstance(partner, str):
        raise TypeError(f"partner: expected a name or None; found {type(partner).__name__}")
