"""A JWS in a part of a body, where frameworks read bodies in their own ways: what handlers read of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Annotated, Any

import pytest

import rapidjws
from rapidjws.middleware import FormField, JSONMember, SignedBody
from rapidjws.signing import LocalSigner, sign_compact
from rapidjws.testing import make_key

KEY = make_key("ES256", kid="sender")
TOKEN = sign_compact(b'{"amount": 7}', LocalSigner(KEY))
OTHER = sign_compact(b'{"amount": 7}', LocalSigner(make_key("ES256", kid="sender")))
VERIFIER = rapidjws.Verifier(KEY.public(), algorithms=["ES256"])
JSON_TYPE = "application/json"
FORM_TYPE = "application/x-www-form-urlencoded"
Read = tuple[int, bytes]


def _posted(app: Any, body: bytes, kind: str) -> Read:
    """Post a body to an ASGI application; return the status and the answer's body."""
    sent: list[Any] = []
    headers = [(b"content-type", kind.encode()), (b"content-length", b"%d" % len(body))]
    scope = {"type": "http", "method": "POST", "path": "/hook", "raw_path": b"/hook", "query_string": b"",
             "headers": headers, "scheme": "http", "http_version": "1.1"}  # fmt: skip

    async def receive() -> Any:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    return sent[0]["status"], b"".join(one.get("body", b"") for one in sent[1:])


def by_aiohttp(how: SignedBody, body: bytes, kind: str) -> Read:
    """Return the status, and what a handler of aiohttp read."""
    from aiohttp import web
    from aiohttp.test_utils import TestClient, TestServer

    from rapidjws.middleware.aiohttp import setup

    seen = bytearray()

    async def handler(request: Any) -> Any:
        seen.extend(await request.read())
        return web.Response()

    async def ask() -> int:
        app = web.Application()
        setup(app, body=how)
        app.router.add_post("/hook", handler)
        async with TestClient(TestServer(app)) as client:
            answer = await client.post("/hook", data=body, headers={"Content-Type": kind})
            return answer.status

    return asyncio.run(ask()), bytes(seen)


def by_fastapi(how: SignedBody, body: bytes, kind: str) -> Read:
    """Return the status, and what a route of FastAPI read beside the dependency."""
    from fastapi import Depends, FastAPI, Request

    from rapidjws.middleware.fastapi import JWSSecurity

    seen = bytearray()
    app, security = FastAPI(), JWSSecurity(dict[str, Any], body=how)

    async def hook(request: Any, signed: Any) -> None:
        assert signed == {"amount": 7}
        octets = await request.body()
        assert request.headers["content-length"] == str(len(octets))
        seen.extend(octets)

    hook.__annotations__.update(request=Request, signed=Annotated[Any, Depends(security)])
    app.post("/hook")(hook)
    return _posted(app, body, kind)[0], bytes(seen)


def by_flask(how: SignedBody, body: bytes, kind: str) -> Read:
    """Return the status, and what a view of Flask read behind the decorator."""
    from flask import Flask, request

    from rapidjws.middleware.flask import JWSRequired

    seen = bytearray()
    app = Flask("hook")

    @app.post("/hook")
    @JWSRequired(body=how)
    def hook() -> str:
        seen.extend(request.get_data())
        return ""

    return app.test_client().post("/hook", data=body, content_type=kind).status_code, bytes(seen)


FRAMEWORKS = pytest.mark.parametrize("through", [by_aiohttp, by_fastapi, by_flask])


@FRAMEWORKS
def test_a_handler_reads_the_member_that_was_verified_and_no_other(through: Callable[..., Read]) -> None:
    """Of a JSON object the handler gets the member alone; equal names and other signatures get nowhere."""
    how = SignedBody(verifier=VERIFIER, part=JSONMember(pointer="/signedPayload"))
    alone = json.dumps({"signedPayload": TOKEN}).encode()
    assert through(how, alone, JSON_TYPE) == (200, alone)
    status, read = through(how, json.dumps({"signedPayload": TOKEN, "amount": 9}).encode(), JSON_TYPE)
    assert (status, json.loads(read)) == (200, {"signedPayload": TOKEN})
    doubled = f'{{"signedPayload": "{TOKEN}", "signed\\u0050ayload": "{OTHER}"}}'.encode()
    for bad in (doubled, json.dumps({"signedPayload": OTHER}).encode(), b"{}", b"[]"):
        assert through(how, bad, JSON_TYPE) == (401, b"")
    assert through(how, alone, FORM_TYPE) == (401, b"")
    strict = SignedBody(verifier=VERIFIER, part=JSONMember(pointer="/signedPayload", others="refuse"))
    assert through(strict, json.dumps({"signedPayload": TOKEN, "amount": 9}).encode(), JSON_TYPE) == (
        401,
        b"",
    )


@FRAMEWORKS
def test_a_handler_reads_the_field_that_was_verified_and_no_other(through: Callable[..., Read]) -> None:
    """Of a form the handler gets the field alone; one that stands twice, however escaped, is refused."""
    how = SignedBody(verifier=VERIFIER, part=FormField(name="logout_token"))
    alone = f"logout_token={TOKEN}".encode()
    assert through(how, alone, FORM_TYPE) == (200, alone)
    assert through(how, b"a=b&logout%5Ftoken=" + TOKEN.encode() + b"&c=d", FORM_TYPE) == (200, alone)
    for bad in (alone + b"&logout%5ftoken=x", b"a=b", b"logout_token=", f"logout_token={OTHER}".encode()):
        assert through(how, bad, FORM_TYPE) == (401, b"")


def test_a_body_parameter_of_fastapi_gets_no_more_than_the_part() -> None:
    """FastAPI reads a body parameter before the dependency: a body with more than the part is refused."""
    from fastapi import Body, Depends, FastAPI

    from rapidjws.middleware.fastapi import JWSSecurity

    app = FastAPI()
    how = SignedBody(verifier=VERIFIER, part=JSONMember(pointer="/signedPayload"))
    security = JWSSecurity(dict[str, Any], body=how)

    async def hook(given: Any, signed: Any) -> list[str]:
        assert signed == {"amount": 7}
        return sorted(given)

    hook.__annotations__.update(
        given=Annotated[dict[str, Any], Body()], signed=Annotated[Any, Depends(security)]
    )
    app.post("/hook")(hook)
    answer = _posted(app, json.dumps({"signedPayload": TOKEN}).encode(), JSON_TYPE)
    assert (answer[0], json.loads(answer[1])) == (200, ["signedPayload"])
    beside = json.dumps({"signedPayload": TOKEN, "amount": 9}).encode()
    assert _posted(app, beside, JSON_TYPE)[0] == 401
