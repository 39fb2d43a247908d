"""Routes of requests as routers read them: mounts that a client can name, decoded paths, rewritten ones."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import unquote, unquote_to_bytes

import pytest
from plans import plan
from rollouts import engine, rollout

import rapidjws
from rapidjws.middleware import JWSMiddleware, WSGIMiddleware

OPEN = {("", ""): "detection", ("", "/pay"): "enforcement", ("", "/open"): "detection"}
CLOSED = {("", ""): "enforcement", ("", "/open"): "detection"}
EXEMPT = ["/status/live"]


def of(stages: dict[tuple[str, str], str]) -> rapidjws.Engine:
    """Return an engine with these stages."""
    return engine(rollout(state=plan(stages), unattributed="default"))


def through_wsgi(path: str, mount: str = "", target: str | None = None, **options: Any) -> int:
    """Return the status of a request without a token; ``path`` is what the application's router matches."""
    statuses: list[int] = []

    def app(environ: Any, start: Any) -> list[bytes]:
        start("200 OK", [])
        return []

    environ = {"PATH_INFO": path, "SCRIPT_NAME": mount}
    if target is not None:
        environ["RAW_URI"] = target
    WSGIMiddleware(app, **options)(environ, lambda status, headers: statuses.append(int(status[:3])))
    return statuses[0]


def through_asgi(path: str, mount: str = "", target: str | None = None, **options: Any) -> int:
    """Return the same of an ASGI request, whose path holds what it is mounted at."""
    statuses: list[int] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    scope = {"type": "http", "path": mount + path, "root_path": mount, "headers": []}
    scope.update(options.pop("more", {}))
    if target is not None:
        scope["raw_path"] = target.encode()
    asyncio.run(JWSMiddleware(app, **options)(scope, None, send))  # type: ignore[arg-type]
    return statuses[0]


BOTH = pytest.mark.parametrize("through", [through_wsgi, through_asgi])


@BOTH
@pytest.mark.parametrize("target", ["/open/pay", None])
def test_a_mount_that_a_client_named_makes_no_stage_milder(through: Any, target: str | None) -> None:
    """gunicorn and daphne take the mount from a header: the router then matches what follows it."""
    assert through("/pay", "/open", target, engine=of(OPEN)) == 401
    assert through("/open/pay", "", target, engine=of(OPEN)) == 200


@BOTH
def test_a_mount_that_a_client_named_exempts_nothing(through: Any) -> None:
    """``/live`` is another resource than the exempt ``/status/live``; where both are exempt, it is meant."""
    assert through("/live", "/status", "/status/live", engine=engine(), exempt=EXEMPT) == 401
    assert through("/status/live", "", "/status/live", engine=engine(), exempt=EXEMPT) == 200
    assert through("/live", "/status", engine=engine(), exempt=[*EXEMPT, "/live"]) == 200
    assert through("", "/status/live", "/status/live", engine=engine(), exempt=EXEMPT) == 401  # the "/" of it


@BOTH
def test_a_known_mount_counts_as_ever(through: Any) -> None:
    """Where the setting names the mount, a route has one reading, and exempt paths hold it."""
    closed = of({("", ""): "enforcement", ("", "/api/open"): "detection"})
    assert through("/open", "/api", "/api/open", engine=closed) == 401
    assert through("/open", "/api", "/api/open", engine=closed, root_path="/api") == 200
    assert through("/live", "/status", engine=engine(), exempt=EXEMPT, root_path="/status") == 200
    assert through("/pay", "/open", engine=of(OPEN), root_path="/other") == 401


def test_a_mount_of_the_application_itself_is_no_servers() -> None:
    """Starlette keeps apart what the server said and where it mounted an application itself."""
    of_app = {"app_root_path": ""}
    assert through_asgi("/pay", "/open", "/open/pay", engine=of(OPEN), more=of_app) == 200
    of_server = {"app_root_path": "/open"}
    assert through_asgi("/x", "/open/pay", engine=of(OPEN), more={**of_server, "path": "/open/pay"}) == 401


@pytest.mark.parametrize("sent", ["/open%3F/../secret", "/op%2565n", "/open%3F", "/open%253F"])
def test_a_decoded_path_is_not_decoded_again(sent: str) -> None:
    """Where a server tells only the decoded path, its ``?`` and ``%`` are octets of it."""
    latin = unquote_to_bytes(sent).decode("latin-1")
    assert through_wsgi(latin, engine=of(CLOSED)) == 401
    assert through_asgi(unquote(sent), engine=of(CLOSED)) == 401
    assert through_wsgi("/open", engine=of(CLOSED)) == 200


@BOTH
def test_a_decoded_path_may_hold_other_letters(through: Any) -> None:
    """A path that is not ASCII has the stage of its route, also where only its octets are reported."""
    closed = of({**CLOSED, ("", "/h%C3%A4"): "detection"})
    path = "/hä/1" if through is through_asgi else "/hä/1".encode().decode("latin-1")
    assert through(path, engine=closed) == 200


@BOTH
def test_a_path_that_was_rewritten_counts_beside_what_was_sent(through: Any) -> None:
    """A router matches the rewritten path, whatever the server says was sent."""
    assert through("/pay/1", "", "/v2/1", engine=of(OPEN)) == 401
    assert through("/a b", "", "/a%20b?x", engine=of(OPEN)) == 200


@pytest.mark.parametrize("wrong", ["api", "/api/", "/", None, 7])
def test_a_root_path_is_a_path(wrong: Any) -> None:
    """Anything but "" and a path without a last slash is refused."""
    with pytest.raises(rapidjws.ConfigurationError) as raised:
        WSGIMiddleware(lambda environ, start: [], engine=engine(), root_path=wrong)
    assert "root_path" in str(raised.value)
