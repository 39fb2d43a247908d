"""The middlewares in front of real applications on real servers: one table of verdicts for all of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from frameworks import FRAMEWORKS
from guarded_frameworks import GUARDED, WITHOUT_WARNINGS
from served import ask
from verdicts import HTTP_VERDICTS, SPOOFED, VERDICTS, Verdict, bearer, engine, headers_of, token

from rapidjws.middleware import TokenLocation

ALL = {**FRAMEWORKS, **GUARDED}


def opened(name: str, **settings: Any) -> Any:
    """Return what serves the application of a framework, or skip where it is not installed."""
    packages, serve = ALL[name]
    for package in packages:
        pytest.importorskip(package, reason=f"{package} is not installed: pip install --group middleware")
    return serve(**settings)


@pytest.fixture(scope="module", params=ALL)
def port(request: pytest.FixtureRequest) -> Iterator[int]:
    """Serve the application behind the middleware of each framework, enforced."""
    with opened(request.param, engine=engine()) as port:
        yield port


@pytest.fixture(scope="module", params=ALL)
def warning_port(request: pytest.FixtureRequest) -> Iterator[tuple[str, int]]:
    """Serve the application behind the middleware of each framework, in the phase of warnings."""
    with opened(request.param, engine=engine("warning")) as port:
        yield request.param, port


@pytest.mark.parametrize("verdict", VERDICTS + HTTP_VERDICTS, ids=lambda verdict: verdict.name)
def test_one_verdict_at_every_middleware(port: int, verdict: Verdict) -> None:
    """Each request of the table gets its status, challenge and code, and nothing spoofed arrives."""
    reply = ask(port, "/who", headers_of(verdict.name) + SPOOFED)
    assert reply.status == verdict.status
    if verdict.status == 200:
        assert (reply.json["code"], reply.json["sub"]) == ("ok", "ann")
        ours = dict(reply.json["ours"])
        assert len(ours) == len(reply.json["ours"])  # none of them twice
        assert (ours["x-jws-subject"], ours["x-jws-status"]) == ("ann", "verified")
        assert "admin" not in str(ours)
        assert "evil" not in str(ours)
        return
    assert reply.headers["content-type"].partition(";")[0] == "application/problem+json"
    assert (reply.json["code"], reply.json["status"]) == (verdict.code, verdict.status)
    challenge = reply.headers.get("www-authenticate", "")
    assert challenge.startswith("Bearer realm=") == (verdict.status != 503)
    assert f'error="{verdict.error}"' in challenge if verdict.error else "error" not in challenge
    assert reply.headers["cache-control"] == "no-store"
    assert ("retry-after" in reply.headers) == (verdict.status == 503)


def test_a_second_token_in_the_query_is_refused(port: int) -> None:
    """A token in the header and one in the query are two."""
    reply = ask(port, "/who?access%5Ftoken=x", bearer(token()))
    assert (reply.status, reply.json["code"]) == (400, "malformed_request")


def test_exempt_path_needs_no_token_and_hands_on_no_spoofed_name(port: int) -> None:
    """A path that is exempt is served, without a decision and without trusted headers."""
    reply = ask(port, "/health", SPOOFED)
    assert (reply.status, reply.json["code"], reply.json["ours"]) == (200, None, [])
    assert ask(port, "/who/../health", SPOOFED).status != 200


def test_warning_phase_lets_through_and_tells(warning_port: tuple[str, int]) -> None:
    """In warning a request without a token is served, unverified, and its answer says what will happen."""
    name, port = warning_port
    for path in ("/who", "/flow"):
        if (name, path) == ("django middleware asgi", "/flow"):
            continue  # Django itself warns of what is streamed without async there
        reply = ask(port, path, SPOOFED)
        assert reply.status == 200
        if name == "fastapi dependency" and path == "/flow":
            continue  # FastAPI adds a dependency's headers only to responses that it makes itself
        if name in WITHOUT_WARNINGS:
            assert "warning" not in reply.headers  # as its documentation says
            continue
        assert 'rapidjws "missing_token' in reply.headers["warning"]
        assert reply.headers["deprecation"].startswith("@")
    ours = dict(ask(port, "/who", SPOOFED).json["ours"])
    assert (ours["x-jws-subject"], ours["x-jws-status"]) == ("", "unverified missing_token")
    good = ask(port, "/who", bearer(token(sub="ann")) + SPOOFED)
    assert "warning" not in good.headers
    assert good.json["sub"] == "ann"


@pytest.mark.parametrize("name", ALL)
def test_a_claims_header_is_never_the_clients(name: str) -> None:
    """A claim arrives in its header once; what a client sends under it, in any spelling, never does."""
    faked = [("X-Tenant", "evil"), ("X-TENANT", "evil"), ("x_tenant", "evil"), ("X_Tenant", "evil")]
    with opened(name, engine=engine("detection"), claim_headers={"tid": "X-Tenant"}) as port:
        for sent, value in ((bearer(token(tid="acme")), "acme"), ([], "")):
            ours = [one for one in ask(port, "/who", sent + faked).json["ours"] if one[0] == "x-tenant"]
            assert ours == [["x-tenant", value]]
        assert ask(port, "/health", faked).json["ours"] == []


@pytest.mark.parametrize("name", ALL)
def test_token_in_a_cookie_and_in_a_named_header(name: str) -> None:
    """Each middleware reads the place that it was reported, and no other."""
    for place, header in (
        (TokenLocation(cookie="session"), ("Cookie", f"a=b; session={token()}")),
        (TokenLocation(header="X-Token", scheme=""), ("X-Token", token())),
    ):
        with opened(name, engine=engine(), place=place) as port:
            assert ask(port, "/who", [header]).status == 200
            assert ask(port, "/who", bearer(token())).json["code"] == "missing_token"
