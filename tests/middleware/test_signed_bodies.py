"""Signed bodies at every HTTP middleware: attached and detached, limits, chunks, and clients that go away."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest
from frameworks import FRAMEWORKS
from guarded_frameworks import WITH_BODIES
from served import Reply, ask
from verdicts import SPOOFED

import rapidjws
from rapidjws.middleware import SignedBody
from rapidjws.rollout import GuardRails, Rollout
from rapidjws.rollout.rollout import first_plan
from rapidjws.rollout.state import MemoryState
from rapidjws.signing import LocalSigner, Signature, sign_compact, sign_flattened, sign_general
from rapidjws.testing import make_key

KEY = make_key("ES256", kid="sender")
SIGNER = LocalSigner(KEY, "ES256")
OTHER = LocalSigner(make_key("ES256", kid="sender"), "ES256")
VERIFIER = rapidjws.Verifier({"https://a.example": KEY.public()}, algorithms=["ES256"], crit=["b64"])
ORDER = b'{"order": 7, "goods": "crates"}'
LIMIT_BYTES = 4096
ATTACHED, DETACHED = "attached", "detached"
ALL = {**FRAMEWORKS, **WITH_BODIES}
# wsgiref reads no chunks, and Django buffers them
CHUNKED = [name for name in FRAMEWORKS if name not in ("flask", "django")]
BOTH = [(name, chunked) for chunked in (False, True) for name in (CHUNKED if chunked else ALL)]


def opened(name: str, kind: str = DETACHED, phase: Any = "enforcement") -> Any:
    """Serve the application of a framework behind a middleware for signed bodies, or skip."""
    packages, serve = ALL[name]
    for package in packages:
        pytest.importorskip(package, reason=f"{package} is not installed: pip install --group middleware")
    plan = Rollout(state=MemoryState(first_plan(phase)), guard_rails=GuardRails(min_evidence=0))
    header = {"signature_header": None} if kind == ATTACHED else {}
    return serve(body=SignedBody(verifier=VERIFIER, max_bytes=LIMIT_BYTES, rollout=plan, **header))


@pytest.fixture(scope="module", params=ALL)
def detached_port(request: pytest.FixtureRequest) -> Iterator[int]:
    """Serve behind each middleware; a header signs the body."""
    with opened(request.param) as port:
        yield port


@pytest.fixture(scope="module", params=ALL)
def attached_port(request: pytest.FixtureRequest) -> Iterator[int]:
    """Serve behind each middleware; the body is the JWS."""
    with opened(request.param, ATTACHED) as port:
        yield port


def send(port: int, body: Any, headers: Any = (), kind: str = "application/json") -> Reply:
    """Send one body; a list is sent in chunks."""
    return ask(port, "/who", [("Content-Type", kind), *headers, *SPOOFED], body, method="POST")


def signed(body: bytes, signer: LocalSigner = SIGNER, **options: Any) -> list[tuple[str, str]]:
    """Return the header that signs a body."""
    return [("X-JWS-Signature", sign_compact(body, signer, detached=True, **options))]


def check_good(reply: Reply, body: bytes, payload: bytes = ORDER) -> None:
    """Check that an application was given a verified body, as it came, and nothing spoofed."""
    assert reply.status == 200, reply
    known = reply.json
    assert (known["code"], known["payload"], known["body"]) == ("ok", payload.decode(), body.decode())
    ours = dict(known["ours"])
    assert (ours["x-jws-status"], ours["x-jws-issuer"]) == ("verified", "https://a.example")
    assert "admin" not in str(ours)
    assert "x-jws-signature" not in ours


def check_refused(reply: Reply, status: int, code: str) -> None:
    """Check a refusal: its status, its code, and a challenge of the scheme JWS where one is due."""
    assert (reply.status, reply.json["code"], reply.json["status"]) == (status, code, status)
    challenge = reply.headers.get("www-authenticate")
    assert challenge is None if status in (413, 503) else str(challenge).startswith("JWS realm=")


@pytest.mark.parametrize("encoded", [True, False])
def test_detached_signature_of_the_body(detached_port: int, encoded: bool) -> None:
    """A signature in a header verifies the body as it came, base64url-encoded or not (RFC 7797)."""
    check_good(send(detached_port, ORDER, signed(ORDER, b64=encoded)), ORDER)


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ([], 401, "missing_token"),
        ([("X-JWS-Signature", "")], 401, "missing_token"),
        (signed(ORDER, OTHER), 401, "signature_invalid"),
        (signed(ORDER + b" "), 401, "signature_invalid"),
        (signed(ORDER) + signed(ORDER), 400, "malformed_request"),
        ([("X-JWS-Signature", "a.b")], 401, "malformed_token"),
        ([("X-JWS-Signature", sign_compact(ORDER, SIGNER))], 401, "malformed_token"),
    ],
    ids=["none", "empty", "forged", "another body", "twice", "broken", "with its payload"],
)
def test_bad_detached_signatures(detached_port: int, headers: Any, status: int, code: str) -> None:
    """Each kind of bad signature gets its status and code, and the application never sees the body."""
    check_refused(send(detached_port, ORDER, headers), status, code)


JSON_TYPE = "application/jose+json"


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/jose", sign_compact(ORDER, SIGNER).encode()),
        ("Application/JOSE; charset=utf-8", sign_compact(ORDER, SIGNER).encode()),
        (JSON_TYPE, json.dumps(sign_flattened(ORDER, SIGNER)).encode()),
        (JSON_TYPE, json.dumps(sign_general(ORDER, [Signature(signer=SIGNER)])).encode()),
    ],
    ids=["compact", "with a parameter", "flattened", "general"],
)
def test_body_that_is_the_jws(attached_port: int, kind: str, body: bytes) -> None:
    """A body in any serialization is verified; the application gets its payload, and the body as it came."""
    check_good(send(attached_port, body, kind=kind), body)


@pytest.mark.parametrize(
    ("kind", "body", "status", "code"),
    [
        ("application/json", ORDER, 401, "missing_token"),
        ("application/json", sign_compact(ORDER, SIGNER).encode(), 401, "missing_token"),
        ("application/jose", b"", 401, "missing_token"),
        ("application/jose", sign_compact(ORDER, OTHER).encode(), 401, "signature_invalid"),
        ("application/jose", sign_compact(ORDER, SIGNER).encode() + b"\n", 401, "malformed_base64url"),
        ("application/jose", json.dumps(sign_flattened(ORDER, SIGNER)).encode(), 401, "malformed_token"),
        (JSON_TYPE, sign_compact(ORDER, SIGNER).encode(), 401, "malformed_token"),
        (JSON_TYPE, json.dumps(sign_flattened(ORDER, OTHER)).encode(), 401, "signature_invalid"),
    ],
    ids=[
        "plain",
        "type of another",
        "empty",
        "forged",
        "line end",
        "JSON as compact",
        "compact as JSON",
        "forged JSON",
    ],
)
def test_bad_bodies(attached_port: int, kind: str, body: bytes, status: int, code: str) -> None:
    """Each kind of bad body gets its status and code; its media type says which serialization it is."""
    check_refused(send(attached_port, body, kind=kind), status, code)


def test_body_past_the_limit_gets_413(detached_port: int) -> None:
    """A body of the limit's size passes, one octet more is refused, however good its signature is."""
    whole = ORDER.ljust(LIMIT_BYTES)
    check_good(send(detached_port, whole, signed(whole)), whole, whole)
    check_refused(send(detached_port, whole + b" ", signed(whole + b" ")), 413, "too_large")
    check_refused(send(detached_port, whole + b" "), 401, "missing_token")  # the headers say it all


