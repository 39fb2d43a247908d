"""One small API under uvicorn, as BENCH_MIDDLEWARE says: behind our middleware, behind PyJWT, and bare.

The first two hand the verified subject on to the application, which answers with it; the bare one answers
everybody alike.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

ISSUER, AUDIENCE = os.environ["BENCH_ISSUER"], "https://api.example"
JWKS = Path(os.environ["BENCH_JWKS"]).read_text()


async def _say(send: Any, status: int, body: bytes) -> None:
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _mine(scope: dict[str, Any], receive: Any, send: Any) -> None:
    await _say(send, 200, scope["rapidjws"].verified.claims["sub"].encode())


async def _theirs(scope: dict[str, Any], receive: Any, send: Any) -> None:
    await _say(send, 200, scope["state"]["claims"]["sub"].encode())


async def _bare(scope: dict[str, Any], receive: Any, send: Any) -> None:
    await _say(send, 200, b"user-1")


def _with_rapidjws() -> Any:
    from rapidjws import Engine, Issuer, JWKSet
    from rapidjws.middleware import JWSMiddleware

    keys = JWKSet.from_json(JWKS)
    return JWSMiddleware(
        _mine, engine=Engine(Issuer(ISSUER, keys=keys, algorithms=["ES256"], audience=AUDIENCE))
    )


def _with_pyjwt() -> Any:
    import jwt

    keys = {entry["kid"]: jwt.PyJWK(entry, "ES256").key for entry in json.loads(JWKS)["keys"]}

    async def middleware(scope: dict[str, Any], receive: Any, send: Any) -> None:
        token = next(
            (value[7:] for name, value in scope["headers"] if name == b"authorization"), b""
        ).decode()
        try:
            key = keys[jwt.get_unverified_header(token)["kid"]]
            claims = jwt.decode(token, key, ["ES256"], audience=AUDIENCE, issuer=ISSUER)
        except (jwt.PyJWTError, KeyError):
            await _say(send, 401, b"refused")
            return
        await _theirs({**scope, "state": {"claims": claims}}, receive, send)

    return middleware


_MADE = {"rapidjws": _with_rapidjws, "PyJWT": _with_pyjwt, "bare": lambda: _bare}
_guarded = _MADE[os.environ["BENCH_MIDDLEWARE"]]()


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Let requests through the middleware; ignore the server's own events."""
    if scope["type"] == "http":
        await _guarded(scope, receive, send)
