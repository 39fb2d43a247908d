"""Shapes of signed bodies: what is read of each, what is refused, and what an application gets of it."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import json
import time
from typing import Any

import pytest

import rapidjws
from rapidjws.middleware import (
    BodyDigest,
    BodyReplay,
    FormField,
    JSONMember,
    JWSMiddleware,
    RequestLines,
    SignedBody,
    SignedData,
    WSGIMiddleware,
    verify_webhook,
)
from rapidjws.signing import LocalSigner, sign_compact
from rapidjws.signing.compact import assemble
from rapidjws.signing.header import header_octets
from rapidjws.stores import MemoryReplayStore
from rapidjws.testing import make_key

KEY = make_key("ES256", kid="s")
SIGNER = LocalSigner(KEY, "ES256")
TAN, IAT = "http://openbanking.org.uk/tan", "http://openbanking.org.uk/iat"
VERIFIER = rapidjws.Verifier(KEY.public(), algorithms=["ES256"], crit=["b64", TAN, IAT, "sigD"])
CLAIMS = json.dumps({"jti": "1", "iat": int(time.time())}).encode()
TOKEN = sign_compact(CLAIMS, SIGNER)
OTHER = sign_compact(b'{"jti": "2"}', LocalSigner(make_key("ES256", kid="s"), "ES256"))
JSON_TYPE, FORM_TYPE = "application/json", "application/x-www-form-urlencoded"
Headers = dict[str, str]


def detached(payload: bytes, **header: Any) -> str:
    """Return a detached JWS with these members of its header."""
    head, _, signature = assemble(
        header_octets({"alg": "ES256", "kid": "s", **header}), payload, SIGNER
    ).split(".")
    return f"{head}..{signature}"


def hook(body: bytes, headers: Headers | None = None, **how: Any) -> str:
    """Return the code that a webhook gets."""
    return verify_webhook(VERIFIER, body=body, headers=headers or {}, **how).code


def by_asgi(how: SignedBody, body: bytes, headers: Headers, path: str = "/hook") -> tuple[int, bytes]:
    """Return the status, and the body that the application read."""
    seen, status = bytearray(), []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        message = await receive()
        seen.extend(message["body"])
        lengths = [value for name, value in scope["headers"] if name == b"content-length"]
        assert lengths == [b"%d" % len(message["body"])]
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def receive() -> Any:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        status.append(message.get("status"))

    pairs = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    target, _, query = path.partition("?")
    scope = {"type": "http", "method": "POST", "path": target, "raw_path": target.encode()}
    scope |= {"query_string": query.encode(), "headers": pairs}  # type: ignore[dict-item]
    asyncio.run(JWSMiddleware(app, body=how)(scope, receive, send))
    return status[0], bytes(seen)


def by_wsgi(how: SignedBody, body: bytes, headers: Headers, path: str = "/hook") -> tuple[int, bytes]:
    """Return the status, and the body that the application read."""
    target, _, query = path.partition("?")
    environ: dict[str, Any] = {"PATH_INFO": target, "REQUEST_METHOD": "POST", "QUERY_STRING": query}
    environ |= {"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
    for name, value in headers.items():
        key = name.upper().replace("-", "_")
        environ[key if key == "CONTENT_TYPE" else f"HTTP_{key}"] = value
    seen, status = bytearray(), []

    def app(inner: Any, start: Any) -> list[bytes]:
        seen.extend(inner["wsgi.input"].read(int(inner["CONTENT_LENGTH"])))
        start("200 OK", [])
        return []

    list(WSGIMiddleware(app, body=how, ready_timeout_s=0)(environ, lambda line, _: status.append(line[:3])))
    return int(status[0]), bytes(seen)


MIDDLEWARES = pytest.mark.parametrize("through", [by_asgi, by_wsgi])


def member(**more: Any) -> bytes:
    """Return a body with a JWS in a member."""
    return json.dumps({"signedPayload": TOKEN, **more}).encode()


@MIDDLEWARES
def test_an_application_reads_the_member_that_was_verified_and_no_other(through: Any) -> None:
    """A body is handed on as it came where the member stands alone, and without all else where not."""
    how = SignedBody(verifier=VERIFIER, part=JSONMember(pointer="/signedPayload"))
    kind = {"Content-Type": "application/json; charset=utf-8"}
    assert through(how, member(), kind) == (200, member())
    status, read = through(how, member(amount=7), kind)
    assert (status, json.loads(read)) == (200, {"signedPayload": TOKEN})
    strict = SignedBody(verifier=VERIFIER, part=JSONMember(pointer="/signedPayload", others="refuse"))
    assert through(strict, member(amount=7), kind) == (401, b"")
    doubled = f'{{"signedPayload": "{TOKEN}", "signed\\u0050ayload": "{OTHER}"}}'.encode()
    for bad in (doubled, b"\xef\xbb\xbf" + member(), b"{}", b"", b"[]", member(signedPayload=[TOKEN])):
        assert through(how, bad, kind)[0] == 401, bad
    for wrong in ({}, {"Content-Type": FORM_TYPE}, {"Content-Type": "application/json; charset=utf-16"}):
        assert through(how, member(), wrong)[0] == 401
    assert through(how, member(), {**kind, "Content-Encoding": "gzip"})[0] == 400
    assert through(how, json.dumps({"signedPayload": OTHER}).encode(), kind)[0] == 401


@MIDDLEWARES
def test_an_application_reads_the_field_that_was_verified_and_no_other(through: Any) -> None:
    """A field that stands twice is refused however it is escaped; other fields do not arrive."""
    how = SignedBody(verifier=VERIFIER, part=FormField(name="logout_token"))
    kind, plain = {"Content-Type": FORM_TYPE}, f"logout_token={TOKEN}".encode()
    assert through(how, plain, kind) == (200, plain)
    assert through(how, b"a=b&logout%5Ftoken=" + TOKEN.encode(), kind) == (200, plain)
    for bad in (plain + b"&logout%5ftoken=x", plain + b"&" + plain, b"a=b", b"", b"logout_token="):
        assert through(how, bad, kind)[0] == 401, bad
    assert through(how, plain, {"Content-Type": "multipart/form-data; boundary=x"})[0] == 401


def test_nested_members_are_found_by_pointer() -> None:
    """A pointer leads through objects only, and its escapes are RFC 6901's."""
    body = json.dumps({"a/b": {"~": TOKEN}}).encode()
    assert hook(body, part=JSONMember(pointer="/a~1b/~0")) == "ok"
    assert hook(json.dumps([TOKEN]).encode(), part=JSONMember(pointer="/0")) == "missing_token"
    for pointer in ("", "a", "/~2", "/" * 40):
        with pytest.raises(rapidjws.ConfigurationError):
            JSONMember(pointer=pointer)


