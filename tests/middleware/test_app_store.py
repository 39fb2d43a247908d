"""App Store Server Notifications as a body: chain, signature and claims, at a webhook and behind ASGI."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest
from certified import CertifiedKey, Chain, app_store_chain

from rapidjws import NOT_CHECKED, Engine, Issuer
from rapidjws.keys import X5CKeys
from rapidjws.middleware import JSONMember, JWSMiddleware, SignedBody, verify_webhook

BUNDLE = "com.example.shop"


@pytest.fixture(name="chain", scope="module")
def _chain() -> Chain:
    return app_store_chain()


def engine(chain: Chain) -> Engine:
    """Return an engine for notifications of one app."""
    keys = X5CKeys(chain.root.pem, policy="app_store")
    issuer = Issuer(
        None,
        keys=keys,
        algorithms=["ES256"],
        audience=NOT_CHECKED,
        exp_required=False,
        claims={"/data/bundleId": BUNDLE},
    )
    return Engine(issuer, max_header_bytes=16_384)


def through_asgi(app: JWSMiddleware, body: bytes) -> int:
    """Return the status of a POST."""
    found: list[int] = []

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            found.append(message["status"])

    async def receive() -> Any:
        return {"type": "http.request", "body": body, "more_body": False}

    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    scope = {
        "type": "http", "method": "POST", "path": "/a", "raw_path": b"/a", "query_string": b"",
        "headers": headers,
    }  # fmt: skip
    asyncio.run(app(scope, receive, send))
    return found[0]


async def fine(scope: Any, receive: Any, send: Any) -> None:
    """Answer 200."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"fine"})


def test_a_webhook_and_a_middleware_give_one_verdict(chain: Chain) -> None:
    """Notifications are verified alike, new and known; others' chains, keys, apps and texts are refused."""
    verifier = engine(chain)
    part = JSONMember(pointer="/signedPayload")
    app = JWSMiddleware(fine, body=SignedBody(verifier=verifier, signature_header=None, part=part))
    claims = {"notificationType": "TEST", "data": {"bundleId": BUNDLE}, "signedDate": int(time.time()) * 1000}
    good = chain.token(claims)
    cases = [
        (json.dumps({"signedPayload": good}), "ok"),
        (json.dumps({"signedPayload": chain.token({**claims, "data": {"bundleId": "x"}})}), "claim_mismatch"),
        (json.dumps({"signedPayload": CertifiedKey().token(claims, x5c=chain.x5c)}), "signature_invalid"),
        (json.dumps({"signedPayload": app_store_chain().token(claims)}), "chain_refused"),
        (f'{{"signedPayload":"{good}","signedPayload":"{good}"}}', "duplicate_member"),
        (json.dumps({"other": good}), "missing_token"),
    ]
    for text, code in cases * 2:
        headers = {"Content-Type": "application/json"}
        found = verify_webhook(
            verifier, body=text.encode(), headers=headers, signature_header=None, part=part
        )
        assert found.code == code, text[:40]
        assert (through_asgi(app, text.encode()) == 200) == (code == "ok")
