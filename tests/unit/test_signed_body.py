"""Signed bodies: settings that are refused, JWTs as bodies, streams of WSGI servers, the loop's freedom."""

from __future__ import annotations

import asyncio
import io
import json
import threading
import time
from typing import Any

import pytest
from rollouts import ISSUER, engine, rollout

import rapidjws
from rapidjws.jwt.decision import AMBIGUOUS
from rapidjws.middleware import (
    Authenticator,
    JWSMiddleware,
    SignedBody,
    TokenLocation,
    WSGIMiddleware,
    trusted_headers,
)
from rapidjws.middleware.requests import RequestContext
from rapidjws.signing import LocalSigner, sign_compact
from rapidjws.testing import make_key

KEY = make_key("ES256", kid="sender")
SIGNER = LocalSigner(KEY, "ES256")
VERIFIER = rapidjws.Verifier({"https://a.example": KEY.public()}, algorithms=["ES256"])
PAID = b'{"event": "paid"}'
SIGNATURE = sign_compact(PAID, SIGNER, detached=True)


def asked(*values: bytes) -> RequestContext:
    """Return a request with these values of the header that counts."""
    return RequestContext(list(values), b"", None, "/hook")


def test_settings_that_contradict_themselves_are_refused() -> None:
    """A middleware decides by an engine or by a body, and says where its token stands once."""
    body = SignedBody(verifier=VERIFIER)
    wrong: list[dict[str, Any]] = [
        {},
        {"engine": engine(), "body": body},
        {"body": body, "place": TokenLocation()},
    ]
    for settings in wrong:
        with pytest.raises(rapidjws.ConfigurationError):
            Authenticator(**settings)
    wrong = [
        {"signature_header": "a b"},
        {"signature_header": ""},
        {"max_bytes": 0},
        {"verifier": engine()},
        {"verifier": 7},
    ]
    for settings in wrong:
        with pytest.raises(rapidjws.ConfigurationError):
            SignedBody(**{"verifier": VERIFIER, **settings})


def test_what_a_header_says() -> None:
    """One signature or media type counts; several are ambiguous; none, and other types, are none."""
    detached, attached = SignedBody(verifier=VERIFIER), SignedBody(verifier=VERIFIER, signature_header=None)
    assert (detached.field, attached.field) == (b"x-jws-signature", b"content-type")
    assert detached.signature_value([b" a..b "]) == b"a..b"
    assert attached.signature_value([b"Application/JOSE ; a=b"]) == b"application/jose"
    for one in (detached, attached):
        assert one.signature_value([]) is one.signature_value([b" "]) is None
        assert one.signature_value([b"a..b", b"a..b"]) is AMBIGUOUS
    assert detached.signature_value([b"a..b,a..b"]) is AMBIGUOUS
    assert detached.signature_value([b'{"a":1,"b":2}']) == b'{"a":1,"b":2}'
    assert (
        attached.signature_value([b"application/json"])
        is attached.signature_value([b"application/josephine"])
        is None
    )


def test_limit_of_an_attached_body_is_the_verifiers_too() -> None:
    """A body that is the JWS is never read beyond what its verifier takes."""
    small = rapidjws.Verifier(KEY.public(), algorithms=["ES256"], max_token_bytes=500)
    assert SignedBody(verifier=small, signature_header=None).limit_bytes == 500
    assert SignedBody(verifier=small, signature_header=None, max_bytes=99).limit_bytes == 99
    assert SignedBody(verifier=small, max_bytes=9999).limit_bytes == 9999


