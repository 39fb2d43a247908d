"""A registry of issuers behind ASGI, WSGI and the sidecar."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tokens
from gates import bearer, free_port, get
from registries import LIMIT_S, Directory, issuer, name_of, registry, until
from sidecar_process import Service

from rapidjws import Revocation
from rapidjws.config.issuer_folder import issuer_file_name
from rapidjws.middleware import JWSMiddleware, WSGIMiddleware
from rapidjws.stores import RevocationFile


def token(iss: str, **changes: Any) -> str:
    """Return a token that is good now."""
    now_s = int(time.time())
    return tokens.token(iss=iss, **{"iat": now_s, "exp": now_s + 900, **changes})


async def asgi(app: JWSMiddleware, text: str) -> int:
    """Return the status of one request."""
    found: list[int] = []

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            found.append(message["status"])

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    headers = [(b"authorization", f"Bearer {text}".encode())]
    scope = {"type": "http", "path": "/a", "raw_path": b"/a", "query_string": b"", "headers": headers}
    await app(scope, receive, send)
    return found[0]


async def fine(scope: Any, receive: Any, send: Any) -> None:
    """Answer 200."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"fine"})


def wsgi(app: WSGIMiddleware, text: str) -> int:
    """Return the status of one request."""
    found: list[int] = []
    environ = {
        "PATH_INFO": "/a",
        "SCRIPT_NAME": "",
        "QUERY_STRING": "",
        "HTTP_AUTHORIZATION": f"Bearer {text}",
    }
    b"".join(app(environ, lambda status, _: found.append(int(status[:3]))))  # type: ignore[arg-type, func-returns-value]
    return found[0]


def test_asgi_and_wsgi_give_one_verdict() -> None:
    """The first request of an issuer waits for its look-up, and gets what all others get."""
    kinds: list[tuple[str, int]] = [
        (token(name_of(1)), 200),
        (token(name_of(2)), 200),
        (token(name_of(2), exp=1_700_000_000), 401),
        (token("https://nobody"), 401),
        ("x.y.z", 401),
    ]
    for _ in range(2):
        loops = JWSMiddleware(fine, engine=registry())
        threads = WSGIMiddleware(lambda _, start: start("200 OK", []) or [b"fine"], engine=registry())

        async def main(app: JWSMiddleware = loops) -> list[int]:
            return [await asgi(app, text) for text, _ in kinds * 2]

        assert asyncio.run(main()) == [status for _, status in kinds * 2]
        assert [wsgi(threads, text) for text, _ in kinds * 2] == [status for _, status in kinds * 2]


def test_a_cold_issuer_with_the_header_of_a_known_one_waits_for_its_look_up() -> None:
    """A loop that knows a header's issuer hands a token of another one over, and turns on meanwhile."""
    release, going = threading.Event(), threading.Event()

    def slow() -> Any:
        going.set()
        assert release.wait(LIMIT_S)
        return issuer("https://slow.example")

    directory = Directory()
    directory.others["https://slow.example"] = slow
    app = JWSMiddleware(fine, engine=registry(directory))

    async def main() -> int:
        assert await asgi(app, token(name_of(1))) == 200
        waiting = asyncio.ensure_future(asgi(app, token("https://slow.example")))  # the same kid
        while not going.is_set():
            await asyncio.sleep(0)
        assert await asgi(app, token(name_of(1))) == 200
        release.set()
        return await waiting

    assert asyncio.run(main()) == 200


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with a configuration and two tenants."""
    issuers = tmp_path / "issuers.d"
    issuers.mkdir()
    (issuers / "keys.json").write_text(json.dumps({"keys": [tokens.public("ES256").as_dict()]}))
    for number in (1, 2):
        (issuers / issuer_file_name(name_of(number))).write_text(
            f'iss = "{name_of(number)}"\njwks_file = "keys.json"\nalgorithms = ["ES256"]\n'
            f'audience = "{tokens.AUD}"\n'
        )
    return tmp_path


def test_the_sidecar_serves_a_folder_of_issuers(folder: Path) -> None:
    """Two workers verify tokens of issuers that come, refuse others, and heed revocations of both."""
    port = free_port()
    (folder / "rapidjws.toml").write_text(
        '[registry]\nfolder = "issuers.d"\nlookup_timeout_s = 60\nrefresh_s = 0.5\n'
        '[revocations]\nfile = "revoked.json"\n'
        f'[server]\nlisten = "127.0.0.1:{port}"\nworkers = 2\n'
    )
    service = Service(folder, ["--config", str(folder / "rapidjws.toml")])

    def is_always(status: int, text: str) -> Callable[[], bool]:
        return lambda: all(get(port, bearer(text), "/verify")[0] == status for _ in range(6))

    try:
        service.wait_for(rf"127\.0\.0\.1:{port}, 2 workers")
        until(is_always(200, token(name_of(1))))
        until(is_always(200, token(name_of(2))))
        until(is_always(401, token("https://nobody")))
        RevocationFile(folder / "revoked.json").add(Revocation(issuer=name_of(1), kid="k1-es256"))
        until(is_always(401, token(name_of(1))))
        assert is_always(200, token(name_of(2)))()
    finally:
        service.end()