@MIDDLEWARES
def test_two_signature_headers_are_refused(through: Any) -> None:
    """Of several names a request may use one."""
    how = SignedBody(verifier=VERIFIER, signature_header=("X-A", "X-B"))
    good = detached(b"x")
    assert through(how, b"x", {"X-A": good}) == through(how, b"x", {"X-B": good}) == (200, b"x")
    assert through(how, b"x", {"X-A": good, "X-B": good})[0] == 400
    assert through(how, b"y", {"X-B": good})[0] == through(how, b"x", {})[0] == 401
    assert hook(b"x", {"X-B": good}, signature_header=("X-A", "X-B")) == "ok"
    assert hook(b"x", {"X-A": good, "X-B": good}, signature_header=("X-A", "X-B")) == "malformed_token"


@pytest.mark.parametrize("algorithm", ["sha256", "sha384", "sha512"])
@pytest.mark.parametrize("encoding", ["hex", "base64", "base64url"])
def test_digest_claims(algorithm: str, encoding: str) -> None:
    """The digest in the claim must be that of the body's octets, in its one encoding."""
    body = b'{"a": 1}'
    octets = hashlib.new(algorithm, body).digest()
    text = {
        "hex": octets.hex(),
        "base64": base64.b64encode(octets).decode(),
        "base64url": base64.urlsafe_b64encode(octets).decode().rstrip("="),
    }[encoding]
    rule = BodyDigest(claim="/h", algorithm=algorithm, encoding=encoding)

    def code(stated: Any, body: bytes = body) -> str:
        claims = {} if stated is None else {"h": stated}
        signed = sign_compact(json.dumps(claims).encode(), SIGNER)
        return hook(body, {"X-Jwt": signed}, signature_header="X-Jwt", digest=rule)

    assert code(text) == "ok"
    assert code(text, body + b" ") == code(text, b"") == "signature_invalid"
    assert code(None) == "missing_claim"
    for bad in ("", text[:-1], text + "0", " " + text, 7, [text], "\u0661" * len(text)):
        if bad is not None:
            assert code(bad) == "malformed_claim", bad