def test_body_that_is_a_jwt() -> None:
    """An engine verifies a JWT in a body with its claims, its rollout and the scopes of the route."""
    now_s = int(time.time())
    policy = rollout(phase="enforcement")
    of = engine(policy)
    body = SignedBody(verifier=of, signature_header=None)
    good = ISSUER.token(ISSUER.claims(now_s, scope="pay")).encode()
    decision = body.decide(asked(b"application/jwt"), good)
    assert decision.code == "ok"
    assert dict(trusted_headers(decision))["x-jws-scope"] == "pay"
    late = ISSUER.token(ISSUER.claims(now_s - 9000)).encode()
    assert body.decide(asked(b"application/jwt"), late).code == "expired"
    assert (
        body.decide(asked(b"application/jwt")._replace(scopes=("admin",)), good).code == "insufficient_scope"
    )
    (row,) = policy.evidence.rows().values()
    assert set(row.codes) == {"ok", "expired", "insufficient_scope"}


def test_rollout_decides_about_bodies_too() -> None:
    """In detection a bad signature is let through, and what was found is reported."""
    body = SignedBody(verifier=VERIFIER, rollout=rollout(phase="detection"))
    decision = body.decide(asked(SIGNATURE.encode()), PAID + b" ")
    assert (decision.outcome, decision.code, decision.verified) == ("permit", "signature_invalid", None)
    assert body.decide(asked(), PAID).code == "missing_token"
    assert body.decide(asked(b"a", b"b"), PAID).code == "malformed_request"
    assert body.decide(asked(SIGNATURE.encode()), None).place == "body"


def test_signed_body_holds_no_scopes() -> None:
    """Where a route asks for scopes, a body that is no JWT does not suffice, however well it is signed."""
    body = SignedBody(verifier=VERIFIER)
    signed = asked(SIGNATURE.encode())
    assert body.decide(signed, PAID).code == "ok"
    decision = body.decide(signed._replace(scopes=("pay",)), PAID)
    assert (decision.outcome, decision.code, decision.scopes_due) == ("deny", "insufficient_scope", ("pay",))


class Watched:
    """A verifier that notes the thread it runs on."""

    def __init__(self) -> None:
        self.threads: list[int] = []
        self._snapshot = VERIFIER._snapshot

    def verify(self, *args: Any, **named: Any) -> Any:
        """Verify as the real one does."""
        self.threads.append(threading.get_ident())
        return VERIFIER.verify(*args, **named)


async def through_asgi(
    messages: list[Any], verifier: Any = VERIFIER, length: int | None = None, signature: str = SIGNATURE
) -> tuple[list[Any], list[bytes]]:
    """Send messages through the middleware; return what it sent, and the bodies that the application read."""
    sent: list[Any] = []
    read: list[bytes] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message["body"], message["more_body"]
        read.append(body)
        assert (await receive())["type"] == "http.disconnect"
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def receive() -> Any:
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"x-jws-signature", signature.encode())]
    headers += [] if length is None else [(b"content-length", str(length).encode())]
    scope = {"type": "http", "path": "/", "headers": headers}
    await JWSMiddleware(app, body=SignedBody(verifier=verifier, max_bytes=64))(scope, receive, send)
    return sent, read


def pieces(*bodies: bytes) -> list[Any]:
    """Return a body's messages."""
    last = len(bodies) - 1
    return [{"type": "http.request", "body": body, "more_body": n < last} for n, body in enumerate(bodies)]


def test_body_is_verified_off_the_loop() -> None:
    """The loop's own thread never verifies a body: a slow algorithm holds nobody up."""
    watched = Watched()
    sent, read = asyncio.run(through_asgi(pieces(PAID[:4], b"", PAID[4:]), watched))
    assert (sent[0]["status"], read) == (200, [PAID])
    assert len(watched.threads) == 1
    assert threading.get_ident() not in watched.threads


def test_client_that_goes_away_gets_no_verdict() -> None:
    """A disconnect in the middle of a body ends the request: no answer, no application, no verification."""
    watched = Watched()
    assert asyncio.run(through_asgi(pieces(PAID[:4], PAID[4:])[:1], watched)) == ([], [])
    assert watched.threads == []


