"""Nonces of signed bodies at every HTTP middleware: demanded, given out with the refusal, and used once."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from frameworks import FRAMEWORKS
from guarded_frameworks import WITH_BODIES
from served import Reply, ask

import rapidjws
from rapidjws.middleware import Authenticator, RequestNonces, SignedBody
from rapidjws.middleware.requests import RequestContext
from rapidjws.signing import LocalSigner, sign_compact
from rapidjws.stores import MemoryReplayStore
from rapidjws.testing import make_key

KEY = make_key("ES256", kid="sender")
SIGNER = LocalSigner(KEY, "ES256")
VERIFIER = rapidjws.Verifier({"https://a.example": KEY.public()}, algorithms=["ES256"])
ALL = {**FRAMEWORKS, **WITH_BODIES}


def made() -> RequestNonces:
    """Return nonces over a store of their own."""
    return RequestNonces(secrets=[b"s" * 32], store=MemoryReplayStore())


def send(port: int, members: dict[str, Any]) -> Reply:
    """Send a signed JSON body."""
    body = json.dumps(members).encode()
    signature = sign_compact(body, SIGNER, detached=True)
    headers = [("Content-Type", "application/json"), ("X-JWS-Signature", signature)]
    return ask(port, "/who", headers, body, method="POST")


@pytest.mark.parametrize("name", ALL)
def test_a_refusal_gives_out_the_nonce_that_the_next_request_needs(name: str) -> None:
    """The first request learns a nonce of its refusal, and with it passes, once."""
    packages, serve = ALL[name]
    for package in packages:
        pytest.importorskip(package, reason=f"{package} is not installed: pip install --group middleware")
    with serve(body=SignedBody(verifier=VERIFIER, nonces=made())) as port:
        first = send(port, {"order": 7})
        assert (first.status, first.json["code"]) == (401, "nonce_missing")
        given = first.headers["replay-nonce"]
        good = send(port, {"order": 7, "nonce": given})
        assert (good.status, good.json["code"]) == (200, "ok")
        following = good.headers["replay-nonce"]
        assert send(port, {"order": 6, "nonce": following}).status == 200
        again = send(port, {"order": 7, "nonce": given})
        assert (again.status, again.json["code"]) == (401, "nonce_used")
        assert len({given, again.headers["replay-nonce"], ""}) == 3
        assert send(port, {"order": 8, "nonce": again.headers["replay-nonce"]}).status == 200
        unsigned = ask(port, "/who", [("Content-Type", "application/json")], b"{}", method="POST")
        assert (unsigned.status, len(unsigned.headers["replay-nonce"])) == (401, 52)


def context(partner: Any) -> RequestContext:
    """Return a request whose partner the gateway names."""
    return RequestContext([], b"", partner, "/hook")


def test_a_nonce_is_for_the_partner_that_was_refused() -> None:
    """Another partner's request with it is refused, and a request with two partners' names is of neither."""
    how = SignedBody(verifier=VERIFIER, nonces=made())
    authenticator: Authenticator[Any] = Authenticator(body=how)

    def decided(partner: Any, nonce: str) -> tuple[str, str | None]:
        body = json.dumps({"nonce": nonce}).encode()
        signature = sign_compact(body, SIGNER, detached=True).encode()
        request = context(partner)._replace(values=[signature])
        decision = authenticator.decide(request, body)
        answer = authenticator.answer(decision, request)
        return decision.code, None if answer is None else dict(answer.headers)["replay-nonce"]

    _, given = decided("shop", "made up")
    assert given is not None
    for other in ("bank", None, ("shop", "bank"), ("shop", "shop")):
        code, theirs = decided(other, given)
        assert code == "nonce_unknown"
        assert theirs is not None
        assert decided("shop", theirs)[0] == "nonce_unknown"
    assert decided("shop", given) == ("ok", None)
    assert decided("shop", given)[0] == "nonce_used"


def test_an_outage_gives_out_no_nonce() -> None:
    """An outage and a service without nonces give out none."""

    class Down:
        blocking = False

        def record(self, entries: Any) -> list[None]:
            return [None for _ in entries]

    down = RequestNonces(secrets=[b"s" * 32], store=Down())
    body = json.dumps({"nonce": down.issue(time.time_ns())}).encode()
    request = context(None)._replace(values=[sign_compact(body, SIGNER, detached=True).encode()])
    authenticator: Authenticator[Any] = Authenticator(body=SignedBody(verifier=VERIFIER, nonces=down))
    decision = authenticator.decide(request, body)
    answer = authenticator.answer(decision, request)
    assert answer is not None
    assert (answer.status, decision.code) == (503, "replay_store_unavailable")
    assert "replay-nonce" not in dict(answer.headers)
    plain: Authenticator[Any] = Authenticator(body=SignedBody(verifier=VERIFIER))
    answer = plain.answer(plain.decide(context(None), b""), context(None))
    assert answer is not None
    assert "replay-nonce" not in dict(answer.headers)
