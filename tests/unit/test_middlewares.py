"""ASGI, WSGI and webhooks give one verdict, and headers that can be trusted."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest
from rollouts import ISSUER, NOW_S, engine, forged, good, rollout

import rapidjws
from rapidjws.jwt.decision import Decision
from rapidjws.middleware import (
    Authenticator,
    JWSMiddleware,
    TokenLocation,
    WSGIMiddleware,
    answer_for,
    trusted_headers,
)
from rapidjws.middleware.response import TRUSTED, is_ours
from rapidjws.middleware.token_location import AMBIGUOUS
from rapidjws.rollout import Partner

Headers = list[tuple[str, str]]
SPOOFED: Headers = [
    ("X-JWS-Subject", "admin"),
    ("X-JWS-Subject", "admin"),
    ("x_jws_issuer", "https://evil.example"),
    ("X_JWS-Subject", "admin"),
    ("X-Jws-Status", "verified"),
    ("X-JWS-Role", "admin"),
]


def fresh(**changes: Any) -> str:
    """Return a token that is good now."""
    return ISSUER.token(ISSUER.claims(int(time.time()), **changes))


def bearer(token: str) -> Headers:
    """Return the header that carries a token."""
    return [("Authorization", f"Bearer {token}")]


class Reply:
    """What came back, and what the application saw."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = b""
        self.seen: Decision | None = None
        self.inner: dict[str, str] = {}


def through_asgi(headers: Headers, path: str = "/a", query: str = "", **options: Any) -> Reply:
    """Send one request through the ASGI middleware."""
    reply = Reply()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        reply.seen = scope.get("rapidjws")
        reply.inner = {name.decode(): value.decode() for name, value in scope["headers"]}
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"fine"})

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            reply.status = message["status"]
            reply.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        else:
            reply.body += message["body"]

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
    scope = {"type": "http", "path": path, "raw_path": path.encode(), "headers": raw}
    scope["query_string"] = query.encode()
    of = options.pop("of", None) or engine()
    asyncio.run(JWSMiddleware(app, engine=of, **options)(scope, receive, send))
    return reply


def through_wsgi(headers: Headers, path: str = "/a", query: str = "", **options: Any) -> Reply:
    """Send one request through the WSGI middleware, with headers joined as servers do."""
    reply = Reply()
    environ: dict[str, Any] = {"PATH_INFO": path, "SCRIPT_NAME": "", "QUERY_STRING": query}
    for name, value in headers:
        key = "HTTP_" + name.upper().replace("-", "_")
        environ[key] = f"{environ[key]},{value}" if key in environ else value

    def app(inner: Any, start: Any) -> list[bytes]:
        reply.seen = inner.get("rapidjws")
        reply.inner = {
            name[5:].lower().replace("_", "-"): value for name, value in inner.items() if name[:5] == "HTTP_"
        }
        start("200 OK", [])
        return [b"fine"]

    def start(status: str, found: Headers) -> Any:
        reply.status, reply.headers = int(status[:3]), dict(found)

    of = options.pop("of", None) or engine()
    reply.body = b"".join(WSGIMiddleware(app, engine=of, **options)(environ, start))
    return reply


MIDDLEWARES = pytest.mark.parametrize("middleware", [through_asgi, through_wsgi])


@MIDDLEWARES
def test_good_token_passes_with_its_claims(middleware: Any) -> None:
    """A good token reaches the application, with claims and headers of what was verified."""
    reply = middleware(bearer(fresh(sub="ann", scope="b a")))
    assert (reply.status, reply.body) == (200, b"fine")
    assert reply.seen.verified.claims["sub"] == "ann"
    assert reply.inner["x-jws-subject"] == "ann"
    assert reply.inner["x-jws-issuer"] == ISSUER.iss
    assert reply.inner["x-jws-scope"] == "a b"
    assert reply.inner["x-jws-status"] == "verified"