@pytest.mark.parametrize("name", CHUNKED)
def test_chunked_bodies(name: str) -> None:
    """A body in chunks of any size is put together, and bounded though nobody declared its length."""
    with opened(name) as port:
        pieces = [ORDER[n : n + 3] for n in range(0, len(ORDER), 3)]
        check_good(send(port, pieces, signed(ORDER)), ORDER)
        check_refused(send(port, pieces, signed(ORDER, OTHER)), 401, "signature_invalid")
        long = [b" " * 1000] * 5
        check_refused(send(port, long, signed(b"".join(long))), 413, "too_large")


@pytest.mark.parametrize(("name", "chunked"), BOTH)
def test_detection_hands_on_what_it_could_not_verify(name: str, chunked: bool) -> None:
    """Where nothing is refused, bodies past the limit and unsigned ones arrive whole, and unverified."""
    with opened(name, phase="detection") as port:
        large = b"x" * 3 * LIMIT_BYTES
        reply = send(port, [large[:LIMIT_BYTES]] * 3 if chunked else large, signed(large))
        if chunked and name == "fastapi dependency":
            check_refused(reply, 413, "too_large")  # half read, and FastAPI has no way back
        else:
            assert (reply.status, reply.json["code"], reply.json["body"]) == (
                200,
                "too_large",
                large.decode(),
            )
            assert reply.json["payload"] is None
        reply = send(port, [ORDER] if chunked else ORDER)
        assert (reply.status, reply.json["code"], reply.json["body"]) == (
            200,
            "missing_token",
            ORDER.decode(),
        )
        reply = send(port, [ORDER] if chunked else ORDER, signed(ORDER, OTHER))
        assert (reply.status, reply.json["code"], reply.json["body"]) == (
            200,
            "signature_invalid",
            ORDER.decode(),
        )


