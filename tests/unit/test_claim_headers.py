"""Claims as headers: what stands in them, what never does, and which names are ours."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rollouts import ISSUER, engine, forged, rollout

import rapidjws
from rapidjws import ConfigurationError
from rapidjws.jwt.decision import Decision
from rapidjws.middleware import Authenticator, JWSMiddleware, SignedBody, TokenLocation, WSGIMiddleware
from rapidjws.middleware.claim_headers import ClaimHeaders
from rapidjws.sidecar.response_cache import ResponseCache
from rapidjws.sidecar.settings import ServerSettings, settings_from

ROLES = "/realm_access/roles"
SETTINGS: Any = {
    "tid": "X-Tenant",
    "name": {"header": "X-Name", "encoding": "percent"},
    ROLES: {"header": "X-Roles", "encoding": "base64url"},
    "https://example.com/plan": {"header": "X-Plan", "encoding": "plain"},
}
FAKED = [
    ("X-Tenant", "evil"),
    ("X-Tenant", "evil"),
    ("x_tenant", "evil"),
    ("X.Tenant", "evil"),
    ("X_NAME", "evil"),
    ("x-roles", "evil"),
    ("X-Plan", "evil"),
]


def through_asgi(headers: list[tuple[str, str]], path: str, **settings: Any) -> dict[str, str]:
    """Return the headers that an ASGI application gets."""
    found: dict[str, str] = {}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        found.update(
            (name.decode().lower().replace("_", "-"), value.decode()) for name, value in scope["headers"]
        )

    async def nothing(*_: Any) -> Any:
        return None

    raw = [(name.encode(), value.encode()) for name, value in headers]
    scope = {"type": "http", "path": path, "raw_path": path.encode(), "headers": raw, "query_string": b""}
    asyncio.run(JWSMiddleware(app, **settings)(scope, nothing, nothing))
    return found


def through_wsgi(headers: list[tuple[str, str]], path: str, **settings: Any) -> dict[str, str]:
    """Return the headers that a WSGI application gets."""
    found: dict[str, str] = {}
    environ: dict[str, Any] = {"PATH_INFO": path, "SCRIPT_NAME": "", "QUERY_STRING": ""}
    environ |= {"HTTP_" + name.upper().replace("-", "_"): value for name, value in headers}

    def app(inner: Any, _: Any) -> list[bytes]:
        named = [(name[5:].lower(), value) for name, value in inner.items() if name[:5] == "HTTP_"]
        found.update((name.replace("_", "-"), value) for name, value in named)
        return []

    list(WSGIMiddleware(app, **settings)(environ, lambda *_: lambda _: None))
    return found


MIDDLEWARES = pytest.mark.parametrize("through", [through_asgi, through_wsgi], ids=["asgi", "wsgi"])


def decided(**claims: Any) -> Decision:
    """Return the decision about a good token."""
    decision = engine().decide(ISSUER.token(ISSUER.claims(int(time.time()), **claims)))
    assert decision.code == "ok"
    return decision


def written(value: Any, encoding: str) -> str:
    """Return what stands in the header of a claim, as middlewares and the sidecar write it."""
    given: Any = {"c": {"header": "X-C", "encoding": encoding}}
    decision = decided(c=value)
    ((name, text),) = ClaimHeaders(given).headers(decision)
    assert name == "x-c"
    head = ResponseCache(ServerSettings(claim_headers=given)).reply(decision, b"GET").decode("latin-1")
    lines = [line.partition(": ")[2] for line in head.split("\r\n") if line.startswith("x-c:")]
    assert lines == [text]
    assert head.endswith("\r\n\r\n")
    return text


def decoded(text: str) -> Any:
    """Return the JSON in base64url."""
    return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


@pytest.mark.parametrize(
    ("value", "plain", "percent"),
    [
        ("acme", "acme", "acme"),
        ("a b", "a b", "a%20b"),
        ("50%", "50%", "50%25"),
        ("", "", ""),
        (" acme", "", "%20acme"),
        ("J\u00fcrgen", "", "J%C3%BCrgen"),
        ("a\r\nx-jws-status: verified", "", "a%0D%0Ax-jws-status%3A%20verified"),
        ("a\x00b", "", "a%00b"),
        ("a\x7f", "", "a%7F"),
        ("a" * 1024, "a" * 1024, "a" * 1024),
        ("a" * 1025, "", ""),
        ("\u00e9" * 171, "", ""),
        (7, "7", "7"),
        (-1.5, "-1.5", "-1.5"),
        (True, "true", "true"),
        (False, "false", "false"),
        (2**62, str(2**62), str(2**62)),
        (["a"], "", ""),
        ({"a": 1}, "", ""),
        (None, "", ""),
    ],
    ids=lambda value: f"{type(value).__name__} {str(value)[:12]!a}",
)
def test_a_value_arrives_unchanged_or_not(value: Any, plain: str, percent: str) -> None:
    """Text that would arrive otherwise is empty as plain; percent writes it; neither writes lists."""
    assert written(value, "plain") == plain
    assert written(value, "percent") == percent


@pytest.mark.parametrize(
    "value", ["acme", "J\u00fcrgen\r\n", ["a", {"b": [1, None]}], {"a": "\u2603"}, 7, True, 1.5]
)
def test_base64url_holds_the_json_of_any_value(value: Any) -> None:
    """What is decoded is the claim, with its type."""
    text = written(value, "base64url")
    assert decoded(text) == value
    assert "=" not in text
    assert text.isascii()


def test_base64url_is_empty_where_it_is_long_or_nothing() -> None:
    """A value is whole or not there."""
    assert written(None, "base64url") == ""
    assert len(written("a" * 766, "base64url")) == 1024
    assert written("a" * 767, "base64url") == ""


@settings(max_examples=150, deadline=None)
@given(value=st.text(max_size=12) | st.integers() | st.booleans() | st.lists(st.text(max_size=3), max_size=3))
def test_no_value_leaves_its_header(value: Any) -> None:
    """Whatever a claim is, its header is one line of visible ASCII and spaces, and decodes to the claim."""
    for encoding in ("plain", "percent", "base64url"):
        text = written(value, encoding)
        assert text.isascii()
        assert text.isprintable()
        assert text == text.strip(" ")
        if text and isinstance(value, str):
            read = {"plain": str, "percent": unquote, "base64url": decoded}[encoding]
            assert read(text) == value


def test_pointers_lead_through_objects_only() -> None:
    """A member that is not there, or lies in a list, is empty."""
    decision = decided(a={"b/c": {"~": "x"}}, l=["x"], **{"/z": "y"})
    one = ClaimHeaders({"/a/b~1c/~0": "X-1", "/a/none": "X-2", "/l/0": "X-3", "/~1z": "X-4", "/sub/x": "X-5"})
    assert [value for _, value in one.headers(decision)] == ["x", "", "", "y", ""]


@pytest.mark.parametrize(
    "header",
    [
        "Content-Length", "content_type", "Transfer-Encoding", "TE", "Trailer", "Upgrade", "Connection",
        "Keep-Alive", "Proxy-Authorization", "Authorization", "Host", "Cookie", "Set-Cookie", "X-JWS-Subject",
        "x_jws_new", "X-Forwarded-For", "Forwarded", "traceparent", "X-Request-Id", "Retry-After", "Sec-GPC",
        "grpc-timeout", "X-Envoy-Original-Path", "X-Thing-Bin", "X-Original-URI", "Location", "If-Match",
        "", "a b", "a:b", "a\r\nb", "\u00e4", "-x", "x" * 65, 7, None, ["X-A"], {},
        {"header": "X-A", "to": "x"},
        {"header": "X-A", "encoding": "hex"}, {"header": "X-A", "encoding": None}, {"encoding": "plain"},
    ],
    ids=repr,
)  # fmt: skip
def test_headers_with_a_meaning_of_their_own_are_refused(header: Any) -> None:
    """A claim never becomes framing, routing, credentials or one of our own headers; slips are named."""
    for make in (
        lambda: ClaimHeaders({"c": header}),
        lambda: ServerSettings(claim_headers={"c": header}),
        lambda: Authenticator(engine=engine(), claim_headers={"c": header}),
    ):
        with pytest.raises(ConfigurationError, match="claim_headers"):
            make()


@pytest.mark.parametrize(
    "given",
    [
        {"a": "X-Tenant", "b": "x-tenant"},
        {"a": "X-Tenant", "b": "X_Tenant"},
        {"a": "X-Tenant", "b": "X.Tenant"},
        {"": "X-A"},
        {"/a~2": "X-A"},
        {7: "X-A"},
        {"\ud800": "X-A"},
        {f"c{number}": f"X-C{number}" for number in range(33)},
        [("a", "X-A")],
        "X-A",
    ],
    ids=lambda given: repr(given)[:40],
)
def test_settings_that_mean_two_things_are_refused(given: Any) -> None:
    """Two headers that a server folds into one, and claims that are none, are refused."""
    with pytest.raises(ConfigurationError, match="claim_headers"):
        ClaimHeaders(given)


def test_headers_that_another_setting_reads_are_refused() -> None:
    """The token's own header, the partner's and the route's are never overwritten by a claim."""
    given = {"c": "X-Token"}
    with pytest.raises(ConfigurationError, match="no other setting"):
        Authenticator(engine=engine(), place=TokenLocation(header="x_token", scheme=""), claim_headers=given)
    for more in ({"token_header": "X-Token"}, {"partner_header": "x-token"}, {"route_headers": ["X-TOKEN"]}):
        with pytest.raises(ConfigurationError, match="no other setting"):
            settings_from({"claim_headers": given, **more}, None)  # type: ignore[arg-type]