def through_wsgi(stream: Any, body: SignedBody | None = None, **environ: Any) -> tuple[int, Any, list[bytes]]:
    """Send a stream through the WSGI middleware; return status, answer and what the application read."""
    read: list[bytes] = []
    statuses: list[int] = []

    def app(inner: Any, start: Any) -> list[bytes]:
        length = inner.get("CONTENT_LENGTH")
        read.append(inner["wsgi.input"].read(*([int(length)] if length else [])))
        start("200 OK", [])
        return [b"{}"]

    def start(status: str, headers: Any) -> Any:
        statuses.append(int(status[:3]))

    asked_for = {"PATH_INFO": "/", "HTTP_X_JWS_SIGNATURE": SIGNATURE, "wsgi.input": stream, **environ}
    authenticator = WSGIMiddleware(app, body=body or SignedBody(verifier=VERIFIER, max_bytes=64))
    answer = b"".join(authenticator(asked_for, start))
    return statuses[0], json.loads(answer), read


class Slow(io.RawIOBase):
    """A stream that comes a few octets at a time."""

    def __init__(self, octets: bytes) -> None:
        self._stream = io.BytesIO(octets)

    def read(self, size: int = -1) -> bytes:
        """Return at most three octets."""
        return self._stream.read(3 if size < 0 else min(size, 3))


def test_wsgi_stream_with_a_length_is_read_to_it_and_no_further() -> None:
    """A body is read up to its declared length: on a raw connection the next octet may never come."""
    stream = io.BytesIO(PAID + b"the next request")
    assert through_wsgi(stream, CONTENT_LENGTH=str(len(PAID))) == (200, {}, [PAID])
    assert stream.read() == b"the next request"
    assert through_wsgi(Slow(PAID), CONTENT_LENGTH=str(len(PAID)))[0] == 200


def test_wsgi_body_that_ends_early_is_400() -> None:
    """A body shorter than it was declared is no verdict on its sender: the client went away."""
    body = SignedBody(verifier=VERIFIER, rollout=rollout(phase="detection"))
    status, problem, read = through_wsgi(io.BytesIO(PAID[:-1]), body, CONTENT_LENGTH=str(len(PAID)))
    assert (status, problem["code"], read) == (400, "malformed_request", [])
    assert body.rollout.evidence.rows() == {}  # type: ignore[union-attr]


def test_wsgi_stream_that_ends_by_itself() -> None:
    """A body in chunks, from a server that ends its stream, is read to the end, and bounded."""
    ends = {"wsgi.input_terminated": True}
    assert through_wsgi(Slow(PAID), **ends) == (200, {}, [PAID])
    status, problem, read = through_wsgi(Slow(PAID * 9), **ends)
    assert (status, problem["code"], read) == (413, "too_large", [])
    assert (
        through_wsgi(io.BufferedReader(io.BytesIO(PAID)), CONTENT_LENGTH="")[1]["code"] == "signature_invalid"
    )  # no body at all
    lenient = SignedBody(verifier=VERIFIER, max_bytes=64, rollout=rollout(phase="detection"))
    assert through_wsgi(Slow(PAID * 9), lenient, **ends) == (200, {}, [PAID * 9])


def test_wsgi_body_that_is_declared_too_long_is_not_read() -> None:
    """A declared length past the limit is refused, or left to the application, without reading a byte."""
    stream = io.BytesIO(PAID * 9)
    assert through_wsgi(stream, CONTENT_LENGTH=str(len(PAID) * 9))[0] == 413
    assert stream.tell() == 0
    lenient = SignedBody(verifier=VERIFIER, max_bytes=64, rollout=rollout(phase="detection"))
    assert through_wsgi(stream, lenient, CONTENT_LENGTH=str(len(PAID) * 9))[2] == [PAID * 9]


def test_body_that_is_declared_too_long_is_not_read() -> None:
    """A declared length past the limit is refused before the first octet is asked for."""
    waiting = pieces(PAID)
    sent, read = asyncio.run(through_asgi(waiting, length=65))
    assert (sent[0]["status"], read, len(waiting)) == (413, [], 1)