@pytest.mark.parametrize(("name", "chunked"), BOTH)
def test_client_that_goes_away_leaves_it_serving(name: str, chunked: bool) -> None:
    """Clients that hang up in the middle of a body disturb nobody: those after them are served."""
    length = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(ORDER)}"
    begun = b"5\r\n" + ORDER[:5] + b"\r\n" if chunked else ORDER[:5]
    head = f"POST /who HTTP/1.1\r\nHost: a\r\n{length}\r\nX-JWS-Signature: {signed(ORDER)[0][1]}\r\n\r\n"
    with opened(name) as port:
        for _ in range(5):
            link = socket.create_connection(("127.0.0.1", port), 60)
            link.sendall(head.encode() + begun)
            time.sleep(0.02)
            link.close()
        check_good(send(port, ORDER, signed(ORDER)), ORDER)


def test_a_slow_body_holds_nobody_up(detached_port: int) -> None:
    """While one body trickles in, others are served; then it is verified too."""
    head = f"POST /who HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {len(ORDER)}\r\n"
    with contextlib.closing(socket.create_connection(("127.0.0.1", detached_port), 60)) as link:
        link.sendall(f"{head}X-JWS-Signature: {signed(ORDER)[0][1]}\r\n\r\n".encode() + ORDER[:9])
        check_good(send(detached_port, ORDER, signed(ORDER)), ORDER)
        link.sendall(ORDER[9:])
        answer = b""
        while piece := link.recv(65536):
            answer += piece
    assert b" 200 OK" in answer.partition(b"\r\n")[0]


@pytest.mark.parametrize("detached_port", [name for name in ALL if "asgi" not in name], indirect=True)
def test_body_that_is_declared_too_long_is_not_waited_for(detached_port: int) -> None:
    """A declared length past the limit is answered before an octet of the body came.

    But for Django's middleware by ASGI: Django itself reads a body before it calls any.
    """
    head = f"POST /who HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {LIMIT_BYTES + 1}\r\n"
    with contextlib.closing(socket.create_connection(("127.0.0.1", detached_port), 60)) as link:
        link.sendall(f"{head}X-JWS-Signature: {signed(ORDER)[0][1]}\r\n\r\n".encode())
        assert b" 413 " in link.recv(65536).partition(b"\r\n")[0]
