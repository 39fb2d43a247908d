"""The recipe "Add a middleware" of CONTRIBUTING.md, followed step by step for Python's own http.server."""

from __future__ import annotations

import http.client
import json
import re
import threading
import time
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import rapidjws
from rapidjws import middleware
from rapidjws.middleware import Authenticator, SignedBody, authenticator, requests, response
from rapidjws.middleware.authenticator import KEY
from rapidjws.middleware.keys_before_start import KeysBeforeStart
from rapidjws.middleware.requests import RequestContext, content_length, is_exempt, routes_of
from rapidjws.middleware.response import warning_headers
from rapidjws.observe.request_info import IdentifiedHeaders
from rapidjws.signing.compact import sign_compact
from rapidjws.signing.signer import LocalSigner
from rapidjws.testing import FakeIssuer, make_key

ISSUER = FakeIssuer("https://a.example", "ES256")
AUDIENCE = "https://api.example"
RECIPE = "### Add a middleware"


class ProtectedHandler(BaseHTTPRequestHandler):
    """A handler of http.server behind a middleware."""

    def __init__(self, protection: Protection, *args: Any) -> None:
        self.protection = protection
        super().__init__(*args)

    def log_message(self, *_: Any) -> None:
        """Write no lines."""

    def respond(self, status: int, headers: Any, body: bytes) -> None:
        """Send one response, and end the connection."""
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        """Answer one request, or hand it to the application."""
        self.protection.handle(self)


class Protection(KeysBeforeStart):
    """Step 1: one Authenticator; step 4: the wait for keys is inherited."""

    def __init__(self, **settings: Any) -> None:
        self._authenticator: Authenticator[BaseHTTPRequestHandler] = Authenticator(**settings)

    def handle(self, handler: ProtectedHandler) -> None:
        """Take the steps 2 and 3 for one request."""
        mine = self._authenticator
        path, _, query = handler.path.partition("?")
        given = [pair for pair in handler.headers.items() if not mine.is_ours(pair[0])]
        if is_exempt(mine.exempt, path, handler.path):
            application(handler, given, None, b"")
            return
        named = IdentifiedHeaders(partial(values, handler))
        route = routes_of(handler.path, path, "", codec="latin-1")
        context = RequestContext(
            values(handler, mine.field), query.encode(), mine.partner(handler), route, (), named,
            mine.begin(named),
        )  # fmt: skip
        lengths = values(handler, b"content-length")
        size = content_length(lengths) if lengths else 0
        body: bytes | None = b""
        if size is None:
            decision = mine.refused(context, "malformed_request")
        else:
            if mine.wants_body(context):
                body = handler.rfile.read(size) if size <= mine.limit_bytes else None
            decision = mine.decide(context, body)
        refused = mine.answer(decision, context)
        if refused is not None:
            handler.respond(refused.status, refused.headers, refused.body)
            return
        given += mine.trusted_headers(decision)
        application(handler, given, decision, body or b"", warning_headers(decision))


def values(handler: BaseHTTPRequestHandler, name: bytes) -> list[bytes]:
    """Return each value of a header, as it was sent."""
    return [one.encode("latin-1") for one in handler.headers.get_all(name.decode(), [])]


def application(handler: ProtectedHandler, headers: Any, decision: Any, body: bytes, more: Any = ()) -> None:
    """Answer with what reached it."""
    seen = {
        "headers": {name.lower(): value for name, value in headers},
        KEY: None if decision is None else decision.outcome,
        "body": body.decode(),
    }
    handler.respond(200, more, json.dumps(seen).encode())


class Served:
    """A server of its own, and requests to it."""

    def __init__(self, **settings: Any) -> None:
        self.protection = Protection(**settings)
        assert self.protection.wait_ready(60)
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), partial(ProtectedHandler, self.protection))
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def ask(self, path: str = "/a", headers: Any = (), body: bytes = b"") -> tuple[int, dict[str, Any]]:
        """Send one request; return the status and what the application saw."""
        link = http.client.HTTPConnection("127.0.0.1", self.server.server_address[1], timeout=60)
        link.putrequest("POST", path, skip_accept_encoding=True)
        for name, value in [*headers, *([("content-length", str(len(body)))] if body else [])]:
            link.putheader(name, value)
        link.endheaders(body or None)
        with link.getresponse() as answer:
            text = answer.read()
            return answer.status, json.loads(text) if answer.status == 200 else dict(answer.headers)


