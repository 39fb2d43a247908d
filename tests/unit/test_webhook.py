"""Webhooks: a body that is a JWS, or one with a detached signature in a header."""

from __future__ import annotations

import base64
import re
import time
from pathlib import Path
from typing import Any

import pytest
from rollouts import ISSUER, engine

import rapidjws
from rapidjws.errors import error_for
from rapidjws.middleware import verify_webhook
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


PAID = b'{"event": "paid"}'


@pytest.mark.parametrize("body", ["text", None, {"event": "paid"}, [1], 7, object()])
def test_B6_body_that_is_not_octets_is_the_callers_mistake(body: Any) -> None:
    """Text or a parsed body raises and says what to pass: as a 503 the sender would repeat it for hours."""
    for header in ("x-jws-signature", None):
        with pytest.raises(
            TypeError, match=r"^body: expected the octets .* as bytes; found \w+\. .*isBase64Encoded"
        ):
            verify_webhook(
                HOOK, body=body, headers={"X-JWS-Signature": detached(PAID)}, signature_header=header
            )


@pytest.mark.parametrize(
    "headers",
    [
        None,
        "X-JWS-Signature: a",
        b"a",
        7,
        [(b"x-jws-signature", b"a..b")],
        [("x-jws-signature", b"a..b")],
        {"X-JWS-Signature": ["a..b"]},
        {"X-JWS-Signature": None},
        {1: "a"},
        ["x-jws-signature"],
        [("a", "b", "c")],
        {"HTTP_X_JWS_SIGNATURE": "a..b", "wsgi.version": (1, 0)},
    ],
)
def test_B6_headers_that_are_no_text_are_the_callers_mistake(headers: Any) -> None:
    """None, bytes, lists of values and an environ raise and say what to pass; they are no missing token."""
    with pytest.raises(TypeError, match=r"^headers: expected .* of str; found \w+.*latin-1"):
        verify_webhook(HOOK, body=PAID, headers=headers)


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({"verifier": None}, "verifier"),
        ({"verifier": "key"}, "verifier"),
        ({"signature_header": b"x"}, "signature_header"),
        ({"signature_header": ""}, "signature_header"),
        ({"max_body_bytes": "1"}, "max_body_bytes"),
        ({"max_body_bytes": None}, "max_body_bytes"),
        ({"max_body_bytes": True}, "max_body_bytes"),
        ({"max_body_bytes": 0}, "max_body_bytes"),
    ],
)
def test_B6_other_mistakes_of_the_caller(changed: Any, name: str) -> None:
    """Each argument of the wrong type raises with its name."""
    arguments: dict[str, Any] = {"verifier": HOOK, "body": PAID, **changed}
    with pytest.raises(TypeError, match=f"^{name}: expected"):
        verify_webhook(arguments.pop("verifier"), **arguments)


def test_B6_engine_reads_jwts_only() -> None:
    """An engine for detached content is a mistake that shows at once; for a JWT it is right."""
    with pytest.raises(TypeError, match=r"^verifier: expected a Verifier for detached content"):
        verify_webhook(engine(), body=PAID)  # type: ignore[arg-type]
    token = ISSUER.token(ISSUER.claims(int(time.time()))).encode()
    assert verify_webhook(engine(), body=token, signature_header=None).code == "ok"  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_B6_octets_of_any_kind_are_verified(kind: Any) -> None:
    """Bytes, a bytearray and a memoryview are octets; what was verified is bytes."""
    decision = verify_webhook(HOOK, body=kind(PAID), headers={"X-JWS-Signature": detached(PAID)})
    assert decision.verified is not None
    assert (type(decision.verified.payload), decision.verified.payload) == (bytes, PAID)


def lambda_handler() -> Any:
    """Return the handler of the documentation's example, over our key."""
    page = (Path(__file__).resolve().parents[2] / "docs" / "how-to" / "webhooks.md").read_text("utf-8")
    found = re.search(
        r"```python\n(def handler\(event, context\):.*?)```|\n(def handler\(event, context\):.*?)```",
        page,
        re.S,
    )
    assert found is not None
    names: dict[str, Any] = {"verify_webhook": verify_webhook, "sender": HOOK, "base64": base64}
    exec(found.group(1) or found.group(2), names)
    return names["handler"]


@pytest.mark.source_tree
def test_B6_lambda_handler_of_the_documentation() -> None:
    """It decodes what API Gateway encoded, takes missing parts as empty, and never answers 503 for them."""
    handler = lambda_handler()
    raw = b"\x1f\x8b\xff not text"
    for body, headers, status in (
        (PAID, {"X-JWS-Signature": detached(PAID)}, 204),
        (raw, {"x-jws-signature": detached(raw)}, 204),
        (PAID + b" ", {"x-jws-signature": detached(PAID)}, 401),
        (PAID, None, 401),
    ):
        encoded = {"body": base64.b64encode(body).decode(), "isBase64Encoded": True, "headers": headers}
        assert handler(encoded, None) == {"statusCode": status}
    plain = {"body": PAID.decode(), "isBase64Encoded": False, "headers": {"x-jws-signature": detached(PAID)}}
    assert handler(plain, None) == {"statusCode": 204}
    assert handler({"body": None, "headers": None}, None) == {"statusCode": 401}
    assert handler({"body": None, "headers": {"X-JWS-Signature": detached(b"")}}, None) == {"statusCode": 204}