@MIDDLEWARES
@pytest.mark.parametrize(("case", "status", "code", "error"), [
    ("missing", 401, "missing_token", None), ("basic", 401, "missing_token", None),
    ("no space", 401, "missing_token", None), ("blank", 401, "missing_token", None),
    ("forged", 401, "signature_invalid", "invalid_token"), ("expired", 401, "expired", "invalid_token"),
    ("unknown kid", 401, "unknown_kid", "invalid_token"), ("dots", 401, "malformed_token", "invalid_token"),
    ("twice", 400, "malformed_request", "invalid_request"),
    ("joined", 400, "malformed_request", "invalid_request"),
    ("two words", 400, "malformed_request", "invalid_request"),
    ("empty", 400, "malformed_request", "invalid_request"),
])  # fmt: skip
def test_bad_requests_get_what_rfc_6750_says(
    middleware: Any, case: str, status: int, code: str, error: str | None
) -> None:
    """Each bad request gets its status, a challenge and a problem with its code, and no application."""
    now_s = int(time.time())
    headers = {
        "missing": [],
        "basic": [("Authorization", "Basic YTpi")],
        "no space": [("Authorization", "Bearera")],
        "blank": [("Authorization", " ")],
        "forged": bearer(fresh().rpartition(".")[0] + "." + fresh(sub="x").rpartition(".")[2]),
        "expired": bearer(ISSUER.token(ISSUER.claims(now_s - 9000))),
        "unknown kid": bearer(ISSUER.token(ISSUER.claims(now_s), header={"kid": "made-up"})),
        "dots": bearer(".."),
        "twice": bearer(fresh()) + bearer(fresh()),
        "joined": bearer(f"{fresh()},Bearer {fresh()}"),
        "two words": bearer(f"{fresh()} {fresh()}"),
        "empty": [("Authorization", "Bearer ")],
    }[case]
    reply = middleware(headers)
    problem = json.loads(reply.body)
    assert (reply.status, problem["status"], problem["code"]) == (status, status, code)
    assert reply.headers["content-type"] == "application/problem+json"
    challenge = reply.headers["www-authenticate"]
    assert challenge.startswith('Bearer realm="api"')
    assert ("error" in challenge, f'error="{error}"' in challenge) == (error is not None, error is not None)
    assert "scope=" not in challenge
    assert reply.inner == {}


@MIDDLEWARES
@pytest.mark.parametrize(
    "query", ["access_token=x", "a=b&access_token", "access%5Ftoken=", "%61ccess_token=1"]
)
def test_a_second_method_in_the_query_gets_400(middleware: Any, query: str) -> None:
    """A token in the query beside the one in the header is refused, however its name is written."""
    reply = middleware(bearer(fresh()), query=query)
    assert (reply.status, json.loads(reply.body)["code"]) == (400, "malformed_request")
    assert 'error="invalid_request"' in reply.headers["www-authenticate"]
    assert middleware([], query=query).status == 401  # never read there
    assert middleware(bearer(fresh()), query="access_tokens=x&b=access_token").status == 200
    assert (
        middleware([("X-T", fresh())], query=query, place=TokenLocation(header="X-T", scheme="")).status
        == 200
    )


@MIDDLEWARES
def test_missing_scope_gets_403_with_the_scopes_that_are_due(middleware: Any) -> None:
    """A good token without a scope gets 403 and RFC 6750's error, with all scopes that are due."""
    of = engine(rollout(Partner(name="a", scopes=["pay", "read"])))
    reply = middleware(bearer(fresh(scope="read")), of=of, partner_of=lambda request: "a")
    assert reply.status == 403
    challenge = reply.headers["www-authenticate"]
    assert 'error="insufficient_scope"' in challenge
    assert challenge.endswith(', scope="pay read"')
    assert middleware(bearer(fresh(scope="pay read")), of=of, partner_of=lambda request: "a").status == 200


def test_scope_that_would_end_its_quotes_is_not_reported() -> None:
    """Only what RFC 6749 calls a scope token stands in a challenge."""
    decision = Decision(
        outcome="deny", code="insufficient_scope", scopes_due=('a"b', "a\\b", "a b", "", "ok")
    )
    challenge = dict(answer_for(decision).headers)["www-authenticate"]  # type: ignore[union-attr]
    assert challenge.endswith(', scope="ok"')


def test_a_token_of_another_partner_gets_403_without_scopes() -> None:
    """A good token that is another partner's is not called invalid: 403 and insufficient_scope."""
    answer = answer_for(Decision(outcome="deny", code="partner_mismatch"))
    assert answer is not None
    assert answer.status == 403
    assert 'error="insufficient_scope"' in dict(answer.headers)["www-authenticate"]
    assert "scope=" not in dict(answer.headers)["www-authenticate"]