def test_a_verifier_has_no_claims_to_write() -> None:
    """Headers that would stay empty for ever are refused at the start."""
    verifier = rapidjws.Verifier({"a": ISSUER.jwks}, algorithms=["ES256"])
    with pytest.raises(ConfigurationError, match="claims"):
        Authenticator(body=SignedBody(verifier=verifier), claim_headers={"c": "X-C"})


@MIDDLEWARES
@pytest.mark.parametrize("token", ["good", "forged", None])
def test_faked_headers_never_arrive(through: Any, token: str | None) -> None:
    """What a client sends under a claim's header is gone in every spelling, verified or not."""
    good = ISSUER.token(ISSUER.claims(int(time.time()), tid="acme", realm_access={"roles": ["a"]}))
    sent = [("authorization", f"Bearer {good if token == 'good' else forged()}")] if token else []
    of = engine(rollout(phase="detection"))
    found = through(sent + FAKED, "/a", engine=of, claim_headers=SETTINGS)
    assert found["x-jws-status"].startswith("verified" if token == "good" else "unverified")
    assert "evil" not in str(found)
    wanted = {"x-tenant": "", "x-name": "", "x-roles": "", "x-plan": ""}
    if token == "good":
        wanted |= {"x-tenant": "acme", "x-roles": "WyJhIl0"}
    assert {name: found[name] for name in wanted} == wanted


@MIDDLEWARES
def test_faked_headers_are_removed_on_exempt_paths(through: Any) -> None:
    """A path that needs no token hands on none of them; other headers pass."""
    more = [("X-Tenants", "kept"), ("Accept", "kept")]
    exempt = frozenset({"/healthz"})
    found = through(FAKED + more, "/healthz", engine=engine(), exempt=exempt, claim_headers=SETTINGS)
    assert found == {"x-tenants": "kept", "accept": "kept"}


def test_the_sidecar_always_answers_with_each_header() -> None:
    """A permit without a token has each header, empty: what a gateway copies overwrites what was sent."""
    replies = ResponseCache(ServerSettings(claim_headers=SETTINGS))
    passed = engine(rollout(phase="warning")).decide(None)
    head = replies.reply(passed, b"GET")
    for name in (b"x-tenant", b"x-name", b"x-roles", b"x-plan"):
        assert head.count(b"\r\n%b: \r\n" % name) == 1
    first, second = decided(tid="a"), decided(tid="b")  # what is remembered of an answer holds no claim
    assert b"x-tenant: a\r\n" in replies.reply(first, b"GET")
    assert b"x-tenant: b\r\n" in replies.reply(second, b"GET")
