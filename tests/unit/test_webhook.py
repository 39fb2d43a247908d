"""Webhooks: a body that is a JWS, or one with a detached signature in a header."""

from __future__ import annotations

from typing import Any

import rapidjws
from rapidjws.errors import error_for
from rapidjws.gateway import verify_webhook
from rapidjws.signing import LocalSigner
from rapidjws.testing import make_key

KEY = make_key("ES256", kid="hook")
SIGNER = LocalSigner(KEY, "ES256")
HOOK = rapidjws.Verifier(KEY.public(), algorithms=["ES256"])


def detached(body: bytes) -> str:
    """Return a detached signature over a body."""
    from rapidjws.signing.compact import assemble
    from rapidjws.signing.header import header_octets

    head, _, signature = assemble(header_octets({"alg": "ES256", "kid": "hook"}), body, SIGNER).split(".")
    return f"{head}..{signature}"


def test_webhook_with_detached_signature() -> None:
    """A detached signature verifies the body as received; another body, none or two signatures do not."""
    body = b'{"event": "paid"}'
    good = {"X-JWS-Signature": detached(body)}
    decision = verify_webhook(HOOK, body=body, headers=good)
    assert decision.verified is not None
    assert decision.verified.payload == body
    assert verify_webhook(HOOK, body=b'{"event":"paid"}', headers=good).code == "signature_invalid"
    assert verify_webhook(HOOK, body=body).code == "missing_token"
    assert verify_webhook(HOOK, body=body, headers=[*good.items(), *good.items()]).code == "malformed_token"
    assert verify_webhook(HOOK, body=body, headers=good, max_body_bytes=4).code == "too_large"


def test_webhook_whose_body_is_the_jws() -> None:
    """A body that is a JWS gives its payload; an empty or broken one is refused with a code."""
    head, _, signature = detached(b"paid").split(".")
    body = f"{head}.cGFpZA.{signature}".encode()
    decision = verify_webhook(HOOK, body=body, signature_header=None)
    assert decision.verified is not None
    assert decision.verified.payload == b"paid"
    assert verify_webhook(HOOK, body=b"", signature_header=None).code == "missing_token"
    assert verify_webhook(HOOK, body=b"x", signature_header=None).outcome == "deny"


def test_webhook_fault_of_ours_is_indeterminate() -> None:
    """A fault inside the verifier is no permit and no crash."""

    class Broken:
        def verify(self, *args: Any, **named: Any) -> Any:
            raise ZeroDivisionError

    class Down:
        def verify(self, *args: Any, **named: Any) -> Any:
            raise error_for("keys_unavailable")

    assert verify_webhook(Broken(), body=b"x", signature_header=None).outcome == "indeterminate"  # type: ignore[arg-type]
    assert verify_webhook(Down(), body=b"x", signature_header=None).outcome == "indeterminate"  # type: ignore[arg-type]