def test_scopes_of_a_request_are_due_beside_those_of_its_partner() -> None:
    """An engine that is asked for scopes refuses a token without them, in the phases that refuse."""
    token = good(scp=["read"])
    assert engine().decide(token, scopes=("read",), now=NOW_S).code == "ok"
    for phase, outcome in (("enforcement", "deny"), ("detection", "permit")):
        of = engine(rollout(phase=phase))
        asked: dict[str, Any] = {"scopes": ("read", "pay"), "now": NOW_S}
        for decision in (of.decide(token, **asked), asyncio.run(of.adecide(token, **asked))):
            assert (decision.outcome, decision.code) == (outcome, "insufficient_scope")
            assert decision.scopes_due == (("read", "pay"))
            assert decision.verified is None


def test_gateways_that_know_no_400_get_401() -> None:
    """For nginx a request with two tokens is 401, with the same challenge and code."""
    decision = Decision(outcome="deny", code="malformed_request")
    answer = answer_for(decision, bad_request_status=401)
    assert answer is not None
    assert (answer.status, json.loads(answer.body)["status"]) == (401, 401)
    assert 'error="invalid_request"' in dict(answer.headers)["www-authenticate"]


def test_outage_gets_503() -> None:
    """An indeterminate decision is 503 with Retry-After, and no challenge."""
    answer = answer_for(Decision(outcome="indeterminate", code="keys_unavailable"))
    assert answer is not None
    assert answer.status == 503
    assert {name for name, _ in answer.headers} >= {"retry-after"}
    assert "www-authenticate" not in dict(answer.headers)


@MIDDLEWARES
@pytest.mark.parametrize("signed", [True, False])
def test_spoofed_headers_never_arrive(middleware: Any, signed: bool) -> None:
    """What a client sends under our names is gone, also where the request is let through unsigned."""
    of = engine(rollout(phase="detection"))
    reply = middleware((bearer(fresh(sub="ann")) if signed else []) + SPOOFED, of=of)
    assert reply.status == 200
    assert not any("admin" in value for value in reply.inner.values())
    assert "x-jws-role" not in reply.inner
    assert "https://evil.example" not in reply.inner.values()
    assert reply.inner["x-jws-subject"] == ("ann" if signed else "")
    assert reply.inner["x-jws-status"] == ("verified" if signed else "unverified missing_token")


@MIDDLEWARES
def test_spoofed_headers_are_removed_on_exempt_paths(middleware: Any) -> None:
    """A path that needs no token hands on no trusted header either."""
    reply = middleware(SPOOFED, "/healthz", exempt=frozenset({"/healthz"}))
    assert reply.status == 200
    assert not any(is_ours(name) for name in reply.inner)
    assert reply.seen is None


@MIDDLEWARES
def test_warning_phase_tells_the_client(middleware: Any) -> None:
    """In warning the response says what will be refused, and from when on."""
    policy = rollout(phase="detection")
    policy.promote(by="ann", enforce_on_s=1_900_000_000)
    reply = middleware([], of=engine(policy))
    assert reply.status == 200
    assert reply.headers["warning"].startswith('299 rapidjws "missing_token')
    assert reply.headers["deprecation"] == "@1800000000"
    assert reply.headers["sunset"] == "Sun, 17 Mar 2030 17:46:40 GMT"


@MIDDLEWARES
def test_route_and_partner_reach_the_rollout(middleware: Any) -> None:
    """A stricter stage of one route holds at the middleware, whatever the path's spelling."""
    policy = rollout(phase="detection")
    policy.promote(by="ann", route="/pay", to="enforcement")
    of = engine(policy)
    assert [middleware([], path, of=of).status for path in ("/a", "/pay", "/pay/1", "//pay")] == [
        200,
        401,
        401,
        401,
    ]