@pytest.fixture(name="serve")
def _serve() -> Iterator[Any]:
    made: list[Served] = []

    def serve(**settings: Any) -> Served:
        made.append(Served(**settings))
        return made[-1]

    yield serve
    for one in made:
        one.server.shutdown()
        one.thread.join(60)
        one.server.server_close()


def engine() -> rapidjws.Engine:
    """Return an engine of the one issuer."""
    return rapidjws.Engine(
        rapidjws.Issuer(ISSUER.iss, keys=ISSUER.jwks, algorithms=["ES256"], audience=AUDIENCE)
    )


def bearer(token: str) -> tuple[str, str]:
    """Return the header of a token."""
    return ("authorization", f"Bearer {token}")


def test_a_middleware_that_follows_the_recipe_keeps_its_promises(serve: Any) -> None:
    """A good token passes with trusted headers, forged ones of a client do not, and all else is refused."""
    served = serve(engine=engine(), exempt=["/health"])
    good = ISSUER.token(ISSUER.claims(int(time.time())))
    status, seen = served.ask("/a?b=c", [bearer(good), ("x-jws-subject", "admin")])
    assert (status, seen[KEY]) == (200, "permit")
    assert seen["headers"]["x-jws-issuer"] == ISSUER.iss
    assert seen["headers"].get("x-jws-subject") != "admin"
    forged = good[:-4] + ("AAAA" if good[-4:] != "AAAA" else "BBBB")
    for headers in ([], [bearer(forged)], [bearer(good), bearer(good)]):
        status, answer = served.ask("/a", headers)
        assert status in (400, 401)
        assert "WWW-Authenticate" in {name.title().replace("Www", "WWW") for name in answer}
    assert served.ask("/health", [("x-jws-subject", "admin")])[1]["headers"].get("x-jws-subject") is None
    assert served.ask("/%68ealth")[0] == 401
    assert served.ask("/a", [bearer(good), ("content-length", "+5")])[0] == 400


def test_a_signed_body_reaches_the_application_as_it_was_verified(serve: Any) -> None:
    """The application gets the octets under the signature; others, longer ones and none are refused."""
    key = make_key("ES256", kid="sender")
    verifier = rapidjws.Verifier(key.public(), algorithms=["ES256"])
    served = serve(body=SignedBody(verifier=verifier, max_bytes=64))
    body = b'{"event": 1}'
    header, _, signature = sign_compact(body, LocalSigner(key)).split(".")
    signed = [("x-jws-signature", f"{header}..{signature}")]
    assert served.ask("/", signed, body)[1]["body"] == body.decode()
    assert served.ask("/", signed, body + b" ")[0] == 401
    assert served.ask("/", signed)[0] == 401
    assert served.ask("/", [], body)[0] == 401
    assert served.ask("/", signed, bytes(65))[0] == 413


@pytest.mark.source_tree
def test_the_recipe_names_what_this_test_uses() -> None:
    """Each name in the recipe's steps is there, and this test uses it."""
    page = (Path(__file__).resolve().parents[2] / "CONTRIBUTING.md").read_text("utf-8")
    steps = page.partition(RECIPE)[2].partition("\n### ")[0]
    named = set(re.findall(r"`([A-Za-z_]+)`", steps))
    mine = Path(__file__).read_text("utf-8").partition("\nRECIPE = ")[2].partition("def test_the_recipe")[0]
    homes = (middleware, authenticator, requests, response, Authenticator, KeysBeforeStart)
    assert len(named) >= 15
    assert {one for one in named if not any(hasattr(home, one) for home in (*homes, _modules()))} == set()
    assert {one for one in named if one not in mine} == {"AuthenticatorSettings", "adecide", "await_keys"}


def _modules() -> Any:
    """Return an object with those names of the recipe that are no attributes: for types, and of instances."""
    from types import SimpleNamespace

    return SimpleNamespace(AuthenticatorSettings=None, field=None, exempt=None, KeysBeforeStart=None)