@pytest.mark.parametrize(("signature", "status"), [("", 401), ("a..b,a..b", 400)])
def test_body_without_one_signature_is_not_read(signature: str, status: int) -> None:
    """Where the headers alone decide, nothing of the body is asked for."""
    waiting = pieces(PAID)
    sent, read = asyncio.run(through_asgi(waiting, signature=signature))
    assert (sent[0]["status"], read, len(waiting)) == (status, [], 1)


def test_body_without_a_length_is_read_to_the_limit_and_no_further() -> None:
    """What comes after the limit is left where it is: the memory that a request takes is bounded."""
    waiting = pieces(*[b"x" * 32] * 9)
    sent, read = asyncio.run(through_asgi(waiting))
    assert (sent[0]["status"], read, len(waiting)) == (413, [], 6)


SECEVENT = "application/secevent+jwt"
SIGNED_TYPES = (
    "application/jose", "application/jwt", SECEVENT, "Application/SecEvent+JWT; charset=utf-8",
    "application/at+jwt", "application/dpop+jwt", "application/logout+jwt", "application/oauth-authz-req+jwt",
    "application/token-introspection+jwt", "application/entity-statement+jwt", "application/vc+ld+json+jwt",
    "application/statuslist+jwt", "application/jwk-set+jwt", "application/trust-mark+jwt",
)  # fmt: skip
UNSIGNED_TYPES = (
    "", "application/json", "application/josephine", "application/jwt+json", "application/dc+sd-jwt",
    "text/jwt", "application/x-jwt", "application/+jwt", "application/a b+jwt", "application/\xe9+jwt",
    "xapplication/jwt", "application/secevent", "multipart/form-data; boundary=application/jwt",
)  # fmt: skip


@pytest.mark.parametrize("phase", ["detection", "warning", "allow_list", "enforcement"])
@pytest.mark.parametrize("kind", SIGNED_TYPES)
def test_B2_every_jwt_media_type_is_a_signed_body(kind: str, phase: Any) -> None:
    """Good and forged security events and the like get their own verdict in all phases, as any JWS does."""
    body = SignedBody(verifier=VERIFIER, signature_header=None, rollout=rollout(phase=phase))
    octets = sign_compact(PAID, SIGNER).encode()
    decision = body.decide(asked(kind.encode()), octets)
    assert (decision.outcome, decision.code) == ("permit", "ok")
    assert decision.verified is not None
    assert decision.verified.payload == PAID
    forged = octets[:-2] + (b"AA" if octets[-2:] != b"AA" else b"BA")
    decision = body.decide(asked(kind.encode()), forged)
    assert decision.code in ("signature_invalid", "malformed_base64url")
    assert decision.outcome == ("deny" if phase in ("enforcement", "allow_list") else "permit")
    assert decision.verified is None


@pytest.mark.parametrize("kind", UNSIGNED_TYPES)
def test_B2_other_media_types_sign_nothing(kind: str) -> None:
    """A type that only looks like one of them is an unsigned body, whatever is in it: never a 503."""
    body = SignedBody(verifier=VERIFIER, signature_header=None)
    octets = sign_compact(PAID, SIGNER).encode()
    assert body.decide(asked(kind.encode("latin-1")), octets).code == "missing_token"


def test_B2_json_serialization_has_the_json_type() -> None:
    """JSON belongs to ``+json`` only, and a compact one to all the others."""
    from rapidjws.signing import sign_flattened

    body = SignedBody(verifier=VERIFIER, signature_header=None)
    octets = json.dumps(sign_flattened(PAID, SIGNER)).encode()
    assert body.decide(asked(b"application/jose+json"), octets).code == "ok"
    assert body.decide(asked(b"application/x.jose+jose+json"), octets).code == "ok"
    for kind in (b"application/jose", b"application/secevent+jwt", b"application/jwt"):
        assert body.decide(asked(kind), octets).code == "malformed_token"