@pytest.mark.parametrize(
    "cookies",
    ["session=a; session =b", "session=a;session\t=b", "session =a; session=a", "session=a; session="],
)
def test_two_cookies_are_two_however_their_names_are_spaced(cookies: str) -> None:
    """Frameworks strip the spaces after a cookie's name: the application could read the other one."""
    jar = TokenLocation(cookie="session")
    assert jar.token([cookies.encode()]) is AMBIGUOUS
    assert jar.token([b"session =a; sessions=b"]) == b"a"


@MIDDLEWARES
def test_token_from_header_and_cookie(middleware: Any) -> None:
    """A named header and a cookie carry tokens as well, and nothing else does."""
    token = fresh()
    named = TokenLocation(header="X-Token", scheme="")
    assert middleware([("X-Token", token)], place=named).status == 200
    assert middleware(bearer(token), place=named).status == 401
    jar = TokenLocation(cookie="session")
    assert middleware([("Cookie", f"a=b; session={token}")], place=jar).status == 200
    assert middleware([("Cookie", f"session={token}; session={token}")], place=jar).status == 400
    assert middleware([("Cookie", "session=")], place=jar).status == 401
    assert middleware(bearer(token), place=jar).status == 401


def test_subject_that_is_no_header_is_left_out() -> None:
    """Claims with line breaks, other scripts or great length never become headers."""
    for subject in ("a\r\nX-Admin: 1", "\u00fc", "a" * 5000, "\x7f"):
        decision = engine().decide(fresh(sub=subject))
        assert decision.outcome == "permit"
        assert dict(trusted_headers(decision))["x-jws-subject"] == ""
        assert tuple(name for name, _ in trusted_headers(decision)) == TRUSTED


def test_websocket_is_closed_before_it_opens() -> None:
    """A websocket without a token is closed, and its application never runs."""
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "websocket", "path": "/", "headers": []}
    asyncio.run(JWSMiddleware(app, engine=engine())(scope, receive, send))
    assert sent == [{"type": "websocket.close", "code": 4401, "reason": ""}]


def test_lifespan_passes() -> None:
    """What is no request is handed on untouched."""
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope)

    asyncio.run(JWSMiddleware(app, engine=engine())({"type": "lifespan"}, None, None))  # type: ignore[arg-type]
    assert seen == [{"type": "lifespan"}]


def test_place_refuses_what_has_two_readings() -> None:
    """Two values and a bare scheme are ambiguous, by identity; no value and another scheme are none."""
    place = TokenLocation()
    for none in ([], [b""], [b"Basic a"], [b"Bearera"], [b"Bearer\ta"]):
        assert place.token(none) is None
    assert place.token([b"bearer abc"]) == place.token([b"Bearer  abc "]) == b"abc"
    for values in ([b"Bearer a", b"Bearer b"], [b"Basic a", b"Bearer b"], [b"Bearer"], [b"Bearer  "]):
        assert place.token(values) is AMBIGUOUS
    assert place.token([b"Bearer .."]) is not AMBIGUOUS
    assert TokenLocation(header="X-T", scheme="").token([b"a,b"]) is AMBIGUOUS
    for wrong in ({"header": "a b"}, {"header": ""}, {"cookie": "a;b"}, {"scheme": 'x"'}):
        with pytest.raises(rapidjws.ConfigurationError):
            TokenLocation(**wrong)  # type: ignore[arg-type]


def test_middleware_refuses_a_realm_that_ends_its_quotes() -> None:
    """A realm that could close its quoted string is a configuration that is refused."""
    for realm in ('a"b', "a\\b", "a\nb", "\u00fc"):
        with pytest.raises(rapidjws.ConfigurationError):
            Authenticator(engine=engine(), realm=realm)


@pytest.mark.parametrize("token", [None, good(), forged(), "x.y.z", good(exp=NOW_S - 90)])
@pytest.mark.parametrize("phase", [None, "detection", "enforcement"])
def test_both_ways_to_decide_agree(token: str | None, phase: Any) -> None:
    """From asyncio and from a thread an engine decides alike, a partner's wider leeway included."""
    partner = Partner(name="late", leeway_s=120)
    of = engine(None if phase is None else rollout(partner, phase=phase))
    asked: dict[str, Any] = {"partner": "late", "route": "/a", "now": NOW_S}
    here, there = of.decide(token, **asked), asyncio.run(of.adecide(token, **asked))
    assert here.evidence == there.evidence
