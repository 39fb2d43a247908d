"""PyJWT as the incumbent verifier, and tokens on which it and this package are known to differ."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import jwt

from rapidjws.testing import FakeIssuer

AUDIENCE = "https://api.example"


def pyjwt(issuer: FakeIssuer, **options: Any) -> Callable[[str], object]:
    """Return PyJWT as people use it: one key, the algorithm, audience and issuer, no leeway."""
    key = jwt.PyJWK(issuer.jwks.as_dict()["keys"][0]).key

    def decode(token: str) -> object:
        return jwt.decode(
            token, key, algorithms=["ES256"], audience=AUDIENCE, issuer=issuer.iss, options=options
        )

    return decode


def b64(octets: bytes) -> str:
    """Return unpadded base64url."""
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def signed(issuer: FakeIssuer, payload: str, header: str | None = None) -> str:
    """Return a token with exactly these texts as header and payload; None for the issuer's own header."""
    signer = issuer.signers["ES256"]
    head = header or json.dumps({"alg": "ES256", "kid": signer.kid})
    text = f"{b64(head.encode())}.{b64(payload.encode())}"
    return f"{text}.{b64(signer.sign(text.encode()))}"


def differing(issuer: FakeIssuer, now_s: int) -> dict[str, str]:
    """Return tokens on which PyJWT and this package differ, by the outcome that is to be counted."""
    claims = issuer.claims(now_s)
    plain = json.dumps(claims)
    doubled = plain[:-1] + ', "sub": "admin"}'
    return {
        "theirs_accepts duplicate_member": signed(issuer, doubled),
        "theirs_accepts malformed_claim": signed(issuer, json.dumps({**claims, "exp": str(now_s + 300)})),
        "theirs_accepts unknown_kid": issuer.token(claims, header={"kid": "another"}),
        "ours_accepts ExpiredSignatureError": issuer.token({**claims, "exp": now_s - 30}),
        "causes_differ issuer_mismatch ExpiredSignatureError": issuer.token(
            issuer.claims(now_s - 9000, iss="https://nobody.example")
        ),
    }


def agreeing(issuer: FakeIssuer, now_s: int) -> tuple[str, ...]:
    """Return tokens that both accept, or refuse for the same cause."""
    good = issuer.token(issuer.claims(now_s))
    other = issuer.token(issuer.claims(now_s, sub="another"))
    return (
        good,
        good.rpartition(".")[0] + "." + other.rpartition(".")[2],
        issuer.token(issuer.claims(now_s - 9000)),
        issuer.token(issuer.claims(now_s, nbf=now_s + 9000)),
        issuer.token(issuer.claims(now_s, aud="https://elsewhere.example")),
        issuer.token(issuer.claims(now_s), header={"alg": "none"}),
        issuer.token(issuer.claims(now_s), header={"alg": "HS256"}),
        "not.a.token",
        "no token",
    )