def test_lines_of_a_request() -> None:
    """Method, target, chosen headers and body are covered; a header twice or left out is refused."""
    payload = b"POST /hook?a=1\nX-Time: 5\n{}"
    signature = detached(payload, tl_headers="X-Time", tl_version="2")
    how = SignedBody(
        verifier=VERIFIER, signature_header="Tl-Signature", payload_of=RequestLines(required=("x-time",))
    )
    headers = {"Tl-Signature": signature, "X-Time": "5"}
    for through in (by_asgi, by_wsgi):
        assert through(how, b"{}", headers, "/hook?a=1") == (200, b"{}")
        for body, given, path in (
            (b"{ }", headers, "/hook?a=1"),
            (b"{}", {**headers, "X-Time": "6"}, "/hook?a=1"),
            (b"{}", {"Tl-Signature": signature}, "/hook?a=1"),
            (b"{}", headers, "/hook?a=2"),
            (b"{}", headers, "/hook2?a=1"),
            (b"{}", {**headers, "Tl-Signature": detached(b"POST /hook?a=1\n{}")}, "/hook?a=1"),
        ):
            assert through(how, body, given, path)[0] == 401
    rule: dict[str, Any] = {"signature_header": "Tl-Signature", "payload_of": RequestLines()}
    assert hook(b"{}", headers, target="/hook?a=1", **rule) == "ok"
    assert hook(b"{}", headers, target="/hook?a=1", method="PUT", **rule) == "signature_invalid"
    assert hook(b"{}", headers, **rule) == "malformed_request"


def test_sigd_of_jades() -> None:
    """Headers are signed with the body's digest among them; an object by its digest in hashV."""
    body, uri = b'{"a":1}', "http://uri.etsi.org/19182/"
    stated = "SHA-256=" + base64.b64encode(hashlib.sha256(body).digest()).decode()
    lines = f"(request-target): post /p\ndigest: {stated}".encode()
    names = ["(request-target)", "digest"]
    by_headers = detached(lines, sigD={"mId": uri + "HttpHeaders", "pars": names}, crit=["sigD"])

    def code(signature: str, digest: str = stated, body: bytes = body) -> str:
        headers = {"X-JWS-Signature": signature, "Digest": digest}
        return hook(body, headers, payload_of=SignedData(), target="/p")

    assert code(by_headers) == "ok"
    assert code(by_headers, body=b"{}") == "signature_invalid"
    assert code(by_headers, "MD5=x") == "malformed_token"
    bare = detached(b"(request-target): post /p", sigD={"mId": uri + "HttpHeaders", "pars": names[:1]})
    assert code(bare) == "malformed_header"
    encoded = base64.urlsafe_b64encode(body).rstrip(b"=")
    hashed = base64.urlsafe_b64encode(hashlib.sha256(encoded).digest()).rstrip(b"=").decode()
    by_hash = {"mId": uri + "ObjectIdByURIHash", "pars": ["body"], "hashM": "S256", "hashV": [hashed]}
    assert code(detached(b"", sigD=by_hash)) == "ok"
    assert code(detached(b"", sigD=by_hash), body=b"{}") == "signature_invalid"
    assert code(detached(b"", sigD={**by_hash, "hashV": [hashed] * 2})) == "malformed_header"
    assert code(detached(b"")) == "malformed_header"


@pytest.mark.parametrize(
    ("answer", "code"),
    [(True, "ok"), (False, "crit_unsupported"), (None, "crit_unsupported"), (1, "crit_unsupported")],
)
def test_nothing_is_given_out_before_critical_values_are_accepted(answer: Any, code: str) -> None:
    """A check that does not return True refuses, and the decision holds no payload."""
    headers = {"X-JWS-Signature": detached(b"x", **{"crit": [TAN], TAN: "t"})}
    decision = verify_webhook(VERIFIER, body=b"x", headers=headers, crit_checks={TAN: lambda tan: answer})
    assert decision.code == code
    assert (decision.verified is None) == (code != "ok")


