"""The same sidecar as most would write it: PyJWT behind uvicorn, as a bare ASGI application (no framework).

It answers as ours does: 200 with the verified names as headers, or 401 with a challenge. The key is parsed
beforehand; algorithm, issuer and audience are given, as PyJWT's documentation advises.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import jwt

ISSUER, AUDIENCE = os.environ["BENCH_ISSUER"], "https://api.example"
KEYS = {
    entry["kid"]: jwt.PyJWK(entry, "ES256").key
    for entry in json.loads(Path(os.environ["BENCH_JWKS"]).read_text())["keys"]
}
REFUSED = b'{"error":"invalid_token"}'
CHALLENGE = [(b"www-authenticate", b'Bearer realm="api", error="invalid_token"')]


def verified(token: str) -> dict[str, Any]:
    """Return a token's claims, or raise."""
    key = KEYS[jwt.get_unverified_header(token)["kid"]]
    claims: dict[str, Any] = jwt.decode(token, key, ["ES256"], audience=AUDIENCE, issuer=ISSUER)
    return claims


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Decide on one request."""
    if scope["type"] != "http":
        return
    token = b""
    for name, value in scope["headers"]:
        if name == b"authorization":
            token = value[7:]
    try:
        claims = verified(token.decode("ascii"))
    except (jwt.PyJWTError, KeyError, UnicodeDecodeError):
        headers = [*CHALLENGE, (b"content-length", b"%d" % len(REFUSED))]
        await send({"type": "http.response.start", "status": 401, "headers": headers})
        await send({"type": "http.response.body", "body": REFUSED})
        return
    headers = [
        (b"x-jws-status", b"verified"),
        (b"x-jws-issuer", claims["iss"].encode()),
        (b"x-jws-subject", claims["sub"].encode()),
        (b"x-jws-scope", claims.get("scope", "").encode()),
        (b"content-length", b"0"),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
