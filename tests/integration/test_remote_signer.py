"""`RemoteSigner` against services that answer something else: garbage, other keys, quotas, redirects."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from signing_world import CLIENT_KEYS, code_of, encoded

from rapidjws import RapidJWSError
from rapidjws.issuing.remote_signer import RemoteSigner
from rapidjws.signing import LocalSigner
from rapidjws.testing import make_key


class Answers:
    """A service that answers what a test wants."""

    def __init__(self, answer: Callable[[bytes], tuple[int, bytes]]) -> None:
        outer = self
        self.answer = answer

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                status, octets = outer.answer(body)
                self.send_response(status)
                self.send_header("content-length", str(len(octets)))
                self.send_header("location", "https://evil.example/")
                self.end_headers()
                self.wfile.write(octets)

            def log_message(self, *_: Any) -> None:
                """Print nothing."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.http.serve_forever)
        self.thread.start()

    def signer(self, **more: Any) -> RemoteSigner:
        """Return a signer by it."""
        url = f"http://127.0.0.1:{self.http.server_port}/sign"
        given: dict[str, Any] = {"client_id": "a", "client_key": LocalSigner(CLIENT_KEYS["orders"])}
        return RemoteSigner(url, "ES256", **given, timeout_s=30.0, insecure_allow_http=True, **more)

    def end(self) -> None:
        """End it."""
        self.http.shutdown()
        self.thread.join(60)
        self.http.server_close()


THEIRS = make_key("ES256", kid="theirs")
OTHER = make_key("ES256", kid="other")
CANARY = "canary-of-an-answer"


def active(key: Any = THEIRS, **more: Any) -> tuple[int, bytes]:
    """Return the answer that names a key."""
    return 200, json.dumps({"alg": "ES256", "kid": key.kid, "jwk": key.public().as_dict(), **more}).encode()


@pytest.fixture
def answers() -> Iterator[Answers]:
    """Give a service that names its key."""
    made = Answers(lambda _: active())
    yield made
    made.end()


def signed(by: Any, kid: str, octets: bytes) -> tuple[int, bytes]:
    """Return an answer with a signature."""
    shown = encoded(LocalSigner(by).sign(octets)).decode()
    return 200, json.dumps({"alg": "ES256", "kid": kid, "signature": shown}).encode()


OCTETS = encoded({"alg": "ES256", "kid": "theirs", "typ": "a"}) + b".e30"


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (signed(OTHER, "theirs", OCTETS), "signature_faulty"),
        (signed(OTHER, "other", OCTETS), "signature_faulty"),
        (signed(THEIRS, "other", OCTETS), "signature_faulty"),
        (signed(THEIRS, "theirs", OCTETS + b"x"), "signature_faulty"),
        ((200, b"<html>" + CANARY.encode()), "signature_faulty"),
        ((200, b""), "signature_faulty"),
        ((200, b"[]"), "signature_faulty"),
        ((200, b'{"kid":"theirs","signature":7}'), "signature_faulty"),
        ((200, b'{"kid":"theirs","signature":"\xc3\xa9"}'), "signature_faulty"),
        ((200, b'{"kid":"theirs","signature":"AA=="}'), "signature_faulty"),
        ((200, b'{"kid":"theirs","signature":"' + b"A" * 200_000 + b'"}'), "signature_faulty"),
        ((409, b"{}"), "signature_faulty"),
        ((409, active(THEIRS)[1]), "signature_faulty"),
        ((409, active(make_key("ES384", kid="new"))[1]), "signature_faulty"),
        ((409, active(OTHER, kid="another")[1]), "signature_faulty"),
        ((302, b""), "signer_unavailable"),
        ((500, CANARY.encode()), "signer_unavailable"),
        ((503, b'{"error":"temporarily_unavailable","code":"no_signing_key"}'), "signer_unavailable"),
        ((503, b'{"error":"temporarily_unavailable","code":"signing_queue_full"}'), "signer_throttled"),
        ((429, b""), "signer_throttled"),
        ((403, b'{"error":"access_denied","place":"header.typ"}'), "signer_refused"),
        ((403, f'{{"error":"{CANARY}","place":"{CANARY}"}}'.encode()), "signer_refused"),
        ((401, b'{"error":"invalid_client"}'), "signer_refused"),
        ((413, b""), "signer_refused"),
    ],
    ids=lambda one: str(one)[:40],
)
def test_a_service_that_answers_something_else(
    answers: Answers, answer: tuple[int, bytes], code: str
) -> None:
    """Garbage, another key's signature, a quota and a redirect have their codes, without a word of theirs."""
    signer = answers.signer()
    answers.answer = lambda _: answer
    with pytest.raises(RapidJWSError) as caught:
        signer.sign(OCTETS)
    assert caught.value.code == code
    assert CANARY not in f"{caught.value!r}{caught.value}"
    assert signer.kid == "theirs"
    answers.answer = lambda _: signed(THEIRS, "theirs", OCTETS)
    assert len(signer.sign(OCTETS)) == 64


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ((200, b"{}"), "signature_faulty"),
        ((200, b'{"kid":"a","jwk":{"kty":"oct","k":"AAAA"}}'), "signature_faulty"),
        (active(make_key("ES384", kid="new")), "key_alg_mismatch"),
        (active(kid="x"), "signature_faulty"),
        (active(jwk=THEIRS.as_dict(private=True)), "signature_faulty"),
        ((403, b""), "signer_refused"),
        ((404, b""), "signer_refused"),
        ((503, b""), "signer_unavailable"),
    ],
    ids=lambda one: str(one)[:40],
)
def test_a_key_that_is_none_of_a_signing_service(
    answers: Answers, answer: tuple[int, bytes], code: str
) -> None:
    """A key of another type, a secret, a private key and no key make no signer."""
    answers.answer = lambda _: answer
    assert code_of(answers.signer) == code