def test_a_check_that_fails_and_a_parameter_that_lacks_refuse() -> None:
    """An exception in a check is no acceptance, and what is not critical cannot be left away."""
    headers = {"X-JWS-Signature": detached(b"x", **{"crit": [TAN], TAN: 7})}
    assert hook(b"x", headers, crit_checks={TAN: lambda tan: tan.lower() == "t"}) == "crit_unsupported"
    assert hook(b"x", {"X-JWS-Signature": detached(b"x")}, crit_checks={TAN: bool}) == "crit_malformed"
    unlisted = {"X-JWS-Signature": detached(b"x", **{TAN: "t"})}
    assert hook(b"x", unlisted, crit_checks={TAN: lambda tan: tan == "t"}) == "crit_malformed"


def test_an_optional_parameter_may_lack_and_is_checked_where_it_is() -> None:
    """What may be left away is compared in a message that has it, and must be listed in crit there."""
    checks = {TAN: lambda tan: tan == "t", IAT: lambda iat: iat == 7}

    def code(**header: Any) -> str:
        headers = {"X-JWS-Signature": detached(b"x", **header)}
        return hook(b"x", headers, crit_checks=checks, crit_optional=(IAT,))

    assert code(**{"crit": [TAN], TAN: "t"}) == "ok"
    assert code(**{"crit": [TAN, IAT], TAN: "t", IAT: 7}) == "ok"
    assert code(**{"crit": [TAN, IAT], TAN: "t", IAT: 8}) == "crit_unsupported"
    assert code(**{"crit": [TAN, IAT], TAN: "t", IAT: None}) == "crit_unsupported"
    assert code(**{"crit": [TAN], TAN: "t", IAT: 7}) == "crit_malformed"  # there, and not listed
    assert code(**{"crit": [TAN, IAT], TAN: "t"}) == "crit_malformed"  # listed, and not there
    assert code(**{"crit": [IAT], IAT: 7}) == "crit_malformed"  # the other one lacks


def test_of_several_signatures_each_may_leave_an_optional_parameter_away() -> None:
    """One signature with a parameter and one without it are checked each for itself."""
    keys = [make_key("ES256", kid=f"sender-{number}") for number in (1, 2)]
    verifier = rapidjws.Verifier(
        rapidjws.JWKSet.given([one.public() for one in keys]), algorithms=["ES256"], crit=[TAN]
    )

    def code(tan: str) -> str:
        plain = assemble(
            header_octets({"alg": "ES256", "kid": "sender-1"}), b"x", LocalSigner(keys[0], "ES256")
        )
        named = {"alg": "ES256", "kid": "sender-2", "crit": [TAN], TAN: tan}
        signed = assemble(header_octets(named), b"x", LocalSigner(keys[1], "ES256"))
        parts = [one.split(".") for one in (plain, signed)]
        body = json.dumps(
            {
                "payload": parts[0][1],
                "signatures": [{"protected": one[0], "signature": one[2]} for one in parts],
            }
        ).encode()
        return verify_webhook(
            verifier,
            body=body,
            signature_header=None,
            crit_checks={TAN: lambda tan: tan == "t"},
            crit_optional=[TAN],
        ).code

    assert code("t") == "ok"
    assert code("u") == "crit_unsupported"


@pytest.mark.parametrize("given", [(TAN,), TAN, 1, [IAT, "exp"], [7]])
def test_an_optional_parameter_that_nothing_checks_is_a_mistake(given: Any) -> None:
    """A parameter may be left away only where there is a check of it."""
    checks = {"crit_checks": {IAT: bool}} if given != (TAN,) else {}
    with pytest.raises(rapidjws.ConfigurationError) as refused:
        verify_webhook(VERIFIER, body=b"x", crit_optional=given, **checks)
    assert refused.value.place == "body.crit_optional"
    with pytest.raises(rapidjws.ConfigurationError):
        SignedBody(verifier=VERIFIER, crit_optional=given, **checks)


@pytest.mark.parametrize("identity", ["/jti", None])
def test_a_body_is_used_once(identity: str | None) -> None:
    """The second use of an identifier, or of the same signed octets under another signature, is refused."""
    replay = BodyReplay(store=MemoryReplayStore(), identity=identity)
    member: dict[str, Any] = {"part": JSONMember(pointer="/s"), "replay": replay}

    def code(token: str) -> str:
        return hook(json.dumps({"s": token}).encode(), **member)

    assert code(OTHER) == "signature_invalid"  # burns nothing
    assert code(TOKEN) == "ok"
    assert code(TOKEN) == code(sign_compact(CLAIMS, SIGNER)) == "replayed"
    assert code(sign_compact(b'{"jti": "3"}', SIGNER)) == "ok"
